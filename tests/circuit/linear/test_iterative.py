"""Graphs whose factors would be too large: estimates of fill-in, conjugate gradients, and errors."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from scipy.sparse.linalg import spsolve

from hwlearn import Kirchhoff, Topology
from hwlearn.circuit.linear import factor, front, iterative, plan
from hwlearn.circuit.linear.factor import FactoredSystem, plan_for
from hwlearn.circuit.linear.front import shape_of
from hwlearn.errors import CircuitError, SingularCircuitError


def binary_tree(depth: int) -> np.ndarray:
    child = np.arange(1, 2**depth - 1)
    return np.stack([(child - 1) // 2, child], axis=1)


def pairs(t: Topology) -> tuple[np.ndarray, int]:
    return t.edges, t.n_nodes


NODES = np.arange(1, 5001)
ESTIMATES = {
    "grid": (*pairs(Topology.grid(40, 60)), (40, 60)),
    "long grid": (*pairs(Topology.grid(4, 2000)), (4, 8)),
    "chain": (np.stack([NODES - 1, NODES], axis=1), 5001, (0, 2)),
    "ring": (np.stack([NODES - 1, NODES % 5000], axis=1), 5000, (2, 2)),
    "star": (np.stack([0 * NODES, NODES], axis=1), 5001, (1, 1)),
    "wheel": (
        np.concatenate([np.stack([0 * NODES, NODES], 1), np.stack([NODES, np.roll(NODES, 1)], 1)]),
        5001,
        (2, 3),
    ),
    "binary tree": (binary_tree(12), 2**12 - 1, (0, 2)),
    "random": (*pairs(Topology.random(3000, 9000, 5, 3)), (600, 3000)),  # 1040 rows by CHOLMOD
    "complete": (np.argwhere(np.triu(np.ones((80, 80)), 1)), 80, (40, 80)),
    "two parts": (np.concatenate([Topology.grid(30, 30).edges, 900 + Topology.grid(5, 5).edges]), 925, (30, 45)),
    "no edges": (np.zeros((0, 2), dtype=int), 10, (0, 0)),
}


@pytest.mark.parametrize(("edges", "n", "rows"), ESTIMATES.values(), ids=ESTIMATES.keys())
def test_front_estimate_has_the_size_of_the_largest_dense_block(edges, n, rows):
    assert rows[0] <= shape_of(edges, n).front <= rows[1]


def test_very_long_graph_is_estimated_from_its_first_levels(monkeypatch):
    monkeypatch.setattr(front, "_MOST_LEVELS", 10)
    assert shape_of(*pairs(Topology.grid(4, 2000))).front <= 8


def test_wide_graphs_with_short_distances_are_iterated():
    def chosen(edges: np.ndarray, n: int) -> bool:
        return shape_of(edges, n).suits_iteration

    assert chosen(*pairs(Topology.random(8000, 24_000, 5, 3)))
    assert not chosen(*pairs(Topology.random(1500, 6000, 5, 3)))
    assert not chosen(*pairs(Topology.grid(300, 300)))
    assert front.GraphShape(front=3600, levels=210, edges=1_000_000).suits_iteration  # a cube of 70 nodes a side
    assert not front.GraphShape(front=3000, levels=6000, edges=18_000_000).suits_iteration  # a square of 3000


@pytest.fixture
def any_front(monkeypatch: pytest.MonkeyPatch):
    """Solve sparse circuits of any size by iteration, if it converges."""
    monkeypatch.setattr(factor, "DENSE_NODES", 0)
    monkeypatch.setattr(factor, "LARGEST_FRONT", 0)
    monkeypatch.setattr(front.GraphShape, "suits_iteration", True)
    plan_for.cache_clear()
    yield
    plan_for.cache_clear()


@pytest.mark.share(2)
@pytest.mark.usefixtures("any_front")
@pytest.mark.parametrize("seed", range(4))
def test_iterated_solution_agrees_with_a_factor(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    t = [Topology.random(500, 1500, 4, 3, ground=499, seed=seed), Topology.grid(20, 20)][seed % 2]
    g = 10 ** rng.uniform(-6, -4, t.n_edges)
    x, e = rng.uniform(-1, 1, (3, t.n_inputs)), rng.normal(size=(3, t.n_outputs))
    x[1] = 0.0
    clamped = np.where(rng.random(e.shape) < 0.5, 0.1 * e, np.nan)

    def results():
        k = Kirchhoff(t, g)
        return [k.solve(x), k.solve(x, clamped, 1e-6 * e), k.gradient(x, e), k.output_impedance()], k

    found, k = results()
    assert all(isinstance(system._factor, iterative.ConjugateGradients) for system in k.solver.systems.values())
    assert 0 < k.estimated_error() < 1e-12
    monkeypatch.setattr(front.GraphShape, "suits_iteration", False)
    for got, expected in zip(found, results()[0], strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-11 * np.abs(expected).max())
    B = t.incidence
    free = np.setdiff1d(np.arange(t.n_nodes), t.driven)
    L = (B.T @ (g[:, None] * B)).tocsc()
    held = np.zeros(t.n_nodes)
    held[t.inputs] = x[0]
    np.testing.assert_allclose(found[0][0, free], spsolve(L[free][:, free], -(L @ held)[free]), rtol=0, atol=1e-11)


def test_accuracy_of_conjugate_gradients_is_guaranteed():
    rng = np.random.default_rng(1)
    t = Topology.random(300, 900, 2, 3)
    p = plan_for(t, bytes(t.n_outputs))
    sparse = plan.Plan(t.edges, p.pinned, np.sort(p.free), t.n_nodes)
    for decades in (0, 3):
        g = 10 ** rng.uniform(-decades, 0, t.n_edges)
        diagonal = sparse.diagonal(g)
        matrix = sparse.pattern.matrix(g[sparse.inner_source], diagonal)
        solver = iterative.ConjugateGradients(matrix.T, diagonal)
        right = diagonal[:, None] * rng.normal(size=(len(diagonal), 4))
        exact = np.linalg.solve(matrix.toarray(), right)
        worst = np.abs(solver.solve(right) - exact).max(axis=0) / np.abs(exact).max(axis=0)
        assert (worst < iterative.ACCURACY).all()
        np.testing.assert_array_equal(solver.solve(0 * right), 0 * right)


@pytest.mark.usefixtures("any_front")
def test_wide_range_of_conductances_is_factored_with_a_warning(caplog, monkeypatch):
    t = Topology.random(500, 1500, 4, 3)
    g = 10 ** np.random.default_rng(0).uniform(-9, 0, t.n_edges)
    x = np.ones((1, t.n_inputs))
    monkeypatch.setattr(iterative, "_MOST_STEPS", 50)
    monkeypatch.setattr(factor, "_LONG_FRONT", 10)
    with caplog.at_level(logging.WARNING, "hwlearn"):
        V = Kirchhoff(t, g).solve(x)
    np.testing.assert_allclose(V, 1.0, rtol=1e-10)
    assert "may take minutes" in caplog.text
    monkeypatch.setattr(factor, "_MOST_FRONT", 10)
    with pytest.raises(CircuitError, match=r"too large: about \d+ rows of its matrix would become dense"):
        Kirchhoff(t, g).solve(x)


@pytest.mark.usefixtures("any_front")
def test_factor_that_does_not_fit_into_memory_is_named(monkeypatch):
    def no_memory(*args, **options):
        raise MemoryError

    t = Topology.grid(12, 12)
    monkeypatch.setattr(FactoredSystem, "_factored", no_memory)
    monkeypatch.setattr(front.GraphShape, "suits_iteration", False)
    with pytest.raises(CircuitError, match="does not fit into memory"):
        Kirchhoff(t, np.ones(t.n_edges)).solve(np.ones((1, t.n_inputs)))


@pytest.mark.usefixtures("any_front")
def test_ill_conditioned_circuit_raises_the_same_error():
    wires = [(k, k + 1) for k in range(1, 5)]
    t = Topology(7, [(0, 1), (3, 6)], [0], [2], 6, fixed_edges=wires, fixed_conductances=[1e6] * 4)
    with pytest.raises(SingularCircuitError, match="too weakly"):
        Kirchhoff(t, [1e-14, 3e-14]).solve([[1.0]])


@pytest.mark.usefixtures("any_front")
def test_iterated_solution_does_not_depend_on_circuits_solved_before():
    t = Topology.random(400, 1200, 4, 3)
    rng = np.random.default_rng(0)
    g, x = 10 ** rng.uniform(-6, -4, (3, t.n_edges)), rng.uniform(-1, 1, (2, t.n_inputs))
    first = Kirchhoff(t, g[0])
    V = first.solve(x)
    k = Kirchhoff(t, g[1])
    k.solve(x)
    k = k.with_conductances(g[2])
    k.solve(x)
    np.testing.assert_array_equal(k.with_conductances(g[0]).solve(x), V)
    np.testing.assert_array_equal(first.solve(x), V)
