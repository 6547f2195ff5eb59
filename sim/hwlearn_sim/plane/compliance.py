"""Which source limits are active: the circuit and all its sources solved together.

Each terminal lies on a falling staircase of current against voltage (`LoadLine`), and Kirchhoff's laws
make its current rise with its own voltage and fall with every other one. Such a problem has one solution
(but for the common voltage of a part that nothing holds). The set of active limits is found by trying the
one that held last, repairing it a few times, and else by a climb that must end: from a voltage below
everything, raise the terminals until each is satisfied; no state is ever entered twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.errors import SingularCircuitError
from hwlearn_sim.plane.sources import LoadLine

_REPAIRS: Final = 8
_SMALLEST_SHARE: Final = 1e-12
_CANCELLATION: Final = 1e-14


class Terminals:
    """The circuit as its terminals see it.

    Parameters
    ----------
    between : ndarray, shape (n, n)
        Conductance in siemens from each terminal to each other one; symmetric, zero diagonal.
    to_ground : ndarray, shape (n,)
        Conductance from each terminal to ground.
    """

    def __init__(self, between: FloatArray, to_ground: FloatArray) -> None:
        self.between, self.to_ground = between, to_ground
        self.laplacian: FloatArray = np.diag(between.sum(axis=1) + to_ground) - between
        count, part = connected_components(csr_array(between > 0), directed=False)
        self.parts: list[IntArray] = [np.flatnonzero(part == k) for k in range(count)]
        self.floating = [members for members in self.parts if not to_ground[members].any()]

    def __len__(self) -> int:
        return len(self.to_ground)

    def currents(self, volts: FloatArray) -> FloatArray:
        """Return the amperes (n,) that must flow into the terminals to keep them at these volts (n,)."""
        # differences first: a common voltage must cancel exactly
        drops = volts[:, None] - volts[None, :]
        return np.asarray((self.between * drops).sum(axis=1) + self.to_ground * volts)


@dataclass(frozen=True, eq=False, slots=True)
class Settled:
    """The solution.

    Attributes
    ----------
    volts, amperes : ndarray, shape (n,)
        At each terminal, into it.
    states : ndarray of int, shape (n,)
        Where on its staircase each terminal lies.
    """

    volts: FloatArray
    amperes: FloatArray
    states: IntArray


def settle(terminals: Terminals, stairs: Sequence[LoadLine], guess: IntArray | None = None) -> Settled:
    """Solve the circuit with the sources of every terminal.

    Parameters
    ----------
    terminals : Terminals
        The circuit.
    stairs : sequence of LoadLine
        One a terminal.
    guess : ndarray of int, shape (n,), optional
        States that may hold, such as those of the last solution.
    """
    return _Problem(terminals, stairs).solve(guess)


class _Problem:
    def __init__(self, terminals: Terminals, stairs: Sequence[LoadLine]) -> None:
        self._terminals = terminals
        width = max((len(s.kinks) for s in stairs), default=0)
        # column j + 1 holds kink j, so that the neighbours of a step are two columns of one row
        self._kinks = np.full((len(stairs), width + 2), math.inf)
        self._kinks[:, 0] = -math.inf
        self._steps = np.zeros((len(stairs), width + 2))
        for row, stair in enumerate(stairs):
            self._kinks[row, 1 : 1 + len(stair.kinks)] = stair.kinks
            self._steps[row, : len(stair.steps)] = stair.steps
        self._rows = np.arange(len(stairs))
        self._top = np.array([2 * len(s.kinks) for s in stairs], dtype=np.int64)
        self._magnitude = np.abs(terminals.laplacian)

    def solve(self, guess: IntArray | None) -> Settled:
        if not len(self._rows):
            return Settled(np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64))
        found = self._repair(guess) if guess is not None and (guess <= self._top).all() else None
        volts, states = self._climb() if found is None else found
        return self._centred(volts, states)

    # --- one set of states --------------------------------------------------------------------------

    def _neighbours(self, states: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the volts between which each terminal must lie; equal where it is held at a kink."""
        index = states // 2
        upper = self._kinks[self._rows, index + 1]
        return np.where(states % 2, upper, self._kinks[self._rows, index]), upper

    def _allowed(self, states: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the most and least amperes that each terminal may take; equal on a step."""
        index, held = states // 2, states % 2
        return self._steps[self._rows, index], self._steps[self._rows, index + held]

    def _equilibrium(self, states: IntArray, volts: FloatArray) -> tuple[FloatArray, list[IntArray]]:
        """Solve for the terminals that are not held.

        A part that nothing holds keeps its common voltage (the mean of ``volts``) if its currents balance;
        if not, it is returned in the list: it would rise, or fall, until a kink stops it.
        """
        held = states % 2 == 1
        target = np.where(held, self._neighbours(states)[1], 0.0)
        amps = np.where(held, 0.0, self._allowed(states)[0])
        anchored, adrift = held.copy(), []
        for members in self._terminals.floating:
            if held[members].any():
                continue
            if abs(amps[members].sum()) > _SMALLEST_SHARE * np.abs(amps[members]).sum():
                adrift.append(members)
                anchored[members] = True
                target[members] = volts[members]
            else:
                anchored[members[0]] = True
        free = np.flatnonzero(~anchored)
        if free.size:
            rows = self._terminals.laplacian[free]
            rhs = amps[free] - rows[:, anchored] @ target[anchored]
            factor, info = dpotrf(rows[:, free], lower=1)
            if info != 0:
                raise SingularCircuitError(
                    "singular circuit: the conductances differ by so much that double precision cannot "
                    "solve it; narrow their range"
                )
            target[free] = dpotrs(factor, rhs, lower=1)[0]
        for members in self._terminals.floating:
            if not held[members].any() and not any(members is other for other in adrift):
                # lift it so far that no terminal sinks: the climb only ever rises
                target[members] += (volts[members] - target[members]).max()
        return target, adrift

    def _slack(self, volts: FloatArray) -> FloatArray:
        """Return by how much rounding alone may put each current (n,) off."""
        return _CANCELLATION * (self._magnitude @ np.abs(volts))

    # --- search -------------------------------------------------------------------------------------

    def _repair(self, states: IntArray) -> tuple[FloatArray, IntArray] | None:
        """Correct all states that do not hold at once, a few times; None if that does not end."""
        states = states.copy()
        for _ in range(_REPAIRS):
            volts, adrift = self._equilibrium(states, np.zeros(len(states)))
            if adrift:
                return None
            amps = self._terminals.currents(volts)
            low, high = self._neighbours(states)
            most, least = self._allowed(states)
            held = states % 2 == 1
            slack = self._slack(volts)
            room = _SMALLEST_SHARE * np.abs(volts)
            step = np.where(
                held,
                (amps < least - slack).astype(np.int64) - (amps > most + slack),
                (volts > high + room).astype(np.int64) - (volts < low - room),
            )
            if not step.any():
                return volts, states
            states += step
        return None

    def _climb(self) -> tuple[FloatArray, IntArray]:
        """Raise the terminals from below everything until each is satisfied."""
        states = np.zeros(len(self._rows), dtype=np.int64)
        states[np.isinf(self._steps[:, 0])] = 1
        finite = self._kinks[np.isfinite(self._kinks)]
        volts = np.full(len(self._rows), min(float(finite.min(initial=0.0)), 0.0))
        lowest = self._kinks[:, 1]
        at_kink = (states == 1) | (volts >= lowest)
        states[at_kink] = 1
        volts[at_kink] = lowest[at_kink]
        while True:
            target, adrift = self._equilibrium(states, volts)
            free, ceiling = states % 2 == 0, self._neighbours(states)[1]
            for members in adrift:
                # aim beyond the next kink, so that rounding cannot stop short of it
                target[members] = volts[members] + 2 * (ceiling[members] - volts[members]).min()
            rise = target - volts
            hits = free & (target >= ceiling)
            if hits.any():
                with np.errstate(divide="ignore", invalid="ignore"):
                    part = np.where(hits & (rise > 0), (ceiling - volts) / rise, np.where(hits, 0.0, math.inf))
                first = min(max(float(part.min()), 0.0), 1.0)
                reached = hits & (part <= first * (1 + _SMALLEST_SHARE))
                volts = volts + first * rise
                volts[reached] = ceiling[reached]
                states[reached] += 1
                continue
            volts = target
            amps = self._terminals.currents(volts)
            released = ~free & (amps < self._allowed(states)[1] - self._slack(volts))
            if not released.any():
                return volts, states
            states[released] += 1

    def _centred(self, volts: FloatArray, states: IntArray) -> Settled:
        """Let a part whose common voltage nothing fixes rest as near to 0 V as it may: all have some leak."""
        amps = self._terminals.currents(volts)
        for members in self._terminals.floating:
            low, high = self._span(states, volts, amps, members)
            down, up = float((low - volts[members]).max()), float((high - volts[members]).min())
            if not (down <= 0 <= up and up > down):
                continue
            shift = min(max(-float(volts[members].mean()), down), up)
            if shift:
                volts[members] += shift
                # what was held at a kink has left it, upward or downward, with its current unchanged
                states[members] += (states[members] % 2) * (1 if shift > 0 else -1)
        return Settled(volts, amps, states)

    def _span(
        self, states: IntArray, volts: FloatArray, amps: FloatArray, members: IntArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return between which volts the members may move without any current changing."""
        low, high = self._neighbours(states)
        most, least = self._allowed(states)
        index, held = states // 2, states % 2 == 1
        below = self._kinks[self._rows, index]
        above = self._kinks[self._rows, np.minimum(index + 2, self._kinks.shape[1] - 1)]
        slack = self._slack(volts)
        low = np.where(held & (amps >= most - slack), below, low)
        high = np.where(held & (amps <= least + slack), above, high)
        return low[members], high[members]
