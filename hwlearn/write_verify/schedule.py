"""`PulseSchedule`: amplitude and width of programming pulses as a function of one strength."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from hwlearn.device_access.limits import PulseLimits
from hwlearn.errors import SetupError

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class PulseSchedule:
    """Pulses of write-verify, from the weakest (strength 0) to the strongest (strength 1).

    Parameters
    ----------
    set_voltage, reset_voltage : (float, float)
        Magnitudes in volts at strength 0 and 1, linear in between. Equal values vary the width only.
    width : (float, float)
        Seconds at strength 0 and 1, geometric in between. Equal values vary the amplitude only, as in incremental
        step pulse programming.
    step : float
        Increase of the strength from one pulse to the next while the device does not respond.

    Notes
    -----
    In an array without selectors, devices that respond slightly to half a pulse are disturbed least by large
    amplitudes and short widths: half of a smaller amplitude has a relatively larger effect.

    Raises
    ------
    SetupError
        If a range is not positive and rising, or the step is not between 0 and 1.

    Examples
    --------
    >>> PulseSchedule(set_voltage=(0.5, 1.5), reset_voltage=(0.5, 1.5), width=(1e-6, 1e-6)).pulse(False, 0.5)
    (-1.0, 1e-06)
    """

    set_voltage: Range
    reset_voltage: Range
    width: Range
    step: float = 0.08

    def __post_init__(self) -> None:
        for name in ("set_voltage", "reset_voltage", "width"):
            low, high = getattr(self, name)
            if not (math.isfinite(high) and 0 < low <= high):
                raise SetupError(
                    f"{name} of a pulse schedule is [{low}, {high}]; it must be two positive, rising values"
                )
        if not 0 < self.step <= 1:
            raise SetupError(f"step of a pulse schedule is {self.step}; it must be above 0 and at most 1")

    @classmethod
    def within(cls, limits: PulseLimits, start: float = 0.3) -> Self:
        """Return a schedule up to the limits that starts at a fraction of the voltage limit."""
        volts = (start * limits.voltage, limits.voltage)
        return cls(volts, volts, limits.width)

    def pulse(self, up: bool, strength: float) -> tuple[float, float]:
        """Return amplitude in volts (positive for SET) and width in seconds at a strength from 0 to 1."""
        low, high = self.set_voltage if up else self.reset_voltage
        amplitude = min(max(low + strength * (high - low), low), high)
        short, long = self.width
        width = min(max(short * (long / short) ** strength, short), long)
        return (amplitude if up else -amplitude), width

    def check(self, limits: PulseLimits) -> None:
        """Refuse the schedule if any of its pulses exceeds the limits.

        Raises
        ------
        LimitError
            If a pulse exceeds a limit.
        """
        for up in (True, False):
            for strength in (0.0, 1.0):
                limits.check_pulse("the strongest pulse of the schedule", *self.pulse(up, strength), 0.0, 0)
