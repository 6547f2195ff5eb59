"""The object ``smua.measure`` of a Keithley 2600: readings with filter and relative offset."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Final

from hwlearn_sim.instruments.capability import QUANTITIES, ChannelReading
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.ranges import Quantity
from hwlearn_sim.instruments.scpi.reply_format import NOT_A_NUMBER
from hwlearn_sim.instruments.tsp.buffer import MOST_POINTS, StoredReading, TspBuffer, tsp_value
from hwlearn_sim.instruments.tsp.script.objects import (
    Bounds,
    Namespace,
    Value,
    as_number,
    enumerated,
    function,
    runtime_error,
    within,
)
from hwlearn_sim.instruments.tsp.sweep import LETTER
from hwlearn_sim.instruments.tsp.trigger.events import Events, Step

_KINDS: Final = ("v", "i", "r", "p")
_DEFAULTS: Final = {"count": 1.0, "interval": 0.0, "delay": -1.0}
_BOUNDS: Final[dict[str, Bounds]] = {"count": (1, MOST_POINTS), "interval": (0, 1), "delay": (-1, 1e4)}
_STORED: Final = {"autozero": 2.0, "delayfactor": 1.0, "highcrangedelayfactor": 10.0}
_STORED_BOUNDS: Final[dict[str, Bounds]] = {
    "autozero": (0, 2), "delayfactor": (0, 1e4), "highcrangedelayfactor": (1, 99),
}  # fmt: skip
_FILTER: Final = {"enable": 0.0, "count": 1.0, "type": 1.0}
_FILTER_BOUNDS: Final[dict[str, Bounds]] = {"enable": (0, 1), "count": (1, 100), "type": (0, 2)}
_MOVING, _REPEAT = 0, 1
_FOUR_WIRE, _RELATIVE, _COMPLIANCE, _FILTERED = 16, 32, 64, 128


class TspMeasure:
    """The object ``smua.measure``.

    Parameters
    ----------
    name : str
        Name of the channel.
    channel : VirtualChannel
        The channel.
    events : Events
        The events of the instrument.

    Attributes
    ----------
    root : Namespace
        The object in the script language.
    source_delay_s : float
        Delay of the source before a reading.
    over_range : bool
        Whether the last reading overflowed.
    """

    def __init__(self, name: str, channel: VirtualChannel, events: Events) -> None:
        self._channel, self._events = channel, events
        self.source_delay_s, self.over_range = 0.0, False
        self._values, self._stored, self._filter = dict(_DEFAULTS), dict(_STORED), dict(_FILTER)
        self._rel_level, self._rel_on = dict.fromkeys(_KINDS, 0.0), dict.fromkeys(_KINDS, 0.0)
        self._recent: dict[str, deque[float]] = {}
        self._follows: set[Quantity] = set()
        self.root = Namespace(f"{name}.measure")
        self.root.attribute("nplc", lambda: channel.settings.nplc["current"], self._set_nplc)
        for quantity, letter in LETTER.items():
            self._add_ranges(quantity, letter)
        self.root.keep(self._values, _BOUNDS)
        self.root.store(self._stored, _STORED_BOUNDS)
        self.root.refuse("belongs to the Models 2651A and 2657A", "adc")
        self.root.refuse("is not modelled: the virtual instrument needs no adjustment", "calibratei", "calibratev")
        averaging = Namespace(f"{name}.measure.filter")
        averaging.keep(self._filter, _FILTER_BOUNDS)
        relative = Namespace(f"{name}.measure.rel")
        for kind in _KINDS:
            relative.attribute(f"level{kind}", partial(self._rel_level.get, kind), partial(self._set_rel, kind))
            relative.attribute(f"enable{kind}", partial(self._rel_on.get, kind), partial(self._enable_rel, kind))
        self.root.add(filter=averaging, rel=relative)
        for measured in (*_KINDS, "iv"):
            self.root.add(
                **{
                    measured: function(partial(self._measure, measured), 0, len(measured)),
                    f"overlapped{measured}": function(
                        partial(self._overlapped, measured), len(measured), len(measured)
                    ),
                }
            )

    def restore_defaults(self) -> None:
        """Restore the defaults."""
        self._values.update(_DEFAULTS)
        self._stored.update(_STORED)
        self._filter.update(_FILTER)
        self._rel_level.update(dict.fromkeys(_KINDS, 0.0))
        self._rel_on.update(dict.fromkeys(_KINDS, 0.0))
        self._recent.clear()
        self._follows.clear()
        self.source_delay_s, self.over_range = 0.0, False

    def saved(self) -> tuple[dict[str, float], ...]:
        """Return the settings that a setup contains."""
        return (self._values, self._stored, self._filter, self._rel_level, self._rel_on)

    def recall(self, saved: tuple[dict[str, float], ...]) -> None:
        """Apply the settings of a setup."""
        for own, values in zip(self.saved(), saved, strict=True):
            own.update(values)

    def follow_limit(self, quantity: Quantity) -> None:
        """Let the range of a quantity follow its limit."""
        self._follows.add(quantity)
        self.follow_limits()

    def follow_limits(self) -> None:
        """Select the ranges that follow the limits, after a limit has changed."""
        for quantity in self._follows:
            self._channel.set_measure_range(quantity, self._channel.settings.limits[quantity])

    # --- settings -----------------------------------------------------------------------------------

    def _set_nplc(self, value: Value) -> None:
        self._channel.set_nplc(within(value, *self._channel.capability.nplc))

    def _add_ranges(self, quantity: Quantity, letter: str) -> None:
        self.root.attribute(f"range{letter}", partial(self._range, quantity), partial(self._set_range, quantity))
        self.root.attribute(
            f"autorange{letter}", partial(self._autorange, quantity), partial(self._set_autorange, quantity)
        )
        self.root.attribute(
            f"lowrange{letter}", partial(self._low_range, quantity), partial(self._set_low_range, quantity)
        )

    def _range(self, quantity: Quantity) -> float:
        fixed = self._channel.settings.measure_ranges[quantity]
        return (self._channel.measure_range(quantity) if fixed is None else fixed).full_scale

    def _set_range(self, quantity: Quantity, value: Value) -> None:
        self._channel.set_measure_range(quantity, as_number(value))
        self._follows.discard(quantity)

    def _autorange(self, quantity: Quantity) -> float:
        if quantity in self._follows:
            return 2.0
        return float(self._channel.settings.measure_ranges[quantity] is None)

    def _set_autorange(self, quantity: Quantity, value: Value) -> None:
        mode = enumerated(value, 3)
        self._follows.discard(quantity)
        if mode == 0 and self._channel.settings.measure_ranges[quantity] is None:
            self._channel.set_measure_range(quantity, self._channel.measure_range(quantity).full_scale)
        elif mode == 1:
            self._channel.set_measure_range(quantity, None)
        elif mode == 2:
            self.follow_limit(quantity)

    def _low_range(self, quantity: Quantity) -> float:
        least = self._channel.settings.least_measure_ranges[quantity]
        return self._channel.capability.measures[quantity].covering(least).full_scale

    def _set_low_range(self, quantity: Quantity, value: Value) -> None:
        chosen = self._channel.capability.measures[quantity].select(as_number(value))
        self._channel.settings.least_measure_ranges[quantity] = chosen.full_scale

    def _set_rel(self, kind: str, value: Value) -> None:
        self._rel_level[kind] = as_number(value)

    def _enable_rel(self, kind: str, value: Value) -> None:
        self._rel_on[kind] = float(enumerated(value, 2))

    # --- readings -----------------------------------------------------------------------------------

    def _measure(self, name: str, *given: Value) -> Value:
        """Take ``count`` readings, store them in the buffers, and return the last one."""
        buffers = _checked(given)
        for buffer in buffers:
            buffer.begin()
        count = round(self._values["count"])
        if count == 1:
            last = self._take_and_store(name, buffers)
        else:
            with self._events.operation():
                last = self._take_and_store(name, buffers)
                for _ in range(count - 1):
                    self._channel.clock.advance(self._pause_s())
                    last = self._take_and_store(name, buffers)
        if self._events.active:
            self._events.pass_time(0.0)
        return last if len(last) > 1 else last[0]

    def _take_and_store(self, name: str, buffers: tuple[TspBuffer, ...]) -> tuple[float, ...]:
        values, reading = self._take(name, delayed=True)
        self._store(name, buffers, values, reading)
        return values

    def measure_and_step(self, name: str) -> Value:
        """Take one reading and return it."""
        found = self._take(name, delayed=True)[0]
        return found if len(found) > 1 else found[0]

    def _overlapped(self, name: str, *given: Value) -> None:
        self._events.start(self.readings(name, _checked(given), first=True))

    def readings(self, name: str, buffers: tuple[TspBuffer, ...], *, first: bool) -> Iterator[Step]:
        """Take ``count`` readings in the background and store them; yield the times that they need."""
        clock = self._channel.clock
        if first:
            for buffer in buffers:
                buffer.begin()
        for point in range(round(self._values["count"])):
            if point:
                yield self._pause_s()
            yield self.source_delay_s + max(self._values["delay"], 0.0)
            start = clock.seconds
            with clock.ahead():
                values, reading = self._take(name, delayed=False)
                took = clock.seconds - start
            self._store(name, buffers, values, reading)
            yield took

    def _pause_s(self) -> float:
        if not self._values["interval"]:
            return 0.0
        return max(self._values["interval"] - self._channel.integration_s("current"), 0.0)

    def _take(self, name: str, *, delayed: bool) -> tuple[tuple[float, ...], ChannelReading]:
        settings, averaging = self._channel.settings, self._filter
        repeats = averaging["enable"] and averaging["type"] == _REPEAT
        settings.average = round(averaging["count"]) if repeats else 1
        settings.delay_s = self.source_delay_s + max(self._values["delay"], 0.0) if delayed else 0.0
        wanted: tuple[Quantity, ...] = QUANTITIES
        if name in ("v", "i"):
            wanted = ("voltage",) if name == "v" else ("current",)
        reading = self._channel.measure(*wanted)
        self.over_range = reading.over_range
        values = _results(reading, name)
        if averaging["enable"] and not repeats:
            values = tuple(self._windowed(kind, value) for kind, value in zip(name, values, strict=True))
        if any(self._rel_on[kind] for kind in name):
            values = tuple(self._related(kind, value) for kind, value in zip(name, values, strict=True))
        return values, reading

    def _windowed(self, kind: str, value: float) -> float:
        """Return the mean or the median of the last readings."""
        most = round(self._filter["count"])
        recent = self._recent.get(kind)
        if recent is None or recent.maxlen != most:
            recent = self._recent[kind] = deque(maxlen=most)
        recent.append(value)
        return statistics.fmean(recent) if self._filter["type"] == _MOVING else statistics.median(recent)

    def _related(self, kind: str, value: float) -> float:
        if not self._rel_on[kind] or value == NOT_A_NUMBER:
            return value
        return value - self._rel_level[kind]

    def _store(
        self, name: str, buffers: tuple[TspBuffer, ...], values: tuple[float, ...], reading: ChannelReading
    ) -> None:
        if not buffers:
            return
        channel = self._channel
        bits = _FOUR_WIRE if channel.settings.four_wire else 0
        bits |= _COMPLIANCE if reading.limited else 0
        bits |= _FILTERED if self._filter["enable"] else 0
        source_range = channel.source_range(reading.function).full_scale
        for kind, buffer, value in zip(name, buffers, values, strict=False):
            quantity: Quantity = "current" if kind == "i" else "voltage"
            full_scale = channel.measure_range(quantity).full_scale
            status = bits | (_RELATIVE if self._rel_on[kind] else 0)
            buffer.add_reading(StoredReading(value, kind, reading, status, full_scale, source_range))


def _checked(buffers: tuple[Value, ...]) -> tuple[TspBuffer, ...]:
    chosen = tuple(buffer for buffer in buffers if isinstance(buffer, TspBuffer))
    if len(chosen) != len(buffers):
        raise runtime_error("a reading buffer was expected")
    return chosen


def _results(reading: ChannelReading, name: str) -> tuple[float, ...]:
    if name in ("v", "i"):
        return (tsp_value(reading.values["voltage" if name == "v" else "current"]),)
    volts, amps = tsp_value(reading.values["voltage"]), tsp_value(reading.values["current"])
    if name == "iv":
        return (amps, volts)
    if NOT_A_NUMBER in (abs(volts), abs(amps)):
        return (NOT_A_NUMBER,)
    if name == "p":
        return (volts * amps,)
    return (volts / amps if amps else NOT_A_NUMBER,)
