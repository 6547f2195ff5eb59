"""Response of single devices to pulses, readings and time."""

from hwlearn.calibration.pulses.measure import measure_pulses
from hwlearn.calibration.pulses.plan import PulsePlan
from hwlearn.calibration.pulses.results import Curve, DevicePulses, PulseFit, Threshold, Trend

__all__ = ["Curve", "DevicePulses", "PulseFit", "PulsePlan", "Threshold", "Trend", "measure_pulses"]
