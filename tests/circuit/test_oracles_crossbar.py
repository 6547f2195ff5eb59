"""Crossbars with wires against badcrossbar and ngspice."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Callable
from itertools import pairwise
from types import ModuleType

import numpy as np
import pytest

from hwlearn import Kirchhoff, Topology, solve_crossbar

AGREE = 1e-9


@pytest.fixture(scope="module")
def badcrossbar() -> ModuleType:
    """badcrossbar, told not to log; it warns where pycairo, which only its plots need, is missing."""
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
    """The largest difference relative to the sample's largest value."""
    axes = tuple(range(1, ours.ndim))
    assert ours.shape == theirs.shape
    return float((np.abs(ours - theirs).max(axis=axes) / np.abs(theirs).max(axis=axes)).max())


SIZES = [(1, 1), (1, 7), (9, 1), (2, 3), (12, 7), (7, 12), (40, 33)]
WIRES = [(1.0, 1.0), (0.2, 30.0), (100.0, 3.0), (5.0, 0.0), (0.0, 5.0)]


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


def test_six_decades_and_open_devices_agree_with_badcrossbar(badcrossbar, figure):
    worst = 0.0
    for seed in range(4):
        g, v = array_of(seed, (24, 17), (-9, -3), 2)
        g[np.random.default_rng(seed).random(g.shape) < 0.2] = 0.0
        with np.errstate(divide="ignore"):
            theirs = badcrossbar.compute(v.T, 1 / g, 2.0)
        ours = solve_crossbar(g, v, 2.0)
        worst = max(worst, apart(ours.column_currents, theirs.currents.output))
    figure(f"crossbars of six decades, a fifth open, against badcrossbar: {worst:.1e} relative (asked 1e-9)")
    assert worst < AGREE


# --- ngspice --------------------------------------------------------------------------------------------


def node_by_node(g: np.ndarray, wires: tuple[float, float]) -> tuple[Topology, np.ndarray]:
    """The array as a graph without its open devices: row nodes, column nodes, sources, ground."""
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
def test_an_array_with_open_devices_agrees_with_ngspice(
    ngspice: Callable[[str], dict[str, float]], size, decades, wires, figure
):
    g, v = array_of(3, size, decades, 1)
    g[np.random.default_rng(1).random(size) < 0.15] = 0.0
    t, present = node_by_node(g, wires)
    printed = ngspice(t.to_spice(present, v[0]))
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
    figure(f"{size[0]} x {size[1]} array, wires {wires} ohm, against ngspice: {worst:.1e} relative (asked 1e-9)")
    assert worst < AGREE


@pytest.mark.parametrize("decades", [(-6, -4), (-9, -3)])
def test_the_exact_gradient_agrees_with_two_operating_points_of_ngspice(
    ngspice: Callable[[str], dict[str, float]], decades
):
    """Forward and adjoint network solved by ngspice, drops multiplied by hand."""
    t = Topology.grid(7, 6, ground=20)
    rng = np.random.default_rng(5)
    g = 10 ** rng.uniform(*decades, t.n_edges)
    x, error = rng.uniform(-0.5, 0.5, t.n_inputs), rng.normal(size=t.n_outputs)
    unit = 1e-5  # amperes a unit of error

    def drops(netlist: str) -> np.ndarray:
        printed = ngspice(netlist)
        V = np.array([0.0 if k == t.ground else printed[name] for k, name in enumerate(t.names)])
        return V[t.edges[:, 0]] - V[t.edges[:, 1]]

    forward = drops(t.to_spice(g, x))
    adjoint = drops(t.to_spice(g, np.zeros(t.n_inputs), unit * error)) / unit
    exact = Kirchhoff(t, g).gradient(x[None], error[None])
    assert apart((g * exact)[None], (-g * forward * adjoint)[None]) < AGREE
