"""Means, ratios and proportions with 95 % confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % confidence interval.

    Attributes
    ----------
    value : float
    low, high : float
        NaN where one sample gives no interval.
    count : int
        Number of samples.
    """

    value: float
    low: float
    high: float
    count: int

    def meets(self, other: Interval) -> bool:
        """Whether both intervals have a value in common."""
        return self.low <= other.high and other.low <= self.high


def mean(values: Sequence[float]) -> Interval:
    """Return the mean with Student's interval.

    Raises
    ------
    ValueError
        If there is no value.
    """
    samples = _samples(values)
    middle, half = float(samples.mean()), _half(samples)
    return Interval(middle, middle - half, middle + half, len(samples))


def mean_share(values: Sequence[float]) -> Interval:
    """Return the mean of shares with the part of Student's interval from 0 to 1; raises as `mean`."""
    found = mean(values)
    return Interval(found.value, max(found.low, 0.0), min(found.high, 1.0), found.count)


def geometric_mean(values: Sequence[float]) -> Interval:
    """Return the geometric mean of positive values, with Student's interval of their logarithms.

    Raises
    ------
    ValueError
        If there is no value, or one is not positive.
    """
    samples = _samples(values)
    if not (samples > 0).all():
        raise ValueError("a geometric mean needs positive values")
    logs = np.log(samples)
    middle, half = float(logs.mean()), _half(logs)
    return Interval(math.exp(middle), math.exp(middle - half), math.exp(middle + half), len(samples))


def mean_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Interval:
    """Return the geometric mean of the ratios of paired values; raises as `geometric_mean`."""
    return geometric_mean([a / b for a, b in zip(numerators, denominators, strict=True)])


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Interval:
    """Return the median of the ratios of paired values, between two of them that hold it with at least 95 %.

    The interval needs no assumption on how ratios are spread; it is infinite for fewer than six.

    Raises
    ------
    ValueError
        If there is no value.
    """
    ratios = np.sort(_samples([a / b for a, b in zip(numerators, denominators, strict=True)]))
    below = int(stats.binom.ppf((1 - LEVEL) / 2, len(ratios), 0.5))  # so many may lie outside on each side
    middle = float(np.median(ratios))
    if below == 0:
        return Interval(middle, -math.inf, math.inf, len(ratios))
    return Interval(middle, float(ratios[below - 1]), float(ratios[-below]), len(ratios))


def proportion(hits: int, trials: int) -> Interval:
    """Return a proportion with Wilson's interval.

    Raises
    ------
    ValueError
        If there is no trial.
    """
    found = stats.binomtest(hits, trials).proportion_ci(LEVEL, "wilson")
    return Interval(hits / trials, float(found.low), float(found.high), trials)


def power_law(curves: Sequence[Mapping[float, float]]) -> tuple[Interval, Interval]:
    """Fit ``y = a x^b`` to the positive values of each sample by least squares of the logarithms.

    Parameters
    ----------
    curves : sequence of mapping
        One for each sample: y by x. The intervals are those of the means over samples, so that they contain how
        much samples differ.

    Returns
    -------
    (Interval, Interval)
        ``a`` as a geometric mean, and ``b``.

    Raises
    ------
    ValueError
        If there is no sample, one has fewer than three places, or a value is not positive.
    """
    fits = []
    for curve in curves:
        x, y = np.array([*curve]), np.array([*curve.values()])
        if len(x) < 3:
            raise ValueError("a power law needs three places")
        if not ((x > 0).all() and (y > 0).all()):
            raise ValueError("a power law needs positive values")
        fits.append(np.polyfit(np.log(x), np.log(y), 1))
    slopes, heights = (_samples([fit[k] for fit in fits]) for k in (0, 1))
    return geometric_mean(np.exp(heights).tolist()), mean(slopes.tolist())


def _samples(values: Sequence[float]) -> np.ndarray:
    samples = np.asarray(values, dtype=np.float64)
    if samples.size == 0:
        raise ValueError("there is no value")
    return samples


def _half(samples: np.ndarray) -> float:
    """Return half the width of Student's interval of the mean; infinite for one sample."""
    n = len(samples)
    if n < 2:
        return math.inf
    return float(stats.t.ppf((1 + LEVEL) / 2, n - 1) * samples.std(ddof=1) / math.sqrt(n))
