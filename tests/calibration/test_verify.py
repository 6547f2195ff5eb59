"""Verification compares predictions with readings in units of the stated uncertainty."""

import numpy as np
import pytest

from hwlearn.calibration.verify import PredictionUncertainty, verify


def test_chi_of_an_exact_model_is_one(make):
    chis = [verify(make(seed, read_noise_V=1e-3), np.ones(30), seed=seed).chi for seed in range(20)]
    assert np.mean(chis) == pytest.approx(1.0, abs=0.03)


def test_correct_predictions_pass(make):
    assert all(verify(make(seed, read_noise_V=1e-3), np.ones(30), seed=seed).passed for seed in range(20))


def test_chi_of_a_wrong_model_exceeds_its_limit(make):
    fit = verify(make(read_noise_V=1e-3, device_spread=0.2), np.ones(30))
    assert fit.chi > 3 * fit.most_chi
    assert fit.rms_V == pytest.approx(fit.nominal_rms_V)


def uncertainty(J, variance=0.0, programming=0.0):
    """Return an uncertainty of one unknown with the derivative ``J`` in every reading, and no other."""
    size = np.atleast_1d(variance)
    return PredictionUncertainty(
        lambda reached, x: np.full((len(x), 3, len(size)), J), np.diag(size), np.full(len(size), programming)
    )


def test_common_error_of_all_predictions_is_one_degree_of_freedom(make):
    exact = verify(make(read_noise_V=1e-3), np.ones(30))
    loose = verify(make(read_noise_V=1e-3), np.ones(30), uncertainty(1e-3, variance=1.0))
    assert exact.predictions.dof == 0
    assert loose.predictions.dof == pytest.approx(1)
    assert loose.whole.dof == exact.whole.dof == 4 * 16 * 3
    assert loose.whole.chi2 < exact.whole.chi2
    np.testing.assert_allclose(loose.sigma_V, np.sqrt(2) * exact.sigma_V)


def test_programming_noise_is_drawn_anew_in_each_configuration(make):
    loose = verify(make(read_noise_V=1e-3), np.ones(30), uncertainty(1e-3, programming=1.0))
    assert loose.predictions.dof == pytest.approx(4)
    assert loose.predictions.chi < loose.most_prediction_chi
