"""Crossbars that are solved by compiled sweeps with a coarse correction; see `sweeps` and `modes`.

Importing this module loads numba.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.crossbar.iteration import Contraction
from hwlearn.circuit.crossbar.kernels import pivots
from hwlearn.circuit.crossbar.modes import MODES, CoarseSpace, NoCoarseSpace, modes_of
from hwlearn.circuit.crossbar.problem import ROUNDING
from hwlearn.circuit.crossbar.sweeps import SweptLines, relax

_GOAL: Final = 2e-11
"""Estimated error of the voltages at which sweeps end, relative to the largest voltage of a sample."""

_MOST_SWEEPS: Final = 24
_SLOWEST: Final = 0.06
"""Expected reduction of the error by a sweep up to which sweeps are faster than elimination."""
_MOST_STRENGTH: Final = 4.0
_THREADED: Final = 1 << 15
"""Nodes times samples from which on starting threads saves time."""


@dataclass(frozen=True, eq=False)
class SweptCrossbar:
    """Lines and coarse space of a crossbar with all rows held at their left ends.

    Attributes
    ----------
    lines : SweptLines
    coarse : CoarseSpace
    goal : (float, float, float, int)
        See `sweeps.relax`.
    estimated_error : float
        Estimated error of solutions, relative to the largest voltage of each sample.
    """

    lines: SweptLines
    coarse: CoarseSpace
    goal: tuple[float, float, float, int]
    estimated_error: float

    @classmethod
    def of(cls, g: FloatArray, ohms: tuple[float, float], columns_held: BoolArray) -> SweptCrossbar | None:
        """Return the crossbar with siemens (M, N), ohms of row and column segments, and held columns (N,).

        None if sweeps are expected to be slower than elimination, or to lose too many digits.
        """
        M, N = g.shape
        strength = ohms[0] * float((g @ np.arange(1.0, N + 1)).max())
        if not (strength < _MOST_STRENGTH and _expected_rate(g, ohms) < _SLOWEST):
            return None
        rows_held = np.ones(M, dtype=bool)
        try:
            coarse = CoarseSpace.of(g, ohms, rows_held, columns_held)
        except NoCoarseSpace:
            return None
        none = np.zeros(max(M, N), dtype=bool)
        row_leaks, column_leaks = np.ascontiguousarray(ohms[0] * g.T), ohms[1] * g
        row_pivots, column_pivots = np.empty((N, M)), np.empty((M, N))
        pivots(row_leaks, rows_held, none[:M], row_pivots)
        pivots(column_leaks, none[:N], columns_held, column_pivots)
        lines = SweptLines(
            row_leaks,
            row_pivots,
            column_leaks,
            column_pivots,
            modes_of(N, True).shapes,
            modes_of(M, False).shapes,
            rows_held.astype(np.int64),
            columns_held.astype(np.int64),
            coarse.correction / ohms[0],
        )
        contraction = Contraction.from_strengths(strength, np.inf)
        lost = 2 * ROUNDING * (M + N) / (1.0 - contraction.sweep)
        # the estimate during the sweeps may be too good by a factor
        return cls(lines, coarse, (_GOAL, contraction.error_factor, lost, _MOST_SWEEPS), 2.0 * _GOAL + lost)

    def solve(self, left: FloatArray, bottom: FloatArray, rows: FloatArray, columns: FloatArray) -> bool:
        """Fill in the nodes of rows and columns, each (S, M N); return whether all samples meet the goal.

        Parameters
        ----------
        left : ndarray, shape (S, M)
            Volts at the left ends of the rows.
        bottom : ndarray, shape (S, N)
            Volts of held columns; amperes into floating ones times the ohms of a segment.
        rows, columns : ndarray, shape (S, M N)
        """
        lines, goal = tuple(self.lines), self.goal
        guess = self.coarse.first_guess(left, bottom)
        threads = min(_cores(), len(left)) if rows.size >= _THREADED else 1
        bounds = np.linspace(0, len(left), threads + 1).astype(int).tolist()
        sweeps = [-1] * threads

        def part(k: int) -> None:
            some = slice(bounds[k], bounds[k + 1])
            sweeps[k] = relax(lines, left[some], bottom[some], guess[some], goal, rows[some], columns[some])

        others = [threading.Thread(target=part, args=(k,)) for k in range(1, threads)]
        for other in others:
            other.start()
        part(0)
        for other in others:
            other.join()
        return min(sweeps) >= 0


def _expected_rate(g: FloatArray, ohms: tuple[float, float]) -> float:
    """Return the expected reduction of the error by a sweep: of the first mode that is not corrected."""
    M, N = g.shape
    mean = float(g.mean())
    row = 2.0 - 2.0 * np.cos(np.pi / (2 * N + 1))
    column = 2.0 - 2.0 * np.cos(np.pi * MODES / M) if M > MODES else np.inf
    leaks = ohms[0] * mean, ohms[1] * mean
    return float(leaks[0] / (leaks[0] + row) * leaks[1] / (leaks[1] + column))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
