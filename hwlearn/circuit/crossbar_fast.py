"""The iteration of `hwlearn.circuit.crossbar_relaxation`, compiled by numba (extra ``fast``).

Import this file only where numba is installed: importing it loads numba. Compiled code is kept on disk by numba;
a machine compiles it once. The functions below are plain loops, compiled at the end of each.

One vector is swept with eight rows side by side, or all columns side by side; of many vectors, blocks are kept
innermost in memory, so that the recurrences along the lines vectorise over them. Blocks are shared out to threads.
"""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np

from hwlearn.circuit.crossbar_lines import BoolArray, by_devices
from hwlearn.circuit.crossbar_problem import ROUNDING, Answer, Problem, column_currents
from hwlearn.circuit.crossbar_relaxation import BELOW_BOUND, HOPELESS, SMALL, iterations_worth
from hwlearn.circuit.topology import FloatArray

_BLOCK: Final = 8
_SIDE_BY_SIDE: Final = 8


def _compiled(function: Callable[..., Any]) -> Any:
    """Return a function compiled; it lets other threads run."""
    return importlib.import_module("numba").njit(nogil=True, cache=True, error_model="numpy")(function)


def _pivots_loop(leaks: FloatArray, first_held: BoolArray, last_held: BoolArray, p: FloatArray) -> None:
    """Fill in 1 / pivot (L, K) of lines with leaks (L, K), eliminated from the last node to the first."""
    L, K = leaks.shape
    s = np.empty(K)
    for k in range(K):
        s[k] = leaks[L - 1, k] + (1.0 if last_held[k] else 0.0)
    for i in range(L - 1, 0, -1):
        for k in range(K):
            p[i, k] = 1.0 / (1.0 + s[k])
            s[k] = leaks[i - 1, k] + s[k] * p[i, k]
    for k in range(K):
        p[0, k] = 1.0 / (s[k] + (1.0 if first_held[k] else 0.0))


_pivots = _compiled(_pivots_loop)


def _solve_columns_loop(x: FloatArray, p: FloatArray) -> None:
    """Solve all columns in place, x (M, N, B), p (M, N)."""
    M, N, B = x.shape
    if B == 1:
        for i in range(M - 2, -1, -1):
            for n in range(N):
                x[i, n, 0] += p[i + 1, n] * x[i + 1, n, 0]
        for n in range(N):
            x[0, n, 0] *= p[0, n]
        for i in range(1, M):
            for n in range(N):
                x[i, n, 0] = (x[i, n, 0] + x[i - 1, n, 0]) * p[i, n]
        return
    for i in range(M - 2, -1, -1):
        for n in range(N):
            for b in range(B):
                x[i, n, b] += p[i + 1, n] * x[i + 1, n, b]
    for n in range(N):
        for b in range(B):
            x[0, n, b] *= p[0, n]
    for i in range(1, M):
        for n in range(N):
            for b in range(B):
                x[i, n, b] = (x[i, n, b] + x[i - 1, n, b]) * p[i, n]


_solve_columns = _compiled(_solve_columns_loop)


def _solve_rows_loop(x: FloatArray, p: FloatArray) -> None:
    """Solve all rows in place, x (M, N, B), p (N, M)."""
    M, N, B = x.shape
    if B == 1:
        side = np.empty((N, 8))
        for m in range(0, M, 8):
            K = min(8, M - m)
            for k in range(K):
                side[N - 1, k] = x[m + k, N - 1, 0]
            for j in range(N - 2, -1, -1):
                for k in range(K):
                    side[j, k] = x[m + k, j, 0] + p[j + 1, m + k] * side[j + 1, k]
            for k in range(K):
                side[0, k] *= p[0, m + k]
                x[m + k, 0, 0] = side[0, k]
            for j in range(1, N):
                for k in range(K):
                    side[j, k] = (side[j, k] + side[j - 1, k]) * p[j, m + k]
                    x[m + k, j, 0] = side[j, k]
        return
    for m in range(M):
        for j in range(N - 2, -1, -1):
            q = p[j + 1, m]
            for b in range(B):
                x[m, j, b] += q * x[m, j + 1, b]
        for b in range(B):
            x[m, 0, b] *= p[0, m]
        for j in range(1, N):
            q = p[j, m]
            for b in range(B):
                x[m, j, b] = (x[m, j, b] + x[m, j - 1, b]) * q


_solve_rows = _compiled(_solve_rows_loop)


def _start_loop(
    leaks: FloatArray, x: FloatArray, first: FloatArray, last: FloatArray, by_row: bool, out: FloatArray
) -> None:
    """Fill in ``leaks x`` (M, N, B) and what the ends (lines, B) of rows or columns push."""
    M, N, B = x.shape
    for m in range(M):
        for n in range(N):
            for b in range(B):
                out[m, n, b] = leaks[m, n] * x[m, n, b]
    if by_row:
        for m in range(M):
            for b in range(B):
                out[m, 0, b] += first[m, b]
                out[m, N - 1, b] += last[m, b]
    else:
        for n in range(N):
            for b in range(B):
                out[0, n, b] += first[n, b]
                out[M - 1, n, b] += last[n, b]


_start = _compiled(_start_loop)


def _dots_loop(x: FloatArray, y: FloatArray, out: FloatArray) -> None:
    """Fill in the inner products (B,) of x and y (M, N, B)."""
    M, N, B = x.shape
    line = np.zeros((N, B))
    for m in range(M):
        for n in range(N):
            for b in range(B):
                line[n, b] += x[m, n, b] * y[m, n, b]
    for b in range(B):
        out[b] = 0.0
    for n in range(N):
        for b in range(B):
            out[b] += line[n, b]


_dots = _compiled(_dots_loop)


def _largest_loop(x: FloatArray, out: FloatArray) -> None:
    """Fill in the largest magnitudes (B,) of x (M, N, B)."""
    M, N, B = x.shape
    line = np.zeros((N, B))
    for m in range(M):
        for n in range(N):
            for b in range(B):
                line[n, b] = max(line[n, b], abs(x[m, n, b]))
    for b in range(B):
        out[b] = 0.0
    for n in range(N):
        for b in range(B):
            out[b] = max(out[b], line[n, b])


_largest = _compiled(_largest_loop)


def _device_sums_loop(g: FloatArray, u: FloatArray, w: FloatArray, out: FloatArray) -> None:
    """Fill in the amperes (N, B) that the devices of each column carry, of nodes u, w (M, N, B)."""
    M, N, B = u.shape
    out[:] = 0.0
    for m in range(M):
        for n in range(N):
            for b in range(B):
                out[n, b] += g[m, n] * (u[m, n, b] - w[m, n, b])


_device_sums = _compiled(_device_sums_loop)


def _wanted_loop(
    g: FloatArray, u: FloatArray, w: FloatArray, held: BoolArray, siemens: float, part: float, out: FloatArray
) -> None:
    """Fill in the errors (B,) in volts that keep the outputs within a relative error of ``part``."""
    M, N, B = u.shape
    line = np.empty((N, B))
    _device_sums(g, u, w, line)
    for b in range(B):
        amperes, volts, loose = 0.0, 0.0, False
        for n in range(N):
            if held[n]:
                amperes = max(amperes, abs(line[n, b]))
            else:
                loose = True
                for m in range(M):
                    volts = max(volts, abs(w[m, n, b]))
        out[b] = part * amperes / siemens if siemens > 0 else np.inf
        if loose:
            out[b] = min(out[b], part * volts)


_wanted = _compiled(_wanted_loop)


def _relax_loop(
    g: FloatArray,
    row_leaks: FloatArray,
    column_leaks: FloatArray,
    row_pivots: FloatArray,
    column_pivots: FloatArray,
    ends: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
    held: BoolArray,
    siemens: float,
    part: float,
    keeps: float,
    most: int,
    thorough: bool,
    u: FloatArray,
    w: FloatArray,
    size: FloatArray,
    largest: FloatArray,
) -> int:
    """Fill in nodes u, w (M, N, B); return the iterations, -1 if they are too many.

    ``size`` (B,) is the last preconditioned residual, ``largest`` (B,) the largest voltage.
    """
    M, N, B = u.shape
    w[:] = 0.0
    _start(row_leaks, w, ends[0], ends[1], True, u)
    _solve_rows(u, row_pivots)
    _start(column_leaks, u, ends[2], ends[3], False, w)
    _solve_columns(w, column_pivots)
    wanted, was, now = np.empty(B), np.empty(B), np.empty(B)
    _largest(u, largest)
    _largest(w, now)
    for b in range(B):
        largest[b] = max(largest[b], now[b])
    _wanted(g, u, w, held, siemens, part, wanted)
    t, r, z = np.empty((M, N, B)), np.empty((M, N, B)), np.empty((M, N, B))
    for m in range(M):
        for n in range(N):
            for b in range(B):
                t[m, n, b] = row_leaks[m, n] * w[m, n, b]
    _solve_rows(t, row_pivots)
    for m in range(M):
        for n in range(N):
            for b in range(B):
                u[m, n, b] += t[m, n, b]
                r[m, n, b] = column_leaks[m, n] * t[m, n, b]
                z[m, n, b] = r[m, n, b]
    _solve_columns(z, column_pivots)
    p, cp = z.copy(), r.copy()
    rz, pq, alpha, beta = np.empty(B), np.empty(B), np.empty(B), np.empty(B)
    was[:] = np.inf
    _dots(r, z, rz)
    line = np.empty((N, B))
    for iteration in range(most + 1):
        _largest(z, size)
        done = True
        more = False
        for b in range(B):
            done = done and keeps * size[b] <= wanted[b]
            more = more or (thorough and size[b] > 1.2e-16 * largest[b] and size[b] < 0.1 * was[b])
            was[b] = size[b]
        if done and not more:
            for m in range(M):
                for n in range(N):
                    for b in range(B):
                        w[m, n, b] += z[m, n, b]
            return iteration + 1
        for m in range(M):
            for n in range(N):
                for b in range(B):
                    t[m, n, b] = row_leaks[m, n] * p[m, n, b]
        _solve_rows(t, row_pivots)
        line[:] = 0.0
        for m in range(M):
            for n in range(N):
                for b in range(B):
                    line[n, b] += p[m, n, b] * (cp[m, n, b] - column_leaks[m, n] * t[m, n, b])
        for b in range(B):
            pq[b] = 0.0
        for n in range(N):
            for b in range(B):
                pq[b] += line[n, b]
        for b in range(B):
            alpha[b] = rz[b] / pq[b] if pq[b] > 0 else 0.0
        for m in range(M):
            for n in range(N):
                for b in range(B):
                    w[m, n, b] += alpha[b] * p[m, n, b]
                    u[m, n, b] += alpha[b] * t[m, n, b]
                    r[m, n, b] -= alpha[b] * (cp[m, n, b] - column_leaks[m, n] * t[m, n, b])
                    z[m, n, b] = r[m, n, b]
        _solve_columns(z, column_pivots)
        for b in range(B):
            beta[b] = rz[b]
        _dots(r, z, rz)
        for b in range(B):
            beta[b] = rz[b] / beta[b] if beta[b] > 0 else 0.0
        for m in range(M):
            for n in range(N):
                for b in range(B):
                    p[m, n, b] = z[m, n, b] + beta[b] * p[m, n, b]
                    cp[m, n, b] = r[m, n, b] + beta[b] * cp[m, n, b]
    return -1


_relax = _compiled(_relax_loop)


def suits(problem: Problem) -> bool:
    """Tell whether `relax_compiled` takes a crossbar: one whose lines all have resistance."""
    return problem.row_ohms > 0 and problem.column_ohms > 0


def relax_compiled(problem: Problem, bound: float) -> Answer | None:
    """Return what `hwlearn.circuit.crossbar_relaxation.relax` does."""
    g = problem.g
    M, N = g.shape
    S = problem.samples
    rows, columns = problem.rows, problem.columns
    row_leaks = problem.row_ohms * g
    column_leaks = row_leaks if problem.column_ohms == problem.row_ohms else problem.column_ohms * g
    row_pivots, column_pivots = np.empty((N, M)), np.empty((M, N))
    _pivots(np.ascontiguousarray(row_leaks.T), rows.first_held, rows.last_held, row_pivots)
    _pivots(column_leaks, columns.first_held, columns.last_held, column_pivots)
    ones = row_leaks[:, :, None].copy()
    _solve_rows(ones, row_pivots)
    q_row = float(ones.max())
    ones *= column_leaks[:, :, None]
    _solve_columns(ones, column_pivots)
    q = float(ones.max())
    most = iterations_worth(problem)
    if not (q < HOPELESS and math.isfinite(q_row)) or 3.0 / math.sqrt(1.0 - q) > 4 * most:
        return None
    keeps = (q + min(q_row, 1.0)) / (1.0 - q)
    ends = (
        rows.first,
        rows.last + problem.row_ohms * rows.injected,
        columns.first,
        columns.last + problem.column_ohms * columns.injected,
    )
    held = columns.last_held
    siemens = float(g[:, held].sum(axis=0).max(initial=0.0))
    # few samples share blocks evenly between the threads
    threads = min(_cores(), S)
    B = min(_BLOCK, -(-S // threads))
    blocks = [slice(s, min(s + B, S)) for s in range(0, S, B)]
    U, W = np.empty((len(blocks), M, N, B)), np.empty((len(blocks), M, N, B))
    size, largest = np.empty((len(blocks), B)), np.empty((len(blocks), B))

    currents = np.empty((S, N))
    simple = bool(held.all() and not columns.first_held.any() and by_devices(g, problem.column_ohms).all())

    def run(k: int) -> int:
        pushed = np.zeros((4, max(M, N), B))
        for end, volts in zip(pushed, ends, strict=True):
            part = volts[blocks[k]].T
            end[: part.shape[0], : part.shape[1]] = part
        count: int = _relax(
            g,
            row_leaks,
            column_leaks,
            row_pivots,
            column_pivots,
            (pushed[0], pushed[1], pushed[2], pushed[3]),
            held,
            siemens,
            0.5 * BELOW_BOUND * bound,
            keeps,
            most,
            M * N <= SMALL,
            U[k],
            W[k],
            size[k],
            largest[k],
        )
        few = min(B, S - k * B)
        u, w = U[k, :, :, :few], W[k, :, :, :few]
        if simple:
            sums = np.empty((N, B))
            _device_sums(g, U[k], W[k], sums)
            currents[blocks[k]] = sums.T[:few]
        else:
            currents[blocks[k]] = column_currents(problem.of(blocks[k]), u, w)
        return count

    if len(blocks) == 1 or threads == 1:
        counts = [run(k) for k in range(len(blocks))]
    else:
        with ThreadPoolExecutor(threads) as pool:
            counts = list(pool.map(run, range(len(blocks))))
    if min(counts) < 0:
        return None
    error = (keeps * size + 2.0 * ROUNDING * (M + N) / (1.0 - q) * largest).ravel()[:S]
    parts = [(U[k, :, :, : S - k * B], W[k, :, :, : S - k * B]) for k in range(len(blocks))]
    return Answer(
        tuple(u for u, _ in parts), tuple(w for _, w in parts), currents, error, "relaxation", max(counts)
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
