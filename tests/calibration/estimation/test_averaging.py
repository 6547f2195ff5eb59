"""The posterior is averaged over spreads that may be zero; compared with numerical integration."""

import numpy as np
import pytest
from scipy.integrate import quad

from hwlearn.calibration.estimation.averaging import average
from hwlearn.calibration.estimation.elimination import Elimination
from hwlearn.calibration.estimation.posterior import Posterior
from hwlearn.calibration.estimation.unknowns import Group, Prior
from hwlearn.calibration.estimation.whitening import Block, Noise
from hwlearn.calibration.misfit import Misfit

EXPECTED, SIGMA, COUNT = 0.02, 0.01, 40


def averaged(readings):
    """Average the posterior of members (M,) that were each read once with the uncertainty `SIGMA`."""
    n = len(readings)
    jacobian = np.hstack([np.eye(n) / SIGMA, np.zeros((n, 1))])  # the last unknown is an edge that is not read
    settled = readings * EXPECTED**2 / (EXPECTED**2 + SIGMA**2)
    block = Block((readings - settled) / SIGMA, jacobian, np.zeros(n, dtype=bool), np.array([n, 0]))
    members, edges = np.arange(n), np.array([n])
    prior = Prior(
        np.zeros(n + 1),
        np.append(np.full(n, EXPECTED), 0.2),
        {
            "edges": Group(edges, 0.2, 1.0),
            "segments": Group(members, EXPECTED, 1.0, may_vanish=True),
        },
    )
    linear = Elimination([block], np.zeros((1, 1)), edges)
    none = Misfit(0.0, 0.0, 0)
    mean, determined = np.append(settled, 0.0), {"edges": 0.0, "segments": 0.0}
    found = Posterior(mean, np.eye(n + 1), prior, determined, none, none, Noise(), 1e-6, linear)
    return average(found)[0]


def integrated(readings):
    """Mean and variance of the first member, and the mean spread, by numerical integration over the spread."""

    def over(value):
        def inner(s):
            variance = s**2 + SIGMA**2
            likelihood = np.exp(-0.5 * np.sum(readings**2 / variance + np.log(variance / SIGMA**2)) + 40)
            return likelihood * value(s) / (1 + (s / EXPECTED) ** 2)

        return quad(inner, 1e-6, 1.0, limit=300, points=[0.003, 0.01, 0.03, 0.1])[0]

    def kept(s):
        return s**2 / (s**2 + SIGMA**2)

    whole = over(lambda s: 1.0)
    mean = over(kept) / whole * readings[0]
    square = over(lambda s: kept(s) * SIGMA**2 + (kept(s) * readings[0]) ** 2) / whole
    return mean, square - mean**2, over(lambda s: s) / whole


@pytest.mark.parametrize("spread", [0.0, 0.005, 0.1])
def test_average_over_a_spread_equals_numerical_integration(spread):
    rng = np.random.default_rng(2)
    readings = SIGMA * rng.standard_normal(COUNT) + spread * rng.standard_normal(COUNT)
    found = averaged(readings)
    mean, variance, likely = integrated(readings)
    assert found.mean[0] == pytest.approx(mean, abs=0.05 * np.sqrt(variance))
    assert found.covariance[0, 0] == pytest.approx(variance, rel=0.1)
    assert found.prior.spread("segments") == pytest.approx(likely, rel=0.1)
    assert (found.shown["segments"] > 10.8) == (spread == 0.1)


def test_intervals_are_narrow_where_the_readings_show_no_spread():
    """Equal members: much closer to their mean than the expected spread, and than a single reading."""
    found = averaged(np.full(COUNT, 1e-4))
    assert found.covariance[0, 0] < 0.3 * SIGMA**2
