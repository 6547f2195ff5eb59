from __future__ import annotations

import pickle
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from hwlearn import Kirchhoff, Topology
from hwlearn.circuit.linear import dense, factor
from hwlearn.circuit.spice import spice_text
from hwlearn.errors import CircuitError, SingularCircuitError


def solved_densely(t: Topology, g: np.ndarray, x: np.ndarray, clamped: np.ndarray, injected: np.ndarray):
    """Solve one sample the textbook way: L V = I with the rows of held nodes replaced by V = given."""
    L, current = np.zeros((t.n_nodes, t.n_nodes)), np.zeros(t.n_nodes)
    for (a, b), s in zip(t.all_edges, [*g, *t.fixed_conductances], strict=True):
        L[[a, b], [a, b]] += s
        L[[a, b], [b, a]] -= s
    current[t.outputs] = np.where(np.isnan(injected), 0.0, injected)
    held = dict(zip(t.inputs, x, strict=True)) | {n: v for n, v in zip(t.outputs, clamped, strict=True) if v == v}
    if t.ground is not None:
        held[t.ground] = 0.0
    for node, volts in held.items():
        L[node], current[node] = np.eye(t.n_nodes)[node], volts
    return np.linalg.solve(L, current)


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max() / np.abs(b).max())


# --- independent solutions of the same circuit ---------------------------------------------------------


@pytest.mark.share(10)
@pytest.mark.parametrize("seed", range(20))
def test_voltages_agree_with_textbook_solution(circuit_of, seed: int):
    t, g, x, e = circuit_of(seed)
    rng = np.random.default_rng(seed)
    clamped = np.where(rng.random(e.shape) < 0.5, rng.normal(size=e.shape), np.nan)
    injected = np.where(rng.random(e.shape) < 0.8, 1e-5 * e, np.nan)
    none = np.full(e.shape, np.nan)
    model = Kirchhoff(t, g)
    for V, held, pushed in (
        (model.solve(x), none, none),
        (model.solve(x, injected=injected), none, injected),
        (model.solve(x, clamped=clamped), clamped, none),
        (model.solve(x, clamped, injected), clamped, injected),
    ):
        expected = [solved_densely(t, g, *sample) for sample in zip(x, held, pushed, strict=True)]
        np.testing.assert_allclose(V, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("seed", range(0, 20, 4))
def test_sparse_solver_agrees_with_dense_solver(circuit_of, seed: int, sparse_library, monkeypatch, mocker):
    t, g, x, e = circuit_of(seed)
    small = Kirchhoff(t, g)
    expected = small.solve(x), small.gradient(x, e), small.output_impedance()
    monkeypatch.setattr(factor, "DENSE_NODES", 0)
    factor.plan_for.cache_clear()
    made = mocker.spy(*sparse_library)
    sparse = Kirchhoff(t, g)
    got = sparse.solve(x), sparse.gradient(x, e), sparse.output_impedance()
    assert made.call_count == 1
    factor.plan_for.cache_clear()
    for one, other in zip(got, expected, strict=True):
        assert relative(one, other) < 1e-11


def test_large_grid_uses_sparse_solver_and_obeys_current_law():
    t = Topology.grid(30, 30, ground=0)
    assert t.n_nodes - len(t.driven) > factor.DENSE_NODES
    rng = np.random.default_rng(0)
    g = 10 ** rng.uniform(-6, -4, t.n_edges)
    x = rng.uniform(-1, 1, (2, t.n_inputs))
    V = Kirchhoff(t, g).solve(x)
    np.testing.assert_allclose(
        V[0], solved_densely(t, g, x[0], *np.full((2, t.n_outputs), np.nan)), rtol=0, atol=1e-11
    )
    inner = np.delete(Kirchhoff(t, g).node_currents(V), t.driven, axis=1)
    assert np.abs(inner).max() < 1e-16


def test_voltages_agree_with_ngspice(circuit_of, ngspice, figure):
    worst = 0.0
    for seed in range(0, 20, 3):
        t, g, x, e = circuit_of(seed)
        i = 1e-6 * e[0]
        V = Kirchhoff(t, g).solve(x[:1], injected=i)[0]
        printed = ngspice(spice_text(t, g, x[0], i))
        read = [0.0 if k == t.ground else printed[name] for k, name in enumerate(t.names)]
        worst = max(worst, relative(V, np.array(read)))
        sources = [-printed[f"v{k}#branch"] for k in range(t.n_inputs)]
        np.testing.assert_allclose(Kirchhoff(t, g).source_currents(V[None])[0], sources, rtol=1e-6, atol=1e-12)
    figure(f"node voltages against ngspice, 7 circuits of all kinds: at most {worst:.1e} relative (required 1e-6)")
    assert worst < 1e-6


@pytest.mark.share(10)
@pytest.mark.parametrize("seed", range(20))
def test_gradient_agrees_with_central_differences(circuit_of, seed: int):
    t, g, x, _ = circuit_of(seed)
    targets = np.random.default_rng(seed).normal(size=(len(x), t.n_outputs))

    def cost(conductances: np.ndarray) -> float:
        outputs = Kirchhoff(t, conductances).solve(x)[:, t.outputs]
        return 0.5 * ((outputs - targets) ** 2).sum() / len(x)

    exact = Kirchhoff(t, g).gradient(x, Kirchhoff(t, g).solve(x)[:, t.outputs] - targets)
    step = 1e-5 * g
    differences = [(cost(g + dg) - cost(g - dg)) / (2 * dg.sum()) for dg in np.diag(step)]
    # per relative change of conductance, so that all edges have comparable gradients
    assert relative(g * differences, g * exact) < 1e-6


# --- closed forms, currents, power, impedance ----------------------------------------------------------


def test_bridge_with_unequal_arms():
    # 1 V across two dividers connected by an edge: solved by hand with fractions
    t = Topology(4, [(0, 1), (1, 3), (0, 2), (2, 3), (1, 2)], [0], [1, 2], ground=3)
    g = [1e-3, 2e-3, 3e-3, 1e-3, 5e-3]
    a, b, c, d, m = (Fraction(v) for v in (1, 2, 3, 1, 5))
    determinant = (a + b + m) * (c + d + m) - m * m
    expected = [float((a * (c + d + m) + m * c) / determinant), float((c * (a + b + m) + m * a) / determinant)]
    np.testing.assert_allclose(Kirchhoff(t, g).solve([[1.0]])[0, 1:3], expected, rtol=1e-14)


def test_currents_power_impedance_and_admittance_of_a_divider():
    t = Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2, fixed_edges=[(0, 2)], fixed_conductances=[1e-3])
    k = Kirchhoff(t, [1e-3, 3e-3])
    V = k.solve([[1.0], [2.0]])
    np.testing.assert_allclose(V[:, 1], [0.25, 0.5])
    np.testing.assert_allclose(k.drops(V), [[0.75, 0.25], [1.5, 0.5]])
    np.testing.assert_allclose(k.edge_currents(V), [[0.75e-3, 0.75e-3], [1.5e-3, 1.5e-3]])
    np.testing.assert_allclose(k.source_currents(V), [[1.75e-3], [3.5e-3]])  # the fixed edge takes 1 mA/V
    np.testing.assert_allclose(k.node_currents(V).sum(axis=1), 0, atol=1e-18)
    np.testing.assert_allclose(k.power(V), [1.75e-3, 7e-3])
    np.testing.assert_allclose(k.output_impedance(), [[250.0]])
    np.testing.assert_allclose(k.output_admittance(), [[4e-3]])
    np.testing.assert_allclose(k.output_currents(k.solve([[1.0]], clamped=[[1.0]])), [[3e-3]])
    np.testing.assert_allclose(k.cocontent(k.drops(V)), [[0.75**2 / 2, 0.25**2 / 2], [1.5**2 / 2, 0.5**2 / 2]])


@pytest.mark.parametrize("seed", range(10))
def test_admittance_is_the_inverse_of_impedance(circuit_of, seed: int):
    t, g, _, _ = circuit_of(seed)
    k = Kirchhoff(t, g)
    np.testing.assert_allclose(
        k.output_admittance() @ k.output_impedance(), np.eye(t.n_outputs), rtol=0, atol=1e-10
    )


def test_impedance_is_output_voltage_per_injected_current(circuit_of):
    t, g, x, _ = circuit_of(0)
    k = Kirchhoff(t, g)
    moved = k.solve(x[:1], injected=1e-6 * np.eye(t.n_outputs)[0]) - k.solve(x[:1])
    np.testing.assert_allclose(moved[0, t.outputs], 1e-6 * k.output_impedance()[:, 0], rtol=1e-8)


def test_observe_recovers_all_nodes_from_true_outputs(circuit_of):
    t, g, x, _ = circuit_of(2)
    k = Kirchhoff(t, g)
    V = k.solve(x)
    np.testing.assert_allclose(k.observe(x, V[:, t.outputs]), V, rtol=0, atol=1e-13)


# --- batches --------------------------------------------------------------------------------------------


def test_batch_equals_single_samples_for_any_pattern_of_clamps(circuit_of):
    t, g, _, _ = circuit_of(4)
    rng = np.random.default_rng(0)
    x, clamped = rng.normal(size=(12, t.n_inputs)), rng.normal(size=(12, t.n_outputs))
    clamped[rng.random(clamped.shape) < 0.4] = np.nan
    assert len(np.unique(np.isnan(clamped), axis=0)) > 2
    together = Kirchhoff(t, g).solve(x, clamped)
    one_by_one = [Kirchhoff(t, g).solve(x[s], clamped[s])[0] for s in range(12)]
    np.testing.assert_allclose(together, one_by_one, rtol=0, atol=1e-14)
    held = ~np.isnan(clamped)
    assert (together[:, t.outputs][held] == clamped[held]).all()


def test_current_into_a_clamped_output_has_no_effect(circuit_of):
    t, g, x, e = circuit_of(0)
    k = Kirchhoff(t, g)
    np.testing.assert_array_equal(k.solve(x, clamped=e, injected=1e-3 * e), k.solve(x, clamped=e))


def test_one_row_of_clamps_or_currents_applies_to_the_whole_batch(circuit_of):
    t, g, x, e = circuit_of(0)
    k = Kirchhoff(t, g)
    np.testing.assert_array_equal(
        k.solve(x, injected=e[:1]), k.solve(x, injected=np.repeat(e[:1], len(x), axis=0))
    )
    np.testing.assert_array_equal(k.solve(x, clamped=e[0]), k.solve(x, clamped=np.repeat(e[:1], len(x), axis=0)))


def test_empty_batch_has_voltages_but_no_mean_gradient(circuit_of):
    t, g, x, e = circuit_of(0)
    assert Kirchhoff(t, g).solve(x[:0]).shape == (0, t.n_nodes)
    assert Kirchhoff(t, g).solve(x[:0], clamped=e[:0]).shape == (0, t.n_nodes)
    with pytest.raises(CircuitError, match="no samples"):
        Kirchhoff(t, g).gradient(x[:0], e[:0])


def test_circuit_without_free_nodes_is_solved():
    t = Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
    assert Kirchhoff(t, [1e-3, 1e-3]).solve([[1.0]], clamped=[[0.3]]).tolist() == [[1.0, 0.3, 0.0]]


def test_each_set_of_held_nodes_is_factored_once(circuit_of, mocker):
    t, g, x, e = circuit_of(0)
    assert t.n_outputs == 2
    made = mocker.spy(dense, "dpotrf")
    k = Kirchhoff(t, g)
    assert made.call_count == 0
    many = np.repeat(x, 100, axis=0)
    k.solve(many)
    k.gradient(x, e)
    k.output_impedance()
    k.adjoint(e)
    assert made.call_count == 1
    k.solve(x, clamped=e)
    k.observe(x, e)
    assert made.call_count == 2
    one_free = e.copy()
    one_free[:, 0] = np.nan
    for _ in range(3):
        k.solve(x, clamped=one_free)
        k.solve(x)
    assert made.call_count == 3


def test_factor_of_the_free_phase_is_kept_while_many_patterns_are_solved(mocker):
    t = Topology.crossbar(6, 6, inputs=[0, 1])
    k = Kirchhoff(t, np.full(36, 1e-5))
    made = mocker.spy(dense, "dpotrf")
    for pattern in range(1, 40):
        k.solve([[0.1, 0.2]])
        k.solve([[0.1, 0.2]], clamped=np.where((pattern >> np.arange(6)) & 1, 0.1, np.nan))
    assert made.call_count == 1 + 39


def test_with_conductances_returns_a_new_circuit(circuit_of):
    t, g, x, _ = circuit_of(2)  # without fixed edges
    k = Kirchhoff(t, g)
    before = k.solve(x)
    other = k.with_conductances(2 * g)
    np.testing.assert_allclose(
        other.solve(x), before, rtol=0, atol=1e-13
    )  # a common factor does not change voltages
    np.testing.assert_array_equal(other.conductances, 2 * g)
    np.testing.assert_array_equal(k.conductances, g)
    assert Kirchhoff(t, g, allow_open=True).with_conductances(g).allow_open
    with pytest.raises(ValueError, match="read-only"):
        k.conductances[0] = 1.0
    g[0] = 7.0
    np.testing.assert_array_equal(k.solve(x), before)


def test_solved_circuit_is_pickled_without_factors(circuit_of):
    t, g, x, _ = circuit_of(0)
    k = Kirchhoff(t, g)
    V = k.solve(x)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(k)).solve(x), V)


# --- open edges, floating and weakly connected nodes------------------------------------------------------


def test_open_edge_equals_missing_edge():
    t = Topology(3, [(0, 1), (1, 2), (0, 1)], [0], [1], ground=2)
    without = Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
    opened = Kirchhoff(t, [1e-3, 2e-3, 0.0], allow_open=True)
    np.testing.assert_allclose(opened.solve([[1.0]]), Kirchhoff(without, [1e-3, 2e-3]).solve([[1.0]]))
    # the gradient of an open edge is that at very small conductance
    step = 1e-9
    nudged = opened.with_conductances([1e-3, 2e-3, step]).solve([[1.0]])[0, 1]
    slope = (nudged - opened.solve([[1.0]])[0, 1]) / step
    np.testing.assert_allclose(opened.gradient([[1.0]], [[1.0]])[2], slope, rtol=1e-5)


def test_open_edges_that_make_a_node_float_are_refused_with_its_name():
    t = Topology(4, [(0, 1), (1, 2), (2, 3)], [0], [1], ground=None, names=["in", "out", "left", "end"])
    np.testing.assert_allclose(Kirchhoff(t, [1e-3, 1e-3, 1e-3]).solve([[1.0]]), 1.0)
    with pytest.raises(SingularCircuitError, match=r"connects 2 node\(s\) to a source: left, end"):
        Kirchhoff(t, [1e-3, 0.0, 1e-3], allow_open=True)


def test_graph_with_floating_nodes_is_refused_with_their_names():
    t = Topology(4, [(0, 1), (2, 3)], [0], [1], names=["in", "out", "lost", "gone"])
    with pytest.raises(SingularCircuitError, match=r"connects 2 node\(s\) to a source: lost, gone"):
        Kirchhoff(t, [1e-3, 1e-3])


@pytest.mark.parametrize("ratio", [1e6, 1e10, 1e13])
@pytest.mark.usefixtures("path")
def test_weakly_connected_nodes_are_solved(ratio: float):
    """Three nodes, joined by near-ideal wires, are connected to the sources by two small conductances."""
    t = Topology(
        5,
        [(0, 1), (3, 4)],
        [0],
        [2],
        ground=4,
        fixed_edges=[(1, 2), (2, 3)],
        fixed_conductances=[ratio, ratio / 7],
    )
    k = Kirchhoff(t, [1.0, 3.0])
    drops = np.cumsum([1.0, 1 / ratio, 7 / ratio, 1 / 3])  # in series, one ampere through them
    np.testing.assert_allclose(k.solve([[1.0]])[0, 1:4], 1 - drops[:3] / drops[3], rtol=2e-10)
    below = drops[3] - drops[1]
    np.testing.assert_allclose(k.output_impedance(), [[drops[1] * below / drops[3]]], rtol=2e-10)


@pytest.mark.parametrize("wire", [1e6, 2.0**20])  # the pivots of the sparse factor: one wrong, one exactly zero
@pytest.mark.usefixtures("path")
def test_ill_conditioned_node_is_refused_with_its_name(wire: float):
    names = ["in", "one", "two", "zero"]
    t = Topology(4, [(0, 1), (2, 3)], [0], [2], 3, names=names, fixed_edges=[(1, 2)], fixed_conductances=[wire])
    with pytest.raises(SingularCircuitError, match=r"singular circuit: (one|two) is connected .* too weakly"):
        Kirchhoff(t, [1e-12, 3e-12]).solve([[1.0]])


@pytest.mark.share(6)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.usefixtures("path")
def test_weakly_connected_cluster_is_solved_correctly_or_refused(seed: int):
    """Five nodes in a mesh of good wires, connected to the sources more and more weakly."""
    wires = list(combinations(range(1, 6), 2))
    siemens = 10 ** np.random.default_rng(seed).uniform(4, 6, len(wires))
    t = Topology(7, [(0, 1), (3, 6)], [0], [2], 6, fixed_edges=wires, fixed_conductances=siemens)
    refused = []
    for tie in 10.0 ** np.arange(-14, 1):
        try:
            V = Kirchhoff(t, [tie, 3 * tie]).solve([[1.0]])
        except SingularCircuitError:
            refused.append(tie)
        else:
            np.testing.assert_allclose(V[0, 2], 0.25, rtol=1e-8 + 2 * tie / siemens.min())
    assert 1e-14 in refused
    assert all(tie < 1e-7 for tie in refused)
