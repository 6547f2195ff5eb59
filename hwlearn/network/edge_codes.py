"""Edge codes: conductance as a function of the integer code of a programmable edge, and the nearest code.

Drivers and simulators use the same laws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.errors import SetupError

Codes = NDArray[np.uint16]

_CODE_ROUNDING = 1e-6
"""Tolerance in codes for floating-point rounding when a limit is computed to lie on a code."""


class CodeLaw(Protocol):
    """Conductance, or another value of an edge, as a monotonic function of a code."""

    @property
    def unit(self) -> str:
        """Unit of the values: ``"S"``, or ``"V"`` of the gate voltages of transistors."""

    @property
    def positions(self) -> int:
        """Number of codes: they are 0 to positions - 1."""

    def siemens(self, codes: ArrayLike) -> FloatArray:
        """Return the nominal conductance of each code."""

    def nearest(self, siemens: ArrayLike) -> Codes:
        """Return the code whose conductance is nearest to each target."""

    @property
    def siemens_range(self) -> tuple[float, float]:
        """Minimum and maximum conductance in siemens."""


@dataclass(frozen=True, slots=True)
class Rheostat:
    """A digital potentiometer used between wiper and one end: ``R = code / positions * full_ohm + wiper_ohm``.

    Attributes
    ----------
    full_ohm : float
        End-to-end resistance in ohm. For a part whose last code connects the whole resistor,
        ``R = code / (positions - 1) * R_AB + R_W``, give ``R_AB * positions / (positions - 1)``.
    wiper_ohm : float
        Resistance of the wiper in ohm; the total resistance at code 0.
    positions : int
        Number of codes: they are 0 to positions - 1.

    Raises
    ------
    SetupError
        If a value is not positive, or there are fewer than two positions.

    Examples
    --------
    AD5204, 10 kohm version (Analog Devices, AD5204/AD5206 data sheet Rev. C, Table 7):

    >>> (1 / Rheostat(10e3, 45.0, 256).siemens([0, 1, 128, 255])).round().tolist()
    [45.0, 84.0, 5045.0, 10006.0]
    """

    full_ohm: float
    wiper_ohm: float
    positions: int = 256

    def __post_init__(self) -> None:
        for name in ("full_ohm", "wiper_ohm"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise SetupError(f"{name} of an edge is {value}; it must be positive and finite")
        _check_positions(self.positions)

    @property
    def unit(self) -> str:
        """Siemens."""
        return "S"

    def siemens(self, codes: ArrayLike) -> FloatArray:
        """Return the nominal conductance of each code."""
        return _rheostat_siemens(self, codes)

    def nearest(self, siemens: ArrayLike) -> Codes:
        """Return the code whose conductance is nearest to each target."""
        return _nearest_rheostat_code(self, siemens, 0, self.positions - 1)

    @property
    def siemens_range(self) -> tuple[float, float]:
        """Minimum and maximum conductance in siemens."""
        least, most = self.siemens([self.positions - 1, 0])
        return float(least), float(most)


@dataclass(frozen=True, eq=False, slots=True)
class Rheostats:
    """Digital potentiometers that were calibrated one by one: the law of `Rheostat` for each edge.

    Attributes
    ----------
    full_ohm, wiper_ohm : ndarray, shape (E,)
        End-to-end resistance and resistance of the wiper in ohm.
    low, high : ndarray of int, shape (E,)
        Lowest and highest code that each edge may take.
    positions : int
        Number of codes.

    Raises
    ------
    SetupError
        If a resistance is not positive, or a range of codes is empty or outside 0 to positions - 1.
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

    @property
    def unit(self) -> str:
        """Siemens."""
        return "S"

    def siemens(self, codes: ArrayLike) -> FloatArray:
        """Return the conductance of each code (E,)."""
        return _rheostat_siemens(self, codes)

    def nearest(self, siemens: ArrayLike) -> Codes:
        """Return for each edge the allowed code whose conductance is nearest to its target."""
        return _nearest_rheostat_code(self, siemens, self.low, self.high)

    @property
    def siemens_range(self) -> tuple[float, float]:
        """Minimum and maximum conductance that every edge can take, in siemens."""
        least, most = self.siemens(self.high), self.siemens(self.low)
        return float(least.max()), float(most.min())

    def within(self, least: float, most: float) -> Rheostats:
        """Return the law restricted to codes with conductances from ``least`` to ``most`` siemens.

        Raises
        ------
        SetupError
            If an edge has no such code.
        """
        size = np.ones(len(self.low))
        low = np.maximum(self.low, np.ceil(_exact_code(self, most * size) - _CODE_ROUNDING).astype(np.int64))
        high = np.minimum(self.high, np.floor(_exact_code(self, least * size) + _CODE_ROUNDING).astype(np.int64))
        empty = np.flatnonzero(low > high)
        if empty.size:
            raise SetupError(f"edge {empty[0]} has no code between {least:g} and {most:g} S; widen the range")
        return replace(self, low=low, high=high)


@dataclass(frozen=True, slots=True)
class EvenSteps:
    """Conductance, or gate voltage, that rises with the code in equal steps.

    Attributes
    ----------
    low, high : float
        Siemens at code 0 and at the last code; volts if that is the unit.
    positions : int
        Number of codes: they are 0 to positions - 1.
    unit : {"S", "V"}

    Raises
    ------
    SetupError
        If the conductances are not positive and rising, or there are fewer than two positions.
    """

    low: float
    high: float
    positions: int = 256
    unit: Literal["S", "V"] = "S"

    def __post_init__(self) -> None:
        if self.unit == "V" and not -math.inf < self.low < self.high < math.inf:
            raise SetupError(f"a gate goes from {self.low} to {self.high} V; both must be finite, rising")
        if self.unit == "S" and not 0 < self.low < self.high < math.inf:
            raise SetupError(f"an edge goes from {self.low} to {self.high} S; both must be positive, rising")
        _check_positions(self.positions)

    def siemens(self, codes: ArrayLike) -> FloatArray:
        """Return the nominal conductance of each code."""
        exact = np.asarray(codes, dtype=np.float64)
        return np.asarray(self.low + (self.high - self.low) * exact / (self.positions - 1))

    def nearest(self, siemens: ArrayLike) -> Codes:
        """Return the code whose conductance is nearest to each target."""
        targets = np.asarray(siemens, dtype=np.float64)
        exact = (targets - self.low) * (self.positions - 1) / (self.high - self.low)
        return np.clip(np.rint(exact), 0, self.positions - 1).astype(np.uint16)

    @property
    def siemens_range(self) -> tuple[float, float]:
        """Minimum and maximum conductance in siemens."""
        return self.low, self.high


def _rheostat_siemens(law: Rheostat | Rheostats, codes: ArrayLike) -> FloatArray:
    exact = np.asarray(codes, dtype=np.float64)
    return np.asarray(1.0 / (law.wiper_ohm + law.full_ohm * exact / law.positions))


def _exact_code(law: Rheostat | Rheostats, siemens: ArrayLike) -> FloatArray:
    """Return the codes that would make these conductances if codes were not whole numbers."""
    targets = np.asarray(siemens, dtype=np.float64)
    return np.asarray((1.0 / targets - law.wiper_ohm) * law.positions / law.full_ohm)


def _nearest_rheostat_code(
    law: Rheostat | Rheostats, siemens: ArrayLike, low: int | IntArray, high: int | IntArray
) -> Codes:
    targets = np.asarray(siemens, dtype=np.float64)
    below = np.clip(np.floor(_exact_code(law, targets)), low, high).astype(np.int64)
    above = np.minimum(below + 1, high)
    nearer = np.abs(law.siemens(above) - targets) < np.abs(law.siemens(below) - targets)
    return np.where(nearer, above, below).astype(np.uint16)


def _check_positions(positions: int) -> None:
    if not 2 <= positions <= 65536:
        raise SetupError(f"an edge has {positions} positions; the number must be 2 to 65536")
