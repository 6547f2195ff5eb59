"""Cost of large graphs with CHOLMOD and with SuperLU: ``python tests/benchmarks/large_graphs.py``.

For each graph and library it prints processor seconds, of one thread unless OPENBLAS_NUM_THREADS is set:

- topology: the graph itself and its fingerprint, once;
- first: `Kirchhoff` made and solved, one sample, with everything that is kept for later circuits on the graph;
- re-solve: the same after all conductances have changed; the best of several;
- solve 8: eight samples more, with the same factor;
- gradient: of one sample, with the same factor;
- peak: memory of the process, of which 60 MB are Python and its libraries;
- error: estimated, relative to the largest voltage, and the difference to the other library.

Grids come first, with the exponents of the power laws through their times and what is required at a million edges:
``--sides`` are their sides, ``--graphs`` the other graphs. Each graph and library has a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from ratios.growth import exponent
from ratios.memory import peak_bytes

import hwlearn as hl
from hwlearn.errors import CircuitError

SIDES = (71, 126, 225, 398, 708)
REQUIRED = {"first": 3.5, "re-solve": 1.2}
MOST_EXPONENT = 1.25
LIBRARIES = ("cholmod", "superlu")

Figures = dict[str, float | str]


def lattice(side: int) -> hl.Topology:
    """Return a cubic lattice; one face is driven, and the last node is read."""
    node = np.arange(side**3).reshape(side, side, side)
    pairs = [(node[1:], node[:-1]), (node[:, 1:], node[:, :-1]), (node[:, :, 1:], node[:, :, :-1])]
    edges = np.concatenate([np.stack([b.ravel(), a.ravel()], axis=1) for a, b in pairs])
    return hl.Topology(side**3, edges, node[0].ravel(), [side**3 - 1])


def chain(nodes: int) -> hl.Topology:
    """Return a chain that is driven at both ends."""
    return hl.Topology(nodes, np.stack([np.arange(nodes - 1), np.arange(1, nodes)], axis=1), [0, nodes - 1], [1])


def star(leaves: int) -> hl.Topology:
    """Return a star; a thousand of its leaves are driven."""
    edges = np.stack([np.zeros(leaves, dtype=int), np.arange(1, leaves + 1)], axis=1)
    return hl.Topology(leaves + 1, edges, np.arange(1, 1001), [0])


def wired_grid(side: int) -> hl.Topology:
    """Return a grid in which every tenth edge is a wire of 1000 S."""
    grid = hl.Topology.grid(side, side)
    wire = np.arange(grid.n_edges) % 10 == 0
    return hl.Topology(
        grid.n_nodes,
        grid.edges[~wire],
        grid.inputs,
        grid.outputs,
        fixed_edges=grid.edges[wire],
        fixed_conductances=np.full(wire.sum(), 1e3),
    )


GRAPHS: dict[str, tuple[Callable[[], hl.Topology], tuple[float, float]]] = {
    "grid 316 x 316, conductances 1e-9 to 1e-1": (lambda: hl.Topology.grid(316, 316), (-9, -1)),
    "grid 316 x 316, every tenth edge a wire of 1000 S": (lambda: wired_grid(316), (-6, -4)),
    "lattice 30 x 30 x 30": (lambda: lattice(30), (-6, -4)),
    "lattice 70 x 70 x 70, 1.0 M edges": (lambda: lattice(70), (-6, -4)),
    "chain of 300 000": (lambda: chain(300_000), (-6, -4)),
    "star of a million": (lambda: star(1_000_000), (-6, -4)),
    "random, 10 000 nodes, 30 000 edges": (lambda: hl.Topology.random(10_000, 30_000, 5, 3), (-6, -4)),
    "random, 333 000 nodes, 1.0 M edges": (lambda: hl.Topology.random(333_000, 1_000_000, 5, 3), (-6, -4)),
}


def measured(topology: hl.Topology, decades: tuple[float, float], repeats: int) -> tuple[Figures, np.ndarray]:
    """Return the figures of a graph, and the node voltages of one sample."""
    rng = np.random.default_rng(topology.n_nodes)
    sets = 10 ** rng.uniform(*decades, (2, topology.n_edges))
    x, e = rng.uniform(-0.5, 0.5, (9, topology.n_inputs)), rng.normal(size=(1, topology.n_outputs))

    def seconds(work: Callable[[], object]) -> float:
        began = time.process_time()
        work()
        return time.process_time() - began

    found: Figures = {
        "edges": topology.n_edges,
        "first": seconds(lambda: hl.Kirchhoff(topology, sets[0]).solve(x[:1])),
    }
    k = hl.Kirchhoff(topology, sets[0])
    resolved = []
    for repeat in range(1, repeats + 1):
        k = k.with_conductances(sets[repeat % 2])
        resolved.append(seconds(lambda k=k: k.solve(x[:1])))
    found["re-solve"] = min(resolved)
    found["solve 8"] = seconds(lambda: k.solve(x[1:]))
    found["gradient"] = seconds(lambda: k.gradient(x[:1], e))
    found["peak"] = peak_bytes() / 1e6
    found["error"] = k.estimated_error()
    return found, k.solve(x[:1])


def alone(name: str, library: str, repeats: int) -> None:
    """Measure one graph in this process, print the figures as JSON, and store voltages in the working folder."""
    if library == "superlu":
        sys.modules["cvxopt"] = None  # type: ignore[assignment]  # makes its import fail
    warm = hl.Topology.grid(120, 120)
    hl.Kirchhoff(warm, np.ones(warm.n_edges)).solve(np.ones((1, warm.n_inputs)))  # imports do not count
    began = time.process_time()
    make, decades = GRAPHS[name] if name in GRAPHS else (lambda: hl.Topology.grid(int(name), int(name)), (-6, -4))
    topology = make()
    hash(topology)
    made = time.process_time() - began
    try:
        found, V = measured(topology, decades, repeats)
    except CircuitError as refused:
        print(json.dumps({"refused": str(refused)}))
        return
    np.save(f"{library}.npy", V)
    print(json.dumps({"topology": made, **found}))


def in_a_process(name: str, library: str, repeats: int, folder: str, limit_s: float) -> Figures:
    """Return the figures of `alone` in a process of its own."""
    command = [sys.executable, str(Path(__file__).resolve()), "--alone", name, library, "--repeats", str(repeats)]
    environment = {"OPENBLAS_NUM_THREADS": "1", **os.environ}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=limit_s
        )
    except subprocess.TimeoutExpired:
        return {"refused": f"stopped after {limit_s:g} s"}
    if done.returncode:
        return {"refused": f"failed: {(done.stderr.strip() or str(done.returncode)).splitlines()[-1]}"}
    result: Figures = json.loads(done.stdout.splitlines()[-1])
    return result


def compared(name: str, libraries: Sequence[str], repeats: int, limit_s: float) -> dict[str, Figures]:
    """Measure a graph with each library and print a line for each."""
    with tempfile.TemporaryDirectory() as folder:
        found = {library: in_a_process(name, library, repeats, folder, limit_s) for library in libraries}
        volts = [np.load(file) for file in sorted(Path(folder).glob("*.npy"))]
    apart = f"{np.abs(volts[0] - volts[1]).max() / np.abs(volts[0]).max():.0e}" if len(volts) == 2 else "-"
    for library, figures in found.items():
        if "refused" in figures:
            print(f"  {library:8} {figures['refused']}", flush=True)
            continue
        times = ("topology", "first", "re-solve", "solve 8", "gradient")
        shown = "  ".join(f"{kind} {float(figures[kind]):.3g} s" for kind in times)
        print(f"  {library:8} {shown}  peak {float(figures['peak']):.0f} MB  ", end="")
        print(f"error {float(figures['error']):.0e}  difference {apart}", flush=True)
    return found


def main() -> int:
    """Measure and print; the exit code is 1 if a requirement is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="*", default=SIDES, help="sides of grids (%(default)s)")
    parser.add_argument("--graphs", nargs="*", default=list(GRAPHS), help="parts of names of other graphs (all)")
    parser.add_argument("--libraries", nargs="+", choices=LIBRARIES, default=LIBRARIES)
    parser.add_argument("--repeats", type=int, default=3, help="re-solves of which the best counts (%(default)s)")
    parser.add_argument("--limit", type=float, default=600, help="most seconds of a process (%(default)s)")
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        alone(*options.alone, options.repeats)
        return 0
    grids: dict[int, dict[str, Figures]] = {}
    for side in options.sides:
        print(f"grid {side} x {side}, {2 * side * (side - 1)} edges")
        grids[side] = compared(str(side), options.libraries, options.repeats, options.limit)
    missed = 0
    for library in options.libraries if len(grids) > 1 else ():
        edges = np.array([float(found[library]["edges"]) for found in grids.values()])
        for kind, most in REQUIRED.items():
            seconds = np.array([float(found[library][kind]) for found in grids.values()])
            power = exponent(edges, seconds)
            wanted = f" (required <= {MOST_EXPONENT})" if library == "cholmod" else ""
            text = f"{library}: exponent of {kind} {power:.2f}{wanted}"
            missed += library == "cholmod" and power > MOST_EXPONENT
            if 708 in grids:
                at = float(grids[708][library][kind])
                text += f", {at:.2f} s at a million edges" + (f" (required <= {most} s)" if wanted else "")
                missed += library == "cholmod" and at > most
            print(text, flush=True)
    for name in GRAPHS:
        if any(part in name for part in options.graphs):
            print(name)
            compared(name, options.libraries, options.repeats, options.limit)
    return missed > 0


if __name__ == "__main__":
    sys.exit(main())
