"""Conjugate gradients for graphs whose factor would be too large, such as random graphs of 10^5 nodes and more."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.sparse import csr_array

from hwlearn.arrays import BoolArray, FloatArray

ACCURACY: Final = 1e-5
"""Largest error of a solution relative to its largest voltage; refinement by residuals does the rest."""

_ROUGHLY: Final = 0.1
_MOST_STEPS: Final = 3_000
_STEPS_A_LOOK: Final = 10  # looking for the largest residual takes as long as a step
_MOST_REACH: Final = 1e7
"""With a larger one, rounding would hide the residual that `ACCURACY` requires."""


class SlowConvergence(Exception):
    """Conjugate gradients take too many steps, or cannot guarantee the accuracy in double precision."""


class ConjugateGradients:
    """A positive definite matrix of node equations, whose equations are solved by iteration; a `MatrixFactor`.

    Solutions are accurate to `ACCURACY`, relative to the largest voltage of each. The off-diagonal entries are
    negative or zero and no row has a negative sum, so that the inverse has no negative entry: if no residual
    exceeds the share t of its diagonal entry d, no error exceeds t max(A^-1 d).

    Parameters
    ----------
    matrix : csr_array, shape (n, n)
    diagonal : ndarray, shape (n,)

    Raises
    ------
    SlowConvergence
        If the equations are not suited for iteration.
    """

    def __init__(self, matrix: csr_array, diagonal: FloatArray) -> None:
        self._matrix, self._diagonal = matrix, diagonal[:, None]
        if not (diagonal > 0).all():
            raise SlowConvergence
        # a residual of a tenth of d changes A^-1 d by a tenth at most
        self._share, self._of_largest = _ROUGHLY, False
        reach = float(self.solve(diagonal).max()) / (1 - _ROUGHLY)
        if not reach < _MOST_REACH:
            raise SlowConvergence
        self._share, self._of_largest = ACCURACY / reach, True

    def solve(self, currents: FloatArray) -> FloatArray:
        """Return volts (n, S) or (n,) for currents of the same shape.

        Raises
        ------
        SlowConvergence
            If they take too many steps.
        """
        if currents.ndim == 1:
            return self.solve(currents[:, None])[:, 0]
        volts = np.zeros(currents.shape)
        open_columns = np.flatnonzero(currents.any(axis=0))
        for _ in range(3):  # the residual is updated from step to step: start again if rounding has spoiled it
            if not open_columns.size:
                return volts
            right = np.ascontiguousarray(currents[:, open_columns])
            found = self._iterated(right, volts[:, open_columns])
            volts[:, open_columns] = found
            off = (right - self._matrix @ found) / self._diagonal
            open_columns = open_columns[~self._fine(off, found)]
        if open_columns.size:
            raise SlowConvergence
        return volts

    def _iterated(self, right: FloatArray, volts: FloatArray) -> FloatArray:
        """Return volts (n, S) that satisfy the equations as far as the updated residual tells."""
        residual = right - self._matrix @ volts
        scaled = residual / self._diagonal
        step = scaled.copy()
        energy = _dots(residual, step)
        for number in range(1, _MOST_STEPS + 1):
            current = self._matrix @ step
            length = np.divide(energy, _dots(step, current), out=np.zeros_like(energy), where=energy > 0)
            volts += np.multiply(length, step, out=scaled)
            current *= length
            residual -= current
            np.divide(residual, self._diagonal, out=scaled)
            if number % _STEPS_A_LOOK == 0 and self._fine(scaled, volts).all():
                return volts
            before, energy = energy, _dots(residual, scaled)
            step *= np.divide(energy, before, out=np.zeros_like(energy), where=before > 0)
            step += scaled
        raise SlowConvergence

    def _fine(self, scaled: FloatArray, volts: FloatArray) -> BoolArray:
        """Return a mask (S,) of the columns that are accurate enough, by their residuals over the diagonal."""
        largest = np.maximum(volts.max(axis=0), -volts.min(axis=0)) if self._of_largest else 1.0
        share = np.maximum(scaled.max(axis=0), -scaled.min(axis=0))
        return np.asarray(share <= 0.5 * self._share * largest, dtype=np.bool_)


def _dots(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("ns,ns->s", a, b))
