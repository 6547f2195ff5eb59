"""Node equations of a batch of linearised circuits: one graph, with different slopes in every sample.

An independent set of nodes (no two share an edge) is eliminated first, such as the hidden layer of a layered
network or the rows of a crossbar. Its part of the equations is diagonal. The equations of the remaining nodes are
solved densely for all samples at once, or sparsely, sample by sample, if many nodes remain.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.sparse import csc_array, csr_array
from scipy.sparse.linalg import splu

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.graphs import independent_set
from hwlearn.circuit.topology import Topology

DENSE_NODES: Final = 400
"""With up to this many remaining nodes the equations are solved densely."""

_TABLE_NUMBERS: Final = 4_000_000
_CHUNK_NUMBERS: Final = 4_000_000


class SingularSample(Exception):
    """The linearised equations of a sample have no solution in double precision."""

    def __init__(self, sample: int) -> None:
        self.sample = sample


class NodeOrder:
    """Order of elimination for one set of held nodes, and the places of edges in the equations.

    Depends on the graph and its elements alone.

    Parameters
    ----------
    topology : Topology
        The graph and its elements.
    held : ndarray of bool, shape (n_out,)
        Outputs that are held in addition to the driven nodes.
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
        inner = (a >= 0) & (b >= 0)
        rows, columns = np.concatenate([a[inner], b[inner]]), np.concatenate([b[inner], a[inner]])
        shape = (self.free.size, self.free.size)
        independent = independent_set(csr_array((np.ones(len(rows)), (rows, columns)), shape=shape))
        self.independent: IntArray = np.flatnonzero(independent)
        self.remaining: IntArray = np.flatnonzero(~independent)
        self.dense = self.remaining.size <= DENSE_NODES
        self.order = np.concatenate([self.independent, self.remaining])
        place = np.empty(self.free.size + 1, dtype=np.int64)
        place[self.order] = np.arange(self.free.size)
        place[-1] = -1
        a, b = place[a], place[b]  # independent nodes first, then the remaining ones; -1 if held
        ohmic = np.ones(len(a), dtype=bool) if topology.elements is None else topology.elements.ohmic
        self.ohmic, self.nonlinear = _Places(self, a[ohmic], b[ohmic]), _Places(self, a[~ohmic], b[~ohmic])


class Linearised:
    """The part of the linearised equations that all samples share: the resistors.

    Parameters
    ----------
    nodes : NodeOrder
    conductances : ndarray
        Siemens, of the resistors alone.
    """

    def __init__(self, nodes: NodeOrder, conductances: FloatArray) -> None:
        self.nodes = nodes
        self.n_independent, self.n_remaining = nodes.independent.size, nodes.remaining.size
        self.size = self.n_independent + self.n_remaining
        self.ohmic, self.nonlinear = nodes.ohmic, nodes.nonlinear
        flow = conductances[None, :]
        self.diagonal, self.leak = self.ohmic.diagonal(flow)[0], self.ohmic.leak(flow)[0]
        self.across = self.ohmic.across(flow)[0]
        self.within = self.ohmic.within(flow)[0] if nodes.dense else np.zeros(0)
        self.conductances = conductances
        r = self.n_remaining
        self.shares_products = not self.nonlinear.has_across and self.n_independent * r * r <= _TABLE_NUMBERS
        """Whether products of couplings are the same for all samples, and few enough to keep."""
        if self.shares_products and nodes.dense:
            C = self.across.reshape(self.n_independent, r)
            self.products = (C[:, :, None] * C[:, None, :]).reshape(self.n_independent, r * r)

    @property
    def chunk(self) -> int:
        """Number of samples to solve at a time."""
        if not self.nodes.dense:
            return max(1, min(64, 1_000_000 // max(1, self.size)))
        h, r = self.n_independent, self.n_remaining
        numbers = r**2 + self.size + (0 if self.shares_products else 2 * h * r) + self.nonlinear.count
        return max(1, _CHUNK_NUMBERS // max(1, numbers))

    def factor(self, slopes: FloatArray, loads: FloatArray | None = None) -> Factor:
        """Return the equations of samples with slopes (S, K) of nonlinear edges and load conductances (S, n_out).

        Raises
        ------
        SingularSample
            If a sample's equations are singular.
        """
        extra, leak = self.nonlinear.diagonal(slopes), self.leak + self.nonlinear.leak(slopes)
        diagonal = self.diagonal + extra
        if loads is not None:
            at = self.nodes.output_position
            place = np.empty(self.size + 1, dtype=np.int64)
            place[self.nodes.order] = np.arange(self.size)
            columns = place[at[at >= 0]]
            diagonal[:, columns] += loads[:, at >= 0]
            leak = leak.copy()
            leak[:, columns] += loads[:, at >= 0]
        singular = ~((diagonal > 0) & np.isfinite(diagonal)).all(axis=1)
        if singular.any():
            raise SingularSample(int(np.flatnonzero(singular)[0]))
        return (_DenseFactor if self.nodes.dense else _SparseFactor)(self, slopes, diagonal, leak)


class Factor:
    """Solver of the equations of a batch; vectors are (m, S, n_free) in the order of ``NodeOrder.free``."""

    def __init__(self, system: Linearised, slopes: FloatArray, diagonal: FloatArray, leak: FloatArray) -> None:
        self._system, self._diagonal = system, diagonal
        self.leak = np.empty_like(leak)
        self.leak[:, system.nodes.order] = leak

    def solve(self, currents: FloatArray) -> FloatArray:
        """Return voltages (m, S, n_free) for currents (m, S, n_free) into the free nodes."""
        order = self._system.nodes.order
        out = np.empty_like(currents)
        out[:, :, order] = self._solve(currents[:, :, order])
        return out

    def _solve(self, ordered: FloatArray) -> FloatArray:
        raise NotImplementedError


class _DenseFactor(Factor):
    def __init__(self, system: Linearised, slopes: FloatArray, diagonal: FloatArray, leak: FloatArray) -> None:
        super().__init__(system, slopes, diagonal, leak)
        h, r = system.n_independent, system.n_remaining
        samples = len(slopes)
        self._weight = 1.0 / diagonal[:, :h]
        self._C = system.across.reshape(h, r)
        if system.nonlinear.has_across:
            self._C = (system.across + system.nonlinear.across(slopes)).reshape(samples, h, r)
        within = np.broadcast_to(system.within, (samples, r * r))
        if system.nonlinear.has_within:
            within = within + system.nonlinear.within(slopes)
        if system.shares_products:
            S = within - self._weight @ system.products
        else:
            C = np.broadcast_to(self._C, (samples, h, r))
            S = within - (C.transpose(0, 2, 1) @ (self._weight[:, :, None] * C)).reshape(samples, r * r)
        self._S = S.reshape(samples, r, r)
        k = np.arange(r)
        self._S[:, k, k] += diagonal[:, h:]

    def _solve(self, ordered: FloatArray) -> FloatArray:
        h = self._system.n_independent
        top = ordered[:, :, :h] * self._weight
        remaining = ordered[:, :, h:] - self._down(top)
        try:
            y = np.linalg.solve(self._S, remaining.transpose(1, 2, 0)).transpose(2, 0, 1)
        except np.linalg.LinAlgError:
            raise SingularSample(self._first_singular()) from None
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
        ohmic, nonlinear = system.ohmic, system.nonlinear
        a, b = np.concatenate([ohmic.inner, nonlinear.inner]).T
        rows, columns = np.concatenate([k, a, b]), np.concatenate([k, b, a])
        g = -system.conductances[ohmic.inner_edges]
        self._lu = []
        for sample, own in enumerate(-slopes[:, nonlinear.inner_edges]):
            values = np.concatenate([diagonal[sample], g, own, g, own])
            matrix = csc_array((values, (rows, columns)), shape=(n, n))
            try:
                self._lu.append(
                    splu(
                        matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
                    )
                )
            except RuntimeError:
                raise SingularSample(sample) from None

    def _solve(self, ordered: FloatArray) -> FloatArray:
        solved = [lu.solve(np.ascontiguousarray(ordered[:, k].T)).T for k, lu in enumerate(self._lu)]
        return np.stack(solved, axis=1) if solved else np.zeros_like(ordered)


class _Places:
    """Places of edges in the equations.

    Edges add to the diagonal, to the coupling across independent and remaining nodes, and to the coupling within
    the remaining nodes.
    """

    def __init__(self, nodes: NodeOrder, a: IntArray, b: IntArray) -> None:
        h, r, n = nodes.independent.size, nodes.remaining.size, nodes.free.size
        self.count = len(a)
        self.moving = (a >= 0) | (b >= 0)
        """Edges with at least one free end."""
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
        dense = nodes.dense
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
