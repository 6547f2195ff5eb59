"""What the codes of programmable edges mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.errors import SetupError


class CodeLaw(Protocol):
    """What a code means."""

    @property
    def positions(self) -> int:
        """Codes are 0 to positions - 1."""

    def siemens(self, codes: IntArray) -> FloatArray:
        """Return the nominal conductance at each code."""

    def nearest(self, siemens: ArrayLike) -> IntArray:
        """Return the code whose conductance lies nearest to each."""


@dataclass(frozen=True, slots=True)
class LinearLaw:
    """Conductance rises with the code in equal steps.

    Attributes
    ----------
    low, high : float
        Siemens at code 0 and at the last code.
    positions : int
        Number of codes.
    """

    low: float
    high: float
    positions: int = 256

    def __post_init__(self) -> None:
        _check_positions(self.positions)
        if not 0 <= self.low < self.high < np.inf:
            raise SetupError(f"an edge card from {self.low} S to {self.high} S: both must be given, rising")

    def siemens(self, codes: IntArray) -> FloatArray:
        """Return the nominal conductance at each code."""
        return np.asarray(self.low + (self.high - self.low) * codes / (self.positions - 1))

    def nearest(self, siemens: ArrayLike) -> IntArray:
        """Return the code whose conductance lies nearest to each."""
        exact = (np.asarray(siemens, dtype=np.float64) - self.low) * (self.positions - 1) / (self.high - self.low)
        return np.clip(np.rint(exact), 0, self.positions - 1).astype(np.int64)


@dataclass(frozen=True, slots=True)
class RheostatLaw:
    """Resistance rises with the code in equal steps, as of a digital potentiometer used as a rheostat.

    Attributes
    ----------
    full_ohm, wiper_ohm : float
        End to end, and in series with the wiper.
    positions : int
        Number of codes.
    """

    full_ohm: float = 100e3
    wiper_ohm: float = 100.0
    positions: int = 256

    def __post_init__(self) -> None:
        _check_positions(self.positions)
        if not (0 < self.full_ohm < np.inf and 0 < self.wiper_ohm < np.inf):
            raise SetupError("full_ohm and wiper_ohm of a rheostat must be positive")

    def siemens(self, codes: IntArray) -> FloatArray:
        """Return the nominal conductance at each code."""
        return np.asarray(1.0 / (self.wiper_ohm + self.full_ohm * codes / self.positions))

    def nearest(self, siemens: ArrayLike) -> IntArray:
        """Return the code whose conductance lies nearest to each."""
        wanted = np.asarray(siemens, dtype=np.float64)
        exact = (1.0 / wanted - self.wiper_ohm) * self.positions / self.full_ohm
        below = np.clip(np.floor(exact), 0, self.positions - 1).astype(np.int64)
        above = np.minimum(below + 1, self.positions - 1)
        nearer = np.abs(self.siemens(above) - wanted) < np.abs(self.siemens(below) - wanted)
        return np.where(nearer, above, below)


def _check_positions(positions: int) -> None:
    if not 2 <= positions <= 65536:
        raise SetupError(f"an edge card has {positions} positions; it must have 2 to 65536")
