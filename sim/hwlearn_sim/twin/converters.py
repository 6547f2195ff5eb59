"""Bipolar converters of a simulated bench: gain, offset, resolution, range."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray


@dataclass(frozen=True, eq=False, slots=True)
class ConverterBank:
    """One bank of converter channels over plus and minus a range.

    Attributes
    ----------
    gain, offset : ndarray, shape (channels,)
        Relative gain (1 is ideal) and offset in volts of each channel.
    bits : int or None
        Resolution; None converts continuously.
    range_V : float
        Largest magnitude.
    """

    gain: FloatArray
    offset: FloatArray
    bits: int | None
    range_V: float

    @classmethod
    def drawn(
        cls,
        rng: np.random.Generator,
        channels: int,
        gain: float,
        offset_V: float,
        bits: int | None,
        range_V: float,
    ) -> ConverterBank:
        """Draw the channels' gain errors and offsets from their spreads."""
        # both are always drawn, so that one spread does not change the other's values
        draws = rng.standard_normal((2, channels))
        return cls(1.0 + gain * draws[0], offset_V * draws[1], bits, range_V)

    @property
    def step(self) -> float:
        """Volts per code; zero if continuous."""
        return 0.0 if self.bits is None else 2.0 * self.range_V / 2**self.bits

    def quantised(self, volts: FloatArray) -> FloatArray:
        """Round to the nearest code and stop at the ends of the range."""
        if math.isinf(self.range_V):
            return volts
        if self.bits is None:
            return np.clip(volts, -self.range_V, self.range_V)
        code = np.clip(np.rint(volts / self.step), -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1)
        return np.asarray(code * self.step)

    def output(self, asked: FloatArray) -> FloatArray:
        """Return the volts (..., channels) that come out of a DAC told ``asked``; NaN stays NaN."""
        return self.quantised(asked) * self.gain + self.offset

    def reading(self, volts: FloatArray) -> FloatArray:
        """Return what an ADC reads of ``volts`` (..., channels)."""
        return self.quantised(volts * self.gain + self.offset)

    def saturated(self, reading: FloatArray) -> BoolArray:
        """Tell which readings stand at the end of the range."""
        if math.isinf(self.range_V):
            return np.zeros(reading.shape, dtype=bool)
        return (reading <= -self.range_V) | (reading >= self.range_V - self.step)
