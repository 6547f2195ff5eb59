"""Noise on the inputs of training samples: each looks a little different every time it is shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import FloatArray, IntArray


@dataclass(frozen=True, eq=False, slots=True)
class Jitter:
    """Gaussian noise on features as input volts, that leaves no feature's range.

    Attributes
    ----------
    sigma_V, low_V, high_V : ndarray, shape (F,)
        Standard deviation, and the ends of the range, of the first F inputs; what noise would carry farther stays
        at the end.
    negated : ndarray of int, shape (K,)
        The features whose negatives the next K inputs are; inputs after those are constant.
    """

    sigma_V: FloatArray
    low_V: FloatArray
    high_V: FloatArray
    negated: IntArray

    def __call__(self, inputs: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return the inputs (S, n_in) with new noise."""
        n, k = len(self.sigma_V), len(self.negated)
        noisy = inputs[:, :n] + self.sigma_V * rng.standard_normal((len(inputs), n))
        shown = inputs.copy()
        shown[:, :n] = np.clip(noisy, self.low_V, self.high_V)
        shown[:, n : n + k] = -shown[:, self.negated]
        return shown
