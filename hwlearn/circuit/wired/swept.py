"""Node equations of a wired crossbar, solved by compiled sweeps for one set of held outputs (extra ``fast``)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.crossbar.coarse import CoarseSpace, NoCoarseSpace, first_mode
from hwlearn.circuit.crossbar.problem import ROUNDING
from hwlearn.circuit.wired.layout import Layout, Sources
from hwlearn.compilation import compiled_module, cores

_GOAL: Final = 5e-11
"""Estimated error of the voltages at which sweeps end, relative to the largest voltage of a sample."""
_MOST_SWEEPS: Final = 30
_SLOWEST: Final = 0.25
"""Expected reduction of the error by a sweep up to which sweeps are faster than elimination."""
_MOST_PASSED_ON: Final = 0.9
_FEWEST_DEVICES: Final = 1024
"""Devices from which on sweeps are worth the time of loading compiled code."""
_FEWEST_LINES: Final = 8
_THREADED: Final = 1 << 15
"""Devices times samples from which on starting threads saves time."""


@dataclass(frozen=True, eq=False)
class SweptSystem:
    """Equations of a crossbar for one set of held columns.

    Attributes
    ----------
    layout : Layout
    lines : tuple
        What `sweeps.SweptLines` takes.
    coarse : CoarseSpace
    passed_on : float
        Largest part of the columns' errors that a row passes on.
    columns_held : ndarray of bool, shape (N,)
    """

    layout: Layout
    lines: tuple[Any, ...]
    coarse: CoarseSpace
    passed_on: float
    columns_held: BoolArray

    @classmethod
    def of(cls, layout: Layout, g: FloatArray, columns_held: BoolArray) -> SweptSystem | None:
        """Return the equations for siemens (E,); None if elimination is expected to be faster."""
        wires = layout.wires
        M, N = wires.rows, wires.columns
        fast = _loaded()
        row_leaks = wires.row_ohms * g.reshape(M, N)
        column_leaks = row_leaks if wires.row_ohms == wires.column_ohms else wires.column_ohms * g.reshape(M, N)
        row_pivots, column_pivots, rise, fall = fast.factor(row_leaks, column_leaks, columns_held)
        passed_on = max(1.0 - float(fall[:, -1].min()), ROUNDING)
        next_mode = first_mode(M, False)[2]
        leak = float(column_leaks.mean())
        # NaN included
        if not (passed_on < _MOST_PASSED_ON and passed_on * leak / (leak + next_mode) < _SLOWEST):
            return None
        try:
            coarse = CoarseSpace.of((row_leaks, column_leaks), rise, fall, columns_held)
        except NoCoarseSpace:
            return None
        lines = (row_leaks, column_leaks, row_pivots, column_pivots, columns_held)
        return cls(
            layout,
            (*lines, coarse.modes, coarse.eigenvalues, coarse.used, coarse.correction),
            coarse,
            passed_on,
            columns_held,
        )

    @property
    def estimated_error(self) -> float:
        """Estimated error of solutions, relative to the largest voltage of each."""
        return _GOAL + 2 * ROUNDING * (self.layout.wires.rows + self.layout.wires.columns) / (1.0 - self.passed_on)

    def solve(self, sources: Sources) -> FloatArray | None:
        """Return node voltages (S, n_nodes); None if they need too many sweeps."""
        layout, S, fast = self.layout, sources.samples, _loaded()
        V = np.empty((S, layout.n_nodes))
        left = np.zeros((S, layout.wires.rows)) if sources.left is None else sources.left
        bottom = np.zeros((S, layout.wires.columns)) if sources.bottom is None else sources.bottom
        guess = self.coarse.first_guess(left, bottom)
        goal = (_GOAL * (1.0 - self.passed_on) / self.passed_on, _MOST_SWEEPS)
        rows, columns, few = layout.row_side(V), layout.column_side(V), fast.SIDE_BY_SIDE
        todo = iter(range(0, S, few))
        solved: list[int] = []
        failed: list[int] = []

        def work() -> None:
            scratch = np.empty((2, layout.wires.rows, few, layout.wires.columns))
            for first in _until(todo, failed):
                some = slice(first, first + few)
                part = left[some], bottom[some], guess[some]
                sweeps = fast.relax(self.lines, *part, goal, scratch, rows[some], columns[some])
                (failed if sweeps < 0 else solved).append(first)

        threads = min(cores(), -(-S // few)) if columns.size >= _THREADED else 1
        others: list[threading.Thread] = []
        try:
            for _ in range(threads - 1):
                other = threading.Thread(target=work, daemon=True)
                other.start()
                others.append(other)
            work()
        except BaseException:
            failed.append(-1)  # the others stop too
            raise
        finally:
            for other in others:
                other.join()
        # a thread that ended with an error has solved less than it began
        if len(solved) * few < S:
            return None
        layout.fill_ends(V, sources, self.columns_held)
        return V


def may_sweep(layout: Layout) -> bool:
    """Return whether sweeps may be used: with numba, if all rows are held, and for enough devices."""
    wires = layout.wires
    few = wires.rows * wires.columns < _FEWEST_DEVICES or min(wires.rows, wires.columns) < _FEWEST_LINES
    return bool(layout.rows_held.all()) and not few and compiled_sweeps() is not None


def compiled_sweeps() -> ModuleType | None:
    """Return the module of the compiled sweeps; None without numba."""
    return compiled_module("hwlearn.circuit.crossbar.sweeps")


def _loaded() -> ModuleType:
    """Return the module of the compiled sweeps, which are there if `may_sweep`."""
    module = compiled_sweeps()
    assert module is not None, "sweeps need numba"
    return module


def _until(todo: Iterator[int], failed: list[int]) -> Iterator[int]:
    """Yield what is left to do until something has failed."""
    for first in todo:
        if failed:
            return
        yield first
