"""Where the nodes of a wired crossbar are in arrays of node voltages, and which of its ends are held."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.topology import Topology
from hwlearn.circuit.wires import Wires

_KEPT: Final = 32
_FEWEST_DEVICES: Final = 128
_FEWEST_LINES: Final = 8
_WIDER: Final = 1.2
"""Columns per row from which on rows are eliminated: the cost grows with the cube of the number of lines."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Lines of a wired crossbar in the order of elimination.

    The lines are the columns, or the rows if these are much fewer. Node voltages have the samples last,
    (n_nodes, S). Views for elimination have the shape (L, b, S): L nodes of each of b lines.

    Attributes
    ----------
    wires : Wires
    n_nodes : int
    inputs : ndarray of int, shape (n_in,)
        Rows of the inputs, in their order.
    outputs : ndarray of int, shape (n_out,)
        Columns of the outputs, in their order.
    rows_held : ndarray of bool, shape (M,)
        Rows that a source holds: the inputs and ground.
    along_rows : bool
        Whether the rows are eliminated, from right to left; else the columns, from top to bottom.
    """

    wires: Wires
    n_nodes: int
    inputs: IntArray
    outputs: IntArray
    rows_held: BoolArray
    along_rows: bool

    @classmethod
    def of(cls, topology: Topology, wires: Wires) -> Layout:
        """Return the layout of a topology with resistive rows and columns."""
        held = np.zeros(wires.rows, dtype=bool)
        held[topology.driven] = True
        return cls(
            wires,
            topology.n_nodes,
            topology.inputs,
            topology.outputs - wires.rows,
            held,
            wires.columns > _WIDER * wires.rows,
        )

    def row_nodes(self, nodes: FloatArray) -> FloatArray:
        """Return the view (M, N, S) of the row side of each device."""
        M, N = self.wires.rows, self.wires.columns
        return nodes[M + N : M + N + M * N].reshape(M, N, -1)

    def column_nodes(self, nodes: FloatArray) -> FloatArray:
        """Return the view (M, N, S) of the column side of each device."""
        M, N = self.wires.rows, self.wires.columns
        return nodes[M + N + M * N :].reshape(M, N, -1)

    def arranged(self, by_device: FloatArray) -> FloatArray:
        """Return values (M, N, ...) of the devices as a view (L, b, ...)."""
        return by_device.swapaxes(0, 1)[::-1] if self.along_rows else by_device

    def lines(self, nodes: FloatArray) -> FloatArray:
        """Return the view (L, b, S) of the nodes of the lines."""
        return self.arranged(self.row_nodes(nodes) if self.along_rows else self.column_nodes(nodes))

    def cross_lines(self, nodes: FloatArray) -> FloatArray:
        """Return the view (L, b, S) of the nodes of the cross lines."""
        return self.arranged(self.column_nodes(nodes) if self.along_rows else self.row_nodes(nodes))

    def columns_held(self, outputs_held: BoolArray) -> BoolArray:
        """Return which columns (N,) are held if these outputs (n_out,) are."""
        held = np.zeros(self.wires.columns, dtype=bool)
        held[self.outputs[outputs_held]] = True
        return held

    def sources(self, x: FloatArray | None, at_outputs: FloatArray | None) -> Sources:
        """Return the sources for inputs (S, n_in) and, at the outputs, (S, n_out) as in `Sources.bottom`."""
        left = bottom = None
        if x is not None:
            left = np.zeros((len(x), self.wires.rows))
            left[:, self.inputs] = x
        if at_outputs is not None:
            bottom = np.zeros((len(at_outputs), self.wires.columns))
            bottom[:, self.outputs] = at_outputs
        return Sources(left, bottom)

    def fill_ends(self, V: FloatArray, sources: Sources, columns_held: BoolArray) -> None:
        """Fill in the ends of all lines in V (S, n_nodes) whose other nodes are known."""
        M, N = self.wires.rows, self.wires.columns
        left, bottom = V[:, :M], V[:, M : M + N]
        left[:] = self.row_side(V)[:, ::N]
        left[:, self.rows_held] = 0.0 if sources.left is None else sources.left[:, self.rows_held]
        bottom[:] = self.column_side(V)[:, -N:]
        if sources.bottom is None:
            bottom[:, columns_held] = 0.0
        else:
            bottom += sources.bottom
            bottom[:, columns_held] = sources.bottom[:, columns_held]

    def row_side(self, V: FloatArray) -> FloatArray:
        """Return the view (S, E) of the row side of each device in V (S, n_nodes)."""
        E = self.wires.rows * self.wires.columns
        return V[:, -2 * E : -E]

    def column_side(self, V: FloatArray) -> FloatArray:
        """Return the view (S, E) of the column side of each device in V (S, n_nodes)."""
        return V[:, -self.wires.rows * self.wires.columns :]


@dataclass(frozen=True, eq=False)
class Sources:
    """Sources at the ends of lines; one of the two is given at least.

    Attributes
    ----------
    left : ndarray, shape (S, M), optional
        Volts at the left ends of rows, zero at floating ones; all zero unless given.
    bottom : ndarray, shape (S, N), optional
        Volts at the bottom ends of held columns; amperes into floating ones, times the ohms of a segment. All zero
        unless given.
    """

    left: FloatArray | None
    bottom: FloatArray | None

    @property
    def samples(self) -> int:
        """Number of samples."""
        return next(len(at) for at in (self.left, self.bottom) if at is not None)


def layout_of(topology: Topology) -> Layout | None:
    """Return the layout of a crossbar of resistors whose rows and columns have resistance; None for others.

    Also None for small crossbars and for those of few rows or columns, which the general solver solves as fast.
    """
    layout = _layout_of(topology) if topology.n_edges >= _FEWEST_DEVICES else None
    few = layout is None or min(layout.wires.rows, layout.wires.columns) < _FEWEST_LINES
    return None if few else layout


@lru_cache(maxsize=_KEPT)
def _layout_of(topology: Topology) -> Layout | None:
    wires = topology.wires if topology.elements is None else None
    if wires is None or not (wires.row_ohms and wires.column_ohms):
        return None
    return Layout.of(topology, wires)
