"""Times of two programs that take turns, and how far their answers are apart."""

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
    """What each took in its turns, in seconds a call."""

    theirs: Sequence[float]
    ours: Sequence[float]

    @property
    def ratio(self) -> float:
        """Their best turn over our best one: how many times as fast we are."""
        return min(self.theirs) / min(self.ours)

    @property
    def median_ratio(self) -> float:
        """The median of the turns' own ratios."""
        return median(their / our for their, our in zip(self.theirs, self.ours, strict=True))


def in_turns(
    theirs: Work,
    ours: Work,
    rounds: int,
    their_own: Clock | None = None,
    clocks: tuple[Clock, Clock] = (time.perf_counter, time.perf_counter),
) -> Times:
    """Let both solve in turns; short work is repeated within its turn and the turn's best call counts.

    Each side is asked problem 0, 1, 2 and so on.

    Parameters
    ----------
    theirs, ours : callable
        Take the number of the problem.
    rounds : int
        Turns of each.
    their_own : callable, optional
        Seconds that their last call took by its own account; by the clock unless given.
    clocks : tuple of callable
        Theirs and ours: seconds on the wall, or of the processor. A busy machine slows the first alone, but the
        second does not see that more cores help.
    """
    taken: tuple[list[float], list[float]] = [], []
    asked = [0, 0]
    for _ in range(rounds):
        for side, (work, clock) in enumerate(zip((theirs, ours), clocks, strict=True)):
            best, began = float("inf"), time.perf_counter()
            while True:
                at = clock()
                work(asked[side])
                best = min(best, clock() - at)
                asked[side] += 1
                if time.perf_counter() - began >= SHORTEST_TURN_S:
                    break
            taken[side].append(their_own() if their_own is not None and side == 0 else best)
    return Times(*taken)


def difference(answer: Answer, other: Answer) -> float:
    """Return the largest difference of two answers relative to the sample's largest value, array by array."""
    worst = []
    for a, b in zip(answer, other, strict=True):
        if a.shape != b.shape:
            raise ValueError(f"answers of shapes {a.shape} and {b.shape} cannot be compared")
        axes = tuple(range(1, a.ndim))
        worst.append((np.abs(a - b).max(axis=axes) / np.abs(b).max(axis=axes)).max())
    return float(np.max(worst))  # NaN if there is one anywhere
