"""Compiled arithmetic of the crossbar iteration: line solves, inner products and vector updates, by numba.

Importing this module loads numba. Each function is a plain loop, compiled after its definition; numba keeps the
compiled code on disk. `relax` runs the iteration of `hwlearn.circuit.crossbar.iteration` on these functions. Nodes
are arrays (M, N, B) of B samples. A single sample is solved with eight rows, or all columns, side by side. Many
samples are solved in blocks of eight, innermost in memory, so that the recurrences along the lines vectorise.

One file because numba notices changes only in the file of the function that it compiles.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import zlib
from typing import Any, NamedTuple

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.crossbar import iteration
from hwlearn.circuit.crossbar.iteration import (
    Goal,
    Nodes,
    floating_volts_wanted,
    is_finished,
    iteration_with,
    ratio,
    volts_wanted,
)
from hwlearn.compilation import compiled

for _shared in (floating_volts_wanted, is_finished, ratio, volts_wanted):
    importlib.import_module("numba").extending.register_jitable(_shared)


class CompiledLines(NamedTuple):
    """Rows and columns, eliminated from their last nodes to their first.

    Attributes
    ----------
    row_leaks, column_leaks : ndarray, shape (M, N)
        Ohms of a segment times siemens of each device.
    row_pivots, column_pivots : ndarray, shape (M, N)
        1 / pivot of each node.
    none : ndarray, shape (M, B)
        Zeros: the sources of rows whose ends are at 0 V.
    """

    row_leaks: FloatArray
    column_leaks: FloatArray
    row_pivots: FloatArray
    column_pivots: FloatArray
    none: FloatArray


class CompiledGoal(NamedTuple):
    """Values of a goal that are known before the first sweep.

    Attributes
    ----------
    bound : float
        Relative error of the outputs.
    held : ndarray of bool, shape (N,)
        Columns whose bottom ends are held.
    siemens : float
        See `iteration.volts_wanted`.
    error_factor, iterations, refine_to_rounding
        See `iteration.Goal`.
    """

    bound: float
    held: BoolArray
    siemens: float
    error_factor: float
    iterations: int
    refine_to_rounding: bool


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


pivots = compiled(_pivots_loop)


def _solve_columns_loop(lines: CompiledLines, x: FloatArray) -> None:
    """Fill in ``x = C^-1 x``, x (M, N, B)."""
    p = lines.column_pivots
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


solve_columns = compiled(_solve_columns_loop)


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


solve_rows = compiled(_solve_rows_loop)


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


_scale = compiled(_scale_loop)


def _curvature_loop(lines: CompiledLines, nodes: Nodes) -> FloatArray:
    """Fill in ``s = cp - G t`` and return its inner products (B,) with p."""
    leaks, t, p, cp, out = lines.column_leaks, nodes.t, nodes.p, nodes.cp, nodes.s
    M, N, B = t.shape
    line = np.zeros((N, B))
    if B == 1:
        for m in range(M):
            for n in range(N):
                out[m, n, 0] = cp[m, n, 0] - leaks[m, n] * t[m, n, 0]
            for n in range(N):
                line[n, 0] += p[m, n, 0] * out[m, n, 0]
    else:
        for m in range(M):
            for n in range(N):
                for b in range(B):
                    out[m, n, b] = cp[m, n, b] - leaks[m, n] * t[m, n, b]
            for n in range(N):
                for b in range(B):
                    line[n, b] += p[m, n, b] * out[m, n, b]
    dots = np.zeros(B)
    for n in range(N):
        for b in range(B):
            dots[b] += line[n, b]
    return dots


curvature = compiled(_curvature_loop)


def _repeated_loop(numbers: FloatArray, N: int) -> FloatArray:
    """Return the numbers (B,) of the samples for each node of a row, shape (N B,)."""
    B = len(numbers)
    factors = np.empty(N * B)
    for k in range(N * B):
        factors[k] = numbers[k % B]
    return factors


_repeated = compiled(_repeated_loop)


def _advance_loop(lines: CompiledLines, nodes: Nodes, alpha: FloatArray) -> None:
    """Add alpha p to w, take alpha s from r, then copy r to z; s is z, and u is left to `relax`."""
    M, N, B = nodes.p.shape
    p, w = nodes.p.reshape(M, N * B), nodes.w.reshape(M, N * B)
    r, z = nodes.r.reshape(M, N * B), nodes.z.reshape(M, N * B)
    factors = _repeated(alpha, N)
    for m in range(M):
        for k in range(N * B):
            w[m, k] += factors[k] * p[m, k]
        for k in range(N * B):
            r[m, k] -= factors[k] * z[m, k]
        for k in range(N * B):
            z[m, k] = r[m, k]


advance = compiled(_advance_loop)


def _turn_loop(lines: CompiledLines, nodes: Nodes, beta: FloatArray) -> None:
    """Turn p into z + beta p, and cp into r + beta cp."""
    M, N, B = nodes.p.shape
    factors = _repeated(beta, N)
    _times_add(factors, nodes.z.reshape(M, N * B), nodes.p.reshape(M, N * B))
    _times_add(factors, nodes.r.reshape(M, N * B), nodes.cp.reshape(M, N * B))


def _times_add_loop(factors: FloatArray, x: FloatArray, y: FloatArray) -> None:
    """Turn y (M, N B) into factors (N B,) times y, plus x."""
    for m in range(len(x)):
        for k in range(len(factors)):
            y[m, k] = x[m, k] + factors[k] * y[m, k]


_times_add = compiled(_times_add_loop)
turn = compiled(_turn_loop)


def _measure_loop(lines: CompiledLines, nodes: Nodes) -> tuple[FloatArray, FloatArray]:
    """Return the inner products (B,) of r and z, and the largest magnitudes (B,) of z."""
    M, N, B = nodes.z.shape
    r, z = nodes.r.reshape(M, N * B), nodes.z.reshape(M, N * B)
    line, peak = np.zeros(N * B), np.zeros(N * B)
    for m in range(M):
        for k in range(N * B):
            line[k] += r[m, k] * z[m, k]
        for k in range(N * B):
            size = abs(z[m, k])
            peak[k] = size if size > peak[k] else peak[k]
    dots, largest = np.zeros(B), np.zeros(B)
    for k in range(N * B):
        dots[k % B] += line[k]
        largest[k % B] = max(largest[k % B], peak[k])
    return dots, largest


measure = compiled(_measure_loop)


def _largest_loop(nodes: Nodes) -> FloatArray:
    """Return the largest magnitudes (B,) of u and w."""
    M, N, B = nodes.u.shape
    u, w = nodes.u.reshape(M, N * B), nodes.w.reshape(M, N * B)
    line, largest = np.zeros(N * B), np.zeros(B)
    for m in range(M):
        for k in range(N * B):
            size = abs(u[m, k])
            line[k] = size if size > line[k] else line[k]
        for k in range(N * B):
            size = abs(w[m, k])
            line[k] = size if size > line[k] else line[k]
    for k in range(N * B):
        largest[k % B] = max(largest[k % B], line[k])
    return largest


_largest = compiled(_largest_loop)


def _device_sums_loop(g: FloatArray, u: FloatArray, w: FloatArray, out: FloatArray) -> None:
    """Fill in the amperes (N, B) that the devices of each column carry, of nodes u, w (M, N, B)."""
    M, N, B = u.shape
    out[:] = 0.0
    for m in range(M):
        for n in range(N):
            for b in range(B):
                out[n, b] += g[m, n] * (u[m, n, b] - w[m, n, b])


device_sums = compiled(_device_sums_loop)


def _volts_wanted_loop(g: FloatArray, nodes: Nodes, goal: CompiledGoal) -> FloatArray:
    """Return the errors (B,) of any node, in volts, that keep the outputs within the bound."""
    u, w, held = nodes.u, nodes.w, goal.held
    M, N, B = u.shape
    line, wanted = np.empty((N, B)), np.empty(B)
    device_sums(g, u, w, line)
    for b in range(B):
        amperes, volts, floating = 0.0, 0.0, False
        for n in range(N):
            if held[n]:
                amperes = max(amperes, abs(line[n, b]))
            else:
                floating = True
                for m in range(M):
                    volts = max(volts, abs(w[m, n, b]))
        wanted[b] = volts_wanted(goal.bound, amperes, goal.siemens)
        if floating:
            wanted[b] = min(wanted[b], floating_volts_wanted(goal.bound, volts))
    return wanted


_volts_wanted = compiled(_volts_wanted_loop)


def _couple_loop(lines: CompiledLines, x: FloatArray, t: FloatArray) -> None:
    """Fill in ``t = A^-1 G x``."""
    solve_rows(lines.row_leaks, x, lines.none, lines.none, lines.row_pivots, t)


def _start_loop(lines: CompiledLines, nodes: Nodes) -> None:
    """Fill in ``r = G t`` and copy it to z; u waits for `_finish_loop`."""
    _scale(lines.column_leaks, nodes.t, nodes.r)
    _copy(nodes.r, nodes.z)


def _first_direction_loop(lines: CompiledLines, nodes: Nodes) -> None:
    """Fill in ``p = z`` and ``cp = r``."""
    _copy(nodes.z, nodes.p)
    _copy(nodes.r, nodes.cp)


def _copy_loop(x: FloatArray, y: FloatArray) -> None:
    """Copy x (M, N, B) to y."""
    M, N, B = x.shape
    x2, y2 = x.reshape(M, N * B), y.reshape(M, N * B)
    for m in range(M):
        for k in range(N * B):
            y2[m, k] = x2[m, k]


def _add_loop(x: FloatArray, y: FloatArray) -> None:
    """Add x (M, N, B) to y."""
    M, N, B = x.shape
    x2, y2 = x.reshape(M, N * B), y.reshape(M, N * B)
    for m in range(M):
        for k in range(N * B):
            y2[m, k] += x2[m, k]


def _every_loop(lines: CompiledLines, condition: BoolArray) -> bool:
    """Return whether a condition (B,) holds for all samples."""
    return bool(condition.all())


couple = compiled(_couple_loop)
start = compiled(_start_loop)
_add = compiled(_add_loop)
_copy = compiled(_copy_loop)
first_direction = compiled(_first_direction_loop)
every = compiled(_every_loop)
_iterate = compiled(iteration_with(sys.modules[__name__]))


def _sweep_ones_loop(
    lines_of: tuple[FloatArray, ...], ones: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the row sums of a sweep over the rows alone, of the columns alone, and of a sweep over both.

    Each has the shape of ``ones``, (M, N, 1). The sums of the columns are their nodes if all rows are at 1 V.
    """
    lines = CompiledLines(*lines_of)
    leaks = lines.column_leaks
    of_rows, of_columns, of_sweep = np.empty(ones.shape), np.empty(ones.shape), np.empty(ones.shape)
    couple(lines, ones, of_rows)
    _scale(leaks, ones, of_columns)
    solve_columns(lines, of_columns)
    _scale(leaks, of_rows, of_sweep)
    solve_columns(lines, of_sweep)
    return of_rows, of_columns, of_sweep


sweep_ones = compiled(_sweep_ones_loop)


def _relax_of(version: int) -> Any:
    """Return the compiled iteration; numba stores it under a key that includes the version."""

    # plain tuples of arrays: numba takes much longer to recognise a named one
    def relax(
        g: FloatArray,
        lines_of: tuple[FloatArray, ...],
        ends: FloatArray,
        goal_of: tuple[Any, ...],
        nodes_of: FloatArray,
        work: FloatArray,
    ) -> tuple[int, FloatArray, FloatArray]:
        """Fill in the nodes.

        Parameters
        ----------
        g : ndarray, shape (M, N)
            Siemens of the devices.
        lines_of : tuple
            What `CompiledLines` takes.
        ends : ndarray, shape (4, lines, B)
            Sources at left, right, top and bottom ends: held volts, and injected amperes times ohms of a segment.
        goal_of : tuple
            What `CompiledGoal` takes.
        nodes_of : ndarray, shape (2, M, N, B)
            u and w.
        work : ndarray, shape (4, M, N, B)
            Scratch.

        Returns
        -------
        (int, ndarray, ndarray)
            Iterations, -1 if too many; largest magnitude (B,) of the last z, and largest voltage (B,), in volts.
        """
        _ = version
        lines, goal = CompiledLines(*lines_of), CompiledGoal(*goal_of)
        M, N = g.shape
        left, right, top, bottom = ends[0, :M], ends[1, :M], ends[2, :N], ends[3, :N]
        u, w, z = nodes_of[0], nodes_of[1], work[1]
        # t shares memory with u, and s with z: few arrays leave more of them in the processor's cache
        nodes = Nodes(u, w, u, work[0], z, z, work[2], work[3])
        w.reshape(M, -1)[:] = 0.0
        solve_rows(lines.row_leaks, w, left, right, lines.row_pivots, u)
        _scale(lines.column_leaks, u, w)
        w[0] += top
        w[-1] += bottom
        solve_columns(lines, w)
        wanted = _volts_wanted(g, nodes, goal)
        limits = Goal(wanted, _largest(nodes), goal.error_factor, goal.iterations, goal.refine_to_rounding)
        iterations, size = _iterate(lines, nodes, limits)
        solve_rows(lines.row_leaks, w, left, right, lines.row_pivots, u)
        _add(z, w)
        return iterations, size, _largest(nodes)

    return compiled(relax)


# numba notices changes of this file only, and the iteration is in another one
relax = _relax_of(zlib.crc32(inspect.getsource(iteration).encode()))
