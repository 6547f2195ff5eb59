"""Model of the conductance step as a function of pulse strength, estimated online from all devices."""

from __future__ import annotations

from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray

SIGNIFICANT: Final = 3.0
"""Standard deviations from which a step counts as observed."""

_FIRST_SLOPE: Final = 12.0
_SLOPES: Final = (1.0, 300.0)
_KEPT_PAIRS: Final = 500
_ENOUGH: Final = 10
_STEP_PER_MISS: Final = 0.25  # the expected log step decreases by this after a step that was too small


class StepModel:
    """Model ``log(step) = log_step + slope (strength - last strength)`` for RESET (row 0) and SET (row 1).

    Parameters
    ----------
    strength, log_step : ndarray, shape (2, E)
        Last strength (NaN: none yet), and logarithm of the step at that strength (NaN: none observed).
    slope : ndarray, shape (2,)
        d(log step) / d(strength).
    rise : float
        Increase of the strength per pulse while a device does not respond.
    """

    def __init__(self, strength: FloatArray, log_step: FloatArray, slope: FloatArray, rise: float) -> None:
        self.strength, self.log_step, self.slope = strength.copy(), log_step.copy(), slope.copy()
        self._rise = rise
        self._misses = np.zeros(strength.shape, dtype=np.int64)
        self._pairs: tuple[list[float], list[float]] = ([], [])

    @classmethod
    def unknown(cls, n_edges: int, rise: float) -> StepModel:
        """Return the model before the first pulse."""
        blank = np.full((2, n_edges), np.nan)
        return cls(blank, blank, np.full(2, _FIRST_SLOPE), rise)

    def strength_for(self, edges: IntArray, up: BoolArray, wanted: FloatArray) -> FloatArray:
        """Return the strengths, 0 to 1, for steps of ``wanted`` siemens (infinite: increase the strength)."""
        polarity = up.astype(np.int64)
        last, observed, slope = (
            self.strength[polarity, edges],
            self.log_step[polarity, edges],
            self.slope[polarity],
        )
        with np.errstate(divide="ignore"):
            aim = np.log(wanted)
        by_model = last + np.minimum((aim - observed) / slope, 2 * self._rise)
        first = np.zeros(len(edges))
        for d in (0, 1):
            typical = self._typical(d)
            if typical is not None:
                here = polarity == d
                first[here] = np.where(np.isfinite(aim[here]), (aim[here] - typical) / self.slope[d], 0.0)
        unanswered = np.where(np.isnan(last), first, last + self._rise)
        return np.clip(np.where(np.isnan(observed), unanswered, by_model), 0.0, 1.0)

    def learn(
        self, edges: IntArray, up: BoolArray, strength: FloatArray, step: FloatArray, sigma: FloatArray
    ) -> None:
        """Update the model with steps (m,) in siemens, positive in the pulse's direction, and their sigmas."""
        polarity = up.astype(np.int64)
        last, before = self.strength[polarity, edges], self.log_step[polarity, edges]
        observed = step > SIGNIFICANT * sigma
        log_step = np.log(np.where(observed, step, 1.0))
        expected = before + self.slope[polarity] * (strength - last)
        with np.errstate(over="ignore", invalid="ignore"):
            weak = ~observed & (step < 0.5 * np.exp(expected))
        misses = np.where(weak, self._misses[polarity, edges] + 1, 0)
        self._misses[polarity, edges] = misses
        self.log_step[polarity, edges] = np.where(observed, log_step, expected - _STEP_PER_MISS * misses)
        self.strength[polarity, edges] = strength
        clear = (step > 2 * SIGNIFICANT * sigma) & np.isfinite(before) & (np.abs(strength - last) >= 0.02)
        slopes = (log_step[clear] - before[clear]) / (strength[clear] - last[clear])
        for d, slope in zip(polarity[clear].tolist(), slopes.tolist(), strict=True):
            self._pairs[d].append(slope)
        for d in (0, 1):
            if len(self._pairs[d]) >= _ENOUGH:
                del self._pairs[d][:-_KEPT_PAIRS]
                self.slope[d] = np.clip(np.median(self._pairs[d]), *_SLOPES)

    def _typical(self, d: int) -> float | None:
        """Return a cautious log step at strength 0 for a device without pulses, from devices that responded."""
        known = ~np.isnan(self.log_step[d])
        if known.sum() < _ENOUGH:
            return None
        start = self.log_step[d, known] - self.slope[d] * self.strength[d, known]
        middle = np.median(start)
        # two deviations above the typical step, so that the first pulse is rather too weak than too strong
        return float(middle + 2 * 1.4826 * np.median(np.abs(start - middle)))
