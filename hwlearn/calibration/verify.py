"""Comparison of predictions with measurements in new configurations and patterns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.calibrated.network import CalibratedNetwork
from hwlearn.calibration.patterns import within_current
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.network.network import Network

_PART_OF_LIMIT = 0.95
_LEAST_SIGMA = 1e-6  # relative


@dataclass(frozen=True, eq=False)
class Verification:
    """Accuracy of the predictions for a calibrated network.

    Attributes
    ----------
    predicted_V, measured_V, sigma_V : ndarray, shape (R,)
        Predictions and readings that did not saturate; the standard uncertainty of their difference.
    nominal_V : ndarray, shape (R,)
        Predictions without the calibration of the edges.
    noise_V : float
        Stated uncertainty of one reading.
    configurations : int
    """

    predicted_V: FloatArray
    measured_V: FloatArray
    sigma_V: FloatArray
    nominal_V: FloatArray
    noise_V: float
    configurations: int

    @property
    def chi(self) -> float:
        """Root mean square of (measured - predicted), in units of the stated uncertainty."""
        return float(np.sqrt(np.mean(((self.measured_V - self.predicted_V) / self.sigma_V) ** 2)))

    @property
    def most_chi(self) -> float:
        """Upper limit of chi for correct uncertainties, exceeded once in a thousand verifications.

        The errors of one configuration are not independent, so each configuration counts as four readings.
        """
        independent = min(len(self.measured_V), 4 * self.configurations)
        return math.sqrt(1 + 3.1 * math.sqrt(2 / independent))

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
    uncertainty: Callable[[FloatArray, FloatArray], FloatArray] | None = None,
    configurations: int = 4,
    patterns: int = 16,
    seed: int = 0,
) -> Verification:
    """Program new random configurations and compare readings of new patterns with their predictions.

    Parameters
    ----------
    network : Network
        Calibrated.
    gain : ndarray, shape (E,)
        Gains of the edges, for the nominal prediction.
    uncertainty : callable, optional
        Conductances (E,) that the hardware reported, and inputs (S, n_in) -> standard uncertainty (S, n_out) of
        the prediction in volts. Default: the prediction counts as exact.
    configurations, patterns : int
        Number of configurations, and of patterns in each.
    seed : int

    Raises
    ------
    HwlearnError
        From the network.
    """
    rng = np.random.default_rng([seed, 0xFE])
    top, limits = network.topology, network.limits
    low, high = _common_range(limits.conductance, gain)
    reach = network.reach_V if isinstance(network, CalibratedNetwork) else min(limits.voltage, 0.5 * limits.drop)
    size = _PART_OF_LIMIT * reach
    found: list[tuple[FloatArray, ...]] = []
    noise = 0.0
    for _ in range(configurations):
        done = network.program(np.exp(rng.uniform(math.log(low), math.log(high), top.n_edges)))
        x = within_current(
            limits, Kirchhoff(top, done.reached), rng.uniform(-size, size, (patterns, top.n_inputs))
        )
        read = network.measure(x)
        noise = max(noise, read.voltage_sigma)
        predicted = Kirchhoff(top, done.reached).solve(x)[:, top.outputs]
        nominal = Kirchhoff(top, done.reached / gain).solve(x)[:, top.outputs]
        # a bench without noise still has rounding errors
        sigma = np.full(read.voltages.shape, max(read.voltage_sigma, _LEAST_SIGMA * limits.voltage))
        if uncertainty is not None:
            sigma = np.hypot(sigma, uncertainty(done.reached / gain, x))
        valid = np.ones(sigma.shape, dtype=bool) if read.saturated is None else ~read.saturated
        found.append((predicted[valid], read.voltages[valid], sigma[valid], nominal[valid]))
    predicted, measured, sigma, nominal = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Verification(predicted, measured, sigma, nominal, noise, configurations)


def _common_range(conductance: tuple[float, float], gain: FloatArray) -> tuple[float, float]:
    """Return a range of true conductances that nearly all edges reach with their gains."""
    low, high = conductance
    inner = low * max(1.0, float(np.quantile(gain, 0.9))), high * min(1.0, float(np.quantile(gain, 0.1)))
    return inner if inner[0] < inner[1] else conductance
