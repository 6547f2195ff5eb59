"""Steps of Newton's method for elements of three terminals: their length, and when a factor serves for two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.elements.three_terminal import Stamp
from hwlearn.circuit.nonreciprocal.equations import Factor

NEAR: Final = 1e-4
"""Relative to the largest voltage: after a step this short, the next one uses the same factor."""
CONTRACTION: Final = 1e-2
"""Largest ratio of successive steps with one factor."""
_LONGER: Final = 1.9


@dataclass(frozen=True, eq=False, slots=True)
class NewtonStep:
    """What a Newton step found: how far it moved each sample (S,), whether no part was linearised elsewhere."""

    moved: FloatArray
    is_true: BoolArray
    stamps: list[Stamp]
    factor: Factor


class StepPace:
    """Factor by which steps are lengthened where they halve from one to the next.

    They do so at a node whose transistors are at their threshold: the square law has a double zero there. A factor
    of 2 would reach it at once, and might go beyond it, where nothing conducts; a sample in which that happened
    is not lengthened again.
    """

    def __init__(self, samples: int) -> None:
        self._last = np.full(samples, np.inf)
        self._longer = np.zeros(samples, dtype=np.bool_)
        self._may = np.ones(samples, dtype=np.bool_)

    def factor(self, moved: FloatArray) -> FloatArray:
        """Return the factor (S,) for steps of these lengths (S,)."""
        self._may &= ~self._longer | (moved < self._last)
        ratio = moved / np.maximum(self._last, np.finfo(np.float64).tiny)
        self._longer = np.where(self._longer, (ratio > 0.01) & (ratio < 0.1), (ratio > 0.4) & (ratio < 0.6))
        self._longer &= self._may
        self._last = moved
        return np.where(self._longer, _LONGER, 1.0)

    def keep(self, rows: BoolArray) -> None:
        """Forget the other samples."""
        self._last, self._longer, self._may = self._last[rows], self._longer[rows], self._may[rows]


class KeptFactor:
    """The factor of the last step, while all samples are so close that it serves for the next one too."""

    def __init__(self) -> None:
        self.factor: Factor | None = None
        self._moved: FloatArray | None = None

    def after(self, step: NewtonStep, size: FloatArray) -> None:
        """Decide after a step whether its factor is used again, for largest voltages (S,)."""
        near = step.is_true & (step.moved <= NEAR * size)
        if self.factor is not None and self._moved is not None:
            near &= step.moved <= CONTRACTION * self._moved
        self.factor = step.factor if near.all() else None
        self._moved = step.moved

    def keep(self, rows: BoolArray) -> None:
        """Forget the other samples."""
        if self.factor is not None:
            self.factor = self.factor.of(rows)
        if self._moved is not None:
            self._moved = self._moved[rows]
