"""Order of nodes in the linearised node equations, and the places of edges in them."""

from __future__ import annotations

from functools import cached_property
from typing import Final

import numpy as np
from scipy.sparse import csr_array

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.graphs import incidence, independent_set, summed
from hwlearn.circuit.nonlinear.currents import Structure

DENSE_NODES: Final = 400
"""With up to this many remaining nodes the equations are solved densely."""

_DENSE_COUPLING: Final = 16  # entries of a dense matrix of couplings to held nodes for each edge


class NodeOrder:
    """Order of nodes for one set of held nodes, and the places of edges in the equations.

    Depends on the graph and its elements alone.

    Parameters
    ----------
    of : Structure
        The graph and its elements.
    held : ndarray of bool, shape (n_out,)
        Outputs that are held in addition to the driven nodes.

    Attributes
    ----------
    free : ndarray of int
        Free nodes in the order of elimination: independent ones first, then the remaining ones.
    pinned : ndarray of int
        Held nodes.
    nodes : ndarray of int, shape (N,)
        Free nodes, then held nodes.
    output_position : ndarray of int, shape (n_out,)
        Index of each output in ``free``; -1 if it is held.
    """

    def __init__(self, of: Structure, held: BoolArray) -> None:
        topology = of.topology
        n = topology.n_nodes
        pinned = np.zeros(n, dtype=bool)
        pinned[topology.driven] = True
        pinned[topology.outputs[held]] = True
        free: IntArray = np.flatnonzero(~pinned)
        position = np.full(n, -1, dtype=np.int64)
        position[free] = np.arange(free.size)
        a, b = position[topology.all_edges[:, 0]], position[topology.all_edges[:, 1]]
        inner = (a >= 0) & (b >= 0)
        rows, columns = np.concatenate([a[inner], b[inner]]), np.concatenate([b[inner], a[inner]])
        independent = independent_set(csr_array((np.ones(len(rows)), (rows, columns)), shape=2 * (free.size,)))
        self.n_independent = int(independent.sum())
        self.n_remaining = free.size - self.n_independent
        self.dense = self.n_remaining <= DENSE_NODES
        self.free: IntArray = np.concatenate([free[independent], free[~independent]])
        self.pinned: IntArray = np.flatnonzero(pinned)
        self.nodes = np.concatenate([self.free, self.pinned])
        place = np.empty(n, dtype=np.int64)
        place[self.nodes] = np.arange(n)
        at = place[topology.outputs]
        self.output_position: IntArray = np.where(at < free.size, at, -1)
        ends = place[topology.all_edges]
        self.ohmic = Resistors(self, ends if len(of.ohmic) == len(ends) else ends[of.ohmic])
        self.nonlinear = NonlinearEdges(self, ends[of.nonlinear])


class _Places:
    """Places of edges in the equations.

    Edges add to the diagonal, to the coupling across independent and remaining nodes, and to the coupling within
    the remaining nodes.

    Parameters
    ----------
    nodes : NodeOrder
    ends : ndarray of int, shape (K, 2)
        Positions of the ends in ``nodes.nodes``: free nodes come before held ones.
    """

    def __init__(self, nodes: NodeOrder, ends: IntArray) -> None:
        h, r, self._n_free = nodes.n_independent, nodes.n_remaining, nodes.free.size
        self.count = len(ends)
        self.free_ends = ends < self._n_free
        self.inner_edges: IntArray = np.flatnonzero(self.free_ends.all(axis=1))
        self.inner = ends[self.inner_edges]
        low, high = self.inner.min(axis=1), self.inner.max(axis=1)
        crossing, inside = low < h, low >= h
        self.has_across, self.has_within = bool(crossing.any()), bool(inside.any())
        self._across = self._within = _Sum(self.inner_edges[:0], self.inner_edges[:0], 0, 0)
        if nodes.dense:
            k = np.arange(len(low))
            self._across = _Sum(low[crossing] * r + high[crossing] - h, k[crossing], h * r, len(k))
            first, second = low[inside] - h, high[inside] - h
            both = np.concatenate([first * r + second, second * r + first])
            self._within = _Sum(both, np.concatenate([k[inside], k[inside]]), r * r, len(k))


class Resistors(_Places):
    """Resistors, whose conductances are the same in all samples."""

    def __init__(self, nodes: NodeOrder, ends: IntArray) -> None:
        super().__init__(nodes, ends)
        single = np.flatnonzero(self.free_ends[:, 0] ^ self.free_ends[:, 1])
        some = ends[single]
        self._coupling_places = (some.max(axis=1) - self._n_free) * self._n_free + some.min(axis=1)
        self._coupling_edges = _as_slice(single)
        self._n_pinned = nodes.pinned.size

    def coupling(self, siemens: FloatArray) -> FloatArray | csr_array:
        """Return the conductances (n_pinned, n_free) between held and free nodes."""
        places, values, m, n = self._coupling_places, siemens[self._coupling_edges], self._n_pinned, self._n_free
        if m * n <= _DENSE_COUPLING * len(values):
            return summed(places, values, m * n).reshape(m, n)
        return csr_array((values, np.divmod(places, max(1, n))), shape=(m, n))

    def inner_sums(self, siemens: FloatArray) -> FloatArray:
        """Return the sum (n_free,) of the conductances from each free node to other free nodes."""
        values = siemens[self.inner_edges]
        at_a, at_b = self.inner.T
        n = self._n_free
        return summed(at_a, values, n) + summed(at_b, values, n)

    def across(self, inner_siemens: FloatArray) -> FloatArray:
        """Return the conductances (n_independent * n_remaining,) between independent and remaining nodes."""
        return self._across.of_one(inner_siemens)

    def within(self, inner_siemens: FloatArray) -> FloatArray:
        """Return the conductances (n_remaining^2,) among the remaining nodes, without the diagonal."""
        return self._within.of_one(inner_siemens)


class NonlinearEdges(_Places):
    """Edges whose slopes (S, K) and currents (S, K) differ from sample to sample."""

    def __init__(self, nodes: NodeOrder, ends: IntArray) -> None:
        super().__init__(nodes, ends)
        n, k = self._n_free, np.arange(self.count)
        self.moving: BoolArray = np.asarray(self.free_ends.any(axis=1))
        """Edges with at least one free end."""
        a_free, b_free = self.free_ends.T
        at_ends = np.concatenate([ends[a_free, 0], ends[b_free, 1]])
        of_ends = np.concatenate([k[a_free], k[b_free]])
        by_edge = np.argsort(of_ends, kind="stable")
        self._diagonal = _Sum(at_ends[by_edge], of_ends[by_edge], n, self.count)
        single = a_free ^ b_free
        self._leak = _Sum(ends.min(axis=1)[single], k[single], n, self.count)
        # the end with the smaller position comes first, so that equal ends of many edges are found
        self._sign = np.where(ends[:, 0] <= ends[:, 1], 1.0, -1.0)
        self._first, self._second = _as_slice(ends.min(axis=1)), _as_slice(ends.max(axis=1), or_equal=True)
        self._outflow = incidence(ends, nodes.nodes.size)[:, :n].T.tocsr()
        self._alone = self._diagonal.alone if bool(single.all()) else None
        self.single = bool(single.all())
        """Whether every edge has one free and one held end."""
        self.free_node, self.held_node, self.sign_at_free = ends.min(axis=1), ends.max(axis=1), self._sign
        """Ends of such edges, and 1 if the drop counts from the free one, else -1."""

    def drops(self, V: FloatArray) -> FloatArray:
        """Return the drops (S, K), a minus b, at voltages (S, N) in the order of ``NodeOrder.nodes``."""
        v = V[:, self._first] - V[:, self._second]
        v *= self._sign
        return v

    def outflow(self, currents: FloatArray) -> FloatArray:
        """Return the currents (S, n_free) out of the free nodes."""
        if self._alone is None:
            return np.ascontiguousarray((self._outflow @ currents.T).T)
        out = np.zeros((len(currents), self._n_free))
        out[:, self._alone] = currents * self._sign
        return out

    def sizes(self, currents: FloatArray) -> FloatArray:
        """Return the sums (S, n_free) of absolute currents (S, K) at the free nodes."""
        return self._diagonal.of_samples(currents)

    def diagonal(self, slopes: FloatArray) -> FloatArray:
        """Return the sums (S, n_free) of the slopes at the free nodes."""
        return self._diagonal.of_samples(slopes)

    def leak(self, slopes: FloatArray) -> FloatArray:
        """Return the sums (S, n_free) of the slopes between free and held nodes."""
        return self._leak.of_samples(slopes)

    def across(self, slopes: FloatArray) -> FloatArray:
        """Return the slopes (S, n_independent * n_remaining) between independent and remaining nodes."""
        return self._across.of_samples(slopes[:, self.inner_edges])

    def within(self, slopes: FloatArray) -> FloatArray:
        """Return the slopes (S, n_remaining^2) among the remaining nodes, without the diagonal."""
        return self._within.of_samples(slopes[:, self.inner_edges])


class _Sum:
    """Sums of some of ``count`` values: value ``source[k]`` is added at ``places[k]`` of ``size`` places."""

    def __init__(self, places: IntArray, source: IntArray, size: int, count: int) -> None:
        self._places, self._source, self._size, self._count = places, source, size, count
        every = np.array_equal(source, np.arange(count))
        self.alone = _as_slice(places) if every and len(np.unique(places)) == count else None
        """Places, if every value is added once, in order, and no two at the same place."""

    def of_one(self, values: FloatArray) -> FloatArray:
        """Return the sums (size,) of values (count,)."""
        return summed(self._places, values[self._source], self._size)

    def of_samples(self, values: FloatArray) -> FloatArray:
        """Return the sums (S, size) of values (S, count)."""
        if self.alone is None and len(self._places):
            return np.ascontiguousarray((self._matrix @ values.T).T)
        out = np.zeros((len(values), self._size))
        if self.alone is not None:
            out[:, self.alone] = values
        return out

    @cached_property
    def _matrix(self) -> csr_array:
        ones = np.ones(len(self._places))
        return csr_array((ones, (self._places, self._source)), shape=(self._size, self._count))


def _as_slice(numbers: IntArray, *, or_equal: bool = False) -> IntArray | slice:
    """Return numbers for indexing: consecutive ones as a slice; on request, equal ones as a slice of one."""
    if len(numbers) and (np.diff(numbers) == 1).all():
        return slice(int(numbers[0]), int(numbers[-1]) + 1)
    if or_equal and len(numbers) and (numbers == numbers[0]).all():
        return slice(int(numbers[0]), int(numbers[0]) + 1)
    return numbers
