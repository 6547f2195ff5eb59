"""How much readings of devices scatter, found from repeated readings alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.device_access.access import DeviceAccess

_SEEN = 2.0  # standard errors from which on an absolute part is believed
_LOUD = 2.2  # a deviation of 8 readings exceeds this many true ones with probability 2e-5


@dataclass(frozen=True, eq=False, slots=True)
class ReadNoise:
    """Standard deviation of one reading: ``loudness * hypot(absolute, relative * g)``.

    Attributes
    ----------
    absolute, relative : float
        In siemens, and as a fraction of the conductance; common to all devices.
    loudness : ndarray, shape (E,)
        1, or more for a device that scatters significantly more than the others.
    """

    absolute: float
    relative: float
    loudness: FloatArray

    @classmethod
    def of(cls, readings: FloatArray) -> ReadNoise:
        """Estimate from readings (n, E) of devices that nothing moved between.

        An absolute part is found only where devices of unlike conductance show it.
        """
        mean, variance = readings.mean(axis=0), readings.var(axis=0, ddof=1)
        a2, b2 = _two_parts(mean**2, variance, len(readings))
        usual = a2 + b2 * mean**2
        ratio = np.sqrt(np.divide(variance, usual, out=np.ones_like(usual), where=usual > 0))
        return cls(float(np.sqrt(a2)), float(np.sqrt(b2)), np.where(ratio > _LOUD, ratio, 1.0))

    def sigma(self, conductances: ArrayLike, edges: IntArray | slice = slice(None)) -> FloatArray:
        """Return the standard deviation in siemens of one reading of some edges at conductances."""
        g = np.asarray(conductances, dtype=np.float64)
        # the last bits of a reading without noise are no movement
        floor = 1e-9 * np.abs(g) + 1e-18
        return np.maximum(self.loudness[edges] * np.hypot(self.absolute, self.relative * g), floor)


def averaged(access: DeviceAccess, edges: IntArray, times: int, voltage: float) -> FloatArray:
    """Return the mean of so many readings of each of the edges, in siemens."""
    if len(edges) > access.n_edges // 4:
        total = np.zeros(access.n_edges)
        for _ in range(times):
            total += access.read_all(voltage)
        return np.asarray(total[edges] / times)
    return np.array([np.mean([access.read(int(k), voltage) for _ in range(times)]) for k in edges])


def _two_parts(square: FloatArray, variance: FloatArray, readings: int) -> tuple[float, float]:
    """Fit variance = a2 + b2 square, both at least zero, weighted by what the variances themselves scatter."""
    a2, b2, seen = 0.0, 0.0, False
    wxx = wxy = 0.0
    # a few loud devices must not make all look loud
    kept = variance <= _LOUD**2 * max(float(np.median(variance / np.maximum(square, 1e-300))), 0.0) * square
    kept |= variance <= _LOUD**2 * float(np.median(variance))
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
            # a variance of n readings scatters by its own size times root of 2 / (n - 1)
            seen = bool(a2 > _SEEN * math.sqrt(2 / (readings - 1) * wxx / determinant))
        else:  # all devices alike: one part explains them
            a2, b2, seen = 0.0, wxy / wxx if wxx > 0 else 0.0, False
        if a2 < 0 or b2 < 0:
            a2, b2 = (0.0, wxy / wxx) if a2 < 0 and wxx > 0 else (wy / w, 0.0)
        weight = 1.0 / np.maximum(a2 + b2 * x, 1e-3 * float(y.max())) ** 2
    if not seen and wxx > 0:
        return 0.0, float(wxy / wxx)
    return float(a2), float(b2)
