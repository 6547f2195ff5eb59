"""Circuits in which the same few edges keep changing, against full factorisations."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from shares import examples

from hwlearn import MSE, Adam, Analytic, Kirchhoff, Topology, Trainer
from hwlearn.circuit.linear import factor, lineage
from hwlearn.circuit.linear.factor import FactoredSystem, plan_for
from hwlearn.circuit.linear.plan import Plan
from hwlearn.circuit.linear.reduction import InaccurateReduction, ReducedSystem, Reduction
from hwlearn.circuit.linear.solver import OhmicSolver
from hwlearn_sim import KirchhoffTwin


@pytest.fixture
def every_path(monkeypatch: pytest.MonkeyPatch, sparse_library):
    """Use each sparse solver and the reduction for circuits of any size and any number of changing edges."""
    monkeypatch.setattr(factor, "DENSE_NODES", 0)
    monkeypatch.setattr(lineage, "_MOST_SHARE", 1.0)
    plan_for.cache_clear()
    yield
    plan_for.cache_clear()


def solver_of(k: Kirchhoff) -> OhmicSolver:
    assert isinstance(k.solver, OhmicSolver)
    return k.solver


def kinds(k: Kirchhoff) -> list[type]:
    return [type(system) for system in solver_of(k).systems.values()]


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max() / np.abs(b).max())


def _sparse(t: Topology) -> Plan:
    return Plan(t.all_edges, t.inputs, np.setdiff1d(np.arange(t.n_nodes), t.inputs), t.n_nodes, t.outputs)


@st.composite
def changes(draw: st.DrawFn):
    """Draw a connected multigraph, changing edges, and conductances before and after the change."""
    n = draw(st.integers(3, 12))
    node = st.integers(0, n - 1)
    edges = [(draw(st.integers(0, k - 1)), k) for k in range(1, n)]
    edges += draw(st.lists(st.tuples(node, node).filter(lambda pair: pair[0] != pair[1]), max_size=2 * n))
    order = draw(st.permutations(range(n)))
    n_in = draw(st.integers(1, n - 1))
    n_out = draw(st.integers(1, n - n_in))
    t = Topology(n, edges, order[:n_in], order[n_in : n_in + n_out])
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    changing = rng.random(len(edges)) < draw(st.sampled_from([0.1, 0.4, 1.0]))
    g = 10 ** rng.uniform(-7, -3, (2, len(edges)))
    opened = rng.random(len(edges)) < draw(st.sampled_from([0.0, 0.1]))
    g[1, opened & changing] = 0.0
    return t, changing, g[0], np.where(changing, g[1], g[0]), rng


@settings(max_examples=examples(150), deadline=None)
@given(changes())
def test_reduced_system_agrees_with_full_factorisation(case):
    t, changing, base, g, rng = case
    assume(not t.floating_nodes(g > 0).size)
    plan = _sparse(t)
    try:
        reduced, fresh = ReducedSystem(Reduction(plan, base, changing), g), FactoredSystem(plan, g)
    except (factor.IllConditioned, InaccurateReduction):
        return
    V = np.zeros((3, t.n_nodes))
    V[:, t.inputs] = rng.uniform(-1, 1, (3, t.n_inputs))
    into_all = np.zeros((3, t.n_nodes))
    into_all[:, fresh.free] = 1e-5 * rng.normal(size=(3, fresh.free.size))
    for extra in (0.0, 1.0):
        found = []
        for system in (reduced, fresh):
            W = V.copy()
            W[:, system.free] = system.solve(system.from_held(V) + extra * into_all[:, system.free])
            found.append(W)
        assert relative(*found) < 2 * factor.ERROR_BOUND


@pytest.mark.share(8)
@pytest.mark.usefixtures("every_path")
@pytest.mark.parametrize("seed", range(10))
def test_results_of_a_changed_circuit_agree_with_a_new_circuit(circuit_of, seed: int):
    t, g, x, e = circuit_of(seed)
    rng = np.random.default_rng(seed)
    changing = rng.choice(t.n_edges, max(1, t.n_edges // 4), replace=False)
    clamped = np.where(rng.random(e.shape) < 0.5, 0.1 * e, np.nan)
    k = Kirchhoff(t, g)
    for _ in range(4):
        other = g.copy()
        other[changing] = 10 ** rng.uniform(-6, -4, changing.size)
        k, new = k.with_conductances(other), Kirchhoff(t, other)
        for got, expected in (
            (k.solve(x), new.solve(x)),
            (k.solve(x, clamped, 1e-6 * e), new.solve(x, clamped, 1e-6 * e)),
            (k.gradient(x, e), new.gradient(x, e)),
            (k.output_impedance(), new.output_impedance()),
            (k.solve(x[:0]), new.solve(x[:0])),
        ):
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-10 * np.abs(expected).max(initial=0.0))
    assert ReducedSystem in kinds(k)


@pytest.mark.usefixtures("every_path")
def test_reduced_circuit_obeys_conservation_laws():
    rng = np.random.default_rng(1)
    t = Topology.grid(7, 7, inputs=[0], outputs=list(range(1, 49)))
    g = 10 ** rng.uniform(-6, -4, t.n_edges)
    changing = rng.choice(t.n_edges, 10, replace=False)
    k = Kirchhoff(t, g)
    for _ in range(3):
        other = g.copy()
        other[changing] = 10 ** rng.uniform(-6, -4, changing.size)
        k = k.with_conductances(other)
        k.solve([[1.0]])
    assert kinds(k) == [ReducedSystem]
    # Foster: the sum of g R_eff over all edges is the number of nodes less one
    Z = np.zeros((t.n_nodes, t.n_nodes))
    Z[1:, 1:] = k.output_impedance()
    a, b = t.edges.T
    assert abs((k.conductances * (Z[a, a] + Z[b, b] - 2 * Z[a, b])).sum() - (t.n_nodes - 1)) < 1e-9
    # reciprocity of transfer resistances (the impedance itself is symmetrised)
    moved = k.adjoint(np.eye(t.n_outputs))[:, t.outputs]
    np.testing.assert_allclose(moved, moved.T, rtol=0, atol=1e-11 * moved.max())
    # superposition, and Tellegen: sources deliver the power that edges dissipate
    V = k.solve([[1.0]], injected=1e-5 * rng.normal(size=(1, t.n_outputs)))
    np.testing.assert_allclose((k.node_currents(V) * V).sum(axis=1), k.power(V), rtol=1e-9)
    i = 1e-5 * rng.normal(size=(2, t.n_outputs))
    together = k.solve([[0.3]], injected=i.sum(axis=0))
    np.testing.assert_allclose(together, k.solve([[0.3]], injected=i[:1]) + k.adjoint(i[1:]), rtol=0, atol=1e-9)


def test_errors_do_not_accumulate_over_many_changes():
    t = Topology.grid(24, 24)
    rng = np.random.default_rng(2)
    g = 10 ** rng.uniform(-6, -4, t.n_edges)
    changing = rng.choice(t.n_edges, t.n_edges // 100, replace=False)
    x = rng.uniform(-1, 1, (2, t.n_inputs))
    k, worst = Kirchhoff(t, g), []
    expected = k.solve(x)
    for _ in range(300):
        other = g.copy()
        other[changing] *= np.exp(rng.normal(size=changing.size))
        k = k.with_conductances(other)
        k.solve(x)
    assert kinds(k) == [ReducedSystem]
    k = k.with_conductances(g)
    assert kinds(k) == []
    worst = np.abs(k.solve(x) - expected).max()
    assert kinds(k) == [ReducedSystem]
    assert worst < 1e-12


# --- when the reduction is used----------------------------------------------------------------------------------

GRID = Topology.grid(20, 20)


def stepped(k: Kirchhoff, edges: np.ndarray, step: int) -> Kirchhoff:
    g = k.conductances.copy()
    g[edges] = 1e-5 * (1 + 0.1 * step)
    k = k.with_conductances(g)
    k.solve(np.ones((1, GRID.n_inputs)))
    return k


def test_reduction_starts_after_the_same_edges_changed_again():
    k = Kirchhoff(GRID, np.full(GRID.n_edges, 1e-5))
    few, other, many = np.arange(5), np.arange(5, 9), np.arange(400)
    seen = []
    for step, edges in enumerate([few, few, few, other, few, many, few, few], start=1):
        k = stepped(k, edges, step)
        seen += kinds(k)
    fresh, reduced = FactoredSystem, ReducedSystem
    #       few    again    again    others  few again  too many few    again
    assert seen == [fresh, reduced, reduced, fresh, reduced, fresh, fresh, reduced]


def test_small_circuit_is_always_factored_fully():
    t = Topology.grid(6, 6)
    k = Kirchhoff(t, np.full(t.n_edges, 1e-5))
    for step in range(4):
        g = k.conductances.copy()
        g[0] = 1e-5 * (step + 2)
        k = k.with_conductances(g)
        k.solve(np.ones((1, t.n_inputs)))
        assert kinds(k) == [FactoredSystem]


def test_circuits_share_reductions_and_their_number_is_limited(mocker):
    k = Kirchhoff(GRID, np.full(GRID.n_edges, 1e-5))
    k = stepped(stepped(k, np.arange(3), 1), np.arange(3), 2)
    made = mocker.spy(lineage, "Reduction")
    for step in range(3, 20):
        stepped(k, np.arange(3), step)
    assert made.call_count == 0
    for held in range(10):
        k = stepped(k, np.arange(3), held + 30)
        k.solve(np.ones((1, GRID.n_inputs)), clamped=np.where(np.arange(GRID.n_outputs) == held, 0.1, np.nan))
    assert made.call_count == 10
    assert len(solver_of(k).lineage._reductions) == lineage._KEPT_REDUCTIONS


def test_inaccurate_reduction_falls_back_to_full_factorisation():
    # a cluster of good wires with weak connections; opening the changing edge leaves one of them
    rng = np.random.default_rng(0)
    t = GRID
    g = np.full(t.n_edges, 1e-5)
    corner = np.flatnonzero((t.edges < 10).all(axis=1) & (t.edges > 0).all(axis=1))
    g[corner] = 1e4
    changing = corner[:3]
    k = Kirchhoff(t, g)
    x = rng.uniform(-1, 1, (1, t.n_inputs))
    for step in range(3):
        other = g.copy()
        other[changing] = 1e-5 if step % 2 else 1e4 * (1 + step)
        k = k.with_conductances(other)
        np.testing.assert_allclose(k.solve(x), Kirchhoff(t, other).solve(x), rtol=0, atol=1e-10)
        assert k.estimated_error() < factor.ERROR_BOUND


@pytest.mark.usefixtures("every_path")
def test_estimated_error_above_the_bound_falls_back_to_full_factorisation(circuit_of, monkeypatch, mocker):
    t, g, x, _ = circuit_of(0)
    k = Kirchhoff(t, g)
    monkeypatch.setattr("hwlearn.circuit.linear.reduction.ERROR_BOUND", 1e-18)
    tried = mocker.spy(lineage, "ReducedSystem")
    for scale in (2, 3, 4):
        other = g.copy()
        other[0] *= scale
        k = k.with_conductances(other)
        np.testing.assert_allclose(k.solve(x), Kirchhoff(t, other).solve(x), rtol=0, atol=1e-12)
        assert kinds(k) == [FactoredSystem]
    assert tried.call_count == 2


def test_threads_can_share_reductions():
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, (2, GRID.n_inputs))
    k = Kirchhoff(GRID, np.full(GRID.n_edges, 1e-5))
    k = stepped(k, np.arange(4), 1)
    sets = np.repeat(k.conductances[None, :], 24, axis=0)
    sets[:, :4] = 10 ** rng.uniform(-6, -4, (24, 4))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda g: k.with_conductances(g).solve(x), sets))
    for V, g in zip(found, sets, strict=True):
        np.testing.assert_allclose(V, Kirchhoff(GRID, g).solve(x), rtol=0, atol=1e-11)


def test_large_solved_circuit_can_be_pickled():
    k = Kirchhoff(GRID, np.full(GRID.n_edges, 1e-5))
    for step in range(1, 4):
        k = stepped(k, np.arange(4), step)
    x = np.ones((1, GRID.n_inputs))
    again = pickle.loads(pickle.dumps(k))
    np.testing.assert_allclose(again.solve(x), k.solve(x), rtol=0, atol=1e-12)
    assert kinds(again) == [FactoredSystem]


def test_training_a_subset_uses_the_reduction(wide_limits):
    rng = np.random.default_rng(0)
    x = rng.uniform(-0.5, 0.5, (2, GRID.n_inputs))
    network = KirchhoffTwin(GRID, wide_limits)
    low, high = wide_limits.conductance
    model = Kirchhoff(GRID, rng.uniform(0.3 * high + low, 0.6 * high, GRID.n_edges))
    trainer = Trainer(network, Analytic(), MSE(), Adam(0.05), subset=[5, 99, 300, 301], model=model)
    trainer.fit(x, np.zeros((2, GRID.n_outputs)), 4)
    assert not kinds(trainer.model)
    trainer.model.solve(x)
    assert kinds(trainer.model) == [ReducedSystem]
    np.testing.assert_allclose(
        trainer.model.solve(x), Kirchhoff(GRID, trainer.model.conductances).solve(x), rtol=0, atol=1e-11
    )
