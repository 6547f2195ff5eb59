"""Estimate of all unknowns by Levenberg's method, with the spreads of their priors from the same readings.

The maximum of the posterior is found with the exact Jacobian; its covariance is the inverse of the curvature
there. The spread s of a group maximises the likelihood of the readings (MacKay, Neural Computation 4 (1992) 415):
``s^2 = (|m|^2 + w s0^2) / (gamma + w)``, where gamma is the number of unknowns that the readings determine and s0
is the expected spread with the weight of w unknowns. The uncertainty of the spread is added to the covariance to
first order (Kass & Steffey, J. Am. Stat. Assoc. 84 (1989) 717), with the mean of s^2 instead of its mode.

Programming does not repeat exactly. The standard deviation tau of the edges' log-conductances from programming to
programming has a uniform prior. Its likelihood is marginal in all other unknowns (restricted maximum likelihood:
Patterson & Thompson, Biometrika 58 (1971) 545). `averaging` averages the posterior over tau.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.calibration.estimation.elimination import Elimination
from hwlearn.calibration.estimation.excitation import Readings
from hwlearn.calibration.estimation.response import EdgeModel
from hwlearn.calibration.estimation.unknowns import Prior
from hwlearn.calibration.estimation.whitening import Block, Noise
from hwlearn.calibration.misfit import Misfit
from hwlearn.errors import CircuitError, SetupError

_STEPS: Final = 60
_LONGEST_STEP: Final = 1.0  # of a log-gain; the response is too nonlinear for longer steps
_NOISE_ROUNDS: Final = 4
_SPREAD_ROUNDS: Final = 8
_LEAST_FREEDOM: Final = 4.0
_FIRST_TAU: Final = 0.02
_LEAST_TAU: Final = 1e-7
MOST_TAU: Final = 1.0
_FLAT: Final = 0.1  # of -2 log likelihood


@dataclass(frozen=True, eq=False)
class Posterior:
    """Posterior of all unknowns.

    Attributes
    ----------
    mean : ndarray, shape (P,)
    covariance : ndarray, shape (P, P)
    prior : Prior
        Prior with the estimated spreads.
    determined : dict of str to float
        Number of unknowns that the readings determine, for each group.
    volts_misfit, amperes_misfit : Misfit
        Of the voltage and of the current readings, with the stated uncertainties.
    noise : Noise
        Noise with the factors that explain the residuals; 1 if the stated noise explains them.
    tau : float
        Programming noise at which the readings were linearised.
    linear : Elimination
    shown : dict of str to float
        2 log of the likelihood ratio of the most likely spread and zero, for each group whose spread may be 0 and
        over which the posterior was averaged.
    """

    mean: FloatArray
    covariance: FloatArray
    prior: Prior
    determined: dict[str, float]
    volts_misfit: Misfit
    amperes_misfit: Misfit
    noise: Noise
    tau: float
    linear: Elimination
    shown: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Problem:
    """Readings of several configurations, their models, and the log-gains that a programming changes."""

    models: Sequence[EdgeModel]
    readings: Sequence[Readings]
    edges: IntArray

    def blocks(self, x: FloatArray, deviations: FloatArray, noise: Noise) -> list[Block] | None:
        """Return the readings about unknowns (P,) and deviations (C, M); None if the circuit cannot be solved."""
        found = []
        try:
            for model, read, deviation in zip(self.models, self.readings, deviations, strict=True):
                moved = x.copy()
                moved[self.edges] += deviation
                found.append(Block.of(model, read, moved, noise))
        except CircuitError:
            return None
        return found


def estimate(
    models: Sequence[EdgeModel],
    readings: Sequence[Readings],
    prior: Prior,
    noise: Noise,
    start: FloatArray | None = None,
) -> Posterior:
    """Estimate all unknowns from readings of several configurations.

    Parameters
    ----------
    models : sequence of EdgeModel
        One for each configuration.
    readings : sequence of Readings
    prior : Prior
    noise : Noise
    start : ndarray, shape (P,), optional
        Starting point. Default: the mean of the prior.

    Raises
    ------
    SetupError
        If no uncertainty of the readings is known.
    """
    problem = _Problem(models, readings, prior.groups["edges"].members)
    x = prior.mean if start is None else start
    found = stated = _settle(problem, prior, noise, x, _FIRST_TAU)
    for _ in range(_NOISE_ROUNDS):
        raised = replace(
            noise,
            volts_factor=noise.volts_factor * _excess(found.volts_misfit, noise.volts_readings),
            amperes_factor=noise.amperes_factor * _excess(found.amperes_misfit),
        )
        if raised == noise:
            break
        noise = raised
        found = _settle(problem, found.prior, noise, found.mean, found.tau)
    return replace(found, volts_misfit=stated.volts_misfit, amperes_misfit=stated.amperes_misfit)


def _excess(misfit: Misfit, noise_readings: float | None = None) -> float:
    """Return the factor on the noise that explains a misfit; 1 if the misfit is within chance."""
    return misfit.chi if misfit.exceeds(noise_readings) else 1.0


@dataclass(frozen=True, eq=False)
class _Point:
    """Unknowns, deviations of each programming, and the readings about them."""

    x: FloatArray
    deviations: FloatArray
    blocks: list[Block]

    def cost(self, prior: Prior, tau: float) -> float:
        """Return -2 log of the posterior density, up to a constant."""
        chi2 = float(sum(block.chi2.sum() for block in self.blocks))
        penalty = float((self.deviations**2).sum()) / tau**2 if tau > 0 else 0.0
        return chi2 + penalty + prior.cost(self.x)


def _settle(problem: _Problem, prior: Prior, noise: Noise, start: FloatArray, tau: float) -> Posterior:
    point = _start(problem, prior, noise, start)
    linear = Elimination(point.blocks, point.deviations, problem.edges)
    damping, part = 0.0, 1.0
    for _ in range(_STEPS):
        solution = linear.solve(tau, prior, point.x, damping)
        step = part * solution.step
        turn = part * (linear.deviations(tau, solution.step) - point.deviations)
        longest = max(float(np.abs(step[problem.edges]).max(initial=0.0)), float(np.abs(turn).max(initial=0.0)))
        if longest > _LONGEST_STEP:
            step, turn = step * (_LONGEST_STEP / longest), turn * (_LONGEST_STEP / longest)
        x, deviations = point.x + step, point.deviations + turn
        blocks = problem.blocks(x, deviations, noise)
        before = point.cost(prior, tau)
        tried = None if blocks is None else _Point(x, deviations, blocks)
        if tried is None or tried.cost(prior, tau) > before + 1e-9:
            damping, part = max(10 * damping, 1e-3), 0.5 * part
            if damping > 1e12:
                break
            continue
        decrement = before - tried.cost(prior, tau)
        point, damping, part = tried, damping / 10 if damping > 1e-6 else 0.0, min(1.0, 2 * part)
        linear = Elimination(point.blocks, point.deviations, problem.edges)
        if decrement < max(0.1, 1e-2 * before):
            better = _with_settled_spreads(linear, prior, point.x, tau)
            likely = _most_likely(linear, better, point.x, tau)
            settled = np.allclose(better.sigma, prior.sigma, rtol=1e-3) and likely == tau
            prior, tau = better, likely
            if settled and decrement < 1e-3:
                break
    return _posterior(problem, linear, point, prior, tau, noise)


def _start(problem: _Problem, prior: Prior, noise: Noise, start: FloatArray) -> _Point:
    none = np.zeros((len(problem.models), len(problem.edges)))
    for x in (start, prior.mean):
        blocks = problem.blocks(x, none, noise)
        if blocks is not None:
            return _Point(x, none, blocks)
    raise SetupError("the network cannot be solved with the conductances that were programmed")


def _with_settled_spreads(linear: Elimination, prior: Prior, x: FloatArray, tau: float) -> Prior:
    """Return the prior with spreads re-estimated until they change little; the readings stay linearised at x."""
    for _ in range(_SPREAD_ROUNDS):
        solution = linear.solve(tau, prior, x)
        better, _ = _with_estimated_spreads(prior, x + solution.step, solution.covariance)
        settled, prior = np.allclose(better.sigma, prior.sigma, rtol=1e-2), better
        if settled:
            break
    return prior


def _most_likely(linear: Elimination, prior: Prior, x: FloatArray, tau: float) -> float:
    """Return the programming noise near its most likely value; one that the readings do not show may be smaller.

    It is the point of linearisation only; the posterior is averaged over all values.
    """

    def cost(one: float) -> float:
        return linear.solve(one, prior, x).cost

    best = cost(tau)
    for way in (0.5, 2.0):
        stride = way
        while _LEAST_TAU <= stride * tau <= MOST_TAU and (other := cost(stride * tau)) < best - _FLAT:
            tau, best, stride = stride * tau, other, stride**2
    return tau


def _posterior(
    problem: _Problem, linear: Elimination, point: _Point, prior: Prior, tau: float, noise: Noise
) -> Posterior:
    """Return the posterior at its maximum."""
    x = point.x
    covariance = linear.solve(tau, prior, x).covariance
    _, determined = _with_estimated_spreads(prior, x, covariance)
    used = linear.used(tau, covariance)
    chi2 = np.sum([block.chi2 for block in point.blocks], axis=0)
    rows = np.sum([block.rows for block in point.blocks], axis=0)
    volts, amperes = (
        Misfit(float(c), float(n) - float(spent), int(n)) for c, n, spent in zip(chi2, rows, used, strict=True)
    )
    wide = linear.solve(tau, widened(prior, determined), x)
    covariance = with_unknown_spreads(wide.covariance, prior, determined, x)
    return Posterior(x, covariance, prior, determined, volts, amperes, noise, tau, linear)


def with_unknown_spreads(
    covariance: FloatArray, prior: Prior, determined: dict[str, float], x: FloatArray
) -> FloatArray:
    """Return the covariance with the uncertainty of the spreads added to first order."""
    for name, group in prior.groups.items():
        if group.members.size and not group.may_vanish:
            # d mean / d log s = 2 C s^-2 (mean - expected) on the group; log s is known to 1 / sqrt(2 (gamma + w))
            pull = 2 * covariance[:, group.members] @ (x - prior.mean)[group.members] / prior.spread(name) ** 2
            covariance = covariance + np.outer(pull, pull) / (2 * (determined[name] + group.weight))
    return covariance


def widened(prior: Prior, determined: dict[str, float]) -> Prior:
    """Return the prior with each variance at its mean, not its mode; they differ for groups of few unknowns."""
    for name, group in prior.groups.items():
        if group.members.size and not group.may_vanish:
            # s^2 is distributed as the inverse of a chi^2 of this many degrees of freedom
            freedom = max(determined[name] + group.weight, _LEAST_FREEDOM)
            prior = prior.with_spread(name, prior.spread(name) * math.sqrt(freedom / (freedom - 2)))
    return prior


def _with_estimated_spreads(prior: Prior, x: FloatArray, covariance: FloatArray) -> tuple[Prior, dict[str, float]]:
    """Return the prior with spreads re-estimated at x, and the number of determined unknowns of each group."""
    variance, determined = np.diagonal(covariance), {}
    better = prior
    for name, group in prior.groups.items():
        if not group.members.size:
            determined[name] = 0.0
            continue
        spread = prior.spread(name)
        gamma = float((1.0 - variance[group.members] / spread**2).sum())
        moved = float(((x - prior.mean)[group.members] ** 2).sum())
        square = (moved + group.weight * group.expected**2) / (max(gamma, 0.0) + group.weight)
        better = better.with_spread(name, min(max(math.sqrt(square), group.expected / 50), group.expected * 50))
        determined[name] = max(gamma, 0.0)
    return better, determined
