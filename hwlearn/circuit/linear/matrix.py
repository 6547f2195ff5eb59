"""Sparse matrices of node equations: nonzero patterns, and the interface of their factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.graphs import summed


class MatrixFactor(Protocol):
    """A factored positive definite matrix (n, n)."""

    def solve(self, currents: FloatArray) -> FloatArray:
        """Return volts (n, S) or (n,) for currents of the same shape."""


class SingularMatrix(Exception):
    """A matrix that cannot be factored in double precision: a pivot is zero or negative.

    Attributes
    ----------
    position : int
        Row of the pivot; -1 if it is not known.
    """

    def __init__(self, position: int = -1) -> None:
        self.position = position


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """Nonzero pattern of a symmetric sparse matrix, and where its values come from."""

    indptr: IntArray
    indices: IntArray
    gather: IntArray
    pair: IntArray
    n_pairs: int

    @classmethod
    def of(cls, ends: IntArray, n: int) -> Pattern:
        """Return the pattern of edges between the positions ``ends`` (K, 2) of n nodes."""
        low, high, pair = _pairs(ends, n)
        nodes = np.arange(n)
        rows, columns = np.concatenate([high, low, nodes]), np.concatenate([low, high, nodes])
        places = csc_array((np.arange(len(rows)), (rows, columns)), shape=(n, n))
        places.sort_indices()
        return cls(places.indptr, places.indices, places.data, pair, len(low))

    def matrix(self, between: FloatArray, diagonal: FloatArray) -> csc_array:
        """Return the matrix of conductances between free nodes (K,) and a diagonal (n,)."""
        off = -summed(self.pair, between, self.n_pairs)
        n = len(diagonal)
        return csc_array((np.concatenate([off, off, diagonal])[self.gather], self.indices, self.indptr), (n, n))


@dataclass(frozen=True, slots=True, eq=False)
class LowerPattern:
    """Nonzero pattern of the lower triangle of a symmetric sparse matrix, and where its values come from.

    Attributes
    ----------
    rows, columns : ndarray of intc, shape (nnz,)
        Place of each entry: column by column, rows ascending, so that the diagonal comes first in each column.
    """

    rows: NDArray[np.intc]
    columns: NDArray[np.intc]
    _on_diagonal: IntArray
    _below: IntArray
    _pair: IntArray

    @classmethod
    def of(cls, ends: IntArray, n: int) -> LowerPattern:
        """Return the pattern of edges between the positions ``ends`` (K, 2) of n nodes."""
        low, high, pair = _pairs(ends, n)
        below = np.arange(1, len(low) + 1) + low
        counts = np.bincount(low, minlength=n) + 1
        on_diagonal = np.cumsum(counts) - counts
        nodes = np.arange(n, dtype=np.intc)
        rows = np.empty(n + len(low), dtype=np.intc)
        rows[on_diagonal], rows[below] = nodes, high
        return cls(rows, np.repeat(nodes, counts), on_diagonal, below, pair)

    def values(self, between: FloatArray, diagonal: FloatArray) -> FloatArray:
        """Return the entries (nnz,) for conductances between free nodes (K,) and a diagonal (n,)."""
        values = np.empty(len(self.rows))
        values[self._on_diagonal] = diagonal
        values[self._below] = -summed(self._pair, between, len(self._below))
        return values


def _pairs(ends: IntArray, n: int) -> tuple[IntArray, IntArray, IntArray]:
    """Return the lower and the higher node of each connected pair, and the pair (K,) of each edge (K, 2)."""
    pairs, pair = np.unique(ends.min(axis=1) * n + ends.max(axis=1), return_inverse=True)
    low, high = np.divmod(pairs, n)
    return low, high, pair.ravel()
