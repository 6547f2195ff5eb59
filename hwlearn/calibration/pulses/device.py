"""`PulsedDevice`: pulses one device and measures its range, thresholds, response and read disturb."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from hwlearn.calibration.pulses.plan import (
    COARSE_STEPS,
    HALVINGS,
    MOST_TO_END,
    MOST_TO_PREPARE,
    WINDOW,
    PulsePlan,
)
from hwlearn.calibration.pulses.results import Curve, DevicePulses, Threshold, Trend, relative_slope
from hwlearn.calibration.pulses.thresholds import Trial, at_share, window_about
from hwlearn.device_access import DeviceAccess

_LEAST_AMPLITUDE: Final = 0.15  # relative to the voltage limit
_MOVED: Final = 6.0  # standard errors by which both ends of the range must differ


class PulsedDevice:
    """One device while it is measured.

    Parameters
    ----------
    access : DeviceAccess
    k : int
        Number of the device.
    plan : PulsePlan
    """

    def __init__(self, access: DeviceAccess, k: int, plan: PulsePlan) -> None:
        self.access: DeviceAccess = access
        self.k: int = k
        self.plan: PulsePlan = plan
        self._limits = access.limits
        self._width = self._limits.width[1]
        self._log: list[tuple[float, float, float, float]] = []
        self._sigma = 0.0  # relative, of one reading
        self.ends: list[float] = [math.nan, math.nan]  # RESET, SET
        self.retention: Trend = Trend(math.nan, math.nan)

    # --- reading and pulsing ------------------------------------------------------------------------

    def read(self) -> tuple[float, float]:
        """Return the mean of the plan's readings in siemens and its standard error."""
        values = self.access.readings(self.k, self._limits.read_voltage, self.plan.readings)
        return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))

    def pulse(self, amplitude: float, width: float) -> tuple[float, float]:
        """Apply a pulse and read; return the mean in siemens and its standard error."""
        self.access.pulse(self.k, amplitude, width)
        mean, error = self.read()
        self._log.append((float(len(self._log)), amplitude, width, mean))
        return mean, error

    def allowed(self, amplitude: float) -> bool:
        """Return whether the expected current of a pulse is within the limit; False if it is unknown."""
        return self.access.expected_current(self.k, amplitude) <= self._limits.current

    def full(self, up: bool) -> float:
        """Return the largest amplitude within the current limit; NaN if it is below 15 % of the voltage limit."""
        amplitude = self._limits.voltage if up else -self._limits.voltage
        while not self.allowed(amplitude):
            amplitude *= 0.95
            if abs(amplitude) < _LEAST_AMPLITUDE * self._limits.voltage:
                return math.nan
        return amplitude

    # --- range --------------------------------------------------------------------------------------

    def find_range(self) -> bool:
        """Bring the device to both ends of its range; return whether its conductance changed."""
        before, error = self.read()
        self._log.append((float(len(self._log)), 0.0, self._width, before))
        self._sigma = error * math.sqrt(self.plan.readings) / max(abs(before), 1e-15)
        for up in (False, True):
            last, error = self.read()
            for _ in range(MOST_TO_END):
                amplitude = self.full(up)
                if math.isnan(amplitude):
                    break
                now, new_error = self.pulse(amplitude, self._width)
                moved = abs(now - last)
                last, of_change, error = now, math.hypot(error, new_error), new_error
                if moved < max(3 * of_change, 0.002 * abs(now)):
                    break
            self.ends[up] = last
        low, high = self.ends
        return low > 0 and high - low > _MOVED * math.hypot(error, self._sigma * low)

    def _positive(self, siemens: float) -> float:
        """Return a reading, at least 0.1 % of the low end: noise may make it negative."""
        return max(siemens, 1e-3 * self.ends[0])

    @property
    def log_range(self) -> float:
        """Logarithm of the ratio of both ends of the range."""
        return math.log(self.ends[1] / self.ends[0])

    def prepare(self, up: bool) -> float:
        """Bring the device to an end of its range; return its conductance in siemens."""
        now, _ = self.read()
        for _ in range(MOST_TO_PREPARE):
            if abs(math.log(self._positive(now) / self.ends[up])) < 0.2 * self.plan.share * self.log_range:
                break
            amplitude = self.full(up)
            if math.isnan(amplitude):
                break
            now, _ = self.pulse(amplitude, self._width)
        return now

    # --- thresholds ---------------------------------------------------------------------------------

    def trial(self, up: bool, volts: float) -> Trial | None:
        """Set the device to the opposite end of its range, apply one pulse and return its effect.

        None if the limits do not allow the pulse."""
        before = self.prepare(not up)
        amplitude = volts if up else -volts
        if not self.allowed(amplitude) or volts > self._limits.voltage:
            return None
        after, _ = self.pulse(amplitude, self._width)
        ratio = self._positive(after) / self._positive(before)
        return Trial(volts, (1 if up else -1) * math.log(ratio) / self.log_range)

    def threshold(self, up: bool) -> Threshold | None:
        """Measure the SET (up) or RESET threshold; None if it is outside the limits."""
        share, most = self.plan.share, self._limits.voltage
        trials: list[Trial] = []
        for volts in np.linspace(_LEAST_AMPLITUDE, 1.0, COARSE_STEPS) * most:
            trial = self.trial(up, float(volts))
            if trial is None:
                return None
            trials.append(trial)
            if trial.share > share:
                break
        if trials[-1].share <= share or len(trials) == 1:
            return None  # above the limit, or below the search range
        low, high = trials[-2].volts, trials[-1].volts
        for _ in range(HALVINGS):
            trial = self.trial(up, 0.5 * (low + high))
            if trial is None:
                return None
            trials.append(trial)
            low, high = (low, trial.volts) if trial.share > share else (trial.volts, high)
        about = []
        for volts in window_about(trials, share, 0.5 * (low + high), most, WINDOW):
            for _ in range(self.plan.repeats):
                trial = self.trial(up, float(volts))
                if trial is None:
                    return None
                about.append(trial)
        found = at_share(about, share)
        return None if found is None else Threshold(*found)

    # --- everything ---------------------------------------------------------------------------------

    def measure(self) -> bool:
        """Measure everything except retention; return whether both thresholds are within the limits."""
        self.prepare(False)
        self._disturb = self._read_disturb()
        up, down = self.threshold(True), self.threshold(False)
        if up is None or down is None:
            return False
        self._up, self._down = up, down
        self._curves = tuple(
            curve
            for direction, at in ((True, up.volts), (False, down.volts))
            for volts in (at, 0.5 * (at + self._limits.voltage))
            for width in dict.fromkeys((max(self._limits.width[0], self._width / 10), self._width))
            if len((curve := self._curve(direction, volts, width)).conductance) > 1
        )
        return True

    def _curve(self, up: bool, volts: float, width: float) -> Curve:
        self.prepare(not up)
        points = [self.read()]
        amplitude = volts if up else -volts
        for _ in range(self.plan.curve_pulses):
            if not self.allowed(amplitude):
                break
            points.append(self.pulse(amplitude, width))
        values, errors = np.array(points).T
        return Curve(amplitude, width, values, errors)

    def _read_disturb(self) -> Trend:
        n = self.plan.disturb_readings
        values = self.access.readings(self.k, self._limits.read_voltage, n)
        value, sigma, scatter = relative_slope(np.arange(n) / 1000, values)
        self._sigma = scatter / abs(float(values.mean()))
        return Trend(value, sigma)

    def result(self) -> DevicePulses:
        """Return the results; call it after `measure` returned True and after the retention is set."""
        return DevicePulses(
            self.k,
            self.ends[0],
            self.ends[1],
            self._sigma,
            self._up,
            self._down,
            self._curves,
            self._disturb,
            self.retention,
            np.array(self._log),
        )
