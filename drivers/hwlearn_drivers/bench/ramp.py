"""`ramp`: the steps in which the sources of a bench move together along a straight line."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn_drivers.instrument.pace import Pace


def ramp(
    start: FloatArray, levels: FloatArray, volts_per_unit: FloatArray, pace: Pace
) -> Iterator[tuple[FloatArray, bool]]:
    """Yield each step of a ramp, and whether it is the first or the last one; wait between two steps.

    If both ends are within the limits, every step is.

    Parameters
    ----------
    start, levels : ndarray, shape (n,)
        Present and new levels in volts or amperes.
    volts_per_unit : ndarray, shape (n,)
        Volts that correspond to one unit of each level.
    pace : Pace

    Yields
    ------
    (ndarray, bool)
        Nothing if no level changes.
    """
    change = levels - start
    if not change.any():
        return
    farthest = float(np.max(np.abs(change) * volts_per_unit))
    steps = max(1, math.ceil(farthest / pace.ramp_step_V - 1e-9))
    step_s = pace.ramp_step_V / pace.slew_V_per_s
    for step in range(1, steps + 1):
        due = time.monotonic() + step_s
        last = step == steps
        yield levels if last else start + change * (step / steps), last or step == 1
        if not last:
            time.sleep(max(0.0, due - time.monotonic()))
