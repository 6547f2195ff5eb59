"""Normal equations in which the errors of each programming are eliminated.

An edge that is programmed again conducts ``exp(d)`` times its mean conductance. The deviation d of each edge in
each configuration is an unknown of mean 0 and standard deviation tau, the programming noise. Linearised, the
readings of a configuration have the residual ``r - J x - J_E d`` with the columns J_E of the edges. Eliminating d
leaves the marginal likelihood of the other unknowns: ``r - J x`` has the covariance ``1 + tau^2 J_E J_E^T``, which
Woodbury's identity inverts. One eigendecomposition per configuration serves every tau.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.calibration.estimation.unknowns import Prior
from hwlearn.calibration.estimation.whitening import Block

_LEAST_EIGENVALUE: Final = 1e-12  # relative to the largest; less is rounding


@dataclass(frozen=True, eq=False)
class LinearSolution:
    """Maximum of the linearised posterior at one tau.

    Attributes
    ----------
    step : ndarray, shape (P,)
        From the point of linearisation.
    cost : float
        -2 log of the marginal likelihood of the readings, up to a constant; a function of tau.
    factor : (ndarray (P, P), bool)
        Cholesky factor of the curvature in units of ``sigma`` (P,), the prior's.
    """

    step: FloatArray
    cost: float
    factor: tuple[FloatArray, bool]
    sigma: FloatArray

    @cached_property
    def covariance(self) -> FloatArray:
        """Covariance (P, P) of the unknowns, with the deviations eliminated."""
        inverse = cho_solve(self.factor, np.eye(len(self.sigma)), check_finite=False)
        return np.asarray(0.5 * (inverse + inverse.T) * np.outer(self.sigma, self.sigma))


class Elimination:
    """Readings of all configurations, linearised about one point, as functions of tau.

    Parameters
    ----------
    blocks : sequence of Block
        Readings at the point: unknowns x, and deviations d.
    deviations : ndarray, shape (C, M)
        Deviations d of the edges that move.
    edges : ndarray of int, shape (M,)
        Unknowns that are the log-gains of these edges.
    """

    def __init__(self, blocks: Sequence[Block], deviations: FloatArray, edges: IntArray) -> None:
        self._blocks, self._edges = blocks, edges
        values, rotated, shifted, back, residuals = [], [], [], [], []
        for block, deviation in zip(blocks, deviations, strict=True):
            of_edges = block.jacobian[:, edges]
            residual = block.residual + of_edges @ deviation  # linearised back to no deviation
            value, vectors, to_edges = _eigen(of_edges)
            values.append(value)
            rotated.append(vectors.T @ block.jacobian)
            shifted.append(vectors.T @ residual)
            back.append(to_edges)
            residuals.append(residual)
        self._starts = np.cumsum([0, *(len(value) for value in values)])
        self._value, self._rotated = np.concatenate(values), np.concatenate(rotated)
        self._shifted, self._back = np.concatenate(shifted), back
        # one large product costs less than many small ones
        jacobian, whole = np.concatenate([block.jacobian for block in blocks]), np.concatenate(residuals)
        self._curvature, self._gradient = jacobian.T @ jacobian, jacobian.T @ whole
        self._chi2 = float(whole @ whole)
        # of tau = 0; the last one is kept, because priors are varied at one tau
        self._kept = 0.0, (self._curvature, self._gradient, self._chi2)

    def solve(self, tau: float, prior: Prior, x: FloatArray, damping: float = 0.0) -> LinearSolution:
        """Return the maximum of the linearised posterior at this tau.

        Parameters
        ----------
        tau : float
        prior : Prior
        x : ndarray, shape (P,)
            Point of linearisation.
        damping : float
            Added to the curvature, relative to its diagonal.
        """
        # in units of the prior's spreads all terms are of order one, and the matrix is well-conditioned
        sigma = prior.sigma
        curvature, gradient, readings = self._marginal(tau)
        gradient = gradient - prior.pull(x)
        matrix = curvature * np.outer(sigma, sigma) + prior.scaled_precision
        if damping:
            matrix += damping * np.diag(np.diagonal(matrix))
        factor = cho_factor(matrix, lower=True, check_finite=False)
        step = sigma * cho_solve(factor, sigma * gradient, check_finite=False)
        cost = readings + 2 * float(np.log(np.diagonal(factor[0])).sum()) + prior.cost(x) - float(gradient @ step)
        return LinearSolution(step, cost, factor, sigma)

    def _marginal(self, tau: float) -> tuple[FloatArray, FloatArray, float]:
        """Return curvature (P, P), half the gradient (P,) and -2 log likelihood of the readings at this tau."""
        if tau != self._kept[0]:
            weight = tau**2 / (1 + tau**2 * self._value)
            light = self._rotated * np.sqrt(weight)[:, None]
            curvature = self._curvature - light.T @ light
            gradient = self._gradient - self._rotated.T @ (weight * self._shifted)
            cost = self._chi2 - float(weight @ self._shifted**2) + float(np.log1p(tau**2 * self._value).sum())
            self._kept = tau, (curvature, gradient, cost)
        return self._kept[1]

    def deviations(self, tau: float, step: FloatArray) -> FloatArray:
        """Return the most likely deviations (C, M) after a step of the other unknowns."""
        weight = tau**2 / (1 + tau**2 * self._value)
        left = weight * (self._shifted - self._rotated @ step)
        return np.stack(
            [
                to_edges @ left[first:end]
                for to_edges, first, end in zip(self._back, self._starts[:-1], self._starts[1:], strict=True)
            ]
        )

    def used(self, tau: float, covariance: FloatArray) -> FloatArray:
        """Return the degrees of freedom (2,) that the unknowns and deviations take from volts and amperes."""
        used = np.zeros(2)
        for k, block in enumerate(self._blocks):
            part = slice(self._starts[k], self._starts[k + 1])
            value = self._value[part]
            weight = tau**2 / (1 + tau**2 * value)
            of_edges = block.jacobian[:, self._edges]
            turned = of_edges @ self._back[k]
            left = block.jacobian - turned @ (weight[:, None] * self._rotated[part])
            share = ((left @ covariance) * left).sum(axis=1) + (turned**2) @ weight
            amperes = float(share[block.is_current].sum())
            used += float(share.sum()) - amperes, amperes
        return used


def _eigen(of_edges: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the eigenvalues of the edges' normal matrix, with eigenvectors in the readings and in the edges.

    Eigenvalues (K,), eigenvectors (R, K) times the roots of the eigenvalues, and eigenvectors (M, K). The smaller
    of the two Gram matrices is decomposed.
    """
    rows, edges = of_edges.shape
    wide = edges > rows
    value, vectors = np.linalg.eigh(of_edges @ of_edges.T if wide else of_edges.T @ of_edges)
    kept = value > _LEAST_EIGENVALUE * max(float(value[-1]) if len(value) else 0.0, 1e-300)
    value, vectors = value[kept], vectors[:, kept]
    if not wide:
        return value, of_edges @ vectors, vectors
    root = np.sqrt(value)
    return value, vectors * root, of_edges.T @ (vectors / root)
