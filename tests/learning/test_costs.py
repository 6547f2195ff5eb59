"""Costs: the error is the derivative of the cost, and invalid targets are rejected by name."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import DataError

RNG = np.random.default_rng(3)
OUT = RNG.normal(0, 0.05, (7, 4))
LABELS = np.array([0, 1, 2, 3, 0, 1, 2])


@pytest.mark.parametrize(
    ("cost", "targets"),
    [(hl.MSE(), RNG.normal(0, 0.05, (7, 4))), (hl.CrossEntropy(0.02), LABELS), (hl.Hinge(0.03), LABELS)],
    ids=["mse", "cross-entropy", "hinge"],
)
def test_error_is_the_derivative_of_the_cost(cost, targets):
    step = 1e-7
    numeric = np.empty_like(OUT)
    for j in range(OUT.shape[1]):
        moved = np.zeros_like(OUT)
        moved[:, j] = step
        numeric[:, j] = (cost.values(OUT + moved, targets) - cost.values(OUT - moved, targets)) / (2 * step)
    np.testing.assert_allclose(cost.error(OUT, targets), numeric, rtol=1e-6, atol=1e-6)


def test_cross_entropy_is_finite_for_voltages_far_above_its_temperature():
    cost = hl.CrossEntropy(1e-3)
    far = np.array([[5.0, -5.0]])
    assert cost.values(far, np.array([0])) == pytest.approx(0.0)
    assert cost.values(far, np.array([1])) == pytest.approx(10.0 / 1e-3)
    np.testing.assert_allclose(cost.error(far, np.array([1])), [[1e3, -1e3]])


def test_hinge_is_zero_inside_the_margin():
    cost = hl.Hinge(0.01)
    assert cost.values(np.array([[0.05, 0.03]]), np.array([0])) == 0
    np.testing.assert_array_equal(cost.error(np.array([[0.05, 0.03]]), np.array([0])), [[0, 0]])


def test_one_hot_labels_are_accepted():
    cost = hl.CrossEntropy()
    np.testing.assert_array_equal(cost.checked_targets(np.eye(4)[LABELS], 7, 4), LABELS)


@pytest.mark.parametrize(
    "targets",
    [
        LABELS + 1,
        LABELS - 1,
        LABELS + 0.5,
        LABELS[:-1],
        np.where(LABELS == 2, np.nan, LABELS),
        np.array(list("abcdefg")),
        np.full((7, 4), 0.25),
    ],
)
def test_invalid_labels_are_rejected(targets):
    with pytest.raises(DataError):
        hl.CrossEntropy().checked_targets(targets, 7, 4)


@pytest.mark.parametrize("targets", [np.zeros((7, 3)), np.zeros(7), np.full((7, 4), np.nan)])
def test_invalid_target_voltages_are_rejected(targets):
    with pytest.raises(DataError, match="targets"):
        hl.MSE().checked_targets(targets, 7, 4)


@pytest.mark.parametrize("cost", [hl.CrossEntropy, hl.Hinge])
@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, True, "10 mV", None])
def test_invalid_cost_parameters_are_rejected(cost, value):
    with pytest.raises(DataError, match="must be positive"):
        cost(value)
