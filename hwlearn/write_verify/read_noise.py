"""Read noise of devices, estimated from repeated readings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.device_access.access import DeviceAccess

_SIGNIFICANT = 2.0  # standard errors from which an absolute part counts as significant
_NOISY = 2.2  # the standard deviation of 8 readings exceeds this multiple of the true one with probability 2e-5


@dataclass(frozen=True, eq=False, slots=True)
class ReadNoise:
    """Standard deviation of one reading: ``noise_factor * hypot(absolute, relative * g)``.

    Attributes
    ----------
    absolute, relative : float
        Absolute part in siemens, and relative part as a fraction of the conductance; common to all devices.
    noise_factor : ndarray, shape (E,)
        1, or a larger factor for a device with significantly more noise than the others.
    """

    absolute: float
    relative: float
    noise_factor: FloatArray

    @classmethod
    def of(cls, readings: FloatArray) -> ReadNoise:
        """Return the estimate from n readings (n, E) without pulses in between.

        An absolute part is estimated only if devices with different conductances show it.
        """
        mean, variance = readings.mean(axis=0), readings.var(axis=0, ddof=1)
        a2, b2 = _two_parts(mean**2, variance, len(readings))
        typical = a2 + b2 * mean**2
        ratio = np.sqrt(np.divide(variance, typical, out=np.ones_like(typical), where=typical > 0))
        return cls(float(np.sqrt(a2)), float(np.sqrt(b2)), np.where(ratio > _NOISY, ratio, 1.0))

    def sigma(self, conductances: ArrayLike, edges: IntArray | slice = slice(None)) -> FloatArray:
        """Return the standard deviation in siemens of one reading of these edges at these conductances."""
        g = np.asarray(conductances, dtype=np.float64)
        # a change in the last bits of a noise-free reading is not a movement
        rounding = 1e-9 * np.abs(g) + 1e-18
        return np.maximum(self.noise_factor[edges] * np.hypot(self.absolute, self.relative * g), rounding)


def averaged(access: DeviceAccess, edges: IntArray, times: int, voltage: float) -> FloatArray:
    """Return the mean of ``times`` readings of each edge, in siemens."""
    if len(edges) > access.n_edges // 4:
        total = np.zeros(access.n_edges)
        for _ in range(times):
            total += access.read_all(voltage)
        return np.asarray(total[edges] / times)
    return np.array([np.mean([access.read(int(k), voltage) for _ in range(times)]) for k in edges])


def _two_parts(square: FloatArray, variance: FloatArray, readings: int) -> tuple[float, float]:
    """Fit variance = a2 + b2 square with non-negative a2 and b2, weighted by the variance of the variances."""
    a2, b2, observed = 0.0, 0.0, False
    wxx = wxy = 0.0
    # a few noisy devices must not raise the estimate for all
    kept = variance <= _NOISY**2 * max(float(np.median(variance / np.maximum(square, 1e-300))), 0.0) * square
    kept |= variance <= _NOISY**2 * float(np.median(variance))
    x, y = square[kept], variance[kept]
    if not len(y) or y.max() == 0:
        return 0.0, 0.0
    weight = np.ones_like(y)
    for _ in range(5):
        wx, wxx = np.sum(weight * x), np.sum(weight * x * x)
        w, wy, wxy = np.sum(weight), np.sum(weight * y), np.sum(weight * x * y)
        determinant = w * wxx - wx * wx
        if determinant > 1e-9 * w * wxx:
            a2, b2 = (wxx * wy - wx * wxy) / determinant, (w * wxy - wx * wy) / determinant
            # the relative standard error of a variance of n readings is sqrt(2 / (n - 1))
            observed = bool(a2 > _SIGNIFICANT * math.sqrt(2 / (readings - 1) * wxx / determinant))
        else:  # all devices have similar conductances: a relative part alone
            a2, b2, observed = 0.0, wxy / wxx if wxx > 0 else 0.0, False
        if a2 < 0 or b2 < 0:
            a2, b2 = (0.0, wxy / wxx) if a2 < 0 and wxx > 0 else (wy / w, 0.0)
        weight = 1.0 / np.maximum(a2 + b2 * x, 1e-3 * float(y.max())) ** 2
    if not observed and wxx > 0:
        return 0.0, float(wxy / wxx)
    return float(a2), float(b2)
