"""`Arc2Pace`: settling time and uncertainty of the readings of an ArC TWO."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from hwlearn_drivers.arc2.library import AMPERE_STEP, VOLT_STEP

VOLTAGE_SIGMA: Final = VOLT_STEP / math.sqrt(12)
CURRENT_SIGMA: Final = AMPERE_STEP / math.sqrt(12)


@dataclass(frozen=True, slots=True)
class Arc2Pace:
    """Settings of the readings in every phase.

    Attributes
    ----------
    settle_s : float
        Wait in seconds after a change of levels, timed by the instrument.
    averaging : bool
        Whether the instrument averages voltage readings (320 us instead of 10).
    current_sign : 1 or -1
        Sign of the reading for a current that a channel delivers.
    voltage_sigma, current_sigma : float
        Specified standard uncertainty of a reading, in volts and amperes.
    """

    settle_s: float = 1e-3
    averaging: bool = True
    current_sign: Literal[1, -1] = 1
    voltage_sigma: float = VOLTAGE_SIGMA
    current_sigma: float = CURRENT_SIGMA
