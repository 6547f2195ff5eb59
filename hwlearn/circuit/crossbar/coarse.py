"""Coarse equations of a crossbar: one voltage for each column, all rows solved exactly.

Sweeps over the lines (`sweeps`) leave smooth errors along the columns: a column that floats is held by its
devices alone. The voltages of a column are a sum of the modes of its wire. A device current of a mode with
eigenvalue lambda causes voltages of R / lambda times itself, so the first mode of each column matters most; on a
floating column all its nodes have the same voltage. Restricted to these (Galerkin), the equations of the columns,
with the rows eliminated, have one unknown for each column.

With all rows held at their left ends, an entry (i, j) of the inverse of a row is ``rise_i fall_j`` for i <= j. So
the coarse equations of all rows together are one product of matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri

from hwlearn.arrays import BoolArray, FloatArray

_KEPT: Final = 16


class NoCoarseSpace(Exception):
    """Coarse equations that are singular in double precision."""


@lru_cache(maxsize=_KEPT)
def first_mode(length: int, held: bool) -> tuple[FloatArray, float, float]:
    """Return the first mode (length,) of a column, of unit length, and the eigenvalues of the first two modes.

    The first end of the column floats; its last end floats too, or a source holds it after one more segment.
    """
    k = np.arange(2)
    angle = np.pi * (2 * k + 1) / (2 * length + 1) if held else np.pi * k / length
    shape = np.cos(angle[0] * (np.arange(length) + 0.5))
    first, second = (2.0 - 2.0 * np.cos(angle)).tolist()
    return shape / np.sqrt((shape**2).sum()), first, second


@dataclass(frozen=True, eq=False)
class CoarseSpace:
    """Coarse equations of the columns.

    Attributes
    ----------
    modes : ndarray, shape (K, M)
        First mode of each kind of column that there is: floating and held ones, or one of these.
    eigenvalues : ndarray, shape (K,)
    used : ndarray, shape (K, N)
        One where a column is of a kind, else zero.
    inverse : ndarray, shape (N, N)
        Inverse of the coarse equations.
    correction : ndarray, shape (N, N)
        What the inverse adds to that of the columns alone.
    from_rows : ndarray, shape (M, N)
        Right-hand side of the coarse equations per volt at the left ends of the rows.
    """

    modes: FloatArray
    eigenvalues: FloatArray
    used: FloatArray
    inverse: FloatArray
    correction: FloatArray
    from_rows: FloatArray

    @classmethod
    def of(
        cls, leaks: tuple[FloatArray, FloatArray], rise: FloatArray, fall: FloatArray, held: BoolArray
    ) -> CoarseSpace:
        """Return the coarse space of a crossbar with all rows held.

        Parameters
        ----------
        leaks : (ndarray, ndarray), each of shape (M, N)
            Ohms of a segment of rows and of columns times siemens of the devices.
        rise, fall : ndarray, shape (M, N)
            Factors of the inverses of the rows.
        held : ndarray of bool, shape (N,)
            Columns whose last ends are held.

        Raises
        ------
        NoCoarseSpace
            If the equations are singular in double precision.
        """
        (M, N), (row_leaks, column_leaks) = rise.shape, leaks
        kinds = [kind for kind in (False, True) if (held == kind).any()]
        modes = np.stack([first_mode(M, kind)[0] for kind in kinds])
        eigenvalues = np.array([first_mode(M, kind)[1] for kind in kinds])
        used = np.stack([held == kind for kind in kinds]).astype(np.float64)
        shapes = modes.T @ used
        leaking = shapes * column_leaks
        from_rows = leaking * fall
        through = (shapes * row_leaks * rise).T @ from_rows
        own = (leaking * shapes).sum(axis=0) + eigenvalues @ used
        # it is symmetric: the part above the diagonal counts
        whole = np.negative(through, order="C")
        whole.reshape(-1)[:: N + 1] += own
        factor, info = dpotrf(whole.T, lower=1, clean=0, overwrite_a=1)
        if info == 0:
            factor, info = dpotri(factor, lower=1, overwrite_c=1)
        if info != 0 or not np.isfinite(factor.diagonal()).all():
            raise NoCoarseSpace
        inverse = np.where(_below(N), factor, factor.T)
        correction = inverse.copy()
        correction.reshape(-1)[:: N + 1] -= 1.0 / own
        return cls(modes, eigenvalues, used, inverse, correction, from_rows)

    def first_guess(self, left: FloatArray, bottom: FloatArray) -> FloatArray:
        """Return the modes of the columns (S, N) for sources at rows (S, M) and columns (S, N), in volts.

        Amperes into the ends of floating columns count as amperes times the ohms of a segment.
        """
        return np.asarray((left @ self.from_rows + bottom * (self.modes[:, -1] @ self.used)) @ self.inverse)


@lru_cache(maxsize=_KEPT)
def _below(N: int) -> BoolArray:
    """Return which entries of a matrix (N, N) are on or below its diagonal."""
    return np.tri(N, dtype=bool)
