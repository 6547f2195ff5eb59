"""`LawPattern`: the free nodes of a circuit in an order of elimination with little fill-in, and their matrix."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

from hwlearn.arrays import BoolArray, IntArray


class LawPattern:
    """Places of the node equations for one set of free nodes; it depends on the graph alone.

    Parameters
    ----------
    nodes : ndarray of int, shape (2, K)
        Ends of all edges.
    free : ndarray of bool, shape (N,)
        Nodes whose voltages are unknown.

    Attributes
    ----------
    free : ndarray of int, shape (n,)
        Free nodes in the order of elimination.
    position : ndarray of int, shape (N,)
        Their places in this order; -1 for other nodes.
    ends : ndarray of int, shape (2, K)
        Places of both ends of every edge, -1 where they are held.
    """

    def __init__(self, nodes: IntArray, free: BoolArray) -> None:
        given = np.flatnonzero(free)
        n = len(given)
        position = np.full(len(free), -1, dtype=np.int64)
        position[given] = np.arange(n)
        a, b = position[nodes]
        between = (a >= 0) & (b >= 0)
        order = _order(np.stack([a[between], b[between]]), n)
        self.free: IntArray = given[order]
        self.position = position
        self.position[self.free] = np.arange(n)
        self.ends: IntArray = self.position[nodes]

    @cached_property
    def above(self) -> list[IntArray]:
        """For each place those after it, ascending, of its row of U and its column of L, fill-in included."""
        n = len(self.free)
        low, high = np.sort(self.ends[:, (self.ends >= 0).all(axis=0)], axis=0)
        own = np.split(high[np.argsort(low, kind="stable")], np.searchsorted(np.sort(low), np.arange(1, n)))
        passed: list[list[IntArray]] = [[] for _ in range(n)]
        found = []
        for k in range(n):
            entries = np.unique(np.concatenate([own[k], *passed[k]]) if passed[k] else own[k])
            entries = entries[entries > k]
            found.append(entries)
            passed[k] = []
            if len(entries):
                passed[int(entries[0])].append(entries)
        return found

    @cached_property
    def multiplications(self) -> int:
        """Multiplications of one factorization."""
        return int(sum(len(entries) ** 2 + len(entries) for entries in self.above))


def _order(pairs: IntArray, n: int) -> IntArray:
    """Return an order of elimination of n nodes for pairs (2, m) of connected ones."""
    if n < 3 or not pairs.size:
        return np.arange(n)
    a, b = pairs
    every = np.arange(n)
    rows, columns = np.concatenate([a, b, every]), np.concatenate([b, a, every])
    # dominant, so that the order of columns is the one of minimum degree
    values = np.where(rows == columns, 1.0 + len(a), -1.0)
    matrix = csc_array((values, (rows, columns)), shape=(n, n))
    factor = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return np.asarray(np.argsort(factor.perm_c))
