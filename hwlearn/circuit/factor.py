"""The node equations of one set of held nodes: where conductances go, the factor, and how far to trust it."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotrs
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

from hwlearn.circuit.topology import FloatArray, IntArray, Topology, incidence

DENSE_NODES: Final = 320
"""Up to this many unknown nodes a dense Cholesky factor is used, above it a sparse one."""

_KEPT_PLANS: Final = 32
_REFINED_ABOVE: Final = 1e-10  # relative error of the factor's own solution
_REFUSED_ABOVE: Final = 1e-8
_REFINEMENTS: Final = 3


class Plan:
    """Where conductances go in the equations of one set of held nodes; depends on the graph alone."""

    def __init__(self, topology: Topology, held: NDArray[np.bool_]) -> None:
        n = topology.n_nodes
        pinned = np.zeros(n, dtype=bool)
        pinned[topology.driven] = True
        pinned[topology.outputs[held]] = True
        self.free: IntArray = np.flatnonzero(~pinned)
        self.pinned: IntArray = np.flatnonzero(pinned)
        self.position = np.full(n, -1, dtype=np.int64)
        self.position[self.free] = np.arange(self.free.size)
        at_pin = np.full(n, -1, dtype=np.int64)
        at_pin[self.pinned] = np.arange(self.pinned.size)
        a, b = topology.all_edges.T
        pa, pb = self.position[a], self.position[b]
        a_free, b_free = pa >= 0, pb >= 0
        both, only_a, only_b = a_free & b_free, a_free & ~b_free, ~a_free & b_free
        k = np.arange(len(a))
        self.dense = self.free.size <= DENSE_NODES
        # free-free part: +g on the diagonal at each free end, -g off the diagonal
        self.rows = np.concatenate([pa[a_free], pb[b_free], pa[both], pb[both]])
        self.columns = np.concatenate([pa[a_free], pb[b_free], pb[both], pa[both]])
        self.source = np.concatenate([k[a_free], k[b_free], k[both], k[both]])
        self.sign = np.concatenate([np.ones(a_free.sum() + b_free.sum()), -np.ones(2 * both.sum())])
        # free-pinned part, moved to the right-hand side: +g
        self.coupling_rows = np.concatenate([at_pin[b[only_a]], at_pin[a[only_b]]])
        self.coupling_columns = np.concatenate([pa[only_a], pb[only_b]])
        self.coupling_source = np.concatenate([k[only_a], k[only_b]])
        self.inner = np.stack([pa[both], pb[both]], axis=1)
        self.inner_source = k[both]
        self.flat = self.rows * self.free.size + self.columns
        self.coupling_flat = self.coupling_rows * self.free.size + self.coupling_columns


class FactoredSystem:
    """The factored equations of one set of held nodes.

    With every held node at 1 V every free node must be at 1 V: how far a solution is from that tells how far
    rounding, which acts like a false leak to ground, has got. Weakly tied nodes are refined or refused by it.
    """

    def __init__(self, plan: Plan, g: FloatArray) -> None:
        self.free, self.position, self._pinned = plan.free, plan.position, plan.pinned
        n, m = plan.free.size, plan.pinned.size
        self._coupling: FloatArray | csc_array
        self._dense = plan.dense
        self._refinements = 0
        if n == 0:
            return
        values, coupling = plan.sign * g[plan.source], g[plan.coupling_source]
        if plan.dense:
            matrix = np.bincount(plan.flat, weights=values, minlength=n * n).reshape(n, n)
            self._coupling = np.bincount(plan.coupling_flat, weights=coupling, minlength=m * n).reshape(m, n)
            self._cholesky, info = dpotrf(matrix, lower=1, overwrite_a=0)
            if info != 0:
                raise WeaklyTied(plan.free[info - 1])
        else:
            sparse = csc_array((values, (plan.rows, plan.columns)), shape=(n, n))
            self._coupling = csc_array((coupling, (plan.coupling_rows, plan.coupling_columns)), shape=(m, n))
            try:
                # symmetric mode: no pivoting is needed for a positive definite matrix
                self._lu = splu(
                    sparse, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
                )
            except RuntimeError:
                raise WeaklyTied(plan.free[np.argmax(sparse.diagonal())]) from None
        leak = np.ones(m) @ self._coupling
        error = np.abs(self._factor_solve(leak) - 1.0)
        if not error.max() < _REFINED_ABOVE:
            self._refinements = _REFINEMENTS
            self._leak = leak[:, None]
            self._inner_incidence = incidence(plan.inner, n)
            self._inner_g = g[plan.inner_source][:, None]
            error = np.abs(self.solve(leak[None, :])[0] - 1.0)
            if not error.max() < _REFUSED_ABOVE:
                raise WeaklyTied(plan.free[np.argmax(error)])

    def from_held(self, V: FloatArray) -> FloatArray:
        """Return the currents (S, n_free) that the held nodes push into the free ones."""
        return np.asarray(V[:, self._pinned] @ self._coupling)

    def solve(self, currents: FloatArray) -> FloatArray:
        """Return the voltages (S, n_free) of the free nodes for currents (S, n_free) into them."""
        if not len(currents):
            return currents
        V = self._factor_solve(currents.T)
        for _ in range(self._refinements):
            # from the drops, which keep the digits that the sums on the matrix's diagonal have lost
            B = self._inner_incidence
            V = V + self._factor_solve(currents.T - self._leak * V - B.T @ (self._inner_g * (B @ V)))
        return np.asarray(V.T)

    def _factor_solve(self, currents: FloatArray) -> FloatArray:
        if self._dense:
            return np.asarray(dpotrs(self._cholesky, currents, lower=1)[0])
        return np.asarray(self._lu.solve(np.ascontiguousarray(currents)))


class WeaklyTied(Exception):
    """A node whose voltage double precision cannot tell."""

    def __init__(self, node: int) -> None:
        self.node = node


@lru_cache(maxsize=_KEPT_PLANS)
def plan_for(topology: Topology, held: bytes) -> Plan:
    """Return the plan of a graph and the outputs (bytes of a bool array) that are held."""
    # index plans depend on the graph alone, so every Kirchhoff on it shares them
    return Plan(topology, np.frombuffer(held, dtype=bool))
