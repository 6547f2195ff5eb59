from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

import hwlearn as hl
from hwlearn import Kirchhoff, Topology, loops
from hwlearn.circuit.graphs import incidence
from hwlearn.errors import CircuitError, SingularCircuitError


def branches(t: Topology) -> tuple[np.ndarray, int]:
    """Return all branches of the loop form, and the number of nodes including the virtual ground."""
    ground = t.n_nodes if t.ground is None else t.ground
    sources = [(n, ground) for n in t.inputs]
    return np.concatenate([t.all_edges, sources]), t.n_nodes + (t.ground is None)


def n_cycles(t: Topology) -> int:
    pairs, nodes = branches(t)
    graph = nx.MultiGraph(pairs.tolist())
    graph.add_nodes_from(range(nodes))
    return len(pairs) - nodes + nx.number_connected_components(graph)


@pytest.mark.parametrize("seed", range(20))
def test_cycles_are_a_basis_of_currents_that_obey_the_current_law(circuit_of, seed: int):
    t = circuit_of(seed).topology
    pairs, nodes = branches(t)
    A = loops.cycle_basis(t).toarray()
    assert A.shape == (n_cycles(t), len(pairs))
    assert set(np.unique(A)) <= {-1.0, 0.0, 1.0}
    assert not (A @ incidence(pairs, nodes).toarray()).any()
    assert np.linalg.matrix_rank(A) == len(A)


def test_cycles_of_several_components_and_floating_parts():
    t = Topology(7, [(0, 1), (1, 0), (2, 3), (3, 4), (4, 2), (5, 6), (6, 5), (5, 6)], [0, 2], [1, 3])
    A = loops.cycle_basis(t)
    assert A.shape == (1 + 1 + 2, 8 + 2)
    assert not (A @ incidence(*branches(t)).toarray()).any()


def test_cycles_of_a_large_graph_are_found_quickly():
    t = Topology.grid(60, 60, ground=0)
    A = loops.cycle_basis(t)
    assert A.shape[0] == 59 * 59 + t.n_inputs
    assert abs(A @ incidence(*branches(t))).max() == 0


@pytest.mark.share(10)
@pytest.mark.parametrize("seed", range(20))
def test_omega_projects_onto_the_cycle_space(circuit_of, seed: int):
    t, g, x, _ = circuit_of(seed)
    omega = hl.projector(t, g)
    pairs, nodes = branches(t)
    assert omega.shape == (len(pairs), len(pairs))
    np.testing.assert_allclose(omega @ omega, omega, rtol=0, atol=1e-10 * np.abs(omega).max())
    np.testing.assert_allclose(np.trace(omega), n_cycles(t), rtol=1e-9)
    # currents that obey Kirchhoff's current law do not change
    k = Kirchhoff(t, g)
    V = k.solve(x)
    flow = (V[:, t.all_edges[:, 0]] - V[:, t.all_edges[:, 1]]) * np.concatenate([g, t.fixed_conductances])
    current = np.concatenate([flow, -k.source_currents(V)], axis=1)
    np.testing.assert_allclose(current @ omega.T, current, rtol=0, atol=1e-10 * np.abs(current).max())
    # every column obeys the law
    np.testing.assert_allclose(incidence(pairs, nodes).T @ omega, 0, atol=1e-9 * np.abs(omega).max())


def test_loop_form_gradient_agrees_with_node_form(circuit_of, figure):
    worst = 0.0
    for seed in range(40):
        t, g, x, e = circuit_of(seed)
        nodes = Kirchhoff(t, g).gradient(x, e)
        worst = max(worst, np.abs(hl.loops.gradient(t, g, x, e) - nodes).max() / np.abs(nodes).max())
    figure(f"loop form against node form, 40 circuits of all kinds: at most {worst:.1e} relative (required 1e-10)")
    assert worst < 1e-10


def test_both_forms_agree_over_six_decades_of_conductance():
    rng = np.random.default_rng(3)
    t = Topology.random(20, 50, 3, 2, 0, seed=3)
    g = 10 ** rng.uniform(-9, -3, t.n_edges)
    x, e = rng.normal(size=(4, t.n_inputs)), rng.normal(size=(4, t.n_outputs))
    nodes = Kirchhoff(t, g).gradient(x, e)
    np.testing.assert_allclose(loops.gradient(t, g, x, e), nodes, rtol=0, atol=1e-10 * np.abs(nodes).max())


def test_tree_with_one_source_has_no_cycle_and_no_gradient():
    t = Topology(3, [(0, 1), (1, 2)], [0], [2])
    assert loops.cycle_basis(t).shape == (0, 3)
    assert loops.projector(t, [1e-3, 1e-3]).tolist() == np.zeros((3, 3)).tolist()
    assert loops.gradient(t, [1e-3, 1e-3], [[1.0]], [[1.0]]).tolist() == [0.0, 0.0]


def test_gradient_of_a_divider():
    t = Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
    g = np.array([1e-3, 3e-3])  # V_out = g0 / (g0 + g1)
    expected = np.array([g[1], -g[0]]) / g.sum() ** 2
    np.testing.assert_allclose(loops.gradient(t, g, [[2.0]], [[0.5]]), expected, rtol=1e-14)


def test_single_sample_without_sample_axis_is_accepted():
    t = Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
    np.testing.assert_array_equal(
        loops.gradient(t, [1e-3, 3e-3], [1.0], [0.5]), loops.gradient(t, [1e-3, 3e-3], [[1.0]], [[0.5]])
    )


LOST = Topology(4, [(0, 1), (2, 3)], [0], [1], names=["in", "out", "lost", "gone"])
PAIR = Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2, names=["in", "mid", "zero"])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: loops.gradient(PAIR, [1e-3, 0.0], [[1.0]], [[1.0]]), CircuitError, r"edge 1 \(mid-zero\)"),
        (lambda: loops.projector(PAIR, [-1.0, 1.0]), CircuitError, r"negative .* edge 0 \(in-mid\)"),
        (lambda: loops.projector(PAIR, [1.0]), CircuitError, r"shape \(2,\)"),
        (lambda: loops.projector(LOST, [1.0, 1.0]), SingularCircuitError, r"lost, gone"),
        (lambda: loops.gradient(PAIR, [1.0, 1.0], [[np.nan]], [[1.0]]), CircuitError, r"inputs contain NaN"),
        (lambda: loops.gradient(PAIR, [1.0, 1.0], [[1.0]], [[np.nan]]), CircuitError, r"error .* mid is NaN"),
        (lambda: loops.gradient(PAIR, [1.0, 1.0], [[1.0]], [[1.0, 1.0]]), CircuitError, r"error must have"),
        (lambda: loops.gradient(PAIR, [1.0, 1.0], np.zeros((0, 1)), [[1.0]]), CircuitError, r"no samples"),
    ],
)
def test_loop_form_refuses_the_same_arguments_as_the_node_form(call, error, message: str):
    with pytest.raises(error, match=message):
        call()
