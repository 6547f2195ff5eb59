"""Crossbars with wires against badcrossbar, ngspice and exact rational arithmetic."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shares import examples

from hwlearn import HwlearnError, Kirchhoff, Topology, solve_crossbar
from hwlearn.circuit.spice import spice_text

AGREE = 1e-9


@pytest.fixture(scope="module")
def badcrossbar() -> ModuleType:
    """Return badcrossbar without its log messages; it warns if pycairo is missing, which only its plots need."""
    if importlib.util.find_spec("badcrossbar") is None:
        pytest.skip("badcrossbar is not installed: pip install --no-deps badcrossbar pathvalidate")
    with warnings.catch_warnings(record=True):
        import badcrossbar as module
    if not hasattr(module, "compute"):
        pytest.skip("badcrossbar lacks its dependency pathvalidate: pip install pathvalidate")
    logging.getLogger("badcrossbar").setLevel(logging.WARNING)
    return module


def array_of(seed: int, size: tuple[int, int], decades: tuple[float, float], samples: int):
    rng = np.random.default_rng(seed)
    return 10 ** rng.uniform(*decades, size), rng.uniform(-0.5, 0.5, (samples, size[0]))


def apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the largest difference relative to the sample's largest value."""
    axes = tuple(range(1, ours.ndim))
    assert ours.shape == theirs.shape
    return float((np.abs(ours - theirs).max(axis=axes) / np.abs(theirs).max(axis=axes)).max())


SIZES = [(1, 1), (1, 7), (9, 1), (2, 3), (12, 7), (7, 12), (40, 33)]
WIRES = [(1.0, 1.0), (0.2, 30.0), (100.0, 3.0), (5.0, 0.0), (0.0, 5.0)]


@pytest.mark.share(14)
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("wires", WIRES)
@pytest.mark.parametrize("size", SIZES)
def test_currents_and_voltages_agree_with_badcrossbar(badcrossbar, size, wires, samples: int):
    g, v = array_of(sum(size), size, (-6, -3), samples)
    theirs = badcrossbar.compute(
        v.T, 1 / g, r_i_word_line=wires[0], r_i_bit_line=wires[1], node_voltages=True, all_currents=True
    )
    ours = solve_crossbar(g, v, wires)
    assert apart(ours.column_currents, theirs.currents.output) < AGREE
    device = g * (ours.row_nodes - ours.column_nodes)
    by_sample = np.reshape(theirs.currents.device, (*size, samples)).transpose(2, 0, 1)
    assert apart(device, by_sample) < AGREE
    for ohms, nodes, volts in zip(wires, (ours.row_nodes, ours.column_nodes), theirs.voltages, strict=True):
        if ohms:
            assert apart(nodes, np.reshape(volts, (*size, samples)).transpose(2, 0, 1)) < AGREE


def test_six_decades_with_open_devices_agree_with_badcrossbar(badcrossbar, figure):
    worst = 0.0
    for seed in range(4):
        g, v = array_of(seed, (24, 17), (-9, -3), 2)
        g[np.random.default_rng(seed).random(g.shape) < 0.2] = 0.0
        with np.errstate(divide="ignore"):
            theirs = badcrossbar.compute(v.T, 1 / g, 2.0)
        ours = solve_crossbar(g, v, 2.0)
        worst = max(worst, apart(ours.column_currents, theirs.currents.output))
    figure(f"crossbars of six decades, a fifth open, against badcrossbar: {worst:.1e} relative (required 1e-9)")
    assert worst < AGREE


# --- ngspice --------------------------------------------------------------------------------------------


def node_by_node(g: np.ndarray, wires: tuple[float, float]) -> tuple[Topology, np.ndarray]:
    """Return the array as a graph without its open devices: row nodes, column nodes, sources, ground."""
    M, N = g.shape
    row = np.arange(M * N).reshape(M, N)
    column, source, ground = row + M * N, 2 * M * N + np.arange(M), 2 * M * N + M
    along = [pair for m in range(M) for pair in pairwise([source[m], *row[m]])]
    down = [pair for n in range(N) for pair in pairwise([*column[:, n], ground])]
    present = g > 0
    t = Topology(
        ground + 1,
        np.stack([row[present], column[present]], axis=1),
        source,
        [column[-1, -1]],
        ground,
        fixed_edges=along + down,
        fixed_conductances=np.repeat([1 / wires[0], 1 / wires[1]], M * N),
    )
    return t, g[present]


@pytest.mark.parametrize("wires", [(1.0, 1.0), (0.3, 40.0)])
@pytest.mark.parametrize(("size", "decades"), [((16, 11), (-6, -4)), ((9, 20), (-9, -3))])
def test_array_with_open_devices_agrees_with_ngspice(
    ngspice: Callable[[str], dict[str, float]], size, decades, wires, figure
):
    g, v = array_of(3, size, decades, 1)
    g[np.random.default_rng(1).random(size) < 0.15] = 0.0
    t, present = node_by_node(g, wires)
    printed = ngspice(spice_text(t, present, v[0]))
    volts = np.array([printed[f"n{k}"] for k in range(2 * g.size)])
    ours = solve_crossbar(g, v, wires)
    rows, columns = volts.reshape(2, *size)
    into_rows = np.array([-printed[f"v{m}#branch"] for m in range(size[0])])
    worst = max(
        apart(ours.row_nodes, rows[None]),
        apart(ours.column_nodes, columns[None]),
        apart(ours.column_currents, (columns[-1] / wires[1])[None]),
        abs(ours.column_currents.sum() - into_rows.sum()) / np.abs(into_rows).max(),
    )
    figure(
        f"{size[0]} x {size[1]} array, wires {wires} ohm, against ngspice: {worst:.1e} relative (required 1e-9)"
    )
    assert worst < AGREE


@pytest.mark.parametrize("decades", [(-6, -4), (-9, -3)])
def test_exact_gradient_agrees_with_ngspice(ngspice: Callable[[str], dict[str, float]], decades):
    """ngspice solves the forward and the adjoint network; the test multiplies the drops."""
    t = Topology.grid(7, 6, ground=20)
    rng = np.random.default_rng(5)
    g = 10 ** rng.uniform(*decades, t.n_edges)
    x, error = rng.uniform(-0.5, 0.5, t.n_inputs), rng.normal(size=t.n_outputs)
    unit = 1e-5  # amperes a unit of error

    def drops(netlist: str) -> np.ndarray:
        printed = ngspice(netlist)
        V = np.array([0.0 if k == t.ground else printed[name] for k, name in enumerate(t.names)])
        return V[t.edges[:, 0]] - V[t.edges[:, 1]]

    forward = drops(spice_text(t, g, x))
    adjoint = drops(spice_text(t, g, np.zeros(t.n_inputs), unit * error)) / unit
    exact = Kirchhoff(t, g).gradient(x[None], error[None])
    assert apart((g * exact)[None], (-g * forward * adjoint)[None]) < AGREE


# --- exact rational arithmetic --------------------------------------------------------------------------


def solved_exactly(g: np.ndarray, v: np.ndarray, wires: tuple[float, float]) -> np.ndarray:
    """Return column currents (S, N) by Gaussian elimination on fractions; an ideal line is one node."""
    M, N = g.shape
    row_s, column_s = (1 / Fraction(ohms) if ohms else None for ohms in wires)
    sources = [("source", m) for m in range(M)]
    rows = [[("row", m, n) if row_s else sources[m] for n in range(N)] for m in range(M)]
    columns = [[("column", m, n) if column_s else ("ground",) for n in range(N)] for m in range(M)]
    parts = [(rows[m][n], columns[m][n], Fraction(g[m, n])) for m in range(M) for n in range(N)]
    if row_s:
        parts += [(a, b, row_s) for m in range(M) for a, b in pairwise([sources[m], *rows[m]])]
    if column_s:
        parts += [(a, b, column_s) for n in range(N) for a, b in pairwise([*(c[n] for c in columns), ("ground",)])]
    free = sorted({node for a, b, _ in parts for node in (a, b) if node[0] in ("row", "column")})
    at = {node: k for k, node in enumerate(free)}
    equations: list[dict[int, Fraction]] = [{} for _ in free]
    pushed = [[Fraction(0)] * len(v) for _ in free]
    for a, b, siemens in parts:
        for node, other in ((a, b), (b, a)):
            if node in at:
                i = at[node]
                equations[i][i] = equations[i].get(i, Fraction(0)) + siemens
                if other in at:
                    equations[i][at[other]] = equations[i].get(at[other], Fraction(0)) - siemens
                elif other[0] == "source":
                    pushed[i] = [p + siemens * Fraction(x) for p, x in zip(pushed[i], v[:, other[1]], strict=True)]
    # positive definite: eliminate from the top, then substitute from the bottom
    for i, equation in enumerate(equations):
        for j in [j for j in equation if j > i]:
            factor = equations[j].pop(i) / equation[i]
            for k, value in equation.items():
                if k > i:
                    equations[j][k] = equations[j].get(k, Fraction(0)) - factor * value
            pushed[j] = [p - factor * q for p, q in zip(pushed[j], pushed[i], strict=True)]
    volts: dict[tuple, list[Fraction]] = {("ground",): [Fraction(0)] * len(v)}
    volts |= {source: [Fraction(x) for x in v[:, m]] for m, source in enumerate(sources)}
    for i in reversed(range(len(free))):
        total = pushed[i]
        for k, value in equations[i].items():
            if k > i:
                total = [t - value * x for t, x in zip(total, volts[free[k]], strict=True)]
        volts[free[i]] = [t / equations[i][i] for t in total]
    return np.array(
        [
            [
                float(sum(Fraction(g[m, n]) * (volts[rows[m][n]][s] - volts[columns[m][n]][s]) for m in range(M)))
                for n in range(N)
            ]
            for s in range(len(v))
        ]
    ).reshape(len(v), N)


@st.composite
def arrays(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Draw small arrays: open devices and up to 18 decades, wires from ideal to very resistive."""
    M, N, S = (draw(st.integers(1, most)) for most in (4, 4, 2))
    decades = draw(st.sampled_from([1, 3, 6, 12, 18]))
    top = draw(st.integers(-9, 3))
    device = st.one_of(st.just(0.0), st.floats(top - decades, top).map(lambda power: 10.0**power))
    g = np.array([[draw(device) for _ in range(N)] for _ in range(M)])
    wire = st.one_of(st.just(0.0), st.floats(-6, 9).map(lambda power: 10.0**power))
    volt = st.one_of(st.just(0.0), st.floats(-1, 1).filter(lambda x: abs(x) > 1e-3))
    v = np.array([[draw(volt) for _ in range(M)] for _ in range(S)])
    return g, v, (draw(wire), draw(wire))


@settings(max_examples=examples(80), deadline=None)
@given(arrays())
def test_ill_conditioned_array_is_solved_correctly_or_rejected(case):
    g, v, wires = case
    exact, unsigned = np.split(solved_exactly(g, np.concatenate([v, np.abs(v)]), wires), 2)
    largest = unsigned.max(axis=1)
    try:
        ours = solve_crossbar(g, v, wires).column_currents
    except HwlearnError:
        # rejected: devices that conduct better than wires, or driven rows with devices much weaker than others
        strong = max(wires) * g.max() > 1
        weak = (largest < 0.1 * g.max() * np.abs(v).max(axis=1)).any()
        assert strong or weak
        return
    # where signed voltages cancel, the reference is the output without their signs
    assert (np.abs(ours - exact) <= AGREE * largest[:, None]).all()


@pytest.mark.parametrize("wires", [0.0, 1.0, (1.0, 0.0), (0.0, 1.0)])
def test_open_row_gives_exactly_zero_when_read_row_by_row(wires):
    g, _ = array_of(5, (6, 4), (-6, -3), 1)
    g[2] = 0.0
    one_by_one = solve_crossbar(g, 0.2 * np.eye(6), wires).column_currents
    assert (one_by_one[2] == 0).all()
    present = np.delete(np.arange(6), 2)
    for m in present:
        alone = solve_crossbar(g, 0.2 * np.eye(6)[m : m + 1], wires).column_currents
        assert apart(one_by_one[m : m + 1], alone) < AGREE
