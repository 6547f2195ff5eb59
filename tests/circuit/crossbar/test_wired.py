"""Crossbars with wires: circuit laws, held and floating ends, gradients, rejected arguments."""

from __future__ import annotations

import re

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import CircuitError, SingularCircuitError

NAN = float("nan")


def array_of(seed: int, M: int, N: int, S: int = 1, low: float = -6, high: float = -4):
    rng = np.random.default_rng(seed)
    return 10 ** rng.uniform(low, high, (M, N)), rng.uniform(-0.5, 0.5, (S, M))


# --- laws --------------------------------------------------------------------------------------------------


def test_transfer_conductance_is_reciprocal():
    """The current out of column n per volt on row m equals that out of row m per volt on column n."""
    g, _ = array_of(9, 7, 5)
    forward = hl.solve_crossbar(g, np.eye(7), (2.0, 3.0)).column_currents
    backward = hl.solve_crossbar(g, np.zeros((5, 7)), (2.0, 3.0), bottom_voltages=np.eye(5)).row_currents
    np.testing.assert_allclose(forward, -backward.T, rtol=1e-10)


@pytest.mark.parametrize("ohms", [(2.0, 30.0), (0.0, 5.0), (0.0, 0.0), (1e-3, 0.0)])
def test_delivered_power_equals_dissipated_power(ohms):
    g, v = array_of(10, 6, 8, 3, -4, -2)
    got = hl.solve_crossbar(g, v, ohms)
    delivered = (v * got.row_currents).sum(axis=1)
    dissipated = np.einsum("mn,smn->s", g, (got.row_nodes - got.column_nodes) ** 2)
    along_rows = np.diff(np.concatenate([v[:, :, None], got.row_nodes], axis=2), axis=2)
    ends = np.zeros((3, 1, 8))
    along_columns = np.diff(np.concatenate([got.column_nodes, ends], axis=1), axis=1)
    for drops, segment in zip((along_rows, along_columns), ohms, strict=True):
        if segment:
            dissipated += (drops**2).sum(axis=(1, 2)) / segment
    np.testing.assert_allclose(delivered, dissipated, rtol=1e-9)


def test_voltages_at_the_ends_superpose():
    g, v = array_of(11, 6, 5, 2)
    right, top, bottom = np.linspace(0, 0.1, 6), np.linspace(0.2, 0.3, 5), np.linspace(-0.1, 0.1, 5)
    held = {"right_voltages": right, "top_voltages": top, "bottom_voltages": bottom}
    together = hl.solve_crossbar(g, v, 40.0, **held).row_nodes
    parts = hl.solve_crossbar(g, v, 40.0, **{name: 0 * volts for name, volts in held.items()}).row_nodes
    for name, volts in held.items():
        only = {other: volts if other == name else 0 * held[other] for other in held}
        parts = parts + hl.solve_crossbar(g, 0 * v, 40.0, **only).row_nodes
    np.testing.assert_allclose(together, parts, rtol=0, atol=1e-14)


def test_clamp_at_the_nudged_voltage_gives_the_nudged_state():
    """A floating column with a nudge current equals a column held at the nudged voltage."""
    g, v = array_of(12, 5, 4, 2)
    loose = np.array([0.0, NAN, 0.0, NAN])
    nudge = np.array([7.0, 1e-5, NAN, -2e-5])
    nudged = hl.solve_crossbar(g, v, 3.0, bottom_voltages=loose, injected=nudge)
    np.testing.assert_array_equal(nudged.column_currents[:, [1, 3]], np.tile([-1e-5, 2e-5], (2, 1)))
    clamped = hl.solve_crossbar(g, v, 3.0, bottom_voltages=nudged.column_voltages)
    np.testing.assert_allclose(clamped.column_currents[:, [1, 3]], nudged.column_currents[:, [1, 3]], rtol=1e-8)
    np.testing.assert_allclose(clamped.row_nodes, nudged.row_nodes, rtol=0, atol=1e-13)


def test_wire_held_at_both_ends_divides_the_voltage():
    # rows of wire alone: 4 segments from left to right
    got = hl.solve_crossbar(np.zeros((1, 3)), [[1.0]], 2.0, right_voltages=[0.2])
    np.testing.assert_allclose(got.row_nodes[0, 0], [0.8, 0.6, 0.4], rtol=1e-15)
    np.testing.assert_allclose(got.row_currents, [[0.1]], rtol=1e-14)
    down = hl.solve_crossbar(np.zeros((3, 1)), [[0, 0, 0]], 2.0, top_voltages=[1.0], bottom_voltages=[0.2])
    np.testing.assert_allclose(down.column_currents, [[0.1]], rtol=1e-14)


def test_samples_with_different_held_ends_equal_separate_solutions():
    g, v = array_of(13, 5, 4, 4)
    bottom = np.zeros((4, 4))
    bottom[1, 2] = bottom[3, 2] = bottom[2, 0] = NAN
    loose = np.zeros((4, 5), dtype=bool)
    loose[0, 3] = True
    got = hl.solve_crossbar(g, v, 3.0, bottom_voltages=bottom, floating_rows=loose)
    for s in range(4):
        alone = hl.solve_crossbar(g, v[s], 3.0, bottom_voltages=bottom[s], floating_rows=loose[s])
        for name in ("column_currents", "column_voltages", "row_nodes", "column_nodes", "row_currents"):
            np.testing.assert_allclose(getattr(got, name)[s], getattr(alone, name)[0], rtol=1e-10, atol=1e-17)
    assert got.row_currents[0, 3] == 0


# --- gradient ----------------------------------------------------------------------------------------------


@pytest.mark.share(5)
@pytest.mark.parametrize("ohms", [(2.0, 30.0), (0.0, 5.0), (5.0, 0.0), (0.0, 0.0), (100.0, 100.0)])
@pytest.mark.parametrize("kind", ["usual", "nudged", "both ends"])
def test_gradient_equals_finite_differences(ohms, kind):
    g, v = array_of(14, 4, 3, 2, -4, -2)
    options = {}
    if kind == "nudged":
        options = {
            "bottom_voltages": [[0.1, NAN, 0.0], [0.0, NAN, NAN]],
            "injected": [[0.0, 1e-4, 0.0], [0.0, 0.0, 0.0]],
            "floating_rows": [False, True, False, False],
        }
    elif kind == "both ends":
        options = {"right_voltages": [0.1, NAN, 0.2, NAN]} if ohms[0] else {}
        options |= {"top_voltages": [0.3, NAN, 0.1]} if ohms[1] else {}
    e = np.random.default_rng(15).normal(size=(2, 3))
    bottom = np.broadcast_to(options.get("bottom_voltages", 0.0), (2, 3))

    def cost(g):
        got = hl.solve_crossbar(g, v, ohms, **options)
        outputs = np.where(np.isnan(bottom), got.column_voltages, got.column_currents)
        return (e * outputs).sum() / 2

    got = hl.solve_crossbar(g, v, ohms, **options).gradient(e)
    expected = np.empty_like(g)
    for m, n in np.ndindex(*g.shape):
        step = np.zeros_like(g)
        step[m, n] = 1e-4 * g[m, n]
        expected[m, n] = (cost(g + step) - cost(g - step)) / (2 * step[m, n])
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_open_device_has_the_gradient_of_finite_differences():
    g, v = array_of(16, 3, 3)
    g[1, 1] = 0.0
    e = np.array([[1.0, -2.0, 0.5]])
    more = g.copy()
    more[1, 1] = 1e-11
    change = hl.solve_crossbar(more, v, 5.0).column_currents - hl.solve_crossbar(g, v, 5.0).column_currents
    gradient = hl.solve_crossbar(g, v, 5.0).gradient(e)
    np.testing.assert_allclose(gradient[1, 1], (change * e).sum() / 1e-11, rtol=1e-3)


# --- shapes and rejections ---------------------------------------------------------------------------------


def test_array_layout_and_number_type_do_not_matter():
    g, v = array_of(17, 6, 4, 3)
    usual = hl.solve_crossbar(g, v, 1.0).column_currents
    turned = hl.solve_crossbar(np.asfortranarray(g), np.asfortranarray(v), 1.0).column_currents
    np.testing.assert_array_equal(turned, usual)
    strided = hl.solve_crossbar(np.repeat(g, 2, axis=1)[:, ::2], np.repeat(v, 2, axis=0)[::2], [1, 1])
    np.testing.assert_array_equal(strided.column_currents, usual)
    whole = hl.solve_crossbar([[1, 0], [2, 1]], [[1, 1]], 1).column_currents
    np.testing.assert_array_equal(
        whole, hl.solve_crossbar([[1.0, 0.0], [2.0, 1.0]], [[1.0, 1.0]], 1.0).column_currents
    )


def test_arguments_are_not_modified():
    g, v = array_of(18, 6, 4, 3)
    before = g.copy(), v.copy()
    hl.solve_crossbar(g, v, 1.0, floating_rows=np.arange(6) == 2).gradient(np.ones((3, 4)))
    np.testing.assert_array_equal(g, before[0])
    np.testing.assert_array_equal(v, before[1])


def test_empty_batch_gives_empty_results():
    g, v = array_of(19, 6, 4, 3)
    got = hl.solve_crossbar(g, v[:0], 1.0, bottom_voltages=np.full(4, NAN), floating_rows=np.zeros(6, dtype=bool))
    assert got.column_currents.shape == got.column_voltages.shape == (0, 4)
    assert got.row_nodes.shape == (0, 6, 4)
    assert got.row_currents.shape == (0, 6)
    with pytest.raises(CircuitError, match="no samples"):
        got.gradient(np.zeros((0, 4)))


@pytest.mark.parametrize("S", [1, 9])
def test_zero_input_gives_exactly_zero_output(S):
    got = hl.solve_crossbar(np.full((40, 40), 1e-4), np.zeros((S, 40)), 1.0)
    assert (got.column_currents == 0).all()
    assert got.estimated_error == 0
    assert (hl.solve_crossbar(np.zeros((3, 2)), np.ones((S, 3)), 1.0).column_currents == 0).all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"right_voltages": [0.0, 0.0]}, CircuitError, "right_voltages must have shape (samples, 3), got (2,)"),
        (
            {"top_voltages": [[0, 0], [0, 0], [0, 0]]},
            CircuitError,
            "top_voltages has 3 samples, row_voltages has 1",
        ),
        ({"bottom_voltages": [0.0, np.inf]}, CircuitError, "bottom_voltages is infinite at 1 of sample 0"),
        ({"injected": ["x", "y"]}, CircuitError, "injected must be numbers"),
        ({"floating_rows": [0, 1, 0]}, CircuitError, "floating_rows must be bool, shape (3,) or (1, 3)"),
        ({"error_bound": 0.0}, CircuitError, "error_bound must be a number above 0"),
        ({"error_bound": NAN}, CircuitError, "error_bound must be a number above 0"),
        (
            {"floating_rows": [True] * 3, "bottom_voltages": [NAN, NAN]},
            SingularCircuitError,
            "connects row 0, row 1, row 2",
        ),
    ],
)
def test_invalid_options_are_rejected(options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        hl.solve_crossbar(np.full((3, 2), 1e-4), [0.1, 0.2, 0.3], 1.0, **options)


def test_ideal_line_held_at_both_ends_is_rejected():
    g = np.full((3, 2), 1e-4)
    with pytest.raises(CircuitError, match="both ends of row 1 are held in sample 0"):
        hl.solve_crossbar(g, [0.1, 0.2, 0.3], (0.0, 1.0), right_voltages=[NAN, 0.1, NAN])
    with pytest.raises(CircuitError, match="both ends of column 0 are held in sample 0"):
        hl.solve_crossbar(g, [0.1, 0.2, 0.3], (1.0, 0.0), top_voltages=[0.1, NAN])


def test_floating_line_is_named_in_the_error():
    g = np.full((3, 2), 1e-4)
    g[1] = 0.0
    with pytest.raises(SingularCircuitError, match="no conducting path connects row 1 to a source"):
        hl.solve_crossbar(g, [0.1, 0.2, 0.3], 1.0, floating_rows=[False, True, False])


@pytest.mark.parametrize("error", [[[1.0]], [[1.0, NAN]], [[1.0, 2.0]] * 2])
def test_invalid_error_argument_of_gradient_is_rejected(error):
    got = hl.solve_crossbar(np.full((3, 2), 1e-4), [0.1, 0.2, 0.3], 1.0)
    with pytest.raises(CircuitError, match="error"):
        got.gradient(error)
