"""Places of conductances in the node equations of one set of held nodes, and the order of elimination."""

from __future__ import annotations

from functools import cached_property
from typing import Final

import numpy as np
from scipy.sparse import csc_array, csr_array

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.graphs import incidence, independent_set, summed
from hwlearn.circuit.linear.cholmod import Analysis
from hwlearn.circuit.linear.front import GraphShape, shape_of
from hwlearn.circuit.linear.matrix import LowerPattern, Pattern
from hwlearn.circuit.linear.superlu import minimum_degree_order

_SMALL: Final = 20_000
_FEW_NODES: Final = 40  # up to this many nodes, an elimination costs more than it saves
_MOST_REMAINING: Final = 0.7
_DENSITY: Final = 0.1  # of entries in a matrix that is factored densely


class Plan:
    """Places of conductances in the equations of one set of held nodes; depends on the graph alone.

    Parameters
    ----------
    edges : ndarray of int, shape (K, 2)
        Node pairs, in the order of the conductances; a pair of equal nodes is ignored.
    pinned : ndarray of int
        Held nodes.
    free : ndarray of int
        Nodes to solve for, in the order of elimination.
    n_nodes : int
        Number of nodes, held and free.
    terminals : ndarray of int, optional
        Nodes into which currents are usually injected.
    n_independent : int, optional
        If given, the equations are solved densely, and no two of the first ``n_independent`` free nodes share an
        edge.

    Attributes
    ----------
    free, pinned : ndarray of int
        As given.
    position : ndarray of int, shape (n_nodes,)
        Index of a free node in ``free``; -1 for held nodes.
    """

    def __init__(
        self,
        edges: IntArray,
        pinned: IntArray,
        free: IntArray,
        n_nodes: int,
        terminals: IntArray | None = None,
        *,
        n_independent: int | None = None,
    ) -> None:
        self.terminals = np.zeros(0, dtype=np.int64) if terminals is None else terminals
        self.dense, self.n_independent = n_independent is not None, n_independent or 0
        self.free, self.pinned = free, pinned
        self.edges, self._n_nodes = edges, n_nodes
        n = free.size
        self.position = np.full(n_nodes, -1, dtype=np.int64)
        self.position[free] = np.arange(n)
        at_pin = np.full(n_nodes, -1, dtype=np.int64)
        at_pin[pinned] = np.arange(pinned.size)
        a, b = edges.T
        pa, pb = self.position[a], self.position[b]
        a_free, b_free = (pa >= 0) & (a != b), (pb >= 0) & (a != b)
        both, only_a, only_b = a_free & b_free, a_free & ~b_free, ~a_free & b_free
        k = np.arange(len(a))
        # +g on the diagonal at each free end, -g off the diagonal between two free ends
        self.ends = np.concatenate([pa[a_free], pb[b_free]])
        self.end_source = np.concatenate([k[a_free], k[b_free]])
        self.inner = np.stack([pa[both], pb[both]], axis=1)
        self.inner_source = k[both]
        # free-pinned part, moved to the right-hand side: +g
        self.coupling_rows = np.concatenate([at_pin[b[only_a]], at_pin[a[only_b]]])
        self.coupling_columns = np.concatenate([pa[only_a], pb[only_b]])
        self.coupling_source = np.concatenate([k[only_a], k[only_b]])

    @cached_property
    def by_minimum_degree(self) -> Plan:
        """The same plan with its free nodes in an order of elimination with little fill-in."""
        # the values do not matter, as long as the matrix is positive definite
        ones = np.ones(len(self.edges))
        matrix = self.pattern.matrix(ones[self.inner_source], self.diagonal(ones) + 1.0)
        order = minimum_degree_order(matrix)
        return Plan(self.edges, self.pinned, self.free[order], self._n_nodes, self.terminals)

    @cached_property
    def shape(self) -> GraphShape:
        """Shape of the graph of free nodes."""
        return shape_of(self.inner, self.free.size)

    @cached_property
    def analysis(self) -> Analysis:
        """CHOLMOD's analysis of the sparse matrix."""
        return Analysis(LowerPattern.of(self.inner, self.free.size), self.free.size)

    @cached_property
    def across(self) -> tuple[IntArray, IntArray]:
        """Flat places in a dense array (n_independent, n_remaining), and the edges summed at each place."""
        h, remaining = self.n_independent, self.free.size - self.n_independent
        low, high = self.inner.min(axis=1), self.inner.max(axis=1)
        some = low < h
        return low[some] * remaining + high[some] - h, self.inner_source[some]

    @cached_property
    def lower(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Flat places in the dense lower triangle (column-major) of the remaining nodes, edges and their signs."""
        h, n = self.n_independent, self.free.size - self.n_independent
        low, high = self.inner.min(axis=1) - h, self.inner.max(axis=1) - h
        ends, between = self.ends >= h, low >= 0
        places = np.concatenate([(self.ends[ends] - h) * (n + 1), low[between] * n + high[between]])
        sign = np.repeat([1.0, -1.0], [ends.sum(), between.sum()])
        return places, np.concatenate([self.end_source[ends], self.inner_source[between]]), sign

    @cached_property
    def coupling_flat(self) -> IntArray:
        """Flat places of the free-pinned part as a dense array (n_pinned, n_free)."""
        return np.asarray(self.coupling_rows * self.free.size + self.coupling_columns)

    @cached_property
    def pattern(self) -> Pattern:
        """Nonzero pattern of the sparse matrix."""
        return Pattern.of(self.inner, self.free.size)

    @cached_property
    def incidence(self) -> csr_array:
        """Oriented incidence of the edges between free nodes, sparse (K_inner, n_free)."""
        return incidence(self.inner, self.free.size)

    def diagonal(self, g: FloatArray) -> FloatArray:
        """Return the sum of conductances (n_free,) at each free node."""
        return summed(self.ends, g[self.end_source], self.free.size)

    def coupling(self, g: FloatArray) -> FloatArray | csc_array:
        """Return the conductances (n_pinned, n_free) between held and free nodes."""
        m, n = self.pinned.size, self.free.size
        values = g[self.coupling_source]
        if self.dense and m * n <= 8 * len(values) + _SMALL:
            return summed(self.coupling_flat, values, m * n).reshape(m, n)
        return csc_array((values, (self.coupling_rows, self.coupling_columns)), shape=(m, n))


class IllConditioned(Exception):
    """The voltage of a node cannot be computed in double precision."""

    def __init__(self, node: int) -> None:
        self.node = node


class FactorTooLarge(Exception):
    """A factor that neither library can hold.

    Attributes
    ----------
    rows : int
        Rows of its largest dense block, about.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows


def dense_order(free: IntArray, edges: IntArray, n_nodes: int, small: int) -> tuple[IntArray, int] | None:
    """Return the free nodes in the order of a dense solution, and the number of independent ones.

    Independent nodes (no two share an edge) come first: the rows or the columns of a crossbar, every other layer
    of a layered network. Their part of the equations is diagonal, so that only the remaining nodes are factored.

    Parameters
    ----------
    free : ndarray of int
    edges : ndarray of int, shape (K, 2)
    n_nodes : int
    small : int
        Up to this many free nodes are always solved densely; up to 16 times as many if the matrix is dense.

    Returns
    -------
    order, n_independent : ndarray of int, int
        Or None if a sparse solution is faster.
    """
    n = free.size
    if n > 16 * small:
        return None
    if n <= min(_FEW_NODES, small):
        return free, 0
    position = np.full(n_nodes, -1, dtype=np.int64)
    position[free] = np.arange(n)
    ends = position[edges]
    ends = ends[(ends >= 0).all(axis=1) & (ends[:, 0] != ends[:, 1])]
    both = np.concatenate([ends, ends[:, ::-1]])
    joined = csr_array((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(n, n))
    joined.sum_duplicates()
    degree = np.diff(joined.indptr)
    independent = independent_set(joined)
    h = int(independent.sum())
    remaining = n - h
    full = (degree[independent].astype(float) ** 2).sum() >= _DENSITY * h * remaining**2 or (
        joined.nnz >= _DENSITY * n**2
    )
    if n > small and not full:
        return None
    if remaining > _MOST_REMAINING * n:
        return free, 0
    return np.concatenate([free[independent], free[~independent]]), h
