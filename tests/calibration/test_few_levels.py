"""`few_levels`: patterns for benches whose inputs have few voltages at a time."""

import numpy as np
import pytest

from hwlearn.calibration.patterns import few_levels


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_patterns_have_few_voltages_and_none_grows(levels):
    x = np.random.default_rng(levels).uniform(-1, 1, (50, 9))
    found = few_levels(x, levels)
    assert max(len(np.unique(row[row != 0])) for row in found) == levels
    assert (np.abs(found).max(axis=1) <= np.abs(x).max(axis=1)).all()
    assert all(set(row[row != 0]) <= set(was) for row, was in zip(found, x, strict=True))
    np.testing.assert_array_equal(few_levels(found, levels), found)


def test_signs_that_are_scaled_a_little_become_one_voltage():
    x = np.array([[0.40, 0.0, 0.39, 0.38], [-0.40, 0.39, 0.40, -0.38]])
    assert few_levels(x, 1).tolist() == [[0.40, 0.0, 0.40, 0.40], [0.0, 0.40, 0.40, 0.0]]
    assert few_levels(x, 2).tolist()[1] == [-0.40, 0.40, 0.40, -0.40]


def test_other_networks_keep_their_patterns():
    x = np.random.default_rng(0).uniform(-1, 1, (3, 4))
    assert few_levels(x, None) is x
    assert (np.ptp(few_levels(x, 0), axis=1) == 0).all()
