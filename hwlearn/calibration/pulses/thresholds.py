"""Estimate of the amplitude at which a pulse changes a device by a given share of its range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray

_LOG_CHANGE: Final = 0.7  # ln of the change at the ends of the window, relative to the share
_LEAST_CHANGE: Final = 0.05  # relative to the share; smaller changes count as this much


@dataclass(frozen=True)
class Trial:
    """One pulse: its magnitude in volts, and the change of the device as a share of its logarithmic range."""

    volts: float
    share: float


def window_about(trials: Sequence[Trial], share: float, volts: float, most: float, n: int) -> FloatArray:
    """Return n amplitudes about a threshold near ``volts``, at most ``most``.

    Parameters
    ----------
    trials : sequence of Trial
        Pulses so far, with changes both above and below the share.
    share : float
    volts, most : float
    n : int

    Returns
    -------
    ndarray, shape (n,)
        Amplitudes; the changes at both ends are about half and twice the share.
    """
    v, y = _logs(trials, share)
    near = np.abs(v - volts) <= np.sort(np.abs(v - volts))[min(3, len(v) - 1)]
    slope = float(np.polyfit(v[near], y[near], 1)[0]) if np.ptp(v[near]) > 0 else 0.0
    half = _LOG_CHANGE / slope if slope > 0 else 0.05 * most
    half = min(max(half, 0.002 * most), 0.15 * most, most - volts, 0.8 * volts)
    return volts + half * np.linspace(-1, 1, n)


def at_share(trials: Sequence[Trial], share: float) -> tuple[float, float] | None:
    """Return the amplitude in volts that changes a device by the share, and its uncertainty; None without one.

    Notes
    -----
    Least-squares fit of a parabola, ln(change / share) against amplitude. The uncertainty includes the residuals
    and, for the error of the parabola, half the distance to the crossing of a straight line.
    """
    v, y = _logs(trials, share)
    middle, half = 0.5 * (v.max() + v.min()), 0.5 * np.ptp(v)
    if half == 0:
        return None
    x = (v - middle) / half
    A = np.stack([np.ones_like(x), x, x**2], axis=1)
    inverse = np.linalg.inv(A.T @ A)
    c = inverse @ A.T @ y
    left = y - A @ c
    scatter = float(left @ left) / (len(y) - 3)
    line = np.polyfit(x, y, 1)
    if not line[0] > 0:
        return None
    straight = -line[1] / line[0]
    discriminant = c[1] ** 2 - 4 * c[2] * c[0]
    if not (discriminant > 0 and c[1] > 0):
        return None
    root = -2 * c[0] / (c[1] + math.sqrt(discriminant))
    slope = c[1] + 2 * c[2] * root
    if not (slope > 0 and abs(root) < 1.5):
        return None
    a = np.array([1.0, root, root**2])
    sigma = math.sqrt(scatter * float(a @ inverse @ a)) / slope
    return float(middle + half * root), float(half * math.hypot(sigma, 0.5 * (root - straight)))


def _logs(trials: Sequence[Trial], share: float) -> tuple[FloatArray, FloatArray]:
    moved = np.array([trial.share for trial in trials])
    return np.array([trial.volts for trial in trials]), np.log(np.maximum(moved / share, _LEAST_CHANGE))
