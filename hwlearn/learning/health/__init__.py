"""Health of a gradient: whether an update is biased, seen without knowing the true gradient.

Each figure has a limit that follows from the stated error of the devices, the noise of the readings and the steps
of the converters. A figure beyond its limit is an alarm.
"""

from hwlearn.learning.health.figure import NOT_APPLICABLE, NOT_MEASURED, Figure
from hwlearn.learning.health.sample import SAMPLES as HEALTH_SAMPLES
from hwlearn.learning.health.settings import HealthSettings
from hwlearn.learning.health.warning import alarm_text, health_text
from hwlearn.learning.health.watch import HealthWatch

__all__ = [
    "HEALTH_SAMPLES",
    "NOT_APPLICABLE",
    "NOT_MEASURED",
    "Figure",
    "HealthSettings",
    "HealthWatch",
    "alarm_text",
    "health_text",
]
