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
from hwlearn.circuit.nonlinear.linearised import Factor, Linearised, NodeOrder, SingularSample
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
        self.summed = circuit.rows(order.free)

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
        V = V.copy()
        error = np.zeros(len(V))
        if self.order.free.size:
            size = self.linear.chunk
            for first in range(0, len(V), size):
                rows = slice(first, first + size)
                try:
                    part = _Part(
                        self,
                        V[rows],
                        None if injected is None else injected[rows],
                        None if loads is None else (loads[0][rows], loads[1][rows]),
                    )
                    # overflow gives infinity, which is checked
                    with np.errstate(over="ignore", invalid="ignore"):
                        V[rows], error[rows] = part.converge()
                except NotConverged as lost:
                    raise NotConverged(first + lost.sample, lost.reason) from None
        return OperatingPoint(V, error)


@dataclass(frozen=True, eq=False, slots=True)
class _Tangent:
    """Linearised equations of some samples and the Newton step (S, n_free) that solves them.

    ``residual`` (S, n_free) is the current that is missing at the voltages ``V`` (S, N), ``parts`` (S, K) the sum
    of the absolute terms of the currents of nonlinear edges, ``slopes`` (S, K) the slopes of these edges.
    """

    step: FloatArray
    residual: FloatArray
    V: FloatArray
    parts: FloatArray
    slopes: FloatArray
    factor: Factor


class _Part:
    """Part of a batch: iterates its voltages to the operating points."""

    def __init__(
        self,
        search: Search,
        V: FloatArray,
        injected: FloatArray | None,
        loads: tuple[FloatArray, FloatArray] | None,
    ) -> None:
        self.search, self.circuit = search, search.circuit
        self.V = V
        self.free = search.order.free
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
        held = np.abs(V[:, search.order.pinned]).max(axis=1, initial=0.0)
        self.size = (
            held if self._load is None else np.maximum(held, np.abs(self._load[0]).max(axis=1, initial=0.0))
        )

    def converge(self) -> tuple[FloatArray, FloatArray]:
        rows = np.arange(len(self.V))
        before = np.zeros((len(rows), len(self.circuit.nonlinear)))
        moving = self.search.order.nonlinear.moving
        for _ in range(_LIMITED_STEPS):
            if not rows.size:
                break
            wanted = self.circuit.drops(self.V[rows])
            v = np.where(moving, self.circuit.linearised_at(wanted, before), wanted)
            done = self._step(rows, v, wanted)
            rows, before = rows[~done], v[~done]
        self.V[np.ix_(rows, self.free)] = 0.0
        for _ in range(_DAMPED_STEPS):
            if not rows.size:
                break
            rows = rows[~self._damped_step(rows)]
        if rows.size:
            raise NotConverged(int(rows[0]), self._why(rows[0]))
        inside = self.circuit.in_range(self.circuit.drops(self.V))
        if not inside.all():
            raise NotConverged(int(np.flatnonzero(~inside)[0]), "an exponential element is driven beyond exp(300)")
        return self.V, self.error

    def _why(self, sample: np.int64) -> str:
        if self.bound[sample] > LARGEST_ERROR * self.size[sample]:
            return "a node is connected to the sources too weakly to be solved in double precision"
        return f"Newton's method did not converge in {_LIMITED_STEPS + _DAMPED_STEPS} steps"

    # --- steps --------------------------------------------------------------------------------------

    def _residual(self, rows: IntArray, V: FloatArray, nonlinear: FloatArray, from_drops: BoolArray) -> FloatArray:
        """Return the current (S, n_free) that is missing at each free node."""
        if not from_drops.any():
            out = -self.search.summed.currents(V, nonlinear)
        else:
            out = -self.circuit.node_currents(V, nonlinear)[:, self.free]
        if self.injected is not None:
            out[:, self._outputs] += self.injected[rows]
        if self._load is not None:
            volts, siemens = self._load[0][rows], self._load[1][rows]
            out[:, self._outputs] += siemens * (volts - V[:, self.free][:, self._outputs])
        return out

    def _newton(self, rows: IntArray, v: FloatArray, wanted: FloatArray) -> _Tangent:
        """Return the Newton step, linearised at drops ``v``, of samples with drops ``wanted``."""
        V, exact = self.V[rows], self.from_drops[rows]
        slopes = self.circuit.slopes(v)
        nonlinear = self.circuit.nonlinear_currents(v) + slopes * (wanted - v)
        r = self._residual(rows, V, nonlinear, exact)
        factor = self._factor(rows, slopes)
        try:
            step = factor.solve(r[None])[0]
        except SingularSample as singular:
            raise self._singular(rows[singular.sample]) from None
        return _Tangent(step, r, V, np.abs(nonlinear) + slopes * np.abs(v), slopes, factor)

    def _bound(self, rows: IntArray, tangent: _Tangent) -> FloatArray:
        """Return a bound (S,) on the rounding error of the voltages."""
        V = tangent.V
        if not self.from_drops[rows].any():
            rounding = self.search.summed.rounding(V, tangent.parts)
        else:
            rounding = self.circuit.rounding(V, tangent.parts)[:, self.free]
        if self.injected is not None:
            rounding[:, self._outputs] += ROUNDING * np.abs(self.injected[rows])
        if self._load is not None:
            volts, siemens = self._load[0][rows], self._load[1][rows]
            rounding[:, self._outputs] += (
                ROUNDING * siemens * (np.abs(volts) + np.abs(V[:, self.free][:, self._outputs]))
            )
        bound, one = tangent.factor.solve(np.stack([rounding, tangent.factor.leak]))
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

    def _step(self, rows: IntArray, v: FloatArray, wanted: FloatArray) -> BoolArray:
        """Take one step linearised at ``v``; return which samples have converged."""
        tangent = self._newton(rows, v, wanted)
        self.V[np.ix_(rows, self.free)] += tangent.step
        return self._converged(rows, tangent, (v == wanted).all(axis=1))

    def _converged(self, rows: IntArray, tangent: _Tangent, true_step: BoolArray) -> BoolArray:
        moved = np.abs(tangent.step).max(axis=1)
        size = np.maximum(self.size[rows], np.abs(self.V[np.ix_(rows, self.free)]).max(axis=1))
        if not np.isfinite(moved).all():
            raise NotConverged(int(rows[np.flatnonzero(~np.isfinite(moved))[0]]), "a voltage is not finite")
        self._steps += 1
        if not (true_step & (moved <= _NEAR * size)).any() and self._steps < _LIMITED_STEPS // 2:
            return np.zeros(len(rows), dtype=bool)
        bound = self._bound(rows, tangent)
        error = moved + 2 * bound
        self.bound[rows] = 2 * bound
        # sums over drops lose fewer digits than summed conductances
        self.from_drops[rows] |= bound > 0.1 * _SETTLED * size
        small = true_step & (moved <= np.maximum(_SETTLED * size, 2 * bound)) & (error <= LARGEST_ERROR * size)
        # a step across a kink used the slope before the kink: the slope behind it must agree
        now = self.circuit.slopes(self.circuit.drops(self.V[rows]))
        same = (np.maximum(now, tangent.slopes) <= 2 * np.minimum(now, tangent.slopes)).all(axis=1)
        done = small & (same | self.small_before[rows])
        self.small_before[rows] = small
        self.error[rows] = np.where(small, np.maximum(error, self.error[rows]), 0.0)
        return np.asarray(done)

    def _damped_step(self, rows: IntArray) -> BoolArray:
        """Take one step along Newton's direction, only as far as the co-content falls."""
        start = self.V[rows]
        v = self.circuit.drops(start)
        tangent = self._newton(rows, v, v)
        step = tangent.step
        first = np.einsum("sn,sn->s", tangent.residual, step)  # minus the slope of the co-content at the start
        reach, far = _REACH * np.maximum(self.size[rows], np.abs(start).max(axis=1)), np.abs(step).max(axis=1)
        longest = np.where((reach > 0) & (far > reach), reach / np.where(far > 0, far, 1.0), 1.0)
        low, high, length = np.zeros(len(rows)), longest, longest
        open_ = np.ones(len(rows), dtype=bool)
        for _ in range(_HALVINGS):
            V = start.copy()
            V[:, self.free] += length[:, None] * step
            nonlinear = self.circuit.nonlinear_currents(self.circuit.drops(V))
            left = np.einsum("sn,sn->s", self._residual(rows, V, nonlinear, self.from_drops[rows]), step)
            falls = left > 0
            open_ &= ~(
                (falls & (length == longest)) | ((left <= _SLOPE_LEFT * first) & (left >= -_OVERSHOT * first))
            )
            if not open_.any():
                break
            low, high = np.where(open_ & falls, length, low), np.where(open_ & ~falls, length, high)
            length = np.where(open_, 0.5 * (low + high), length)
        length = np.where(open_, low, length)
        self.V[np.ix_(rows, self.free)] += length[:, None] * step
        # Newton's full step is the error estimate, also if the damped step is shorter
        return self._converged(rows, tangent, np.ones(len(rows), dtype=bool))
