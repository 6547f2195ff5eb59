"""Solve the node equations of a crossbar with a sparse factor and refinement, for devices as strong as wires."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.sparse import csc_array
from scipy.sparse.linalg import SuperLU, splu

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.crossbar.lines import Ends
from hwlearn.circuit.crossbar.problem import ILL_CONDITIONED, ROUNDING, Answer, Problem, whole
from hwlearn.errors import SingularCircuitError

_REFUSED_ABOVE: Final = 1e-5
_REFINEMENTS: Final = 6


def solve_directly(problem: Problem, bound: float) -> Answer:
    """Return node voltages from a factor of all node equations, as exact as possible; the bound is ignored.

    Raises
    ------
    SingularCircuitError
        If double precision cannot resolve the voltages.

    Notes
    -----
    With 1 V on every source, every node must be at 1 V; the factor's deviation from this shows whether it is
    ill-conditioned. Answers are refined with the residual currents at the nodes. These are computed from the drops
    over wires and devices, which keep the digits that the sums on the matrix diagonal lose. A refinement that is
    not smaller than the one before is rounding; four times the smallest refinement is taken as the error.
    """
    M, N = problem.g.shape
    S = problem.samples
    row_nodes, free = _numbers(M, N, problem.row_ohms, problem.rows, 0)
    columns_T, free = _numbers(N, M, problem.column_ohms, problem.columns, free)
    column_nodes = columns_T.T
    held: list[FloatArray] = []
    n = free
    a, b, siemens = [row_nodes.ravel()], [column_nodes.ravel()], [problem.g.ravel()]
    for nodes, ohms, ends in (
        (row_nodes, problem.row_ohms, problem.rows),
        (columns_T, problem.column_ohms, problem.columns),
    ):
        for at, which, volts in ((0, ends.first_held, ends.first), (-1, ends.last_held, ends.last)):
            if not ohms:
                which = ends.anchored & (which if at == 0 else ~ends.first_held)
            k = int(which.sum())
            sources = n + np.arange(k)
            n += k
            held.append(volts[:, which])
            if ohms:
                a.append(sources)
                b.append(nodes[which, at])
                siemens.append(np.full(k, 1 / ohms))
            else:
                nodes[which] = sources[:, None]
        if ohms:
            a.append(nodes[:, :-1].ravel())
            b.append(nodes[:, 1:].ravel())
            siemens.append(np.full(nodes[:, 1:].size, 1 / ohms))
    # the loop above gave ideal lines their sources
    a[0], b[0] = row_nodes.ravel(), column_nodes.ravel()
    V = np.zeros((n, S))
    V[free:] = np.concatenate(held, axis=1).T
    injected = np.zeros((n, S))
    for nodes, ends in ((row_nodes, problem.rows), (columns_T, problem.columns)):
        loose = ~ends.anchored | ~ends.last_held
        np.add.at(injected, nodes[loose, -1], ends.injected[:, loose].T)
    error, refinements = _solve(np.concatenate(a), np.concatenate(b), np.concatenate(siemens), V, injected, free)
    return whole(problem, V[row_nodes], V[column_nodes], error, "factor", refinements)


def _numbers(K: int, L: int, ohms: float, ends: Ends, start: int) -> tuple[IntArray, int]:
    """Return the numbers (K, L) of the unknown nodes of K lines, -1 for held nodes, and the next free number."""
    if ohms:
        return start + np.arange(K * L).reshape(K, L), start + K * L
    nodes = np.full((K, L), -1)
    loose = ~ends.anchored
    k = int(loose.sum())
    nodes[loose] = start + np.arange(k)[:, None]
    return nodes, start + k


def _solve(
    a: IntArray, b: IntArray, siemens: FloatArray, V: FloatArray, injected: FloatArray, free: int
) -> tuple[FloatArray, int]:
    """Fill in the first rows of V (n, S); return the estimated errors (S,) in volts and the refinements."""
    n, S = V.shape
    largest = np.abs(V).max(axis=0, initial=0.0)
    if not free:
        return ROUNDING * largest, 0
    used = (siemens > 0) & (a != b) & ((a < free) | (b < free))
    a, b, siemens = a[used], b[used], siemens[used]
    k = np.arange(len(a))
    ones = np.ones(len(a))
    B = csc_array(
        (np.concatenate([ones, -ones]), (np.concatenate([k, k]), np.concatenate([a, b]))), shape=(len(a), n)
    )
    BT = B.T.tocsr()[:free]
    laplacian = (BT @ (B.multiply(siemens[:, None]))).tocsc()
    matrix = laplacian[:, :free]
    if not np.isfinite(matrix.data).all():
        raise SingularCircuitError(ILL_CONDITIONED)
    factor = _factor(matrix)
    wrong = np.abs(factor.solve(-(laplacian[:, free:] @ np.ones(n - free))) - 1.0)
    if not wrong.max() < _REFUSED_ABOVE:
        raise SingularCircuitError(ILL_CONDITIONED)
    g = siemens[:, None]
    V[:free] = factor.solve(np.ascontiguousarray(injected[:free] - laplacian[:, free:] @ V[free:]))
    last = np.full(S, np.inf)
    error = np.full(S, np.inf)
    refinements = 0
    while refinements < _REFINEMENTS:
        refinements += 1
        more = factor.solve(np.ascontiguousarray(injected[:free] - BT @ (g * (B @ V))))
        V[:free] += more
        size = np.abs(more).max(axis=0)
        error = np.minimum(error, size)
        largest = np.abs(V).max(axis=0)
        if (size <= 4 * ROUNDING * largest).all() or not (size < 0.5 * last).any():
            break
        last = size
    return 4 * error + 8 * ROUNDING * largest, refinements


def _factor(matrix: csc_array) -> SuperLU:
    try:
        # positive definite, so it needs no pivoting
        return splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    except RuntimeError as error:
        raise SingularCircuitError(ILL_CONDITIONED) from error
