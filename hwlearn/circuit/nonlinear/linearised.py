"""The node equations of a batch of linearised circuits: one graph, other slopes in every sample.

Nodes of which no two are joined are eliminated first (the hidden layer of a layered network, the rows or columns
of a crossbar): their part of the equations is diagonal, and what is left is small. It is solved densely, all
samples at once; where much is left, sparsely and one by one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.sparse import csc_array, csr_array
from scipy.sparse.linalg import splu

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.topology import Topology

DENSE_NODES: Final = 400
"""Up to this many nodes that are left after the elimination the equations are solved densely."""

_TABLE_NUMBERS: Final = 4_000_000
_CHUNK_NUMBERS: Final = 4_000_000


class Undetermined(Exception):
    """A sample whose linearised equations have no solution in double precision."""

    def __init__(self, sample: int) -> None:
        self.sample = sample


class Layout:
    """Where edges go in the equations of one set of held nodes; depends on the graph alone.

    Parameters
    ----------
    topology : Topology
        The graph and its elements.
    held : ndarray of bool, shape (n_out,)
        Outputs that are held beside the driven nodes.
    """

    def __init__(self, topology: Topology, held: BoolArray) -> None:
        n = topology.n_nodes
        pinned = np.zeros(n, dtype=bool)
        pinned[topology.driven] = True
        pinned[topology.outputs[held]] = True
        self.free: IntArray = np.flatnonzero(~pinned)
        self.pinned: IntArray = np.flatnonzero(pinned)
        position = np.full(n, -1, dtype=np.int64)
        position[self.free] = np.arange(self.free.size)
        self.output_position: IntArray = position[topology.outputs]
        a, b = position[topology.all_edges[:, 0]], position[topology.all_edges[:, 1]]
        apart = _independent(self.free.size, np.stack([a, b], axis=1))
        self.apart: IntArray = np.flatnonzero(apart)
        self.left: IntArray = np.flatnonzero(~apart)
        self.dense = self.left.size <= DENSE_NODES
        self.order = np.concatenate([self.apart, self.left])
        place = np.empty(self.free.size + 1, dtype=np.int64)
        place[self.order] = np.arange(self.free.size)
        place[-1] = -1
        a, b = place[a], place[b]  # eliminated nodes first, then the others; -1 where held
        ohmic = np.ones(len(a), dtype=bool) if topology.elements is None else topology.elements.ohmic
        self.straight, self.bent = _Parts(self, a[ohmic], b[ohmic]), _Parts(self, a[~ohmic], b[~ohmic])


class Linearised:
    """Linearised equations as far as all samples share them: the resistors.

    Parameters
    ----------
    layout : Layout
    conductances : ndarray
        Siemens, of the resistors alone.
    """

    def __init__(self, layout: Layout, conductances: FloatArray) -> None:
        self.layout = layout
        self.n_apart, self.n_left = layout.apart.size, layout.left.size
        self.size = self.n_apart + self.n_left
        self.base, self.bent = layout.straight, layout.bent
        flow = conductances[None, :]
        self.diagonal, self.leak = self.base.diagonal(flow)[0], self.base.leak(flow)[0]
        self.across = self.base.across(flow)[0]
        self.within = self.base.within(flow)[0] if layout.dense else np.zeros(0)
        self._ohmic_flow = flow
        r = self.n_left
        self._shared = not self.bent.has_across and self.n_apart * r * r <= _TABLE_NUMBERS
        if self._shared and layout.dense:
            C = self.across.reshape(self.n_apart, r)
            self._pairs = (C[:, :, None] * C[:, None, :]).reshape(self.n_apart, r * r)

    @property
    def chunk(self) -> int:
        """How many samples to take at a time."""
        if not self.layout.dense:
            return max(1, min(64, 1_000_000 // max(1, self.size)))
        numbers = self.n_left**2 + self.size + (0 if self._shared else 2 * self.n_apart * self.n_left)
        return max(1, _CHUNK_NUMBERS // max(1, numbers + self.bent.count))

    def factor(self, slopes: FloatArray, loads: FloatArray | None = None) -> Factor:
        """Return the equations of samples with these slopes (S, K) of the bent edges and loads (S, n_out).

        Raises
        ------
        Undetermined
            If a sample's equations are singular.
        """
        extra, leak = self.bent.diagonal(slopes), self.leak + self.bent.leak(slopes)
        diagonal = self.diagonal + extra
        if loads is not None:
            at = self.layout.output_position
            place = np.empty(self.size + 1, dtype=np.int64)
            place[self.layout.order] = np.arange(self.size)
            columns = place[at[at >= 0]]
            diagonal[:, columns] += loads[:, at >= 0]
            leak = leak.copy()
            leak[:, columns] += loads[:, at >= 0]
        poor = ~((diagonal > 0) & np.isfinite(diagonal)).all(axis=1)
        if poor.any():
            raise Undetermined(int(np.flatnonzero(poor)[0]))
        return (_DenseFactor if self.layout.dense else _SparseFactor)(self, slopes, diagonal, leak)


class Factor:
    """The equations of a batch, ready to be solved; vectors are (m, S, n_free) in the order of ``Layout.free``."""

    def __init__(self, system: Linearised, slopes: FloatArray, diagonal: FloatArray, leak: FloatArray) -> None:
        self._system, self._diagonal = system, diagonal
        self.leak = np.empty_like(leak)
        self.leak[:, system.layout.order] = leak

    def solve(self, currents: FloatArray) -> FloatArray:
        """Return voltages (m, S, n_free) for currents (m, S, n_free) into the free nodes."""
        order = self._system.layout.order
        out = np.empty_like(currents)
        out[:, :, order] = self._solve(currents[:, :, order])
        return out

    def _solve(self, ordered: FloatArray) -> FloatArray:
        raise NotImplementedError


class _DenseFactor(Factor):
    def __init__(self, system: Linearised, slopes: FloatArray, diagonal: FloatArray, leak: FloatArray) -> None:
        super().__init__(system, slopes, diagonal, leak)
        h, r = system.n_apart, system.n_left
        samples = len(slopes)
        self._weight = 1.0 / diagonal[:, :h]
        self._C = system.across.reshape(h, r)
        if system.bent.has_across:
            self._C = (system.across + system.bent.across(slopes)).reshape(samples, h, r)
        within = np.broadcast_to(system.within, (samples, r * r))
        if system.bent.has_within:
            within = within + system.bent.within(slopes)
        if system._shared:
            S = within - self._weight @ system._pairs
        else:
            C = np.broadcast_to(self._C, (samples, h, r))
            S = within - (C.transpose(0, 2, 1) @ (self._weight[:, :, None] * C)).reshape(samples, r * r)
        self._S = S.reshape(samples, r, r)
        k = np.arange(r)
        self._S[:, k, k] += diagonal[:, h:]

    def _solve(self, ordered: FloatArray) -> FloatArray:
        h = self._system.n_apart
        top = ordered[:, :, :h] * self._weight
        rest = ordered[:, :, h:] - self._down(top)
        try:
            y = np.linalg.solve(self._S, rest.transpose(1, 2, 0)).transpose(2, 0, 1)
        except np.linalg.LinAlgError:
            raise Undetermined(self._first_singular()) from None
        return np.concatenate([top - self._weight * self._up(y), y], axis=2)

    def _down(self, top: FloatArray) -> FloatArray:
        if self._C.ndim == 2:
            return np.asarray(top @ self._C)
        return np.asarray((top.transpose(1, 0, 2) @ self._C).transpose(1, 0, 2))

    def _up(self, y: FloatArray) -> FloatArray:
        if self._C.ndim == 2:
            return np.asarray(y @ self._C.T)
        return np.asarray((y.transpose(1, 0, 2) @ self._C.transpose(0, 2, 1)).transpose(1, 0, 2))

    def _first_singular(self) -> int:
        for sample, S in enumerate(self._S):
            try:
                np.linalg.inv(S)
            except np.linalg.LinAlgError:
                return sample
        return 0


class _SparseFactor(Factor):
    def __init__(self, system: Linearised, slopes: FloatArray, diagonal: FloatArray, leak: FloatArray) -> None:
        super().__init__(system, slopes, diagonal, leak)
        n, k = system.size, np.arange(system.size)
        base, bent = system.base, system.bent
        rows = np.concatenate([k, base.inner[:, 0], base.inner[:, 1], bent.inner[:, 0], bent.inner[:, 1]])
        columns = np.concatenate([k, base.inner[:, 1], base.inner[:, 0], bent.inner[:, 1], bent.inner[:, 0]])
        g = -system._ohmic_flow[0, base.inner_edges]
        self._lu = []
        for sample, own in enumerate(-slopes[:, bent.inner_edges]):
            matrix = csc_array((np.concatenate([diagonal[sample], g, g, own, own]), (rows, columns)), shape=(n, n))
            try:
                self._lu.append(
                    splu(
                        matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
                    )
                )
            except RuntimeError:
                raise Undetermined(sample) from None

    def _solve(self, ordered: FloatArray) -> FloatArray:
        solved = [lu.solve(np.ascontiguousarray(ordered[:, k].T)).T for k, lu in enumerate(self._lu)]
        return np.stack(solved, axis=1) if solved else np.zeros_like(ordered)


class _Parts:
    """What edges add to the diagonal, to the coupling of eliminated and other nodes, and within these."""

    def __init__(self, layout: Layout, a: IntArray, b: IntArray) -> None:
        h, r, n = layout.apart.size, layout.left.size, layout.free.size
        self.count = len(a)
        self.moving = (a >= 0) | (b >= 0)
        """Edges with an end that is not held."""
        k = np.arange(len(a))
        a_free, b_free = a >= 0, b >= 0
        both = a_free & b_free
        self.inner = np.stack([a[both], b[both]], axis=1)
        self.inner_edges = k[both]
        one = a_free ^ b_free
        self._diagonal = _adder(
            np.concatenate([a[a_free], b[b_free]]), np.concatenate([k[a_free], k[b_free]]), n, k
        )
        self._leak = _adder(np.maximum(a, b)[one], k[one], n, k)
        low, high = np.minimum(a, b), np.maximum(a, b)
        crossing = both & (low < h)
        self.has_across = bool(crossing.any())
        dense = layout.dense
        self._across = _adder(low[crossing] * r + high[crossing] - h, k[crossing], h * r if dense else 0, k)
        inside = both & (low >= h)
        self.has_within = bool(inside.any())
        first, second = a[inside] - h, b[inside] - h
        self._within = _adder(
            np.concatenate([first * r + second, second * r + first]),
            np.concatenate([k[inside], k[inside]]),
            r * r if dense else 0,
            k,
        )

    def diagonal(self, slopes: FloatArray) -> FloatArray:
        return _added(self._diagonal, slopes)

    def leak(self, slopes: FloatArray) -> FloatArray:
        return _added(self._leak, slopes)

    def across(self, slopes: FloatArray) -> FloatArray:
        return -_added(self._across, slopes)

    def within(self, slopes: FloatArray) -> FloatArray:
        return -_added(self._within, slopes)


def _adder(places: IntArray, edges: IntArray, size: int, every: IntArray) -> csr_array:
    if size == 0:
        places, edges = places[:0], edges[:0]
    return csr_array((np.ones(len(places)), (places, edges)), shape=(size, len(every)))


def _added(adder: csr_array, slopes: FloatArray) -> FloatArray:
    if not adder.nnz:
        return np.zeros((len(slopes), adder.shape[0]))
    return np.ascontiguousarray((adder @ slopes.T).T)


def _independent(n: int, ends: IntArray) -> BoolArray:
    """Return nodes (n,) of which no two are joined; those with few neighbours first."""
    joined = ends[(ends >= 0).all(axis=1)]
    both = np.concatenate([joined, joined[:, ::-1]])
    adjacency = csr_array((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(n, n))
    degree = np.diff(adjacency.indptr)
    chosen = np.zeros(n, dtype=bool)
    blocked = np.zeros(n, dtype=bool)
    for node in np.argsort(degree, kind="stable").tolist():
        if not blocked[node]:
            chosen[node] = True
            blocked[adjacency.indices[adjacency.indptr[node] : adjacency.indptr[node + 1]]] = True
    return chosen
