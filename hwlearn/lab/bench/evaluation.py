"""Scores of a bench's outputs on its own rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.learning.costs import Cost
from hwlearn.learning.records import Score


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


def score_outputs(
    cost: Cost, outputs: FloatArray, targets: FloatArray | IntArray, classes: FloatArray | IntArray | None = None
) -> Score:
    """Return the score of output volts that are already known; nothing is measured.

    Parameters
    ----------
    cost : Cost
    outputs : ndarray, shape (S, n_out)
        Volts.
    targets : ndarray
        As the cost takes them: class numbers (S,), or volts (S, n_out).
    classes : ndarray, shape (S,), optional
        Class numbers, if the data has any: the score then has an accuracy, whatever the cost.
    """
    mean = float(cost.values(outputs, targets).mean())
    accuracy = None if classes is None else float((outputs.argmax(axis=1) == classes).mean())
    if cost.classifies:
        return Score(mean, accuracy)
    return Score(mean, accuracy, float(np.sqrt(((outputs - targets) ** 2).mean())))
