"""Noise and lag of the readings are measured with correct uncertainties."""

import math

import numpy as np
import pytest

from hwlearn.calibration.noise import SHARE_OF_NUDGE, measure_noise


def test_noise_is_measured_within_its_uncertainty(make):
    found = np.concatenate([measure_noise(make(seed, read_noise_V=1e-3)).sigma_V for seed in range(20)])
    assert found.mean() == pytest.approx(1e-3, rel=4 / math.sqrt(2 * 248 * len(found)))
    assert found.std() == pytest.approx(1e-3 / math.sqrt(2 * 248), rel=0.4)


def test_recommended_averages_reduce_white_noise_as_needed(make):
    fit = measure_noise(make(read_noise_V=1e-3))
    fall = fit.of_mean_V[:4].mean(axis=1) / fit.of_mean_V[0].mean()
    assert fall == pytest.approx(1 / np.sqrt(fit.averages[:4]), rel=0.25)
    left = 1e-3 / math.sqrt(fit.recommended)
    assert left <= 1.1 * SHARE_OF_NUDGE * 0.2
    assert left * math.sqrt(2) > 0.9 * SHARE_OF_NUDGE * 0.2  # half as many would not be enough
    assert fit.within_specification


def test_bench_without_noise_needs_no_averaging(make):
    fit = measure_noise(make())
    assert fit.recommended == 1
    assert fit.sigma_V.max() < 1e-15
    assert fit.within_specification
    assert not fit.lags


def test_rounding_counts_where_it_hides_the_noise(make):
    fit = measure_noise(make(adc_bits=8, adc_range_V=1.0))
    assert fit.sigma_V == pytest.approx(2 / 256 / math.sqrt(12))


def test_noise_above_specification_is_reported(make, mocker):
    twin = make(read_noise_V=1e-3)
    mocker.patch.object(twin, "_voltage_sigma", 5e-4)
    assert not measure_noise(twin).within_specification


@pytest.mark.parametrize("tau", [10e-6, 30e-6, 200e-6])
def test_recommended_settle_time_removes_the_lag(make, tau):
    fit = measure_noise(make(settle_tau_s=tau, read_noise_V=2e-4))
    assert fit.lags
    assert fit.lag == pytest.approx(math.exp(-50e-6 / tau), abs=max(4 * fit.lag_sigma, 2e-3))
    settle = fit.settle_s(50e-6, 1.0)
    better = measure_noise(make(settle_tau_s=tau, read_noise_V=2e-4, settle_s=settle))
    assert better.lag < 2 * 2e-4 + 4 * better.lag_sigma


def test_no_lag_is_reported_without_one(make):
    fits = [measure_noise(make(seed, read_noise_V=1e-3)) for seed in range(40)]
    z = np.array([fit.lag / fit.lag_sigma for fit in fits])
    assert 0.6 < z.std() < 1.5
    assert sum(fit.lags for fit in fits) <= 2
    assert fits[0].settle_s(50e-6, 1.0) is None
