"""Reduced node equations for circuits in which the same few edges keep changing."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.graphs import incidence, summed
from hwlearn.circuit.linear.factor import ERROR_BOUND, ROUNDINGS, FactoredSystem
from hwlearn.circuit.linear.plan import IllConditioned, Plan

_COLUMNS_AT_ONCE: Final = 16
_MOST_KEPT: Final = 4_000_000  # numbers of the response to terminals that are kept
_PROBES: Final = 16
_PROBE_SEED: Final = 20261


class Reduction:
    """Node equations with everything but the changing edges eliminated, for any conductance of these edges.

    Nodes that are connected by changing edges form clusters. The voltage of a node is written as the voltage of
    the first node of its cluster (a held one if there is any) plus a difference. The first nodes see the joined
    circuit, in which each cluster is one node: changing edges do not occur in it, so it is factored once. The
    differences need a small dense matrix, to which the changing conductances are added. Nothing is subtracted
    again later, so errors do not accumulate from circuit to circuit.

    Parameters
    ----------
    plan : Plan
    g : ndarray, shape (K,)
        Siemens; the values of changing edges are not used.
    changing : ndarray of bool, shape (K,)
    cholmod : bool
        As `FactoredSystem`.

    Raises
    ------
    IllConditioned
        If the joined circuit cannot be solved accurately in double precision.
    """

    def __init__(self, plan: Plan, g: FloatArray, changing: BoolArray, *, cholmod: bool = False) -> None:
        self.changing = np.flatnonzero(changing)
        nodes = len(plan.position)
        pairs = plan.edges[self.changing]
        root = _roots(pairs, plan.pinned, nodes)
        merged = root[plan.free] != plan.free
        joined, clustered = np.sort(plan.free[~merged]), plan.free[merged]
        still = np.where(changing, 0.0, g)
        self.joined = FactoredSystem(Plan(root[plan.edges], plan.pinned, joined, nodes), still, cholmod=cholmod)
        if self.joined.refined:
            raise IllConditioned(int(self.joined.free[0]))
        self.error = self.joined.measured_error()
        self.spread = 0.0
        # first nodes and nodes without a cluster come first, in the order of the joined system
        order = np.concatenate([self.joined.free, clustered])
        self.plan = Plan(plan.edges, plan.pinned, order, nodes, plan.terminals)
        self.n_joined, self.clustered = self.joined.free.size, clustered
        self._clusters(root)
        self._equations(still, root)
        self._responses(root)
        self._places(pairs)

    def _clusters(self, root: IntArray) -> None:
        """Find the differences against a first node that is not held, and the positions of these nodes."""
        first: IntArray = self.joined.position[root[self.clustered]]
        self.with_first: IntArray = np.flatnonzero(first >= 0)
        self.first: IntArray = first[self.with_first]
        self.firsts, which = np.unique(self.first, return_inverse=True)
        ones, shape = np.ones(len(self.with_first)), (self.clustered.size, len(self.firsts))
        self.into_first = csr_array((ones, (self.with_first, which.ravel())), shape=shape)

    def _equations(self, still: FloatArray, root: IntArray) -> None:
        nodes = len(root)
        B = incidence(self.plan.edges, nodes)
        clustered = self.clustered
        rows = csr_array(B[:, clustered].T @ (still[:, None] * B))
        merge = csr_array((np.ones(nodes), (np.arange(nodes), root)), shape=(nodes, nodes))
        self.to_joined = csr_array((rows @ merge)[:, self.joined.free])  # (r, n_joined)
        self.coupled = np.unique(self.to_joined.indices)  # columns that are not zero
        self.to_coupled = csr_array(self.to_joined[:, self.coupled])
        if len(self.coupled):
            # currents of differences nearly cancel there; their rounding errors shift all voltages
            left = np.asarray(abs(self.to_joined).sum(axis=0), dtype=np.float64)[None, :]
            self.spread = ROUNDINGS * float(self.joined.solve(left).max())
        self.matrix: FloatArray = rows[:, clustered].toarray()
        self.diagonal: FloatArray = self.matrix.diagonal().copy()

    def _responses(self, root: IntArray) -> None:
        """Eliminate the joined circuit, and keep its response at nodes with injected currents."""
        plan, r = self.plan, self.clustered.size
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
        """Find the places of the changing conductances in the dense matrix."""
        r = self.clustered.size
        place = np.full(len(self.plan.position), -1)
        place[self.clustered] = np.arange(r)
        a, b = place[pairs].T
        ia, ib, ab = np.flatnonzero(a >= 0), np.flatnonzero(b >= 0), np.flatnonzero((a >= 0) & (b >= 0))
        self.flat = np.concatenate([a[ia] * (r + 1), b[ib] * (r + 1), a[ab] * r + b[ab], b[ab] * r + a[ab]])
        self.source = self.changing[np.concatenate([ia, ib, ab, ab])]
        self.sign = np.repeat([1.0, -1.0], [len(ia) + len(ib), 2 * len(ab)])
        self.signs = np.random.default_rng(_PROBE_SEED).choice([-1.0, 1.0], (r, _PROBES))
        self.signs[:, 0] = 1.0

    def with_conductances(self, g: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the matrix (r, r) of the differences and the sums (r,) of absolute terms on its diagonal."""
        r = self.clustered.size
        added = summed(self.flat, self.sign * g[self.source], r * r).reshape(r, r)
        return self.matrix + added, self.diagonal + added.diagonal()


class ReducedSystem:
    """The equations of one set of held nodes, factored with a `Reduction`; same methods as `FactoredSystem`.

    Parameters
    ----------
    reduction : Reduction
    g : ndarray, shape (K,)
        Siemens; equal to those of the reduction except at changing edges.

    Raises
    ------
    InaccurateReduction
        If the estimated error exceeds `ERROR_BOUND`: use a full factorisation instead.

    Notes
    -----
    Rounding in the dense matrix acts like errors of 1e-15 of the terms on its diagonal. The estimated error is the
    voltage caused by such errors of random sign, plus the error of the solutions of the joined circuit.
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
        """Return the currents (S, n_free) from held nodes at V (S, n_nodes) into the free nodes."""
        return np.asarray(V[:, self._pinned] @ self._coupling)

    def solve(self, currents: FloatArray) -> FloatArray:
        """Return the voltages (S, n_free) of the free nodes for currents (S, n_free) into them."""
        if not currents.size:
            return currents
        of = self._reduction
        into_joined, into_clustered = currents[:, : of.n_joined].copy(), currents[:, of.n_joined :]
        if len(of.firsts):
            into_joined[:, of.firsts] += into_clustered @ of.into_first
        if not len(of.clustered):
            return of.joined.solve(into_joined)
        at_kept = None if of.kept is None else into_joined[:, of.kept]
        if at_kept is not None and np.count_nonzero(into_joined) == np.count_nonzero(at_kept):
            moved = at_kept @ of.response.T
        else:
            moved = of.joined.solve(into_joined) @ of.to_joined.T
        differences = dpotrs(self._cholesky, (into_clustered - moved).T, lower=1)[0].T
        into_joined[:, of.coupled] -= differences @ of.to_coupled
        V = np.empty(currents.shape)
        V[:, : of.n_joined] = of.joined.solve(into_joined)
        V[:, of.n_joined :] = differences
        V[:, of.n_joined + of.with_first] += V[:, of.first]
        return V


class InaccurateReduction(Exception):
    """A reduced system whose estimated error is too large."""


def _roots(pairs: IntArray, pinned: IntArray, nodes: int) -> IntArray:
    """Return the first node (n_nodes,) of each node's cluster: a held one if there is any; itself if held."""
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(nodes, nodes))
    count, labels = connected_components(graph, directed=False)
    firsts = np.empty(count, dtype=np.int64)
    firsts[labels[::-1]] = np.arange(nodes)[::-1]
    firsts[labels[pinned]] = pinned
    root: IntArray = firsts[labels]
    root[pinned] = pinned
    return root
