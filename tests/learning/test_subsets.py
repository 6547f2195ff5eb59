"""Subsets of trainable edges."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import SetupError


@pytest.fixture
def model(small):
    return hl.Kirchhoff(small[0], small[1])


def test_random_edges_depend_on_the_seed(small, model):
    x = small[2]
    mask = hl.RandomEdges(0.3, seed=4).mask(model, x)
    assert mask.sum() == 9
    np.testing.assert_array_equal(mask, hl.RandomEdges(0.3, seed=4).mask(model, x))
    assert (mask != hl.RandomEdges(0.3, seed=5).mask(model, x)).any()
    assert hl.RandomEdges(1e-6).mask(model, x).sum() == 1


def test_sensitivity_equals_the_change_of_the_outputs(small, model):
    top, g, x, _ = small
    base = model.solve(x)[:, top.outputs]
    step = 1e-6
    moved = []
    for k in range(top.n_edges):
        other = g.copy()
        other[k] *= 1 + step
        change = (hl.Kirchhoff(top, other).solve(x)[:, top.outputs] - base) / step
        moved.append(np.sqrt((change**2).sum(axis=1).mean()))
    np.testing.assert_allclose(hl.subsets.sensitivities(model, x), moved, rtol=1e-3, atol=1e-9)
    chosen = hl.MostSensitive(0.2).mask(model, x)
    assert set(np.flatnonzero(chosen)) == set(np.argsort(moved)[-6:])


def test_listed_edges_are_chosen_and_checked(small, model):
    assert np.flatnonzero(hl.ListedEdges([5, 2]).mask(model, small[2])).tolist() == [2, 5]
    with pytest.raises(SetupError, match="edge 30"):
        hl.ListedEdges([30]).mask(model, small[2])
    with pytest.raises(SetupError, match="empty"):
        hl.ListedEdges([])
    assert hl.ListedEdges(np.array([3, 4])).edges == (3, 4)


@pytest.mark.parametrize("edges", [["3"], [True], [1.5], [-1], 3, None, "12"])
def test_lists_of_other_things_than_edge_numbers_are_rejected(edges):
    with pytest.raises(SetupError, match="must be edge numbers, got "):
        hl.ListedEdges(edges)


@pytest.mark.parametrize("seed", [-1, "0", 1.5, True])
def test_invalid_seed_of_random_edges_is_rejected(seed):
    with pytest.raises(SetupError, match="seed of a subset"):
        hl.RandomEdges(0.5, seed)


@pytest.mark.parametrize("fraction", [0.0, 1.1, -0.5, True, "half", None, np.nan])
@pytest.mark.parametrize("kind", [hl.RandomEdges, hl.MostSensitive])
def test_invalid_fractions_are_rejected(kind, fraction):
    with pytest.raises(SetupError, match="fraction"):
        kind(fraction)
