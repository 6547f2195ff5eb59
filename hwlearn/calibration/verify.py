"""Comparison of predictions with measurements in new configurations and patterns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.calibrated.network import CalibratedNetwork
from hwlearn.calibration.misfit import LEVEL, Misfit
from hwlearn.calibration.patterns import few_levels, within_current
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.network.network import Network

_PART_OF_LIMIT = 0.95
_LEAST_SIGMA = 1e-6  # relative
_MOST_READINGS = 1500


@dataclass(frozen=True, eq=False)
class PredictionUncertainty:
    """Uncertainty of predicted readings.

    Attributes
    ----------
    jacobian : callable
        Conductances (E,) that the hardware reported, and inputs (S, n_in) -> derivatives (S, n_out, P) of the
        readings in volts by the unknowns of the calibration.
    covariance : ndarray, shape (P, P)
        Of the unknowns; the same error in every configuration.
    programming : ndarray, shape (P,)
        Variance that each programming adds, drawn anew.
    """

    jacobian: Callable[[FloatArray, FloatArray], FloatArray]
    covariance: FloatArray
    programming: FloatArray


@dataclass(frozen=True, eq=False)
class Verification:
    """Accuracy of the predictions for a calibrated network.

    Two tests decide whether the predictions are correct within their stated uncertainty, each at half of the level
    `hwlearn.calibration.misfit.LEVEL`: `whole` counts every reading alike; `predictions` counts the directions in
    which the calibration and the programming noise leave more uncertainty than the read noise.

    Attributes
    ----------
    predicted_V, measured_V, sigma_V : ndarray, shape (R,)
        Predictions and readings that did not saturate; the standard uncertainty of their difference.
    nominal_V : ndarray, shape (R,)
        Predictions without the calibration of edges and wires.
    noise_V : float
        Stated uncertainty of one reading.
    configurations : int
    whole, predictions : Misfit
        Squared deviations in units of their joint uncertainty.
    noise_readings : float or None
        Number of readings from which the read noise was estimated; None: it is known exactly.
    """

    predicted_V: FloatArray
    measured_V: FloatArray
    sigma_V: FloatArray
    nominal_V: FloatArray
    noise_V: float
    configurations: int
    whole: Misfit
    predictions: Misfit
    noise_readings: float | None = None

    @property
    def chi(self) -> float:
        """Root mean square of (measured - predicted), in units of its joint uncertainty."""
        return self.whole.chi

    @property
    def most_chi(self) -> float:
        """Upper limit of `chi`, exceeded by correct predictions in one of 2000 verifications."""
        return self.whole.most_chi(self.noise_readings, LEVEL / 2)

    @property
    def most_prediction_chi(self) -> float:
        """The same limit for the ``chi`` of `predictions`."""
        return self.predictions.most_chi(None, LEVEL / 2)

    @property
    def passed(self) -> bool:
        """Whether both tests pass."""
        return self.chi <= self.most_chi and self.predictions.chi <= self.most_prediction_chi

    @property
    def found_factor(self) -> float:
        """Errors so many times their stated uncertainty are found with the probability `POWER`."""
        of_predictions = self.predictions.found_chi(None, LEVEL / 2)
        return min(of_predictions, self.whole.found_chi(self.noise_readings, LEVEL / 2))

    @property
    def rms_V(self) -> float:
        """Root mean square of (measured - predicted)."""
        return float(np.sqrt(np.mean((self.measured_V - self.predicted_V) ** 2)))

    @property
    def nominal_rms_V(self) -> float:
        """Root mean square of (measured - nominal prediction)."""
        return float(np.sqrt(np.mean((self.measured_V - self.nominal_V) ** 2)))


def verify(
    network: Network,
    gain: FloatArray,
    uncertainty: PredictionUncertainty | None = None,
    configurations: int = 4,
    patterns: int = 16,
    seed: int = 0,
    noise_readings: float | None = None,
) -> Verification:
    """Program new random configurations and compare readings of new patterns with their predictions.

    Parameters
    ----------
    network : Network
        Calibrated.
    gain : ndarray, shape (E,)
        Gains of the edges, for the nominal prediction.
    uncertainty : PredictionUncertainty, optional
        Default: the predictions count as exact.
    configurations, patterns : int
        Number of configurations, and of patterns in each.
    seed : int
    noise_readings : float, optional
        Number of readings from which the read noise was estimated. Default: it is known exactly.

    Raises
    ------
    HwlearnError
        From the network.
    """
    rng = np.random.default_rng([seed, 0xFE])
    top, limits = network.topology, network.limits
    declared = network.network.topology if isinstance(network, CalibratedNetwork) else top
    low, high = _common_range(limits.conductance, gain)
    reach = network.reach_V if isinstance(network, CalibratedNetwork) else min(limits.voltage, 0.5 * limits.drop)
    size = _PART_OF_LIMIT * reach
    found: list[tuple[FloatArray, ...]] = []
    jacobians: list[FloatArray] = []
    noise = 0.0
    for _ in range(configurations):
        done = network.program(np.exp(rng.uniform(math.log(low), math.log(high), top.n_edges)))
        drawn = few_levels(rng.uniform(-size, size, (patterns, top.n_inputs)), network.direct_levels)
        x = within_current(limits, Kirchhoff(top, done.reached), drawn)
        read = network.measure(x)
        noise = max(noise, read.voltage_sigma)
        predicted = Kirchhoff(top, done.reached).solve(x)[:, top.outputs]
        nominal = Kirchhoff(declared, done.reached / gain).solve(x)[:, top.outputs]
        # a bench without noise still has rounding errors
        sigma = np.full(read.voltages.shape, max(read.voltage_sigma, _LEAST_SIGMA * limits.voltage))
        valid = np.ones(sigma.shape, dtype=bool) if read.saturated is None else ~read.saturated
        found.append((predicted[valid], read.voltages[valid], sigma[valid], nominal[valid]))
        if uncertainty is not None:
            jacobians.append(uncertainty.jacobian(done.reached / gain, x)[valid])
    predicted, measured, sigma, nominal = (np.concatenate(parts) for parts in zip(*found, strict=True))
    off, total = (measured - predicted) / sigma, sigma
    whole, predictions = Misfit(float(off @ off), float(len(off)), len(off)), Misfit(0.0, 0.0, 0)
    if uncertainty is not None:
        whole, predictions, total = _tested(off, jacobians, sigma, uncertainty)
    return Verification(
        predicted, measured, total, nominal, noise, configurations, whole, predictions, noise_readings
    )


def _tested(
    off: FloatArray, jacobians: list[FloatArray], noise: FloatArray, uncertainty: PredictionUncertainty
) -> tuple[Misfit, Misfit, FloatArray]:
    """Return both misfits, and the standard uncertainties (R,) in volts.

    Parameters
    ----------
    off : ndarray, shape (R,)
        Deviations in units of the read noise.
    jacobians : list of ndarray, shape (R_c, P)
        One for each configuration.
    noise : ndarray, shape (R,)
        Read noise in volts.
    uncertainty : PredictionUncertainty
    """
    J = np.concatenate(jacobians) / noise[:, None]
    number = np.repeat(np.arange(len(jacobians)), [len(one) for one in jacobians])
    sigma = noise * np.sqrt(1 + ((J @ uncertainty.covariance) * J).sum(axis=1) + J**2 @ uncertainty.programming)
    # the joint covariance grows as the square of the number of readings: of many, evenly spaced ones are tested
    kept = (
        np.unique(np.linspace(0, len(off) - 1, _MOST_READINGS).astype(int)) if len(off) > _MOST_READINGS else ...
    )
    J, off, number = J[kept], off[kept], number[kept]
    joint = J @ uncertainty.covariance @ J.T
    joint += (number[:, None] == number) * ((J * uncertainty.programming) @ J.T)
    value, vectors = np.linalg.eigh(joint)
    value = np.maximum(value, 0.0)
    squares = (vectors.T @ off) ** 2 / (1 + value)
    whole = Misfit(float(squares.sum()), float(len(off)), len(off))
    return whole, Misfit.weighted(squares, value / (1 + value)), sigma


def _common_range(conductance: tuple[float, float], gain: FloatArray) -> tuple[float, float]:
    """Return a range of true conductances that nearly all edges reach with their gains."""
    low, high = conductance
    inner = low * max(1.0, float(np.quantile(gain, 0.9))), high * min(1.0, float(np.quantile(gain, 0.1)))
    return inner if inner[0] < inner[1] else conductance
