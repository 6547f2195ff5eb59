"""Maximum-likelihood fit of device laws; a Kalman filter separates read noise from cycle-to-cycle spread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.errors import DataError
from hwlearn_sim.devices.fits.measured import PulseData

L = TypeVar("L")

_H: Final = 1e-4  # step of the logarithm of a parameter
_NOISE_START: Final = (np.log(0.01), np.log(0.1))
_NOISE_HELD: Final = (np.log(0.02), np.log(0.2))
_NOISE_PRIOR: Final = (2.0, 2.0)
_DETERMINED: Final = 0.5


class PulseStep(Protocol):
    """Effect of one pulse on candidates (3, B), from conductances, volts, seconds and strength."""

    def __call__(self, conductance: FloatArray, volts: float, width_s: float, strength: FloatArray) -> FloatArray:
        """Return the conductances (3, B) in siemens after the pulse."""


@dataclass(frozen=True, eq=False, slots=True)
class FittedLaw(Generic[L]):
    """A law fitted to measured pulses.

    Attributes
    ----------
    law
        The law with the most likely parameters.
    values, sigma : mapping of str to float
        Fitted parameters and their standard uncertainties.
    determined : mapping of str to bool
        Whether the data determine a parameter. False if its value depends mostly on the starting point, for
        example a threshold that no pulse approached.
    read_noise, cycle_spread : float
        Relative standard deviations of a reading and of the dose of one pulse.
    residual : float
        Root mean square of predicted minus measured values over their standard deviation; 1 if the law fits.
    """

    law: L
    values: Mapping[str, float]
    sigma: Mapping[str, float]
    determined: Mapping[str, bool]
    read_noise: float
    cycle_spread: float
    residual: float


def fit(
    data: PulseData,
    starts: Sequence[FloatArray],
    prior: FloatArray,
    make: Callable[[FloatArray], PulseStep],
    values: Callable[[FloatArray], dict[str, float]],
    law: Callable[[dict[str, float]], L],
) -> FittedLaw[L]:
    """Return the parameters with the maximum posterior likelihood.

    Parameters
    ----------
    data : PulseData
        The measurements.
    starts : sequence of ndarray, shape (P,)
        Starting points; the best result is returned.
    prior : ndarray, shape (P,)
        Standard deviations of a weak normal prior around the first starting point.
    make : callable
        Returns the pulse step for the parameters (P, B) of B candidates.
    values : callable
        Returns the named parameters of the law for parameters (P,).
    law : callable
        Returns the law for named parameters.

    Raises
    ------
    DataError
        If no starting point leads to a finite likelihood.

    Notes
    -----
    The hidden state is the conductance. A pulse changes it by the law, with a dose that varies from cycle to
    cycle. A reading adds noise. Both are linearised (extended Kalman filter), and the likelihood is that of the
    innovations. The uncertainties are the inverse Hessian at the maximum, converted to the law's parameters.
    """
    from scipy.optimize import OptimizeResult, minimize  # slow to import, and rarely needed

    centre = np.concatenate([starts[0], _NOISE_START])
    width = np.concatenate([prior, _NOISE_PRIOR])

    def cost(theta: FloatArray) -> FloatArray:
        """Return the negative log posterior (B,) of parameters (P + 2, B)."""
        nll, _ = _likelihood(data, make(theta[:-2]), np.exp(theta[-2]), np.exp(theta[-1]))
        nll = nll + 0.5 * np.sum(((theta - centre[:, None]) / width[:, None]) ** 2, axis=0)
        return np.where(np.isfinite(nll), nll, 1e12)

    def cost_and_gradient(theta: FloatArray) -> tuple[float, FloatArray]:
        away = np.eye(len(theta)) * _H
        all_costs = cost(np.concatenate([theta[:, None], theta[:, None] + away, theta[:, None] - away], axis=1))
        plus, minus = all_costs[1 : len(theta) + 1], all_costs[len(theta) + 1 :]
        return float(all_costs[0]), (plus - minus) / (2 * _H)

    with np.errstate(all="ignore"):  # candidates far from the optimum may overflow; they get a large cost
        free = [(c - 4 * w, c + 4 * w) for c, w in zip(centre, width, strict=True)]
        # with free noise from the start, the fit would explain the data as noise
        held = [*free[:-2], *((level, level) for level in _NOISE_HELD)]

        def searched(start: FloatArray, bounds: list[tuple[float, float]], rounds: int) -> OptimizeResult:
            options = {"maxiter": rounds, "ftol": 1e-10, "gtol": 1e-4}
            return minimize(cost_and_gradient, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)

        begun = [searched(np.concatenate([start, _NOISE_HELD]), held, 60) for start in starts]
        first = np.array(min(begun, key=lambda end: float(end.fun)).x)
        first[-2:] = _NOISE_START
        best = searched(first, free, 300)
        if not best.fun < 1e11:
            raise DataError("no parameters of this law describe the data; check polarity, units and device")
        theta = np.asarray(best.x)
        covariance = _inverse_hessian(cost_and_gradient, theta, width)
        _, residual = _likelihood(data, make(theta[:-2, None]), np.exp(theta[-2:-1]), np.exp(theta[-1:]))
    found = values(theta[:-2])
    slopes = np.array(
        [_slopes(lambda t, name=name: values(t)[name], theta[:-2]) for name in found]  # type: ignore[misc]
    )
    sigma = np.sqrt(np.einsum("vi,ij,vj->v", slopes, covariance[:-2, :-2], slopes))
    from_prior = np.sqrt(np.einsum("vi,i->v", slopes**2, prior**2))
    return FittedLaw(
        law(found),
        found,
        dict(zip(found, sigma.tolist(), strict=True)),
        dict(zip(found, (sigma < _DETERMINED * from_prior).tolist(), strict=True)),
        float(np.exp(theta[-2])),
        float(np.exp(theta[-1])),
        float(residual[0]),
    )


def _likelihood(
    data: PulseData, step: PulseStep, noise: FloatArray, cycle: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the negative log likelihood (B,) and the rms normalised innovation (B,)."""
    read, repeats = data.conductance.tolist(), data.repeats.tolist()
    mean = np.full(noise.shape, read[0])
    variance = (noise * read[0]) ** 2
    innovation = np.empty((len(repeats), *noise.shape))
    expected = np.empty_like(innovation)  # variance of the innovation
    tiny = 1e-4 * float(np.median(read))
    before, strength = np.empty((3, *noise.shape)), np.ones((3, *noise.shape))
    strength[2] += 1e-3
    pulses = zip(repeats, data.amplitude[1:].tolist(), data.width[1:].tolist(), read[1:], strict=True)
    for k, (times, volts, width_s, reading) in enumerate(pulses):
        # the pulse itself, its slope in the state, its slope in the dose, all in one call
        before[:] = mean
        before[1] += tiny
        after = step(before, volts, width_s * times, strength)
        mean = after[0]
        in_state, in_dose = (after[1] - mean) / tiny, (after[2] - mean) / 1e-3
        variance = in_state * in_state * variance + (in_dose * cycle) ** 2 / times
        expected[k] = variance + (noise * mean) ** 2
        innovation[k] = reading - mean
        gain = variance / expected[k]
        mean = mean + gain * innovation[k]
        variance = (1 - gain) * variance
    square = innovation * innovation / expected
    nll = 0.5 * (np.log(expected) + square).sum(axis=0)
    return nll, np.sqrt(square.sum(axis=0) / len(repeats))


def _inverse_hessian(
    cost: Callable[[FloatArray], tuple[float, FloatArray]], theta: FloatArray, width: FloatArray
) -> FloatArray:
    h = 1e-3
    hessian = np.array(
        [(cost(theta + h * unit)[1] - cost(theta - h * unit)[1]) / (2 * h) for unit in np.eye(len(theta))]
    )
    value, vector = np.linalg.eigh(0.5 * (hessian + hessian.T))
    # no uncertainty is larger than that of the prior
    return np.asarray((vector / np.maximum(value, float(width.max()) ** -2)) @ vector.T)


def _slopes(function: Callable[[FloatArray], float], theta: FloatArray) -> FloatArray:
    return np.array(
        [(function(theta + _H * unit) - function(theta - _H * unit)) / (2 * _H) for unit in np.eye(len(theta))]
    )
