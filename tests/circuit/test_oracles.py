"""Circuits with independent solutions: closed forms, exact rational arithmetic, networkx."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, product
from math import comb

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shares import examples

from hwlearn import Kirchhoff, Topology, solve_crossbar
from hwlearn.errors import SingularCircuitError

EXACT = 1e-11
BOUND = 1e-9


def effective_ohms(n_nodes: int, edges, siemens, a: int, b: int) -> float:
    """Return the ohms between nodes a and b: volts at b per ampere into b, with a held."""
    return float(Kirchhoff(Topology(n_nodes, edges, [a], [b]), siemens).output_impedance()[0, 0])


# --- closed forms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("sections", [1, 2, 7, 30, 600])
def test_ladder_of_equal_resistors_is_a_ratio_of_fibonacci_numbers(sections: int):
    """n sections of 1 ohm in series and 1 ohm across, open at the end: F(2n+1) / F(2n)."""
    top, bottom = Fraction(2), Fraction(1)
    for _ in range(sections - 1):
        top, bottom = 2 * top + bottom, top + bottom
    edges = [(k, k + 1) for k in range(sections)] + [(k + 1, sections + 1) for k in range(sections)]
    t = Topology(sections + 2, edges, [0], [sections], ground=sections + 1)
    k = Kirchhoff(t, np.ones(2 * sections))
    assert k.source_currents(k.solve([[1.0]]))[0, 0] == pytest.approx(float(bottom / top), rel=EXACT)


@pytest.mark.parametrize("depth", [1, 3, 9])
def test_binary_tree(depth: int):
    """All leaves joined: 1/2 + 1/4 + ...; two leaves: the length of the path between them."""
    n = 2 ** (depth + 1) - 1
    edges = [((k - 1) // 2, k) for k in range(1, n)]
    first_leaf = 2**depth - 1
    last = n - 1
    assert effective_ohms(n, edges, np.ones(n - 1), first_leaf, last) == pytest.approx(2 * depth, rel=EXACT)
    # all leaves joined to one node, the ground
    joined = [(a, min(b, first_leaf)) for a, b in edges]
    together = effective_ohms(first_leaf + 1, joined, np.ones(n - 1), 0, first_leaf)
    assert together == pytest.approx(1 - 0.5**depth, rel=EXACT)


@pytest.mark.parametrize("n", [2, 5, 40, 400])
def test_complete_graph(n: int):
    edges = list(combinations(range(n), 2))
    assert effective_ohms(n, edges, np.full(len(edges), 1e-5), 0, n - 1) == pytest.approx(2e5 / n, rel=EXACT)


@pytest.mark.parametrize(("rows", "columns"), [(1, 4), (3, 8), (40, 25), (300, 200)])
def test_crossbar_of_equal_devices_with_ideal_lines(rows: int, columns: int):
    edges = Topology.crossbar(rows, columns).edges
    n, g = rows + columns, np.full(rows * columns, 2e-5)
    across = effective_ohms(n, edges, g, 0, n - 1)
    assert across == pytest.approx((n - 1) / (rows * columns) / 2e-5, rel=EXACT)
    if columns > 1:
        assert effective_ohms(n, edges, g, rows, n - 1) == pytest.approx(2 / rows / 2e-5, rel=EXACT)


@pytest.mark.parametrize("dimension", [1, 2, 3, 8, 10])
def test_hypercube_from_corner_to_corner(dimension: int):
    """A chain of layers, by symmetry; 5/6 ohm for the cube."""
    n = 2**dimension
    edges = [(k, k | 1 << bit) for k in range(n) for bit in range(dimension) if not k >> bit & 1]
    expected = sum(1 / comb(dimension - 1, k) for k in range(dimension)) / dimension
    assert effective_ohms(n, edges, np.ones(len(edges)), 0, n - 1) == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize("side", [3, 12, 40])
def test_torus_between_any_two_nodes(side: int):
    """From the eigenvalues of a periodic lattice; (1 - 1/n) / 2 between neighbours."""
    node = np.arange(side * side).reshape(side, side)
    pairs = [np.stack([node, np.roll(node, -1, axis)], axis=-1).reshape(-1, 2) for axis in (0, 1)]
    edges = np.concatenate(pairs)
    waves = 2 * np.pi * np.arange(side) / side
    eigenvalue = 4 - 2 * np.cos(waves)[:, None] - 2 * np.cos(waves)
    eigenvalue[0, 0] = np.inf
    for down, right in ((0, 1), (1, 0), (side // 2, side // 2), (1, side // 3)):
        phase = waves[:, None] * down + waves * right
        expected = ((2 - 2 * np.cos(phase)) / eigenvalue).sum() / side**2
        got = effective_ohms(side**2, edges, np.ones(len(edges)), 0, int(node[down, right]))
        assert got == pytest.approx(expected, rel=1e-11)
        if down + right == 1:
            assert got == pytest.approx((1 - 1 / side**2) / 2, rel=1e-11)


@pytest.mark.parametrize("decades", [0, 6, 12])
def test_star_obeys_millmans_theorem(decades: float):
    rng = np.random.default_rng(0)
    g, x = 10 ** rng.uniform(-8, decades - 8, 9), rng.uniform(-1, 1, (4, 9))
    V = Kirchhoff(Topology(10, [(k, 9) for k in range(9)], range(9), [9]), g).solve(x)
    np.testing.assert_allclose(V[:, 9], x @ g / g.sum(), rtol=0, atol=1e-14)


def test_bridge_of_five_equal_resistors_is_balanced():
    edges = [(0, 1), (1, 3), (0, 2), (2, 3), (1, 2)]
    V = Kirchhoff(Topology(4, edges, [0], [1, 2], ground=3), [1e-4, 3e-4, 2e-4, 6e-4, 7e-5]).solve([[2.0]])
    assert V[0, 1] == pytest.approx(V[0, 2], rel=1e-14)
    assert V[0, 1] == pytest.approx(0.5, rel=1e-14)


@pytest.mark.parametrize("size", [1, 2, 9, 80])
def test_crossbar_with_equal_columns_is_a_chain(size: int):
    """One row with ideal columns: cosh(n a) / cosh(...) from the far end, by the roots of the recurrence."""
    wire, device = 3.0, 1e-2
    got = solve_crossbar(np.full((1, size), device), [[1.0]], (wire, 0.0))
    a = 2 * np.arcsinh(np.sqrt(wire * device) / 2)
    from_the_end = size - 1 - np.arange(size)
    expected = np.cosh((from_the_end + 0.5) * a) / np.cosh((size + 0.5) * a)
    np.testing.assert_allclose(got.row_nodes[0, 0], expected, rtol=BOUND)


# --- exact rational arithmetic --------------------------------------------------------------------------


def solved_exactly(t: Topology, g: list[Fraction], x: list[Fraction]) -> list[Fraction]:
    """Return node voltages by Gaussian elimination with fractions."""
    volts = dict(zip(t.inputs.tolist(), x, strict=True))
    if t.ground is not None:
        volts[t.ground] = Fraction(0)
    free = [n for n in range(t.n_nodes) if n not in volts]
    at = {n: i for i, n in enumerate(free)}
    rows = [[Fraction(0)] * (len(free) + 1) for _ in free]
    for (a, b), s in zip(t.all_edges.tolist(), g, strict=True):
        for n, m in ((a, b), (b, a)):
            if n in at:
                rows[at[n]][at[n]] += s
                if m in at:
                    rows[at[n]][at[m]] -= s
                else:
                    rows[at[n]][-1] += s * volts[m]
    for i, row in enumerate(rows):
        for j in range(len(rows)):
            if j != i and rows[j][i]:
                factor = rows[j][i] / row[i]
                rows[j] = [p - factor * q for p, q in zip(rows[j], row, strict=True)]
    return [volts[n] if n in volts else rows[at[n]][-1] / rows[at[n]][at[n]] for n in range(t.n_nodes)]


@st.composite
def wide_circuits(draw: st.DrawFn) -> tuple[Topology, np.ndarray, np.ndarray]:
    """Draw connected graphs with conductances over up to sixteen decades, with weakly connected clusters."""
    n = draw(st.integers(3, 8))
    edges = [(draw(st.integers(0, k - 1)), k) for k in range(1, n)]
    node = st.integers(0, n - 1)
    edges += draw(st.lists(st.tuples(node, node).filter(lambda pair: pair[0] != pair[1]), max_size=2 * n))
    n_in = draw(st.integers(1, n - 2))
    ground = n - 1 if draw(st.booleans()) else None
    t = Topology(n, edges, range(n_in), [n_in], ground)
    decades = draw(st.sampled_from([2, 6, 10, 16]))
    powers = st.integers(0, decades)
    digits = st.floats(1, 10, exclude_max=True)
    g = [draw(digits) * 10.0 ** (draw(powers) - decades) for _ in edges]
    return t, np.array(g), np.array([draw(st.floats(-1, 1)) for _ in range(n_in)])


@settings(max_examples=examples(150), deadline=None)
@given(wide_circuits())
def test_wide_range_of_conductances_is_solved_correctly_or_refused(case):
    t, g, x = case
    exact = [float(v) for v in solved_exactly(t, list(map(Fraction, g.tolist())), list(map(Fraction, x.tolist())))]
    try:
        V = Kirchhoff(t, g).solve(x[None])[0]
    except SingularCircuitError:
        assert g.max() / g.min() > 1e6  # six decades are always solved
        return
    np.testing.assert_allclose(V, exact, rtol=0, atol=3e-8 * max(np.abs(x).max(), 1e-300))
    if g.max() / g.min() <= 1e6:
        np.testing.assert_allclose(V, exact, rtol=0, atol=BOUND * max(np.abs(x).max(), 1e-300))


# --- networkx -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_effective_resistances_agree_with_networkx(seed: int):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 30))
    graph = nx.connected_watts_strogatz_graph(n, 4, 0.5, seed=seed)
    edges = np.array(graph.edges)
    g = 10 ** rng.uniform(-6, -4, len(edges))
    for (a, b), s in zip(edges.tolist(), g, strict=True):
        graph[a][b]["siemens"] = s
    theirs = nx.resistance_distance(graph, weight="siemens", invert_weight=False)
    for a, b in list(product(range(n), repeat=2))[1 :: n + 3]:
        if a != b:
            assert effective_ohms(n, edges, g, a, b) == pytest.approx(theirs[a][b], rel=BOUND)
