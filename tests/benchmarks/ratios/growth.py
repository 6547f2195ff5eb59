"""How cost grows with size: seconds of processor time against edges, and the exponent of the best power law."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

import hwlearn as hl
from ratios.problems import WIRE_OHM, Crossbars, conductances

SHORTEST_S = 0.2  # what a size is given at least: the best of as many runs as fit


@dataclass(frozen=True)
class Family:
    """A kind of circuit of any size, how it is solved, and the largest exponent asked for.

    ``make`` takes about how many edges and returns how many there are and the work; ``by_numba`` tells whether
    numba can make a difference.
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
    """A square lattice, one sample: new conductances, a factor and a solution each time."""
    side = round((1 + np.sqrt(1 + 2 * edges)) / 2)
    topology = hl.Topology.grid(side, side)
    rng = np.random.default_rng(side)
    sets = conductances(rng, (2, topology.n_edges))
    x = rng.uniform(-0.5, 0.5, (1, topology.n_inputs))
    calls = iter(range(1_000_000))
    return topology.n_edges, lambda: hl.Kirchhoff(topology, sets[next(calls) % 2]).solve(x)


def wired_crossbar(edges: int) -> tuple[int, Callable[[], object]]:
    """A square array, one vector, new conductances each time; devices and wire segments are edges."""
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
    """Return the seconds of all cores' time that the best run takes, after one that makes plans.

    A machine that does something else at the time of the largest circuits would bend the curve by the wall clock.
    """
    work()
    best, began = np.inf, time.perf_counter()
    while time.perf_counter() - began < SHORTEST_S:
        at = time.process_time()
        work()
        best = min(best, time.process_time() - at)
    return best


def exponent(edges: np.ndarray, seconds: np.ndarray) -> float:
    """Return the slope of the straight line through the logarithms, least squares."""
    return float(np.polyfit(np.log(edges), np.log(seconds), 1)[0])
