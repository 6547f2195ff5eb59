"""Levenberg's method on all unknowns, with the spreads of their priors estimated from the same readings.

The maximum of the posterior is found with the exact Jacobian; its covariance is the inverse of the curvature there.
The spread s of a group is the one that makes the readings likeliest (MacKay, Neural Computation 4 (1992) 415):
``s^2 = (|m|^2 + w s0^2) / (gamma + w)``, gamma the number of unknowns that the readings determine and s0 an
expectation that counts for w unknowns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from hwlearn.calibration.excitation import Readings
from hwlearn.calibration.layout import Prior
from hwlearn.calibration.response import EdgeModel
from hwlearn.circuit.topology import FloatArray
from hwlearn.errors import CircuitError, SetupError

_STEPS: Final = 200
_LONGEST_STEP: Final = 1.0  # of a logarithm of a gain: the response is far from linear beyond
_NOISE_SIGMAS: Final = 4.0


@dataclass(frozen=True)
class Noise:
    """Standard uncertainty of one reading.

    Attributes
    ----------
    volts : float or None
        None: as each readout states it.
    amperes : float or None
        None: as readouts state it; currents that nobody states an uncertainty of are not used.
    factor : float
        Both are multiplied by it.
    """

    volts: float | None = None
    amperes: float | None = None
    factor: float = 1.0

    def of_volts(self, stated: float) -> float:
        """Return the uncertainty of a voltage reading.

        Raises
        ------
        SetupError
            If neither the bench nor the caller states one.
        """
        sigma = stated if self.volts is None else self.volts
        if not sigma > 0:
            raise SetupError("this bench states no read noise; give read_sigma in volts (`noise` measures it)")
        return sigma * self.factor

    def of_amperes(self, readings: Readings) -> float | None:
        """Return the uncertainty of a current reading of these readings, None if nobody knows it."""
        sigma = self.amperes or max(
            (r.current_sigma for p, r in zip(readings.phases, readings.readouts, strict=True) if p.kind == "clamp"),
            default=0.0,
        )
        return sigma * self.factor if sigma > 0 else None


@dataclass(frozen=True, eq=False)
class Posterior:
    """What the readings say of all unknowns.

    Attributes
    ----------
    mean : ndarray, shape (P,)
    covariance : ndarray, shape (P, P)
    prior : Prior
        With the spreads that were found.
    determined : dict of str to float
        For each group how many unknowns the readings determine.
    chi2, dof : float
        Sum of squared residuals in units of their uncertainty, and the degrees of freedom.
    noise_factor : float
        By what the stated read noise had to be raised to explain the residuals; 1 if it explains them.
    rows : int
        Readings used.
    """

    mean: FloatArray
    covariance: FloatArray
    prior: Prior
    determined: dict[str, float]
    chi2: float
    dof: float
    noise_factor: float
    rows: int


@dataclass(frozen=True, eq=False)
class _Normal:
    """Normal equations at one point: curvature (P, P), gradient (P,), chi2, number of rows."""

    curvature: FloatArray
    gradient: FloatArray
    chi2: float
    rows: int


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
        One a configuration.
    readings : sequence of Readings
    prior : Prior
    noise : Noise
    start : ndarray, shape (P,), optional
        Where to begin; the prior's mean unless given.

    Raises
    ------
    SetupError
        If no uncertainty of the readings is known.
    """
    found = _settle(models, readings, prior, noise, prior.mean if start is None else start)
    excess = found.chi2 / found.dof if found.dof > 0 else 1.0
    if found.dof > 0 and excess > 1 + _NOISE_SIGMAS * math.sqrt(2 / found.dof):
        raised = Noise(noise.volts, noise.amperes, noise.factor * math.sqrt(excess))
        again = _settle(models, readings, found.prior, raised, found.mean)
        return Posterior(
            again.mean,
            again.covariance,
            again.prior,
            again.determined,
            found.chi2,
            found.dof,
            raised.factor,
            found.rows,
        )
    return found


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
        gradient = normal.gradient - (x - prior.mean) / prior.sigma**2
        step = _step(normal.curvature, gradient, prior.sigma, damping)
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
            better, _ = _with_likeliest_spreads(prior, x, _covariance(normal.curvature, prior.sigma))
            settled = np.allclose(better.sigma, prior.sigma, rtol=1e-3)
            prior = better
            if settled and decrement < 1e-3:
                break
    covariance = _covariance(normal.curvature, prior.sigma)
    _, determined = _with_likeliest_spreads(prior, x, covariance)
    dof = normal.rows - float(np.trace(covariance @ normal.curvature))
    return Posterior(x, covariance, prior, determined, normal.chi2, dof, noise.factor, normal.rows)


def _cost(normal: _Normal, x: FloatArray, prior: Prior) -> float:
    return normal.chi2 + float((((x - prior.mean) / prior.sigma) ** 2).sum())


def _step(curvature: FloatArray, gradient: FloatArray, sigma: FloatArray, damping: float) -> FloatArray:
    # in units of the prior's spreads everything is of order one, and the matrix well conditioned
    scaled = curvature * np.outer(sigma, sigma)
    diagonal = np.diagonal(scaled)
    matrix = scaled + np.diag(1.0 + damping * (1.0 + diagonal))
    return np.asarray(sigma * cho_solve(cho_factor(matrix), sigma * gradient))


def _covariance(curvature: FloatArray, sigma: FloatArray) -> FloatArray:
    scaled = curvature * np.outer(sigma, sigma) + np.eye(len(sigma))
    inverse = cho_solve(cho_factor(scaled), np.eye(len(sigma)))
    return np.asarray(0.5 * (inverse + inverse.T) * np.outer(sigma, sigma))


def _with_likeliest_spreads(prior: Prior, x: FloatArray, covariance: FloatArray) -> tuple[Prior, dict[str, float]]:
    """Return the prior with spreads re-estimated at x, and how many unknowns of each group are determined."""
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
    model: EdgeModel, readings: Readings, x: FloatArray, noise: Noise
) -> list[tuple[FloatArray, FloatArray]]:
    """Return residuals (R,) and Jacobians (R, P) of a configuration in units of the readings' uncertainty."""
    found = []
    amperes = noise.of_amperes(readings)
    for phase, readout in zip(readings.phases, readings.readouts, strict=True):
        currents = amperes is not None and readout.source_currents is not None
        response = model.respond(x, phase, currents)
        sigma = noise.of_volts(readout.voltage_sigma)
        good = np.isfinite(readout.voltages)
        if readout.saturated is not None:
            good &= ~readout.saturated
        found.append(((readout.voltages - response.volts)[good] / sigma, response.d_volts[good] / sigma))
        if amperes is None or readout.source_currents is None:
            continue
        off = readout.source_currents - response.sources
        found.append((off.ravel() / amperes, response.d_sources.reshape(off.size, -1) / amperes))
        if phase.kind == "clamp" and readout.output_currents is not None:
            on = ~np.isnan(phase.values)
            off = (readout.output_currents - response.clamps)[on]
            found.append((off / amperes, response.d_clamps[on] / amperes))
    return found


def _normal(
    models: Sequence[EdgeModel], readings: Sequence[Readings], x: FloatArray, noise: Noise
) -> _Normal | None:
    """Return the normal equations at x; None where the circuit cannot be solved there."""
    curvature, gradient = np.zeros((len(x), len(x))), np.zeros(len(x))
    chi2, rows = 0.0, 0
    try:
        for model, read in zip(models, readings, strict=True):
            parts = whitened(model, read, x, noise)
            residual = np.concatenate([r for r, _ in parts])
            jacobian = np.concatenate([J for _, J in parts])
            curvature += jacobian.T @ jacobian
            gradient += jacobian.T @ residual
            chi2 += float(residual @ residual)
            rows += len(residual)
    except CircuitError:
        return None
    return _Normal(curvature, gradient, chi2, rows)

