"""Newton's method for circuits with elements of three terminals: operating points of a batch, with their errors.

Each step solves all equations at once, also those of nodes inside elements, which are eliminated edge by edge.
Exponential parts are linearised where they carry the current that their tangent predicts. Close to the solution
the factor of a step serves for the next one. There is no co-content to descend: samples that do not converge start
again from 0 V, with all sources rising to their values in steps as long as Newton's method follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.elements.three_terminal import Stamp
from hwlearn.circuit.nonreciprocal.equations import (
    Factor,
    LawEdges,
    LawEquations,
    SingularJacobian,
    joined_currents,
    joined_jacobians,
)
from hwlearn.circuit.nonreciprocal.steps import KeptFactor, NewtonStep, StepPace
from hwlearn.circuit.solver import OperatingPoint

LARGEST_ERROR: Final = 1e-9
"""Largest accepted error of a voltage, relative to the largest voltage of its sample."""

_SETTLED: Final = 1e-11  # of the largest voltage: the search ends with a step this small
_STEPS: Final = 60
_FOLLOWED_STEPS: Final = 25
_SMALLEST_RISE: Final = 1e-4
_REACH: Final = 4.0  # longest step, relative to the largest voltage
ROUNDING: Final = 4 * float(np.finfo(np.float64).eps)
"""Rounding of a sum, relative to the sum of its absolute terms."""
_PROBES: Final = 3
_UNSETTLED: Final = "the nodes inside an element did not settle"
_CHUNK_NUMBERS: Final = 600_000


class LostSample(Exception):
    """The operating point of a sample was not found with the required accuracy."""

    def __init__(self, sample: int, reason: str) -> None:
        self.sample, self.reason = sample, reason


@dataclass(frozen=True, eq=False, slots=True)
class Drive:
    """What drives a batch, besides the nodes that are held.

    Attributes
    ----------
    injected : ndarray, shape (S, n_out), or None
        Amperes into the outputs.
    volts, siemens : ndarray, shape (S, n_out), or None
        Drive behind conductances at the outputs.
    """

    injected: FloatArray | None = None
    volts: FloatArray | None = None
    siemens: FloatArray | None = None

    @property
    def is_none(self) -> bool:
        """Whether nothing is driven."""
        return self.injected is None and self.volts is None

    def of(self, rows: IntArray | slice) -> Drive:
        """Return those of some samples."""
        return Drive(*(None if one is None else one[rows] for one in (self.injected, self.volts, self.siemens)))

    def times(self, share: FloatArray) -> Drive:
        """Return them at a share (S,) of their values."""
        at = share[:, None]
        return replace(
            self,
            injected=None if self.injected is None else at * self.injected,
            volts=None if self.volts is None else at * self.volts,
        )


@dataclass(eq=False, slots=True)
class State:
    """Voltages of a batch, changed in place.

    Attributes
    ----------
    V : ndarray, shape (S, N)
    inner, before : list of ndarray, shapes (n_inner, S, K) and (c, S, K)
        Of each group: the unknowns inside; where the exponential parts were linearised last.
    """

    V: FloatArray
    inner: list[FloatArray]
    before: list[FloatArray]

    @classmethod
    def at(cls, V: FloatArray, groups: Sequence[LawEdges]) -> State:
        """Return the state at which a search from node voltages (S, N) begins."""
        starts = [group.law.start(group.terminals(V)) for group in groups]
        return cls(V, [inner for inner, _ in starts], [before for _, before in starts])

    def of(self, rows: IntArray | BoolArray) -> State:
        """Return a copy of some samples."""
        return State(self.V[rows], [one[:, rows] for one in self.inner], [one[:, rows] for one in self.before])

    def put(self, rows: IntArray, other: State) -> None:
        """Take some samples from another state."""
        self.V[rows] = other.V
        for own, new in zip([*self.inner, *self.before], [*other.inner, *other.before], strict=True):
            own[:, rows] = new


class Newton:
    """Newton's method for a circuit with one set of held nodes.

    Parameters
    ----------
    equations : LawEquations
    groups : sequence of LawEdges
    values : sequence of ndarray, shape (K,)
        Values of the edges of each group.
    """

    def __init__(self, equations: LawEquations, groups: Sequence[LawEdges], values: Sequence[FloatArray]) -> None:
        self.equations, self.groups, self.values = equations, groups, values
        count = 25 * sum(len(group.edges) for group in groups)
        self.chunk = max(1, min(64, _CHUNK_NUMBERS // max(1, count)))
        """Number of samples to solve at a time."""
        self._may_have_kinks = any(group.law.has_kinks for group in groups)

    def find(self, V: FloatArray, sources: Drive) -> OperatingPoint:
        """Return the operating points for held nodes at V (S, N); the other nodes start there.

        Raises
        ------
        LostSample
            If the error of a sample's voltages exceeds `LARGEST_ERROR`.
        """
        found, error = np.empty_like(V), np.zeros(len(V))
        for first in range(0, len(V), self.chunk):
            rows = slice(first, first + self.chunk)
            try:
                # overflow gives infinity, which is checked
                with np.errstate(over="ignore", invalid="ignore"):
                    found[rows], error[rows] = self._converged(V[rows].copy(), sources.of(rows))
            except LostSample as lost:
                raise LostSample(first + lost.sample, lost.reason) from None
        return OperatingPoint(found, error)

    def settled(self, V: FloatArray) -> list[Stamp]:
        """Return the stamps of each group at node voltages (S, N), with the unknowns inside at rest.

        Full steps from the start; samples for which they fail start at 0 V, and their voltages rise gradually.

        Raises
        ------
        LostSample
            If the nodes inside an element have no voltages in double precision.
        """
        state = State.at(V, self.groups)
        stamps, at_rest = self._rest(state, _STEPS)
        if at_rest.all():
            return stamps
        for s in np.flatnonzero(~at_rest).tolist():
            row = np.array([s])
            state.put(row, self._risen(V[row], s))
        stamps, at_rest = self._rest(state, _STEPS)
        if not at_rest.all():
            raise LostSample(int(np.argmin(at_rest)), _UNSETTLED)
        return stamps

    def _rest(self, state: State, steps: int) -> tuple[list[Stamp], BoolArray]:
        """Move the unknowns inside until they rest; return the last stamps, and which samples (S,) are at rest."""
        still = np.ones(len(state.V))
        bound = _SETTLED * np.abs(state.V).max(axis=1, initial=0.0)
        for _ in range(steps):
            stamps, is_true = self._stamps(state)
            at_rest = is_true & (self._move_inner(state, stamps, None, still) <= bound)
            if at_rest.all():
                break
        return stamps, at_rest

    def _risen(self, V: FloatArray, sample: int) -> State:
        """Return the state of one sample at node voltages (1, N), found while all rise from 0 to their values.

        Raises
        ------
        LostSample
        """
        state = State.at(np.zeros_like(V), self.groups)
        reached, rise = 0.0, 0.25
        while reached < 1.0:
            share = min(1.0, reached + rise)
            trial = state.of(np.array([0]))
            trial.V = share * V
            if self._rest(trial, _FOLLOWED_STEPS)[1].all():
                state, reached, rise = trial, share, 2 * rise
            elif rise > _SMALLEST_RISE:
                rise /= 4
            else:
                raise LostSample(sample, f"{_UNSETTLED} beyond {reached:.3g} of their voltages")
        return state

    # --- search ---------------------------------------------------------------------------------------

    def _converged(self, V: FloatArray, sources: Drive) -> tuple[FloatArray, FloatArray]:
        error = np.zeros(len(V))
        if not len(self.equations.free):
            return V, error
        start = V.copy()
        state = State.at(V, self.groups)
        left = self._run(state, np.arange(len(V)), sources, error, _STEPS)
        for s in left.tolist():
            row = np.array([s])
            state.put(row, self._followed(start[row], sources.of(row), s, error))
        for group, inner in zip(self.groups, state.inner, strict=True):
            inside = group.law.in_range(group.terminals(state.V), inner)
            if not inside.all():
                sample = int(np.flatnonzero(~inside.all(axis=1))[0])
                raise LostSample(sample, group.law.out_of_range)
        return state.V, error

    def _run(self, state: State, rows: IntArray, sources: Drive, error: FloatArray, steps: int) -> IntArray:
        """Take Newton steps of some samples of a state until they converge; return those that do not."""
        now = state.of(rows)
        was_small = np.zeros(len(rows), dtype=np.bool_)
        pace = StepPace(len(rows))
        kept = KeptFactor()
        for _ in range(steps):
            try:
                step = self._step(now, sources.of(rows), pace, kept.factor)
            except SingularJacobian as singular:
                raise LostSample(int(rows[singular.sample]), "a node has no path to a source") from None
            size = np.abs(now.V).max(axis=1, initial=0.0)
            small = step.is_true & (step.moved <= _SETTLED * size)
            done = small & (was_small if self._may_have_kinks else True)
            was_small = small
            if not self._may_have_kinks:
                kept.after(step, size)
            if done.any():
                total = step.moved + self._rounding(now, step)
                refused = done & ~(total <= LARGEST_ERROR * size)
                if refused.any():
                    raise LostSample(
                        int(rows[refused][0]),
                        "a node is connected to the sources too weakly to be solved in double precision",
                    )
                state.put(rows[done], now.of(done))
                error[rows[done]] = total[done]
                rows, now, was_small = rows[~done], now.of(~done), was_small[~done]
                pace.keep(~done)
                kept.keep(~done)
            if not len(rows):
                break
        return rows

    def _followed(self, V: FloatArray, sources: Drive, sample: int, error: FloatArray) -> State:
        """Return the state of one sample, found while all sources rise from 0 to their values.

        Raises
        ------
        LostSample
        """
        free = self.equations.free
        held = V.copy()
        held[:, free] = 0.0
        state = State.at(np.zeros_like(V), self.groups)
        reached, rise, own = 0.0, 0.25, np.zeros(1)
        while reached < 1.0:
            share = min(1.0, reached + rise)
            trial = state.of(np.array([0]))
            volts = share * held
            volts[:, free] = trial.V[:, free]
            trial.V = volts
            left = self._run(trial, np.array([0]), sources.times(np.array([share])), own, _FOLLOWED_STEPS)
            if not len(left):
                state, reached, rise = trial, share, 2 * rise
            elif rise > _SMALLEST_RISE:
                rise /= 4
            else:
                raise LostSample(sample, f"Newton's method did not converge beyond {reached:.3g} of the sources")
        error[sample] = own[0]
        return state

    # --- one step -------------------------------------------------------------------------------------

    def _stamps(self, state: State) -> tuple[list[Stamp], BoolArray]:
        """Return the stamps of each group, and which samples (S,) were linearised where they are."""
        is_true = np.ones(len(state.V), dtype=np.bool_)
        stamps = []
        for k, (group, values) in enumerate(zip(self.groups, self.values, strict=True)):
            stamp = group.law.stamp(group.terminals(state.V), state.inner[k], state.before[k], values)
            if stamp.is_true is not None:
                is_true &= stamp.is_true
            if stamp.at is not None:
                state.before[k] = stamp.at
            stamps.append(stamp)
        return stamps, is_true

    def _move_inner(
        self, state: State, stamps: list[Stamp], step: FloatArray | None, share: FloatArray
    ) -> FloatArray:
        """Move the inner unknowns by a share (S,) of their steps; return the longest full step (S,).

        ``step`` (S, N) is that of the nodes; None if they stay.
        """
        moved = np.zeros(len(share))
        for k, (group, stamp) in enumerate(zip(self.groups, stamps, strict=True)):
            if stamp.inner is None or stamp.inner_slopes is None:
                continue
            inner = stamp.inner - state.inner[k]
            if step is not None:
                a, b = group.terminals(step)
                inner += stamp.inner_slopes[:, 0] * a
                inner += stamp.inner_slopes[:, 1] * b
            moved = np.maximum(moved, np.abs(inner).max(axis=(0, 2), initial=0.0))
            state.inner[k] = state.inner[k] + share[:, None] * inner
        return moved

    def _step(self, state: State, sources: Drive, pace: StepPace, factor: Factor | None) -> NewtonStep:
        """Take one step of every sample: of Newton, or with the factor of a step before."""
        eq = self.equations
        stamps, is_true = self._stamps(state)
        missing = -eq.at_nodes(joined_currents(stamps))
        at, some = eq.at_outputs, eq.open_outputs
        if sources.injected is not None:
            missing[:, at] += sources.injected[:, some]
        loads = None
        if sources.volts is not None and sources.siemens is not None:
            loads = sources.siemens[:, some]
            missing[:, at] += loads * (sources.volts[:, some] - state.V[:, eq.free[at]])
        if factor is None:
            factor = eq.factor(joined_jacobians(stamps), loads)
        step = factor.solve(missing[:, :, None])[:, :, 0]
        moved = np.abs(step).max(axis=1)
        if not np.isfinite(moved).all():
            raise SingularJacobian(int(np.flatnonzero(~np.isfinite(moved))[0]))
        reach = _REACH * np.maximum(np.abs(state.V).max(axis=1), 1e-3)
        share = np.minimum(pace.factor(moved), reach / np.maximum(moved, 1e-300))
        every = np.zeros_like(state.V)
        every[:, eq.free] = step
        inner = self._move_inner(state, stamps, every, share)
        state.V += share[:, None] * every
        return NewtonStep(np.maximum(moved, inner), is_true, stamps, factor)

    def _rounding(self, state: State, step: NewtonStep) -> FloatArray:
        """Estimate the effect (S,) of rounding in all currents on the voltages.

        Errors of random signs, as large as the rounding of each sum can be, are sent through the linearised
        equations a few times; the largest result counts, with a factor of 3.
        """
        terms = []
        for group, values, stamp in zip(self.groups, self.values, step.stamps, strict=True):
            a, b = np.abs(group.terminals(state.V))
            by_ends = np.abs(stamp.jacobian[:, 0]) * a + np.abs(stamp.jacobian[:, 1]) * b
            terms.append(by_ends + np.abs(stamp.by_value) * np.abs(values) + np.abs(stamp.currents))
        size = ROUNDING * self.equations.at_nodes(np.concatenate(terms, axis=2))
        volts = step.factor.solve(size[:, :, None] * probe_signs(size.shape[1]))
        return np.asarray(3 * np.abs(volts).max(axis=(1, 2)))


@lru_cache(maxsize=32)
def probe_signs(n: int) -> FloatArray:
    """Return the signs (n, probes) of the errors that are sent through n equations."""
    return np.random.default_rng(0).choice([-1.0, 1.0], (n, _PROBES))
