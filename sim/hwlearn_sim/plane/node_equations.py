"""Node equations of one linearised circuit: reduction to the kept nodes, and bounds on rounding errors."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

from hwlearn.arrays import FloatArray, IntArray

DENSE_NODES: Final = 300
"""With up to this many nodes the equations are solved densely."""


class Singular(Exception):
    """The equations have no solution in double precision."""


class Equations(Protocol):
    """Node equations of n nodes, of which the first ones are kept nodes and the others inner ones."""

    def reduce(self, kept: int, into: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Eliminate the inner nodes.

        Parameters
        ----------
        kept : int
            Number of kept nodes.
        into : ndarray, shape (n - kept,)
            Currents into the inner nodes.

        Returns
        -------
        between : ndarray, shape (kept, kept)
            Conductances in siemens between kept nodes; the diagonal has no meaning.
        follow : ndarray, shape (n - kept, kept)
            Voltages of the inner nodes per volt at each kept node.
        own : ndarray, shape (n - kept,)
            Voltages of the inner nodes with all kept nodes at 0 V.

        Raises
        ------
        Singular
            If the equations of the inner nodes have no solution.
        """
        ...

    def leak_and_bound(self, free: IntArray, rounding: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return two voltages of each free node.

        The first is that with every other node at 1 V and no currents: 1 V, but for rounding. The second is a
        bound on the error by rounding errors ``rounding`` (n,) of the currents.

        Raises
        ------
        Singular
            If the equations of the free nodes have no solution.
        """
        ...


class DenseEquations:
    """Equations with a dense matrix.

    Parameters
    ----------
    laplacian : ndarray, shape (n, n)
        Siemens.
    """

    def __init__(self, laplacian: FloatArray) -> None:
        self._laplacian = laplacian

    def reduce(self, kept: int, into: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Eliminate the inner nodes; see `Equations.reduce`."""
        L = self._laplacian
        between, pull = -L[:kept, :kept], -L[kept:, :kept]
        found = _solved(L[kept:, kept:], np.column_stack([pull, into]))
        follow = found[:, :kept]
        return between + pull.T @ follow, follow, found[:, kept]

    def leak_and_bound(self, free: IntArray, rounding: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return two voltages of each free node; see `Equations.leak_and_bound`."""
        rows = self._laplacian[free]
        held = np.ones(len(self._laplacian), dtype=np.bool_)
        held[free] = False
        found = _solved(rows[:, free], np.stack([-rows[:, held].sum(axis=1), rounding[free]], axis=1))
        return found[:, 0], found[:, 1]


class SparseEquations:
    """Equations with a sparse matrix.

    Parameters
    ----------
    laplacian : csc_array, shape (n, n)
        Siemens.
    """

    def __init__(self, laplacian: csc_array) -> None:
        self._laplacian = laplacian

    def reduce(self, kept: int, into: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Eliminate the inner nodes; see `Equations.reduce`."""
        outer, rest = self._laplacian[:, :kept], self._laplacian[:, kept:]
        between, pull = -outer[:kept].toarray(), -outer[kept:].toarray()
        found = _sparsely_solved(rest[kept:], np.column_stack([pull, into]))
        follow = found[:, :kept]
        return between + pull.T @ follow, follow, found[:, kept]

    def leak_and_bound(self, free: IntArray, rounding: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return two voltages of each free node; see `Equations.leak_and_bound`."""
        rows = self._laplacian.tocsr()[free].tocsc()
        held = np.ones(rows.shape[1])
        held[free] = 0.0
        found = _sparsely_solved(rows[:, free], np.stack([-(rows @ held), rounding[free]], axis=1))
        return found[:, 0], found[:, 1]


def _solved(matrix: FloatArray, right: FloatArray) -> FloatArray:
    try:
        return np.asarray(np.linalg.solve(matrix, right))
    except np.linalg.LinAlgError:
        raise Singular from None


def _sparsely_solved(matrix: csc_array, right: FloatArray) -> FloatArray:
    if not right.size:
        return right
    try:
        # symmetric with a dominant diagonal: the order may be chosen for little fill-in alone
        options = {"SymmetricMode": True}
        factor = splu(csc_array(matrix), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
        return np.asarray(factor.solve(right))
    except RuntimeError:
        raise Singular from None
