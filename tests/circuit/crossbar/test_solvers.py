"""Crossbar solvers against each other, and against their estimated errors."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.circuit.crossbar import solvers as crossbar_solve
from hwlearn.circuit.crossbar.direct import solve_directly
from hwlearn.circuit.crossbar.ends import held_ends
from hwlearn.circuit.crossbar.iteration import Contraction
from hwlearn.circuit.crossbar.lapack import relax_by_vector, suits_lapack
from hwlearn.circuit.crossbar.problem import Problem
from hwlearn.circuit.crossbar.relaxation import relax
from hwlearn.errors import SingularCircuitError

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


# --- agreement between solvers ---------------------------------------------------------------------------

ENDS = {
    "default": {},
    "right ends held": {"right": np.linspace(0, 0.3, 12)},
    "columns held at both ends": {"top": np.full(9, 0.1), "bottom": np.linspace(-0.1, 0.1, 9)},
    "floating rows": {"floating_rows": np.arange(12) % 3 == 0},
    "floating columns, nudged": {
        "bottom": np.where(np.arange(9) % 2, 0.0, NAN),
        "injected": np.where(np.arange(9) % 4, 0.0, 1e-5),
    },
}


@pytest.mark.share(12)
@pytest.mark.parametrize("S", [1, 3, 8, 21])
@pytest.mark.parametrize("ends", ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("ohms", [(1.0, 1.0), (20.0, 0.3)])
def test_all_solvers_give_the_same_voltages(S, ends, ohms):
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


@pytest.mark.parametrize("ohms", [0.1, 1.0, 8.0])
def test_all_solvers_share_one_iteration(ohms):
    g, v = array_of(22, 30, 20, 1)
    problem = problem_of(g, v, (ohms, ohms))
    answers = [relax(problem, 1e-10), relax_by_vector(problem, 1e-10)]
    fast = crossbar_solve._fast()
    if fast is not None:
        answers.append(fast.relax_compiled(problem, 1e-10))
    # LAPACK's bound of the contraction is a coarser one, which can take more iterations
    assert answers[-1].iterations == answers[0].iterations or fast is None
    assert 0 <= answers[1].iterations - answers[0].iterations <= 2
    for answer in answers[1:]:
        np.testing.assert_allclose(answer.column_nodes, answers[0].column_nodes, rtol=0, atol=1e-12)


@pytest.mark.parametrize("ohms", [0.1, 1.0, 8.0])
def test_contraction_bound_from_strengths_is_above_the_exact_one(ohms):
    g, _ = array_of(23, 12, 9)
    rows = np.full((12, 9), 0.0)
    T = 2 * np.eye(9) - np.eye(9, k=1) - np.eye(9, k=-1)
    T[-1, -1] = 1.0
    for m in range(12):
        rows[m] = np.linalg.solve(T + ohms * np.diag(g[m]), ohms * g[m])
    distances = ohms * (g @ np.arange(1.0, 10)), ohms * (np.arange(12.0, 0, -1) @ g)
    bound = Contraction.from_strengths(distances[0].max(), distances[1].max())
    assert rows.max() <= bound.rows < 1.1 * rows.max() + 0.1
    assert bound.sweep <= bound.rows


def test_kernels_give_the_same_result_uncompiled():
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


# --- estimated error ---------------------------------------------------------------------------------------


@pytest.mark.share(4)
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
def test_outputs_are_within_the_estimated_error_of_a_refined_solution(M, N, S, low, high, ohms, fast, monkeypatch):
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
def test_error_bound_argument_is_met(bound):
    g, v = array_of(5, 70, 60, 5, -5, -3)
    v = np.abs(v)
    exact = solve_directly(problem_of(g, v), 1e-14).currents
    got = hl.solve_crossbar(g, v, 1.0, error_bound=bound)
    off = np.abs(got.column_currents - exact).max(axis=1) / exact.max(axis=1)
    assert off.max() <= got.estimated_error + 1e-13
    assert got.estimated_error <= bound


def test_error_bound_below_rounding_is_rejected():
    g, v = array_of(6, 6, 6)
    with pytest.raises(SingularCircuitError, match="estimated relative error of the outputs is"):
        hl.solve_crossbar(g, v, 1.0, error_bound=1e-17)


def test_cancelling_voltages_are_accepted():
    g = np.full((2, 5), 1e-5)
    got = hl.solve_crossbar(g, [[0.5, -0.5], [0.0, 0.0]], 1e-3)
    assert np.abs(got.column_currents).max() < 1e-13
    assert got.estimated_error <= 1e-10


@pytest.mark.parametrize("ohms", [0.0, 1.0, (1.0, 0.0), (0.0, 1.0)])
def test_floating_columns_between_opposite_voltages_are_near_zero(ohms):
    got = hl.solve_crossbar(np.full((2, 3), 1e-5), [0.5, -0.5], ohms, bottom_voltages=[NAN] * 3)
    assert np.abs(got.column_voltages).max() < 1e-5  # the wire between the two rows tips it by 2.5 uV


def test_direct_solver_is_used_only_for_strong_devices():
    g, v = array_of(7, 20, 20, 2)
    assert hl.solve_crossbar(g, v, 1.0).method == "relaxation"
    assert hl.solve_crossbar(np.full((30, 30), 1.0), np.ones((2, 30)), 1e6).method == "factor"


def test_importing_hwlearn_does_not_load_numba():
    shown = subprocess.run(
        [sys.executable, "-c", "import sys, hwlearn; print('numba' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == "False"


@pytest.mark.usefixtures("without_numba")
def test_solver_works_without_numba():
    g, v = array_of(20, 40, 30, 40)
    got = hl.solve_crossbar(g, v, 1.0)
    exact = solve_directly(problem_of(g, v), 1e-14).currents
    np.testing.assert_allclose(got.column_currents, exact, rtol=0, atol=1e-10 * np.abs(exact).max())
    assert got.method == "relaxation"
