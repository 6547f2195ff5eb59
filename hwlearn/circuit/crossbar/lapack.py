"""The crossbar iteration in LAPACK, one sample after another: for short lines with their default ends held.

All rows are one tridiagonal matrix with zeros between them, and so are all columns.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from scipy.linalg.blas import daxpy, idamax
from scipy.linalg.lapack import dpttrf, dpttrs

from hwlearn.arrays import FloatArray
from hwlearn.circuit.crossbar.iteration import (
    REFINED_SIZE,
    Contraction,
    Goal,
    Nodes,
    iteration_with,
    max_iterations,
    volts_wanted,
)
from hwlearn.circuit.crossbar.lines import chain_factors
from hwlearn.circuit.crossbar.problem import Answer, Problem, whole

_MAX_LENGTH: Final = 400
"""Nodes of a line up to which LAPACK's sweeps are cheaper than those of `relaxation`."""
_MAX_FACTORED_LENGTH: Final = 150
"""Nodes of a line up to which LAPACK factors it: that takes less time, but its rounding grows as their square."""
_MAX_WORK: Final = 1024
"""Samples times nodes of a line up to which LAPACK is cheaper."""
_MAX_STRENGTH: Final = 6.0


def suits_lapack(problem: Problem) -> bool:
    """Return whether `relax_by_vector` takes a crossbar and is faster: default ends, short lines, few samples."""
    rows, columns = problem.rows, problem.columns
    longest = max(problem.g.shape)
    return (
        problem.row_ohms > 0
        and problem.column_ohms > 0
        and problem.g.size > 1
        and longest <= _MAX_LENGTH
        and problem.samples * longest < _MAX_WORK
        and bool(rows.first_held.all() and columns.last_held.all())
        and not (rows.last_held.any() or columns.first_held.any())
    )


def relax_by_vector(problem: Problem, bound: float) -> Answer | None:
    """Return node voltages that meet a relative error of the outputs; None if that takes too many iterations."""
    (M, N), S = problem.g.shape, problem.samples
    rows, columns = _strengths(problem)
    if not (rows < _MAX_STRENGTH and columns < _MAX_STRENGTH):
        return None
    contraction = Contraction.from_strengths(rows, columns)
    error_factor, most, refine = contraction.error_factor, max_iterations(problem), M * N <= REFINED_SIZE
    chains = factor_chains(problem)
    # the column's own equations hold, and its wires pass on a device's current in part at most
    siemens = problem.g.sum(axis=0)
    most_siemens = float(siemens.max())
    U, W, error = np.empty((S, M, N)), np.empty((S, N, M)), np.empty(S)
    t, (r, s, z, p, cp) = chains.t.ravel(), np.empty((5, M * N))
    count = 0
    for k in range(S):
        nodes = Nodes(U[k].ravel(), W[k].ravel(), t, r, s, z, p, cp)
        left, bottom = problem.rows.first[k], problem.columns.last[k]
        chains.first_sweep(nodes, left, bottom)
        largest = max(float(np.abs(left).max()), float(np.abs(bottom).max()))
        # the first sweep's currents are within q of the last one's
        amperes = float(np.abs(W[k, :, -1] - bottom).max()) / problem.column_ohms
        wanted = volts_wanted(bound, amperes, most_siemens)
        if contraction.volts_error(0.0, largest, chains.roundings) > 4.0 * wanted:
            return None
        iterations, size = _iterate(chains, nodes, Goal(wanted, largest, error_factor, most, refine))
        if iterations < 0:
            return None
        w = nodes.w
        w += nodes.z
        count = max(count, iterations)
        error[k] = contraction.volts_error(size, largest, chains.roundings)
    u_nodes, w_nodes = U.transpose(1, 2, 0), W.transpose(2, 1, 0)
    if not (siemens * problem.column_ohms <= 1.0).all():
        return whole(problem, u_nodes, w_nodes, error, "relaxation", count, siemens)
    # as `column_currents` computes them from the devices, here along memory
    currents = np.einsum("nm,snm->sn", chains.gT, U.transpose(0, 2, 1) - W)
    return Answer((u_nodes,), (w_nodes,), currents, error, "relaxation", count, siemens)


class Chains(NamedTuple):
    """Factored rows and columns, with the operations of the iteration on one sample.

    Nodes u and t are flat (M N,), row after row; the others are flat (N M,), column after column.

    Attributes
    ----------
    gT : ndarray, shape (N, M)
        Siemens of the devices, column after column.
    row_leaks, column_leaks : ndarray, shape (M, N) and (N, M)
        Ohms of a segment times siemens.
    rows, columns : (ndarray, ndarray)
        Factors d, e as ``pttrs`` takes them.
    t : ndarray, shape (M, N)
        Scratch, the node vector t of every sample.
    roundings : float
        Relative error of a sweep, in units of `problem.ROUNDING`.
    """

    gT: FloatArray
    row_leaks: FloatArray
    column_leaks: FloatArray
    rows: tuple[FloatArray, FloatArray]
    columns: tuple[FloatArray, FloatArray]
    t: FloatArray
    roundings: float

    def first_sweep(self, nodes: Nodes, left: FloatArray, bottom: FloatArray) -> None:
        """Solve u for the volts (M,) at the left ends, and w for that u and the volts (N,) at the bottom ends."""
        u, w = nodes.u.reshape(self.t.shape), nodes.w.reshape(self.gT.shape)
        u[:] = 0.0
        u[:, 0] = left
        dpttrs(*self.rows, nodes.u, overwrite_b=1)
        np.multiply(self.column_leaks, u.T, out=w)
        w[:, -1] += bottom
        dpttrs(*self.columns, nodes.w, overwrite_b=1)

    def couple(self, x: FloatArray, t: FloatArray) -> None:
        """Fill in ``t = A^-1 G x``."""
        np.multiply(self.row_leaks, x.reshape(self.gT.shape).T, out=self.t)
        dpttrs(*self.rows, t, overwrite_b=1)

    def start(self, nodes: Nodes) -> None:
        """Fill in ``u += t``, ``r = G t`` and ``z = r``."""
        u = nodes.u
        u += nodes.t
        self._leak(nodes.r)
        np.copyto(nodes.z, nodes.r)

    def solve_columns(self, x: FloatArray) -> None:
        """Fill in ``x = C^-1 x``."""
        dpttrs(*self.columns, x, overwrite_b=1)

    def measure(self, nodes: Nodes) -> tuple[float, float]:
        """Return ``r.z`` and the largest magnitude of z."""
        z = nodes.z
        return float(nodes.r @ z), abs(float(z[idamax(z)]))

    def curvature(self, nodes: Nodes) -> float:
        """Fill in ``s = cp - G t`` and return ``p.s``."""
        s = nodes.s
        self._leak(s)
        np.subtract(nodes.cp, s, out=s)
        return float(nodes.p @ s)

    def advance(self, nodes: Nodes, alpha: float) -> None:
        """Fill in ``w += alpha p``, ``u += alpha t``, ``r -= alpha s`` and ``z = r``."""
        # daxpy adds in place
        daxpy(nodes.p, nodes.w, a=alpha)
        daxpy(nodes.t, nodes.u, a=alpha)
        daxpy(nodes.s, nodes.r, a=-alpha)
        np.copyto(nodes.z, nodes.r)

    def first_direction(self, nodes: Nodes) -> None:
        """Fill in ``p = z`` and ``cp = r``."""
        np.copyto(nodes.p, nodes.z)
        np.copyto(nodes.cp, nodes.r)

    def turn(self, nodes: Nodes, beta: float) -> None:
        """Fill in ``p = z + beta p`` and ``cp = r + beta cp``."""
        p, cp = nodes.p, nodes.cp
        p *= beta
        p += nodes.z
        cp *= beta
        cp += nodes.r

    def every(self, condition: bool) -> bool:
        """Return whether a condition holds for all samples."""
        return condition

    def _leak(self, out: FloatArray) -> None:
        """Fill in ``G t``."""
        np.multiply(self.column_leaks, self.t.T, out=out.reshape(self.gT.shape))


_iterate: Final = iteration_with(Chains)


def factor_chains(problem: Problem) -> Chains:
    """Return the factored rows and columns of a crossbar."""
    M, N = problem.g.shape
    gT = np.ascontiguousarray(problem.g.T)
    row_leaks, column_leaks = problem.row_ohms * problem.g, problem.column_ohms * gT
    if max(M, N) > _MAX_FACTORED_LENGTH:
        rows = chain_factors(problem.row_ohms * gT, True, False)
        columns = chain_factors(problem.column_ohms * problem.g, False, True)
        return Chains(gT, row_leaks, column_leaks, rows, columns, np.empty((M, N)), 4 * (M + N))
    rows, columns = _factored(row_leaks, -1), _factored(column_leaks, 0)
    return Chains(gT, row_leaks, column_leaks, rows, columns, np.empty((M, N)), max(M, N) ** 2 + 4 * (M + N))


def _factored(leaks: FloatArray, floating: int) -> tuple[FloatArray, FloatArray]:
    """Return LAPACK's factors d, e of lines with leaks (K, L) whose node ``floating`` is an open end."""
    K, L = leaks.shape
    diagonal = leaks + 2.0
    diagonal[:, floating] -= 1.0
    off = np.full(K * L - 1, -1.0)
    off[L - 1 :: L] = 0.0
    d, e, _ = dpttrf(diagonal.ravel(), off, overwrite_d=1, overwrite_e=1)
    return d, e


def _strengths(problem: Problem) -> tuple[float, float]:
    """Return the strengths of rows and columns; see `Contraction.from_strengths`."""
    M, N = problem.g.shape
    rows = float((problem.g @ np.arange(1.0, N + 1)).max())
    columns = float((np.arange(float(M), 0.0, -1) @ problem.g).max())
    return problem.row_ohms * rows, problem.column_ohms * columns
