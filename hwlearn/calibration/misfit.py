"""Tests whether readings deviate from a model by more than their stated uncertainty explains.

Squared deviations in units of their uncertainty add up to a chi-square variable; divided by its degrees of freedom
it is 1 on average. Where the read noise was itself estimated from readings, the ratio has Fisher's F distribution.
Sums with different weights are treated as a chi-square variable of the same mean and variance (Satterthwaite,
Biometrics Bulletin 2 (1946) 110).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Self

from scipy.special import chdtri, fdtri

from hwlearn.arrays import FloatArray

LEVEL: Final = 1e-3
"""Probability that a test rejects a correct model."""

POWER: Final = 0.95
"""Probability with which a misfit of the stated size is found."""


@dataclass(frozen=True)
class Misfit:
    """Sum of squared residuals in units of the stated uncertainty, degrees of freedom, and number of readings."""

    chi2: float
    dof: float
    rows: int

    @classmethod
    def weighted(cls, squares: FloatArray, weights: FloatArray) -> Self:
        """Return the weighted sum of independent squares (N,) of expectation 1 as one misfit."""
        total, square = float(weights.sum()), float((weights**2).sum())
        if not square > 0:
            return cls(0.0, 0.0, 0)
        scale = total / square
        return cls(float(weights @ squares) * scale, total * scale, len(weights))

    @property
    def ratio(self) -> float:
        """Squared misfit per degree of freedom; NaN without any."""
        return self.chi2 / self.dof if self.dof > 0 else math.nan

    @property
    def chi(self) -> float:
        """Misfit in units of the stated uncertainty; 1 is expected. 0 without degrees of freedom."""
        return math.sqrt(self.ratio) if self.dof > 0 else 0.0

    def most_chi(self, noise_readings: float | None = None, level: float = LEVEL) -> float:
        """Return the `chi` that a correct model exceeds with this probability.

        Parameters
        ----------
        noise_readings : float, optional
            Number of readings from which the noise was estimated. Default: it is known exactly.
        level : float
        """
        return math.sqrt(upper(self.dof, noise_readings, level)) if self.dof >= 1 else math.inf

    def found_chi(self, noise_readings: float | None = None, level: float = LEVEL) -> float:
        """Return the true misfit that the test finds with the probability `POWER`."""
        if self.dof < 1:
            return math.inf
        return self.most_chi(noise_readings, level) / math.sqrt(upper(self.dof, noise_readings, POWER))

    def exceeds(self, noise_readings: float | None = None, level: float = LEVEL) -> bool:
        """Return whether the misfit is larger than chance explains."""
        return self.dof >= 1 and self.chi > self.most_chi(noise_readings, level)


def upper(dof: float, other_dof: float | None, probability: float) -> float:
    """Return the ratio of two variances that is exceeded with this probability; None: the second is exact."""
    if other_dof is None or math.isinf(other_dof):
        return float(chdtri(dof, probability)) / dof
    return float(fdtri(dof, max(other_dof, 1.0), 1 - probability))


def lower(dof: float, other_dof: float | None, probability: float) -> float:
    """Return the ratio of two variances below which it is with this probability; None: the second is exact."""
    return upper(dof, other_dof, 1 - probability)
