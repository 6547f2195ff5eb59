"""Combinations that run by default: each pair of values is among them, and the product is complete."""

import itertools

import pytest
from combinations import covering, pairwise


@pytest.mark.parametrize(("sizes", "most"), [((4, 7, 5), 36), ((3, 3), 9), ((2, 2, 2, 2), 8), ((5,), 5)])
def test_every_pair_is_covered_by_few_combinations(sizes, most):
    chosen = covering(sizes, 2)
    for a, b in itertools.combinations(range(len(sizes)), 2):
        assert {(row[a], row[b]) for row in chosen} == set(itertools.product(range(sizes[a]), range(sizes[b])))
    assert len(chosen) <= most


def test_every_single_value_is_covered():
    chosen = covering((5, 4), 1)
    assert [sorted({row[column] for row in chosen}) for column in (0, 1)] == [[0, 1, 2, 3, 4], [0, 1, 2, 3]]
    assert len(chosen) == 5


def test_other_combinations_are_slow():
    params = pairwise(a={"x": 1, "y": 2}, b=[3, 4], c=[5, 6]).args[1]
    assert len(params) == 8
    assert [param.values for param in params if not param.marks] == [(1, 3, 5), (1, 4, 6), (2, 3, 6), (2, 4, 5)]
    assert params[0].id == "x-3-5"
