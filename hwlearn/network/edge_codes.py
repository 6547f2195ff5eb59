"""What the codes of an edge card mean: from conductance to the nearest code and back."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.errors import SetupError

Codes = NDArray[np.uint16]

_HAIR = 1e-6  # of a code; a limit computed to lie on a code must not lose it to rounding


class CodeLaw(Protocol):
    """Conductance as a monotonic function of a code."""

    def siemens(self, codes: Codes) -> FloatArray:
        """Return the conductance at each code."""

    def nearest(self, siemens: FloatArray) -> Codes:
        """Return the code whose conductance lies nearest to each target."""

    @property
    def span(self) -> tuple[float, float]:
        """The least and the most conductance, in siemens."""


@dataclass(frozen=True, slots=True)
class Rheostat:
    """A digital potentiometer between wiper and one end: its resistance rises with the code in equal steps.

    Attributes
    ----------
    full_ohm : float
        End to end.
    wiper_ohm : float
        In series with the wiper; all that is left at code 0.
    positions : int
        Codes are 0 to positions - 1.

    Raises
    ------
    SetupError
        If a value is not positive, or there are fewer than two positions.
    """

    full_ohm: float
    wiper_ohm: float
    positions: int = 256

    def __post_init__(self) -> None:
        for name in ("full_ohm", "wiper_ohm"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise SetupError(f"{name} of the edge card is {value}; it must be positive")
        _check_positions(self.positions)

    def siemens(self, codes: Codes) -> FloatArray:
        """Return the conductance at each code."""
        return np.asarray(1.0 / (self.wiper_ohm + self.full_ohm * codes.astype(np.float64) / self.positions))

    def nearest(self, siemens: FloatArray) -> Codes:
        """Return the code whose conductance lies nearest to each target."""
        exact = (1.0 / siemens - self.wiper_ohm) * self.positions / self.full_ohm
        below = np.clip(np.floor(exact), 0, self.positions - 1).astype(np.uint16)
        above = np.minimum(below + 1, self.positions - 1).astype(np.uint16)
        nearer = np.abs(self.siemens(above) - siemens) < np.abs(self.siemens(below) - siemens)
        return np.where(nearer, above, below)

    @property
    def span(self) -> tuple[float, float]:
        """The least and the most conductance, in siemens."""
        ends = self.siemens(np.array([self.positions - 1, 0], dtype=np.uint16))
        return float(ends[0]), float(ends[1])


@dataclass(frozen=True, eq=False, slots=True)
class Rheostats:
    """Potentiometers that were measured one by one: the law of `Rheostat` for each edge.

    Attributes
    ----------
    full_ohm, wiper_ohm : ndarray, shape (E,)
        End to end, and in series with the wiper.
    low, high : ndarray of int, shape (E,)
        Codes that each may take.
    positions : int

    Raises
    ------
    SetupError
        If a resistance is not positive, or codes are not rising within 0 to positions - 1.
    """

    full_ohm: FloatArray
    wiper_ohm: FloatArray
    low: IntArray
    high: IntArray
    positions: int = 256

    def __post_init__(self) -> None:
        _check_positions(self.positions)
        if not ((self.full_ohm > 0).all() and (self.wiper_ohm > 0).all()):
            raise SetupError("the resistances of an edge must be positive")
        if not ((self.low >= 0) & (self.low <= self.high) & (self.high < self.positions)).all():
            raise SetupError(f"the codes of an edge must rise within 0 to {self.positions - 1}")

    def siemens(self, codes: Codes) -> FloatArray:
        """Return the conductance at each code (E,)."""
        return np.asarray(1.0 / (self.wiper_ohm + self.full_ohm * codes.astype(np.float64) / self.positions))

    def nearest(self, siemens: FloatArray) -> Codes:
        """Return the code that each edge may take whose conductance lies nearest to its target."""
        below = np.clip(np.floor(self._exact(siemens)), self.low, self.high).astype(np.uint16)
        above = np.minimum(below + 1, self.high).astype(np.uint16)
        nearer = np.abs(self.siemens(above) - siemens) < np.abs(self.siemens(below) - siemens)
        return np.where(nearer, above, below)

    @property
    def span(self) -> tuple[float, float]:
        """The least and the most conductance that every edge can make, in siemens."""
        least, most = self.siemens(self.high.astype(np.uint16)), self.siemens(self.low.astype(np.uint16))
        return float(least.max()), float(most.min())

    def within(self, least: float, most: float) -> Rheostats:
        """Return the law with the codes alone whose conductances lie within least to most siemens.

        Raises
        ------
        SetupError
            If an edge has no such code.
        """
        size = np.ones(len(self.low))
        low = np.maximum(self.low, np.ceil(self._exact(most * size) - _HAIR).astype(np.int64))
        high = np.minimum(self.high, np.floor(self._exact(least * size) + _HAIR).astype(np.int64))
        empty = np.flatnonzero(low > high)
        if empty.size:
            raise SetupError(f"edge {empty[0]} has no code between {least:g} and {most:g} S; widen the range")
        return replace(self, low=low, high=high)

    def _exact(self, siemens: FloatArray) -> FloatArray:
        return np.asarray((1.0 / siemens - self.wiper_ohm) * self.positions / self.full_ohm)


@dataclass(frozen=True, slots=True)
class EvenSteps:
    """Conductance rises with the code in equal steps.

    Attributes
    ----------
    low, high : float
        Siemens at code 0 and at the last code.
    positions : int
        Codes are 0 to positions - 1.

    Raises
    ------
    SetupError
        If they do not rise from a positive value, or there are fewer than two positions.
    """

    low: float
    high: float
    positions: int = 256

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < math.inf:
            raise SetupError(f"the edge card goes from {self.low} to {self.high} S; it must rise, from above 0")
        _check_positions(self.positions)

    def siemens(self, codes: Codes) -> FloatArray:
        """Return the conductance at each code."""
        return np.asarray(self.low + (self.high - self.low) * codes.astype(np.float64) / (self.positions - 1))

    def nearest(self, siemens: FloatArray) -> Codes:
        """Return the code whose conductance lies nearest to each target."""
        exact = (siemens - self.low) * (self.positions - 1) / (self.high - self.low)
        return np.clip(np.rint(exact), 0, self.positions - 1).astype(np.uint16)

    @property
    def span(self) -> tuple[float, float]:
        """The least and the most conductance, in siemens."""
        return self.low, self.high


def _check_positions(positions: int) -> None:
    if not 2 <= positions <= 65536:
        raise SetupError(f"positions of the edge card is {positions}; it must lie in 2 to 65536")
