"""`AutoOhms`: resistance measurements of which the instrument selects source, test current and ranges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from hwlearn_sim.instruments.capability import ChannelReading, ChannelState
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.ranges import Quantity
from hwlearn_sim.instruments.scpi.settings import Setting, SettingStore

OVER: Final = 1.05
"""Largest resistance that autorange measures in a range, as a multiple of its full scale."""

READS: Final = 1.055
"""Largest resistance that a range reads (2400 User's Manual p. 7-2: 2.11 kohm in the 2 kohm range)."""


@dataclass(frozen=True, slots=True)
class OhmsRange:
    """One ohms range: full scale, test current, and the voltage range in which its drop is measured."""

    ohms: float
    amperes: float
    volts: float


class AutoOhms:
    """Automatic ohms of one channel.

    While it is active the channel sources the test current of the ohms range and measures voltage. When it ends,
    the source settings from before are restored; the manuals do not say what follows.

    Parameters
    ----------
    channel : VirtualChannel
        The channel.
    ranges : sequence of OhmsRange
        The ohms ranges in rising order.
    store : SettingStore
        Keeps its state.
    default_ohms : float
        Range after a reset; autorange begins there.
    number : int
        Number of the channel.
    """

    def __init__(
        self,
        channel: VirtualChannel,
        ranges: Sequence[OhmsRange],
        store: SettingStore,
        default_ohms: float,
        number: int = 1,
    ) -> None:
        self._channel, self.ranges = channel, tuple(ranges)
        default = next(k for k, one in enumerate(self.ranges) if one.ohms >= default_ohms)
        self._before: Setting[ChannelState | None] = Setting(store, f"settings before auto ohms {number}", None)
        self._place = Setting(store, f"ohms range {number}", default)
        self._automatic = Setting(store, f"ohms autorange {number}", True)
        self._limits = Setting(store, f"ohms autorange limits {number}", (0.0, math.inf))

    @property
    def active(self) -> bool:
        """Whether the instrument controls the source for ohms measurements."""
        return self._before() is not None

    @property
    def present(self) -> OhmsRange:
        """The ohms range in use."""
        return self.ranges[self._place()]

    @property
    def automatic(self) -> bool:
        """Whether the range is selected automatically."""
        return self._automatic()

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest full scale that autorange selects, in ohm."""
        return self._limits()

    def set_limits(self, low: float, high: float) -> None:
        """Limit the ranges of autorange (-221 if none is between the limits)."""
        if not any(low <= one.ohms <= high for one in self.ranges):
            raise VirtualInstrumentError(-221)
        self._limits.put((low, high))

    def fix(self, ohms: float) -> None:
        """Select the smallest range that holds a resistance (-222 if none does)."""
        place = next((k for k, one in enumerate(self.ranges) if abs(ohms) <= OVER * one.ohms), None)
        if place is None:
            raise VirtualInstrumentError(-222)
        self._automatic.put(False)
        self._select(place)

    def step(self, direction: int) -> None:
        """Select the next higher (1) or lower (-1) range (-222 if there is none)."""
        place = self._place() + direction
        if not 0 <= place < len(self.ranges):
            raise VirtualInstrumentError(-222)
        self._automatic.put(False)
        self._select(place)

    def set_automatic(self, on: bool) -> None:
        """Switch autorange on, or off in the present range."""
        self._automatic.put(on)

    def enter(self) -> None:
        """Let the instrument control the source."""
        if not self.active:
            self._before.put(self._channel.settings.copy())
            self._select(self._place())

    def leave(self) -> None:
        """Restore the source settings from before."""
        before = self._before()
        if before is None:
            return
        self._before.put(None)
        settings = self._channel.settings
        settings.function, settings.levels = before.function, dict(before.levels)
        settings.source_ranges = dict(before.source_ranges)
        settings.measure_ranges = dict(before.measure_ranges)
        self._channel.apply()

    def measure(self, *wanted: Quantity) -> ChannelReading:
        """Take a reading in the range, which autorange may change before."""
        if self.automatic and self._channel.settings.output:
            self._find_range()
        reading = self._channel.measure(*wanted)
        if abs(reading.resistance) > READS * self.present.ohms:
            return replace(reading, ohms=math.inf)
        return reading

    def _find_range(self) -> None:
        """Change the range step by step until the resistance is in it, as an autorange does."""
        low, high = self._limits()
        for _ in self.ranges:
            place, at = self._place(), self._channel.operating_point
            ohms = abs(at.volts / at.amperes) if at.amperes else math.inf
            if ohms > OVER * self.ranges[place].ohms and place + 1 < len(self.ranges):
                step = 1
            elif place and ohms <= OVER * self.ranges[place - 1].ohms:
                step = -1
            else:
                step = 0
            if not step or not low <= self.ranges[place + step].ohms <= high:
                return
            self._select(place + step)

    def _select(self, place: int) -> None:
        self._place.put(place)
        if not self.active:
            return
        settings, chosen = self._channel.settings, self.ranges[place]
        settings.function = "current"
        settings.levels["current"] = chosen.amperes
        settings.source_ranges["current"] = settings.measure_ranges["current"] = None
        settings.measure_ranges["voltage"] = self._channel.capability.measures["voltage"].select(chosen.volts)
        self._channel.apply()


def compensated(channel: VirtualChannel, reading: ChannelReading, *wanted: Quantity) -> ChannelReading:
    """Return a reading with offset-compensated ohms: a second one at zero source is subtracted.

    Offset-compensated ohms = (V2 - V1) / (I2 - I1) (2400 User's Manual, section 4).
    """
    settings = channel.settings
    quantity, level = settings.function, settings.levels[settings.function]
    channel.set_level(quantity, 0.0)
    try:
        zero = channel.measure(*wanted)
    finally:
        channel.set_level(quantity, level)
    volts = reading.values["voltage"] - zero.values["voltage"]
    amperes = reading.values["current"] - zero.values["current"]
    if math.isinf(reading.resistance) or not math.isfinite(volts):
        return reading
    return replace(reading, ohms=volts / amperes if amperes else math.inf, seconds=zero.seconds)
