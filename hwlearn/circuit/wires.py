"""Wired crossbars as graphs: row and column lines of equal wire segments, and their recognition in a graph.

A device at row m and column n joins a node of the row to a node of the column. Segments of wire join
neighbouring nodes of a line. One more segment leads from the source at the left end of a row to its first node,
and one from the last node of a column to its bottom end, which is read.

Nodes are the M left ends of rows, the N bottom ends of columns, then the M N nodes of rows, row by row, then those
of columns, in the same order. A line without resistance has no nodes of its own: its end takes their place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.graphs import crossbar_edges


@dataclass(frozen=True, slots=True)
class Wires:
    """Size of a crossbar and resistance of its wire segments.

    Attributes
    ----------
    rows, columns : int
        M and N.
    row_ohms, column_ohms : float
        Ohms of one segment of a row and of a column; zero means an ideal line.
    """

    rows: int
    columns: int
    row_ohms: float
    column_ohms: float

    @property
    def n_nodes(self) -> int:
        """Number of nodes: all ends of lines, and two for each device of lines with resistance."""
        return self.rows + self.columns + self.rows * self.columns * self._resistive

    @property
    def row_nodes(self) -> IntArray:
        """Node on the row side of each device, (M, N)."""
        M, N = self.rows, self.columns
        if not self.row_ohms:
            return np.repeat(np.arange(M), N).reshape(M, N)
        return M + N + np.arange(M * N).reshape(M, N)

    @property
    def column_nodes(self) -> IntArray:
        """Node on the column side of each device, (M, N)."""
        M, N = self.rows, self.columns
        if not self.column_ohms:
            return np.tile(M + np.arange(N), M).reshape(M, N)
        return self.n_nodes - M * N + np.arange(M * N).reshape(M, N)

    def devices(self) -> IntArray:
        """Return the devices (M N, 2), row by row, from row node to column node."""
        if not self._resistive:
            return crossbar_edges(self.rows, self.columns)
        return np.stack([self.row_nodes.ravel(), self.column_nodes.ravel()], axis=1)

    def segments(self) -> IntArray:
        """Return the wire segments (F, 2), device by device: those left of it, then those below it."""
        M, N = self.rows, self.columns
        pairs = []
        if self.row_ohms:
            at = self.row_nodes
            before = np.concatenate([np.arange(M)[:, None], at[:, :-1]], axis=1)
            pairs.append(np.stack([before.ravel(), at.ravel()], axis=1))
        if self.column_ohms:
            at = self.column_nodes
            after = np.concatenate([at[1:], M + np.arange(N)[None, :]])
            pairs.append(np.stack([at.ravel(), after.ravel()], axis=1))
        return np.concatenate([np.zeros((0, 2), dtype=np.int64), *pairs])

    def siemens(self) -> FloatArray:
        """Return the conductances (F,) of the segments."""
        ohms = [ohm for ohm in (self.row_ohms, self.column_ohms) if ohm]
        return np.repeat(1.0 / np.array(ohms, dtype=np.float64), self.rows * self.columns)

    def names(self) -> list[str]:
        """Return the names of all nodes; ``row2_5`` is row 2 at column 5, and ``col5_2`` is column 5 at row 2."""
        M, N = self.rows, self.columns
        names = [f"row{m}" for m in range(M)] + [f"col{n}" for n in range(N)]
        if self.row_ohms:
            names += [f"row{m}_{n}" for m in range(M) for n in range(N)]
        if self.column_ohms:
            names += [f"col{n}_{m}" for m in range(M) for n in range(N)]
        return names

    @property
    def _resistive(self) -> int:
        return bool(self.row_ohms) + bool(self.column_ohms)


def find_wires(
    n_nodes: int, edges: IntArray, fixed_edges: IntArray, fixed_conductances: FloatArray
) -> Wires | None:
    """Return the wires of a graph that is a wired crossbar, with nodes and edges in the order of `Wires`.

    Parameters
    ----------
    n_nodes : int
    edges, fixed_edges : ndarray of int, shape (E, 2) and (F, 2)
    fixed_conductances : ndarray, shape (F,)
        Siemens.

    Returns
    -------
    Wires or None
        None for another graph, for segments that are not all equal along rows or columns, and without segments.
    """
    E, F = len(edges), len(fixed_edges)
    if not F or F not in (E, 2 * E):
        return None
    ends = n_nodes - F  # M + N, where M N = E
    root = math.isqrt(max(0, ends * ends - 4 * E))
    if ends < 2 or root * root != ends * ends - 4 * E or (ends - root) % 2:
        return None
    ohms = [1.0 / float(fixed_conductances[k]) for k in range(0, F, E)]
    for few, many in {((ends - root) // 2, (ends + root) // 2), ((ends + root) // 2, (ends - root) // 2)}:
        for row_ohms, column_ohms in [(ohms[0], ohms[1])] if F == 2 * E else [(ohms[0], 0.0), (0.0, ohms[0])]:
            wires = Wires(few, many, row_ohms, column_ohms)
            if (
                np.array_equal(wires.devices(), edges)
                and np.array_equal(wires.segments(), fixed_edges)
                and all(np.ptp(fixed_conductances[k : k + E]) == 0 for k in range(0, F, E))
            ):
                return wires
    return None
