"""`WriteSettings`: tolerance, pulses and read voltage of write-verify."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real

from hwlearn.device_access.limits import PulseLimits
from hwlearn.errors import SetupError
from hwlearn.write_verify.schedule import PulseSchedule


@dataclass(frozen=True, slots=True)
class WriteSettings:
    """Settings of write-verify.

    Attributes
    ----------
    tolerance : float
        Largest relative error of a device that has reached its target.
    most_pulses : int
        Maximum number of pulses for any one device towards its target.
    schedule : PulseSchedule, optional
        Pulses to use; by default up to the voltage limit, over the range of allowed widths.
    read_voltage : float, optional
        Read voltage in volts; by default the maximum that the limits allow.

    Raises
    ------
    SetupError
        If the tolerance or the number of pulses is invalid.
    """

    tolerance: float = 0.01
    most_pulses: int = 200
    schedule: PulseSchedule | None = None
    read_voltage: float | None = None

    def __post_init__(self) -> None:
        tolerance: object = self.tolerance
        if isinstance(tolerance, bool) or not isinstance(tolerance, Real) or not 0 < self.tolerance < 1:
            raise SetupError(f"tolerance is {tolerance!r}; it must be a number between 0 and 1")
        pulses: object = self.most_pulses
        if isinstance(pulses, bool) or not isinstance(pulses, Integral) or self.most_pulses < 1:
            raise SetupError(f"most_pulses is {pulses!r}; it must be a whole number of at least 1")

    def schedule_within(self, limits: PulseLimits) -> PulseSchedule:
        """Return the schedule after a check against the limits.

        Raises
        ------
        LimitError
            If a pulse of the schedule exceeds a limit.
        """
        schedule = PulseSchedule.within(limits) if self.schedule is None else self.schedule
        schedule.check(limits)
        return schedule

    def read_voltage_within(self, limits: PulseLimits) -> float:
        """Return the read voltage after a check against the limits.

        Raises
        ------
        LimitError
            If the read voltage exceeds its limit.
        """
        voltage = limits.read_voltage if self.read_voltage is None else self.read_voltage
        limits.check_read("every device", voltage)
        return voltage
