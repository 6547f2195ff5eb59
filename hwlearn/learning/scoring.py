"""Scores of output voltages against their targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hwlearn.arrays import FloatArray, IntArray

if TYPE_CHECKING:  # slow to import, and not needed to read a score
    from hwlearn.learning.costs import Cost


@dataclass(frozen=True)
class Score:
    """Score of outputs against their targets.

    Attributes
    ----------
    cost : float
        Mean cost.
    accuracy : float or None
        Fraction of samples whose largest score is that of their class; None without classes. A score is the
        voltage of an output, or the difference of two; see `Cost.scored`.
    rms_error_V : float or None
        Root mean square of score minus target in volts, read noise included; None without target volts.
    """

    cost: float
    accuracy: float | None = None
    rms_error_V: float | None = None

    def __str__(self) -> str:
        if self.accuracy is not None:
            return f"accuracy {100 * self.accuracy:.1f} %"
        return (
            f"cost {self.cost:.4g}" if self.rms_error_V is None else f"rms error {1e3 * self.rms_error_V:.3f} mV"
        )

    @property
    def merit(self) -> float:
        """Number by which the best epoch is chosen; larger is better: accuracy first, then cost."""
        return -self.cost if self.accuracy is None else self.accuracy - 1e-9 * self.cost


def score_outputs(
    cost: Cost, outputs: FloatArray, targets: FloatArray | IntArray, classes: FloatArray | IntArray | None = None
) -> Score:
    """Score outputs without a network.

    Parameters
    ----------
    cost : Cost
    outputs : ndarray, shape (S, n_out)
        Measured or computed volts.
    targets : ndarray
        As `Cost.checked_targets` returns them: class numbers (S,) or volts (S, n_scored).
    classes : ndarray of int, shape (S,), optional
        Class numbers if the targets are volts made from classes; then the score has an accuracy as well.
    """
    mean, scored = float(cost.values(outputs, targets).mean()), cost.scored(outputs)
    if cost.classifies:
        return Score(mean, accuracy=_accuracy(scored, targets))
    rms = float(np.sqrt(((scored - targets) ** 2).mean()))
    return Score(mean, None if classes is None else _accuracy(scored, classes), rms)


def _accuracy(scored: FloatArray, classes: FloatArray | IntArray) -> float:
    return float((scored.argmax(axis=1) == classes).mean())
