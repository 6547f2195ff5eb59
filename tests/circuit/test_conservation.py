"""Consequences of Kirchhoff's laws, for networks and voltages drawn by hypothesis."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from shares import examples

from hwlearn import Kirchhoff, Topology, loops
from hwlearn.circuit.graphs import component_labels

EPS = 1e-9
EXAMPLES = settings(max_examples=examples(60), deadline=None)


class Case(NamedTuple):
    t: Topology
    g: np.ndarray
    x: np.ndarray
    rng: np.random.Generator


@st.composite
def circuits(draw: st.DrawFn, fixed: bool = True, grounded: bool | None = None) -> Case:
    """Draw a connected multigraph with any roles, conductances over four decades, some fixed edges."""
    n = draw(st.integers(3, 12))
    node = st.integers(0, n - 1)
    tree = [(draw(st.integers(0, k - 1)), k) for k in range(1, n)]
    more = draw(st.lists(st.tuples(node, node).filter(lambda pair: pair[0] != pair[1]), max_size=2 * n))
    wires = draw(st.lists(st.tuples(node, node).filter(lambda pair: pair[0] != pair[1]), max_size=4))
    wires = wires if fixed else []
    order = draw(st.permutations(range(n)))
    n_in = draw(st.integers(1, n - 2))
    n_out = draw(st.integers(1, n - 1 - n_in))
    ground = order[-1] if (draw(st.booleans()) if grounded is None else grounded) else None
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    edges = [*tree, *more]
    t = Topology(
        n,
        edges,
        order[:n_in],
        order[n_in : n_in + n_out],
        ground,
        fixed_edges=wires,
        fixed_conductances=10 ** rng.uniform(-7, -3, len(wires)),
    )
    return Case(t, 10 ** rng.uniform(-7, -3, len(edges)), rng.uniform(-1, 1, (2, n_in)), rng)


def rounding(case: Case, *volts: np.ndarray) -> float:
    """Return the rounding error allowed for a current (one set of volts) or a power (two sets)."""
    largest = max(case.g.max(), case.t.fixed_conductances.max(initial=0.0))
    return EPS * float(largest) * float(np.prod([np.abs(v).max() for v in volts]))


@EXAMPLES
@given(circuits())
def test_tellegen_sources_deliver_the_power_that_edges_dissipate(case: Case):
    t, g, x, rng = case
    k = Kirchhoff(t, g)
    clamped = np.where(rng.random((2, t.n_outputs)) < 0.5, rng.normal(size=(2, t.n_outputs)), np.nan)
    V = k.solve(x, clamped=clamped, injected=1e-5 * rng.normal(size=(2, t.n_outputs)))
    delivered = (k.node_currents(V) * V).sum(axis=1)
    np.testing.assert_allclose(delivered, k.power(V), rtol=0, atol=rounding(case, V, V))
    # also with the voltages of another circuit on the same graph
    other = Kirchhoff(t, 10 ** rng.uniform(-7, -3, t.n_edges))
    V2 = other.solve(rng.normal(size=(2, t.n_inputs)))
    wires = V2[:, t.fixed_edges[:, 0]] - V2[:, t.fixed_edges[:, 1]]
    drops = np.concatenate([other.drops(V2), wires], axis=1)
    pairs = t.all_edges
    flow = (V[:, pairs[:, 0]] - V[:, pairs[:, 1]]) * np.concatenate([g, t.fixed_conductances])
    np.testing.assert_allclose(
        (drops * flow).sum(axis=1), (k.node_currents(V) * V2).sum(axis=1), rtol=0, atol=rounding(case, V, V2)
    )


@EXAMPLES
@given(circuits())
def test_current_law_holds_at_every_inner_node(case: Case):
    t, g, x, rng = case
    k = Kirchhoff(t, g)
    pushed = 1e-5 * rng.normal(size=(2, t.n_outputs))
    V = k.solve(x, injected=pushed)
    currents = k.node_currents(V)
    inner = np.setdiff1d(np.arange(t.n_nodes), [*t.driven, *t.outputs])
    np.testing.assert_allclose(currents[:, t.outputs], pushed, rtol=0, atol=rounding(case, V))
    np.testing.assert_allclose(currents[:, inner], 0, atol=rounding(case, V))
    np.testing.assert_allclose(currents.sum(axis=1), 0, atol=rounding(case, V))


@EXAMPLES
@given(circuits(grounded=True))
def test_reciprocity_transfer_resistances_are_symmetric(case: Case):
    t, g, _, _ = case
    rest = [n for n in range(t.n_nodes) if n not in t.driven]
    every = Topology(
        t.n_nodes,
        t.edges,
        t.inputs,
        rest,
        t.ground,
        fixed_edges=t.fixed_edges,
        fixed_conductances=t.fixed_conductances,
    )
    moved = Kirchhoff(every, g).adjoint(np.eye(len(rest)))[:, rest]
    np.testing.assert_allclose(moved, moved.T, rtol=0, atol=EPS * moved.max())
    # two current patterns at the ports: i1 . V(i2) = i2 . V(i1)
    assert np.linalg.eigvalsh(0.5 * (moved + moved.T)).min() > 0


@EXAMPLES
@given(circuits(fixed=False))
def test_foster_sum_is_the_number_of_nodes_less_one(case: Case):
    t, g, _, _ = case
    # grounding one node of each component does not change effective resistances
    effective = []
    for a, b in t.edges:
        port = Topology(t.n_nodes, t.edges, [a], [b])
        effective.append(Kirchhoff(port, g).output_impedance()[0, 0])
    np.testing.assert_allclose(g @ effective, t.n_nodes - 1, rtol=1e-8)


def test_foster_sum_is_the_number_of_nodes_less_components():
    t = Topology(7, [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 6), (6, 3), (3, 5)], [0, 3], [1, 4])
    g = 10 ** np.random.default_rng(0).uniform(-6, -4, t.n_edges)
    labels = component_labels(t.all_edges, t.n_nodes)
    effective = []
    for a, b in t.edges:
        elsewhere = int(np.flatnonzero(labels != labels[a])[0])
        port = Topology(7, t.edges, [a, elsewhere], [b])
        effective.append(Kirchhoff(port, g).output_impedance()[0, 0])
    np.testing.assert_allclose(g @ effective, 7 - 2, rtol=1e-12)


@EXAMPLES
@given(circuits())
def test_linearity_and_superposition(case: Case):
    t, g, x, rng = case
    k = Kirchhoff(t, g)
    i = 1e-5 * rng.normal(size=(2, t.n_outputs))
    both = k.solve(3 * x[:1] - 2 * x[1:], injected=3 * i[:1] - 2 * i[1:])
    V = k.solve(x, injected=i)
    np.testing.assert_allclose(both, 3 * V[:1] - 2 * V[1:], rtol=0, atol=10 * EPS * np.abs(V).max())
    # one source at a time
    alone = k.solve(np.diag(x[0])).sum(axis=0) + k.solve(0 * x[:1], injected=i[:1])[0]
    np.testing.assert_allclose(alone, V[0], rtol=0, atol=10 * EPS * np.abs(V).max())


@EXAMPLES
@given(circuits())
def test_maximum_principle_node_voltages_are_within_source_voltages(case: Case):
    t, g, x, _ = case
    V = Kirchhoff(t, g).solve(x)
    driven = V[:, t.driven]
    assert (driven.max(axis=1, keepdims=True) + EPS >= V).all()
    assert (driven.min(axis=1, keepdims=True) - EPS <= V).all()


@EXAMPLES
@given(circuits(fixed=False), st.floats(-3, 3))
def test_common_factor_of_all_conductances_does_not_change_voltages(case: Case, power: float):
    t, g, x, rng = case
    error = rng.normal(size=(2, t.n_outputs))
    k, scaled = Kirchhoff(t, g), Kirchhoff(t, g * 10**power)
    np.testing.assert_allclose(scaled.solve(x), k.solve(x), rtol=0, atol=EPS)
    Z = k.output_impedance()
    np.testing.assert_allclose(10**power * scaled.output_impedance(), Z, rtol=0, atol=EPS * Z.max())
    # hence the gradient is orthogonal to the conductances, in both forms
    for gradient in (k.gradient(x, error), loops.gradient(t, g, x, error)):
        assert abs(g @ gradient) < EPS


@EXAMPLES
@given(circuits())
def test_node_form_and_loop_form_agree(case: Case):
    t, g, x, rng = case
    error = rng.normal(size=(2, t.n_outputs))
    nodes, looped = Kirchhoff(t, g).gradient(x, error), loops.gradient(t, g, x, error)
    np.testing.assert_allclose(g * looped, g * nodes, rtol=0, atol=1e-10)


@EXAMPLES
@given(circuits(), st.data())
def test_edges_in_series_or_parallel_equal_one_edge(case: Case, data: st.DataObject):
    t, g, x, _ = case
    k = data.draw(st.integers(0, t.n_edges - 1))
    share = data.draw(st.floats(0.05, 0.95))
    V = Kirchhoff(t, g).solve(x)

    def with_edges(n: int, edges: list) -> Topology:
        return Topology(
            n,
            edges,
            t.inputs,
            t.outputs,
            t.ground,
            fixed_edges=t.fixed_edges,
            fixed_conductances=t.fixed_conductances,
        )

    a, b = t.edges[k]
    split = g.copy()
    split[k] *= share
    parallel = Kirchhoff(with_edges(t.n_nodes, [*t.edges, (b, a)]), [*split, g[k] * (1 - share)])
    np.testing.assert_allclose(parallel.solve(x), V, rtol=0, atol=EPS)

    middle = t.n_nodes
    edges = [*t.edges.tolist(), [middle, b]]
    edges[k] = [a, middle]
    split[k] = g[k] / share
    series = Kirchhoff(with_edges(t.n_nodes + 1, edges), [*split, g[k] / (1 - share)]).solve(x)
    np.testing.assert_allclose(series[:, :-1], V, rtol=0, atol=EPS)
    np.testing.assert_allclose(
        series[:, -1], (1 - share) * V[:, a] + share * V[:, b], rtol=0, atol=EPS
    )  # the drop divides in proportion to the resistances


@EXAMPLES
@given(circuits(), st.data())
def test_star_equals_triangle(case: Case, data: st.DataObject):
    t, g, x, rng = case
    wires = {"fixed_edges": t.fixed_edges, "fixed_conductances": t.fixed_conductances}
    corners = data.draw(st.permutations(range(t.n_nodes)))[:3]
    arms = 10 ** rng.uniform(-7, -3, 3)
    hub = t.n_nodes
    star = Topology(hub + 1, [*t.edges, *((hub, c) for c in corners)], t.inputs, t.outputs, t.ground, **wires)
    sides = [(corners[i], corners[j]) for i, j in ((0, 1), (1, 2), (2, 0))]
    siemens = [arms[i] * arms[j] / arms.sum() for i, j in ((0, 1), (1, 2), (2, 0))]
    triangle = Topology(t.n_nodes, [*t.edges, *sides], t.inputs, t.outputs, t.ground, **wires)
    V = Kirchhoff(star, [*g, *arms]).solve(x)
    np.testing.assert_allclose(Kirchhoff(triangle, [*g, *siemens]).solve(x), V[:, :-1], rtol=0, atol=EPS)
    np.testing.assert_allclose(V[:, -1], V[:, corners] @ arms / arms.sum(), rtol=0, atol=EPS)


@EXAMPLES
@given(circuits())
def test_rayleigh_power_increases_with_conductance(case: Case):
    """Increasing one conductance increases the power drawn from fixed sources."""
    t, g, x, rng = case
    more = g.copy()
    more[rng.integers(t.n_edges)] *= 3
    before, after = (k.power(k.solve(x)) for k in (Kirchhoff(t, g), Kirchhoff(t, more)))
    assert (after >= before - rounding(case, x, x)).all()


@EXAMPLES
@given(circuits())
def test_thomson_solution_has_minimum_power(case: Case):
    """Of all voltages with the same values at the sources, the solution has the least power."""
    t, g, x, rng = case
    k = Kirchhoff(t, g)
    V = k.solve(x)
    other = V + rng.normal(size=V.shape) * ~np.isin(np.arange(t.n_nodes), t.driven)
    assert (k.power(other) >= k.power(V) - rounding(case, V, V)).all()
