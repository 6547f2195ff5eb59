"""Loops of the compiled crossbar iteration: sweeps along lines, inner products, and the iteration itself.

Importing this file loads numba. Compiled code is kept on disk by numba; a machine compiles it once. Each function
is a plain loop, compiled at its end. One vector is swept with eight rows side by side, or all columns side by
side; of many vectors, blocks are kept innermost in memory, so that the recurrences along the lines vectorise.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray


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


pivots = _compiled(_pivots_loop)


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


solve_columns = _compiled(_solve_columns_loop)


def _solve_rows_loop(
    leaks: FloatArray, w: FloatArray, left: FloatArray, right: FloatArray, p: FloatArray, x: FloatArray
) -> None:
    """Fill in x (M, N, B), all rows solved for leaks (M, N) to w and ends (M, B); B is 1 or 8."""
    M, N, B = x.shape
    if B == 1:
        side = np.empty((N, 8))
        for m in range(0, M, 8):
            K = min(8, M - m)
            for k in range(K):
                side[N - 1, k] = leaks[m + k, N - 1] * w[m + k, N - 1, 0] + right[m + k, 0]
            for j in range(N - 2, -1, -1):
                for k in range(K):
                    side[j, k] = leaks[m + k, j] * w[m + k, j, 0] + p[m + k, j + 1] * side[j + 1, k]
            for k in range(K):
                side[0, k] = (side[0, k] + left[m + k, 0]) * p[m + k, 0]
                x[m + k, 0, 0] = side[0, k]
            for j in range(1, N):
                for k in range(K):
                    side[j, k] = (side[j, k] + side[j - 1, k]) * p[m + k, j]
                    x[m + k, j, 0] = side[j, k]
        return
    for m in range(M):
        # eight sums in eight registers: an array of them would go through memory at each node
        y, v, pm, lm = x[m].reshape(N * 8), w[m].reshape(N * 8), p[m], leaks[m]
        s = right[m]
        a, b, c, d, e, f, g, h = s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
        q = 1.0
        for k in range(N):
            leak, i = lm[N - 1 - k], 8 * (N - 1 - k)
            a, b, c, d = (
                leak * v[i] + q * a,
                leak * v[i + 1] + q * b,
                leak * v[i + 2] + q * c,
                leak * v[i + 3] + q * d,
            )
            e, f, g, h = (
                leak * v[i + 4] + q * e,
                leak * v[i + 5] + q * f,
                leak * v[i + 6] + q * g,
                leak * v[i + 7] + q * h,
            )
            y[i], y[i + 1], y[i + 2], y[i + 3] = a, b, c, d
            y[i + 4], y[i + 5], y[i + 6], y[i + 7] = e, f, g, h
            q = pm[N - 1 - k]
        s = left[m]
        a, b, c, d, e, f, g, h = s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
        for k in range(N):
            q, i = pm[k], 8 * k
            a, b, c, d = (y[i] + a) * q, (y[i + 1] + b) * q, (y[i + 2] + c) * q, (y[i + 3] + d) * q
            e, f, g, h = (y[i + 4] + e) * q, (y[i + 5] + f) * q, (y[i + 6] + g) * q, (y[i + 7] + h) * q
            y[i], y[i + 1], y[i + 2], y[i + 3] = a, b, c, d
            y[i + 4], y[i + 5], y[i + 6], y[i + 7] = e, f, g, h


solve_rows = _compiled(_solve_rows_loop)


def _scale_loop(leaks: FloatArray, x: FloatArray, out: FloatArray) -> None:
    """Fill in leaks (M, N) times x (M, N, B)."""
    M, N, B = x.shape
    if B == 1:
        for m in range(M):
            for n in range(N):
                out[m, n, 0] = leaks[m, n] * x[m, n, 0]
        return
    for m in range(M):
        for n in range(N):
            for b in range(B):
                out[m, n, b] = leaks[m, n] * x[m, n, b]


_scale = _compiled(_scale_loop)


def _less_scaled_loop(
    y: FloatArray, leaks: FloatArray, x: FloatArray, p: FloatArray, out: FloatArray, dots: FloatArray
) -> None:
    """Fill in y minus leaks (M, N) times x, and its inner products (B,) with p; x, y, p (M, N, B)."""
    M, N, B = x.shape
    line = np.zeros((N, B))
    if B == 1:
        for m in range(M):
            for n in range(N):
                out[m, n, 0] = y[m, n, 0] - leaks[m, n] * x[m, n, 0]
            for n in range(N):
                line[n, 0] += p[m, n, 0] * out[m, n, 0]
    else:
        for m in range(M):
            for n in range(N):
                for b in range(B):
                    out[m, n, b] = y[m, n, b] - leaks[m, n] * x[m, n, b]
            for n in range(N):
                for b in range(B):
                    line[n, b] += p[m, n, b] * out[m, n, b]
    dots[:] = 0.0
    for n in range(N):
        for b in range(B):
            dots[b] += line[n, b]


_less_scaled = _compiled(_less_scaled_loop)


def _add_times_loop(factors: FloatArray, x: FloatArray, y: FloatArray) -> None:
    """Add factors (N B,) times x (M, N B) to y."""
    for m in range(len(x)):
        for k in range(len(factors)):
            y[m, k] += factors[k] * x[m, k]


_add_times = _compiled(_add_times_loop)


def _times_add_loop(factors: FloatArray, x: FloatArray, y: FloatArray) -> None:
    """Turn y (M, N B) into factors (N B,) times y, plus x."""
    for m in range(len(x)):
        for k in range(len(factors)):
            y[m, k] = x[m, k] + factors[k] * y[m, k]


_times_add = _compiled(_times_add_loop)


def _step_loop(factors: FloatArray, p: FloatArray, w: FloatArray, r: FloatArray, z: FloatArray) -> None:
    """Add factors (N B,) times p (M, N B) to w, take factors times z from r, then copy r to z."""
    for m in range(len(p)):
        for k in range(len(factors)):
            w[m, k] += factors[k] * p[m, k]
        for k in range(len(factors)):
            r[m, k] -= factors[k] * z[m, k]
        for k in range(len(factors)):
            z[m, k] = r[m, k]


_step = _compiled(_step_loop)


def _sizes_loop(r: FloatArray, z: FloatArray, dots: FloatArray, largest: FloatArray) -> None:
    """Fill in the inner products (B,) of r and z (M, N B) and the largest magnitudes (B,) of z."""
    line, peak = np.zeros(z.shape[1]), np.zeros(z.shape[1])
    for m in range(len(z)):
        for k in range(len(line)):
            line[k] += r[m, k] * z[m, k]
        for k in range(len(peak)):
            size = abs(z[m, k])
            peak[k] = size if size > peak[k] else peak[k]
    B = len(dots)
    dots[:] = 0.0
    largest[:] = 0.0
    for k in range(len(line)):
        dots[k % B] += line[k]
        largest[k % B] = max(largest[k % B], peak[k])


_sizes = _compiled(_sizes_loop)


def _largest_loop(x: FloatArray, out: FloatArray) -> None:
    """Fill in the largest magnitudes (B,) of x (M, N B)."""
    line = np.zeros(x.shape[1])
    for m in range(len(x)):
        for k in range(len(line)):
            size = abs(x[m, k])
            line[k] = size if size > line[k] else line[k]
    B = len(out)
    out[:] = 0.0
    for k in range(len(line)):
        out[k % B] = max(out[k % B], line[k])


_largest = _compiled(_largest_loop)


def _device_sums_loop(g: FloatArray, u: FloatArray, w: FloatArray, out: FloatArray) -> None:
    """Fill in the amperes (N, B) that the devices of each column carry, of nodes u, w (M, N, B)."""
    M, N, B = u.shape
    out[:] = 0.0
    for m in range(M):
        for n in range(N):
            for b in range(B):
                out[n, b] += g[m, n] * (u[m, n, b] - w[m, n, b])


device_sums = _compiled(_device_sums_loop)


def _wanted_loop(
    g: FloatArray, u: FloatArray, w: FloatArray, held: BoolArray, siemens: float, part: float, out: FloatArray
) -> None:
    """Fill in the errors (B,) in volts that keep the outputs within a relative error of ``part``."""
    M, N, B = u.shape
    line = np.empty((N, B))
    device_sums(g, u, w, line)
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
    ends: FloatArray,
    held: BoolArray,
    siemens: float,
    part: float,
    keeps: float,
    most: int,
    thorough: bool,
    u: FloatArray,
    w: FloatArray,
    work: FloatArray,
    size: FloatArray,
    largest: FloatArray,
) -> int:
    """Fill in nodes u, w (M, N, B); return the iterations, -1 if they are too many.

    ``ends`` (4, lines, B) is what the left, right, top and bottom ends push, ``work`` (4, M, N, B) is scratch,
    ``size`` (B,) the last preconditioned residual, ``largest`` (B,) the largest voltage.
    """
    M, N, B = u.shape
    u2, w2 = u.reshape(M, N * B), w.reshape(M, N * B)
    r, z, p, cp = work[0], work[1], work[2], work[3]
    # rows are solved where u will be: few arrays leave more of them near the processor
    t = u
    r2, z2 = r.reshape(M, N * B), z.reshape(M, N * B)
    p2, cp2 = p.reshape(M, N * B), cp.reshape(M, N * B)
    one = np.ones(N * B)
    left, right, none = ends[0], ends[1], np.zeros((M, B))
    w[:] = 0.0
    solve_rows(row_leaks, w, left, right, row_pivots, u)
    _scale(column_leaks, u, w)
    for n in range(N):
        for b in range(B):
            w[0, n, b] += ends[2, n, b]
            w[M - 1, n, b] += ends[3, n, b]
    solve_columns(w, column_pivots)
    wanted, was, now = np.empty(B), np.empty(B), np.empty(B)
    _largest(u2, largest)
    _largest(w2, now)
    for b in range(B):
        largest[b] = max(largest[b], now[b])
    _wanted(g, u, w, held, siemens, part, wanted)
    solve_rows(row_leaks, w, none, none, row_pivots, t)
    _scale(column_leaks, t, r)
    z2[:] = r2
    solve_columns(z, column_pivots)
    p2[:] = z2
    cp2[:] = r2
    rz, pq, factor = np.empty(B), np.empty(B), np.empty(N * B)
    was[:] = np.inf
    _sizes(r2, z2, rz, size)
    for iteration in range(most + 1):
        done = True
        more = False
        for b in range(B):
            # what is not a number has no largest magnitude, but shows in the inner product
            done = done and keeps * size[b] <= wanted[b] and rz[b] == rz[b]
            more = more or (thorough and size[b] > 1.2e-16 * largest[b] and size[b] < 0.1 * was[b])
            was[b] = size[b]
        if done and not more:
            # u is what w alone gives, and w + z is what that u gives
            solve_rows(row_leaks, w, left, right, row_pivots, u)
            _add_times(one, z2, w2)
            _largest(u2, largest)
            _largest(w2, now)
            for b in range(B):
                largest[b] = max(largest[b], now[b])
            return iteration + 1
        solve_rows(row_leaks, p, none, none, row_pivots, t)
        _less_scaled(cp, column_leaks, t, p, z, pq)
        for k in range(N * B):
            b = k % B
            factor[k] = rz[b] / pq[b] if pq[b] > 0 else 0.0
        _step(factor, p2, w2, r2, z2)
        solve_columns(z, column_pivots)
        now[:] = rz
        _sizes(r2, z2, rz, size)
        for k in range(N * B):
            b = k % B
            factor[k] = rz[b] / now[b] if now[b] > 0 else 0.0
        _times_add(factor, z2, p2)
        _times_add(factor, r2, cp2)
    return -1


relax = _compiled(_relax_loop)
