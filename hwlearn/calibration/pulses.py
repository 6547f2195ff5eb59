"""What pulses, readings and time do to single devices: thresholds, response, read disturb, retention."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.calibration.thresholds import Trial, at_share, window_about
from hwlearn.device_access import DeviceAccess
from hwlearn.errors import SetupError

_COARSE: Final = 10  # amplitudes on which a threshold is first looked for
_LEAST_AMPLITUDE: Final = 0.15  # of the voltage limit
_HALVINGS: Final = 3
_WINDOW: Final = 5  # amplitudes about the threshold
_MOST_TO_END: Final = 20  # pulses that lead a device to an end of its range
_MOST_TO_PREPARE: Final = 4
_MOVED: Final = 6.0  # standard errors
_RETENTION_TIMES: Final = 5  # over two decades


@dataclass(frozen=True)
class PulsePlan:
    """How much to measure of each device.

    Attributes
    ----------
    readings : int
        Averaged after each pulse.
    share : float
        Of the logarithmic span between RESET and SET: by so much one pulse at the threshold moves a device.
    repeats : int
        Pulses at each amplitude about the threshold.
    curve_pulses : int
        Equal pulses of each response curve.
    disturb_readings : int
        Readings from which read disturb is told.
    retention_s : float
        How long the devices are watched after a SET.

    Raises
    ------
    SetupError
        If a value makes no sense.
    """

    readings: int = 8
    share: float = 0.1
    repeats: int = 4
    curve_pulses: int = 12
    disturb_readings: int = 200
    retention_s: float = 10.0

    def __post_init__(self) -> None:
        for name, least in (("readings", 2), ("repeats", 2), ("curve_pulses", 1), ("disturb_readings", 3)):
            if getattr(self, name) < least:
                raise SetupError(f"{name} of a pulse plan is {getattr(self, name)}; it must be at least {least}")
        if not 0 < self.share < 0.5:
            raise SetupError(f"share of a pulse plan is {self.share}; it must lie between 0 and 0.5")
        if not (math.isfinite(self.retention_s) and self.retention_s > 0):
            raise SetupError(f"retention_s of a pulse plan is {self.retention_s}; it must be positive")

    @property
    def most_pulses(self) -> int:
        """The most pulses that any device can need."""
        trials = _COARSE + _HALVINGS + _WINDOW * self.repeats
        curves = 4 * (_MOST_TO_PREPARE + self.curve_pulses)
        return 2 * (_MOST_TO_END + trials * (_MOST_TO_PREPARE + 1) + curves + _MOST_TO_PREPARE)


@dataclass(frozen=True)
class Threshold:
    """Magnitude in volts at which one pulse moves a device by the plan's share, and its standard uncertainty."""

    volts: float
    sigma_V: float


@dataclass(frozen=True, eq=False)
class Curve:
    """Conductances (n + 1,) in siemens before and after n equal pulses, and their standard errors."""

    amplitude: float
    width: float
    conductance: FloatArray
    sigma: FloatArray


@dataclass(frozen=True)
class Trend:
    """A relative change and its standard uncertainty."""

    value: float
    sigma: float


@dataclass(frozen=True, eq=False)
class DevicePulses:
    """What was found of one device.

    Attributes
    ----------
    device : int
    low, high : float
        Siemens after RESET and SET pulses of full strength.
    read_noise : float
        Relative standard deviation of one reading, at RESET.
    set, reset : Threshold
    curves : tuple of Curve
    disturb : Trend
        Relative change of the conductance in 1000 readings, at RESET.
    retention : Trend
        Relative change in each decade of time after a SET.
    log : ndarray, shape (n, 4)
        Every pulse in order: number, amplitude, width, and the conductance read after it.
    """

    device: int
    low: float
    high: float
    read_noise: float
    set: Threshold
    reset: Threshold
    curves: tuple[Curve, ...]
    disturb: Trend
    retention: Trend
    log: FloatArray


@dataclass(frozen=True, eq=False)
class PulseFit:
    """What was found of a sample of devices.

    Attributes
    ----------
    devices : tuple of DevicePulses
        Those whose thresholds were found.
    silent : tuple of int
        Devices that did not answer pulses of full strength.
    beyond : tuple of int
        Devices that answer, but one of whose thresholds lies outside the limits.
    read_voltage, width_s : float
        At which was read; of the pulses that the thresholds are of.
    plan : PulsePlan
    """

    devices: tuple[DevicePulses, ...]
    silent: tuple[int, ...]
    beyond: tuple[int, ...]
    read_voltage: float
    width_s: float
    plan: PulsePlan


def measure_pulses(
    access: DeviceAccess,
    devices: Sequence[int] | IntArray,
    plan: PulsePlan | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PulseFit:
    """Measure how devices answer pulses, readings and time.

    Parameters
    ----------
    access : DeviceAccess
        The devices; its limits are never passed. They end SET.
    devices : sequence of int
        Which ones, each once.
    plan : PulsePlan, optional
    progress : callable, optional
        Told devices done, and of how many.

    Returns
    -------
    PulseFit

    Raises
    ------
    SetupError
        If no device is named, or the limit of pulses does not let a device have what the plan may need; nothing
        was applied.
    LimitError, DeviceError
        As reading and pulsing.

    Notes
    -----
    A threshold is operational, so that it exists for every kind of device: the amplitude at which one pulse of
    the widest width allowed, given to a device led to the other end of its range before, moves ``ln(g)`` by the
    plan's share of the span between RESET and SET. It is bracketed on a grid and by halving, then read from a
    parabola of ln(moved) against amplitude through repeated pulses about it; its uncertainty is from their scatter
    (read noise and cycle-to-cycle spread), and half of what the curvature makes.
    """
    wanted = PulsePlan() if plan is None else plan
    chosen = [int(k) for k in devices]
    if not chosen or len(set(chosen)) != len(chosen):
        raise SetupError("name at least one device to pulse, each once")
    for k in chosen:
        access.limits.check_read(access.edge_name(k), access.limits.read_voltage)
        left = access.limits.pulses - int(access.pulses[access.checked_edge(k)])
        if left < wanted.most_pulses:
            raise SetupError(
                f"{access.edge_name(k)} may have {left} pulses more, and up to {wanted.most_pulses} are needed; "
                "raise the pulse limit pulses, or measure less"
            )
    benches = [_Device(access, k, wanted) for k in chosen]
    silent, beyond, found = [], [], []
    for done, bench in enumerate(benches):
        if progress is not None:
            progress(done, len(benches))
        if not bench.find_range():
            silent.append(bench.k)
        elif bench.measure():
            found.append(bench)
        else:
            beyond.append(bench.k)
    _watch(access, found, wanted)
    if progress is not None:
        progress(len(benches), len(benches))
    return PulseFit(
        tuple(bench.result() for bench in found),
        tuple(silent),
        tuple(beyond),
        access.limits.read_voltage,
        access.limits.width[1],
        wanted,
    )


class _Device:
    """One device on the way."""

    def __init__(self, access: DeviceAccess, k: int, plan: PulsePlan) -> None:
        self.access, self.k, self.plan = access, k, plan
        self._limits = access.limits
        self._width = self._limits.width[1]
        self._log: list[tuple[float, float, float, float]] = []
        self._sigma = 0.0  # relative, of one reading
        self.ends: list[float] = [math.nan, math.nan]  # RESET, SET
        self.retention = Trend(math.nan, math.nan)

    # --- small things -------------------------------------------------------------------------------

    def read(self) -> tuple[float, float]:
        """Return the mean of some readings and its standard error."""
        values = self.access.readings(self.k, self._limits.read_voltage, self.plan.readings)
        return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))

    def pulse(self, amplitude: float, width: float) -> tuple[float, float]:
        """Give a pulse and read."""
        self.access.pulse(self.k, amplitude, width)
        mean, error = self.read()
        self._log.append((float(len(self._log)), amplitude, width, mean))
        return mean, error

    def allowed(self, amplitude: float) -> bool:
        return self.access.expected_current(self.k, amplitude) <= self._limits.current

    def full(self, up: bool) -> float:
        """Return the strongest amplitude that the current limit allows; NaN if hardly any."""
        amplitude = self._limits.voltage if up else -self._limits.voltage
        while not self.allowed(amplitude):
            amplitude *= 0.95
            if abs(amplitude) < _LEAST_AMPLITUDE * self._limits.voltage:
                return math.nan
        return amplitude

    # --- the ends -----------------------------------------------------------------------------------

    def find_range(self) -> bool:
        """Lead the device to both ends; return whether it moved at all."""
        before, error = self.read()
        self._log.append((float(len(self._log)), 0.0, self._width, before))
        self._sigma = error * math.sqrt(self.plan.readings) / max(abs(before), 1e-15)
        for up in (False, True):
            last, error = self.read()
            for _ in range(_MOST_TO_END):
                amplitude = self.full(up)
                if math.isnan(amplitude):
                    break
                now, new_error = self.pulse(amplitude, self._width)
                moved = abs(now - last)
                last, doubt, error = now, math.hypot(error, new_error), new_error
                if moved < max(3 * doubt, 0.002 * abs(now)):
                    break
            self.ends[up] = last
        low, high = self.ends
        return low > 0 and high - low > _MOVED * math.hypot(error, self._sigma * low)

    def _positive(self, siemens: float) -> float:
        """Return a reading, or a thousandth of the low end if it is less: noise may make it negative."""
        return max(siemens, 1e-3 * self.ends[0])

    @property
    def span(self) -> float:
        return math.log(self.ends[1] / self.ends[0])

    def prepare(self, up: bool) -> float:
        """Lead the device to an end; return the conductance there."""
        now, _ = self.read()
        for _ in range(_MOST_TO_PREPARE):
            if abs(math.log(self._positive(now) / self.ends[up])) < 0.2 * self.plan.share * self.span:
                break
            amplitude = self.full(up)
            if math.isnan(amplitude):
                break
            now, _ = self.pulse(amplitude, self._width)
        return now

    # --- thresholds ---------------------------------------------------------------------------------

    def trial(self, up: bool, volts: float) -> Trial | None:
        """Return what one pulse does to a device led to the other end; None if no such pulse is allowed."""
        before = self.prepare(not up)
        amplitude = volts if up else -volts
        if not self.allowed(amplitude) or volts > self._limits.voltage:
            return None
        after, _ = self.pulse(amplitude, self._width)
        ratio = self._positive(after) / self._positive(before)
        return Trial(volts, (1 if up else -1) * math.log(ratio) / self.span)

    def threshold(self, up: bool) -> Threshold | None:
        share, most = self.plan.share, self._limits.voltage
        trials: list[Trial] = []
        for volts in np.linspace(_LEAST_AMPLITUDE, 1.0, _COARSE) * most:
            trial = self.trial(up, float(volts))
            if trial is None:
                return None
            trials.append(trial)
            if trial.share > share:
                break
        if trials[-1].share <= share or len(trials) == 1:
            return None  # beyond the limit, or below what was looked at
        low, high = trials[-2].volts, trials[-1].volts
        for _ in range(_HALVINGS):
            trial = self.trial(up, 0.5 * (low + high))
            if trial is None:
                return None
            trials.append(trial)
            low, high = (low, trial.volts) if trial.share > share else (trial.volts, high)
        about = []
        for volts in window_about(trials, share, 0.5 * (low + high), most, _WINDOW):
            for _ in range(self.plan.repeats):
                trial = self.trial(up, float(volts))
                if trial is None:
                    return None
                about.append(trial)
        found = at_share(about, share)
        return None if found is None else Threshold(*found)

    # --- the whole ----------------------------------------------------------------------------------

    def measure(self) -> bool:
        """Measure everything but retention; return whether both thresholds lie within the limits."""
        self.prepare(False)
        self._disturb = self._read_disturb()
        up, down = self.threshold(True), self.threshold(False)
        if up is None or down is None:
            return False
        self._up, self._down = up, down
        self._curves = tuple(
            curve
            for way, at in ((True, up.volts), (False, down.volts))
            for volts in (at, 0.5 * (at + self._limits.voltage))
            for width in dict.fromkeys((max(self._limits.width[0], self._width / 10), self._width))
            if len((curve := self._curve(way, volts, width)).conductance) > 1
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
        value, sigma, scatter = _line(np.arange(n) / 1000, values)
        self._sigma = scatter / abs(float(values.mean()))
        return Trend(value, sigma)

    def result(self) -> DevicePulses:
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


def _watch(access: DeviceAccess, devices: Sequence[_Device], plan: PulsePlan) -> None:
    """SET all devices, and watch them for some time, all at once."""
    began = []
    for bench in devices:
        bench.prepare(True)
        began.append(access.now())
    decades: list[list[FloatArray]] = [[] for _ in devices]
    seen: list[list[FloatArray]] = [[] for _ in devices]
    last = 0.0
    for at in plan.retention_s * np.logspace(-2, 0, _RETENTION_TIMES) if devices else ():
        access.rest(float(at) - last)
        last = float(at)
        for i, bench in enumerate(devices):
            values = access.readings(bench.k, access.limits.read_voltage, 4 * plan.readings)
            age = max(access.now() - began[i], 1e-3 * plan.retention_s)
            decades[i].append(np.full(len(values), math.log10(age)))
            seen[i].append(values)
    for i, bench in enumerate(devices):
        value, sigma, _ = _line(np.concatenate(decades[i]), np.concatenate(seen[i]))
        bench.retention = Trend(value, sigma)


def _line(x: FloatArray, y: FloatArray) -> tuple[float, float, float]:
    """Return relative slope of y over x, its standard uncertainty, and the scatter about the line."""
    away = x - x.mean()
    slope = float(away @ y / (away @ away))
    left = y - y.mean() - slope * away
    scatter = math.sqrt(float(left @ left) / (len(y) - 2))
    level = abs(float(y.mean()))
    return slope / level, scatter / math.sqrt(float(away @ away)) / level, scatter
