"""Noise of the readings against averaging, and their lag after a step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.calibration.patterns import few_levels, within_current
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.network.network import Network

HOLD = 8
"""Readings taken after each step of the step response."""

READINGS = 256
"""Readings of the pattern from which the noise is estimated."""

SHARE_OF_NUDGE = 1e-3
"""Noise after the recommended averaging, relative to ``limits.nudge``."""

_SURE = 4.0  # standard errors above which a lag counts as significant
_LARGE_LAG = 0.1  # above it the readings at the end of a step are not settled either


@dataclass(frozen=True, eq=False)
class NoiseFit:
    """Noise and lag of a bench.

    Attributes
    ----------
    sigma_V : ndarray, shape (n_out,)
        Standard deviation of one reading, including the rounding of the converter where it hides the noise.
    stated_sigma_V : float
        Noise that the hardware states.
    averages : ndarray of int, shape (M,)
        Numbers of successive readings that were averaged.
    of_mean_V : ndarray, shape (M, n_out)
        Allan deviation of such means.
    recommended : int
        Averages at which the noise is `SHARE_OF_NUDGE` of the nudge limit, or stops falling.
    lag, lag_sigma : float
        Fraction of a step that is missing in the first reading after it.
    response, response_sigma : ndarray, shape (HOLD,)
        Fraction of a step that is missing in each of the readings after it.
    """

    sigma_V: FloatArray
    stated_sigma_V: float
    averages: IntArray
    of_mean_V: FloatArray
    recommended: int
    lag: float
    lag_sigma: float
    response: FloatArray
    response_sigma: FloatArray

    @property
    def lags(self) -> bool:
        """Whether the lag is significant."""
        return self.lag > _SURE * self.lag_sigma and self.lag > 0

    @property
    def is_stated(self) -> bool:
        """Whether the bench states its noise; not stated is not zero."""
        return self.stated_sigma_V > 0 or not bool(self.sigma_V.any())

    @property
    def within_specification(self) -> bool:
        """Whether no output is significantly noisier than stated, if the noise is stated."""
        if not self.is_stated:
            return True
        readings = 2 * int(self.averages[-1]) * 4
        return bool(self.sigma_V.max() <= self.stated_sigma_V * (1 + 5 / math.sqrt(2 * readings)) + 1e-12)

    def settle_s(self, now_s: float, step_V: float) -> float | None:
        """Return the wait after which the lag is half of the averaged noise; None without a significant lag.

        Parameters
        ----------
        now_s : float
            Wait during this measurement.
        step_V : float
            Largest expected step.
        """
        if not self.lags or now_s <= 0:
            return None
        tau = -now_s / math.log(min(self.lag, 1 - 1e-9))
        left = 0.5 * float(np.median(self.sigma_V)) / math.sqrt(self.recommended)
        return tau * math.log(step_V / left) if 0 < left < step_V else tau * 20


def measure_noise(network: Network, readings: int = READINGS, steps: int = 16, seed: int = 0) -> NoiseFit:
    """Program the middle of the range, read one pattern many times, then the response to many steps.

    Parameters
    ----------
    network : Network
        Uncalibrated, or with calibrated converters.
    readings : int
        Readings of the pattern; a power of two.
    steps : int
        Steps of the inputs between a pattern and its negative.
    seed : int
        Seed of the pattern.

    Raises
    ------
    HwlearnError
        From the network.
    """
    low, high = network.limits.conductance
    middle = np.full(network.topology.n_edges, math.sqrt(low * high))
    pattern = within_current(network.limits, Kirchhoff(network.topology, middle), _pattern(network, seed))[0]
    network.program(middle)
    read = network.measure(np.tile(pattern, (readings, 1)))
    counts = 2 ** np.arange(int(math.log2(readings / 8)) + 1)
    of_mean = np.stack([_allan(read.voltages, int(m)) for m in counts])
    sigma = _with_step(read.voltages[HOLD:].std(axis=0, ddof=1), network.resolution)
    signs = np.where(np.arange(steps) % 2 == 0, 1.0, -1.0)
    stepped = network.measure(np.repeat(signs, HOLD)[:, None] * pattern).voltages.reshape(steps, HOLD, -1)
    response, response_sigma = _step_response(stepped * signs[:, None, None])
    lag, lag_sigma = float(response[0]), float(response_sigma[0])
    if lag > max(_SURE * lag_sigma, _LARGE_LAG):
        lag = _ratio(stepped * signs[:, None, None])
    return NoiseFit(
        sigma,
        read.voltage_sigma,
        counts,
        of_mean,
        _recommended(counts, of_mean, sigma, network.limits.nudge),
        lag,
        lag_sigma,
        response,
        response_sigma,
    )


def _pattern(network: Network, seed: int) -> FloatArray:
    """Return input volts (1, n_in) within half of the limits."""
    size = 0.5 * min(network.limits.voltage, 0.5 * network.limits.drop)
    drawn = np.random.default_rng(seed).uniform(-size, size, (1, network.topology.n_inputs))
    return few_levels(drawn, network.direct_levels)


def _allan(voltages: FloatArray, m: int) -> FloatArray:
    """Return the Allan deviation (n_out,) of means of m successive readings, which excludes slow drift."""
    means = voltages[: len(voltages) // m * m].reshape(-1, m, voltages.shape[1]).mean(axis=1)
    return np.asarray(np.sqrt(0.5 * np.mean(np.diff(means, axis=0) ** 2, axis=0)))


def _with_step(sigma: FloatArray, step: float) -> FloatArray:
    """Add the rounding of a converter where the noise is below half a step."""
    return np.where(sigma < 0.5 * step, np.hypot(sigma, step / math.sqrt(12)), sigma)


def _recommended(counts: IntArray, of_mean: FloatArray, sigma: FloatArray, nudge: float) -> int:
    if not sigma.any():
        return 1
    enough = math.ceil((float(sigma.max()) / (SHARE_OF_NUDGE * nudge)) ** 2)
    rms = np.sqrt(np.mean(of_mean**2, axis=1))
    falls = int(counts[int(np.argmin(rms))])
    # the deviation of the longest means is uncertain: a rise counts only if white noise does not explain it
    white = rms[0] / np.sqrt(counts)
    if (rms <= 2 * white).all():
        falls = enough
    return max(1, min(1 << max(0, enough - 1).bit_length(), falls if falls < enough else 1 << 30))


def _step_response(after: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return missing fractions (HOLD,) and their uncertainty from readings (steps, HOLD, n_out) of equal sign."""
    end = after[:, HOLD // 2 :].mean(axis=(0, 1))
    size = 2 * end  # from the negative of a pattern to the pattern
    weight = size**2 / max(float(size @ size), 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        missing = np.where(size == 0, 0.0, (end - after[1:]) / size)
    each = missing @ weight
    return each.mean(axis=0), each.std(axis=0, ddof=1) / math.sqrt(len(each))


def _ratio(after: FloatArray) -> float:
    """Return the factor by which the lag decreases from one reading to the next."""
    mean = after[1:].mean(axis=0)
    n = np.arange(1, HOLD + 1)

    def misfit(r: float) -> float:
        basis = np.stack([np.ones(HOLD), r**n], axis=1)
        _, rest, _, _ = np.linalg.lstsq(basis, mean, rcond=None)
        left = mean - basis @ np.linalg.lstsq(basis, mean, rcond=None)[0]
        return float(np.sum(rest) if rest.size else np.sum(left**2))

    return float(minimize_scalar(misfit, bounds=(1e-4, 0.999), method="bounded", options={"xatol": 1e-6}).x)
