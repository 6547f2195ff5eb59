"""Crossbars with wires against other descriptions of the same circuit."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest

import hwlearn as hl
from hwlearn import Kirchhoff, Topology, solve_crossbar
from hwlearn.circuit.spice import spice_text
from hwlearn.errors import CircuitError, SingularCircuitError


def as_circuit(g: np.ndarray, row_ohms: float, column_ohms: float) -> Topology:
    """Return the same array as a topology: devices as edges, wires as fixed edges, the last row node as output.

    Nodes: row nodes, column nodes, then a source each row, then ground.
    """
    M, N = g.shape
    row = np.arange(M * N).reshape(M, N)
    column = row + M * N
    source, ground = 2 * M * N + np.arange(M), 2 * M * N + M
    wires, siemens = [], []
    for m in range(M):
        line = [source[m], *row[m]]
        wires += pairwise(line)
        siemens += N * [1 / row_ohms]
    for n in range(N):
        line = [*column[:, n], ground]
        wires += pairwise(line)
        siemens += M * [1 / column_ohms]
    edges = np.stack([row.ravel(), column.ravel()], axis=1)
    return Topology(
        2 * M * N + M + 1, edges, source, [row[-1, -1]], ground, fixed_edges=wires, fixed_conductances=siemens
    )


def array_of(seed: int, M: int, N: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return 10 ** rng.uniform(-6, -3, (M, N)), rng.uniform(-0.5, 0.5, (3, M))


SIZES = [(1, 1), (1, 5), (6, 1), (4, 3), (7, 9)]


@pytest.mark.share(5)
@pytest.mark.parametrize("wires", [(1.0, 1.0), (20.0, 0.5), (1e3, 1e4)])
@pytest.mark.parametrize("size", SIZES)
def test_solution_equals_kirchhoff_on_the_same_circuit(size: tuple[int, int], wires: tuple[float, float]):
    g, v = array_of(1, *size)
    M, N = size
    k = Kirchhoff(as_circuit(g, *wires), g.ravel())
    V = k.solve(v)
    got = solve_crossbar(g, v, wires)
    np.testing.assert_allclose(got.row_nodes, V[:, : M * N].reshape(3, M, N), rtol=0, atol=1e-12)
    np.testing.assert_allclose(got.column_nodes, V[:, M * N : 2 * M * N].reshape(3, M, N), rtol=0, atol=1e-12)
    columns = k.edge_currents(V).reshape(3, M, N).sum(axis=1)
    np.testing.assert_allclose(got.column_currents, columns, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("size", SIZES)
def test_ideal_lines_compute_a_matrix_vector_product(size: tuple[int, int]):
    g, v = array_of(2, *size)
    got = solve_crossbar(g, v, 0.0)
    np.testing.assert_allclose(got.column_currents, v @ g, rtol=1e-12, atol=1e-18)
    assert (got.row_nodes == v[:, :, None]).all()
    assert (got.column_nodes == 0).all()


@pytest.mark.parametrize("wires", [(5.0, 0.0), (0.0, 5.0), (0.0, 0.0)])
@pytest.mark.parametrize("size", SIZES)
def test_ideal_line_is_the_limit_of_small_resistance(size: tuple[int, int], wires: tuple[float, float]):
    g, v = array_of(3, *size)
    ideal = solve_crossbar(g, v, wires)
    nearly = solve_crossbar(g, v, tuple(max(ohms, 1e-9) for ohms in wires))
    for name in ("column_currents", "row_nodes", "column_nodes"):
        got, limit = getattr(ideal, name), getattr(nearly, name)
        np.testing.assert_allclose(got, limit, rtol=0, atol=1e-9 * max(np.abs(limit).max(), 1e-12) + 1e-11)


def test_one_device_between_two_wires():
    got = solve_crossbar([[1 / 30]], [[6.0]], (10.0, 20.0))  # 60 ohm in all
    np.testing.assert_allclose(got.column_currents, [[0.1]])
    np.testing.assert_allclose(got.row_nodes, [[[5.0]]])
    np.testing.assert_allclose(got.column_nodes, [[[2.0]]])


def test_one_row_has_the_resistance_of_a_ladder():
    """One row of equal devices on ideal columns, against the resistance of a ladder by continued fraction."""
    N, r, R = 6, 2.0, 50.0
    ladder = np.inf
    for _ in range(N):
        ladder = r + 1 / (1 / R + 1 / ladder)
    got = solve_crossbar(np.full((1, N), 1 / R), [[1.0]], (r, 0.0))
    np.testing.assert_allclose(got.column_currents.sum(), 1 / ladder, rtol=1e-13)
    assert (np.diff(got.row_nodes[0, 0]) < 0).all()


def test_currents_are_conserved_at_every_node():
    g, v = array_of(4, 6, 5)
    row_ohms, column_ohms = 3.0, 7.0
    got = solve_crossbar(g, v, (row_ohms, column_ohms))
    device = g * (got.row_nodes - got.column_nodes)
    sources = np.repeat(v[:, :, None], 1, axis=2)
    into_row = -np.diff(np.concatenate([sources, got.row_nodes], axis=2), axis=2) / row_ohms
    away = np.concatenate([into_row[:, :, 1:], np.zeros((3, 6, 1))], axis=2)
    np.testing.assert_allclose(into_row, device + away, rtol=0, atol=1e-14)
    bottom = np.zeros((3, 1, 5))
    down = -np.diff(np.concatenate([got.column_nodes, bottom], axis=1), axis=1) / column_ohms
    above = np.concatenate([np.zeros((3, 1, 5)), down[:, :-1]], axis=1)
    np.testing.assert_allclose(down, device + above, rtol=0, atol=1e-14)
    np.testing.assert_allclose(got.column_currents, down[:, -1], rtol=0, atol=1e-14)
    np.testing.assert_allclose(got.column_currents.sum(axis=1), into_row[:, :, 0].sum(axis=1), rtol=1e-9)


def test_batch_is_linear_and_equals_single_samples():
    g, v = array_of(5, 4, 6)
    v[2] = 2 * v[0] - 3 * v[1]
    together = solve_crossbar(g, v, 4.0)
    i = together.column_currents
    np.testing.assert_allclose(i[2], 2 * i[0] - 3 * i[1], rtol=0, atol=1e-16)
    for s in range(3):
        alone = solve_crossbar(g, v[s], 4.0)
        np.testing.assert_allclose(alone.row_nodes[0], together.row_nodes[s], rtol=0, atol=1e-15)
    assert solve_crossbar(g, v[:0], 4.0).column_currents.shape == (0, 6)


@pytest.mark.parametrize("wires", [2.0, (2.0, 0.0), (0.0, 2.0), 0.0])
def test_open_devices_carry_no_current(wires):
    g, v = array_of(6, 5, 4)
    g[1] = g[:, 2] = 0.0  # a whole row and a whole column
    got = solve_crossbar(g, v, wires)
    assert (got.column_currents[:, 2] == 0).all()
    np.testing.assert_allclose(got.column_nodes[:, :, 2], 0, atol=1e-18)
    np.testing.assert_allclose(got.row_nodes[:, 1], np.repeat(v[:, 1:2], 4, axis=1), rtol=1e-14)
    nearly = solve_crossbar(np.maximum(g, 1e-15), v, wires)
    np.testing.assert_allclose(got.column_currents, nearly.column_currents, rtol=0, atol=1e-13)


def test_voltage_drop_is_smallest_at_the_far_corner():
    got = solve_crossbar(np.full((8, 8), 1e-3), np.full((1, 8), 0.2), 5.0)
    device = 1e-3 * (got.row_nodes - got.column_nodes)[0]
    # rows are fed at the left and columns drain at the bottom
    assert np.unravel_index(device.argmax(), (8, 8)) == (7, 0)
    assert np.unravel_index(device.argmin(), (8, 8)) == (0, 7)


def test_large_array_obeys_the_current_law():
    g, v = array_of(7, 96, 64)
    got = solve_crossbar(g, v, 1.0)
    device = np.einsum("mn,smn->sn", g, got.row_nodes - got.column_nodes)
    np.testing.assert_allclose(got.column_nodes[:, -1] / 1.0, device, rtol=1e-7, atol=1e-12)


def test_array_agrees_with_ngspice(ngspice, figure):
    g, v = array_of(8, 5, 4)
    t = as_circuit(g, 3.0, 8.0)
    printed = ngspice(spice_text(t, g.ravel(), v[0]))
    got = solve_crossbar(g, v[0], (3.0, 8.0))
    nodes = [*got.row_nodes.ravel(), *got.column_nodes.ravel()]
    error = max(abs(printed[f"n{k}"] - volts) for k, volts in enumerate(nodes)) / np.abs(v).max()
    figure(f"5 x 4 array with line resistance against ngspice: {error:.1e} of the largest input (required 1e-6)")
    assert error < 1e-6


@pytest.mark.parametrize(("device", "wires"), [(1e3, 1e3), (1e-3, 1e6)])
def test_single_device_much_stronger_than_the_wires_is_solved(device: float, wires: float):
    # one device, all others open: two wires, the device and two wires in series
    g = np.zeros((2, 2))
    g[0, 1] = device
    got = solve_crossbar(g, [[1.0, 0.0]], wires)
    np.testing.assert_allclose(got.column_currents, [[0.0, 1 / (4 * wires + 1 / device)]], rtol=1e-8)


@pytest.mark.parametrize(("device", "wires"), [(1e3, 1e9), (1e16, 1e8), (1e300, 1e300), (1e308, 1.0)])
def test_ill_conditioned_array_is_rejected(device: float, wires: float):
    with pytest.raises(SingularCircuitError, match="check the units"):
        solve_crossbar(np.full((9, 9), device), np.ones(9), wires)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0, -1e-3]], [[1.0]], 1.0), "conductance -0.001 S of the device at row 0, column 1"),
        (([[1.0], [np.nan]], [[1.0, 1.0]], 1.0), "conductance nan S of the device at row 1, column 0"),
        (([[np.inf]], [[1.0]], 1.0), "conductance inf S of the device at row 0, column 0"),
        (([1.0, 2.0], [[1.0]], 1.0), "conductances must have shape (rows, columns), got (2,)"),
        ((np.zeros((0, 3)), np.zeros((1, 0)), 1.0), "must have shape (rows, columns), got (0, 3)"),
        (([["x"]], [[1.0]], 1.0), "conductances must be numbers"),
        (([[1.0]], [[1.0, 2.0]], 1.0), "row_voltages must have shape (samples, 1), got (1, 2)"),
        (([[1.0]], [[1.0], [np.nan]], 1.0), "row_voltages has nan V at row 0 of sample 1"),
        (([[1.0]], [[np.inf]], 1.0), "row_voltages has inf V at row 0 of sample 0"),
        (([[1.0]], [[1.0]], -1.0), "wire_resistance of a row segment is -1 ohm"),
        (([[1.0]], [[1.0]], (1.0, np.nan)), "wire_resistance of a column segment is nan ohm"),
        (([[1.0]], [[1.0]], (np.inf, 1.0)), "wire_resistance of a row segment is inf ohm"),
        (([[1.0]], [[1.0]], (1e-320, 1.0)), "use 0 for an ideal line"),
        (([[1.0]], [[1.0]], (1.0, 1.0, 1.0)), "wire_resistance must be ohm or (row, column) in ohm"),
        (([[1.0]], [[1.0]], "thick"), "wire_resistance must be ohm or (row, column) in ohm, got 'thick'"),
    ],
)
def test_invalid_argument_is_rejected_by_name(arguments, message: str):
    with pytest.raises(CircuitError, match=re.escape(message)):
        hl.solve_crossbar(*arguments)
