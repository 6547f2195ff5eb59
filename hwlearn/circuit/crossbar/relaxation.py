"""Conjugate gradients on the devices of a crossbar, preconditioned by its lines.

With the rows A, the columns C and the devices G = diag(g) between them, the rows are eliminated:
``(C - G A^-1 G) w = f_c + G A^-1 f_r`` in the column nodes w. The columns are the preconditioner: one iteration
solves all rows once and all columns once, and few are needed where devices conduct less than lines.

The error is not taken from a residual in amperes. With the sweep ``P = C^-1 G A^-1 G``, the preconditioned
residual is ``z = (1 - P) (w_exact - w)``. All entries of P are positive, so its norm in the largest volt is
its largest row sum ``q = max(P 1)``, which takes one sweep over ones, and ``|w_exact - w| <= |z| / (1 - q)``: a
bound on the error itself. The answer is ``w + z``, whose error is q times that.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from scipy.linalg.blas import daxpy
from scipy.linalg.lapack import dpttrf, dpttrs

from hwlearn.arrays import FloatArray
from hwlearn.circuit.crossbar.lines import Ends, IdealLines, Lines, WireLines, chain_factors
from hwlearn.circuit.crossbar.problem import ROUNDING, Answer, Problem, joined, whole

BELOW_BOUND: Final = 0.25
HOPELESS: Final = 1.0 - 1e-7
_LAPACK_LENGTH: Final = 400
"""Nodes of a line up to which LAPACK's sweeps, line after line, are the cheaper ones."""
_FACTORED_LENGTH: Final = 150
"""Nodes of a line up to which LAPACK factors them: its rounding grows as their square, and it takes less time."""
_LAPACK_WORK: Final = 1024
_BLOCK_NODES: Final = 1 << 21
"""Nodes times samples that are swept together: more cost less time each, and take more memory."""
_STRONG_LINE: Final = 6.0
SMALL: Final = 1024
"""Devices up to which iterations cost next to nothing; they go on to the last digits."""


def iterations_worth(problem: Problem) -> int:
    """Return after how many iterations a direct factor would have been cheaper, as measured."""
    # a factor is shared by the samples, an iteration is not
    return int(20 + 300 / math.sqrt(max(problem.samples, 1)))


def relax(problem: Problem, bound: float) -> Answer | None:
    """Return node voltages that meet a relative error of the outputs; None if that takes too long.

    Notes
    -----
    Lines are swept node by node, all lines and a block of samples at once.
    """
    rows = _lines(problem.g.T, problem.row_ohms, problem.rows)
    columns = _lines(problem.g, problem.column_ohms, problem.columns)
    # an overflow of R g or a line that nothing holds shows in q
    ones = np.array(rows.leaks[:, :, None])
    rows.solve(ones)
    q_row = ones.max()
    ones = columns.leaks[:, :, None] * ones.swapaxes(0, 1)
    columns.solve(ones)
    q = ones.max()
    ones = np.array(columns.leaks[:, :, None])
    columns.solve(ones)
    siemens = ones[-1, :, 0] / problem.column_ohms if problem.column_ohms else problem.g.sum(axis=0)
    if not (q < HOPELESS and np.isfinite(q_row)):
        return None
    most = iterations_worth(problem)
    if 3.0 / math.sqrt(1.0 - q) > 4 * most:
        return None

    samples = max(1, _BLOCK_NODES // problem.g.size)
    parts = []
    for start in range(0, problem.samples, samples):
        part = problem.of(slice(start, start + samples))
        answer = _iterate(part, bound, rows, columns, siemens, (float(q_row), float(q)), most)
        if answer is None:
            return None
        parts.append(answer)
    return joined(parts)


def _iterate(
    problem: Problem,
    bound: float,
    rows: Lines,
    columns: Lines,
    siemens: FloatArray,
    kept: tuple[float, float],
    most: int,
) -> Answer | None:
    """Return what `relax` does for samples that are swept together.

    ``kept`` is the largest row sum of a sweep over the rows alone and of a whole one.
    """
    M, N = problem.g.shape
    S = problem.samples
    q_row, q = kept
    row_leaks, column_leaks = rows.leaks.T[:, :, None], columns.leaks[:, :, None]
    # what rows are solved for lies along them in memory, all else along columns
    row_u, row_t = rows.drive(problem.rows), np.empty((N, M, S))
    u, t = row_u.swapaxes(0, 1), row_t.swapaxes(0, 1)
    r, q_p = np.empty((M, N, S)), np.empty((M, N, S))
    rows.solve(row_u)
    rows.hold(row_u, problem.rows)
    w = columns.drive(problem.columns)
    np.multiply(column_leaks, u, out=r)
    w += r
    columns.solve(w)
    columns.hold(w, problem.columns)
    largest = np.maximum(np.abs(u).max(axis=(0, 1)), np.abs(w).max(axis=(0, 1)))
    rounding = 2.0 * ROUNDING * (M + N) / (1.0 - q)

    np.multiply(row_leaks, w, out=t)
    rows.solve(row_t)
    row_u += row_t
    np.multiply(column_leaks, t, out=r)
    z = r.copy()
    columns.solve(z)
    p, cp = z.copy(), r.copy()
    rz = np.einsum("mns,mns->s", r, z)
    target = _volts_wanted(problem, bound, w, u, siemens)
    was_size, thorough = np.full(S, np.inf), M * N <= SMALL
    for iteration in range(most + 1):
        size = np.abs(z).max(axis=(0, 1))
        more = thorough and ((size > ROUNDING * largest) & (size < 0.1 * was_size)).any()
        was_size = size
        if (size * (q + min(q_row, 1.0)) / (1.0 - q) <= target).all() and not more:
            # u is what w alone gives, and w + z is what that u gives
            w += z
            largest = np.maximum(np.abs(u).max(axis=(0, 1)), np.abs(w).max(axis=(0, 1)))
            error = (q + min(q_row, 1.0)) / (1.0 - q) * size + rounding * largest
            return whole(problem, u, w, error, "relaxation", iteration + 1, siemens)
        np.multiply(row_leaks, p, out=t)
        rows.solve(row_t)
        np.multiply(column_leaks, t, out=q_p)
        np.subtract(cp, q_p, out=q_p)
        pq = np.einsum("mns,mns->s", p, q_p)
        alpha = np.divide(rz, pq, out=np.zeros(S), where=pq > 0)
        np.multiply(alpha, p, out=z)
        w += z
        row_t *= alpha
        row_u += row_t
        q_p *= alpha
        r -= q_p
        np.copyto(z, r)
        columns.solve(z)
        was, rz = rz, np.einsum("mns,mns->s", r, z)
        beta = np.divide(rz, was, out=np.zeros(S), where=was > 0)
        p *= beta
        p += z
        cp *= beta
        cp += r
    return None


def _volts_wanted(problem: Problem, bound: float, w: FloatArray, u: FloatArray, siemens: FloatArray) -> FloatArray:
    """Return the error (S,) in volts of any node that keeps the outputs within the bound."""
    held = problem.columns.last_held
    wanted = np.full(problem.samples, np.inf)
    if held.any():
        # the difference of sums, not the sum of differences: an array of all drops would be the largest of all
        amperes = np.einsum("mn,mns->ns", problem.g, u) - np.einsum("mn,mns->ns", problem.g, w)
        amperes = np.abs(amperes[held]).max(axis=0)
        most = siemens[held].max()
        if most:
            wanted = amperes / most
    if not held.all():
        wanted = np.minimum(wanted, np.abs(w[:, ~held]).max(axis=(0, 1)))
    return np.asarray(0.5 * BELOW_BOUND * bound * wanted)


def _lines(g: FloatArray, ohms: float, ends: Ends) -> Lines:
    return WireLines(g, ohms, ends) if ohms else IdealLines(g, ends)


def suits_lapack(problem: Problem) -> bool:
    """Tell whether `relax_by_vector` can and should take a crossbar: usual ends, short lines, few samples."""
    rows, columns = problem.rows, problem.columns
    longest = max(problem.g.shape)
    return (
        problem.row_ohms > 0
        and problem.column_ohms > 0
        and problem.g.size > 1
        and longest <= _LAPACK_LENGTH
        and problem.samples * longest < _LAPACK_WORK
        and bool(rows.first_held.all() and columns.last_held.all())
        and not (rows.last_held.any() or columns.first_held.any())
    )


def relax_by_vector(problem: Problem, bound: float) -> Answer | None:
    """Return what `relax` does, one sample after another, for crossbars that LAPACK's chains suit.

    Notes
    -----
    All rows are one tridiagonal matrix with zeros between them, and so are all columns. Here q is bounded from
    the devices alone: 1 V at a line's start leaves at least ``exp(-D)`` at its end, ``D`` being the sum over its
    devices of R g times their distance, so a sweep keeps at most ``1 - exp(-D)``.
    """
    g = problem.g
    M, N = g.shape
    row_strength = problem.row_ohms * float((g @ np.arange(1.0, N + 1)).max())
    column_strength = problem.column_ohms * float((np.arange(float(M), 0.0, -1) @ g).max())
    if not (row_strength < _STRONG_LINE and column_strength < _STRONG_LINE):
        return None
    q_row = -math.expm1(-row_strength)
    q = q_row * -math.expm1(-column_strength)
    row_leaks = problem.row_ohms * g
    gT = np.ascontiguousarray(g.T)
    column_leaks = problem.column_ohms * gT
    long = max(M, N) > _FACTORED_LENGTH
    if long:
        d_row, e_row = chain_factors(problem.row_ohms * gT, True, False)
        d_column, e_column = chain_factors(problem.column_ohms * g, False, True)
    else:
        diagonal = row_leaks + 2.0
        diagonal[:, -1] -= 1.0
        off = np.full(M * N - 1, -1.0)
        off[N - 1 :: N] = 0.0
        d_row, e_row, _ = dpttrf(diagonal.ravel(), off, overwrite_d=1)
        np.add(column_leaks, 2.0, out=(diagonal := np.empty((N, M))))
        diagonal[:, 0] -= 1.0
        off = np.full(M * N - 1, -1.0)
        off[M - 1 :: M] = 0.0
        d_column, e_column, _ = dpttrf(diagonal.ravel(), off, overwrite_d=1, overwrite_e=1)

    S = problem.samples
    U, W = np.empty((S, M, N)), np.empty((S, N, M))
    error = np.empty(S)
    # the column's own equations hold, and its wires pass on a device's current in part at most
    siemens = gT.sum(axis=1)
    most_siemens = float(siemens.max())
    most = iterations_worth(problem)
    keeps = (q + q_row) / (1.0 - q)
    rounding = ROUNDING * ((0 if long else max(M, N) ** 2) + 4 * (M + N)) / (1.0 - q)
    t, r = np.empty((M, N)), np.empty((N, M))
    t_flat, r_flat = t.ravel(), r.ravel()
    z, p = np.empty(M * N), np.empty(M * N)
    cp, s_p = np.empty((N, M)), np.empty((N, M))
    cp_flat, s_flat = cp.ravel(), s_p.ravel()
    thorough = M * N <= SMALL
    count = 0
    for s in range(S):
        u, w, start = U[s].ravel(), W[s].ravel(), problem.rows.first[s]
        ground = problem.columns.last[s]
        U[s] = 0.0
        U[s, :, 0] = start
        dpttrs(d_row, e_row, u, overwrite_b=1)
        np.multiply(column_leaks, U[s].T, out=W[s])
        W[s, :, -1] += ground
        dpttrs(d_column, e_column, w, overwrite_b=1)
        largest = max(float(np.abs(start).max()), float(np.abs(ground).max()))
        amperes = float(np.abs(W[s, :, -1] - ground).max()) / problem.column_ohms
        # of the first sweep: within q of what the last one will say
        wanted = 0.5 * BELOW_BOUND * bound * amperes / most_siemens if most_siemens else math.inf
        if rounding * largest * BELOW_BOUND > wanted:
            return None
        np.multiply(row_leaks, W[s].T, out=t)
        dpttrs(d_row, e_row, t_flat, overwrite_b=1)
        u += t_flat
        np.multiply(column_leaks, t.T, out=r)
        np.copyto(z, r_flat)
        dpttrs(d_column, e_column, z, overwrite_b=1)
        size = max(float(z.max()), -float(z.min()))
        iteration = 0
        if keeps * size > wanted or (thorough and size > largest * ROUNDING):
            np.copyto(p, z)
            np.copyto(cp, r)
            rz = float(r_flat @ z)
            while True:
                np.multiply(row_leaks, p.reshape(N, M).T, out=t)
                dpttrs(d_row, e_row, t_flat, overwrite_b=1)
                np.multiply(column_leaks, t.T, out=s_p)
                np.subtract(cp, s_p, out=s_p)
                pq = float(p @ s_flat)
                if not pq > 0:
                    return None
                alpha = rz / pq
                daxpy(p, w, a=alpha)  # in place: w += alpha p
                daxpy(t_flat, u, a=alpha)
                daxpy(s_flat, r_flat, a=-alpha)
                np.copyto(z, r_flat)
                dpttrs(d_column, e_column, z, overwrite_b=1)
                was_size, size = size, max(float(z.max()), -float(z.min()))
                iteration += 1
                if keeps * size <= wanted and not (thorough and largest * ROUNDING < size < 0.1 * was_size):
                    break
                if iteration > most or not math.isfinite(size):
                    return None
                was, rz = rz, float(r_flat @ z)
                p *= rz / was
                p += z
                cp_flat *= rz / was
                cp_flat += r_flat
        w += z
        count = max(count, iteration)
        error[s] = keeps * size + rounding * largest
    u_nodes, w_nodes = U.transpose(1, 2, 0), W.transpose(2, 1, 0)
    if not (siemens * problem.column_ohms <= 1.0).all():
        return whole(problem, u_nodes, w_nodes, error, "relaxation", count + 1, siemens)
    # as `column_currents` does it by the devices, here along memory
    currents = np.einsum("nm,snm->sn", gT, U.transpose(0, 2, 1) - W)
    return Answer((u_nodes,), (w_nodes,), currents, error, "relaxation", count + 1, siemens)
