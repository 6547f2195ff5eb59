"""Solve the circuit together with all sources, and find which source limits are active.

Each terminal lies on its load line (`LoadLine`): a current that falls with the terminal's voltage. By Kirchhoff's
laws the current into a terminal rises with its own voltage and falls with every other one. Such a problem has one
solution, except for the common voltage of a floating part. The search starts from the active limits of the last
solution and corrects them a few times. If that fails, an ascent follows that always ends: all terminals start
below their load lines and are raised until each lies on its load line. No state occurs twice.

The circuit is linear here. A circuit with nonlinear elements is linearised at an operating point first, and its
currents are counted from that point (`terminals.Linearisation`); see `nonlinear`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.errors import SingularCircuitError
from hwlearn_sim.plane.sources import LoadLine
from hwlearn_sim.plane.terminals import Terminals

SINGULAR: Final = (
    "singular circuit: the conductances differ by so much that double precision cannot solve it; "
    "narrow their range"
)

_REPAIRS: Final = 8
_SMALLEST_SHARE: Final = 1e-12
_CANCELLATION: Final = 1e-14
_ACCURATE: Final = 1e-9
_DAMPING: Final = 1e-12
_DAMPED_STEPS: Final = 200
_FAR_V: Final = 1e9


@dataclass(frozen=True, eq=False, slots=True)
class Solution:
    """Solution of the circuit with its sources.

    Attributes
    ----------
    volts, amperes : ndarray, shape (n,)
        Voltage of each terminal, and current into it.
    states : ndarray of int, shape (n,)
        State of each terminal on its load line.
    inner : ndarray or None
        Voltages of the nodes that are not terminals, of a circuit with nonlinear elements.
    """

    volts: FloatArray
    amperes: FloatArray
    states: IntArray
    inner: FloatArray | None = None


class LoadLines:
    """Table of the load lines of all terminals.

    Parameters
    ----------
    load_lines : sequence of LoadLine
        One per terminal.

    Attributes
    ----------
    kinks, steps : ndarray, shape (n, width)
        Column j + 1 holds kink j, so that the neighbours of a step are two columns of one row.
    rows, top : ndarray of int, shape (n,)
        Number of each row, and its last state.
    """

    def __init__(self, load_lines: Sequence[LoadLine]) -> None:
        width = max((len(line.kinks) for line in load_lines), default=0)
        self.kinks = np.full((len(load_lines), width + 2), math.inf)
        self.kinks[:, 0] = -math.inf
        self.steps = np.zeros((len(load_lines), width + 2))
        for row, line in enumerate(load_lines):
            self.kinks[row, 1 : 1 + len(line.kinks)] = line.kinks
            self.steps[row, : len(line.steps)] = line.steps
        self.rows = np.arange(len(load_lines))
        self.top = np.array([2 * len(line.kinks) for line in load_lines], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    def neighbours(self, states: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the voltage bounds of each terminal; they are equal at a kink."""
        index = states // 2
        upper = self.kinks[self.rows, index + 1]
        return np.where(states % 2, upper, self.kinks[self.rows, index]), upper

    def allowed(self, states: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the largest and the smallest current of each terminal; they are equal on a step."""
        index, held = states // 2, states % 2
        return self.steps[self.rows, index], self.steps[self.rows, index + held]

    def states_at(self, volts: FloatArray) -> IntArray:
        """Return the state of each terminal at a voltage."""
        below = (self.kinks[:, 1:] < volts[:, None]).sum(axis=1)
        return np.asarray(2 * below + (self.kinks[self.rows, below + 1] == volts), dtype=np.int64)

    def currents_beside(self, volts: FloatArray, upward: BoolArray) -> FloatArray:
        """Return the current (n,) of each terminal just above (``upward``) or just below a voltage (n,)."""
        states = self.states_at(volts)
        return np.asarray(self.steps[self.rows, states // 2 + (states % 2) * upward])


def solve(terminals: Terminals, load_lines: LoadLines, guess: IntArray | None = None) -> Solution:
    """Solve the circuit with the sources of every terminal.

    Parameters
    ----------
    terminals : Terminals
        The circuit.
    load_lines : LoadLines
        The load lines of the terminals.
    guess : ndarray of int, shape (n,), optional
        Starting states, such as those of the last solution.

    Raises
    ------
    SingularCircuitError
        If double precision cannot solve the circuit.
    """
    return _Problem(terminals, load_lines).solve(guess)


class _Problem:
    def __init__(self, terminals: Terminals, load_lines: LoadLines) -> None:
        self._terminals, self._lines = terminals, load_lines
        self._rows, self._kinks, self._steps = load_lines.rows, load_lines.kinks, load_lines.steps
        self._neighbours, self._allowed = load_lines.neighbours, load_lines.allowed

    def solve(self, guess: IntArray | None) -> Solution:
        if not len(self._rows):
            return Solution(np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64))
        found = self._repair(guess) if guess is not None and (guess <= self._lines.top).all() else None
        volts, states = self._ascend() if found is None else found
        return self._centre(volts, states)

    # --- one set of states --------------------------------------------------------------------------

    def _equilibrium(
        self, states: IntArray, volts: FloatArray, damping: float = 0.0
    ) -> tuple[FloatArray, list[IntArray]]:
        """Solve for the terminals that are not at a kink.

        With ``damping``, each of them is tied to its present voltage through this share of its conductance.

        A floating part keeps its common voltage (the mean of ``volts``) if its currents balance. If they do not,
        the part is returned in the list of unbalanced parts: its voltage would change until it reaches a kink.
        """
        held = states % 2 == 1
        target = np.where(held, self._neighbours(states)[1], 0.0)
        amps = np.where(held, 0.0, self._allowed(states)[0])
        anchored, unbalanced = held.copy(), []
        for members in self._terminals.floating:
            if held[members].any():
                continue
            if abs(amps[members].sum()) > _SMALLEST_SHARE * np.abs(amps[members]).sum():
                unbalanced.append(members)
                anchored[members] = True
                target[members] = volts[members]
            else:
                anchored[members[0]] = True
        free = np.flatnonzero(~anchored)
        if free.size:
            ties = (damping * self._terminals.laplacian.diagonal(), volts) if damping else None
            self._solve_free(free, anchored, amps, target, ties)
        for members in self._terminals.floating:
            if not held[members].any() and not any(members is other for other in unbalanced):
                # shift it so that no voltage falls: the ascent only raises voltages
                target[members] += (volts[members] - target[members]).max()
        return target, unbalanced

    def _solve_free(
        self,
        free: IntArray,
        anchored: BoolArray,
        amps: FloatArray,
        target: FloatArray,
        ties: tuple[FloatArray, FloatArray] | None = None,
    ) -> None:
        """Set the voltages of the free terminals, for currents ``amps`` and anchored terminals at ``target``.

        ``ties`` are conductances (n,) to voltages (n,), in addition to the circuit.
        """
        at, rows = self._terminals.at, self._terminals.laplacian[free]
        if at is None:
            rhs = amps[free] - rows[:, anchored] @ target[anchored]
        else:
            rhs = amps[free] - at.amperes[free] - rows[:, anchored] @ (target - at.volts)[anchored]
        matrix = rows[:, free]
        if ties is not None:
            siemens, volts = ties
            matrix = matrix + np.diag(siemens[free])
            rhs = rhs + (siemens * (volts if at is None else volts - at.volts))[free]
        factor, info = dpotrf(matrix, lower=1)
        if info != 0:
            raise SingularCircuitError(SINGULAR)
        found = dpotrs(factor, rhs, lower=1)[0]
        target[free] = found if at is None else at.volts[free] + found

    def _slack(self, volts: FloatArray) -> FloatArray:
        """Return the largest rounding error of each current (n,)."""
        slack = _CANCELLATION * (self._terminals.magnitude @ np.abs(volts))
        at = self._terminals.at
        return slack if at is None else slack + _CANCELLATION * np.abs(at.amperes)

    # --- search -------------------------------------------------------------------------------------

    def _repair(self, states: IntArray) -> tuple[FloatArray, IntArray] | None:
        """Correct all wrong states at once, a few times; return None if that does not converge."""
        states = states.copy()
        for _ in range(_REPAIRS):
            try:
                volts, unbalanced = self._equilibrium(states, np.zeros(len(states)))
            except SingularCircuitError:
                return None  # other states may hold the part that floats with these
            if unbalanced:
                return None
            amps = self._terminals.currents(volts)
            low, high = self._neighbours(states)
            most, least = self._allowed(states)
            held = states % 2 == 1
            slack = self._slack(volts)
            tolerance = _SMALLEST_SHARE * np.abs(volts)
            step = np.where(
                held,
                (amps < least - slack).astype(np.int64) - (amps > most + slack),
                (volts > high + tolerance).astype(np.int64) - (volts < low - tolerance),
            )
            if not step.any():
                return volts, states
            states += step
        return None

    def _ascend(self) -> tuple[FloatArray, IntArray]:
        """Raise the terminals from below their load lines until each lies on its load line."""
        volts, states = self._below_all_kinks() if self._terminals.at is None else self._below_load_lines()
        damped_steps = 0
        while True:
            try:
                damping = 0.0
                target, unbalanced = self._equilibrium(states, volts)
            except SingularCircuitError:
                # a part nearly floats: its voltages rise until one reaches a kink, so far as a damped step goes
                damping, damped_steps = _DAMPING, damped_steps + 1
                if damped_steps > _DAMPED_STEPS:
                    raise
                target, unbalanced = self._equilibrium(states, volts, damping)
            free, next_kink = states % 2 == 0, self._neighbours(states)[1]
            for members in unbalanced:
                # aim beyond the next kink, so that rounding cannot stop short of it
                target[members] = volts[members] + 2 * (next_kink[members] - volts[members]).min()
            rise = target - volts
            hits = free & (target >= next_kink)
            if hits.any():
                with np.errstate(divide="ignore", invalid="ignore"):
                    part = np.where(hits & (rise > 0), (next_kink - volts) / rise, np.where(hits, 0.0, math.inf))
                first = min(max(float(part.min()), 0.0), 1.0)
                reached = hits & (part <= first * (1 + _SMALLEST_SHARE))
                volts = volts + first * rise
                volts[reached] = next_kink[reached]
                states[reached] += 1
                continue
            volts = target
            amps = self._terminals.currents(volts)
            if damping and (free & (amps < self._allowed(states)[0] - self._slack(volts))).any():
                continue
            released = ~free & (amps < self._allowed(states)[1] - self._slack(volts))
            if not released.any():
                self._check(volts, amps, states)
                return volts, states
            states[released] += 1

    def _check(self, volts: FloatArray, amps: FloatArray, states: IntArray) -> None:
        """Refuse voltages below the steps of the states, and currents above the load lines: rounding errors."""
        low, most = self._neighbours(states)[0], self._allowed(states)[0]
        slack = self._slack(volts) + _ACCURATE * np.abs(amps)
        below = volts < low - _ACCURATE * np.abs(volts).max()
        if (below | ((states % 2 == 1) & (amps > most + slack))).any():
            raise SingularCircuitError(SINGULAR)

    def _below_all_kinks(self) -> tuple[FloatArray, IntArray]:
        """Return a common voltage that is not above any kink: no current into a terminal is positive."""
        states = np.zeros(len(self._rows), dtype=np.int64)
        states[np.isinf(self._steps[:, 0])] = 1
        finite = self._kinks[np.isfinite(self._kinks)]
        volts = np.full(len(self._rows), min(float(finite.min(initial=0.0)), 0.0))
        lowest = self._kinks[:, 1]
        at_kink = (states == 1) | (volts >= lowest)
        states[at_kink] = 1
        volts[at_kink] = lowest[at_kink]
        return volts, states

    def _below_load_lines(self) -> tuple[FloatArray, IntArray]:
        """Return voltages at which no current into a terminal is above the load line.

        These are the voltages if every source drew as much current as its load line allows at any voltage. The
        voltages of a floating part without a voltage limit would fall without end: its sources deliver as much as
        they can, except for one, and all voltages are below all kinks.
        """
        lowest = self._kinks[:, 1]
        walled = np.isinf(self._steps[:, 0])
        held, amps = walled.copy(), np.where(walled, 0.0, self._steps[self._rows, self._lines.top // 2])
        volts = np.where(walled, lowest, 0.0)
        adrift = [members for members in self._terminals.floating if not walled[members].any()]
        for members in adrift:
            amps[members] = self._steps[members, 0]
            held[members[0]] = True
        free = np.flatnonzero(~held)
        if free.size:
            try:
                self._solve_free(free, held, amps, volts)
            except SingularCircuitError:
                # voltages near -_FAR, where each source of a part that nearly floats delivers next to nothing
                ties = -np.minimum(amps, 0.0) / _FAR_V
                self._solve_free(free, held, amps, volts, (ties, np.zeros(len(ties))))
        for members in adrift:
            room = (lowest[members] - volts[members]).min()
            # by rounding, a voltage could be just above the kink, where its source delivers less
            volts[members] = np.minimum(volts[members] + min(float(room), 0.0), lowest[members])
        states = self._lines.states_at(volts)
        states[walled] = 1
        return volts, states

    def _centre(self, volts: FloatArray, states: IntArray) -> Solution:
        """Shift each floating part as close to 0 V as possible, as leakage does in a real circuit."""
        amps = self._terminals.currents(volts)
        for members in self._terminals.floating:
            low, high = self._free_range(states, volts, amps, members)
            down, up = float((low - volts[members]).max()), float((high - volts[members]).min())
            if not (down <= 0 <= up and up > down):
                continue
            shift = min(max(-float(volts[members].mean()), down), up)
            if shift:
                volts[members] += shift
                # a terminal at a kink leaves it upward or downward, with its current unchanged
                states[members] += (states[members] % 2) * (1 if shift > 0 else -1)
        return Solution(volts, amps, states)

    def _free_range(
        self, states: IntArray, volts: FloatArray, amps: FloatArray, members: IntArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the voltage range of each member within which no current changes."""
        low, high = self._neighbours(states)
        most, least = self._allowed(states)
        index, held = states // 2, states % 2 == 1
        below = self._kinks[self._rows, index]
        above = self._kinks[self._rows, np.minimum(index + 2, self._kinks.shape[1] - 1)]
        slack = self._slack(volts)
        low = np.where(held & (amps >= most - slack), below, low)
        high = np.where(held & (amps <= least + slack), above, high)
        return low[members], high[members]
