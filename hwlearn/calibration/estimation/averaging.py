"""Posterior averaged over numbers that may be zero: the programming noise, and the spread of wire segments.

Where the readings determine such a number, its most likely value would do. Where they show none, every value below
what they would show is possible, and the intervals of the other unknowns must hold for all of these. The posterior
is therefore averaged over it (Rue, Martino & Chopin, J. R. Stat. Soc. B 71 (2009) 319): the likelihood of a value
is marginal in all other unknowns. The programming noise has a uniform prior. A spread s has a half-Cauchy prior of
the expected scale, which neither excludes 0 nor a spread much larger than expected (Gelman, Bayesian Analysis 1
(2006) 515).

The numbers are averaged one by one, each at the most likely value of the others: programming noise differs between
configurations, wires do not, so the readings tell them apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.calibration.estimation.elimination import Elimination
from hwlearn.calibration.estimation.posterior import MOST_TAU, Posterior, widened, with_unknown_spreads
from hwlearn.calibration.estimation.programming import ProgrammingNoise
from hwlearn.calibration.estimation.unknowns import Group, Prior

_TAU_POINTS: Final = 12
_SPREAD_POINTS: Final = 9
_MOST_COST: Final = 16.0  # of -2 log posterior above its minimum; values beyond it have no weight
_SPREAD_RANGE: Final = 6  # factors of 2 around the expected spread that are considered


def average(found: Posterior) -> tuple[Posterior, ProgrammingNoise]:
    """Return a posterior averaged over the numbers that may be zero, and the programming noise.

    Parameters
    ----------
    found : Posterior
    """
    x, linear = found.mean, found.linear
    wide = widened(found.prior, found.determined)
    here = linear.solve(found.tau, wide, x).step
    taus = _likely_range(linear, wide, x, found.tau)
    solutions = [linear.solve(one, wide, x) for one in taus]
    weights = _weights(np.array([one.cost for one in solutions]))
    mean, scatter = _moments(np.stack([one.step for one in solutions]) - here, weights)
    sigma = float(weights @ taus)
    error = math.sqrt(float(weights @ (taus - sigma) ** 2))
    least = min(one.cost for one in solutions)
    evidence = max(0.0, linear.solve(0.0, wide, x).cost - least)
    # at the mean of tau: 95 % of a mixture of normal distributions lie within less than 1.96 of its deviations
    at_mean = linear.solve(sigma, wide, x)
    covariance, prior, shown = at_mean.covariance + scatter, found.prior, {}
    for name, group in wide.groups.items():
        if group.may_vanish and group.members.size:
            one = _averaged_spread(linear, wide, x, sigma, name)
            mean, covariance = mean + one.mean - at_mean.step, covariance + one.covariance - at_mean.covariance
            prior, shown[name] = prior.with_spread(name, one.spread), one.evidence
    covariance = with_unknown_spreads(covariance, found.prior, found.determined, x)
    averaged = replace(found, mean=x + mean, covariance=covariance, prior=prior, shown=shown)
    return averaged, ProgrammingNoise(sigma, error, evidence)


@dataclass(frozen=True, eq=False)
class _AveragedSpread:
    """Step (P,), covariance (P, P), mean of the spread, and its evidence, averaged over the spread of a group."""

    mean: FloatArray
    covariance: FloatArray
    spread: float
    evidence: float


def _averaged_spread(linear: Elimination, prior: Prior, x: FloatArray, tau: float, name: str) -> _AveragedSpread:
    group = prior.groups[name]

    def cost(log_spread: float) -> float:
        one = linear.solve(tau, prior.with_spread(name, math.exp(log_spread)), x).cost
        return one - 2 * _log_density(log_spread, group)

    logs = _likely_logs(cost, math.log(group.expected))
    solutions = [linear.solve(tau, prior.with_spread(name, math.exp(one)), x) for one in logs]
    densities = np.array([_log_density(one, group) for one in logs])
    costs = np.array([one.cost for one in solutions])
    weights = _weights(costs - 2 * densities)
    mean, covariance = _moments(np.stack([one.step for one in solutions]), weights)
    for weight, one in zip(weights, solutions, strict=True):
        covariance = covariance + weight * one.covariance
    none = linear.solve(tau, prior.with_spread(name, group.expected / 2**_SPREAD_RANGE), x).cost
    return _AveragedSpread(mean, covariance, float(weights @ np.exp(logs)), max(0.0, none - float(costs.min())))


def _log_density(log_spread: float, group: Group) -> float:
    """Return the logarithm of the half-Cauchy density of the logarithm of a spread, up to a constant."""
    return log_spread - math.log1p((math.exp(log_spread) / group.expected) ** 2)


def _likely_logs(cost: Callable[[float], float], centre: float) -> FloatArray:
    """Return equally spaced logarithms of a spread that are not much less likely than the best."""
    step = math.log(2.0)
    coarse = centre + step * np.arange(-_SPREAD_RANGE, _SPREAD_RANGE + 1)
    costs = [cost(float(one)) for one in coarse]
    most = min(costs) + _MOST_COST
    likely = np.flatnonzero(np.array(costs) <= most)
    ends = []
    for edge, way in ((int(likely[0]), -1), (int(likely[-1]), 1)):
        inside = float(coarse[edge])
        outside = inside + way * step if 0 <= edge + way < len(coarse) else inside
        for _ in range(3):
            middle = 0.5 * (inside + outside)
            inside, outside = (middle, outside) if cost(middle) <= most else (inside, middle)
        ends.append(outside)
    return np.linspace(ends[0], ends[1], _SPREAD_POINTS)


def _weights(costs: FloatArray) -> FloatArray:
    """Return weights of sum 1 of points with these values of -2 log posterior."""
    weights = np.exp(-0.5 * (costs - costs.min()))
    return np.asarray(weights / weights.sum())


def _moments(steps: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the weighted mean (P,) of steps (K, P), and their covariance (P, P) about it."""
    mean = weights @ steps
    return mean, (steps - mean).T @ (weights[:, None] * (steps - mean))


def _likely_range(linear: Elimination, prior: Prior, x: FloatArray, tau: float) -> FloatArray:
    """Return equally spaced values of the programming noise that are not much less likely than the best."""
    least = linear.solve(tau, prior, x).cost

    def unlikely(one: float) -> bool:
        return linear.solve(one, prior, x).cost > least + _MOST_COST

    low, high = tau, 2 * tau
    while high < MOST_TAU and not unlikely(high):
        low, high = high, 2 * high
    for _ in range(2):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if unlikely(middle) else (middle, high)
    bottom, top = 0.0, tau
    if unlikely(0.0):
        for _ in range(3):
            middle = 0.5 * (bottom + top)
            bottom, top = (middle, top) if unlikely(middle) else (bottom, middle)
    return np.linspace(bottom, high, _TAU_POINTS)
