"""`PulsePlan`: how much to measure of each device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from hwlearn.errors import SetupError

COARSE_STEPS: Final = 10
"""Amplitudes of the first search for a threshold."""

HALVINGS: Final = 3
"""Bisections of the interval that the first search finds."""

WINDOW: Final = 5
"""Amplitudes about the threshold at which the final pulses are applied."""

MOST_TO_END: Final = 20
"""Most pulses to bring a device to an end of its range for the first time."""

MOST_TO_PREPARE: Final = 4
"""Most pulses to bring a device back to an end of its range."""


@dataclass(frozen=True)
class PulsePlan:
    """Number and size of the measurements of each device.

    Attributes
    ----------
    readings : int
        Readings averaged after each pulse.
    share : float
        Change caused by one pulse at the threshold, relative to the logarithmic range between RESET and SET.
    repeats : int
        Pulses at each amplitude about the threshold.
    curve_pulses : int
        Equal pulses of each response curve.
    disturb_readings : int
        Readings for the measurement of read disturb.
    retention_s : float
        How long the devices are read after a SET, in seconds.

    Raises
    ------
    SetupError
        If a value is out of range.
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
        """Upper bound of the pulses that one device gets."""
        trials = COARSE_STEPS + HALVINGS + WINDOW * self.repeats
        curves = 4 * (MOST_TO_PREPARE + self.curve_pulses)
        return 2 * (MOST_TO_END + trials * (MOST_TO_PREPARE + 1) + curves + MOST_TO_PREPARE)
