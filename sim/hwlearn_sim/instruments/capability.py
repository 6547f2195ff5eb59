"""Specifications, settings and readings of a source-measure channel."""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass, field, fields
from typing import Final, Literal

import numpy as np

from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.ranges import Quantity, Range, Ranges

OTHER: Final[dict[Quantity, Quantity]] = {"voltage": "current", "current": "voltage"}
QUANTITIES: Final[tuple[Quantity, Quantity]] = ("voltage", "current")
LINE_HZ: Final = 50.0
"""Power-line frequency: integration times are set in power-line cycles."""

_SLACK: Final = 1 + 1e-12

Side = Literal["source", "measure"]
"""The source or the meter of a channel."""

OffState = Literal["NORM", "HIMP", "ZERO", "GUAR"]
"""Output-off state: normal (0 V, small current limit), high impedance (relay open), zero (0 V) or guard (0 A)."""


Quirk = Literal["ignores limits", "raises small limits", "off when the source changes"]
"""Behaviour of some models: a new limit is ignored, or a limit below the minimum becomes the minimum, without an
error; a change of the source switches the output off."""


@dataclass(frozen=True, slots=True)
class Meters:
    """Noise and converter errors of the instruments of a virtual bench.

    Attributes
    ----------
    noise : float
        Factor on the specified noise of each range; 0 disables noise.
    gain : float
        Standard deviation of the relative gain errors of meters and sources.
    offset : float
        Standard deviation of their offsets, as a fraction of the range in use.
    """

    noise: float = 1.0
    gain: float = 0.0
    offset: float = 0.0

    def converter_errors(self, rng: np.random.Generator) -> dict[Quantity, tuple[float, float]]:
        """Return random gain, and offset as a fraction of the range, of the converter of each quantity."""
        draws = rng.standard_normal((2, 2)).tolist()
        return {
            quantity: (1.0 + self.gain * gain, self.offset * offset)
            for quantity, (gain, offset) in zip(QUANTITIES, draws, strict=True)
        }


@dataclass(frozen=True, slots=True)
class ChannelCapability:
    """Specifications of one channel, from the data sheet of the model.

    Attributes
    ----------
    measures, sources : dict of Quantity to Ranges
        Measuring and source ranges.
    default_limits : dict of Quantity to float
        Limits after a reset: current limit of the voltage source, voltage limit of the current source.
    least_limits : dict of Quantity to float
        Smallest programmable limits.
    nplc : (float, float)
        Smallest and largest integration time in power-line cycles.
    off_fraction : float
        Current limit in the normal output-off state, as a fraction of the current range.
    off_limit_A : float or None
        The same as a fixed value in amperes, if the model has one.
    limit_in_range : bool
        Whether a fixed measuring range reduces the limit to its full scale (range compliance).
    simultaneous : bool
        Whether both quantities are measured at the same time.
    coupled_ranges : bool
        Whether the quantity that is sourced is measured on the source range instead of a fixed measuring range.
    default_ranges : dict of ("source" or "measure", Quantity) to float
        Full scales that the instrument reports after a reset, before autorange has selected a range. Default: the
        range that autorange would select.
    protections : tuple of float
        Selectable overvoltage protection limits in volts, in rising order; empty if the model has none.
    area : tuple of (float, float)
        Operating regions: largest volts and amperes. Level and limit of the active source must lie in one of them;
        empty: not modelled.
    area_error : (int, str)
        Error outside of them.
    has_measure_ranges : bool
        Whether measuring ranges can be set. Otherwise they follow the source range and the limit.
    """

    measures: dict[Quantity, Ranges]
    sources: dict[Quantity, Ranges]
    default_limits: dict[Quantity, float]
    least_limits: dict[Quantity, float]
    nplc: tuple[float, float]
    off_fraction: float = 0.005
    off_limit_A: float | None = None
    limit_in_range: bool = False
    simultaneous: bool = False
    coupled_ranges: bool = False
    default_ranges: dict[tuple[Side, Quantity], float] = field(default_factory=dict)
    protections: tuple[float, ...] = ()
    area: tuple[tuple[float, float], ...] = ()
    area_error: tuple[int, str] = (-221, "Settings conflict")
    has_measure_ranges: bool = True

    def check_area(self, source: Quantity, level: float, limit: float) -> None:
        """Refuse a level and a limit that the model cannot supply together.

        Raises
        ------
        VirtualInstrumentError
        """
        volts, amperes = (level, limit) if source == "voltage" else (limit, level)
        inside = (abs(volts) <= v * _SLACK and abs(amperes) <= a * _SLACK for v, a in self.area)
        if self.area and not any(inside):
            raise VirtualInstrumentError(*self.area_error)


@dataclass(frozen=True, slots=True)
class ChannelReading:
    """One reading of a channel.

    Attributes
    ----------
    values : dict of Quantity to float
        Measured values; infinite for an overflow of a fixed range.
    function : {"voltage", "current"}
        Source function.
    level : float
        Setpoint of the source.
    limited, range_limited : bool
        Whether the source was in compliance, or in range compliance.
    seconds : float
        Instrument time at the end of the reading.
    output : bool
        Whether the output was on.
    ohms : float or None
        Measured resistance if it is not the ratio of the values: offset-compensated, or beyond an ohms range.
    """

    values: dict[Quantity, float]
    function: Quantity
    level: float
    limited: bool
    range_limited: bool
    seconds: float
    output: bool
    ohms: float | None = None

    @property
    def resistance(self) -> float:
        """Measured resistance in ohm: NaN unless both quantities were measured, infinite at zero current."""
        if self.ohms is not None:
            return self.ohms
        volts, amps = (self.values.get(quantity, math.nan) for quantity in QUANTITIES)
        if math.isnan(volts) or math.isnan(amps):
            return math.nan
        return volts / amps if amps else math.inf

    @property
    def over_range(self) -> bool:
        """Whether a measured value overflowed its range."""
        return any(math.isinf(value) for value in self.values.values())


@dataclass(slots=True)
class ChannelState:
    """Settings of a channel; a reset restores the defaults.

    Attributes
    ----------
    protection_V : float or None
        Overvoltage protection: the output never exceeds this magnitude, whatever the level or the limit.
    autorange : dict of Quantity to (float, float)
        Smallest and largest full scale that autorange selects; absent: any.
    ranged : set of (str, Quantity)
        Automatic ranges, "source" or "measure", that were selected since the reset.
    """

    function: Quantity = "voltage"
    levels: dict[Quantity, float] = field(default_factory=lambda: {"voltage": 0.0, "current": 0.0})
    limits: dict[Quantity, float] = field(default_factory=dict)
    source_ranges: dict[Quantity, Range | None] = field(default_factory=dict)
    measure_ranges: dict[Quantity, Range | None] = field(default_factory=dict)
    least_source_ranges: dict[Quantity, float] = field(default_factory=lambda: dict.fromkeys(QUANTITIES, 0.0))
    least_measure_ranges: dict[Quantity, float] = field(default_factory=lambda: dict.fromkeys(QUANTITIES, 0.0))
    nplc: dict[Quantity, float] = field(default_factory=lambda: {"voltage": 1.0, "current": 1.0})
    output: bool = False
    off_states: dict[Quantity, OffState] = field(default_factory=lambda: dict.fromkeys(QUANTITIES, "NORM"))
    off_limits: dict[Quantity, float] = field(default_factory=dict)
    off_function: Quantity = "voltage"
    four_wire: bool = False
    average: int = 1
    delay_s: float = 0.0
    protection_V: float | None = None
    autorange: dict[Quantity, tuple[float, float]] = field(default_factory=dict)
    ranged: set[tuple[Side, Quantity]] = field(default_factory=set)

    def copy(self) -> ChannelState:
        """Return an independent copy."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return ChannelState(**{name: copy(value) for name, value in values.items()})
