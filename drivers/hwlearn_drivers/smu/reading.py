"""`Reading`, `VoltageSweep`, `OutputState`, `StatusQueries`: what a channel measures, and its state."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from hwlearn.arrays import FloatArray
from hwlearn.network.limits import Limits
from hwlearn.units import format_quantity
from hwlearn_drivers.smu.operating_range import UNIT, Quantity, other

_SIGMAS = 10.0
_RANGE_ERROR = 0.01
"""Accuracies of SMUs are below 0.1 % of the range."""

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


@dataclass(frozen=True, slots=True)
class PlausibleRange:
    """Largest magnitudes of readings that sources within the limits of a bench can cause, with margin.

    Compliance keeps a terminal within the limits, and the network is passive. The margin covers what an instrument
    adds: half of ``limits.voltage`` and 50 mV, all of ``limits.current`` and 1 uA, ten standard uncertainties, and
    1 % of a fixed range.

    Attributes
    ----------
    limits : Limits
    voltage_sigma, current_sigma : float
        Standard uncertainty of a reading.
    """

    limits: Limits
    voltage_sigma: float = 0.0
    current_sigma: float = 0.0

    def fault(self, reading: Reading, voltage_range: float | None, current_range: float | None) -> str:
        """Return what is wrong with a reading; empty if it is plausible.

        Parameters
        ----------
        reading : Reading
        voltage_range, current_range : float or None
            Fixed ranges of the channel; None for automatic ones.
        """
        limits = self.limits
        most_V = 1.5 * limits.voltage + 0.05 + _SIGMAS * self.voltage_sigma + _RANGE_ERROR * (voltage_range or 0.0)
        most_A = 2 * limits.current + 1e-6 + _SIGMAS * self.current_sigma + _RANGE_ERROR * (current_range or 0.0)
        return _beyond(reading.volts, most_V, "V", "voltage", limits.voltage) or _beyond(
            reading.amperes, most_A, "A", "current", limits.current
        )


def _beyond(value: float, most: float, unit: str, name: str, limit: float) -> str:
    if abs(value) <= most:
        return ""
    allowed = (
        f"with limits.{name} = {format_quantity(limit, unit)} at most {format_quantity(most, unit)} is plausible"
    )
    if not math.isfinite(value):
        return f"read no number as its {name} ({value}: beyond the range, or no reading); {allowed}"
    return f"read {format_quantity(value, unit)}; {allowed}"


@dataclass(frozen=True, eq=False, slots=True)
class VoltageSweep:
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


@dataclass(frozen=True, slots=True)
class StatusQueries:
    """Queries of one channel, each of them a message of its own.

    Attributes
    ----------
    output : str
        0 or 1.
    function : str
        The quantity that it sources: a word, or 0 for current and 1 for voltage.
    levels, limits : mapping of Quantity to str
        Setpoint of the source of this quantity, and limit of this quantity.
    flags : mapping of str to str
        Queries of the whole instrument that answer 0 or 1, by what 1 means.
    """

    output: str
    function: str
    levels: Mapping[Quantity, str]
    limits: Mapping[Quantity, str]
    flags: Mapping[str, str] = field(default_factory=dict)
