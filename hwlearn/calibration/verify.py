"""Predicted against measured on configurations and patterns that no estimate has seen."""

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
    """How well a calibrated network is predicted.

    Attributes
    ----------
    predicted_V, measured_V, sigma_V : ndarray, shape (R,)
        Of every reading that did not saturate; the standard uncertainty of their difference.
    nominal_V : ndarray, shape (R,)
        Predicted without the edges' calibration.
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
        """What chi stays below if the stated uncertainties are right, but for one time in a thousand.

        Errors of one configuration are not independent of each other: each configuration counts for a few
        readings only.
        """
        independent = min(len(self.measured_V), 4 * self.configurations)
        return math.sqrt(1 + 3.1 * math.sqrt(2 / independent))

    @property
    def rms_V(self) -> float:
        """Root mean square of (measured - predicted)."""
        return float(np.sqrt(np.mean((self.measured_V - self.predicted_V) ** 2)))

    @property
    def nominal_rms_V(self) -> float:
        """The same of the nominal prediction."""
        return float(np.sqrt(np.mean((self.measured_V - self.nominal_V) ** 2)))


def verify(
    network: Network,
    gain: FloatArray,
    uncertainty: Callable[[FloatArray, FloatArray], FloatArray] | None = None,
    configurations: int = 4,
    patterns: int = 16,
    seed: int = 0,
) -> Verification:
    """Program fresh random configurations and compare readings of fresh patterns with their prediction.

    Parameters
    ----------
    network : Network
        Calibrated.
    gain : ndarray, shape (E,)
        The edges' gains in it, for the nominal prediction.
    uncertainty : callable, optional
        Conductances (E,) as the hardware said that it took them, and inputs (S, n_in) -> standard uncertainty
        (S, n_out) of the prediction in volts; without, the prediction counts as exact.
    configurations, patterns : int
        How many; patterns in each configuration.
    seed : int

    Raises
    ------
    HwlearnError
        Whatever the network finds wrong.
    """
    rng = np.random.default_rng([seed, 0xFE])
    top, limits = network.topology, network.limits
    low, high = _within_reach(limits.conductance, gain)
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
        # a bench without noise is still computed in double precision
        sigma = np.full(read.voltages.shape, max(read.voltage_sigma, _LEAST_SIGMA * limits.voltage))
        if uncertainty is not None:
            sigma = np.hypot(sigma, uncertainty(done.reached / gain, x))
        seen = np.ones(sigma.shape, dtype=bool) if read.saturated is None else ~read.saturated
        found.append((predicted[seen], read.voltages[seen], sigma[seen], nominal[seen]))
    predicted, measured, sigma, nominal = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Verification(predicted, measured, sigma, nominal, noise, configurations)


def _within_reach(conductance: tuple[float, float], gain: FloatArray) -> tuple[float, float]:
    """Return a range of conductances that nearly all edges reach, whatever their gain."""
    low, high = conductance
    inner = low * max(1.0, float(np.quantile(gain, 0.9))), high * min(1.0, float(np.quantile(gain, 0.1)))
    return inner if inner[0] < inner[1] else conductance
