"""Factored node equations of one set of held nodes, and the estimated error of their solutions."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Final

import numpy as np
from scipy.sparse import csr_array

from hwlearn.arrays import FloatArray
from hwlearn.circuit.linear.dense import DenseFactor
from hwlearn.circuit.linear.front import LARGEST_FRONT
from hwlearn.circuit.linear.iterative import ACCURACY, ConjugateGradients, SlowConvergence
from hwlearn.circuit.linear.kept import KeptPlans
from hwlearn.circuit.linear.matrix import MatrixFactor, SingularMatrix
from hwlearn.circuit.linear.plan import FactorTooLarge, IllConditioned, Plan, dense_order
from hwlearn.circuit.linear.superlu import SuperLUFactor
from hwlearn.circuit.topology import Topology

log = logging.getLogger("hwlearn")

DENSE_NODES: Final = 320
"""Up to this many unknown nodes a dense Cholesky factor is used, above this number a sparse one."""

CHOLMOD_NODES: Final = 10_000
"""From this many unknown nodes on, CHOLMOD is used for sparse factors if it is installed.

It factors 2 to 8 times as fast as SuperLU, but solves batches up to twice as slowly while the factor fits into the
cache. Below this number of nodes of a grid, a batch of 16 samples and its gradient take as long with both.
"""

ERROR_BOUND: Final = 1e-10
"""Largest accepted estimated error of a solution, relative to its largest voltage."""

ROUNDINGS: Final = 8 * 2.0**-53
"""Rounding error of a row of a factor, relative to its diagonal."""

_PLAIN_BELOW: Final = 1e-11  # solutions with a smaller measured error are not refined
_REFINED_TO: Final = 1e-12
_REFINEMENTS: Final = 10
_LONG_FRONT: Final = 6_000  # the factor of so many dense rows takes some ten seconds
_MOST_FRONT: Final = 60_000  # SuperLU counts entries with 32 bits
_PROBE_SEED: Final = 20260


class FactoredSystem:
    """The factored equations of one set of held nodes.

    Parameters
    ----------
    plan : Plan
        Shared by all circuits on the same graph.
    g : ndarray, shape (K,)
        Siemens, in the order of the plan's edges; not negative.
    cholmod : bool
        Factor matrices of at least `CHOLMOD_NODES` rows that are not dense by CHOLMOD, all others by SuperLU.

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
    FactorTooLarge
        If the graph can be solved neither by iteration nor by a factor.

    Notes
    -----
    Rounding in a Cholesky factor acts like false conductances of about 1e-16 of each diagonal d. With
    kappa = max(A^-1 d), the largest expected number of steps of a random walk from any node to a source, the
    error is at most about 1e-15 kappa. If this bound is too large, the error is measured, first of two smooth
    solutions, which false conductances move most. Unless that is a tenth of the bound, more probes are solved and
    corrected once by their residual; the size of the correction is the error. If that is too large as well, every
    solution is refined until its correction vanishes. Residuals are computed from drops, which keep the digits
    that the sums on the diagonal lose.

    If a factor would have a large dense block, as on random graphs, the equations are solved by conjugate
    gradients and refined in the same way; see `GraphShape`. If these do not converge, a factor is made anyway.
    """

    def __init__(self, plan: Plan, g: FloatArray, *, cholmod: bool = False) -> None:
        self._g, self.refined, self.estimated_error = g, False, 0.0
        self._left = 1.0  # largest share of an error that a correction leaves, if it is known
        with np.errstate(all="ignore"):
            self._use(plan)
            if not self.free.size or self._is_iterated():
                return
            self._cholmod = cholmod and plan.free.size >= CHOLMOD_NODES
            if not plan.dense and not self._cholmod:
                self._use(plan.by_minimum_degree)
            self._factor, diagonal = self._factored(self._plan, g)
            reach = self._factor.solve(diagonal)
            kappa = float(reach.max()) if reach.min() > 0 else np.inf
            self.estimated_error = ROUNDINGS * kappa
            if not self.estimated_error < ERROR_BOUND:
                self.estimated_error = self._error_of_smooth_solutions(diagonal, reach)
                if not self.estimated_error < _PLAIN_BELOW:
                    self._probe()

    def _use(self, plan: Plan) -> None:
        self._plan, self.free, self.position = plan, plan.free, plan.position
        self._coupling = plan.coupling(self._g)

    def _is_iterated(self) -> bool:
        """Prepare an iterative solution if a factor would be too large; return False if it does not converge."""
        plan, g = self._plan, self._g
        if plan.dense or self.free.size <= LARGEST_FRONT or not plan.shape.suits_iteration:
            return False
        try:
            diagonal = plan.diagonal(g)
            matrix = plan.pattern.matrix(g[plan.inner_source], diagonal)
            self._factor = ConjugateGradients(matrix.T, diagonal)  # symmetric: its columns are rows
            self._left = ACCURACY
            # the solutions that rounding moves most: see `_error_of_smooth_solutions`
            smooth = np.stack([np.ones(plan.pinned.size) @ self._coupling, diagonal], axis=1)
            V, share = self._refine(smooth, self._factor.solve(smooth))
            self.estimated_error = max(ROUNDINGS, share, float(np.abs(V[:, 0] - 1.0).max()))
        except (SlowConvergence, IllConditioned):
            self.estimated_error = np.inf
        self.refined = self.estimated_error < ERROR_BOUND
        if not self.refined:
            self._left = 1.0
            front = plan.shape.front
            if front > _MOST_FRONT:
                raise FactorTooLarge(front)
            if front > _LONG_FRONT:
                log.warning(
                    "solving this circuit may take minutes and %.1f GB: about %d rows of its matrix become dense, "
                    "and its conductances are too different for an iterative solution",
                    front**2 * 8e-9,
                    front,
                )
        return self.refined

    def _factored(self, plan: Plan, g: FloatArray) -> tuple[MatrixFactor, FloatArray]:
        """Return the factored matrix and its diagonal."""
        if plan.dense:
            try:
                dense = DenseFactor(plan, g)
            except SingularMatrix as singular:
                raise IllConditioned(int(plan.free[singular.position])) from None
            return dense, dense.diagonal
        diagonal, between = plan.diagonal(g), g[plan.inner_source]
        try:
            if self._cholmod:
                return plan.analysis.factor(between, diagonal), diagonal
            return SuperLUFactor(plan.pattern.matrix(between, diagonal)), diagonal
        except SingularMatrix:
            raise IllConditioned(int(plan.free[np.argmax(diagonal)])) from None

    def measured_error(self) -> float:
        """Return the measured error of unrefined solutions of probes, relative to the largest voltage."""
        if not self.free.size:
            return 0.0
        with np.errstate(all="ignore"):
            return self._measured(self._probes)[1]

    def _error_of_smooth_solutions(self, diagonal: FloatArray, reach: FloatArray) -> float:
        """Return the measured error of two solutions that most false conductances would move, relative to both.

        All held nodes at 1 V, which holds all others at 1 V too, and ``reach`` for the currents ``diagonal``.
        """
        ones = self._factor.solve(np.ones(self._plan.pinned.size) @ self._coupling)
        step = self._factor.solve(self._residual(diagonal[:, None], reach[:, None]))
        return float(max(np.abs(ones - 1.0).max(), np.abs(step).max() / reach.max()))

    @cached_property
    def _probes(self) -> FloatArray:
        """Currents (n_free, 3): of held nodes at 1 V, of held nodes at random voltages, and random currents."""
        m, n = self._plan.pinned.size, self.free.size
        rng = np.random.default_rng(_PROBE_SEED)
        held = np.stack([np.ones(m), rng.uniform(-1, 1, m)])
        into_all = self._plan.diagonal(self._g) * rng.uniform(-1, 1, (1, n))
        return np.concatenate([held @ self._coupling, into_all]).T

    def _measured(self, probes: FloatArray) -> tuple[FloatArray, float]:
        V = self._factor.solve(probes)
        wrong = np.abs(self._factor.solve(self._residual(probes, V)))
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
        try:
            V = self._factor.solve(currents.T)
            if self.refined:
                with np.errstate(all="ignore"):
                    V = self._refine(currents.T, V)[0]
        except SlowConvergence:
            raise IllConditioned(int(self.free[0])) from None
        return np.asarray(V.T)

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
            step = self._factor.solve(self._residual(currents, V))
            V = V + step
            largest = np.abs(V).max(axis=0)
            size = np.abs(step).max(axis=0)
            before, share = share, float(np.divide(size, largest, out=size, where=largest > 0).max())
            if share * self._left < _REFINED_TO or not share < 0.5 * before:
                break
        share *= self._left
        if not share < ERROR_BOUND:
            raise IllConditioned(int(self.free[np.argmax(np.abs(step).max(axis=1))]))
        return V, share


def may_use_cholmod(topology: Topology) -> bool:
    """Return whether any set of held nodes of a graph leaves enough unknown ones for CHOLMOD."""
    return topology.n_nodes - len(topology.driven) >= CHOLMOD_NODES


def _plan(topology: Topology, held: bytes) -> Plan:
    pinned = np.zeros(topology.n_nodes, dtype=bool)
    pinned[topology.driven] = True
    pinned[topology.outputs[np.frombuffer(held, dtype=bool)]] = True
    free, edges, n = np.flatnonzero(~pinned), topology.all_edges, topology.n_nodes
    order = dense_order(free, edges, n, DENSE_NODES)
    if order is None:
        return Plan(edges, np.flatnonzero(pinned), free, n, topology.outputs)
    return Plan(edges, np.flatnonzero(pinned), order[0], n, topology.outputs, n_independent=order[1])


plan_for: Final = KeptPlans(_plan)
"""Plans depend on the graph alone: all circuits on it share them."""
