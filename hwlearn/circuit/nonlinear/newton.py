"""Newton's method for circuits of nonlinear elements: operating points of a batch, with their errors.

Each step solves the circuit linearised at one drop for each edge. If the tangent of an exponential overshoots,
that is the drop at which the element carries the current that the tangent predicts (`Element.linearised_at`).
Samples that do not converge this way continue with damped Newton steps. The co-content is convex: along Newton's
direction it falls until its slope is zero. A damped step ends before that point, where the slope is nearly zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.nonlinear.currents import ROUNDING, Circuit
from hwlearn.circuit.nonlinear.linearised import Factor, Linearised, SingularSample
from hwlearn.circuit.nonlinear.node_order import NodeOrder
from hwlearn.circuit.solver import OperatingPoint

LARGEST_ERROR: Final = 1e-9
"""Largest accepted error of a voltage, relative to the largest voltage of its sample."""

_SETTLED: Final = 1e-11  # of the largest voltage: the search ends with a step this small
_NEAR: Final = 1e-5  # of the largest voltage: with steps this small the error is estimated
_LIMITED_STEPS: Final = 60
_DAMPED_STEPS: Final = 150
_HALVINGS: Final = 60
_SLOPE_LEFT: Final = 0.9
_OVERSHOT: Final = 0.01
_REACH: Final = 10.0  # limit of a damped step, relative to the largest voltage
_TRUSTED: Final = 1e-3  # largest relative error of linear solutions whose error bounds are used


class NotConverged(Exception):
    """The operating point of a sample was not found with the required accuracy."""

    def __init__(self, sample: int, reason: str) -> None:
        self.sample, self.reason = sample, reason


class Search:
    """Newton's method for a circuit with one set of held nodes."""

    def __init__(self, circuit: Circuit, order: NodeOrder) -> None:
        self.circuit, self.order = circuit, order
        self.linear = Linearised(order, circuit.ohmic_siemens)

    def find(
        self, V: FloatArray, injected: FloatArray | None = None, loads: tuple[FloatArray, FloatArray] | None = None
    ) -> OperatingPoint:
        """Return the operating points.

        Parameters
        ----------
        V : ndarray, shape (S, N)
            Volts at the held nodes; start values at the others.
        injected : ndarray, shape (S, n_out), optional
            Amperes into the outputs.
        loads : (ndarray, ndarray), optional
            Volts and siemens (S, n_out) of sources behind conductances at the outputs.

        Raises
        ------
        NotConverged
            If the error of a sample's voltages exceeds `LARGEST_ERROR`.
        """
        error = np.zeros(len(V))
        if not self.order.free.size:
            return OperatingPoint(V.copy(), error)
        ordered, size = V[:, self.order.nodes], self.linear.chunk
        for first in range(0, len(V), size):
            rows = slice(first, first + size)
            try:
                part = _Part(
                    self,
                    ordered[rows],
                    None if injected is None else injected[rows],
                    None if loads is None else (loads[0][rows], loads[1][rows]),
                )
                # overflow gives infinity, which is checked
                with np.errstate(over="ignore", invalid="ignore"):
                    ordered[rows], error[rows] = part.converge()
            except NotConverged as lost:
                raise NotConverged(first + lost.sample, lost.reason) from None
        found = np.empty_like(V)
        found[:, self.order.nodes] = ordered
        return OperatingPoint(found, error)


@dataclass(frozen=True, eq=False, slots=True)
class _Tangent:
    """Linearised equations of some samples and the Newton step (S, n_free) that solves them.

    ``residual`` (S, n_free) is the current that was missing at the free nodes, ``nonlinear`` (S, K) the currents
    of nonlinear edges, linearised at drops ``v`` (S, K) with ``slopes`` (S, K).
    """

    step: FloatArray
    residual: FloatArray
    nonlinear: FloatArray
    v: FloatArray
    slopes: FloatArray
    factor: Factor


class _Part:
    """Part of a batch: iterates voltages (S, N), in the order of ``NodeOrder.nodes``, to operating points."""

    def __init__(
        self,
        search: Search,
        V: FloatArray,
        injected: FloatArray | None,
        loads: tuple[FloatArray, FloatArray] | None,
    ) -> None:
        self.search, self.circuit, self.edges = search, search.circuit, search.order.nonlinear
        self.V, self.n_free = V, search.order.free.size
        at = search.order.output_position
        self._outputs = at[at >= 0]
        open_outputs = at >= 0
        self.injected = None if injected is None else injected[:, open_outputs]
        self.loads = loads
        self._load = None if loads is None else (loads[0][:, open_outputs], loads[1][:, open_outputs])
        self.error, self.bound = np.zeros(len(V)), np.zeros(len(V))
        self.small_before = np.zeros(len(V), dtype=bool)
        self._steps = 0
        self.from_drops = np.zeros(len(V), dtype=bool)
        self._held = np.abs(V[:, self.n_free :]).max(axis=1, initial=0.0)
        self.size = (
            self._held
            if self._load is None
            else np.maximum(self._held, np.abs(self._load[0]).max(axis=1, initial=0.0))
        )
        self._from_held = search.linear.from_held(V[:, self.n_free :])

    def converge(self) -> tuple[FloatArray, FloatArray]:
        rows, V, n_free = np.arange(len(self.V)), self.V.copy(), self.n_free
        wanted, moving = self.edges.drops(V), self.edges.moving
        before = np.zeros_like(wanted)
        for _ in range(_LIMITED_STEPS):
            if not rows.size:
                break
            v = self.circuit.linearised_at(wanted, before)
            true_step = np.ones(len(rows), dtype=bool)
            if v is not wanted:
                v = np.where(moving, v, wanted)
                true_step = (v == wanted).all(axis=1)
            tangent = self._newton(rows, V, v, wanted)
            V[:, :n_free] += tangent.step
            before, wanted = v, self.edges.drops(V)
            done = self._converged(rows, V, wanted, tangent, true_step)
            if done.any():
                self.V[rows[done]] = V[done]
                left = ~done
                rows, V, wanted, before = rows[left], V[left], wanted[left], before[left]
        self._damped(rows)
        inside = self.circuit.in_range(self.edges.drops(self.V))
        if not inside.all():
            raise NotConverged(int(np.flatnonzero(~inside)[0]), "an exponential element is driven beyond exp(300)")
        return self.V, self.error

    def _damped(self, rows: IntArray) -> None:
        """Converge the remaining samples by damped steps from 0 V at the free nodes."""
        self.V[rows, : self.n_free] = 0.0
        for _ in range(_DAMPED_STEPS):
            if not rows.size:
                break
            rows = rows[~self._damped_step(rows)]
        if rows.size:
            raise NotConverged(int(rows[0]), self._why(rows[0]))

    def _why(self, sample: np.int64) -> str:
        if self.bound[sample] > LARGEST_ERROR * self.size[sample]:
            return "a node is connected to the sources too weakly to be solved in double precision"
        return f"Newton's method did not converge in {_LIMITED_STEPS + _DAMPED_STEPS} steps"

    # --- steps --------------------------------------------------------------------------------------

    def _residual(self, rows: IntArray, V: FloatArray, nonlinear: FloatArray) -> FloatArray:
        """Return the current (S, n_free) that is missing at each free node, at voltages V (S, N)."""
        free = V[:, : self.n_free]
        if self.from_drops[rows].any():
            out = -self._by_node(V, absolute=False)
        else:
            out = self._from_held[rows] - self.search.linear.between_free(free)
        out -= self.edges.outflow(nonlinear)
        if self.injected is not None:
            out[:, self._outputs] += self.injected[rows]
        if self._load is not None:
            volts, siemens = self._load[0][rows], self._load[1][rows]
            out[:, self._outputs] += siemens * (volts - free[:, self._outputs])
        return out

    def _by_node(self, V: FloatArray, *, absolute: bool) -> FloatArray:
        """Return the currents (S, n_free) of resistors out of free nodes from drops, or sums of absolute ones."""
        order, circuit = self.search.order, self.circuit
        volts = np.empty_like(V)
        volts[:, order.nodes] = V
        edges = circuit.structure.from_drops
        at_nodes = (edges.sizes if absolute else edges.currents)(volts, circuit.ohmic_siemens)
        return at_nodes[:, order.free]

    def _newton(self, rows: IntArray, V: FloatArray, v: FloatArray, wanted: FloatArray) -> _Tangent:
        """Return the Newton step from V (S, N), linearised at drops ``v``, of samples with drops ``wanted``."""
        slopes = self.circuit.slopes(v)
        nonlinear = self.circuit.nonlinear_currents(v)
        if v is not wanted:
            nonlinear = nonlinear + slopes * (wanted - v)
        r = self._residual(rows, V, nonlinear)
        factor = self._factor(rows, slopes)
        try:
            step = factor.solve(r[None])[0]
        except SingularSample as singular:
            raise self._singular(rows[singular.sample]) from None
        return _Tangent(step, r, nonlinear, v, slopes, factor)

    def _bound(self, rows: IntArray, tangent: _Tangent, V: FloatArray) -> FloatArray:
        """Return a bound (S,) on the rounding error of the voltages V (S, N)."""
        free = V[:, : self.n_free]
        parts = np.abs(tangent.nonlinear) + tangent.slopes * np.abs(tangent.v)
        if self.from_drops[rows].any():
            terms = self._by_node(V, absolute=True)
        else:
            linear = self.search.linear
            terms = linear.sizes_between_free(free) + self._held[rows, None] * linear.leak
        terms += self.edges.sizes(parts)
        if self.injected is not None:
            terms[:, self._outputs] += np.abs(self.injected[rows])
        if self._load is not None:
            volts, siemens = self._load[0][rows], self._load[1][rows]
            terms[:, self._outputs] += siemens * (np.abs(volts) + np.abs(free[:, self._outputs]))
        bound, one = tangent.factor.solve(np.stack([ROUNDING * terms, tangent.factor.leak]))
        # with all held nodes at 1 V every node is at 1 V; a solution far from that is useless
        off = np.abs(one - 1.0).max(axis=1)
        return np.where(off <= _TRUSTED, np.abs(bound).max(axis=1), np.inf)

    def _factor(self, rows: IntArray, slopes: FloatArray) -> Factor:
        loads = None
        if self.loads is not None:
            loads = self.loads[1][rows]
        try:
            return self.search.linear.factor(slopes, loads)
        except SingularSample as singular:
            raise self._singular(rows[singular.sample]) from None

    def _singular(self, sample: np.int64) -> NotConverged:
        return NotConverged(int(sample), "only blocking elements connect a node to the sources")

    def _converged(
        self, rows: IntArray, V: FloatArray, drops: FloatArray, tangent: _Tangent, true_step: BoolArray
    ) -> BoolArray:
        """Return which samples converged with a step to V (S, N), where nonlinear edges have drops (S, K)."""
        moved = np.abs(tangent.step).max(axis=1)
        size = np.maximum(self.size[rows], np.abs(V[:, : self.n_free]).max(axis=1))
        if not np.isfinite(moved).all():
            raise NotConverged(int(rows[np.flatnonzero(~np.isfinite(moved))[0]]), "a voltage is not finite")
        self._steps += 1
        if not (true_step & (moved <= _NEAR * size)).any() and self._steps < _LIMITED_STEPS // 2:
            return np.zeros(len(rows), dtype=bool)
        bound = self._bound(rows, tangent, V)
        error = moved + 2 * bound
        self.bound[rows] = 2 * bound
        # sums over drops lose fewer digits than summed conductances
        self.from_drops[rows] |= bound > 0.1 * _SETTLED * size
        small = true_step & (moved <= np.maximum(_SETTLED * size, 2 * bound)) & (error <= LARGEST_ERROR * size)
        # a step across a kink used the slope before the kink: the slope behind it must agree
        now = self.circuit.slopes(drops)
        same = (np.maximum(now, tangent.slopes) <= 2 * np.minimum(now, tangent.slopes)).all(axis=1)
        done = small & (same | self.small_before[rows])
        self.small_before[rows] = small
        self.error[rows] = np.where(small, np.maximum(error, self.error[rows]), 0.0)
        return np.asarray(done)

    def _damped_step(self, rows: IntArray) -> BoolArray:
        """Take one step along Newton's direction, only as far as the co-content falls."""
        start, n_free = self.V[rows], self.n_free
        v = self.edges.drops(start)
        tangent = self._newton(rows, start, v, v)
        step = tangent.step
        first = np.einsum("sn,sn->s", tangent.residual, step)  # minus the slope of the co-content at the start
        largest = np.maximum(self.size[rows], np.abs(start).max(axis=1))
        reach, far = _REACH * largest, np.abs(step).max(axis=1)
        longest = np.where((reach > 0) & (far > reach), reach / np.where(far > 0, far, 1.0), 1.0)
        low, high, length = np.zeros(len(rows)), longest, longest
        open_ = np.ones(len(rows), dtype=bool)
        for _ in range(_HALVINGS):
            V = start.copy()
            V[:, :n_free] += length[:, None] * step
            nonlinear = self.circuit.nonlinear_currents(self.edges.drops(V))
            left = np.einsum("sn,sn->s", self._residual(rows, V, nonlinear), step)
            falls = left > 0
            open_ &= ~(
                (falls & (length == longest)) | ((left <= _SLOPE_LEFT * first) & (left >= -_OVERSHOT * first))
            )
            if not open_.any():
                break
            low, high = np.where(open_ & falls, length, low), np.where(open_ & ~falls, length, high)
            length = np.where(open_, 0.5 * (low + high), length)
        length = np.where(open_, low, length)
        start[:, :n_free] += length[:, None] * step
        self.V[rows] = start
        # Newton's full step is the error estimate, also if the damped step is shorter
        return self._converged(rows, start, self.edges.drops(start), tangent, np.ones(len(rows), dtype=bool))
