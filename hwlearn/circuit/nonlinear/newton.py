"""Newton's method for circuits of nonlinear elements: operating points of a batch, with their errors.

Each step solves the circuit linearised at one drop for each edge. If the tangent of an exponential overshoots,
that is the drop at which the element carries the current that the tangent predicts (`Element.linearised_at`).
A step that is expected to be the last one uses the factor of the step before it. With equal slopes, as in a
circuit of ideal diodes that stay on their side of the threshold, that is Newton's step itself.
Samples that do not converge this way continue with damped Newton steps. The co-content is convex: along Newton's
direction it falls until its slope is zero. A damped step ends before that point, where the slope is nearly zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.nonlinear.balance import Balance, OutputSources, Tangents, rounding_bound
from hwlearn.circuit.nonlinear.currents import Circuit
from hwlearn.circuit.nonlinear.linearised import Factor, Linearised, SingularSample
from hwlearn.circuit.nonlinear.node_order import NodeOrder
from hwlearn.circuit.nonlinear.sides import predicted
from hwlearn.circuit.nonlinear.switching import Switching
from hwlearn.circuit.solver import OperatingPoint

LARGEST_ERROR: Final = 1e-9
"""Largest accepted error of a voltage, relative to the largest voltage of its sample."""

SETTLED: Final = 1e-11
"""The search ends with a step this small, relative to the largest voltage of a sample."""

_NEAR: Final = 1e-5  # of the largest voltage: with steps this small the error is estimated
_LIMITED_STEPS: Final = 60
_DAMPED_STEPS: Final = 150
_HALVINGS: Final = 60
_SLOPE_LEFT: Final = 0.9
_OVERSHOT: Final = 0.01
_REACH: Final = 10.0  # limit of a damped step, relative to the largest voltage


class NotConverged(Exception):
    """The operating point of a sample was not found with the required accuracy."""

    def __init__(self, sample: int, reason: str) -> None:
        self.sample, self.reason = sample, reason


class Search:
    """Newton's method for a circuit with one set of held nodes."""

    def __init__(self, circuit: Circuit, order: NodeOrder, compiled: bool = True) -> None:
        self.circuit, self.order = circuit, order
        self.linear = Linearised(order, circuit.ohmic_siemens)
        suits = compiled and Switching.suits(circuit, order)
        self.switching = Switching(circuit, self.linear) if suits else None

    def find(self, V: FloatArray, sources: OutputSources, start: Start | None = None) -> Found:
        """Return the operating points.

        Parameters
        ----------
        V : ndarray, shape (S, N)
            Volts at the held nodes; start values at the others.
        sources : OutputSources
        start : Start, optional
            Given if the start values are operating points without these sources; otherwise they are 0 V.

        Raises
        ------
        NotConverged
            If the error of a sample's voltages exceeds `LARGEST_ERROR`.
        """
        error = np.zeros(len(V))
        if not self.order.free.size:
            return Found(OperatingPoint(V.copy(), error), None)
        ordered, size = V[:, self.order.nodes], self.linear.chunk
        left = np.arange(len(V))
        if sources.loads is None and self.switching is not None:
            ordered, error, accurate = self.switching.find(ordered, sources.injected, SETTLED)
            left = np.flatnonzero(~accurate)
            ordered[left] = V[left][:, self.order.nodes]
        whole, last = len(left) == len(V) <= size, None
        for first in range(0, len(left), size):
            rows = left if whole else left[first : first + size]
            try:
                near = start if whole or start is None else Start(None)
                part = _Part(self, ordered[rows], sources.rows(rows), near)
                # overflow gives infinity, which is checked
                with np.errstate(over="ignore", invalid="ignore"):
                    ordered[rows], error[rows] = part.converge()
                last = part.factor if whole else None
            except NotConverged as lost:
                raise NotConverged(int(rows[lost.sample]), lost.reason) from None
        found = np.empty_like(V)
        found[:, self.order.nodes] = ordered
        return Found(OperatingPoint(found, error), last)


@dataclass(frozen=True, eq=False, slots=True)
class Start:
    """Start of a search at operating points of the free circuit; its factor there, None if that is not known."""

    factor: Factor | None


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """Operating points, and the factor of the last steps to them; None if the batch was divided."""

    point: OperatingPoint
    factor: Factor | None


@dataclass(frozen=True, eq=False, slots=True)
class _Step:
    """A Newton step (S, n_free) and the factor that gave it; ``residual`` (S, n_free) was missing before it.

    ``last`` (S,) marks samples whose factor held already; None if no step was expected to be the last one.
    ``bound`` (S,) limits the rounding error of the voltages before the step, in volts; None if it is not known.
    """

    step: FloatArray
    residual: FloatArray
    factor: Factor
    last: BoolArray | None
    bound: FloatArray | None


class _Part:
    """Part of a batch: iterates voltages (S, N), in the order of ``NodeOrder.nodes``, to operating points."""

    def __init__(self, search: Search, V: FloatArray, sources: OutputSources, start: Start | None) -> None:
        self.search, self.circuit, self.edges = search, search.circuit, search.order.nonlinear
        self.V, self.n_free = V, search.order.free.size
        self.balance = Balance(search.circuit, search.linear, V, sources)
        self.loads = None if sources.loads is None else sources.loads[1]
        self.factor = None if start is None else start.factor
        """Of the last step of each sample; of one sample as long as it is the same for all."""
        self._near_start = start is not None
        self.error, self.bound = np.zeros(len(V)), np.zeros(len(V))
        self.small_before = np.zeros(len(V), dtype=bool)
        self._steps = 0

    def converge(self) -> tuple[FloatArray, FloatArray]:
        rows, V, n_free = np.arange(len(self.V)), self.V.copy(), self.n_free
        moved = self._predict(V)
        wanted = self.edges.drops(V)
        before = wanted if self._near_start else np.zeros_like(wanted)
        for _ in range(_LIMITED_STEPS):
            if not rows.size:
                break
            v = self.circuit.linearised_at(wanted, before)
            true_step = None
            if v is not wanted:
                v = np.where(self.edges.moving, v, wanted)
                true_step = (v == wanted).all(axis=1)
            now = self._tangents(v, wanted)
            taken = self._step(rows, V, now, self._factor_holds(rows, now, moved, true_step), moved)
            V[:, :n_free] += taken.step
            moved = np.abs(taken.step).max(axis=1)
            before, wanted = v, self.edges.drops(V)
            done = self._converged(rows, V, wanted, now, taken, moved, true_step)
            if done is not None and done.any():
                self.V[rows[done]] = V[done]
                left = ~done
                rows, V, wanted, before, moved = rows[left], V[left], wanted[left], before[left], moved[left]
        self._damped(rows)
        inside = self.circuit.in_range(self.edges.drops(self.V))
        if not inside.all():
            raise NotConverged(int(np.flatnonzero(~inside)[0]), "an exponential element is driven beyond exp(300)")
        return self.V, self.error

    def _predict(self, V: FloatArray) -> FloatArray | None:
        """Move V (S, N) to predicted operating points if the elements allow it.

        Returns 0 V for each sample whose factor is that of the operating point, infinity for the others; None
        without a prediction.
        """
        if self.loads is not None or self.circuit.lines is None:
            return None
        try:
            found = predicted(self.search.linear, self.circuit.lines, V, self.balance.into, self.factor)
        except SingularSample:
            self.factor = None
            return None
        V[:, : self.n_free], self.factor = found.V, found.factor
        return np.where(found.settled, 0.0, np.inf)

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
        if self.bound[sample] > LARGEST_ERROR * self.balance.size[sample]:
            return "a node is connected to the sources too weakly to be solved in double precision"
        return f"Newton's method did not converge in {_LIMITED_STEPS + _DAMPED_STEPS} steps"

    # --- steps --------------------------------------------------------------------------------------

    def _tangents(self, v: FloatArray, wanted: FloatArray) -> Tangents:
        """Return the nonlinear edges at drops ``wanted`` (S, K), linearised at drops ``v`` (S, K)."""
        slopes = self.circuit.slopes(v)
        currents = self.circuit.nonlinear_currents(v)
        if v is not wanted:
            currents = currents + slopes * (wanted - v)
        return Tangents(v, slopes, currents)

    def _factor_holds(
        self, rows: IntArray, now: Tangents, moved: FloatArray | None, true_step: BoolArray | None
    ) -> BoolArray | None:
        """Return the samples (S,) whose factor of the step before serves for another step; None if there is none.

        After a step of size m, the error is at most m times the relative change of the slopes (in the norm of the
        co-content). If this is as small as an accepted step, a step with the factor before shows it.
        """
        if self.factor is None:
            return None
        slopes = self.factor.slopes
        if len(slopes) == len(self.V) > len(rows):
            slopes = slopes[rows]
        change = np.abs(now.slopes - slopes)
        if not change.any():
            return np.ones(len(rows), dtype=bool) if true_step is None else true_step if true_step.any() else None
        with np.errstate(divide="ignore", invalid="ignore"):
            change /= np.minimum(now.slopes, slopes)
        change[np.isnan(change)] = 0.0  # 0 / 0: slopes of zero that stayed
        relative = change.max(axis=1)
        holds = relative <= _NEAR if moved is None else relative * moved <= SETTLED * self.balance.size[rows]
        if true_step is not None:
            holds &= true_step
        return holds if holds.any() else None

    def _step(
        self, rows: IntArray, V: FloatArray, now: Tangents, holds: BoolArray | None, moved: FloatArray | None
    ) -> _Step:
        """Return the Newton step from V (S, N); samples whose factor holds use it again."""
        factor = self._factor_of(rows, now.slopes, holds)
        final = holds is not None and moved is not None
        missing = self.balance.residual(rows, V, now.currents)
        bound = None
        try:
            if final:
                # a bound on rounding errors is needed in this step: solve for all three at once
                step, *rest = factor.solve(np.stack([missing, *self.balance.rounding(rows, V, now, factor)]))
                bound = rounding_bound(*rest)
            else:
                step = factor.solve(missing[None])[0]
        except SingularSample as singular:
            raise self._singular(rows[singular.sample]) from None
        return _Step(step, missing, factor, holds if final else None, bound)

    def _factor_of(self, rows: IntArray, slopes: FloatArray, holds: BoolArray | None) -> Factor:
        """Return the factor of some samples: the one before where it holds, else a new one, which is kept."""
        every = len(rows) == len(self.V)
        if holds is None and every:
            same = self.loads is None and len(rows) > 1 and bool((slopes == slopes[0]).all())
            self.factor = self._new_factor(rows[:1], slopes[:1]) if same else self._new_factor(rows, slopes)
            return self.factor
        changed = slice(None) if holds is None else ~holds
        new = rows[changed]
        if self.factor is None or new.size == len(rows):
            factor = self._new_factor(rows, slopes)
            self._put(rows, factor)
            return factor
        if new.size:
            self._put(new, self._new_factor(new, slopes[changed]))
        return self.factor if every or len(self.factor.slopes) == 1 else self.factor.rows(rows)

    def _put(self, rows: IntArray, factor: Factor) -> None:
        """Replace the factor of some samples."""
        if self.factor is not None:
            if len(self.factor.slopes) < len(self.V):
                self.factor = self.factor.rows(np.zeros(len(self.V), dtype=np.int64))
            self.factor.put(rows, factor)

    def _new_factor(self, rows: IntArray, slopes: FloatArray) -> Factor:
        loads = None if self.loads is None else self.loads[rows]
        try:
            return self.search.linear.factor(slopes, loads)
        except SingularSample as singular:
            raise self._singular(rows[singular.sample]) from None

    def _singular(self, sample: np.int64) -> NotConverged:
        return NotConverged(int(sample), "only blocking elements connect a node to the sources")

    def _converged(
        self,
        rows: IntArray,
        V: FloatArray,
        drops: FloatArray,
        now: Tangents,
        taken: _Step,
        moved: FloatArray,
        true_step: BoolArray | None,
    ) -> BoolArray | None:
        """Return which samples converged with a step to V (S, N), where nonlinear edges have drops (S, K)."""
        if not np.isfinite(moved).all():
            raise NotConverged(int(rows[np.flatnonzero(~np.isfinite(moved))[0]]), "a voltage is not finite")
        self._steps += 1
        size = np.maximum(self.balance.size[rows], np.abs(V[:, : self.n_free]).max(axis=1))
        near = moved <= _NEAR * size
        if true_step is not None:
            near &= true_step
        bound = taken.bound
        if bound is None:
            if not near.any() and self._steps < _LIMITED_STEPS // 2:
                return None
            rounding = self.balance.rounding(rows, V, now, taken.factor)
            bound = rounding_bound(*taken.factor.solve(np.stack(rounding)))
        error = moved + 2 * bound
        self.bound[rows] = 2 * bound
        # sums over drops lose fewer digits than summed conductances
        self.balance.from_drops[rows] |= bound > 0.1 * SETTLED * size
        small = (moved <= np.maximum(SETTLED * size, 2 * bound)) & (error <= LARGEST_ERROR * size)
        if true_step is not None:
            small &= true_step
        done = small
        if taken.last is None or not taken.last.all():
            # a step across a kink used the slope before the kink: the slope behind it must agree
            after = self.circuit.slopes(drops)
            same = (np.maximum(after, now.slopes) <= 2 * np.minimum(after, now.slopes)).all(axis=1)
            if taken.last is not None:
                same |= taken.last
            done = small & (same | self.small_before[rows])
        self.small_before[rows] = small
        self.error[rows] = np.where(small, np.maximum(error, self.error[rows]), 0.0)
        return np.asarray(done)

    def _damped_step(self, rows: IntArray) -> BoolArray:
        """Take one step along Newton's direction, only as far as the co-content falls."""
        start, n_free = self.V[rows], self.n_free
        v = self.edges.drops(start)
        now = self._tangents(v, v)
        taken = self._step(rows, start, now, None, None)
        step = taken.step
        first = np.einsum("sn,sn->s", taken.residual, step)  # minus the slope of the co-content at the start
        largest = np.maximum(self.balance.size[rows], np.abs(start).max(axis=1))
        reach, far = _REACH * largest, np.abs(step).max(axis=1)
        longest = np.where((reach > 0) & (far > reach), reach / np.where(far > 0, far, 1.0), 1.0)
        low, high, length = np.zeros(len(rows)), longest, longest
        open_ = np.ones(len(rows), dtype=bool)
        for _ in range(_HALVINGS):
            V = start.copy()
            V[:, :n_free] += length[:, None] * step
            nonlinear = self.circuit.nonlinear_currents(self.edges.drops(V))
            left = np.einsum("sn,sn->s", self.balance.residual(rows, V, nonlinear), step)
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
        moved = np.abs(step).max(axis=1)
        done = self._converged(rows, start, self.edges.drops(start), now, taken, moved, None)
        return np.zeros(len(rows), dtype=bool) if done is None else done
