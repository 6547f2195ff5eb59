"""Results of pulse measurements of single devices."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hwlearn.arrays import FloatArray
from hwlearn.calibration.pulses.plan import PulsePlan


@dataclass(frozen=True)
class Threshold:
    """Magnitude in volts at which one pulse changes a device by the plan's share, and its standard uncertainty."""

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
    """Results of one device.

    Attributes
    ----------
    device : int
    low, high : float
        Conductances in siemens after RESET and SET pulses of full strength.
    read_noise : float
        Relative standard deviation of one reading in the RESET state.
    set, reset : Threshold
    curves : tuple of Curve
    disturb : Trend
        Relative change of the conductance in 1000 readings in the RESET state.
    retention : Trend
        Relative change in each decade of time after a SET.
    log : ndarray, shape (n, 4)
        Every pulse in order: number, amplitude (V), width (s), and the conductance (S) read after it.
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
    """Results of a sample of devices.

    Attributes
    ----------
    devices : tuple of DevicePulses
        Devices with both thresholds within the limits.
    silent : tuple of int
        Devices without response to pulses of full strength.
    beyond : tuple of int
        Devices that respond, with a threshold outside the limits.
    read_voltage, width_s : float
        Voltage of the readings, and width of the pulses that define the thresholds.
    plan : PulsePlan
    """

    devices: tuple[DevicePulses, ...]
    silent: tuple[int, ...]
    beyond: tuple[int, ...]
    read_voltage: float
    width_s: float
    plan: PulsePlan


def relative_slope(x: FloatArray, y: FloatArray) -> tuple[float, float, float]:
    """Return the relative slope of y over x, its standard uncertainty, and the scatter about the fitted line."""
    away = x - x.mean()
    slope = float(away @ y / (away @ away))
    left = y - y.mean() - slope * away
    scatter = math.sqrt(float(left @ left) / (len(y) - 2))
    level = abs(float(y.mean()))
    return slope / level, scatter / math.sqrt(float(away @ away)) / level, scatter
