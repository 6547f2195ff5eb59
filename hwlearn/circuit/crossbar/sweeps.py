"""Sweeps over the lines of a crossbar with a coarse correction after each, compiled by numba (extra ``fast``).

Importing this module loads numba. With the rows A, the columns C and the devices G between them, one sweep is::

    u = A^-1 (f_rows + G w)        y = C^-1 (f_columns + G u)        w = y + Z D Z^T (f_columns + G u - C w)

Z are the first modes of the columns, D the correction of `coarse.CoarseSpace`. The change y - w of a sweep shows
the error, as in `iteration`: if each row passes on the part q of the columns' errors at most, neither u nor y is
in error by more than ``q / (1 - q) max|y - w|``. The bound does not depend on the coarse correction.

The columns are eliminated downwards and upwards in turns. So one pass over the nodes solves the columns of the
last sweep and the rows of the next one, and eliminates the columns again: memory, not arithmetic, limits the
speed. Four samples are solved side by side: their recurrences along a row are independent, so that none waits for
another.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.compilation import compiled

SIDE_BY_SIDE: Final = 4
_FIRST_RATE: Final = 0.02
"""Reduction of the error that is expected of the second sweep."""


class SweptLines(NamedTuple):
    """Factored rows and columns, and the coarse correction.

    Attributes
    ----------
    row_leaks, column_leaks : ndarray, shape (M, N)
        Ohms of a segment times siemens of each device.
    row_pivots : ndarray, shape (M, N)
        1 / pivot of each node, for rows that are eliminated from their last nodes.
    column_pivots : ndarray, shape (2, M, N)
        The same of columns that are eliminated from their first and from their last nodes.
    held : ndarray of bool, shape (N,)
        Columns whose last ends are held.
    modes, eigenvalues, used, correction : ndarray
        See `coarse.CoarseSpace`.
    """

    row_leaks: FloatArray
    column_leaks: FloatArray
    row_pivots: FloatArray
    column_pivots: FloatArray
    held: BoolArray
    modes: FloatArray
    eigenvalues: FloatArray
    used: FloatArray
    correction: FloatArray


def _factor_loop(
    row_leaks: FloatArray, column_leaks: FloatArray, held: BoolArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return 1 / pivot of rows (M, N) and columns (2, M, N), and rise and fall of the rows (M, N), see `coarse`.

    All rows are held at their first ends. The fall is also the voltage per volt there. Nothing is subtracted.
    """
    M, N = row_leaks.shape
    of_rows, of_columns, rise, fall = np.empty((M, N)), np.empty((2, M, N)), np.empty((M, N)), np.empty((M, N))
    for m in range(M):
        leak = row_leaks[m, N - 1]
        for n in range(N - 1, 0, -1):
            of_rows[m, n] = 1.0 / (1.0 + leak)
            leak = row_leaks[m, n - 1] + leak * of_rows[m, n]
        of_rows[m, 0] = 1.0 / (1.0 + leak)
        down, up, step = 1.0, 1.0, 1.0
        for n in range(N):
            down *= of_rows[m, n]
            fall[m, n], rise[m, n] = down, up
            step += row_leaks[m, n] * up
            up += step
    downwards, upwards = column_leaks[0].copy(), column_leaks[M - 1] + held
    for m in range(M - 1):
        for n in range(N):
            of_columns[0, m, n] = 1.0 / (1.0 + downwards[n])
            downwards[n] = column_leaks[m + 1, n] + downwards[n] * of_columns[0, m, n]
            of_columns[1, M - 1 - m, n] = 1.0 / (1.0 + upwards[n])
            upwards[n] = column_leaks[M - 2 - m, n] + upwards[n] * of_columns[1, M - 1 - m, n]
    for n in range(N):
        of_columns[0, M - 1, n] = 1.0 / (downwards[n] + held[n])
        of_columns[1, 0, n] = 1.0 / upwards[n]
    return of_rows, of_columns, rise, fall


factor = compiled(_factor_loop, contract=True)


def _solve_row_loop(
    leaks: FloatArray, pivots: FloatArray, m: int, left: FloatArray, w: FloatArray, u: FloatArray
) -> None:
    """Fill in u (4, N) of row m of four samples for columns at w (M, 4, N) and volts (4, M) at the left ends."""
    N = leaks.shape[1]
    a, b, c, d, p = 0.0, 0.0, 0.0, 0.0, 0.0
    # the sums from before come first: only they are waited for
    for n in range(N - 1, -1, -1):
        leak = leaks[m, n]
        a, b = p * a + leak * w[m, 0, n], p * b + leak * w[m, 1, n]
        c, d = p * c + leak * w[m, 2, n], p * d + leak * w[m, 3, n]
        u[0, n], u[1, n], u[2, n], u[3, n] = a, b, c, d
        p = pivots[m, n]
    a, b, c, d = left[0, m], left[1, m], left[2, m], left[3, m]
    for n in range(N):
        p = pivots[m, n]
        a, b = a * p + u[0, n] * p, b * p + u[1, n] * p
        c, d = c * p + u[2, n] * p, d * p + u[3, n] * p
        u[0, n], u[1, n], u[2, n], u[3, n] = a, b, c, d


def _solve_columns_loop(pivots: FloatArray, m: int, eliminated: FloatArray, y: FloatArray) -> None:
    """Turn the nodes y (4, N) of columns before row m into those of row m."""
    N = pivots.shape[1]
    for t in range(4):
        for n in range(N):
            y[t, n] = (eliminated[m, t, n] + y[t, n]) * pivots[m, n]


def _change_loop(m: int, w: FloatArray, y: FloatArray, change: FloatArray) -> None:
    """Update the largest change (4, N) of each column by that from w (M, 4, N) to y (4, N) at row m."""
    N = w.shape[2]
    for t in range(4):
        for n in range(N):
            change[t, n] = max(change[t, n], abs(y[t, n] - w[m, t, n]))


_solve_row = compiled(_solve_row_loop, contract=True)
_solve_columns = compiled(_solve_columns_loop, contract=True)
_change = compiled(_change_loop, contract=True)


def _pass_loop(
    lines_of: tuple[Any, ...],
    upwards: bool,
    ends: tuple[FloatArray, FloatArray],
    volts: FloatArray,
    nodes: FloatArray,
    sums: tuple[FloatArray, FloatArray],
) -> None:
    """Solve the columns, correct them, solve the rows, and eliminate the columns in the direction of the pass.

    Parameters
    ----------
    lines_of : tuple
        What `SweptLines` takes.
    upwards : bool
        Direction; the columns were eliminated in the opposite one.
    ends : (ndarray, ndarray), of shapes (4, M) and (4, N)
        Sources of rows and columns.
    volts : ndarray, shape (K, 4, N)
        Correction of the modes of the columns.
    nodes : ndarray, shape (2, M, 4, N)
        Columns w before and after, and their eliminated right-hand sides.
    sums : (ndarray, ndarray), of shapes (4, N) and (K, 4, N)
        Filled in: change of each column at the last row of the pass, and the residual of the modes.
    """
    lines = SweptLines(*lines_of)
    leaks, out, row_pivots = lines.row_leaks, lines.column_leaks, lines.row_pivots
    pivots, solved = lines.column_pivots[int(upwards)], lines.column_pivots[1 - int(upwards)]
    M, N = out.shape
    K, (left, bottom), (change, residual) = len(volts), ends, sums
    w, eliminated = nodes[0], nodes[1]
    y, u, leaving = np.zeros((4, N)), np.empty((4, N)), np.empty((4, N))
    # long loops over all samples, where the devices are not needed
    w_flat, y_flat, leaving_flat = w.reshape((M, 4 * N)), y.reshape(4 * N), leaving.reshape(4 * N)
    volts_flat, residual_flat = volts.reshape((K, 4 * N)), residual.reshape((K, 4 * N))
    change[:] = 0.0
    residual[:] = 0.0
    for j in range(M):
        m = M - 1 - j if upwards else j
        last = m + 1 if upwards else m - 1
        _solve_columns(solved, m, eliminated, y)
        if j == M - 1:
            _change(m, w, y, change)
        shape = lines.modes[0, m]
        for i in range(4 * N):
            w_flat[m, i] = y_flat[i] + shape * volts_flat[0, i]
        for k in range(1, K):
            shape = lines.modes[k, m]
            for i in range(4 * N):
                w_flat[m, i] += shape * volts_flat[k, i]
        _solve_row(leaks, row_pivots, m, left, w, u)
        for t in range(4):
            if j == 0:
                for n in range(N):
                    eliminated[m, t, n] = out[m, n] * u[t, n]
            else:
                for n in range(N):
                    eliminated[m, t, n] = out[m, n] * u[t, n] + pivots[last, n] * eliminated[last, t, n]
            if m == M - 1:
                for n in range(N):
                    eliminated[m, t, n] += bottom[t, n]
            for n in range(N):
                leaving[t, n] = out[m, n] * (u[t, n] - w[m, t, n])
        for k in range(K):
            shape, eigenvalue = lines.modes[k, m], lines.eigenvalues[k]
            for i in range(4 * N):
                residual_flat[k, i] += shape * (leaving_flat[i] - eigenvalue * w_flat[m, i])


def _finish_loop(
    lines_of: tuple[Any, ...],
    upwards: bool,
    left: FloatArray,
    nodes: FloatArray,
    change: FloatArray,
    rows: FloatArray,
    columns: FloatArray,
) -> bool:
    """Solve columns and rows without a further sweep, as `_pass_loop`; return whether all voltages are finite."""
    lines = SweptLines(*lines_of)
    M, N = lines.column_leaks.shape
    leaks, row_pivots, solved = lines.row_leaks, lines.row_pivots, lines.column_pivots[1 - int(upwards)]
    w, eliminated = nodes[0], nodes[1]
    y, u = np.zeros((4, N)), np.empty((4, N))
    change[:] = 0.0
    for j in range(M):
        m = M - 1 - j if upwards else j
        _solve_columns(solved, m, eliminated, y)
        _change(m, w, y, change)
        _solve_row(leaks, row_pivots, m, left, w, u)
        for t in range(len(rows)):
            rows[t, m * N : m * N + N] = u[t]
            columns[t, m * N : m * N + N] = y[t]
    # the largest change can miss NaN, a sum cannot; a column passes it on to its last node
    total = y.sum()
    return bool(total - total == 0.0)


_pass = compiled(_pass_loop, contract=True)
_finish = compiled(_finish_loop, contract=True)


def _correct_loop(lines_of: tuple[Any, ...], bottom: FloatArray, residual: FloatArray, volts: FloatArray) -> None:
    """Fill in the correction of the modes, volts (K, 4, N), for their residual, of which sources still miss."""
    lines = SweptLines(*lines_of)
    K, _, N = volts.shape
    into, to = np.zeros((4, N)), np.zeros((4, N))
    for k in range(K):
        last = lines.modes[k, -1]
        for t in range(4):
            for n in range(N):
                into[t, n] += lines.used[k, n] * (residual[k, t, n] + last * bottom[t, n])
    for j in range(N):
        for t in range(4):
            amount = into[t, j]
            for n in range(N):
                to[t, n] += amount * lines.correction[j, n]
    _spread(lines_of, to, volts)


def _spread_loop(lines_of: tuple[Any, ...], of_columns: FloatArray, volts: FloatArray) -> None:
    """Fill in the volts (K, 4, N) of all modes for those of each column's own mode (4, N)."""
    lines = SweptLines(*lines_of)
    K, _, N = volts.shape
    for k in range(K):
        for t in range(4):
            for n in range(N):
                volts[k, t, n] = lines.used[k, n] * of_columns[t, n]


_spread = compiled(_spread_loop, contract=True)
_correct = compiled(_correct_loop, contract=True)


def _excess_loop(
    lines_of: tuple[Any, ...], ends: tuple[FloatArray, FloatArray], last: FloatArray, change: FloatArray
) -> float:
    """Return the largest change (4, N) of a sample, relative to its largest voltage; ``last`` (4, N) ends columns.

    The largest voltage is that of a source or of an end with an injected current.
    """
    held, (left, bottom) = SweptLines(*lines_of).held, ends
    most = 0.0
    for t in range(4):
        largest, size = 0.0, 0.0
        for m in range(left.shape[1]):
            largest = max(largest, abs(left[t, m]))
        for n in range(len(held)):
            largest = max(largest, abs(bottom[t, n]) if held[n] else abs(last[t, n] + bottom[t, n]))
            size = max(size, change[t, n])
        if size > 0.0:
            most = max(most, size / largest)
    return most


_excess = compiled(_excess_loop, contract=True)


def _relax_loop(
    lines_of: tuple[Any, ...],
    left: FloatArray,
    bottom: FloatArray,
    guess: FloatArray,
    goal: tuple[float, int],
    nodes: FloatArray,
    rows: FloatArray,
    columns: FloatArray,
) -> int:
    """Solve four samples, or fewer; return the number of sweeps, -1 if they need too many.

    Parameters
    ----------
    lines_of : tuple
        What `SweptLines` takes.
    left, bottom : ndarray, shape (S, M) and (S, N)
        Sources: held volts, or amperes times the ohms of a segment.
    guess : ndarray, shape (S, N)
        First volts of the modes of the columns.
    goal : (float, int)
        Change of a sweep, relative to the largest voltage of a sample, after which it needs no other; most sweeps.
    nodes : ndarray, shape (2, M, 4, N)
        Scratch.
    rows, columns : ndarray, shape (S, M N)
        Filled in: volts of the nodes.
    """
    S, (small, most) = len(left), goal
    K, N = SweptLines(*lines_of).used.shape
    M = left.shape[1]
    change, volts, residual = np.empty((4, N)), np.empty((K, 4, N)), np.empty((K, 4, N))
    f_rows, f_columns, of_columns = np.empty((4, M)), np.empty((4, N)), np.empty((4, N))
    for t in range(4):
        s = min(t, S - 1)
        f_rows[t], f_columns[t], of_columns[t] = left[s], bottom[s], guess[s]
    _spread(lines_of, of_columns, volts)
    nodes[:] = 0.0
    upwards, before, rate = False, 0.0, _FIRST_RATE
    for sweep in range(most):
        _pass(lines_of, upwards, (f_rows, f_columns), volts, nodes, (change, residual))
        upwards = not upwards
        if sweep > 0:
            now = _excess(lines_of, (f_rows, f_columns), nodes[0, M - 1], change)
            if sweep > 1:
                rate = now / before
            before = now
            if rate * now <= small:
                finite = _finish(lines_of, upwards, f_rows, nodes, change, rows, columns)
                if finite and _excess(lines_of, (f_rows, f_columns), nodes[0, M - 1], change) <= small:
                    return sweep + 1
        _correct(lines_of, f_columns, residual, volts)
    return -1


relax = compiled(_relax_loop, contract=True)
