"""At which amplitude a pulse moves a device by a given share, read from pulses that did more and less."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray

_FACTOR: Final = 0.7  # ln of how much more and less than the share the ends of the window move
_LEAST_SHARE: Final = 0.05  # of the share: what moved less counts as so much


@dataclass(frozen=True)
class Trial:
    """One pulse: its magnitude in volts, and the share of its span by which it moved a device."""

    volts: float
    share: float


def window_about(trials: Sequence[Trial], share: float, volts: float, most: float, n: int) -> FloatArray:
    """Return n amplitudes about a threshold that lies near ``volts``, up to ``most``.

    Parameters
    ----------
    trials : sequence of Trial
        Pulses so far, some of which moved more than the share and some less.
    share : float
    volts, most : float
    n : int

    Returns
    -------
    ndarray, shape (n,)
        So far apart that the ends move about twice and half the share.
    """
    v, y = _logs(trials, share)
    near = np.abs(v - volts) <= np.sort(np.abs(v - volts))[min(3, len(v) - 1)]
    slope = float(np.polyfit(v[near], y[near], 1)[0]) if np.ptp(v[near]) > 0 else 0.0
    half = _FACTOR / slope if slope > 0 else 0.05 * most
    half = min(max(half, 0.002 * most), 0.15 * most, most - volts, 0.8 * volts)
    return volts + half * np.linspace(-1, 1, n)


def at_share(trials: Sequence[Trial], share: float) -> tuple[float, float] | None:
    """Return the amplitude in volts that moves by the share, and its standard uncertainty; None if there is none.

    Notes
    -----
    Least squares of a parabola, ln(moved / share) against amplitude. The uncertainty is from the residuals, and,
    for what a parabola leaves out, half the distance to where a straight line crosses.
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
    return np.array([trial.volts for trial in trials]), np.log(np.maximum(moved / share, _LEAST_SHARE))
