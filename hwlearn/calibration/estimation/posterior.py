"""Estimate of all unknowns by Levenberg's method, with the spreads of their priors from the same readings.

The maximum of the posterior is found with the exact Jacobian; its covariance is the inverse of the curvature
there. The spread s of a group maximises the likelihood of the readings (MacKay, Neural Computation 4 (1992) 415):
``s^2 = (|m|^2 + w s0^2) / (gamma + w)``, where gamma is the number of unknowns that the readings determine and s0
is the expected spread with the weight of w unknowns. The uncertainty of the spread is added to the covariance to
first order (Kass & Steffey, J. Am. Stat. Assoc. 84 (1989) 717), with the mean of s^2 instead of its mode.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.calibration.estimation.excitation import Phase, Readings
from hwlearn.calibration.estimation.response import EdgeModel
from hwlearn.calibration.estimation.unknowns import Prior
from hwlearn.errors import CircuitError, SetupError
from hwlearn.network.network import Readout

_STEPS: Final = 200
_LONGEST_STEP: Final = 1.0  # of a log-gain; the response is too nonlinear for longer steps
_NOISE_SIGMAS: Final = 4.0
_NOISE_ROUNDS: Final = 4
_LEAST_FREEDOM: Final = 4.0


@dataclass(frozen=True)
class Noise:
    """Standard uncertainty of one reading.

    Attributes
    ----------
    volts : float or None
        None: as each readout states it.
    amperes : float or None
        None: as the readouts state it; currents of unknown uncertainty are not used.
    applied : float
        Uncertainty in volts of every source voltage, from rounding to its steps. It affects all readings of a
        pattern together.
    volts_factor, amperes_factor : float
        Factors on the first two.
    """

    volts: float | None = None
    amperes: float | None = None
    applied: float = 0.0
    volts_factor: float = 1.0
    amperes_factor: float = 1.0

    def of_volts(self, stated: float) -> float:
        """Return the uncertainty of a voltage reading.

        Raises
        ------
        SetupError
            If neither the hardware nor the caller states one.
        """
        sigma = stated if self.volts is None else self.volts
        if not sigma > 0:
            raise SetupError(
                "the hardware states no read noise; set read_sigma in volts (the step noise measures it)"
            )
        return sigma * self.volts_factor

    def of_amperes(self, readings: Readings) -> float | None:
        """Return the uncertainty of a current reading among these readings; None if unknown."""
        sigma = self.amperes or max(
            (
                r.current_sigma
                for p, r in zip(readings.phases, readings.readouts, strict=True)
                if p.kind == "clamp"
            ),
            default=0.0,
        )
        return sigma * self.amperes_factor if sigma > 0 else None


@dataclass(frozen=True)
class Misfit:
    """Sum of squared residuals in units of the stated uncertainty, degrees of freedom, and number of readings."""

    chi2: float
    dof: float
    rows: int


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
    """

    mean: FloatArray
    covariance: FloatArray
    prior: Prior
    determined: dict[str, float]
    volts_misfit: Misfit
    amperes_misfit: Misfit
    noise: Noise


@dataclass(frozen=True, eq=False)
class _Normal:
    """Normal equations at one point: curvatures (2, P, P), gradient (P,), chi2 and rows of volts and amperes."""

    curvatures: FloatArray
    gradient: FloatArray
    chi2: FloatArray
    rows: FloatArray

    @property
    def curvature(self) -> FloatArray:
        return np.asarray(self.curvatures.sum(axis=0))


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
    found = _settle(models, readings, prior, noise, prior.mean if start is None else start)
    stated = found
    for _ in range(_NOISE_ROUNDS):
        raised = replace(
            noise,
            volts_factor=noise.volts_factor * _excess(found.volts_misfit),
            amperes_factor=noise.amperes_factor * _excess(found.amperes_misfit),
        )
        if raised == noise:
            break
        noise = raised
        found = _settle(models, readings, found.prior, noise, found.mean)
    return replace(found, volts_misfit=stated.volts_misfit, amperes_misfit=stated.amperes_misfit)


def _excess(misfit: Misfit) -> float:
    """Return the factor on the noise that explains a misfit; 1 if the misfit is within chance."""
    if misfit.dof < 1:
        return 1.0
    ratio = misfit.chi2 / misfit.dof
    return math.sqrt(ratio) if ratio > 1 + _NOISE_SIGMAS * math.sqrt(2 / misfit.dof) else 1.0


def _settle(
    models: Sequence[EdgeModel], readings: Sequence[Readings], prior: Prior, noise: Noise, start: FloatArray
) -> Posterior:
    x, damping = start, 0.0
    normal = _normal(models, readings, x, noise)
    if normal is None:
        x = prior.mean
        normal = _normal(models, readings, x, noise)
    if normal is None:
        raise SetupError("the network cannot be solved with the conductances that were programmed")
    for _ in range(_STEPS):
        gradient = normal.gradient - prior.pull(x)
        step = _step(normal.curvature, gradient, prior, damping)
        longest = float(np.abs(step[: models[0].layout.n_edges]).max(initial=0.0))
        step *= min(1.0, _LONGEST_STEP / longest) if longest > 0 else 1.0
        tried = _normal(models, readings, x + step, noise)
        if tried is None or _cost(tried, x + step, prior) > _cost(normal, x, prior) + 1e-9:
            damping = max(10 * damping, 1e-3)
            if damping > 1e12:
                break
            continue
        decrement = float(step @ gradient)
        x, normal, damping = x + step, tried, damping / 10 if damping > 1e-6 else 0.0
        if decrement < 0.1:
            better, _ = _with_estimated_spreads(prior, x, _covariance(normal.curvature, prior))
            settled = np.allclose(better.sigma, prior.sigma, rtol=1e-3)
            prior = better
            if settled and decrement < 1e-3:
                break
    covariance = _covariance(normal.curvature, prior)
    _, determined = _with_estimated_spreads(prior, x, covariance)
    used = [float((covariance * part).sum()) for part in normal.curvatures]
    volts, amperes = (
        Misfit(float(chi2), float(rows) - spent, int(rows))
        for chi2, rows, spent in zip(normal.chi2, normal.rows, used, strict=True)
    )
    covariance = _covariance(normal.curvature, _widened(prior, determined))
    for name, group in prior.groups.items():
        if group.members.size:
            # d mean / d log s = 2 C s^-2 (mean - expected) on the group; log s is known to 1 / sqrt(2 (gamma + w))
            pull = 2 * covariance[:, group.members] @ (x - prior.mean)[group.members] / prior.spread(name) ** 2
            covariance = covariance + np.outer(pull, pull) / (2 * (determined[name] + group.weight))
    return Posterior(x, covariance, prior, determined, volts, amperes, noise)


def _cost(normal: _Normal, x: FloatArray, prior: Prior) -> float:
    return float(normal.chi2.sum()) + prior.cost(x)


def _step(curvature: FloatArray, gradient: FloatArray, prior: Prior, damping: float) -> FloatArray:
    # in units of the prior's spreads all terms are of order one, and the matrix is well-conditioned
    sigma = prior.sigma
    matrix = curvature * np.outer(sigma, sigma) + prior.scaled_precision
    matrix += damping * np.diag(np.diagonal(matrix))
    return np.asarray(sigma * cho_solve(cho_factor(matrix), sigma * gradient))


def _covariance(curvature: FloatArray, prior: Prior) -> FloatArray:
    sigma = prior.sigma
    scaled = curvature * np.outer(sigma, sigma) + prior.scaled_precision
    inverse = cho_solve(cho_factor(scaled), np.eye(len(sigma)))
    return np.asarray(0.5 * (inverse + inverse.T) * np.outer(sigma, sigma))


def _widened(prior: Prior, determined: dict[str, float]) -> Prior:
    """Return the prior with each variance at its mean, not its mode; they differ for groups of few unknowns."""
    for name, group in prior.groups.items():
        if group.members.size:
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


def whitened(
    volts: tuple[FloatArray, FloatArray],
    amperes: tuple[FloatArray, FloatArray] | None,
    sigma: tuple[float, float],
    applied: float,
    terminals: IntArray,
) -> tuple[FloatArray, FloatArray]:
    """Return residuals and Jacobian of patterns in units of the readings' joint uncertainty.

    Parameters
    ----------
    volts, amperes : (ndarray (S, R), ndarray (S, R, P))
        Residuals and Jacobian of the voltage and the current readings of S patterns; None: no currents.
    sigma : (float, float)
        Uncertainty of one reading in volts and in amperes.
    applied : float
        Uncertainty of the volts of each driven terminal; it affects all readings of one pattern together.
    terminals : ndarray of int
        Unknowns that are offsets of driven terminals: the readings' derivatives by terminal volts.

    Returns
    -------
    (ndarray (S, R), ndarray (S, R, P))
        Voltage readings first, then the currents, made independent of the voltages.
    """
    residual, jacobian = volts[0] / sigma[0], volts[1] / sigma[0]
    if amperes is not None:
        residual = np.concatenate([residual, amperes[0] / sigma[1]], axis=1)
        jacobian = np.concatenate([jacobian, amperes[1] / sigma[1]], axis=1)
    if applied == 0:
        return residual, jacobian
    moved = applied * jacobian[:, :, terminals]
    root = np.linalg.cholesky(moved @ moved.transpose(0, 2, 1) + np.eye(residual.shape[1]))
    # all its eigenvalues are at least 1, so inverting it is accurate
    unroot = np.linalg.inv(root)
    return np.asarray((unroot @ residual[:, :, None])[:, :, 0]), np.asarray(unroot @ jacobian)


def _normal(
    models: Sequence[EdgeModel], readings: Sequence[Readings], x: FloatArray, noise: Noise
) -> _Normal | None:
    """Return the normal equations at x; None if the circuit cannot be solved there."""
    curvatures, gradient = np.zeros((2, len(x), len(x))), np.zeros(len(x))
    chi2, rows = np.zeros(2), np.zeros(2)
    try:
        for model, read in zip(models, readings, strict=True):
            amperes = noise.of_amperes(read)
            jacobians: tuple[list[FloatArray], ...] = ([], [])
            residuals: tuple[list[FloatArray], ...] = ([], [])
            for phase, readout in zip(read.phases, read.readouts, strict=True):
                residual, jacobian, used, n = _of_phase(model, phase, readout, x, noise, amperes)
                for unit, part in enumerate((slice(None, n), slice(n, None))):
                    jacobians[unit].append(jacobian[:, part].reshape(-1, len(x)))
                    residuals[unit].append(residual[:, part].ravel())
                    rows[unit] += used[:, part].sum()
            for unit in range(2):  # one large product per configuration costs less than many small ones
                J, r = np.concatenate(jacobians[unit]), np.concatenate(residuals[unit])
                curvatures[unit] += J.T @ J
                gradient += J.T @ r
                chi2[unit] += r @ r
    except CircuitError:
        return None
    return _Normal(curvatures, gradient, chi2, rows)


def _of_phase(
    model: EdgeModel, phase: Phase, readout: Readout, x: FloatArray, noise: Noise, amperes: float | None
) -> tuple[FloatArray, FloatArray, BoolArray, int]:
    """Return whitened residuals (S, R) and Jacobian (S, R, P), valid readings, and the number of volts per row."""
    sources = None if amperes is None else readout.source_currents
    response = model.respond(x, phase, sources is not None)
    used = np.isfinite(readout.voltages)
    if readout.saturated is not None:
        used &= ~readout.saturated
    # an invalid reading becomes a row of zeros, without information
    volts = (
        np.where(used, np.nan_to_num(readout.voltages) - response.volts, 0.0),
        np.where(used[:, :, None], response.d_volts, 0.0),
    )
    n = used.shape[1]
    currents = None
    if sources is not None:
        on = ~np.isnan(phase.values) & (phase.kind == "clamp" and readout.output_currents is not None)
        pushed = np.zeros(on.shape) if readout.output_currents is None else readout.output_currents
        currents = (
            np.concatenate([sources - response.sources, np.where(on, pushed - response.clamps, 0.0)], axis=1),
            np.concatenate([response.d_sources, np.where(on[:, :, None], response.d_clamps, 0.0)], axis=1),
        )
        used = np.concatenate([used, np.ones(sources.shape, dtype=bool), on], axis=1)
    sigma = (noise.of_volts(readout.voltage_sigma), 1.0 if amperes is None else amperes)
    return (*whitened(volts, currents, sigma, noise.applied, model.layout.terminals), used, n)
