"""`Pace`: slew rate, settle time and measurement uncertainty of a bench on source-measure units."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hwlearn.errors import SetupError


@dataclass(frozen=True, slots=True)
class Pace:
    """Slew rate, ramp step, settle time and measurement uncertainty.

    Attributes
    ----------
    slew_V_per_s : float
        Maximum slew rate of voltage sources. Current sources take the same time for their full range.
    ramp_step_V : float
        Maximum step of a ramp; smaller changes are made in one step.
    settle_s : float
        Wait between the last step and the reading.
    voltage_sigma, current_sigma : float
        Standard uncertainty of one reading, volts and amperes; 0 if it is not stated.
    noise_is_from_data_sheet : bool
        Whether ``voltage_sigma`` is the figure of a data sheet.

    Raises
    ------
    SetupError
        If a value is negative or not finite, or slew rate or step is zero.
    """

    slew_V_per_s: float = 10.0
    ramp_step_V: float = 0.05
    settle_s: float = 0.01
    voltage_sigma: float = 0.0
    current_sigma: float = 0.0
    noise_is_from_data_sheet: bool = False

    def __post_init__(self) -> None:
        for name in ("slew_V_per_s", "ramp_step_V", "settle_s", "voltage_sigma", "current_sigma"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0) or (
                value == 0 and name in ("slew_V_per_s", "ramp_step_V")
            ):
                raise SetupError(f"{name} is {value}; it must be positive and finite")
