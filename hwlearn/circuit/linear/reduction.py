"""Circuits of which the same few edges keep changing: everything else is eliminated once."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.graphs import incidence
from hwlearn.circuit.linear.factor import ERROR_BOUND, ROUNDINGS, FactoredSystem, WeaklyTied
from hwlearn.circuit.linear.plan import Plan, summed

_COLUMNS_AT_ONCE: Final = 16
_MOST_KEPT: Final = 4_000_000  # numbers of the response to terminals that are kept
_PROBES: Final = 16
_PROBE_SEED: Final = 20261


class Reduction:
    """What a circuit looks like from the edges that change: the rest eliminated, whatever these conduct.

    Nodes that changing edges join form clusters. Voltages are written as that of their cluster's first node (a
    held one if it has any) plus a difference. The former see the circuit with each cluster joined to one node,
    in which changing edges do not occur; it is factored once. What is left is a small dense matrix on the
    differences, to which the changing conductances are added. Nothing is ever subtracted again, so that no
    chain of changes drifts.

    Parameters
    ----------
    plan : Plan
    g : ndarray, shape (K,)
        Siemens; those of changing edges do not matter.
    changing : ndarray of bool, shape (K,)

    Raises
    ------
    WeaklyTied
        If the circuit with joined clusters cannot be solved well enough in double precision.
    """

    def __init__(self, plan: Plan, g: FloatArray, changing: BoolArray) -> None:
        self.changing = np.flatnonzero(changing)
        nodes = len(plan.position)
        pairs = plan.edges[self.changing]
        root = _roots(pairs, plan.pinned, nodes)
        merged = root[plan.free] != plan.free
        own, apart = np.sort(plan.free[~merged]), plan.free[merged]
        still = np.where(changing, 0.0, g)
        self.joined = FactoredSystem(Plan(root[plan.edges], plan.pinned, own, nodes), still)
        if self.joined.refined:
            raise WeaklyTied(int(self.joined.free[0]))
        self.error = self.joined.measured_error()
        self.spread = 0.0
        # first the nodes that stand for clusters or themselves, in the joined system's order
        order = np.concatenate([self.joined.free, apart])
        self.plan = Plan(plan.edges, plan.pinned, order, nodes, plan.terminals)
        self.own, self.apart = self.joined.free.size, apart
        self._clusters(root)
        self._equations(still, root)
        self._responses(root)
        self._places(pairs)

    def _clusters(self, root: IntArray) -> None:
        """Note which differences are against a node that is not held, and where that stands."""
        first: IntArray = self.joined.position[root[self.apart]]
        self.tied: IntArray = np.flatnonzero(first >= 0)
        self.first: IntArray = first[self.tied]
        self.firsts, which = np.unique(self.first, return_inverse=True)
        self.into_first = csr_array(
            (np.ones(len(self.tied)), (self.tied, which.ravel())), shape=(self.apart.size, len(self.firsts))
        )

    def _equations(self, still: FloatArray, root: IntArray) -> None:
        nodes = len(root)
        B = incidence(self.plan.edges, nodes)
        apart = self.apart
        rows = csr_array(B[:, apart].T @ (still[:, None] * B))
        merge = csr_array((np.ones(nodes), (np.arange(nodes), root)), shape=(nodes, nodes))
        self.to_joined = csr_array((rows @ merge)[:, self.joined.free])  # (r, n_joined)
        self.beside = np.unique(self.to_joined.indices)  # where that is not zero
        self.to_beside = csr_array(self.to_joined[:, self.beside])
        if len(self.beside):
            # currents of differences nearly cancel there; what rounding leaves of them moves all voltages
            left = np.asarray(abs(self.to_joined).sum(axis=0), dtype=np.float64)[None, :]
            self.spread = ROUNDINGS * float(self.joined.solve(left).max())
        self.matrix: FloatArray = rows[:, apart].toarray()
        self.diagonal: FloatArray = self.matrix.diagonal().copy()

    def _responses(self, root: IntArray) -> None:
        """Eliminate the joined circuit, and keep its response where currents usually enter."""
        plan, r = self.plan, self.apart.size
        touched = np.concatenate([plan.free[plan.coupling_columns], plan.terminals])
        kept = np.unique(self.joined.position[root[touched]])
        self.kept: IntArray | None = kept[kept >= 0] if r * len(kept) <= _MOST_KEPT else None
        self.response = np.zeros((r, 0 if self.kept is None else self.kept.size))
        for k in range(0, r, _COLUMNS_AT_ONCE):
            some = slice(k, min(k + _COLUMNS_AT_ONCE, r))
            W = self.joined.solve(self.to_joined[some].toarray())
            self.matrix[:, some] -= self.to_joined @ W.T
            if self.kept is not None:
                self.response[some] = W[:, self.kept]
        self.matrix = 0.5 * (self.matrix + self.matrix.T)

    def _places(self, pairs: IntArray) -> None:
        """Note where the changing conductances go in the dense matrix."""
        r = self.apart.size
        place = np.full(len(self.plan.position), -1)
        place[self.apart] = np.arange(r)
        a, b = place[pairs].T
        ia, ib, ab = np.flatnonzero(a >= 0), np.flatnonzero(b >= 0), np.flatnonzero((a >= 0) & (b >= 0))
        self.flat = np.concatenate([a[ia] * (r + 1), b[ib] * (r + 1), a[ab] * r + b[ab], b[ab] * r + a[ab]])
        self.source = self.changing[np.concatenate([ia, ib, ab, ab])]
        self.sign = np.repeat([1.0, -1.0], [len(ia) + len(ib), 2 * len(ab)])
        self.signs = np.random.default_rng(_PROBE_SEED).choice([-1.0, 1.0], (r, _PROBES))
        self.signs[:, 0] = 1.0

    def with_conductances(self, g: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the matrix (r, r) of the differences and the sizes (r,) of what was added up on its diagonal."""
        r = self.apart.size
        added = summed(self.flat, self.sign * g[self.source], r * r).reshape(r, r)
        return self.matrix + added, self.diagonal + added.diagonal()


class ReducedSystem:
    """The equations of one set of held nodes, factored by way of a `Reduction`; solves like `FactoredSystem`.

    Parameters
    ----------
    reduction : Reduction
    g : ndarray, shape (K,)
        Siemens; equal to the reduction's but for the changing edges.

    Raises
    ------
    InaccurateReduction
        If the estimated error exceeds `ERROR_BOUND`: a fresh factor must tell.

    Notes
    -----
    Rounding in the dense matrix acts like errors of 1e-15 of what was added up on its diagonal; what voltages
    such errors of random sign make is its estimated error, together with that of the joined circuit's solutions.
    """

    def __init__(self, reduction: Reduction, g: FloatArray) -> None:
        plan = reduction.plan
        self._reduction, self.free, self.position, self._pinned = reduction, plan.free, plan.position, plan.pinned
        with np.errstate(all="ignore"):
            self._coupling = plan.coupling(g)
            matrix, sizes = reduction.with_conductances(g)
            self.estimated_error = 2 * reduction.error + reduction.spread
            if len(sizes):
                self._cholesky, info = dpotrf(matrix.T, lower=1, clean=0, overwrite_a=1)
                if info != 0:
                    raise InaccurateReduction
                moved = np.abs(dpotrs(self._cholesky, sizes[:, None] * reduction.signs, lower=1)[0]).max()
                self.estimated_error += float((ROUNDINGS + reduction.error) * moved)
        if not self.estimated_error < ERROR_BOUND:
            raise InaccurateReduction

    def from_held(self, V: FloatArray) -> FloatArray:
        """Return the currents (S, n_free) that held nodes at V (S, n_nodes) push into the free ones."""
        return np.asarray(V[:, self._pinned] @ self._coupling)

    def solve(self, currents: FloatArray) -> FloatArray:
        """Return the voltages (S, n_free) of the free nodes for currents (S, n_free) into them."""
        if not currents.size:
            return currents
        of = self._reduction
        into_own, into_apart = currents[:, : of.own].copy(), currents[:, of.own :]
        if len(of.firsts):
            into_own[:, of.firsts] += into_apart @ of.into_first
        if not len(of.apart):
            return of.joined.solve(into_own)
        if of.kept is not None and np.count_nonzero(into_own) == np.count_nonzero(at := into_own[:, of.kept]):
            moved = at @ of.response.T
        else:
            moved = of.joined.solve(into_own) @ of.to_joined.T
        differences = dpotrs(self._cholesky, (into_apart - moved).T, lower=1)[0].T
        into_own[:, of.beside] -= differences @ of.to_beside
        V = np.empty(currents.shape)
        V[:, : of.own] = of.joined.solve(into_own)
        V[:, of.own :] = differences
        V[:, of.own + of.tied] += V[:, of.first]
        return V


class InaccurateReduction(Exception):
    """A reduced system whose estimated error is too large."""


def _roots(pairs: IntArray, pinned: IntArray, nodes: int) -> IntArray:
    """Return the node (n_nodes,) that stands for each node's cluster: a held one if it has any; itself if held."""
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(nodes, nodes))
    count, labels = connected_components(graph, directed=False)
    stands = np.empty(count, dtype=np.int64)
    stands[labels[::-1]] = np.arange(nodes)[::-1]
    stands[labels[pinned]] = pinned
    root: IntArray = stands[labels]
    root[pinned] = pinned
    return root
