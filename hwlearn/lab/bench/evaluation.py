"""Result of `Bench.evaluate`."""

from __future__ import annotations

from dataclasses import dataclass

from hwlearn.learning.scoring import Score


@dataclass(frozen=True)
class Evaluation:
    """Score of a network on the test rows, or on the training rows if there are no test rows.

    Attributes
    ----------
    measured : Score
        From readings, including their noise.
    true : Score or None
        From the true output voltages, which only a simulator knows.
    rows : int
        Number of samples scored.
    held_out : bool
        Whether the samples were held out of the training.
    """

    measured: Score
    true: Score | None
    rows: int
    held_out: bool
