"""Growth of cost with size: processor seconds against edges, and the exponent of the best power law."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

import hwlearn as hl
from ratios.problems import WIRE_OHM, Crossbars, conductances

SHORTEST_S = 0.2  # minimum time for each size; the best run in it counts


@dataclass(frozen=True)
class Family:
    """A kind of circuit of any size, its solver, and the largest permitted exponent.

    ``make`` takes an approximate number of edges and returns the actual number and the task. ``by_numba`` states
    whether numba can affect the result.
    """

    key: str
    name: str
    most: float
    make: Callable[[int], tuple[int, Callable[[], object]]]
    by_numba: bool

    def costs(self, sizes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return edges and the best seconds of each size."""
        measured = [(edges, best_s(work)) for edges, work in map(self.make, sizes)]
        edges, seconds = np.array(measured).T
        return edges, seconds


def grid(edges: int) -> tuple[int, Callable[[], object]]:
    """Return a square lattice with one sample; each solution uses new conductances and a new factor."""
    side = round((1 + np.sqrt(1 + 2 * edges)) / 2)
    topology = hl.Topology.grid(side, side)
    rng = np.random.default_rng(side)
    sets = conductances(rng, (2, topology.n_edges))
    x = rng.uniform(-0.5, 0.5, (1, topology.n_inputs))
    calls = iter(range(1_000_000))
    return topology.n_edges, lambda: hl.Kirchhoff(topology, sets[next(calls) % 2]).solve(x)


def wired_crossbar(edges: int) -> tuple[int, Callable[[], object]]:
    """Return a square array with one vector; devices and wire segments are edges, conductances always new."""
    side = round(np.sqrt(edges / 3))
    problem = Crossbars.of(side, side, 1, 2)
    calls = iter(range(1_000_000))
    return (
        3 * side**2,
        lambda: hl.solve_crossbar(problem.conductances[next(calls) % 2], problem.volts, WIRE_OHM).column_currents,
    )


FAMILIES = (
    Family("grid", "grid, direct", 1.35, grid, by_numba=False),
    Family("crossbar", "crossbar with wires, iterative", 1.15, wired_crossbar, by_numba=True),
)


def best_s(work: Callable[[], object]) -> float:
    """Return the processor seconds (all cores) of the best run, after one run for warm-up.

    Wall-clock time would distort the curve on a busy machine.
    """
    work()
    best, began = np.inf, time.perf_counter()
    while time.perf_counter() - began < SHORTEST_S:
        at = time.process_time()
        work()
        best = min(best, time.process_time() - at)
    return best


def exponent(edges: np.ndarray, seconds: np.ndarray) -> float:
    """Return the slope of the least-squares line through the logarithms."""
    return float(np.polyfit(np.log(edges), np.log(seconds), 1)[0])
