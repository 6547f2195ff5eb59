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
        self.restricted = np.zeros(n, dtype=bool)  # the current limit did not allow full strength
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

    def note(self, edges: IntArray, polarity: IntArray, readings: FloatArray, sigma: FloatArray) -> None:
        """Record which devices moved clearly after pulses of polarities ``polarity`` (m,), from readings (m,)."""
        self._note(edges, polarity, readings, sigma, CLEAR)

    def count_full(self, edges: IntArray, polarity: IntArray) -> BoolArray:
        """Count pulses of full strength; return which devices (m,) need more readings before `conclude`."""
        self._full[polarity, edges] += 1
        return np.asarray(self._full[polarity, edges] >= _FULL_PULSES)

    def conclude(self, edges: IntArray, polarity: IntArray, readings: FloatArray, sigma: FloatArray) -> None:
        """Mark polarities as dead that did not move their device, from averaged readings (m,)."""
        silent = ~self._note(edges, polarity, readings, sigma, _CLEAR_ON_AVERAGE)
        self.dead[polarity[silent], edges[silent]] = True

    def verdicts(self, edges: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Return the edges that are stuck, worn, and unable to reach their target."""
        silent = self.dead[:, edges].all(axis=0)
        weak, before = self.restricted[edges], self.answered[edges]
        out = (silent & weak) | (self._turns[edges] > _MOST_TURNS)
        return edges[silent & ~weak & ~before], edges[silent & ~weak & before], edges[out & ~(silent & ~weak)]

    def _note(
        self, edges: IntArray, polarity: IntArray, readings: FloatArray, sigma: FloatArray, deviations: float
    ) -> BoolArray:
        uncertainty = np.hypot(sigma, self._anchor_sigma[edges])
        moved = np.abs(readings - self._anchor[edges]) > deviations * uncertainty
        moved_edges = edges[moved]
        self.answered[moved_edges] = True
        self.start_at(moved_edges, readings[moved], sigma[moved])
        # the other polarity no longer responds, so this step leads away from the target
        self._turns[moved_edges] += self.dead[1 - polarity[moved], moved_edges]
        self.dead[:, moved_edges], self._full[:, moved_edges] = False, 0
        return np.asarray(moved)
