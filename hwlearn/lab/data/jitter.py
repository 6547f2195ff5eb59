"""Noise and distortions of the inputs in training, drawn anew for every step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.lab.data.distortion import Distortion


@dataclass(frozen=True, eq=False, slots=True)
class Jitter:
    """Gaussian noise on the input voltages of features, clipped to the range of each feature.

    Features that are pixels may be distorted before.

    Attributes
    ----------
    sigma_V, low_V, high_V : ndarray, shape (F,)
        Standard deviation, lower and upper end of the range of the first F inputs (the features), in volts.
    negated : ndarray of int, shape (K,)
        Features whose negatives are the next K inputs. Inputs after those are constant.
    distortion : Distortion, optional
        Distortion of the F features as images.
    """

    sigma_V: FloatArray
    low_V: FloatArray
    high_V: FloatArray
    negated: IntArray
    distortion: Distortion | None = None

    def __call__(self, inputs: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return the inputs (S, n_in) in volts with noise; negatives follow their features."""
        n, k = len(self.sigma_V), len(self.negated)
        features = inputs[:, :n] if self.distortion is None else self.distortion(inputs[:, :n], rng)
        noisy = features + self.sigma_V * rng.standard_normal((len(inputs), n))
        shown = inputs.copy()
        shown[:, :n] = np.clip(noisy, self.low_V, self.high_V)
        shown[:, n : n + k] = -shown[:, self.negated]
        return shown
