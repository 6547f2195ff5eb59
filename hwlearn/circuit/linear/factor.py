"""Factored node equations of one set of held nodes, and the estimated error of their solutions."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Final

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs
from scipy.sparse import csr_array
from scipy.sparse.linalg import splu

from hwlearn.arrays import FloatArray
from hwlearn.circuit.linear.plan import Plan, dense_order, summed
from hwlearn.circuit.topology import Topology

DENSE_NODES: Final = 320
"""Up to this many unknown nodes a dense Cholesky factor is used, above this number a sparse one."""

ERROR_BOUND: Final = 1e-10
"""Largest accepted estimated error of a solution, relative to its largest voltage."""

ROUNDINGS: Final = 8 * 2.0**-53
"""Rounding error of a row of a factor, relative to its diagonal."""

_KEPT_PLANS: Final = 32
_PLAIN_BELOW: Final = 1e-11  # solutions with a smaller measured error are not refined
_REFINED_TO: Final = 1e-12
_REFINEMENTS: Final = 10
_PANEL: Final = 4  # columns that SuperLU updates together: fastest of 4, 8, 16, 32 on grids of 10^4 nodes
_PROBE_SEED: Final = 20260


class FactoredSystem:
    """The factored equations of one set of held nodes.

    Parameters
    ----------
    plan : Plan
        Shared by all circuits on the same graph.
    g : ndarray, shape (K,)
        Siemens, in the order of the plan's edges; not negative.

    Attributes
    ----------
    free, position : ndarray of int
        As in `Plan`; the order of the arrays of this system.
    estimated_error : float
        Estimated error of the solutions, relative to the largest voltage of each.

    Raises
    ------
    IllConditioned
        If the error exceeds `ERROR_BOUND` in double precision.

    Notes
    -----
    Rounding in a Cholesky factor acts like false conductances of about 1e-16 of each diagonal d. With
    kappa = max(A^-1 d), the largest expected number of steps of a random walk from any node to a source, the
    error is at most about 1e-15 kappa. If this bound is too large, the error is measured: probes are solved and
    corrected once by their residual; the size of the correction is the error. If that is too large as well, every
    solution is refined until its correction vanishes. Residuals are computed from drops, which keep the digits
    that the sums on the diagonal lose.
    """

    def __init__(self, plan: Plan, g: FloatArray) -> None:
        plan = plan.best
        self.free, self.position, self._plan, self._g = plan.free, plan.position, plan, g
        self.refined = False
        self.estimated_error = 0.0
        if not self.free.size:
            return
        with np.errstate(all="ignore"):
            self._coupling = plan.coupling(g)
            diagonal = self._factor(plan, g)
            reach = self._factor_solve(diagonal)
            kappa = float(reach.max()) if reach.min() > 0 else np.inf
            self.estimated_error = ROUNDINGS * kappa
            if not self.estimated_error < ERROR_BOUND:
                self._probe()

    def _factor(self, plan: Plan, g: FloatArray) -> FloatArray:
        """Factor the matrix and return its diagonal."""
        n = plan.free.size
        if plan.dense:
            places, source, sign = plan.lower
            remaining = n - plan.n_independent
            full = summed(places, sign * g[source], remaining * remaining).reshape(remaining, remaining).T
            if plan.n_independent:
                diagonal = plan.diagonal(g)
                places, source = plan.across
                self._across = summed(places, g[source], plan.n_independent * remaining)
                self._across = self._across.reshape(plan.n_independent, remaining)
                self._weight = 1.0 / diagonal[: plan.n_independent, None]
                scaled = np.sqrt(self._weight) * self._across
                full = full - scaled.T @ scaled
            else:
                diagonal = full.diagonal().copy()
            if remaining:
                self._cholesky, info = dpotrf(full, lower=1, clean=0, overwrite_a=1)
                if info != 0:
                    raise IllConditioned(int(plan.free[plan.n_independent + info - 1]))
            return diagonal
        diagonal = plan.diagonal(g)
        matrix = plan.pattern.matrix(g[plan.inner_source], diagonal)
        try:
            # symmetric mode: no pivoting is needed for a positive definite matrix
            self._lu = splu(
                matrix,
                permc_spec="NATURAL" if plan.ordered else "MMD_AT_PLUS_A",
                diag_pivot_thresh=0.0,
                panel_size=_PANEL,
                options={"SymmetricMode": True, "Equil": False},
            )
        except RuntimeError:
            raise IllConditioned(int(plan.free[np.argmax(diagonal)])) from None
        if not plan.ordered:
            plan.reorder(np.argsort(self._lu.perm_c))
        return diagonal

    def measured_error(self) -> float:
        """Return the measured error of unrefined solutions of probes, relative to the largest voltage."""
        if not self.free.size:
            return 0.0
        with np.errstate(all="ignore"):
            return self._measured(self._probes)[1]

    @cached_property
    def _probes(self) -> FloatArray:
        """Currents (n_free, 3): of held nodes at 1 V, of held nodes at random voltages, and random currents."""
        m, n = self._plan.pinned.size, self.free.size
        rng = np.random.default_rng(_PROBE_SEED)
        held = np.stack([np.ones(m), rng.uniform(-1, 1, m)])
        into_all = self._plan.diagonal(self._g) * rng.uniform(-1, 1, (1, n))
        return np.concatenate([held @ self._coupling, into_all]).T

    def _measured(self, probes: FloatArray) -> tuple[FloatArray, float]:
        V = self._factor_solve(probes)
        wrong = np.abs(self._factor_solve(self._residual(probes, V)))
        wrong[:, 0] = np.maximum(wrong[:, 0], np.abs(V[:, 0] - 1.0))
        return V, float((wrong.max(axis=0) / np.abs(V).max(axis=0)).max())

    def _probe(self) -> None:
        """Measure the error; switch refinement on if it is too large, and raise if that does not help."""
        V, self.estimated_error = self._measured(self._probes)
        if not self.estimated_error < _PLAIN_BELOW:
            self.refined = True
            V, self.estimated_error = self._refine(self._probes, V)
            off = np.abs(V[:, 0] - 1.0)
            if not off.max() < ERROR_BOUND:
                raise IllConditioned(int(self.free[np.argmax(off)]))
        del self._probes

    def from_held(self, V: FloatArray) -> FloatArray:
        """Return the currents (S, n_free) from held nodes at V (S, n_nodes) into the free nodes."""
        return np.asarray(V[:, self._plan.pinned] @ self._coupling)

    def solve(self, currents: FloatArray) -> FloatArray:
        """Return the voltages (S, n_free) of the free nodes for currents (S, n_free) into them.

        Raises
        ------
        IllConditioned
            If refinement does not converge within `ERROR_BOUND`.
        """
        if not currents.size:
            return currents
        V = self._factor_solve(currents.T)
        if self.refined:
            with np.errstate(all="ignore"):
                V = self._refine(currents.T, V)[0]
        return np.asarray(V.T)

    def _factor_solve(self, currents: FloatArray) -> FloatArray:
        if self._plan.dense:
            return self._dense_solve(currents)
        return np.asarray(self._lu.solve(currents))  # needs contiguous columns, as in a transposed batch

    def _dense_solve(self, currents: FloatArray) -> FloatArray:
        h = self._plan.n_independent
        if not h:
            return np.asarray(dpotrs(self._cholesky, currents, lower=1)[0])
        if currents.ndim == 1:
            return self._dense_solve(currents[:, None])[:, 0]
        V = np.empty(currents.shape, order="F")
        own = currents[:h] * self._weight
        if h < len(V):
            V[h:] = dpotrs(self._cholesky, currents[h:] + self._across.T @ own, lower=1, overwrite_b=1)[0]
            own += self._weight * (self._across @ V[h:])
        V[:h] = own
        return V

    @cached_property
    def _drops(self) -> tuple[csr_array, FloatArray, FloatArray]:
        """Incidence, conductances (K_inner, 1) and conductances (n_free, 1) to held nodes."""
        plan = self._plan
        leak = np.ones(plan.pinned.size) @ self._coupling
        return plan.incidence, self._g[plan.inner_source][:, None], np.asarray(leak)[:, None]

    def _residual(self, currents: FloatArray, V: FloatArray) -> FloatArray:
        B, g, leak = self._drops
        return np.asarray(currents - leak * V - B.T @ (g * (B @ V)))

    def _refine(self, currents: FloatArray, V: FloatArray) -> tuple[FloatArray, float]:
        """Correct V (n_free, S) by its residual until it converges; return it and the relative last correction."""
        share = np.inf
        for _ in range(_REFINEMENTS):
            step = self._factor_solve(self._residual(currents, V))
            V = V + step
            largest = np.abs(V).max(axis=0)
            size = np.abs(step).max(axis=0)
            before, share = share, float(np.divide(size, largest, out=size, where=largest > 0).max())
            if share < _REFINED_TO or not share < 0.5 * before:
                break
        if not share < ERROR_BOUND:
            raise IllConditioned(int(self.free[np.argmax(np.abs(step).max(axis=1))]))
        return V, share


class IllConditioned(Exception):
    """The voltage of a node cannot be computed in double precision."""

    def __init__(self, node: int) -> None:
        self.node = node


@lru_cache(maxsize=_KEPT_PLANS)
def plan_for(topology: Topology, held: bytes) -> Plan:
    """Return the plan of a graph and its held outputs (bytes of a bool array)."""
    # plans depend on the graph alone: all circuits on it share them
    pinned = np.zeros(topology.n_nodes, dtype=bool)
    pinned[topology.driven] = True
    pinned[topology.outputs[np.frombuffer(held, dtype=bool)]] = True
    free, edges, n = np.flatnonzero(~pinned), topology.all_edges, topology.n_nodes
    order = dense_order(free, edges, n, DENSE_NODES)
    if order is None:
        return Plan(edges, np.flatnonzero(pinned), free, n, topology.outputs)
    return Plan(edges, np.flatnonzero(pinned), order[0], n, topology.outputs, n_independent=order[1])
