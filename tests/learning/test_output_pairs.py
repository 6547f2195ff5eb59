"""Pairs of outputs: their differences, the transpose, and pairs that make no sense."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from shares import examples

from hwlearn.errors import DataError
from hwlearn.learning import OutputPairs

OUTPUTS = 6
PAIR_LISTS = st.lists(
    st.tuples(st.integers(0, OUTPUTS - 1), st.integers(0, OUTPUTS - 1)).filter(lambda pair: pair[0] != pair[1]),
    min_size=1,
    max_size=7,
    unique_by=frozenset,
)


@given(PAIR_LISTS, st.integers(0, 2**32))
def test_errors_at_outputs_are_the_transpose_of_the_differences(listed, seed):
    """The power that errors deliver is the same, counted over differences and over outputs."""
    rng = np.random.default_rng(seed)
    pairs = OutputPairs(listed)
    volts, errors = rng.normal(size=(3, OUTPUTS)), rng.normal(size=(3, len(listed)))
    at_outputs = pairs.at_outputs(errors, OUTPUTS)
    np.testing.assert_allclose((pairs.differences(volts) * errors).sum(1), (volts * at_outputs).sum(1), atol=1e-12)
    assert not at_outputs[:, pairs.unpaired(OUTPUTS)].any()
    np.testing.assert_allclose(at_outputs.sum(axis=1), 0, atol=1e-12)  # nothing is pushed into the common mode


@settings(max_examples=examples(30), deadline=None)
@given(PAIR_LISTS, st.integers(0, 2**32))
def test_range_of_outputs_is_that_of_a_linear_program(listed, seed):
    """The lowest voltages with given differences need the smallest range that any outputs with them need."""
    rng = np.random.default_rng(seed)
    pairs = OutputPairs(listed)
    wanted = pairs.differences(rng.normal(size=(1, OUTPUTS)))  # so that some outputs have them
    found = pairs.voltages(wanted)
    np.testing.assert_allclose(pairs.differences(found), wanted, atol=1e-12)
    assert found.min() >= 0
    matrix = np.zeros((len(listed), OUTPUTS + 1))  # the last unknown is the range
    rows = np.arange(len(listed))
    matrix[rows, pairs.plus], matrix[rows, pairs.minus] = 1.0, -1.0
    below_range = np.concatenate([np.eye(OUTPUTS), -np.ones((OUTPUTS, 1))], axis=1)
    least = linprog(np.eye(OUTPUTS + 1)[-1], below_range, np.zeros(OUTPUTS), matrix, wanted[0], bounds=(0, None))
    assert found.max() == pytest.approx(least.fun, abs=1e-9)


def test_contradictory_differences_around_a_loop_are_not_reproduced():
    pairs = OutputPairs([(0, 1), (1, 2), (2, 0)])
    fits = np.array([[0.1, 0.2, -0.3]])
    np.testing.assert_allclose(pairs.differences(pairs.voltages(fits)), fits)
    wrong = np.array([[0.1, 0.2, 0.3]])
    assert np.abs(pairs.differences(pairs.voltages(wrong)) - wrong).max() == pytest.approx(0.6)


def test_consecutive_pairs_are_neighbours():
    assert OutputPairs.consecutive(6).pairs == ((0, 1), (2, 3), (4, 5))
    with pytest.raises(DataError, match="5 outputs cannot all be in consecutive pairs: their number is odd"):
        OutputPairs.consecutive(5)


@pytest.mark.parametrize("given", [np.array([[0, 1], [2, 3]]), zip([0, 2], [1, 3], strict=True), [[0, 1], (2, 3)]])
def test_pairs_may_be_any_ordered_pairs_of_whole_numbers(given):
    pairs = OutputPairs(given)
    assert pairs == OutputPairs([(0, 1), (2, 3)])
    assert hash(pairs) == hash(OutputPairs([(0, 1), (2, 3)]))
    assert all(type(number) is int for pair in pairs.pairs for number in pair)  # for JSON


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "there is no pair of outputs"),
        ([(1, 1)], "pair 0 of outputs is output 1 with itself"),
        ([(0, 1), (2, 3), (0, 1)], r"pair 2 of outputs is \[0, 1\], which is pair 0 again"),
        ([(0, 1), (1, 0)], r"pair 1 of outputs is \[1, 0\], which is pair 0 with the other sign"),
        ([(0, -1)], r"pair 0 of outputs is \(0, -1\)"),
        ([(0, 1.0)], r"pair 0 of outputs is \(0, 1.0\)"),
        ([(True, 0)], r"pair 0 of outputs is \(True, 0\)"),
        ([(0, np.nan)], "pair 0 of outputs"),
        ([(0, 1), (2,)], r"pair 1 of outputs is \(2,\)"),
        ([(0, 1, 2)], r"pair 0 of outputs is \(0, 1, 2\)"),
        ([0, 1], "pair 0 of outputs is 0; give the numbers from 0 of two outputs"),
        (["01"], "pair 0 of outputs is '01'"),
        ([{0, 1}], "pair 0 of outputs is"),
        ("01", "must be a list"),
        ({0: 1}, "must be a list"),
        ({(0, 1)}, "must be a list"),
        (None, "must be a list"),
        (7, "must be a list"),
    ],
)
def test_pairs_that_make_no_sense_are_refused(given, message):
    with pytest.raises(DataError, match=message) as refused:
        OutputPairs(given)
    assert "\n" not in str(refused.value)


def test_outputs_that_do_not_exist_are_refused_by_pair():
    with pytest.raises(DataError, match=r"pair 1 of outputs is \[2, 3\], but the network has 3 outputs"):
        OutputPairs([(0, 1), (2, 3)]).differences(np.zeros((5, 3)))
