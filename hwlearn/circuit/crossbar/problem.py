"""Crossbar problem with its boundary conditions, and the answer that a solver returns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.crossbar.lines import Ends, by_devices, end_currents

ROUNDING: Final = 2.0**-53
ILL_CONDITIONED: Final = (
    "singular crossbar: its devices conduct so much better than its wires that double precision cannot resolve "
    "the voltages; check the units (siemens, ohm) of conductances and wire_resistance"
)


@dataclass(frozen=True, eq=False)
class Problem:
    """A crossbar and a batch of samples that all hold the same ends.

    Attributes
    ----------
    g : ndarray, shape (M, N)
        Siemens of the devices.
    row_ohms, column_ohms : float
        Ohms of one segment of wire; zero means an ideal line.
    rows : Ends
        First is left, last is right.
    columns : Ends
        First is top, last is bottom.
    """

    g: FloatArray
    row_ohms: float
    column_ohms: float
    rows: Ends
    columns: Ends

    @property
    def samples(self) -> int:
        """Number of samples."""
        return len(self.rows.first)

    def of(self, samples: slice) -> Problem:
        """Return the same crossbar with a part of the samples."""
        return replace(self, rows=self.rows.of(samples), columns=self.columns.of(samples))

    def floating_lines(self) -> tuple[BoolArray, BoolArray] | None:
        """Return masks of the rows (M,) and columns (N,) without a path to a source; None if all have one."""
        row_held, column_held = self.rows.anchored, self.columns.anchored
        if row_held.all() and column_held.all():
            return None
        M, N = self.g.shape
        m, n = np.nonzero(self.g)
        graph = csr_array((np.ones(len(m)), (m, M + n)), shape=(M + N, M + N))
        _, part = connected_components(graph, directed=False)
        connected = np.isin(part, part[np.concatenate([row_held, column_held])])
        return None if connected.all() else (~connected[:M], ~connected[M:])


@dataclass(frozen=True, eq=False)
class Answer:
    """Node voltages in blocks of samples, and their estimated error.

    Attributes
    ----------
    row_blocks, column_blocks : tuple of ndarray, shape (M, N, B)
        Volts of the nodes; the blocks follow each other along the last axis.
    currents : ndarray, shape (S, N)
        Amperes out of the bottom end of each column.
    volts_error : ndarray, shape (S,)
        Estimated largest error of any node, in volts.
    method : str
        Name of the method.
    iterations : int
        Number of iterations or refinements.
    siemens : ndarray, shape (N,), optional
        Change of each column's current per volt of error on all rows, if the column's own equations hold. Without
        it, the errors of row nodes and column nodes are independent.
    """

    row_blocks: tuple[FloatArray, ...]
    column_blocks: tuple[FloatArray, ...]
    currents: FloatArray
    volts_error: FloatArray
    method: str
    iterations: int
    siemens: FloatArray | None = None

    @property
    def row_nodes(self) -> FloatArray:
        """Volts (M, N, S) on the rows."""
        return self.row_blocks[0] if len(self.row_blocks) == 1 else np.concatenate(self.row_blocks, axis=2)

    @property
    def column_nodes(self) -> FloatArray:
        """Volts (M, N, S) on the columns."""
        return (
            self.column_blocks[0] if len(self.column_blocks) == 1 else np.concatenate(self.column_blocks, axis=2)
        )

    @property
    def last_volts(self) -> FloatArray:
        """Volts (S, N) of the last node of each column."""
        if len(self.column_blocks) == 1:
            return np.asarray(self.column_blocks[0][-1].T)
        return np.concatenate([block[-1] for block in self.column_blocks], axis=1).T


def whole(
    problem: Problem,
    u: FloatArray,
    w: FloatArray,
    volts_error: FloatArray,
    method: str,
    iterations: int,
    siemens: FloatArray | None = None,
) -> Answer:
    """Return the answer for row and column nodes u, w (M, N, S) in one block."""
    return Answer((u,), (w,), column_currents(problem, u, w), volts_error, method, iterations, siemens)


def joined(parts: list[Answer]) -> Answer:
    """Return the answer for several blocks of samples, solved by the same method."""
    if len(parts) == 1:
        return parts[0]
    return Answer(
        tuple(block for part in parts for block in part.row_blocks),
        tuple(block for part in parts for block in part.column_blocks),
        np.concatenate([part.currents for part in parts]),
        np.concatenate([part.volts_error for part in parts]),
        parts[0].method,
        max(part.iterations for part in parts),
        parts[0].siemens,
    )


def column_currents(problem: Problem, u: FloatArray, w: FloatArray) -> FloatArray:
    """Return the amperes (S, N) out of the bottom end of each column for nodes u, w (M, N, S)."""
    return end_currents(problem.g, u - w, w, problem.column_ohms, problem.columns)


def output_errors(
    problem: Problem, answer: Answer, volts: FloatArray, scale: tuple[FloatArray, FloatArray] | None
) -> FloatArray:
    """Return the estimated relative error (S,) of the outputs.

    Parameters
    ----------
    problem : Problem
    answer : Answer
    volts : ndarray, shape (S, N)
        Volts at the bottom ends.
    scale : (ndarray, ndarray), each of shape (S,), optional
        Amperes and volts that errors are compared with if they are larger than the largest output. If these and
        all outputs are zero, no source reaches the outputs, and they are exact.
    """
    which = problem.columns.last_held
    all_held, any_held = bool(which.all()), bool(which.any())
    held = slice(None) if all_held else which  # a slice makes no copy
    volts_error = answer.volts_error
    error = np.zeros(problem.samples)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if any_held:
            siemens = answer.siemens
            if siemens is None:
                siemens = 2.0 * problem.g.sum(axis=0)
                if problem.column_ohms:
                    wire = ~by_devices(problem.g, problem.column_ohms)
                    siemens = np.where(wire, 2.0 / problem.column_ohms, siemens)
            amperes = siemens[held].max() * volts_error
            largest = np.abs(answer.currents[:, held]).max(axis=1)
            if scale is not None:
                largest = np.maximum(largest, scale[0])
            own = 2.0 * ROUNDING * sum(problem.g.shape)
            exact = (amperes == 0) | ((largest == 0) & (scale is not None))
            error = np.where(exact, 0.0, amperes / largest + own)
        if not all_held:
            largest = np.abs(volts[:, ~which]).max(axis=1)
            if scale is not None:
                largest = np.maximum(largest, scale[1])
            exact = (volts_error == 0) | ((largest == 0) & (scale is not None))
            error = np.maximum(error, np.where(exact, 0.0, volts_error / largest))
    return np.asarray(error)
