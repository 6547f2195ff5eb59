"""What a channel of a source-measure unit can do, how good it is, and how it is set."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal

from hwlearn_sim.instruments.ranges import Quantity, Range, Ranges

OTHER: Final[dict[Quantity, Quantity]] = {"voltage": "current", "current": "voltage"}
QUANTITIES: Final[tuple[Quantity, Quantity]] = ("voltage", "current")

OffState = Literal["NORM", "HIMP", "ZERO", "GUAR"]
"""What an output does while it is off: 0 V behind a small current limit, relay open, 0 V, or 0 A."""


@dataclass(frozen=True, slots=True)
class Meters:
    """How good the converters of a virtual bench are, beyond their resolution.

    Attributes
    ----------
    noise : float
        Factor on the noise that each range states; 0 switches it off.
    gain : float
        Spread of the relative gain errors of meters and sources.
    offset : float
        Spread of their offsets, as a fraction of the range in use.
    """

    noise: float = 1.0
    gain: float = 0.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class ChannelCapability:
    """What the hardware of one channel can do; the model's data sheet in numbers.

    Attributes
    ----------
    measures, sources : dict of Quantity to Ranges
        Ranges for reading and for driving.
    default_limits : dict of Quantity to float
        Limits after a reset: current limit of the voltage source, voltage limit of the current source.
    least_limits : dict of Quantity to float
        Smallest limits that can be set.
    nplc : (float, float)
        Integration time, least and most, in power-line cycles.
    off_fraction : float
        Current limit of an output that is off in the normal way, as a fraction of the current range.
    off_limit_A : float or None
        The same as a fixed value, where the model has one.
    limit_in_range : bool
        Whether a fixed measuring range lowers the limit to the most that it can read.
    """

    measures: dict[Quantity, Ranges]
    sources: dict[Quantity, Ranges]
    default_limits: dict[Quantity, float]
    least_limits: dict[Quantity, float]
    nplc: tuple[float, float]
    off_fraction: float = 0.005
    off_limit_A: float | None = None
    limit_in_range: bool = False


@dataclass(frozen=True, slots=True)
class ChannelReading:
    """One reading.

    Attributes
    ----------
    values : dict of Quantity to float
        What the meters say; infinite beyond a fixed range.
    function : {"voltage", "current"}
        What was sourced.
    level : float
        What the source was told.
    limited, range_limited : bool
        Whether the source was at its limit, or at the most that a fixed measuring range can read.
    seconds : float
        The instrument's time at the end of it.
    output : bool
        Whether the output was on.
    """

    values: dict[Quantity, float]
    function: Quantity
    level: float
    limited: bool
    range_limited: bool
    seconds: float
    output: bool

    @property
    def resistance(self) -> float:
        """Volts over amperes: NaN unless both were measured, infinite without a current."""
        volts, amps = (self.values.get(quantity, math.nan) for quantity in QUANTITIES)
        if math.isnan(volts) or math.isnan(amps):
            return math.nan
        return volts / amps if amps else math.inf

    @property
    def over_range(self) -> bool:
        """Whether a meter was beyond its range."""
        return any(math.isinf(value) for value in self.values.values())


@dataclass(slots=True)
class ChannelState:
    """Everything a reset sets back."""

    function: Quantity = "voltage"
    levels: dict[Quantity, float] = field(default_factory=lambda: {"voltage": 0.0, "current": 0.0})
    limits: dict[Quantity, float] = field(default_factory=dict)
    source_ranges: dict[Quantity, Range | None] = field(default_factory=dict)
    measure_ranges: dict[Quantity, Range | None] = field(default_factory=dict)
    nplc: dict[Quantity, float] = field(default_factory=lambda: {"voltage": 1.0, "current": 1.0})
    output: bool = False
    off_states: dict[Quantity, OffState] = field(default_factory=lambda: dict.fromkeys(QUANTITIES, "NORM"))
    off_limits: dict[Quantity, float] = field(default_factory=dict)
    four_wire: bool = False
    average: int = 1
    delay_s: float = 0.0
