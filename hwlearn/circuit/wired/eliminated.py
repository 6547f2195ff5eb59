"""Node equations of a wired crossbar, eliminated for one set of held outputs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from scipy.linalg.lapack import dpotrf

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.crossbar.elimination import CrossLines, LineElimination, NotEliminated
from hwlearn.circuit.wired.layout import Layout, Sources

_ROUNDING: Final = 8 * 2.0**-53
"""Rounding error of the devices that are accumulated at a node, relative to their sum."""


def eliminate(layout: Layout, g: FloatArray, columns_held: BoolArray) -> LineElimination:
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
    return LineElimination(cross, devices, 1.0 / line_ohms, held, 1.0 / cross_ohms)


@dataclass(frozen=True, eq=False)
class EliminatedSystem:
    """Equations of a crossbar for one set of held columns.

    Attributes
    ----------
    layout : Layout
    elimination : LineElimination
    columns_held : ndarray of bool, shape (N,)
    factor : ndarray, shape (b, b)
        Cholesky factor of the last nodes of the lines.
    """

    layout: Layout
    elimination: LineElimination
    columns_held: BoolArray
    factor: FloatArray

    @classmethod
    def of(cls, layout: Layout, elimination: LineElimination, columns_held: BoolArray) -> EliminatedSystem:
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

    def solve(self, sources: Sources) -> FloatArray:
        """Return node voltages (S, n_nodes)."""
        layout, wires = self.layout, self.layout.wires
        nodes = np.empty((layout.n_nodes, sources.samples))
        left, bottom = (None if at is None else at.T for at in (sources.left, sources.bottom))
        if layout.along_rows:
            at_cross, at_lines = None if bottom is None else bottom[::-1] / wires.column_ohms, left
        else:
            at_cross, at_lines = None if left is None else left / wires.row_ohms, bottom
        if at_lines is None:
            at_lines = np.zeros((len(self.factor), sources.samples))
        lines, cross_lines, y = layout.lines(nodes), layout.cross_lines(nodes), None
        if at_cross is not None:
            y = cross_lines  # they are not solved yet: fresh memory takes longer than the arithmetic on it
            np.multiply(self.elimination.from_source[:, :, None], at_cross[:, None, :], out=y)
        self.elimination.solve(y, at_lines, self.factor, lines)
        self.elimination.cross.solve(lines, at_cross, cross_lines)
        layout.fill_ends(nodes.T, sources, self.columns_held)
        return nodes.T
