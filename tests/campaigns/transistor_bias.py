"""Campaign: how far equilibrium propagation (EP) and coupled learning (CL) are from the gradient of transistors.

A transistor's current depends on both node voltages, so the Jacobian of the node equations is not symmetric and
the network has no co-content. The contrast of two phases is then not the gradient, however small the nudge. Each
trial draws gate voltages, inputs and targets of one circuit, and compares the contrast of every node's exact
voltage (no noise, no observer) with the exact gradient, at five displacements of the outputs::

    python tests/campaigns/transistor_bias.py --count 20

Columns: cosine and relative length of the contrast. EP pushes currents, so it is compared with the gradient of the
squared error. CL holds voltages; the currents that this takes are ``Z^-1 e``, so it is compared with the gradient
for these ("CL") and with that of the squared error ("CL to the error"). "one-sided" contrasts with the free phase.
The table prints medians over the trials; ``--figure FILE.svg`` draws them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from campaign import Campaign, Table, median
from transistor_circuits import DEVICE

import hwlearn as hl

MOVES_V = (1e-4, 1e-3, 1e-2, 0.05, 0.2)
"""Largest displacement of an output in the nudged phase."""

SAMPLES = 8


def _grid(device: hl.elements.Mosfet) -> hl.Topology:
    side = 4
    at = [[side * row + column for column in range(side)] for row in range(side)]
    edges = [(at[r][c], at[r][(c + 1) % side]) for r in range(side) for c in range(side)]
    edges += [(at[r][c], at[(r + 1) % side][c]) for r in range(side) for c in range(side)]
    return hl.Topology(side * side, edges, (5, 7, 15, 13), (10, 0), elements=replace(device, body="ground"))


def _layers(sizes: tuple[int, ...], device: hl.elements.Mosfet) -> hl.Topology:
    return hl.Topology.layered(sizes).with_elements(device)


CIRCUITS = {
    "resistors, 34-5-2": lambda: hl.Topology.layered((34, 5, 2)),
    "4 x 4 grid, body at ground": lambda: _grid(DEVICE),
    "64 x 20, body at drain": lambda: _layers((64, 20), replace(DEVICE, body="drain")),
    "34-5-2, body at ground": lambda: _layers((34, 5, 2), replace(DEVICE, body="ground")),
    "34-5-2, body floating": lambda: _layers((34, 5, 2), replace(DEVICE, body="floating", gate="drain")),
}
"""The circuits of published benches, and one of resistors, of which EP is exact."""

CASES = {f"{circuit}, {1e3 * move:g} mV": (circuit, move) for circuit in CIRCUITS for move in MOVES_V}


def _values(top: hl.Topology, rng: np.random.Generator) -> np.ndarray:
    if top.elements is None:
        return 10 ** rng.uniform(-5, -4, top.n_edges)
    return rng.uniform(1.5, 6.0, top.n_edges)


def _compared(found: np.ndarray, exact: np.ndarray) -> tuple[float, float]:
    """Return cosine and relative length."""
    length = float(np.linalg.norm(found))
    return float(found @ exact) / (length * float(np.linalg.norm(exact))), length / float(np.linalg.norm(exact))


def trial(case: str, rng: np.random.Generator) -> Mapping[str, float]:
    """Return cosines and lengths of one draw of gate voltages, inputs and targets."""
    name, move_V = CASES[case]
    top = CIRCUITS[name]()
    model = hl.Kirchhoff(top, _values(top, rng))
    x = rng.uniform(0.0, 1.0, (SAMPLES, top.n_inputs))
    free = model.solve(x)
    outputs = free[:, top.outputs]
    e = outputs - rng.uniform(0.0, 1.0, outputs.shape)
    impedance = np.broadcast_to(model.output_impedance(x), (SAMPLES, top.n_outputs, top.n_outputs))
    held = np.linalg.solve(impedance, e[:, :, None])[:, :, 0]
    for_error, for_currents = model.gradient_at(free, e), model.gradient_at(free, held)
    # strengths at which the largest displacement of an output is as asked, to first order
    t_ep = move_V / np.abs(impedance @ e[:, :, None])[:, :, 0].max(axis=1)
    t_cl = move_V / np.abs(e).max(axis=1)
    pushed = [model.solve(x, injected=-sign * t_ep[:, None] * e) for sign in (1, -1)]
    clamped = [model.solve(x, clamped=outputs - sign * t_cl[:, None] * e) for sign in (1, -1)]
    ep = model.contrast(*pushed, 1 / (2 * t_ep)) / SAMPLES
    cl = model.contrast(*clamped, 1 / (2 * t_cl)) / SAMPLES
    rows = {
        "EP": _compared(ep, for_error),
        "EP one-sided": _compared(model.contrast(pushed[0], free, 1 / t_ep) / SAMPLES, for_error),
        "CL": _compared(cl, for_currents),
        "CL one-sided": _compared(model.contrast(clamped[0], free, 1 / t_cl) / SAMPLES, for_currents),
        "CL to the error": _compared(cl, for_error),
    }
    return {f"{rule} {kind}": value for rule, two in rows.items() for kind, value in zip(KINDS, two, strict=True)}


KINDS = ("cosine", "length")
RULES = ("EP", "EP one-sided", "CL", "CL one-sided", "CL to the error")
COLUMNS = [f"{rule} {kind}" for rule in RULES for kind in KINDS if (rule, kind) != ("CL to the error", "length")]


def draw(table: Table, path: Path) -> None:
    """Draw the median angle between contrast and gradient against the displacement, one panel for each circuit."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 2.9), layout="constrained")
    panels = figure.subplots(1, len(CIRCUITS), sharey=True)
    for panel, name in zip(panels, CIRCUITS, strict=True):
        for rule in RULES:
            cosines = [np.median(table.of(f"{name}, {1e3 * move:g} mV", f"{rule} cosine")) for move in MOVES_V]
            angles = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
            style = {"linestyle": "--", "marker": "s"} if "one-sided" in rule else {"marker": "o"}
            panel.plot(1e3 * np.array(MOVES_V), angles, label=rule, markersize=3, linewidth=1, **style)
        panel.set(xscale="log", title=name, xlabel="displacement (mV)", ylim=(0, 90))
        panel.title.set_fontsize(9)
    panels[0].set_ylabel("angle to the gradient (degrees)")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(RULES), frameon=False
    )
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


CAMPAIGN = Campaign("transistor_bias", trial, list(CASES), {name: median() for name in COLUMNS}, 20, draw)

if __name__ == "__main__":
    CAMPAIGN.main()
