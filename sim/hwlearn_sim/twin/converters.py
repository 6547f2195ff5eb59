"""Bipolar converters of a simulated bench, with gain error, offset, resolution and range."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray


@dataclass(frozen=True, eq=False, slots=True)
class ConverterBank:
    """A bank of converter channels with a common bipolar range.

    Attributes
    ----------
    gain, offset : ndarray, shape (channels,)
        Relative gain (1 is ideal) and offset in volts of each channel.
    bits : int or None
        Resolution; None means no quantisation.
    range_V : float
        Maximum absolute voltage.
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
        """Return a bank with random gain errors and offsets of given standard deviations."""
        # both are always drawn, so that one spread does not change the values of the other
        draws = rng.standard_normal((2, channels))
        return cls(1.0 + gain * draws[0], offset_V * draws[1], bits, range_V)

    @property
    def step(self) -> float:
        """Volts per code; zero without quantisation."""
        return 0.0 if self.bits is None else 2.0 * self.range_V / 2**self.bits

    def quantised(self, volts: FloatArray) -> FloatArray:
        """Round to the nearest code and clip to the range."""
        if math.isinf(self.range_V):
            return volts
        if self.bits is None:
            return np.clip(volts, -self.range_V, self.range_V)
        code = np.clip(np.rint(volts / self.step), -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1)
        return np.asarray(code * self.step)

    def output(self, setpoints: FloatArray) -> FloatArray:
        """Return the true output voltages (..., channels) of DACs at given setpoints; NaN stays NaN."""
        return self.quantised(setpoints) * self.gain + self.offset

    def reading(self, volts: FloatArray) -> FloatArray:
        """Return the ADC readings of true voltages (..., channels)."""
        return self.quantised(volts * self.gain + self.offset)

    def saturated(self, reading: FloatArray) -> BoolArray:
        """Return which readings are at the end of the range."""
        if math.isinf(self.range_V):
            return np.zeros(reading.shape, dtype=bool)
        return (reading <= -self.range_V) | (reading >= self.range_V - self.step)
