"""Campaign: transistor networks against ngspice's level 1, and their gradient against central differences.

"currents" compares 25 transistors between sources in each trial, "grids" the outputs of one grid of 4 to 30
nodes a side, 8 with floating bodies. Errors are relative to the current, with 1e-15 A allowed, and in volts.
Both sides have the same saturation current, conductance of junctions and temperature, and the blocking law of
SPICE, which jumps. A floating body may then have no voltage at all: "no state" counts such points, at which our
search finds none or both sides are on different sides of the jump. With the exponential law they have one: grids
of floating bodies have that law, which differs from SPICE's by at most 5e-16 A; behind junctions of 1 pS that is
microvolts at the outputs, and ngspice does not always find an operating point ("no state" counts these too)::

    python tests/campaigns/transistors.py --count 40
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from campaign import Campaign, at_most, shown
from transistor_circuits import BODIES, DEVICE, GATES, between_sources, gradient_error, mixed

import hwlearn as hl
from hwlearn.circuit.spice.netlist import spice_text

POINTS = 25


def printed(netlist: str) -> dict[str, float]:
    """Return what ngspice prints: node -> volts, ``source#branch`` -> amperes."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "network.cir").write_text(netlist, encoding="utf-8")
        done = subprocess.run(
            ["ngspice", "-b", "network.cir"], cwd=folder, capture_output=True, text=True, timeout=300, check=True
        )
    table = done.stdout.partition("Voltage")[2].partition("models")[0]
    return {name: float(value) for name, value in re.findall(r"^\s+(\S+)\s+(-?\d\S+)$", table, re.MULTILINE)}


def _currents(body: str, rng: np.random.Generator) -> dict[str, float]:
    device = replace(DEVICE, body=body, gate=str(rng.choice(GATES)), blocking="constant")
    top = between_sources(device, POINTS)
    volts, gates = rng.uniform(-1, 1, top.n_inputs), rng.uniform(0.4, 8.0, top.n_edges)
    found = printed(spice_text(top, gates, volts))
    theirs = np.array([-found[f"v{k}#branch"] for k in range(2 * POINTS)]).reshape(POINTS, 2)
    errors, without = 0.0, 0
    for k in range(POINTS):
        alone = between_sources(device, 1)
        ends = volts[2 * k : 2 * k + 2]
        model = hl.Kirchhoff(alone, gates[[k, POINTS]])
        try:
            ours = model.source_currents(model.solve([ends]))[0]
        except hl.errors.ConvergenceError:
            without += 1
            continue
        off = np.maximum(np.abs(ours - theirs[k]) - 1e-15, 0.0) / np.abs(theirs[k])
        if body == "floating" and off.max() > 1e-9:
            without += 1
        else:
            errors = max(errors, float(off.max()))
    return {"currents": errors, "no state": without}


def _grid(body: str, rng: np.random.Generator) -> dict[str, float]:
    side = int(rng.integers(4, 9 if body == "floating" else 31))  # ngspice takes minutes for larger floating ones
    device = replace(DEVICE, body=body, blocking="exponential" if body == "floating" else "constant")
    top = hl.Topology.grid(side, side, ground=0).with_elements(device)
    gates, x = rng.uniform(1.5, 8.0, top.n_edges), rng.uniform(0, 1, top.n_inputs)
    ours = hl.Kirchhoff(top, gates).solve([x])[0, top.outputs]
    try:
        found = printed(spice_text(top, gates, x))
    except subprocess.CalledProcessError:
        if body != "floating":
            raise
        return {"no state": 1, "floating volts": 0.0, "edges": top.n_edges}  # ngspice does not always find one
    error = float(np.abs(ours - [found[top.names[n]] for n in top.outputs]).max())
    return {"floating volts" if body == "floating" else "volts": error, "edges": top.n_edges}


def trial(case: str, rng: np.random.Generator) -> Mapping[str, float]:
    """Return the errors of one trial."""
    nothing = dict.fromkeys(CAMPAIGN.columns, 0.0)
    kind, _, body = case.partition(", body at ")
    if kind == "currents":
        return nothing | _currents(body, rng)
    if kind == "grids":
        return nothing | _grid(body, rng)
    return nothing | {"gradient": gradient_error(*mixed(rng), rng)}


CAMPAIGN = Campaign(
    "transistors",
    trial,
    [*(f"{kind}, body at {body}" for kind in ("currents", "grids") for body in BODIES), "gradient"],
    {
        "currents": at_most(1e-9),
        "no state": shown(),
        "volts": at_most(1e-9),
        "floating volts": at_most(1e-5),
        "edges": shown(),
        "gradient": at_most(1e-6),
    },
    40,
)

if __name__ == "__main__":
    CAMPAIGN.main()
