"""Time two programs in alternating turns, and compare their answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

Answer = tuple[np.ndarray, ...]
Work = Callable[[int], object]
Clock = Callable[[], float]

SHORTEST_TURN_S = 10e-3


@dataclass(frozen=True)
class Times:
    """Times of both sides, in seconds per call for each turn."""

    theirs: Sequence[float]
    ours: Sequence[float]

    @property
    def ratio(self) -> float:
        """Their best turn divided by our best turn."""
        return min(self.theirs) / min(self.ours)

    @property
    def median_ratio(self) -> float:
        """Median of the ratios of the turns."""
        return median(their / our for their, our in zip(self.theirs, self.ours, strict=True))


def in_turns(
    theirs: Work,
    ours: Work,
    rounds: int,
    their_own: Clock | None = None,
    clocks: tuple[Clock, Clock] = (time.perf_counter, time.perf_counter),
) -> Times:
    """Return the times of both sides in alternating turns; a short task is repeated, and the best call counts.

    Each side solves problem 0, 1, 2 and so on.

    Parameters
    ----------
    theirs, ours : callable
        Functions of the number of the problem.
    rounds : int
        Turns of each side.
    their_own : callable, optional
        Seconds that their last call reports; measured by the clock unless given.
    clocks : tuple of callable
        Clocks for their and our side: wall-clock or processor seconds. A busy machine increases only wall-clock
        time, but processor time does not show the gain by more cores.
    """
    taken: tuple[list[float], list[float]] = [], []
    count = [0, 0]
    for _ in range(rounds):
        for side, (work, clock) in enumerate(zip((theirs, ours), clocks, strict=True)):
            best, began = float("inf"), time.perf_counter()
            while True:
                at = clock()
                work(count[side])
                best = min(best, clock() - at)
                count[side] += 1
                if time.perf_counter() - began >= SHORTEST_TURN_S:
                    break
            taken[side].append(their_own() if their_own is not None and side == 0 else best)
    return Times(*taken)


def difference(answer: Answer, other: Answer) -> float:
    """Return the largest difference of two answers, relative to the largest value of each sample and array."""
    worst = []
    for a, b in zip(answer, other, strict=True):
        if a.shape != b.shape:
            raise ValueError(f"answers of shapes {a.shape} and {b.shape} cannot be compared")
        axes = tuple(range(1, a.ndim))
        worst.append((np.abs(a - b).max(axis=axes) / np.abs(b).max(axis=axes)).max())
    return float(np.max(worst))  # NaN if there is one anywhere
