"""Sweeps over the lines of a crossbar with a coarse correction between them, compiled by numba.

Importing this module loads numba. A sweep solves all rows for the voltages of the columns, then all columns for
those of the rows. Smooth errors survive it, so the modes of the columns are corrected before the next sweep, for
the currents that the last change of the columns causes in the modes of the rows; see `modes`.

Samples are solved one after another: a sample and the lines stay in the processor's cache. Rows are solved in
arrays (N, M) and columns in arrays (M, N), so that lines lie side by side and their recurrences vectorise.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hwlearn.arrays import FloatArray, IntArray


def _compiled(function: Callable[..., Any]) -> Any:
    """Return a compiled function that releases the interpreter lock."""
    return importlib.import_module("numba").njit(nogil=True, cache=True, error_model="numpy")(function)


class SweptLines(NamedTuple):
    """Lines, eliminated from their last nodes to their first, and their modes.

    Attributes
    ----------
    row_leaks, row_pivots : ndarray, shape (N, M)
        Ohms of a segment times siemens of each device; 1 / pivot of each node.
    column_leaks, column_pivots : ndarray, shape (M, N)
    row_modes, column_modes : ndarray, shape (kinds, K, N) and (kinds, K, M)
        Modes of lines, by kind of ends.
    row_kinds, column_kinds : ndarray of int, shape (M,) and (N,)
    correction : ndarray, shape (M K, K N)
        Volts of the modes of columns, mode after mode, for a change of the leaks into the modes of rows.
    """

    row_leaks: FloatArray
    row_pivots: FloatArray
    column_leaks: FloatArray
    column_pivots: FloatArray
    row_modes: FloatArray
    column_modes: FloatArray
    row_kinds: IntArray
    column_kinds: IntArray
    correction: FloatArray


def _correct_loop(lines_of: tuple[Any, ...], w: FloatArray, wT: FloatArray, volts: FloatArray) -> None:
    """Fill in the corrections (kinds, K, N) of the modes for a change of the columns from wT (N, M) to w (M, N).

    Copies w to wT. A column has the modes of its kind only; those of other kinds stay zero.
    """
    lines = SweptLines(*lines_of)
    N, M = wT.shape
    kinds, K, _ = lines.row_modes.shape
    into, change, leaking = np.zeros((kinds, K, M)), np.empty(M), np.empty(M)
    for n in range(N):
        leaks, x = lines.row_leaks[n], wT[n]
        for m in range(M):
            change[m] = w[m, n]
        for m in range(M):
            leaking[m] = leaks[m] * (change[m] - x[m])
            x[m] = change[m]
        for kind in range(kinds):
            for k in range(K):
                shape, sums = lines.row_modes[kind, k, n], into[kind, k]
                for m in range(M):
                    sums[m] += shape * leaking[m]
    total = np.zeros(K * N)
    for m in range(M):
        for k in range(K):
            amount, effect = into[lines.row_kinds[m], k, m], lines.correction[m * K + k]
            for i in range(K * N):
                total[i] += amount * effect[i]
    for k in range(K):
        for n in range(N):
            volts[lines.column_kinds[n], k, n] = total[k * N + n]


_correct = _compiled(_correct_loop)


def _sweep_loop(
    lines_of: tuple[Any, ...],
    volts: FloatArray,
    left: FloatArray,
    bottom: FloatArray,
    w: FloatArray,
    wT: FloatArray,
    t: FloatArray,
    y: FloatArray,
) -> float:
    """Correct the columns by volts (kinds, K, N) of their modes, and sweep once; return the largest change.

    ``w`` (M, N) and its copy ``wT`` (N, M) are the columns before the correction. Afterwards y (M, N) are the
    columns after the sweep, and w and wT what it started from. Scratch: t (N, M).
    """
    lines = SweptLines(*lines_of)
    M, N = w.shape
    kinds, K, _ = volts.shape
    for n in range(N):
        x, leaks, to, kind = wT[n], lines.row_leaks[n], t[n], lines.column_kinds[n]
        for k in range(K):
            amount, shape = volts[kind, k, n], lines.column_modes[kind, k]
            for m in range(M):
                x[m] += amount * shape[m]
        for m in range(M):
            to[m] = leaks[m] * x[m]
    _solve_rows(lines.row_pivots, left, t)
    for m in range(M - 1, -1, -1):
        leaks, to = lines.column_leaks[m], y[m]
        for n in range(N):
            to[n] = t[n, m]
        if m == M - 1:
            for n in range(N):
                to[n] = leaks[n] * to[n] + bottom[n]
        else:
            p, below = lines.column_pivots[m + 1], y[m + 1]
            for n in range(N):
                to[n] = leaks[n] * to[n] + p[n] * below[n]
    most, above = np.zeros(N), np.zeros(N)
    for m in range(M):
        p, x, old = lines.column_pivots[m], y[m], w[m]
        for kind in range(kinds):
            for k in range(K):
                shape, amounts = lines.column_modes[kind, k, m], volts[kind, k]
                for n in range(N):
                    old[n] += shape * amounts[n]
        for n in range(N):
            x[n] = (x[n] + above[n]) * p[n]
        for n in range(N):
            size = abs(x[n] - old[n])
            most[n] = size if size > most[n] else most[n]
        above = x
    return float(most.max())


def _largest_loop(w: FloatArray) -> float:
    """Return the largest magnitude."""
    M, N = w.shape
    largest = np.zeros(N)
    for m in range(M):
        x = w[m]
        for n in range(N):
            size = abs(x[n])
            largest[n] = size if size > largest[n] else largest[n]
    return float(largest.max())


def _solve_rows_loop(p: FloatArray, left: FloatArray, t: FloatArray) -> None:
    """Solve rows in place, t (N, M), for volts (M,) at their sources."""
    N, M = t.shape
    for n in range(N - 2, -1, -1):
        q, x, after = p[n + 1], t[n], t[n + 1]
        for m in range(M):
            x[m] += q[m] * after[m]
    q, x = p[0], t[0]
    for m in range(M):
        x[m] = (x[m] + left[m]) * q[m]
    for n in range(1, N):
        q, x, before = p[n], t[n], t[n - 1]
        for m in range(M):
            x[m] = (x[m] + before[m]) * q[m]


_solve_rows = _compiled(_solve_rows_loop)
_sweep = _compiled(_sweep_loop)
_largest = _compiled(_largest_loop)


def _relax_loop(
    lines_of: tuple[Any, ...],
    left: FloatArray,
    bottom: FloatArray,
    guess: FloatArray,
    goal: tuple[float, float, float, int],
    rows: FloatArray,
    columns: FloatArray,
) -> int:
    """Solve samples one after another; return the most sweeps of a sample, -1 if one needs too many.

    Parameters
    ----------
    lines_of : tuple
        What `SweptLines` takes.
    left, bottom : ndarray, shape (S, M) and (S, N)
        Sources: held volts, or amperes times the ohms of a segment.
    guess : ndarray, shape (S, K N)
        First volts of the modes of the columns, mode after mode.
    goal : (float, float, float, int)
        Relative error of the voltages, factor from a change to the error that it leaves at most, rounding error of
        a sweep, and the most sweeps.
    rows, columns : ndarray, shape (S, M N)
        Filled in: volts of the nodes.
    """
    lines = SweptLines(*lines_of)
    N, M = lines.row_leaks.shape
    bound, factor, rounding, most = goal
    w, wT, t, y = np.empty((M, N)), np.empty((N, M)), np.empty((N, M)), np.empty((M, N))
    kinds, K, _ = lines.row_modes.shape
    volts = np.zeros((kinds, K, N))
    count = 0
    for s in range(len(left)):
        w[:] = 0.0
        wT[:] = 0.0
        for k in range(K):
            for n in range(N):
                volts[lines.column_kinds[n], k, n] = guess[s, k * N + n]
        before, rate, largest, met = 0.0, 0.0, 0.0, False
        for sweep in range(most):
            size = _sweep(lines_of, volts, left[s], bottom[s], w, wT, t, y)
            w, y = y, w
            if sweep < 2:
                largest = _largest(w)
            count = max(count, sweep + 1)
            if before > 0.0:
                rate = max(rate, size / before)
            # errors fall at the rate of the changes, but a rate seen once may be too good
            left_over = 4.0 * rate * size if sweep > 1 and rate < 0.25 else math.inf
            met = size <= rounding * largest or min(left_over, factor * size) <= bound * largest
            if met:
                break
            before = size
            _correct(lines_of, w, wT, volts)
        # the largest change can miss NaN, a sum cannot
        total = w.sum()
        if not (met and total - total == 0.0):
            return -1
        for n in range(N):
            leaks, to = lines.row_leaks[n], t[n]
            for m in range(M):
                to[m] = w[m, n]
            for m in range(M):
                to[m] *= leaks[m]
        _solve_rows(lines.row_pivots, left[s], t)
        for m in range(M):
            for n in range(N):
                rows[s, m * N + n] = t[n, m]
            for n in range(N):
                columns[s, m * N + n] = w[m, n]
    return count


relax = _compiled(_relax_loop)
