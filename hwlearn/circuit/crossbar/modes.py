"""Coarse space of a crossbar: the smoothest modes of its wires, on which devices have the most effect.

The voltages along a wire are a sum of sines or cosines, the modes of its segments. A device current of a mode with
eigenvalue lambda causes voltages of R / lambda times itself, so that only the first modes of every line couple
strongly. Restricted to these, the node equations (Galerkin) are small and dense, and are solved directly. What
remains is solved by sweeps over the lines, which then need few iterations; see `sweeps`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs

from hwlearn.arrays import BoolArray, FloatArray

MODES: Final = 2
"""Modes of a line."""
_KEPT: Final = 16


class NoCoarseSpace(Exception):
    """Coarse equations that are singular in double precision."""


@dataclass(frozen=True, eq=False)
class Modes:
    """Modes of the lines of one direction; kind 0 floats at both ends, kind 1 is held at its source.

    Attributes
    ----------
    shapes : ndarray, shape (2, MODES, L)
        Volts of the modes of each kind at the L nodes of a line; of unit length.
    eigenvalues : ndarray, shape (2, MODES)
        Of the second difference along the line.
    """

    shapes: FloatArray
    eigenvalues: FloatArray


@lru_cache(maxsize=_KEPT)
def modes_of(length: int, source_first: bool) -> Modes:
    """Return the modes of lines with their sources at their first or last nodes; circuits share them."""
    node, mode = np.arange(1, length + 1)[None, :], np.arange(MODES)[:, None]
    from_source = node if source_first else length + 1 - node
    half, quarter = np.pi * mode / length, np.pi * (2 * mode + 1) / (2 * length + 1)
    shapes = np.stack([np.cos(half * (node - 0.5)), np.sin(quarter * from_source)])
    shapes /= np.sqrt((shapes**2).sum(axis=2, keepdims=True))
    eigenvalues = np.stack([2.0 - 2.0 * np.cos(half[:, 0]), 2.0 - 2.0 * np.cos(quarter[:, 0])])
    # a line has no more modes than nodes
    shapes[:, length:] = 0.0
    eigenvalues[:, length:] = 1.0
    return Modes(shapes, eigenvalues)


@dataclass(frozen=True, eq=False)
class CoarseSpace:
    """Equations of a crossbar restricted to the modes of its lines.

    Attributes
    ----------
    correction : ndarray, shape (M MODES, MODES N)
        Volts of the modes of columns, mode after mode, per ampere into the modes of rows, row after row.
    """

    correction: FloatArray
    _into_rows: FloatArray
    _into_columns: FloatArray
    _factor: FloatArray

    @classmethod
    def of(
        cls, g: FloatArray, ohms: tuple[float, float], rows_held: BoolArray, columns_held: BoolArray
    ) -> CoarseSpace:
        """Return the coarse space for siemens (M, N), ohms of the segments and held lines.

        Raises
        ------
        NoCoarseSpace
            If the equations are singular in double precision.
        """
        M, N = g.shape
        rows, columns = modes_of(N, True), modes_of(M, False)
        of_rows = rows.shapes[rows_held.astype(np.int64)]  # (M, K, N)
        of_columns = np.ascontiguousarray(columns.shapes[columns_held.astype(np.int64)].T)  # (M, K, N)
        own_rows = _own(g, of_rows, rows.eigenvalues[rows_held.astype(np.int64)] / ohms[0], 2)
        own_columns = _own(g, of_columns, columns.eigenvalues[columns_held.astype(np.int64)] / ohms[1], 0)
        coupling = (of_rows * g[:, None, :])[:, :, None, :] * of_columns[:, None, :, :]
        inverse = _inverses(own_rows)
        through = np.matmul(inverse, coupling.reshape(M, MODES, MODES * N)).reshape(M * MODES, MODES * N)
        reduced = through.T @ coupling.reshape(M * MODES, MODES * N)
        np.negative(reduced, out=reduced)
        n = np.arange(N)
        for a in range(MODES):
            for b in range(MODES):
                reduced[a * N + n, b * N + n] += own_columns[:, a, b]
        factor, info = dpotrf(reduced.T, lower=1, clean=0, overwrite_a=1)
        if info != 0:
            raise NoCoarseSpace
        correction = dpotrs(factor, through.T, lower=1)[0].T
        return cls(correction, of_rows[:, :, 0] / ohms[0], of_columns[-1] / ohms[1], factor)

    def first_guess(self, left: FloatArray, bottom: FloatArray) -> FloatArray:
        """Return the modes of columns (S, MODES N) for volts at the sources of rows (S, M) and of columns (S, N).

        Amperes into the ends of floating columns count as amperes times the ohms of a segment.
        """
        S = len(left)
        into_rows = (left[:, :, None] * self._into_rows).reshape(S, -1)
        into_columns = (bottom[:, None, :] * self._into_columns).reshape(S, -1)
        of_columns = dpotrs(self._factor, into_columns.T, lower=1)[0].T
        return np.ascontiguousarray(into_rows @ self.correction + of_columns)


def _own(g: FloatArray, shapes: FloatArray, wires: FloatArray, axis: int) -> FloatArray:
    """Return the siemens (lines, K, K) of devices and wires between the modes (M, K, N) of a line."""
    own = np.empty((len(wires), MODES, MODES))
    for a in range(MODES):
        weighted = g * shapes[:, a]
        for b in range(a, MODES):
            own[:, a, b] = own[:, b, a] = (weighted * shapes[:, b]).sum(axis=axis // 2)
        own[:, a, a] += wires[:, a]
    return own


def _inverses(own: FloatArray) -> FloatArray:
    """Return the inverses of matrices (lines, K, K)."""
    try:
        return np.asarray(np.linalg.inv(own))
    except np.linalg.LinAlgError:
        raise NoCoarseSpace from None
