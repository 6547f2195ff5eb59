"""A share of the campaign `wire_coverage`."""

import numpy as np
import pytest
from scipy.stats import binomtest
from wire_coverage import CAMPAIGN, interval, measured


@pytest.mark.slow
@pytest.mark.parametrize("case", ["voltages", "currents all"])
def test_intervals_of_wires_cover(case, figure):
    table = CAMPAIGN.run(count=6, cases=[case])
    table.check()
    shape = table.of(case, "shape")
    figure(f"95 % intervals, wired crossbars, {case}, {len(shape)} benches: cover {100 * np.nanmean(shape):.1f} %")


def test_gains_of_a_bench_with_wrong_wires_are_covered():
    assert measured("voltages", 1)["shape"] > 0.75


def test_interval_of_a_coverage_is_that_of_wilson():
    for inside in (95, 100):
        expected = binomtest(inside, 100).proportion_ci(method="wilson")
        shares = np.repeat([1.0, 0.0], [inside, 100 - inside])
        np.testing.assert_allclose(interval(shares, 1), [inside / 100, expected.low, expected.high], atol=2e-6)


def test_interval_is_narrower_where_the_intervals_of_a_bench_are_independent():
    rng = np.random.default_rng(0)
    independent = rng.binomial(30, 0.95, 50) / 30
    share, low, high = interval(independent, 30)
    expected = binomtest(int(share * 1500), 1500).proportion_ci(method="wilson")
    assert high - low == pytest.approx(expected.high - expected.low, rel=0.2)
    _, together_low, together_high = interval(np.repeat([1.0, 0.0], [48, 2]), 30)
    assert together_high - together_low > 2 * (high - low)
