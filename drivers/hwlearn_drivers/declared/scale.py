"""`Scale`: volts as a protocol writes them: volts, millivolts, or codes with gain and offset."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.errors import SetupError
from hwlearn.units import ROUNDING
from hwlearn_drivers.declared.template import UNITS, Field


@dataclass(frozen=True, slots=True)
class Scale:
    """Numbers on the wire: ``volts = offset_V + gain_V * number``.

    Attributes
    ----------
    gain_V : float
        Volts of one unit of the number, not zero.
    offset_V : float
        Volts at the number zero.
    step : float
        Smallest change of the number; 0 if it is continuous.
    low, high : float
        Smallest and largest number.
    """

    gain_V: float
    offset_V: float
    step: float
    low: float
    high: float

    @classmethod
    @lru_cache(1024)
    def of(
        cls,
        field: Field,
        bounds_V: tuple[float, float],
        step_V: float | None,
        codes: tuple[float, float, int] | None,
    ) -> Scale:
        """Return the scale of a field.

        Parameters
        ----------
        field : Field
        bounds_V : (float, float)
            Lowest and highest voltage.
        step_V : float or None
            Step of the converter, if it is known.
        codes : (float, float, int) or None
            Volts per code, volts at code 0, and number of codes; for the field ``code``.

        Raises
        ------
        SetupError
            If a code has no gain, or a voltage has one.
        """
        low_V, high_V = bounds_V
        if field.name == "code":
            if codes is None:
                raise SetupError('{code} needs codes = { gain = "1 mV", offset = "0 V", count = 4096 }')
            gain_V, offset_V, count = codes
            ends = sorted(((low_V - offset_V) / gain_V, (high_V - offset_V) / gain_V))
            low, high = max(0, math.ceil(ends[0] - 1e-6)), min(count - 1, math.floor(ends[1] + 1e-6))
            if low > high:
                raise SetupError("no code lies within range; correct range, or gain and offset of codes")
            return cls(gain_V, offset_V, 1.0, low, high)
        if codes is not None:
            raise SetupError(f"codes are given, but the field is {{{field.name}}}; use {{code}}")
        unit = UNITS[field.name]
        text = 0.0 if field.decimals is None else 10.0**-field.decimals
        return cls(unit, 0.0, max(text, 0.0 if step_V is None else step_V / unit), low_V / unit, high_V / unit)

    @property
    def step_V(self) -> float | None:
        """Step in volts; None if it is continuous or unknown."""
        return abs(self.gain_V) * self.step or None

    @property
    def range_V(self) -> tuple[float, float]:
        """Lowest and highest voltage."""
        low, high = sorted((self.volts(self.low), self.volts(self.high)))
        return float(low), float(high)

    def volts(self, number: float) -> float:
        """Return the volts of a number."""
        return self.offset_V + self.gain_V * number

    def all_volts(self, numbers: FloatArray) -> FloatArray:
        """Return the volts of numbers."""
        return np.asarray(self.offset_V + self.gain_V * numbers)

    def number(self, volts: float, most_V: float = math.inf) -> float:
        """Return the number nearest to a voltage, whose volts do not exceed ``most_V`` in magnitude.

        A number that rounding carries beyond the limit is moved one step towards 0 V.
        """
        exact = (volts - self.offset_V) / self.gain_V
        if not self.step:
            return exact
        number = round(exact / self.step) * self.step
        if not self.low <= number <= self.high:
            number = min(max(number, self.low), self.high)
        if abs(self.volts(number)) > most_V * (1 + ROUNDING):
            number -= math.copysign(self.step, self.volts(number) * self.gain_V)
        return number
