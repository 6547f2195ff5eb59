"""The crossbar iteration in numpy: node by node along the lines, all lines and a block of samples at once."""

from __future__ import annotations

from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.crossbar.iteration import (
    REFINED_SIZE,
    Contraction,
    Goal,
    Nodes,
    floating_volts_wanted,
    iteration_with,
    max_iterations,
    volts_wanted,
)
from hwlearn.circuit.crossbar.lines import Ends, IdealLines, Lines, WireLines
from hwlearn.circuit.crossbar.problem import Answer, Problem, joined, whole

_BLOCK_NODES: Final = 1 << 21
"""Nodes times samples that are swept together: larger blocks take less time per node, and more memory."""


def relax(problem: Problem, bound: float) -> Answer | None:
    """Return node voltages that meet a relative error of the outputs; None if that takes too many iterations."""
    lines = _BlockLines(problem)
    contraction = lines.contraction()
    if not contraction.allows(max_iterations(problem)):
        return None
    siemens = lines.output_siemens(problem)
    samples = max(1, _BLOCK_NODES // problem.g.size)
    parts = []
    for start in range(0, problem.samples, samples):
        part = problem.of(slice(start, start + samples))
        nodes = lines.first_sweep(part)
        largest = _largest(nodes)
        goal = Goal(
            _volts_wanted(part, bound, nodes, siemens),
            largest,
            contraction.error_factor,
            max_iterations(problem),
            part.g.size <= REFINED_SIZE,
        )
        iterations, size = _iterate(lines, nodes, goal)
        if iterations < 0:
            return None
        w = nodes.w
        w += nodes.z
        error = contraction.volts_error(size, _largest(nodes), 2 * sum(part.g.shape))
        parts.append(whole(part, nodes.u, nodes.w, error, "relaxation", iterations, siemens))
    return joined(parts)


class _BlockLines:
    """Rows and columns of a crossbar, with the operations of the iteration on nodes (M, N, S).

    Rows are solved along their nodes, so u and t are views of arrays (N, M, S).
    """

    def __init__(self, problem: Problem) -> None:
        self.rows = _lines(problem.g.T, problem.row_ohms, problem.rows)
        self.columns = _lines(problem.g, problem.column_ohms, problem.columns)
        self.row_leaks = self.rows.leaks.T[:, :, None]
        self.column_leaks = self.columns.leaks[:, :, None]

    def contraction(self) -> Contraction:
        """Return the bounds that a sweep over ones shows."""
        ones = np.array(self.row_leaks.swapaxes(0, 1))
        self.rows.solve(ones)
        of_rows = float(ones.max())
        ones = self.column_leaks * ones.swapaxes(0, 1)
        self.columns.solve(ones)
        return Contraction(of_rows, float(ones.max()))

    def output_siemens(self, problem: Problem) -> FloatArray:
        """Return the change (N,) of each column's current per volt of error on all rows."""
        if not problem.column_ohms:
            return np.asarray(problem.g.sum(axis=0))
        ones = np.array(self.column_leaks)
        self.columns.solve(ones)
        return np.asarray(ones[-1, :, 0] / problem.column_ohms)

    def first_sweep(self, problem: Problem) -> Nodes:
        """Return nodes with u solved for the rows' sources alone, w for the columns' sources and that u."""
        (M, N), S = problem.g.shape, problem.samples
        row_u = self.rows.drive(problem.rows)
        self.rows.solve(row_u)
        self.rows.hold(row_u, problem.rows)
        u, t = row_u.swapaxes(0, 1), np.empty((N, M, S)).swapaxes(0, 1)
        r, s = np.empty((M, N, S)), np.empty((M, N, S))
        w = self.columns.drive(problem.columns)
        np.multiply(self.column_leaks, u, out=r)
        w += r
        self.columns.solve(w)
        self.columns.hold(w, problem.columns)
        return Nodes(u, w, t, r, s, *(np.empty((M, N, S)) for _ in range(3)))

    def couple(self, x: FloatArray, t: FloatArray) -> None:
        """Fill in ``t = A^-1 G x``."""
        np.multiply(self.row_leaks, x, out=t)
        self.rows.solve(t.swapaxes(0, 1))

    def start(self, nodes: Nodes) -> None:
        """Fill in ``u += t``, ``r = G t`` and ``z = r``."""
        u = nodes.u
        u += nodes.t
        np.multiply(self.column_leaks, nodes.t, out=nodes.r)
        np.copyto(nodes.z, nodes.r)

    def solve_columns(self, x: FloatArray) -> None:
        """Fill in ``x = C^-1 x``."""
        self.columns.solve(x)

    def measure(self, nodes: Nodes) -> tuple[FloatArray, FloatArray]:
        """Return ``r.z`` and the largest magnitude of z."""
        return _dots(nodes.r, nodes.z), np.abs(nodes.z).max(axis=(0, 1))

    def curvature(self, nodes: Nodes) -> FloatArray:
        """Fill in ``s = cp - G t`` and return ``p.s``."""
        s = nodes.s
        np.multiply(self.column_leaks, nodes.t, out=s)
        np.subtract(nodes.cp, s, out=s)
        return _dots(nodes.p, s)

    def advance(self, nodes: Nodes, alpha: FloatArray) -> None:
        """Fill in ``w += alpha p``, ``u += alpha t``, ``r -= alpha s`` and ``z = r``."""
        u, w, t, r, s, z, p, _ = nodes
        np.multiply(alpha, p, out=z)
        w += z
        t *= alpha
        u += t
        s *= alpha
        r -= s
        np.copyto(z, r)

    def first_direction(self, nodes: Nodes) -> None:
        """Fill in ``p = z`` and ``cp = r``."""
        np.copyto(nodes.p, nodes.z)
        np.copyto(nodes.cp, nodes.r)

    def turn(self, nodes: Nodes, beta: FloatArray) -> None:
        """Fill in ``p = z + beta p`` and ``cp = r + beta cp``."""
        p, cp = nodes.p, nodes.cp
        p *= beta
        p += nodes.z
        cp *= beta
        cp += nodes.r

    def every(self, condition: BoolArray) -> bool:
        """Return whether a condition holds for all samples."""
        return bool(np.all(condition))


_iterate: Final = iteration_with(_BlockLines)


def _volts_wanted(problem: Problem, bound: float, nodes: Nodes, siemens: FloatArray) -> FloatArray:
    """Return the error (S,) of any node, in volts, that keeps the outputs within the bound."""
    held = problem.columns.last_held
    wanted = np.full(problem.samples, np.inf)
    if held.any():
        # the difference of sums, not the sum of differences: an array of all drops would be the largest of all
        amperes = np.einsum("mn,mns->ns", problem.g, nodes.u) - np.einsum("mn,mns->ns", problem.g, nodes.w)
        wanted = volts_wanted(bound, np.abs(amperes[held]).max(axis=0), float(siemens[held].max()))
    if not held.all():
        volts = np.abs(nodes.w[:, ~held]).max(axis=(0, 1))
        wanted = np.minimum(wanted, floating_volts_wanted(bound, volts))
    return wanted


def _largest(nodes: Nodes) -> FloatArray:
    return np.asarray(np.maximum(np.abs(nodes.u).max(axis=(0, 1)), np.abs(nodes.w).max(axis=(0, 1))))


def _dots(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("mns,mns->s", a, b))


def _lines(g: FloatArray, ohms: float, ends: Ends) -> Lines:
    return WireLines(g, ohms, ends) if ohms else IdealLines(g, ends)
