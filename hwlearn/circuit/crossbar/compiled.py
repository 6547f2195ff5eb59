"""The crossbar iteration compiled by numba (extra ``fast``), on all cores.

Importing this module loads numba. Blocks of samples are distributed over threads.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.crossbar.iteration import REFINED_SIZE, Contraction, max_iterations
from hwlearn.circuit.crossbar.kernels import (
    CompiledGoal,
    CompiledLines,
    device_sums,
    pivots,
    relax,
    sweep_ones,
)
from hwlearn.circuit.crossbar.lines import by_devices
from hwlearn.circuit.crossbar.problem import Answer, Problem, column_currents
from hwlearn.compilation import cores

_BLOCK: Final = 8
_THREADED: Final = 1 << 15
"""Nodes times samples from which on starting threads saves time."""


def relax_compiled(problem: Problem, bound: float) -> Answer | None:
    """Return node voltages that meet a relative error of the outputs; None if that takes too many iterations."""
    (M, N), S = problem.g.shape, problem.samples
    # a block costs as much as three single samples
    B = _BLOCK if S >= 4 else 1
    lines = _factored(problem, B)
    of_rows, of_columns, of_sweep = sweep_ones(tuple(lines), np.ones((M, N, 1)))
    bounds = Contraction(float(of_rows.max()), float(of_sweep.max()))
    if not bounds.allows(max_iterations(problem)):
        return None
    siemens = of_columns[-1, :, 0] / problem.column_ohms
    held = problem.columns.last_held
    goal = CompiledGoal(
        bound,
        held,
        float(siemens[held].max(initial=0.0)),
        bounds.error_factor,
        max_iterations(problem),
        M * N <= REFINED_SIZE,
    )
    blocks = _Blocks.of(problem, B)
    threads = min(cores(), len(blocks.nodes)) if M * N * S >= _THREADED else 1
    if threads == 1:
        counts = [blocks.relax(problem, lines, goal, 0, 1)]
    else:
        with ThreadPoolExecutor(threads) as pool:
            counts = list(
                pool.map(lambda first: blocks.relax(problem, lines, goal, first, threads), range(threads))
            )
    if min(counts) < 0:
        return None
    error = bounds.volts_error(blocks.size, blocks.largest, 2 * (M + N)).ravel()[:S]
    return Answer(
        tuple(blocks.nodes[k, 0, :, :, : S - k * B] for k in range(len(blocks.nodes))),
        tuple(blocks.nodes[k, 1, :, :, : S - k * B] for k in range(len(blocks.nodes))),
        blocks.currents,
        error,
        "relaxation",
        max(counts),
        siemens,
    )


class _Blocks(NamedTuple):
    """Samples of a problem in K blocks of B; the last one is filled up with zeros.

    Attributes
    ----------
    ends : ndarray, shape (K, B, 4, lines)
        Sources at left, right, top and bottom ends: held volts, and injected amperes times ohms of a segment.
    nodes : ndarray, shape (K, 2, M, N, B)
        Volts of the nodes of rows and of columns.
    size, largest : ndarray, shape (K, B)
        Largest magnitude of the last update, and largest voltage.
    currents : ndarray, shape (S, N)
        Amperes out of the columns.
    """

    ends: FloatArray
    nodes: FloatArray
    size: FloatArray
    largest: FloatArray
    currents: FloatArray

    @classmethod
    def of(cls, problem: Problem, B: int) -> _Blocks:
        """Return the blocks of a problem, their nodes not solved yet."""
        (M, N), S = problem.g.shape, problem.samples
        K = -(-S // B)
        ends = np.zeros((K, B, 4, max(M, N)))
        flat = ends.reshape(K * B, 4, max(M, N))[:S]
        flat[:, 0, :M] = problem.rows.first
        flat[:, 1, :M] = problem.rows.last
        flat[:, 2, :N] = problem.columns.first
        flat[:, 3, :N] = problem.columns.last + problem.column_ohms * problem.columns.injected
        nodes = np.empty((K, 2, M, N, B))
        return cls(ends, nodes, np.empty((K, B)), np.empty((K, B)), np.empty((S, N)))

    def relax(self, problem: Problem, lines: CompiledLines, goal: CompiledGoal, first: int, step: int) -> int:
        """Solve every ``step``-th block from ``first`` on; return the most iterations, -1 if too many."""
        K, _, M, N, B = self.nodes.shape
        work, sums, count = np.empty((4, M, N, B)), np.empty((N, B)), 0
        by_sums = _currents_are_device_sums(problem)
        lines_of, goal_of = tuple(lines), tuple(goal)
        for k in range(first, K, step):
            nodes = self.nodes[k]
            ends = np.ascontiguousarray(self.ends[k].transpose(1, 2, 0))
            iterations, self.size[k], self.largest[k] = relax(problem.g, lines_of, ends, goal_of, nodes, work)
            if iterations < 0:
                return -1
            count = max(count, iterations)
            samples = slice(k * B, min(k * B + B, problem.samples))
            few = samples.stop - samples.start
            if by_sums:
                device_sums(problem.g, nodes[0], nodes[1], sums)
                self.currents[samples] = sums.T[:few]
            else:
                self.currents[samples] = column_currents(problem.of(samples), *nodes[..., :few])
        return count


def _factored(problem: Problem, B: int) -> CompiledLines:
    """Return the factored lines of a crossbar for blocks of B samples."""
    M, N = problem.g.shape
    rows, columns = problem.rows, problem.columns
    row_leaks = problem.row_ohms * problem.g
    same = problem.column_ohms == problem.row_ohms
    column_leaks = row_leaks if same else problem.column_ohms * problem.g
    turned, column_pivots = np.empty((N, M)), np.empty((M, N))
    pivots(np.ascontiguousarray(row_leaks.T), rows.first_held, rows.last_held, turned)
    pivots(column_leaks, columns.first_held, columns.last_held, column_pivots)
    return CompiledLines(row_leaks, column_leaks, np.ascontiguousarray(turned.T), column_pivots, np.zeros((M, B)))


def _currents_are_device_sums(problem: Problem) -> bool:
    """Return whether the current out of every column is the sum of its devices' currents to full precision."""
    columns = problem.columns
    return bool(
        columns.last_held.all()
        and not columns.first_held.any()
        and by_devices(problem.g, problem.column_ohms).all()
    )
