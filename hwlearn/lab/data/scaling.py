"""Scaling of targets: from the user's own unit to output volts, and back for reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.errors import DataError


@dataclass(frozen=True, slots=True)
class OutputScale:
    """Linear scale between numbers in the user's unit and output volts.

    Parameters
    ----------
    low, high : float
        Two different numbers in the user's unit.
    low_V, high_V : float
        The volts that stand for them.
    unit : str
        Name of the unit in reports; may be empty.

    Raises
    ------
    DataError
        If the two numbers, or the two voltages, are equal.

    Examples
    --------
    >>> scale = OutputScale(0.0, 200.0, -0.1, 0.1, "kW")
    >>> scale.volts(np.array([50.0])).tolist(), scale.error(0.001)
    ([-0.05], 1.0)
    """

    low: float
    high: float
    low_V: float
    high_V: float
    unit: str

    def __post_init__(self) -> None:
        if self.low == self.high or self.low_V == self.high_V:
            raise DataError(
                f"data.target_scaling maps {self.low:g} and {self.high:g} to {self.low_V:g} V and "
                f"{self.high_V:g} V; give two different numbers and two different voltages"
            )

    @classmethod
    def of(
        cls, pair: Sequence[float] | None, volts: Sequence[float], unit: str, targets: FloatArray
    ) -> OutputScale:
        """Return a scale; without a pair of numbers, the extremes of the targets are its ends."""
        low, high = (float(targets.min()), float(targets.max())) if pair is None else pair
        return cls(low, high, volts[0], volts[1], unit)

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any] | None) -> OutputScale | None:
        """Return the scale that `facts` describe; None for None."""
        return None if facts is None else cls(**facts)

    def facts(self) -> dict[str, Any]:
        """Return the fields, for a run."""
        return asdict(self)

    def volts(self, values: FloatArray) -> FloatArray:
        """Return the volts of numbers in the user's unit."""
        share = (values - self.low) / (self.high - self.low)
        return np.asarray(self.low_V + share * (self.high_V - self.low_V))

    def numbers(self, volts: FloatArray) -> FloatArray:
        """Return the numbers in the user's unit of volts."""
        share = (volts - self.low_V) / (self.high_V - self.low_V)
        return np.asarray(self.low + share * (self.high - self.low))

    def error(self, volts: float) -> float:
        """Return an error in volts, without sign, in the user's unit."""
        return abs(volts * (self.high - self.low) / (self.high_V - self.low_V))

    def error_text(self, volts: float) -> str:
        """Return an error in volts as text in the user's unit, such as ``"1.23 kW"``."""
        return f"{self.error(volts):.4g} {self.unit}".rstrip()

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.low:g} to {self.high:g}{unit} as {1e3 * self.low_V:g} to {1e3 * self.high_V:g} mV"
