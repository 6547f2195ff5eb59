"""Resistance between the input sources and their nodes, from the measured currents of the sources.

With every edge programmed to s times a reference, the impedance of the network is proportional to 1/s. The part
that remains when 1/s is extrapolated to zero lies outside the network: in wires, switches and sources. The
impedance between the inputs is the inverse of their measured admittance, without the common mode if no node is
grounded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.calibration.misfit import Misfit
from hwlearn.errors import HwlearnError
from hwlearn.network.network import Network

LEVELS = 5
"""Conductance levels, from an eighth of the largest up to it."""


class NotMeasurableError(HwlearnError):
    """The hardware lacks a measurement that an estimate needs."""


@dataclass(frozen=True, eq=False)
class LineFit:
    """Source resistances.

    Attributes
    ----------
    ohm, sigma_ohm : ndarray, shape (n_in,)
        Resistance of each input's line, and its standard uncertainty: from the scatter of repeats, or from the
        deviation of the impedances from straight lines if that is larger.
    chi : float
        Misfit of the straight lines in units of the scatter; about 1 is expected.
    inverse_level : ndarray, shape (LEVELS,)
        Inverse of the common factor, 1 at the highest level.
    impedance : ndarray, shape (LEVELS, n)
        Diagonal of the measured impedance at each level, in ohm.
    failed : int
        Edges that failed to reach their target at some level.
    misfit : Misfit
        Squared deviations from the straight lines in units of the scatter.
    scatter_readings : float
        Number of readings from which the scatter was estimated.
    """

    ohm: FloatArray
    sigma_ohm: FloatArray
    chi: float
    inverse_level: FloatArray
    impedance: FloatArray
    failed: int
    misfit: Misfit
    scatter_readings: float

    @property
    def is_straight(self) -> bool:
        """Whether the scatter explains the deviations from straight lines."""
        return not self.misfit.exceeds(self.scatter_readings)


def measure_lines(network: Network, repeats: int = 32) -> LineFit:
    """Measure the inputs' admittance at several conductance levels and extract the part that does not scale.

    Parameters
    ----------
    network : Network
    repeats : int
        Readings of each pattern, at least 4.

    Raises
    ------
    NotMeasurableError
        If the hardware does not measure source currents, or has too few inputs to separate the lines.
    """
    top, limits = network.topology, network.limits
    basis = np.eye(top.n_inputs) if top.ground is not None else _sums_to_zero(top.n_inputs)
    design = _design(basis)
    if np.linalg.matrix_rank(design) < top.n_inputs:
        raise NotMeasurableError(
            f"{top.n_inputs} inputs without ground determine only sums of line resistances; 3 inputs are needed"
        )
    if network.measure(np.zeros((1, top.n_inputs))).source_currents is None:
        raise NotMeasurableError("the hardware does not measure the currents of its sources")
    volts = _volts(network)
    rows, levels = [], []
    failed = np.zeros(top.n_edges, dtype=bool)
    for factor in np.geomspace(1 / 8, 1, LEVELS):
        low, high = limits.conductance
        done = network.program(np.full(top.n_edges, max(low, factor * high)))
        failed |= done.failed
        levels.append(float(np.exp(np.mean(np.log(done.reached)))))
        patterns = volts * np.concatenate([np.eye(top.n_inputs), -np.eye(top.n_inputs)])
        read = network.measure(np.tile(patterns, (repeats, 1)))
        assert read.source_currents is not None  # checked above
        currents = read.source_currents.reshape(repeats, 2, top.n_inputs, top.n_inputs)
        admittance = 0.5 * (currents[:, 0] - currents[:, 1]) / volts
        reduced = np.einsum("ia,rji,jb->rab", basis, admittance, basis)
        # linearised about the inverse of the mean: the inverse of a noisy matrix is biased
        mean = np.linalg.inv(reduced.mean(axis=0))
        each = mean - mean @ (reduced - reduced.mean(axis=0)) @ mean
        rows.append(0.5 * (each + each.swapaxes(1, 2)))
    inverse = levels[-1] / np.array(levels)
    Z = np.stack(rows, axis=1)  # (repeats, LEVELS, n, n)
    upper = np.triu_indices(Z.shape[-1])
    points = Z[:, :, upper[0], upper[1]]
    scatter = points.std(axis=0, ddof=1) / math.sqrt(repeats)
    intercepts, formal, left = _lines(inverse, points, scatter)
    of_lines = np.linalg.pinv(design)
    ohm = intercepts @ of_lines.T
    freedom = left.size - 2 * left.shape[1]
    chi = math.sqrt(float(np.sum(left**2)) / freedom)
    # where the scatter does not explain the deviation from the line, use the deviation
    alone = np.maximum(ohm.std(axis=0, ddof=1) / math.sqrt(repeats), np.sqrt(of_lines**2 @ formal**2))
    sigma = alone * max(1.0, chi)
    impedance = np.diagonal(Z.mean(axis=0), axis1=1, axis2=2).copy()
    misfit = Misfit(float(np.sum(left**2)), float(freedom), left.size)
    # the impedances of one level come from the same readings
    scatter_readings = float(LEVELS * (repeats - 1))
    return LineFit(ohm.mean(axis=0), sigma, chi, inverse, impedance, int(failed.sum()), misfit, scatter_readings)


def _volts(network: Network) -> float:
    """Return volts for one input, the others at 0 V, within every limit for any conductances."""
    limits, top = network.limits, network.topology
    edges = np.bincount(top.all_edges.ravel(), minlength=top.n_nodes)[top.inputs]
    most = limits.current / (limits.conductance[1] * float(edges.max()))
    return 0.5 * min(limits.voltage, limits.drop, most)


def _sums_to_zero(n: int) -> FloatArray:
    """Return a basis (n, n - 1) of the space orthogonal to the common mode."""
    return np.asarray(np.linalg.svd(np.ones((1, n)))[2][1:].T)


def _design(basis: FloatArray) -> FloatArray:
    """Return the matrix (T, n) from line resistances to the upper triangle of the reduced impedance."""
    upper = np.triu_indices(basis.shape[1])
    whole = np.einsum("ia,ib->abi", basis, basis)
    return np.asarray(whole[upper])


def _lines(x: FloatArray, points: FloatArray, scatter: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fit weighted straight lines: intercepts (R, T), their sigma (T,), residuals (LEVELS, T) in sigmas."""
    sigma = np.maximum(scatter, 1e-12 * np.abs(points).max())
    intercepts = np.empty((points.shape[0], points.shape[2]))
    formal, left = np.empty(sigma.shape[1]), np.empty(sigma.shape)
    for t in range(points.shape[2]):
        weighted = np.stack([np.ones_like(x), x], axis=1) / sigma[:, t, None]
        found = np.linalg.lstsq(weighted, points[:, :, t].T / sigma[:, t, None], rcond=None)[0]
        intercepts[:, t] = found[0]
        formal[t] = math.sqrt(np.linalg.inv(weighted.T @ weighted)[0, 0])
        left[:, t] = points[:, :, t].mean(axis=0) / sigma[:, t] - weighted @ found.mean(axis=1)
    return intercepts, formal, left
