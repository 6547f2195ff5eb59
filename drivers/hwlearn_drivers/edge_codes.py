"""What the codes of an edge card mean: from conductance to the nearest code and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hwlearn.circuit.topology import FloatArray
from hwlearn.errors import SetupError

Codes = NDArray[np.uint16]


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
