"""Node equations of a wired crossbar, eliminated for one set of held outputs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from scipy.linalg.lapack import dpotrf

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.crossbar.elimination import CrossLines, Elimination, NotEliminated
from hwlearn.circuit.wired.layout import Layout

_ROUNDING: Final = 8 * 2.0**-53
"""Rounding error of the devices that are accumulated at a node, relative to their sum."""


def eliminate(layout: Layout, g: FloatArray, columns_held: BoolArray) -> Elimination:
    """Eliminate the lines up to their last nodes.

    Parameters
    ----------
    layout : Layout
    g : ndarray, shape (M N,)
        Siemens of the devices.
    columns_held : ndarray of bool, shape (N,)
        Only used if rows are eliminated: columns are cross lines then.

    Raises
    ------
    NotEliminated
        If double precision does not suffice.
    """
    wires = layout.wires
    devices = np.ascontiguousarray(layout.arranged(g.reshape(wires.rows, wires.columns)))
    if layout.along_rows:
        held, line_ohms, cross_ohms = columns_held[::-1], wires.row_ohms, wires.column_ohms
    else:
        held, line_ohms, cross_ohms = layout.rows_held, wires.column_ohms, wires.row_ohms
    cross = CrossLines(devices, 1.0 / cross_ohms, held, source_first=not layout.along_rows)
    return Elimination(cross, devices, 1.0 / line_ohms, held, 1.0 / cross_ohms)


@dataclass(frozen=True, eq=False)
class EliminatedSystem:
    """Equations of a crossbar for one set of held columns.

    Attributes
    ----------
    layout : Layout
    elimination : Elimination
    columns_held : ndarray of bool, shape (N,)
    factor : ndarray, shape (b, b)
        Cholesky factor of the last nodes of the lines.
    """

    layout: Layout
    elimination: Elimination
    columns_held: BoolArray
    factor: FloatArray

    @classmethod
    def of(cls, layout: Layout, elimination: Elimination, columns_held: BoolArray) -> EliminatedSystem:
        """Factor the equations of the last nodes.

        Raises
        ------
        NotEliminated
            If double precision does not suffice.
        """
        last = elimination.last.T.copy(order="F")
        held = layout.rows_held if layout.along_rows else columns_held
        last.reshape(-1, order="A")[:: len(held) + 1] += held
        factor, info = dpotrf(last, lower=1, clean=0, overwrite_a=1)
        if info != 0:
            raise NotEliminated
        return cls(layout, elimination, columns_held, factor)

    @cached_property
    def estimated_error(self) -> float:
        """Estimated error of solutions, relative to the largest voltage of each."""
        held = self.layout.rows_held if self.layout.along_rows else self.columns_held
        with np.errstate(all="ignore"):
            return _ROUNDING * self.elimination.roundings(held, self.factor)

    def solve(
        self, row_volts: FloatArray | None, volts: FloatArray | None, amperes: FloatArray | None
    ) -> FloatArray:
        """Return node voltages (n_nodes, S).

        Parameters
        ----------
        row_volts : ndarray, shape (M, S), optional
            Sources of the rows, zero at floating rows; all zero unless given.
        volts, amperes : ndarray, shape (N, S), optional
            Volts of held columns, and amperes into the ends of columns; all zero unless given. Amperes into held
            columns and volts of floating ones must be zero.
        """
        layout, wires = self.layout, self.layout.wires
        S = next(a.shape[1] for a in (row_volts, volts, amperes) if a is not None)
        nodes = np.empty((layout.n_nodes, S))
        bottom = _sum(volts, None if amperes is None else amperes * wires.column_ohms)
        if layout.along_rows:
            at_cross = None if bottom is None else bottom[::-1] / wires.column_ohms
            at_lines = row_volts
        else:
            at_cross = None if row_volts is None else row_volts / wires.row_ohms
            at_lines = bottom
        if at_lines is None:
            at_lines = np.zeros((len(self.factor), S))
        lines, cross, y = layout.lines(nodes), self.elimination.cross, None
        if at_cross is not None:
            y = self.elimination.from_source[:, :, None] * at_cross[:, None, :]
        self.elimination.solve(y, at_lines, self.factor, lines)
        cross.solve(lines, at_cross, layout.cross_lines(nodes))
        M, N = wires.rows, wires.columns
        rows, columns = layout.row_nodes(nodes), layout.column_nodes(nodes)
        nodes[:M] = rows[:, 0]
        if row_volts is not None:
            nodes[:M][layout.rows_held] = row_volts[layout.rows_held]
        else:
            nodes[:M][layout.rows_held] = 0.0
        nodes[M : M + N] = columns[-1]
        if amperes is not None:
            nodes[M : M + N] += amperes * wires.column_ohms
        held = self.columns_held
        nodes[M : M + N][held] = 0.0 if volts is None else volts[held]
        return nodes


def _sum(a: FloatArray | None, b: FloatArray | None) -> FloatArray | None:
    return b if a is None else a if b is None else a + b
