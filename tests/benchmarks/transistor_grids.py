"""Operating points of transistor grids, ours and ngspice's: ``python tests/benchmarks/transistor_grids.py``.

For grids of about 200, 1,800, 5,000 and 20,000 transistors it prints processor seconds, of one thread:

- ours: `Kirchhoff` made with other gate voltages and solved from a cold start, one sample; the best of several;
- batch: the same for 64 samples with one setting of the gates, for one of them;
- gradient: of the single sample, at its operating point;
- ngspice: ``op`` after ``alter`` of all inputs and all gates, from its own cold start, in the same process: the
  time of a process with several of them less that of a process with one, so that the netlist does not count.

Both sides have the published device with its body at ground, gates from 0.4 to 8 V and inputs from 0 to 1 V.
ngspice has its default tolerances (``--reltol`` sets others), ours are 1e-11. "residual" is the largest current
that is missing at a node of ours, "difference" the largest one between the voltages of the outputs.
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import hwlearn as hl
from hwlearn.circuit.spice.netlist import spice_text

sys.path.append(str(Path(__file__).parent.parent / "circuit"))
from transistor_circuits import DEVICE

SIDES = (11, 31, 50, 100)
REQUIRED = {220: 5.0, 1860: 30.0, 4900: 40.0}
"""Number of edges -> smallest ratio of one sample."""


def best(work: Callable[[], object], repeats: int) -> float:
    """Return the least processor time of several calls in seconds."""
    used = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        used.append(time.process_time() - start)
    return min(used)


def spent(netlist: str, points: list[list[str]]) -> tuple[float, dict[str, float]]:
    """Return the processor time of ngspice for a netlist and ``alter`` commands, and the last voltages."""
    control = ["op"]
    for commands in points:
        control += [*commands, "op"]
    nodes = re.findall(r"\.save v\((\S+)\)", netlist)
    control += ["set numdgt=12", *(f"print v({node})" for node in nodes), "quit"]
    body = re.sub(r"(?s)\.control.*?\.endc\n", "", netlist).replace(".op\n", "")
    text = body.replace("\n.end", "\n.control\n" + "\n".join(control) + "\n.endc\n.end")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "grid.cir").write_text(text, encoding="utf-8")
        done = subprocess.run(
            ["ngspice", "-b", "grid.cir"], cwd=folder, capture_output=True, text=True, check=True
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    volts = {name: float(value) for name, value in re.findall(r"^v\((\S+)\) = (\S+)$", done.stdout, re.MULTILINE)}
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, volts


def of_ngspice(
    top: hl.Topology, gates: np.ndarray, x: np.ndarray, points: int, reltol: float | None
) -> tuple[float, dict[str, float]]:
    """Return ngspice's processor time of one point, and its voltages for the last gates and the first inputs."""
    netlist = spice_text(top, gates[0], x[1])
    tolerances = "" if reltol is None else f" reltol={reltol:g}"
    netlist = re.sub(r"\.options reltol=\S+ vntol=\S+ abstol=\S+", f".options{tolerances}", netlist)

    def altered(k: int) -> list[str]:
        sources = [f"alter v{n} dc = {volts!r}" for n, volts in enumerate(x[k % 64].tolist())]
        return sources + [f"alter vg{n} dc = {volts!r}" for n, volts in enumerate(gates[k % len(gates)].tolist())]

    last = [altered(k) for k in range(points)]
    last[-1] = [f"alter v{n} dc = {volts!r}" for n, volts in enumerate(x[0].tolist())]
    last[-1] += [f"alter vg{n} dc = {volts!r}" for n, volts in enumerate(gates[-1].tolist())]
    alone, _ = spent(netlist, [])
    several, found = spent(netlist, last)
    return (several - alone) / points, found


def measure(side: int, repeats: int, points: int, reltol: float | None, plain: bool) -> tuple[float, float]:
    """Print the row of one grid; return the ratio of one sample, and the residual in amperes."""
    rng = np.random.default_rng(side)
    top = hl.Topology.grid(side, side, ground=0).with_elements(DEVICE)
    gates = rng.uniform(0.4, 8.0, (repeats + 1, top.n_edges))
    x = rng.uniform(0, 1, (64, top.n_inputs))
    e = rng.standard_normal((1, top.n_outputs))
    model = hl.Kirchhoff(top, gates[-1])
    if plain:
        model = model.with_history({})
    point = model.operating_point(x[:1])  # imports, compiled functions, and what is kept for a graph
    model.gradient_at(point.V, e)
    turns = iter(gates)
    one = best(lambda: model.with_conductances(next(turns)).operating_point(x[:1]), repeats)
    model.operating_point(x[:8])
    batch = best(lambda: model.with_conductances(gates[0]).operating_point(x), 1 if plain else 2) / len(x)
    gradient = best(lambda: model.gradient_at(point.V, e), 3)
    inner = np.setdiff1d(np.arange(top.n_nodes), top.driven)
    residual = np.abs(model.node_currents(point.V)[0, inner]).max()

    theirs = difference = np.nan
    if points:
        theirs, found = of_ngspice(top, gates, x, points, reltol)
        ours = point.V[0, top.outputs]
        difference = max((abs(found[top.names[n]] - ours[k]) for k, n in enumerate(top.outputs)), default=np.nan)
    required = REQUIRED.get(top.n_edges)
    asked = "" if required is None else f" (required {required:g})"
    print(
        f"{top.n_edges:6d} edges: ours {1e3 * one:7.1f} ms, batch {1e3 * batch:7.1f} ms, "
        f"gradient {1e3 * gradient:6.1f} ms, ngspice {1e3 * theirs:9.1f} ms, ratio {theirs / one:6.1f}{asked}, "
        f"in batches {theirs / batch:6.1f}; "
        f"residual {residual:.0e} A, difference {difference:.0e} V",
        flush=True,
    )
    return theirs / one, float(residual)


def main() -> None:
    """Run all grids."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--points", type=int, default=3, help="operating points of ngspice; 0 for none")
    parser.add_argument("--reltol", type=float, default=None, help="of ngspice; its default is 1e-3")
    parser.add_argument("--plain", action="store_true", help="without functions compiled by numba")
    asked = parser.parse_args()
    for side in asked.sides:
        measure(side, asked.repeats, asked.points, asked.reltol, asked.plain)


if __name__ == "__main__":
    main()
