"""The iteration of `hwlearn.circuit.crossbar.relaxation`, compiled by numba (extra ``fast``).

Import this file only where numba is installed: importing it loads numba. Blocks of vectors are shared out to
threads.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np

from hwlearn.circuit.crossbar.kernels import device_sums, pivots, relax, solve_columns, solve_rows
from hwlearn.circuit.crossbar.lines import by_devices
from hwlearn.circuit.crossbar.problem import ROUNDING, Answer, Problem, column_currents
from hwlearn.circuit.crossbar.relaxation import BELOW_BOUND, HOPELESS, SMALL, iterations_worth

_BLOCK: Final = 8
_THREADED: Final = 1 << 15
"""Nodes times samples from which on starting threads is worth it."""


def suits(problem: Problem) -> bool:
    """Tell whether `relax_compiled` takes a crossbar: one whose lines all have resistance."""
    return problem.row_ohms > 0 and problem.column_ohms > 0


def relax_compiled(problem: Problem, bound: float) -> Answer | None:
    """Return what `hwlearn.circuit.crossbar.relaxation.relax` does."""
    g = problem.g
    M, N = g.shape
    S = problem.samples
    rows, columns = problem.rows, problem.columns
    row_leaks = problem.row_ohms * g
    column_leaks = row_leaks if problem.column_ohms == problem.row_ohms else problem.column_ohms * g
    turned, column_pivots = np.empty((N, M)), np.empty((M, N))
    pivots(np.ascontiguousarray(row_leaks.T), rows.first_held, rows.last_held, turned)
    pivots(column_leaks, columns.first_held, columns.last_held, column_pivots)
    row_pivots = np.ascontiguousarray(turned.T)
    ones, none = np.ones((M, N, 1)), np.zeros((M, 1))
    solve_rows(row_leaks, ones.copy(), none, none, row_pivots, ones)
    q_row = float(ones.max())
    ones *= column_leaks[:, :, None]
    solve_columns(ones, column_pivots)
    q = float(ones.max())
    most = iterations_worth(problem)
    if not (q < HOPELESS and math.isfinite(q_row)) or 3.0 / math.sqrt(1.0 - q) > 4 * most:
        return None
    keeps = (q + min(q_row, 1.0)) / (1.0 - q)
    held = columns.last_held
    ones[:, :, 0] = column_leaks
    solve_columns(ones, column_pivots)
    siemens = ones[-1, :, 0] / problem.column_ohms
    most_siemens = float(siemens[held].max(initial=0.0))
    # a block costs what three vectors cost
    B = _BLOCK if S >= 4 else 1
    blocks = -(-S // B)
    threads = min(_cores(), blocks) if g.size * S >= _THREADED else 1
    U, W = np.empty((blocks, M, N, B)), np.empty((blocks, M, N, B))
    ends = np.zeros((blocks, B, 4, max(M, N)))
    flat = ends.reshape(blocks * B, 4, max(M, N))[:S]
    flat[:, 0, :M] = rows.first
    flat[:, 1, :M] = rows.last
    flat[:, 2, :N] = columns.first
    flat[:, 3, :N] = columns.last + problem.column_ohms * columns.injected
    size, largest = np.empty((blocks, B)), np.empty((blocks, B))
    currents = np.empty((S, N))
    simple = bool(held.all() and not columns.first_held.any() and by_devices(g, problem.column_ohms).all())

    def run(start: int) -> int:
        work, sums = np.empty((4, M, N, B)), np.empty((N, B))
        worst = 0
        for k in range(start, blocks, threads):
            count: int = relax(
                g,
                row_leaks,
                column_leaks,
                row_pivots,
                column_pivots,
                np.ascontiguousarray(ends[k].transpose(1, 2, 0)),
                held,
                most_siemens,
                0.5 * BELOW_BOUND * bound,
                keeps,
                most,
                M * N <= SMALL,
                U[k],
                W[k],
                work,
                size[k],
                largest[k],
            )
            if count < 0:
                return -1
            worst = max(worst, count)
            samples = slice(k * B, min(k * B + B, S))
            few = samples.stop - samples.start
            if simple:
                device_sums(g, U[k], W[k], sums)
                currents[samples] = sums.T[:few]
            else:
                u, w = U[k, :, :, :few], W[k, :, :, :few]
                currents[samples] = column_currents(problem.of(samples), u, w)
        return worst

    if threads == 1:
        counts = [run(0)]
    else:
        with ThreadPoolExecutor(threads) as pool:
            counts = list(pool.map(run, range(threads)))
    if min(counts) < 0:
        return None
    error = (keeps * size + 2.0 * ROUNDING * (M + N) / (1.0 - q) * largest).ravel()[:S]
    return Answer(
        tuple(U[k, :, :, : S - k * B] for k in range(blocks)),
        tuple(W[k, :, :, : S - k * B] for k in range(blocks)),
        currents,
        error,
        "relaxation",
        max(counts),
        siemens,
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
