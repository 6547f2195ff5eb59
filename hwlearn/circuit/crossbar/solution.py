"""Crossbar arrays with resistive lines: node voltages, column currents and their exact gradient.

Every device connects its row node to its column node. By default a source drives each row at its left end, through
one segment of wire before the first device, and each column is grounded at its bottom end, through one segment
after the last device. Each of the four ends of a row and a column can be held at a voltage or float.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.batches import batch
from hwlearn.circuit.crossbar.ends import held_ends
from hwlearn.circuit.crossbar.lines import Ends, end_currents
from hwlearn.circuit.crossbar.problem import Answer, Problem
from hwlearn.circuit.crossbar.solvers import solve_problem
from hwlearn.errors import CircuitError

DEFAULT_ERROR_BOUND: Final = 1e-10
"""Default of the relative error of the outputs that `solve_crossbar` guarantees."""


@dataclass(frozen=True, eq=False)
class CrossbarSolution:
    """Currents and voltages of a solved crossbar.

    Attributes
    ----------
    column_currents : ndarray, shape (S, N)
        Amperes out of the bottom end of each column into its source; at a floating bottom end, minus the injected
        current.
    column_voltages : ndarray, shape (S, N)
        Volts at the bottom ends, after the last segment.
    estimated_error : float
        Estimated relative error of the outputs, the largest of all samples. Column currents are compared with the
        sample's largest column current, voltages of floating columns with the largest of these. Where signed
        voltages cancel, outputs are compared with the outputs for the magnitudes of the voltages.
    method : str
        ``relaxation`` (conjugate gradients), ``factor`` (sparse factor) or both.
    iterations : int
        Number of iterations or refinements.
    """

    column_currents: FloatArray
    column_voltages: FloatArray
    estimated_error: float
    method: str
    iterations: int
    _parts: tuple[tuple[IntArray | slice, Problem, Answer], ...] = field(repr=False)

    @cached_property
    def row_nodes(self) -> FloatArray:
        """Volts (S, M, N) on the row side of each device."""
        return self._gather([answer.row_blocks for _, _, answer in self._parts])

    @cached_property
    def column_nodes(self) -> FloatArray:
        """Volts (S, M, N) on the column side of each device."""
        return self._gather([answer.column_blocks for _, _, answer in self._parts])

    @cached_property
    def row_currents(self) -> FloatArray:
        """Amperes (S, M) from the source at the left end of each row; zero if that end floats."""
        M = len(self._parts[0][1].g)
        currents = np.empty((len(self.column_currents), M))
        for samples, problem, answer in self._parts:
            u = answer.row_nodes.swapaxes(0, 1)[::-1]
            drops = answer.column_nodes.swapaxes(0, 1)[::-1] - u
            ends = problem.rows
            turned = Ends(ends.last_held, ends.first_held, ends.last, ends.first, np.zeros_like(ends.last))
            currents[samples] = -end_currents(problem.g.T[::-1], drops, u, problem.row_ohms, turned)
        return currents

    def gradient(self, error: ArrayLike) -> FloatArray:
        """Return the exact gradient dC/dg (M, N) of every device, mean over the batch.

        Parameters
        ----------
        error : array_like, shape (S, N)
            dC/d(column current) of each sample; for columns with floating bottom ends, dC/d(column voltage).

        Raises
        ------
        CircuitError
            If the shape is wrong, a value is not finite, or the batch is empty.
        SingularCircuitError
            If double precision cannot resolve the adjoint voltages.

        Notes
        -----
        ``dC/dg = -(lam_row - lam_column) (u - w)`` with the adjoint voltages lam: all sources at 0 V,
        the errors as voltages at held bottom ends and as injected currents at floating ones.
        """
        S, N = self.column_currents.shape
        e = _numbers(error, N, "error")
        if len(e) != S:
            raise CircuitError(f"error has {len(e)} samples, the solution has {S}")
        if not S:
            raise CircuitError("no samples: the mean gradient over an empty batch does not exist")
        total = np.zeros(self._parts[0][1].g.shape)
        for samples, problem, answer in self._parts:
            part = e[samples]
            zero = np.zeros_like(problem.rows.first)
            none = np.zeros_like(part)
            back = Problem(
                problem.g,
                problem.row_ohms,
                problem.column_ohms,
                problem.rows.driven(zero, zero, zero),
                problem.columns.driven(none, part, part),
            )
            adjoint, _ = solve_problem(back, DEFAULT_ERROR_BOUND)
            total -= np.einsum(
                "mns,mns->mn",
                adjoint.row_nodes - adjoint.column_nodes,
                answer.row_nodes - answer.column_nodes,
            )
        return np.asarray(total / S)

    def _gather(self, blocks: Sequence[tuple[FloatArray, ...]]) -> FloatArray:
        """Return the nodes (S, M, N) of all parts in the order of the samples."""
        M, N = self._parts[0][1].g.shape
        volts = np.empty((len(self.column_currents), M, N))
        for (samples, _, _), of_part in zip(self._parts, blocks, strict=True):
            which = np.arange(len(volts))[samples]
            start = 0
            for block in of_part:
                volts[which[start : start + block.shape[2]]] = block.transpose(2, 0, 1)
                start += block.shape[2]
        return volts


def solve_crossbar(
    conductances: ArrayLike,
    row_voltages: ArrayLike,
    wire_resistance: float | Sequence[float],
    *,
    right_voltages: ArrayLike | None = None,
    top_voltages: ArrayLike | None = None,
    bottom_voltages: ArrayLike | None = None,
    floating_rows: ArrayLike | None = None,
    injected: ArrayLike | None = None,
    error_bound: float = DEFAULT_ERROR_BOUND,
) -> CrossbarSolution:
    """Solve a crossbar with resistive lines for a batch of row voltages.

    Parameters
    ----------
    conductances : array_like, shape (M, N)
        Siemens of the device at row m, column n; zero means an open device.
    row_voltages : array_like, shape (S, M)
        Volts of the source at the left end of each row.
    wire_resistance : float or (float, float)
        Ohms of one segment of wire, or of one row segment and one column segment; zero means an ideal line.
    right_voltages : array_like, shape (S, M) or (M,), optional
        Volts at the right ends of rows, after one more segment; NaN means floating. Default: all float.
    top_voltages : array_like, shape (S, N) or (N,), optional
        Volts at the top ends of columns, after one more segment; NaN means floating. Default: all float.
    bottom_voltages : array_like, shape (S, N) or (N,), optional
        Volts at the bottom ends of columns; NaN means floating. Default: all at ground, 0 V.
    floating_rows : array_like of bool, shape (M,) or (S, M), optional
        Rows whose left end floats; their row_voltages are ignored.
    injected : array_like, shape (S, N) or (N,), optional
        Amperes injected into the bottom ends of columns; NaN means none. At a held end the source absorbs them.
    error_bound : float
        Maximum relative error of the outputs; see `CrossbarSolution.estimated_error`.

    Returns
    -------
    CrossbarSolution

    Raises
    ------
    CircuitError
        If a conductance or resistance is negative, or any value is NaN or infinite; the message names it.
        If both ends of an ideal line are held, or a shape is wrong.
    SingularCircuitError
        If part of the array is connected to no source, or double precision cannot meet the error bound.

    Examples
    --------
    >>> solve_crossbar([[1e-3, 2e-3], [3e-3, 4e-3]], [[0.1, 0.2]], 0.0).column_currents
    array([[0.0007, 0.001 ]])
    >>> solve_crossbar([[0.5]], [[1.0]], (1.0, 1.0)).column_currents
    array([[0.25]])
    >>> solve_crossbar([[0.5]], [[1.0]], 1.0, bottom_voltages=[float("nan")], injected=[1.0]).column_voltages
    array([[5.]])

    Notes
    -----
    The conventions are those of badcrossbar (Joksas & Mehonic, SoftwareX 12, 100617, 2020). The first method is
    conjugate gradients preconditioned by the lines (`hwlearn.circuit.crossbar.iteration` states them and their
    error bound), the second a sparse factor, if the first would take longer. With numba (extra ``fast``) the
    iteration runs compiled, on all cores.
    """
    g = _checked_devices(conductances)
    M, N = g.shape
    (row_ohms, column_ohms) = (_checked_ohms(ohms, line) for ohms, line in _lines(wire_resistance))
    if not (isinstance(error_bound, (int, float)) and error_bound > 0):
        raise CircuitError(f"error_bound must be a number above 0, got {error_bound!r}")
    parts = []
    given = held_ends((M, N), row_voltages, right_voltages, top_voltages, bottom_voltages, floating_rows, injected)
    S = given.samples
    currents, volts = np.empty((S, N)), np.empty((S, N))
    worst, methods, iterations = 0.0, set(), 0
    for samples, rows, columns in given.patterns(row_ohms == 0, column_ohms == 0):
        problem = Problem(g, row_ohms, column_ohms, rows, columns)
        answer, error = solve_problem(problem, error_bound)
        currents[samples] = answer.currents
        at = columns.last
        if not columns.last_held.all():
            free = answer.last_volts + column_ohms * columns.injected
            at = np.where(columns.last_held, at, free)
        volts[samples] = at
        worst = max(worst, error)
        methods.add(answer.method)
        iterations = max(iterations, answer.iterations)
        parts.append((samples, problem, answer))
    return CrossbarSolution(currents, volts, worst, "+".join(sorted(methods)), iterations, tuple(parts))


def _checked_devices(conductances: ArrayLike) -> FloatArray:
    try:
        g = np.ascontiguousarray(conductances, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CircuitError("crossbar conductances must be numbers, shape (rows, columns)") from error
    if np.ndim(conductances) != 2 or not g.size:
        raise CircuitError(f"crossbar conductances must have shape (rows, columns), got {np.shape(conductances)}")
    if not (g.min() >= 0 and g.max() < np.inf):
        m, n = np.argwhere(~(np.isfinite(g) & (g >= 0)))[0]
        raise CircuitError(
            f"conductance {g[m, n]:g} S of the device at row {m}, column {n}; it must be finite and >= 0"
        )
    return g


def _numbers(values: ArrayLike, columns: int, what: str) -> FloatArray:
    array = batch(values, columns, what)
    if not np.isfinite(array).all():
        sample, k = np.argwhere(~np.isfinite(array))[0]
        raise CircuitError(f"{what} has {array[sample, k]} at column {k} of sample {sample}; it must be finite")
    return array


def _lines(wire_resistance: float | Sequence[float]) -> list[tuple[float, str]]:
    try:
        ohms = np.asarray(wire_resistance, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CircuitError(
            f"wire_resistance must be ohm or (row, column) in ohm, got {wire_resistance!r}"
        ) from error
    if ohms.shape not in ((), (2,)):
        raise CircuitError(f"wire_resistance must be ohm or (row, column) in ohm, got {wire_resistance!r}")
    row, column = (ohms.tolist(), ohms.tolist()) if not ohms.ndim else ohms.tolist()
    return [(row, "row"), (column, "column")]


def _checked_ohms(ohms: float, line: str) -> float:
    """Return the resistance of one segment of wire."""
    if not (math.isfinite(ohms) and ohms >= 0):
        raise CircuitError(f"wire_resistance of a {line} segment is {ohms:g} ohm; it must be finite and >= 0")
    if ohms and not math.isfinite(1 / ohms):
        raise CircuitError(f"wire_resistance of a {line} segment is {ohms:g} ohm; use 0 for an ideal line")
    return ohms
