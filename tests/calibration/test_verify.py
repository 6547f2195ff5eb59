"""Verification compares predictions with readings in units of the stated uncertainty."""

import math

import numpy as np
import pytest

from hwlearn.calibration.verify import verify


def test_chi_of_an_exact_model_is_one(make):
    chis = [verify(make(seed, read_noise_V=1e-3), np.ones(30), seed=seed).chi for seed in range(20)]
    assert np.mean(chis) == pytest.approx(1.0, abs=0.03)


def test_chi_of_a_wrong_model_exceeds_its_limit(make):
    fit = verify(make(read_noise_V=1e-3, device_spread=0.2), np.ones(30))
    assert fit.chi > 3 * fit.most_chi
    assert fit.rms_V == pytest.approx(fit.nominal_rms_V)


def test_uncertainty_of_the_prediction_is_included(make):
    exact = verify(make(read_noise_V=1e-3), np.ones(30))
    loose = verify(
        make(read_noise_V=1e-3), np.ones(30), lambda reached, x: np.full((len(x), 3), math.sqrt(3) * 1e-3)
    )
    assert loose.chi == pytest.approx(exact.chi / 2)
