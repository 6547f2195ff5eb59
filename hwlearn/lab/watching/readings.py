"""The last readings of each training sample, within the last batches of a run."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.lab.runs.contents import RunContents
from hwlearn.lab.watching.definition import TrainingData

_MOST_BATCHES: Final = 200
_MOST_SAMPLES: Final = 1000
_SATURATED: Final = "_saturated"
"""Ending of the arrays that mark readings at an end of the converter's range."""


@dataclass(frozen=True, eq=False)
class SampleReading:
    """Last reading of one training sample.

    Attributes
    ----------
    row : int
        In the training set.
    step, epoch : int
    outputs : ndarray, shape (n_out,)
        Measured free outputs in volts.
    cost : float
    nodes : ndarray, shape (N,), or None
        Measured node volts; None if only outputs were read.
    skipped : bool
        Whether it contributed nothing to the gradient.
    saturated : int
        Readings of all phases at an end of the converter's range.
    """

    row: int
    step: int
    epoch: int
    outputs: FloatArray
    cost: float
    nodes: FloatArray | None
    skipped: bool
    saturated: int


@dataclass(frozen=True, eq=False)
class PredictedOutputs:
    """Measured outputs beside their targets, a row for each sample.

    Attributes
    ----------
    rows : ndarray of int, shape (S,)
        In the training set.
    scored : ndarray, shape (S, n_scored)
        Outputs in volts, or differences of output pairs.
    targets : ndarray
        Class numbers (S,) or volts (S, n_scored).
    classes : tuple of str
        Names of the classes; empty if the targets are volts.
    """

    rows: IntArray
    scored: FloatArray
    targets: FloatArray | IntArray
    classes: tuple[str, ...]

    def confusion(self) -> IntArray:
        """Return how many samples of each class (row) were taken for each class (column)."""
        count = self.scored.shape[1]
        table = np.zeros((count, count), dtype=np.int64)
        np.add.at(table, (np.asarray(self.targets, dtype=np.int64), self.scored.argmax(axis=1)), 1)
        return table


class RecentReadings:
    """The last reading of each sample, of the last batches: at most 200 batches and 1000 samples are kept."""

    def __init__(self) -> None:
        self._batches: dict[int, tuple[float, list[SampleReading]]] = {}
        self._kept = True

    @property
    def kept(self) -> bool:
        """Whether the run keeps the readings of its batches; see ``[run] keep``."""
        return self._kept

    def read(self, contents: RunContents, db: sqlite3.Connection) -> bool:
        """Read the batches that are new; return whether there were any.

        Raises
        ------
        RunError
            If a batch is damaged.
        """
        newest = db.execute("SELECT step, time FROM batches ORDER BY step DESC LIMIT 1").fetchone()
        if newest is None:
            self._batches.clear()
            return False
        last, when = int(newest[0]), float(newest[1])
        if last in self._batches and self._batches[last][0] == when:
            return False
        first = max((step for step in self._batches if step < last), default=-1) + 1
        self._batches = {step: batch for step, batch in self._batches.items() if step < first}
        samples = 0
        where = "WHERE step BETWEEN ? AND ? ORDER BY step DESC"
        for (step, epoch, at, *_), arrays in contents.rows("batches", where, first, last):
            self._kept = "samples" in arrays
            readings = _readings(int(step), int(epoch), arrays) if self._kept else []
            self._batches[int(step)] = (float(at), readings)
            samples += len(readings)
            if samples >= _MOST_SAMPLES or last - step + 1 >= _MOST_BATCHES:
                break
        self._forget()
        return True

    def _forget(self) -> None:
        """Drop the oldest batches."""
        samples, kept = 0, {}
        for step in sorted(self._batches, reverse=True)[:_MOST_BATCHES]:
            kept[step] = self._batches[step]
            samples += len(kept[step][1])
            if samples >= _MOST_SAMPLES:
                break
        self._batches = kept

    def by_row(self) -> dict[int, SampleReading]:
        """Return the last reading of each sample by its row in the training set, in order of the rows."""
        found: dict[int, SampleReading] = {}
        for step in sorted(self._batches):
            found |= {reading.row: reading for reading in self._batches[step][1]}
        return dict(sorted(found.items()))


def prediction(readings: Sequence[SampleReading], training: TrainingData) -> PredictedOutputs:
    """Return the outputs of some samples beside their targets."""
    rows = np.array([reading.row for reading in readings], dtype=np.int64)
    outputs = np.array([reading.outputs for reading in readings])
    of_data = training.data.train[rows]
    classes = training.data.classes
    targets = training.data.targets if classes else training.targets
    return PredictedOutputs(rows, training.cost.scored(outputs), targets[of_data], classes)


def _readings(step: int, epoch: int, arrays: dict[str, np.ndarray]) -> list[SampleReading]:
    count = len(arrays["samples"])
    nodes = arrays.get("free_nodes")
    strength = arrays.get("strength")
    skipped: BoolArray = np.zeros(count, dtype=bool) if strength is None else np.asarray(strength == 0)
    marks = [array for name, array in arrays.items() if name.endswith(_SATURATED)]
    return [
        SampleReading(
            int(arrays["samples"][k]),
            step,
            epoch,
            np.asarray(arrays["outputs"][k]),
            float(arrays["costs"][k]),
            None if nodes is None else np.asarray(nodes[k]),
            bool(skipped[k]),
            sum(int(np.sum(mark[k])) for mark in marks),
        )
        for k in range(count)
    ]
