"""Converters of a virtual DAQ device: codes, gain, offset, nonlinearity, noise; and the input multiplexer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn_sim.instruments.daq.models import NiProduct, Range

MULTIPLEXER_F: Final = 100e-12
"""Capacitance of the input amplifier behind the multiplexer (M Series: 100 pF)."""

CABLE_F: Final = 100e-12
"""Capacitance of about 1 m of cable at each input."""

INPUT_OHM: Final = 10e9
BIAS_A: Final = 100e-12
"""Input resistance and bias current (M Series specifications, "Input impedance", "Input bias current")."""


class OutputConverter:
    """A digital-to-analog converter with a range.

    Parameters
    ----------
    bits : int
    limits : (float, float)
        Ends of the range; the upper one is one step beyond the last code.
    gain, offset_V : float
        Its errors: 1 and 0 for none.
    """

    def __init__(self, bits: int, limits: Range, gain: float, offset_V: float) -> None:
        self._low, self._high, self._gain, self._offset_V = *limits, gain, offset_V
        self.step_V = (self._high - self._low) / 2.0**bits
        self._codes = 2**bits - 1

    def volts(self, wanted: float) -> float:
        """Return the voltage for a value: its nearest code, with the errors of the converter."""
        code = min(max(round((wanted - self._low) / self.step_V), 0), self._codes)
        return float((self._low + code * self.step_V) * self._gain + self._offset_V)


class InputConverter:
    """An analog-to-digital converter with a range.

    Parameters
    ----------
    model : NiProduct
    limits : (float, float)
        Nominal ends; codes reach beyond them by the over-range of the model.
    gain, offset_V : float
    """

    def __init__(self, model: NiProduct, limits: Range, gain: float, offset_V: float) -> None:
        self._gain, self._offset_V = gain, offset_V
        middle, half = (limits[0] + limits[1]) / 2, (limits[1] - limits[0]) / 2 * (1 + model.over_range)
        self._low, self._half = middle - half, half
        self._step = 2 * half / 2.0**model.input_bits
        self._codes = 2**model.input_bits - 1
        self._inl_V = model.inl * limits[1]
        self.noise_V = model.noise_V.get(limits[1], 0.0)

    def volts(self, true: FloatArray) -> FloatArray:
        """Return samples of voltages with noise; the nonlinearity is an S over the range, zero in the middle."""
        seen = true * self._gain + self._offset_V
        seen = seen + self._inl_V * np.sin(math.pi * (seen - self._low) / self._half)
        codes = np.clip(np.round((seen - self._low) / self._step), 0, self._codes)
        return np.asarray(self._low + codes * self._step)


def multiplexed(
    volts: Sequence[float], ohms: Sequence[float], seconds: float, kept_V: float, scans: int
) -> tuple[FloatArray, float]:
    """Return what a multiplexed converter sees in scans of channels, and the voltage that stays on it.

    When a channel is connected, the charge on the multiplexer is shared with the capacitance of its cable; the
    rest of the difference flows through the resistance of the source.

    Parameters
    ----------
    volts, ohms : sequence of float, length n
        Voltage of each channel without the multiplexer, and its resistance.
    seconds : float
        From the connection of a channel to its conversion.
    kept_V : float
        Voltage on the multiplexer before the first scan.
    scans : int

    Returns
    -------
    (ndarray (n, scans), float)
    """
    total = MULTIPLEXER_F + CABLE_F
    left = [MULTIPLEXER_F / total * math.exp(-seconds / (ohm * total)) if ohm > 0 else 0.0 for ohm in ohms]
    seen, now = np.empty((len(volts), scans)), kept_V
    for scan in range(scans):
        before = now
        for k, (own, share) in enumerate(zip(volts, left, strict=True)):
            now = own + (now - own) * share
            seen[k, scan] = now
        if scan and abs(now - before) <= 1e-15:  # every further scan is the same
            seen[:, scan:] = seen[:, scan : scan + 1]
            break
    return seen, now
