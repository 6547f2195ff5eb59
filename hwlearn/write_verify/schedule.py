"""`PulseSchedule`: how amplitude and width of programming pulses rise together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from hwlearn.device_access.limits import PulseLimits
from hwlearn.errors import SetupError

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class PulseSchedule:
    """The pulses that write-verify may use, from the weakest (strength 0) to the strongest (strength 1).

    Parameters
    ----------
    set_voltage, reset_voltage : (float, float)
        Magnitudes in volts at strength 0 and 1, linear between. Equal ends make a schedule of widths alone.
    width : (float, float)
        Seconds at strength 0 and 1, geometric between. Equal ends make a schedule of amplitudes alone, as
        incremental step pulse programming has it.
    step : float
        By how much strength rises from one pulse to the next while the device does not answer.

    Notes
    -----
    In an array without selectors, devices that answer a little to half a pulse are disturbed least by large
    amplitudes and short widths: half of a smaller amplitude does relatively more.

    Raises
    ------
    SetupError
        If a span is not positive and rising, or the step is not between 0 and 1.

    Examples
    --------
    >>> PulseSchedule(set_voltage=(0.5, 1.5), reset_voltage=(0.5, 1.5), width=(1e-6, 1e-6)).pulse(False, 0.5)
    (-1.0, 1e-06)
    """

    set_voltage: Span
    reset_voltage: Span
    width: Span
    step: float = 0.08

    def __post_init__(self) -> None:
        for name in ("set_voltage", "reset_voltage", "width"):
            low, high = getattr(self, name)
            if not (math.isfinite(high) and 0 < low <= high):
                raise SetupError(
                    f"{name} of a pulse schedule is [{low}, {high}]; it must be two positive values, rising"
                )
        if not 0 < self.step <= 1:
            raise SetupError(f"step of a pulse schedule is {self.step}; it must be above 0 and at most 1")

    @classmethod
    def within(cls, limits: PulseLimits, start: float = 0.3) -> Self:
        """Return the schedule that ends at the limits and starts at a fraction of the voltage limit."""
        volts = (start * limits.voltage, limits.voltage)
        return cls(volts, volts, limits.width)

    def pulse(self, up: bool, strength: float) -> tuple[float, float]:
        """Return amplitude in volts (positive to SET) and width in seconds at a strength from 0 to 1."""
        low, high = self.set_voltage if up else self.reset_voltage
        amplitude = min(max(low + strength * (high - low), low), high)
        short, long = self.width
        width = min(max(short * (long / short) ** strength, short), long)
        return (amplitude if up else -amplitude), width

    def check(self, limits: PulseLimits) -> None:
        """Refuse a schedule of which any pulse leaves the limits.

        Raises
        ------
        LimitError
            If so.
        """
        for up in (True, False):
            for strength in (0.0, 1.0):
                limits.check_pulse("the strongest pulse of the schedule", *self.pulse(up, strength), 0.0, 0)
