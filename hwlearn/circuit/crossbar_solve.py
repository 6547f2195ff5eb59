"""The ways to solve a crossbar, in the order of their cost, each held to the error bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwlearn.circuit.crossbar_direct import solve_directly
from hwlearn.circuit.crossbar_problem import TOO_STRONG, Answer, Problem, column_currents, output_errors
from hwlearn.circuit.crossbar_relaxation import relax, relax_by_vector, suits_lapack
from hwlearn.circuit.topology import FloatArray
from hwlearn.errors import SingularCircuitError


def solve_problem(problem: Problem, bound: float) -> tuple[Answer, FloatArray, float]:
    """Return node voltages, the bottoms' currents (S, N) and the estimated relative error of the outputs.

    Raises
    ------
    SingularCircuitError
        If part of the array is tied to no source, or the error cannot be kept within the bound.
    """
    M, N = problem.g.shape
    if not problem.samples:
        nothing = np.zeros((M, N, 0))
        return Answer(nothing, nothing, np.zeros(0), "none", 0), np.zeros((0, N)), 0.0
    adrift = problem.adrift()
    if adrift is not None:
        names = [f"row {m}" for m in np.flatnonzero(adrift[0])] + [
            f"column {n}" for n in np.flatnonzero(adrift[1])
        ]
        raise SingularCircuitError(
            f"singular crossbar: no conducting path ties {', '.join(names[:5])} to a source; hold one of its ends"
        )
    with np.errstate(all="ignore"):
        answer = relax_by_vector(problem, bound) if suits_lapack(problem) else None
        if answer is not None:
            currents, error = _judged(problem, answer, bound)
            if error <= bound:
                return answer, currents, error
        answer = relax(problem, bound)
        if answer is not None:
            currents, error = _judged(problem, answer, bound)
            if error <= bound:
                return answer, currents, error
        answer = solve_directly(problem)
        currents, error = _judged(problem, answer, bound)
    if not error <= bound:
        raise SingularCircuitError(
            f"{TOO_STRONG}: the outputs' relative error is estimated at {error:.1e}, asked for is {bound:.1e}"
        )
    return answer, currents, error


def _judged(problem: Problem, answer: Answer, bound: float) -> tuple[FloatArray, float]:
    """Return the column currents (S, N) and the largest estimated relative error of an answer."""
    currents = column_currents(problem, answer)
    volts = answer.column_nodes[-1].T + problem.column_ohms * problem.columns.injected
    errors = output_errors(problem, answer.volts_error, currents, volts, None)
    if not (errors <= bound).all() and _signed(problem):
        errors = output_errors(problem, answer.volts_error, currents, volts, _without_signs(problem, bound))
    return currents, float(errors.max())


def _signed(problem: Problem) -> bool:
    rows, columns = problem.rows, problem.columns
    return bool(
        min(rows.first.min(), rows.last.min(), columns.injected.min()) < 0
        or columns.first.any()
        or columns.last.any()
    )


def _without_signs(problem: Problem, bound: float) -> FloatArray | None:
    """Return the largest column currents (S,) that sources of one sign would give, rows and columns apart."""
    rows, columns = problem.rows, problem.columns
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
    scale = np.zeros(problem.samples)
    for part in (by_rows, by_columns):
        answer = relax(part, bound) or solve_directly(part)
        largest = np.abs(column_currents(part, answer)).max(axis=1)
        if not np.isfinite(largest).all():
            return None
        scale += largest
    return scale
