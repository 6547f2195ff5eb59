"""`Reading`, `Sweep` and `OutputState`: what an SMU channel measures, and the state of its output."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from hwlearn.arrays import FloatArray
from hwlearn.units import format_quantity
from hwlearn_drivers.smu.operating_range import UNIT, Quantity, other

_RELATIVE = 1e-6
"""Instruments report settings with seven digits."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Voltage and current at the terminals of a channel; NaN where the instrument reported no number.

    Attributes
    ----------
    volts, amperes : float
        Voltage relative to the low terminal, and current out of the high terminal.
    limited : bool
        Whether the source was at its limit (in compliance).
    """

    volts: float
    amperes: float
    limited: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Sweep:
    """Voltage and current at each level of a list; ``volts`` and ``amperes`` are (n,)."""

    volts: FloatArray
    amperes: FloatArray


class OutputState(NamedTuple):
    """State of an output.

    Attributes
    ----------
    on : bool
        Whether the output is on.
    source : {"voltage", "current"}
        The quantity that is sourced.
    level, limit : float
        Level of the source, and limit of the other quantity, in volts or amperes; NaN if unknown.
    """

    on: bool
    source: Quantity
    level: float = math.nan
    limit: float = math.nan

    def differences(self, found: OutputState, resolution: Callable[[Quantity, float], float]) -> list[str]:
        """Return a text for each difference between this state, which was set, and the state that was found.

        Parameters
        ----------
        found : OutputState
            The level and the limit are those of ``self.source``, even if the source was changed.
        resolution : callable
            Quantity and value -> resolution of the instrument, in volts or amperes.
        """
        if found == self:
            return []
        texts = []
        if found.on != self.on:
            texts.append(f"its output is {_word(found.on)}, it was left {_word(self.on)}")
        if found.source != self.source:
            texts.append(f"it sources {found.source}, it was set to source {self.source}")
        for quantity, what, was, now in (
            (self.source, "level", self.level, found.level),
            (other(self.source), "limit", self.limit, found.limit),
        ):
            if not agrees(was, now) and not agrees(was, now, resolution(quantity, was)):
                unit = UNIT[quantity]
                texts.append(
                    f"its {quantity} {what} is {format_quantity(now, unit, 7)}, "
                    f"{format_quantity(was, unit, 7)} was set"
                )
        return texts


def agrees(was: float, now: float, resolution: float = 0.0) -> bool:
    """Whether a value that was set and the value that is read back are equal within the resolution.

    NaN, an unknown value, agrees with everything.
    """
    return not abs(now - was) > resolution + _RELATIVE * abs(was)


def _word(on: bool) -> str:
    return "ON" if on else "OFF"
