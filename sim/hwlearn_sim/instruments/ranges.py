"""Measuring and source ranges of source-measure units, with full scale, resolution and noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from hwlearn_sim.instruments.errors import VirtualInstrumentError

Quantity = Literal["voltage", "current"]
"""Quantity that a channel sources or measures."""


@dataclass(frozen=True, slots=True)
class Range:
    """One measuring range of an instrument: full scale, resolution and noise.

    Attributes
    ----------
    full_scale : float
        Full scale in volts or amperes.
    step : float
        Resolution in the same unit.
    noise : float
        Standard deviation of a reading with an integration time of one power-line cycle, in the same unit.
    over : float or None
        Largest usable value as a multiple of full scale, if it differs from that of the other ranges.
    """

    full_scale: float
    step: float
    noise: float = 0.0
    over: float | None = None

    def rounded(self, value: float) -> float:
        """Return the value rounded to the resolution of this range."""
        return round(value / self.step) * self.step


@dataclass(frozen=True, slots=True)
class Ranges:
    """All ranges of one quantity.

    Attributes
    ----------
    each : tuple of Range
        Ranges in rising order.
    over : float
        Largest usable value as a multiple of full scale, e.g. 1.05.
    """

    each: tuple[Range, ...]
    over: float = 1.05

    #: Readings overflow above this fraction of full scale beyond the largest usable value: a limit of 105 % of a
    #: range is measured with noise (2400 User's Manual p. 7-2: the full scale of the 2 V range is 2.11 V).
    headroom: ClassVar[float] = 0.005

    @classmethod
    def decades(
        cls, full_scales: Sequence[float], counts: float, noise: float = 0.0, over: float = 1.05
    ) -> Ranges:
        """Return ranges of equal relative resolution.

        Parameters
        ----------
        full_scales : sequence of float
            Full scales in rising order.
        counts : float
            Full scale divided by resolution.
        noise : float
            Standard deviation at one power-line cycle, as a fraction of full scale.
        over : float
            Largest usable value as a multiple of full scale.
        """
        # the step is 1, 2 or 5 times a power of ten: remove the rounding error of the division
        each = [Range(full, float(f"{full / counts:.6g}"), noise * full) for full in full_scales]
        return cls(tuple(each), over)

    @property
    def most(self) -> float:
        """Maximum absolute value of all ranges."""
        return self.usable(self.each[-1])

    def usable(self, within: Range) -> float:
        """Return the largest usable value of a range, such as 2.1 V of the 2 V range."""
        return float(f"{within.full_scale * (within.over or self.over):.12g}")

    def holds(self, within: Range, value: float) -> bool:
        """Return whether a value can be set, or is measured by autorange, within a range."""
        return abs(value) <= within.full_scale * (within.over or self.over) * (1 + 1e-12)

    def reads(self, within: Range, value: float) -> bool:
        """Return whether a reading is within a range. Otherwise it overflows."""
        return abs(value) <= within.full_scale * ((within.over or self.over) + self.headroom)

    def covering(self, value: float) -> Range:
        """Return the smallest range that holds the value, or the largest range if none does."""
        return next((one for one in self.each if self.holds(one, value)), self.each[-1])

    def between(self, value: float, low: float, high: float) -> Range:
        """Return the range that holds the value, within the full scales ``low`` and ``high`` of autorange."""
        allowed = [one for one in self.each if low <= one.full_scale <= high]
        return next((one for one in allowed if self.holds(one, value)), allowed[-1])

    def select(self, value: float) -> Range:
        """Return the range that an instrument selects for a requested ``value``.

        Raises
        ------
        VirtualInstrumentError
            -222 beyond the largest range.
        """
        if not (math.isfinite(value) and self.holds(self.each[-1], value)):
            raise VirtualInstrumentError(-222)
        return self.covering(value)
