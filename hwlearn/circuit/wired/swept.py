"""Node equations of a wired crossbar that compiled sweeps solve for one set of held outputs (extra ``fast``)."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.wired.layout import Layout, Sources

if TYPE_CHECKING:
    from types import ModuleType

    from hwlearn.circuit.crossbar.swept import SweptCrossbar

_FEWEST_DEVICES: Final = 1024
"""Devices from which on sweeps are worth the time of loading compiled code."""
MOST_SAMPLES: Final = 128
"""Samples up to which sweeps are faster than elimination, whose work is mostly shared by all samples."""


@dataclass(frozen=True, eq=False)
class SweptSystem:
    """Equations of a crossbar for one set of held columns.

    Attributes
    ----------
    layout : Layout
    crossbar : SweptCrossbar
    columns_held : ndarray of bool, shape (N,)
    """

    layout: Layout
    crossbar: SweptCrossbar
    columns_held: BoolArray

    @classmethod
    def of(cls, layout: Layout, g: FloatArray, columns_held: BoolArray) -> SweptSystem | None:
        """Return the equations for siemens (E,); None without numba, or if elimination is faster."""
        wires = layout.wires
        if len(g) < _FEWEST_DEVICES or not layout.rows_held.all():
            return None
        fast = _fast()
        if fast is None:
            return None
        ohms = (wires.row_ohms, wires.column_ohms)
        crossbar = fast.SweptCrossbar.of(g.reshape(wires.rows, wires.columns), ohms, columns_held)
        return None if crossbar is None else cls(layout, crossbar, columns_held)

    @property
    def estimated_error(self) -> float:
        """Estimated error of solutions, relative to the largest voltage of each."""
        return self.crossbar.estimated_error

    def solve(self, sources: Sources) -> FloatArray | None:
        """Return node voltages (S, n_nodes); None if sweeps converge too slowly."""
        layout, S = self.layout, sources.samples
        V = np.empty((S, layout.n_nodes))
        left = np.zeros((S, layout.wires.rows)) if sources.left is None else sources.left
        bottom = np.zeros((S, layout.wires.columns)) if sources.bottom is None else sources.bottom
        if not self.crossbar.solve(left, bottom, layout.row_side(V), layout.column_side(V)):
            return None
        layout.fill_ends(V, sources, self.columns_held)
        return V


@cache
def _fast() -> ModuleType | None:
    """Return the module of the compiled sweeps; None without numba."""
    if importlib.util.find_spec("numba") is None:
        return None
    try:
        return importlib.import_module("hwlearn.circuit.crossbar.swept")
    except (ImportError, RuntimeError):
        # RuntimeError: numba finds no folder for compiled code, and compiling in each process would take longer
        return None
