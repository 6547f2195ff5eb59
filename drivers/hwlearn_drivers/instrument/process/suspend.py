"""How long the computer has been suspended, from two clocks of the system."""

from __future__ import annotations

import ctypes
import sys
import time

_CONTINUOUS, _AWAKE = "CLOCK_MONOTONIC", "CLOCK_UPTIME_RAW"  # of macOS: with and without the time asleep


def suspended_s() -> float:
    """Return the seconds that the computer was suspended since it started; 0 where the system does not say.

    Linux: ``CLOCK_BOOTTIME`` counts the time asleep, ``CLOCK_MONOTONIC`` does not (clock_gettime(2)). macOS:
    ``CLOCK_MONOTONIC`` counts it, ``CLOCK_UPTIME_RAW`` does not (clock_gettime(3)). Windows: ``GetTickCount64``
    counts it, ``QueryUnbiasedInterruptTime`` does not (Win32 API). Two values differ by less than the resolution
    of these clocks, at most 16 ms, if the computer was awake.
    """
    if sys.platform == "win32":
        kernel32 = ctypes.windll.kernel32
        kernel32.GetTickCount64.restype = ctypes.c_ulonglong
        awake = ctypes.c_ulonglong()
        kernel32.QueryUnbiasedInterruptTime(ctypes.byref(awake))
        return float(kernel32.GetTickCount64() / 1e3 - awake.value / 1e7)
    if sys.platform == "darwin":
        return time.clock_gettime(getattr(time, _CONTINUOUS)) - time.clock_gettime(getattr(time, _AWAKE))
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    return 0.0
