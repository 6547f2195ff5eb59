"""Crossbars with wires: every way to solve them, ends of every kind, gradients, laws of circuits, peers."""

from __future__ import annotations

import logging
import re

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.circuit.crossbar import solvers as crossbar_solve
from hwlearn.circuit.crossbar.direct import solve_directly
from hwlearn.circuit.crossbar.ends import held_ends
from hwlearn.circuit.crossbar.lapack import relax_by_vector, suits_lapack
from hwlearn.circuit.crossbar.problem import Problem
from hwlearn.circuit.crossbar.relaxation import relax
from hwlearn.errors import CircuitError, SingularCircuitError

NAN = float("nan")


def array_of(seed: int, M: int, N: int, S: int = 1, low: float = -6, high: float = -4):
    rng = np.random.default_rng(seed)
    return 10 ** rng.uniform(low, high, (M, N)), rng.uniform(-0.5, 0.5, (S, M))


def problem_of(g, v, ohms=(1.0, 1.0), **ends) -> Problem:
    names = ("right", "top", "bottom", "floating_rows", "injected")
    given = held_ends(g.shape, v, *(ends.get(name) for name in names))
    ((_, rows, columns),) = given.patterns(ohms[0] == 0, ohms[1] == 0)
    return Problem(g, *ohms, rows, columns)


@pytest.fixture
def without_numba(monkeypatch):
    monkeypatch.setattr(crossbar_solve, "_fast", lambda: None)


# --- one answer, whatever the way ------------------------------------------------------------------------

ENDS = {
    "usual": {},
    "right ends held": {"right": np.linspace(0, 0.3, 12)},
    "columns held at both ends": {"top": np.full(9, 0.1), "bottom": np.linspace(-0.1, 0.1, 9)},
    "rows that float": {"floating_rows": np.arange(12) % 3 == 0},
    "columns that float, nudged": {
        "bottom": np.where(np.arange(9) % 2, 0.0, NAN),
        "injected": np.where(np.arange(9) % 4, 0.0, 1e-5),
    },
}


@pytest.mark.parametrize("S", [1, 3, 8, 21])
@pytest.mark.parametrize("ends", ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("ohms", [(1.0, 1.0), (20.0, 0.3)])
def test_every_way_gives_the_same_voltages(S, ends, ohms):
    g, v = array_of(1, 12, 9, S)
    problem = problem_of(g, v, ohms, **ends)
    answers = [relax(problem, 1e-12), solve_directly(problem, 1e-12)]
    if suits_lapack(problem):
        answers.append(relax_by_vector(problem, 1e-10))
    fast = crossbar_solve._fast()
    if fast is not None:
        answers.append(fast.relax_compiled(problem, 1e-12))
    assert len(answers) >= 2
    reference = answers[1]
    for answer in answers:
        assert answer is not None
        for name in ("row_nodes", "column_nodes"):
            off = np.abs(getattr(answer, name) - getattr(reference, name)).max(axis=(0, 1))
            assert (off <= answer.volts_error + reference.volts_error).all()
        np.testing.assert_allclose(answer.currents, reference.currents, rtol=1e-9, atol=1e-15)
        assert answer.volts_error.max() < 1e-11


@pytest.mark.parametrize(
    ("M", "N", "S"), [(8, 8, 1), (9, 17, 1), (17, 9, 5), (33, 40, 19), (1, 40, 9), (40, 1, 2)]
)
def test_compiled_and_plain_agree_to_rounding(M, N, S, monkeypatch):
    pytest.importorskip("numba")
    g, v = array_of(2, M, N, S)
    compiled = hl.solve_crossbar(g, v, (1.0, 2.0))
    monkeypatch.setattr(crossbar_solve, "_fast", lambda: None)
    plain = hl.solve_crossbar(g, v, (1.0, 2.0))
    scale = np.abs(plain.column_currents).max()
    np.testing.assert_allclose(compiled.column_currents, plain.column_currents, rtol=0, atol=1e-11 * scale)
    np.testing.assert_allclose(compiled.row_nodes, plain.row_nodes, rtol=0, atol=1e-11)
    np.testing.assert_allclose(compiled.column_nodes, plain.column_nodes, rtol=0, atol=1e-11)


def test_the_loops_say_the_same_when_they_are_not_compiled():
    pytest.importorskip("numba")
    from hwlearn.circuit.crossbar import kernels

    rng = np.random.default_rng(3)
    M, N = 11, 5
    leaks = rng.uniform(0, 1, (M, N))
    ends = rng.uniform(0, 1, (2, M, 8))
    for B in (1, 8):
        w = rng.normal(size=(M, N, B))
        p = np.empty((N, M))
        held = np.ones(M, dtype=bool)
        kernels._pivots_loop(np.ascontiguousarray(leaks.T), held, ~held, p)
        got, plain = np.empty((M, N, B)), np.empty((M, N, B))
        left, right = np.ascontiguousarray(ends[0, :, :B]), np.ascontiguousarray(ends[1, :, :B])
        pivots = np.ascontiguousarray(p.T)
        kernels.solve_rows(leaks, w, left, right, pivots, got)
        kernels._solve_rows_loop(leaks, w, left, right, pivots, plain)
        np.testing.assert_allclose(got, plain, rtol=1e-13)
        T = np.zeros((N, N))
        for m in range(M):
            np.fill_diagonal(T, 2.0 + leaks[m])
            T[-1, -1] -= 1.0
            T[np.arange(N - 1), np.arange(1, N)] = T[np.arange(1, N), np.arange(N - 1)] = -1.0
            rhs = leaks[m, :, None] * w[m]
            rhs[0] += left[m]
            rhs[-1] += right[m]
            np.testing.assert_allclose(got[m], np.linalg.solve(T, rhs), rtol=1e-10, atol=1e-13)


# --- the error that is stated -----------------------------------------------------------------------------


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize(
    ("M", "N", "S", "low", "high", "ohms"),
    [
        (64, 64, 1, -6, -4, 1.0),
        (64, 64, 40, -6, -4, 1.0),
        (40, 90, 2, -9, -3, 3.0),
        (64, 48, 1, -4, -2, 5.0),
        (128, 128, 1, -6, -4, 1.0),
        (24, 24, 3, -3, 0, 10.0),
    ],
)
def test_outputs_are_within_the_stated_error_of_a_refined_solve(M, N, S, low, high, ohms, fast, monkeypatch):
    if not fast:
        monkeypatch.setattr(crossbar_solve, "_fast", lambda: None)
    g, v = array_of(4, M, N, S, low, high)
    v = np.abs(v)
    got = hl.solve_crossbar(g, v, ohms)
    refined = solve_directly(problem_of(g, v, (ohms, ohms)), 1e-14)
    assert refined.volts_error.max() < 1e-13
    off = np.abs(got.column_currents - refined.currents).max(axis=1) / np.abs(refined.currents).max(axis=1)
    assert off.max() <= got.estimated_error + 1e-12
    assert 0 < got.estimated_error <= 1e-10


@pytest.mark.parametrize("bound", [1e-4, 1e-7, 1e-12])
def test_a_bound_of_the_callers_is_kept(bound):
    g, v = array_of(5, 70, 60, 5, -5, -3)
    v = np.abs(v)
    exact = solve_directly(problem_of(g, v), 1e-14).currents
    got = hl.solve_crossbar(g, v, 1.0, error_bound=bound)
    off = np.abs(got.column_currents - exact).max(axis=1) / exact.max(axis=1)
    assert off.max() <= got.estimated_error + 1e-13
    assert got.estimated_error <= bound


def test_a_bound_below_rounding_is_refused():
    g, v = array_of(6, 6, 6)
    with pytest.raises(SingularCircuitError, match="relative error is estimated at"):
        hl.solve_crossbar(g, v, 1.0, error_bound=1e-17)


def test_volts_that_cancel_are_no_error():
    g = np.full((2, 5), 1e-5)
    got = hl.solve_crossbar(g, [[0.5, -0.5], [0.0, 0.0]], 1e-3)
    assert np.abs(got.column_currents).max() < 1e-13
    assert got.estimated_error <= 1e-10


@pytest.mark.parametrize("ohms", [0.0, 1.0, (1.0, 0.0), (0.0, 1.0)])
def test_a_row_that_is_open_gives_exactly_nothing(ohms):
    g, _ = array_of(21, 6, 4)
    g[2] = 0.0
    currents = hl.solve_crossbar(g, 0.2 * np.eye(6), ohms).column_currents
    assert (currents[2] == 0).all()
    assert (np.delete(currents, 2, axis=0) > 0).all()


@pytest.mark.parametrize("ohms", [0.0, 1.0, (1.0, 0.0), (0.0, 1.0)])
def test_floating_columns_between_opposite_volts_are_at_none(ohms):
    got = hl.solve_crossbar(np.full((2, 3), 1e-5), [0.5, -0.5], ohms, bottom_voltages=[NAN] * 3)
    assert np.abs(got.column_voltages).max() < 1e-5  # the wire between the two rows tips it by 2.5 uV


def test_strong_devices_are_left_to_the_factor_and_weak_ones_are_not():
    g, v = array_of(7, 20, 20, 2)
    assert hl.solve_crossbar(g, v, 1.0).method == "relaxation"
    assert hl.solve_crossbar(np.full((30, 30), 1.0), np.ones((2, 30)), 1e6).method == "factor"


# --- peers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ohms", [(1.0, 1.0), (3.0, 0.5), (0.0, 2.0), (2.0, 0.0)])
@pytest.mark.parametrize("S", [1, 12])
def test_an_array_agrees_with_badcrossbar(ohms, S):
    badcrossbar = pytest.importorskip("badcrossbar")
    g, v = array_of(8, 24, 18, S)
    v = np.abs(v)
    logging.disable(logging.CRITICAL)
    try:
        peer = badcrossbar.compute(v.T, 1 / g, r_i_word_line=ohms[0], r_i_bit_line=ohms[1])
    finally:
        logging.disable(logging.NOTSET)
    got = hl.solve_crossbar(g, v, ohms)
    np.testing.assert_allclose(got.column_currents, peer.currents.output, rtol=1e-9)
    shape = (24, 18, S)
    np.testing.assert_allclose(got.row_nodes, peer.voltages.word_line.reshape(shape).transpose(2, 0, 1), rtol=1e-9)
    columns = peer.voltages.bit_line.reshape(shape).transpose(2, 0, 1)
    np.testing.assert_allclose(got.column_nodes, columns, rtol=1e-9, atol=1e-15)


# --- laws --------------------------------------------------------------------------------------------------


def test_transfer_is_reciprocal():
    """Volts on row m that push current out of column n do so the other way round."""
    g, _ = array_of(9, 7, 5)
    forward = hl.solve_crossbar(g, np.eye(7), (2.0, 3.0)).column_currents
    backward = hl.solve_crossbar(g, np.zeros((5, 7)), (2.0, 3.0), bottom_voltages=np.eye(5)).row_currents
    np.testing.assert_allclose(forward, -backward.T, rtol=1e-10)


@pytest.mark.parametrize("ohms", [(2.0, 30.0), (0.0, 5.0), (0.0, 0.0), (1e-3, 0.0)])
def test_sources_deliver_what_wires_and_devices_dissipate(ohms):
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


def test_ends_superpose():
    g, v = array_of(11, 6, 5, 2)
    right, top, bottom = np.linspace(0, 0.1, 6), np.linspace(0.2, 0.3, 5), np.linspace(-0.1, 0.1, 5)
    held = {"right_voltages": right, "top_voltages": top, "bottom_voltages": bottom}
    together = hl.solve_crossbar(g, v, 40.0, **held).row_nodes
    parts = hl.solve_crossbar(g, v, 40.0, **{name: 0 * volts for name, volts in held.items()}).row_nodes
    for name, volts in held.items():
        only = {other: volts if other == name else 0 * held[other] for other in held}
        parts = parts + hl.solve_crossbar(g, 0 * v, 40.0, **only).row_nodes
    np.testing.assert_allclose(together, parts, rtol=0, atol=1e-14)


def test_a_clamp_takes_back_what_a_nudge_has_moved():
    """A column that floats under a nudge and one that is held where the nudge took it are the same array."""
    g, v = array_of(12, 5, 4, 2)
    loose = np.array([0.0, NAN, 0.0, NAN])
    nudge = np.array([7.0, 1e-5, NAN, -2e-5])
    nudged = hl.solve_crossbar(g, v, 3.0, bottom_voltages=loose, injected=nudge)
    np.testing.assert_array_equal(nudged.column_currents[:, [1, 3]], np.tile([-1e-5, 2e-5], (2, 1)))
    clamped = hl.solve_crossbar(g, v, 3.0, bottom_voltages=nudged.column_voltages)
    np.testing.assert_allclose(clamped.column_currents[:, [1, 3]], nudged.column_currents[:, [1, 3]], rtol=1e-8)
    np.testing.assert_allclose(clamped.row_nodes, nudged.row_nodes, rtol=0, atol=1e-13)


def test_a_wire_held_at_both_ends_shares_the_current():
    # rows of wire alone: 4 segments from left to right
    got = hl.solve_crossbar(np.zeros((1, 3)), [[1.0]], 2.0, right_voltages=[0.2])
    np.testing.assert_allclose(got.row_nodes[0, 0], [0.8, 0.6, 0.4], rtol=1e-15)
    np.testing.assert_allclose(got.row_currents, [[0.1]], rtol=1e-14)
    down = hl.solve_crossbar(np.zeros((3, 1)), [[0, 0, 0]], 2.0, top_voltages=[1.0], bottom_voltages=[0.2])
    np.testing.assert_allclose(down.column_currents, [[0.1]], rtol=1e-14)


def test_samples_may_hold_different_ends():
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


@pytest.mark.parametrize("ohms", [(2.0, 30.0), (0.0, 5.0), (5.0, 0.0), (0.0, 0.0), (100.0, 100.0)])
@pytest.mark.parametrize("kind", ["usual", "nudged", "both ends"])
def test_the_gradient_is_that_of_finite_differences(ohms, kind):
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


def test_an_open_device_has_a_gradient():
    g, v = array_of(16, 3, 3)
    g[1, 1] = 0.0
    e = np.array([[1.0, -2.0, 0.5]])
    more = g.copy()
    more[1, 1] = 1e-11
    change = hl.solve_crossbar(more, v, 5.0).column_currents - hl.solve_crossbar(g, v, 5.0).column_currents
    gradient = hl.solve_crossbar(g, v, 5.0).gradient(e)
    np.testing.assert_allclose(gradient[1, 1], (change * e).sum() / 1e-11, rtol=1e-3)


# --- shapes and refusals -----------------------------------------------------------------------------------


def test_any_layout_and_type_of_numbers_will_do():
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


def test_conductances_are_not_written_to():
    g, v = array_of(18, 6, 4, 3)
    before = g.copy(), v.copy()
    hl.solve_crossbar(g, v, 1.0, floating_rows=np.arange(6) == 2).gradient(np.ones((3, 4)))
    np.testing.assert_array_equal(g, before[0])
    np.testing.assert_array_equal(v, before[1])


def test_no_samples_give_no_answers():
    g, v = array_of(19, 6, 4, 3)
    got = hl.solve_crossbar(g, v[:0], 1.0, bottom_voltages=np.full(4, NAN), floating_rows=np.zeros(6, dtype=bool))
    assert got.column_currents.shape == got.column_voltages.shape == (0, 4)
    assert got.row_nodes.shape == (0, 6, 4)
    assert got.row_currents.shape == (0, 6)
    with pytest.raises(CircuitError, match="no samples"):
        got.gradient(np.zeros((0, 4)))


@pytest.mark.parametrize("S", [1, 9])
def test_nothing_in_is_nothing_out(S):
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
            "ties row 0, row 1, row 2",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        hl.solve_crossbar(np.full((3, 2), 1e-4), [0.1, 0.2, 0.3], 1.0, **options)


def test_an_ideal_line_is_held_at_one_end():
    g = np.full((3, 2), 1e-4)
    with pytest.raises(CircuitError, match="both ends of row 1 are held in sample 0"):
        hl.solve_crossbar(g, [0.1, 0.2, 0.3], (0.0, 1.0), right_voltages=[NAN, 0.1, NAN])
    with pytest.raises(CircuitError, match="both ends of column 0 are held in sample 0"):
        hl.solve_crossbar(g, [0.1, 0.2, 0.3], (1.0, 0.0), top_voltages=[0.1, NAN])


def test_a_line_that_nothing_ties_is_named():
    g = np.full((3, 2), 1e-4)
    g[1] = 0.0
    with pytest.raises(SingularCircuitError, match="no conducting path ties row 1 to a source"):
        hl.solve_crossbar(g, [0.1, 0.2, 0.3], 1.0, floating_rows=[False, True, False])


@pytest.mark.parametrize("error", [[[1.0]], [[1.0, NAN]], [[1.0, 2.0]] * 2])
def test_errors_that_do_not_fit_are_refused(error):
    got = hl.solve_crossbar(np.full((3, 2), 1e-4), [0.1, 0.2, 0.3], 1.0)
    with pytest.raises(CircuitError, match="error"):
        got.gradient(error)


def test_numba_is_not_loaded_before_it_is_needed():
    import subprocess
    import sys

    said = subprocess.run(
        [sys.executable, "-c", "import sys, hwlearn; print('numba' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == "False"


@pytest.mark.usefixtures("without_numba")
def test_all_of_it_works_without_numba():
    g, v = array_of(20, 40, 30, 40)
    got = hl.solve_crossbar(g, v, 1.0)
    exact = solve_directly(problem_of(g, v), 1e-14).currents
    np.testing.assert_allclose(got.column_currents, exact, rtol=0, atol=1e-10 * np.abs(exact).max())
    assert got.method == "relaxation"
