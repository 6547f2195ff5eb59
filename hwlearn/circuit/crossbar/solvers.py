"""Solve a crossbar with the cheapest solver that meets the error bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import ModuleType

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.crossbar.direct import solve_directly
from hwlearn.circuit.crossbar.lapack import relax_by_vector, suits_lapack
from hwlearn.circuit.crossbar.problem import ILL_CONDITIONED, Answer, Problem, output_errors
from hwlearn.circuit.crossbar.relaxation import relax
from hwlearn.compilation import compiled_module
from hwlearn.errors import SingularCircuitError


def solve_problem(problem: Problem, bound: float) -> tuple[Answer, float]:
    """Return node voltages and column currents, and the estimated relative error of the outputs.

    Raises
    ------
    SingularCircuitError
        If part of the array is connected to no source, or no solver meets the error bound.
    """
    M, N = problem.g.shape
    if not problem.samples:
        nothing = np.zeros((M, N, 0))
        return Answer((nothing,), (nothing,), np.zeros((0, N)), np.zeros(0), "none", 0), 0.0
    floating = problem.floating_lines()
    if floating is not None:
        rows, columns = (np.flatnonzero(lines) for lines in floating)
        names = ", ".join([*(f"row {m}" for m in rows), *(f"column {n}" for n in columns)][:5])
        raise SingularCircuitError(
            f"singular crossbar: no conducting path connects {names} to a source; hold one of its ends"
        )
    with np.errstate(all="ignore"):
        for solve in _solvers(problem):
            answer = solve(problem, bound)
            if answer is None:
                continue
            error = _error(problem, answer, bound)
            if error <= bound:
                return answer, error
    raise SingularCircuitError(
        f"{ILL_CONDITIONED}: the estimated relative error of the outputs is {error:.1e}, the bound {bound:.1e}"
    )


def _solvers(problem: Problem) -> Iterator[Callable[[Problem, float], Answer | None]]:
    """Yield the solvers for a crossbar, the cheapest first."""
    fast = _fast() if problem.row_ohms and problem.column_ohms else None
    if fast is not None:
        yield fast.relax_compiled
    else:
        if suits_lapack(problem):
            yield relax_by_vector
        yield relax
    yield solve_directly


def _fast() -> ModuleType | None:
    """Return the module of the compiled iteration; None without numba."""
    return compiled_module("hwlearn.circuit.crossbar.compiled")


def _error(problem: Problem, answer: Answer, bound: float) -> float:
    """Return the largest estimated relative error of an answer."""
    volts = answer.last_volts + problem.column_ohms * problem.columns.injected
    errors = output_errors(problem, answer, volts, None)
    if not (errors <= bound).all():
        errors = output_errors(problem, answer, volts, _without_signs(problem, bound))
    return float(errors.max())


def _signed(problem: Problem) -> bool:
    rows, columns = problem.rows, problem.columns
    return bool(
        min(rows.first.min(), rows.last.min(), columns.injected.min()) < 0
        or columns.first.any()
        or columns.last.any()
    )


def _without_signs(problem: Problem, bound: float) -> tuple[FloatArray, FloatArray]:
    """Return the largest outputs for the magnitudes of all sources, with those of rows and columns added.

    Amperes (S,) out of held columns and volts (S,) at floating ones; zero if the sources have one sign already.
    """
    rows, columns = problem.rows, problem.columns
    amperes, volts = np.zeros(problem.samples), np.zeros(problem.samples)
    if not _signed(problem):
        return amperes, volts
    no_rows, no_columns = np.zeros_like(rows.first), np.zeros_like(columns.first)
    by_rows = replace(
        problem,
        rows=rows.driven(abs(rows.first), abs(rows.last), no_rows),
        columns=columns.driven(no_columns, no_columns, abs(columns.injected)),
    )
    by_columns = replace(
        problem,
        rows=rows.driven(no_rows, no_rows, no_rows),
        columns=columns.driven(abs(columns.first), abs(columns.last), no_columns),
    )
    held = columns.last_held
    for part in (by_rows, by_columns):
        answer = relax(part, bound) or solve_directly(part, bound)
        ends = answer.last_volts + part.column_ohms * part.columns.injected
        amperes += np.abs(answer.currents[:, held]).max(axis=1, initial=0.0)
        volts += np.abs(ends[:, ~held]).max(axis=1, initial=0.0)
    return amperes, volts
