"""Detects stuck, worn and reverse-polarity devices from their response to pulses."""

from __future__ import annotations

from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.device_access.access import DeviceError

CLEAR: Final = 6.0
"""Standard deviations of a clear step; noise alone exceeds it once in 5e8 comparisons."""

_CLEAR_ON_AVERAGE: Final = 5.0
_FULL_PULSES: Final = 3
_MOST_TURNS: Final = 2
_AGAINST: Final = 10
"""Clear steps against the pulse from which swapped lines are suspected."""


class Responses:
    """Response of each device (E,) to its pulses since it last moved clearly.

    Parameters
    ----------
    readings, sigma : ndarray, shape (E,)
        Conductances before any pulse, and their standard deviations.
    answered : ndarray of bool, shape (E,)
        Devices that are known to have responded before.

    Notes
    -----
    A polarity is 0 for RESET and 1 for SET.
    """

    def __init__(self, readings: FloatArray, sigma: FloatArray, answered: BoolArray) -> None:
        n = len(readings)
        self.answered = answered.copy()
        self.held_back = np.zeros(n, dtype=bool)  # the current limit did not allow full strength
        self.dead = np.zeros((2, n), dtype=bool)  # polarities without a response
        self._full = np.zeros((2, n), dtype=np.int64)  # pulses of full strength without a response
        self._turns = np.zeros(n, dtype=np.int64)  # times that only the polarity away from the target worked
        # clear steps in the direction of the pulse, and against it
        self._along, self._against = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        self._anchor, self._anchor_sigma = readings.copy(), sigma.copy()

    def start_at(self, edges: IntArray, readings: FloatArray, sigma: FloatArray) -> None:
        """Compare with these readings (m,) from now on, after a movement that no pulse of the device caused."""
        self._anchor[edges], self._anchor_sigma[edges] = readings, sigma

    def check_polarity(self, edges: IntArray, deviations: FloatArray) -> None:
        """Record steps (m,) in standard deviations, positive in the direction of the pulse.

        Raises
        ------
        DeviceError
            If most devices move against their pulses.
        """
        self._along[edges] += deviations > CLEAR
        self._against[edges] += deviations < -CLEAR
        turned = int(np.sum(self._against > self._along))
        if self._against.sum() >= _AGAINST and turned > 4 * np.sum(self._along > self._against):
            raise DeviceError(
                f"{turned} devices moved against their pulses: positive pulses lower the conductance; swap the "
                "two lines, or invert the sign in the device access"
            )

    def note(self, edges: IntArray, way: IntArray, readings: FloatArray, sigma: FloatArray) -> None:
        """Record which devices moved clearly after pulses of polarities ``way`` (m,), from readings (m,)."""
        self._note(edges, way, readings, sigma, CLEAR)

    def count_full(self, edges: IntArray, way: IntArray) -> BoolArray:
        """Count pulses of full strength; return which devices (m,) need more readings before `conclude`."""
        self._full[way, edges] += 1
        return np.asarray(self._full[way, edges] >= _FULL_PULSES)

    def conclude(self, edges: IntArray, way: IntArray, readings: FloatArray, sigma: FloatArray) -> None:
        """Mark polarities as dead that did not move their device, from averaged readings (m,)."""
        mute = ~self._note(edges, way, readings, sigma, _CLEAR_ON_AVERAGE)
        self.dead[way[mute], edges[mute]] = True

    def verdicts(self, edges: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Return the edges that are stuck, worn, and unable to reach their target."""
        mute = self.dead[:, edges].all(axis=0)
        weak, before = self.held_back[edges], self.answered[edges]
        out = (mute & weak) | (self._turns[edges] > _MOST_TURNS)
        return edges[mute & ~weak & ~before], edges[mute & ~weak & before], edges[out & ~(mute & ~weak)]

    def _note(
        self, edges: IntArray, way: IntArray, readings: FloatArray, sigma: FloatArray, deviations: float
    ) -> BoolArray:
        doubt = np.hypot(sigma, self._anchor_sigma[edges])
        moved = np.abs(readings - self._anchor[edges]) > deviations * doubt
        who = edges[moved]
        self.answered[who] = True
        self.start_at(who, readings[moved], sigma[moved])
        # the other polarity no longer responds, so this step leads away from the target
        self._turns[who] += self.dead[1 - way[moved], who]
        self.dead[:, who], self._full[:, who] = False, 0
        return np.asarray(moved)
