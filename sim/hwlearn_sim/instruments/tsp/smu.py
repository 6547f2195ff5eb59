"""One channel of a Keithley 2600 as an object of a script: ``smua`` with attributes, functions and buffers."""

from __future__ import annotations

from functools import partial
from typing import Final

from hwlearn_sim.instruments.capability import QUANTITIES, ChannelReading, OffState
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.ranges import Quantity
from hwlearn_sim.instruments.scpi.reply_format import NOT_A_NUMBER
from hwlearn_sim.instruments.tsp.buffer import MOST_POINTS, TspBuffer, tsp_value
from hwlearn_sim.instruments.tsp.trigger import LETTER, TspTrigger
from hwlearn_sim.instruments.tsp.values import (
    Namespace,
    Value,
    as_number,
    enumerated,
    function,
    runtime_error,
    whole,
)

_OFF_STATES: Final[tuple[OffState, ...]] = ("NORM", "ZERO", "HIMP")
_SOURCE: Final = {"delay": 0.0, "highc": 0.0, "settling": 0.0, "sink": 0.0}
_SOURCE_BOUNDS: Final = {"delay": (-1, 1e4), "highc": (0, 1), "settling": (0, 130), "sink": (0, 1)}
_MEASURE: Final = {"autozero": 2.0, "count": 1.0, "interval": 0.0, "delay": -1.0, "delayfactor": 1.0}
_MEASURE_BOUNDS: Final = {
    "autozero": (0, 2), "count": (1, MOST_POINTS), "interval": (0, 1), "delay": (-1, 1e4),
    "delayfactor": (0, 1e4),
}  # fmt: skip
_FILTER: Final = {"enable": 0.0, "count": 1.0, "type": 1.0}
_FILTER_BOUNDS: Final = {"enable": (0, 1), "count": (1, 100), "type": (0, 2)}


class TspSmu:
    """The object ``smua`` or ``smub``.

    Parameters
    ----------
    name : str
        Name of the object.
    channel : VirtualChannel
        The channel that it controls.

    Attributes
    ----------
    root : Namespace
        The object in the script language.
    trigger : TspTrigger
        The trigger model of the channel.
    """

    def __init__(self, name: str, channel: VirtualChannel) -> None:
        self.name, self.channel = name, channel
        self.trigger = TspTrigger(name, channel, partial(self._measure_once, "iv"))
        self._source, self._measuring, self._filter = dict(_SOURCE), dict(_MEASURE), dict(_FILTER)
        self._over_range = False
        self.root = Namespace(name)
        self.root.add(
            OUTPUT_DCAMPS=0.0, OUTPUT_DCVOLTS=1.0, OUTPUT_OFF=0.0, OUTPUT_ON=1.0, OUTPUT_NORMAL=0.0,
            OUTPUT_ZERO=1.0, OUTPUT_HIGH_Z=2.0, SENSE_LOCAL=0.0, SENSE_REMOTE=1.0, AUTORANGE_OFF=0.0,
            AUTORANGE_ON=1.0, AUTOZERO_OFF=0.0, AUTOZERO_ONCE=1.0, AUTOZERO_AUTO=2.0, DISABLE=0.0,
            ENABLE=1.0, SOURCE_IDLE=0.0, SOURCE_HOLD=1.0, FILTER_OFF=0.0, FILTER_ON=1.0,
            FILTER_REPEAT_AVG=1.0, FILTER_MOVING_AVG=0.0, DELAY_OFF=0.0, DELAY_AUTO=-1.0,
        )  # fmt: skip
        self.root.add(
            reset=function(self._reset),
            abort=function(lambda: None),
            makebuffer=function(lambda size: TspBuffer("buffer", whole(size, 1, MOST_POINTS)), 1),
            nvbuffer1=TspBuffer(f"{name}.nvbuffer1"),
            nvbuffer2=TspBuffer(f"{name}.nvbuffer2"),
            source=self._source_part(),
            measure=self._measure_part(),
            trigger=self.trigger.root,
        )
        self.root.attribute("sense", lambda: float(self.channel.settings.four_wire), self._set_sense)

    def restore_defaults(self) -> None:
        """Restore the defaults that the channel does not store itself; buffers keep their readings."""
        self._source.update(_SOURCE)
        self._measuring.update(_MEASURE)
        self._filter.update(_FILTER)
        self.trigger.restore_defaults()

    def condition(self) -> float:
        """Return the condition register: voltage limit 1, current limit 2, reading overflow 128."""
        sourced, tripped = self.channel.settings.function, self.channel.tripped
        bit = (1 if sourced == "current" else 2) if tripped else 0
        return float(bit | (128 if self._over_range else 0))

    def _reset(self) -> None:
        self.channel.reset()
        self.restore_defaults()

    # --- attributes ---------------------------------------------------------------------------------

    def _set_sense(self, value: Value) -> None:
        self.channel.set_four_wire(enumerated(value, 2) == 1)

    def _source_part(self) -> Namespace:
        part, channel = Namespace(f"{self.name}.source"), self.channel
        functions: tuple[Quantity, Quantity] = ("current", "voltage")
        part.attribute(
            "func",
            lambda: float(functions.index(channel.settings.function)),
            lambda value: channel.set_function(functions[enumerated(value, 2)]),
        )
        part.attribute(
            "output",
            lambda: float(channel.settings.output),
            lambda value: channel.set_output(enumerated(value, 3) == 1),
        )
        part.attribute("compliance", lambda: channel.tripped)
        part.attribute(
            "offmode",
            lambda: float(_OFF_STATES.index(channel.settings.off_states["voltage"])),
            lambda value: channel.set_off_state(_OFF_STATES[enumerated(value, 3)]),
        )
        for quantity, letter in LETTER.items():
            self._add_quantity(part, quantity, letter)
        part.keep(self._source, _SOURCE_BOUNDS)
        return part

    def _add_quantity(self, part: Namespace, quantity: Quantity, letter: str) -> None:
        channel = self.channel
        part.attribute(
            f"level{letter}",
            lambda: channel.settings.levels[quantity],
            lambda value: channel.set_level(quantity, as_number(value)),
        )
        part.attribute(
            f"limit{letter}",
            lambda: channel.settings.limits[quantity],
            lambda value: channel.set_limit(quantity, as_number(value)),
        )
        part.attribute(
            f"range{letter}",
            lambda: channel.source_range(quantity).full_scale,
            lambda value: channel.set_source_range(quantity, as_number(value)),
        )
        part.attribute(
            f"autorange{letter}",
            lambda: float(channel.settings.source_ranges[quantity] is None),
            lambda value: channel.set_source_range(
                quantity, None if enumerated(value, 2) else channel.source_range(quantity).full_scale
            ),
        )
        part.attribute(
            f"offlimit{letter}",
            lambda: channel.settings.off_limits[quantity],
            lambda value: self._set_off_limit(quantity, as_number(value)),
        )

    def _set_off_limit(self, quantity: Quantity, value: float) -> None:
        capability = self.channel.capability
        if not capability.least_limits[quantity] <= value <= capability.measures[quantity].most:
            raise VirtualInstrumentError(-222)
        self.channel.settings.off_limits[quantity] = value
        self.channel.apply()

    def _measure_part(self) -> Namespace:
        part, channel = Namespace(f"{self.name}.measure"), self.channel
        part.attribute("nplc", lambda: channel.settings.nplc["current"], self._set_nplc)
        for quantity, letter in LETTER.items():
            self._add_measured(part, quantity, letter)
        part.keep(self._measuring, _MEASURE_BOUNDS)
        averaging = Namespace(f"{self.name}.measure.filter")
        averaging.keep(self._filter, _FILTER_BOUNDS)
        part.add(filter=averaging)
        for name in ("v", "i", "r", "p", "iv"):
            part.add(**{name: function(partial(self._measure, name), 0, len(name))})
        return part

    def _set_nplc(self, value: Value) -> None:
        low, high = self.channel.capability.nplc
        if not low <= as_number(value) <= high:
            raise VirtualInstrumentError(-222)
        self.channel.set_nplc(as_number(value))

    def _add_measured(self, part: Namespace, quantity: Quantity, letter: str) -> None:
        channel = self.channel
        part.attribute(
            f"range{letter}",
            lambda: channel.measure_range(quantity).full_scale,
            lambda value: channel.set_measure_range(quantity, as_number(value)),
        )
        part.attribute(
            f"autorange{letter}",
            lambda: float(channel.settings.measure_ranges[quantity] is None),
            lambda value: channel.set_measure_range(
                quantity, None if enumerated(value, 2) else channel.measure_range(quantity).full_scale
            ),
        )

    # --- readings -----------------------------------------------------------------------------------

    def _measure(self, name: str, *buffers: Value) -> Value:
        """Take ``count`` readings, store them in the buffers, and return the last one."""
        for buffer in buffers:
            if not isinstance(buffer, TspBuffer):
                raise runtime_error("a reading buffer was expected")
            buffer.begin()
        last: tuple[float, ...] = ()
        for point in range(round(self._measuring["count"])):
            if point and self._measuring["interval"]:
                integration = self.channel.integration_s("current")
                self.channel.clock.advance(max(self._measuring["interval"] - integration, 0.0))
            reading = self._measure_once(name)
            last = _results(reading, name)
            for buffer, value in zip(buffers, last, strict=False):
                buffer.store(value, reading)
        return last if len(last) > 1 else last[0]

    def _measure_once(self, name: str) -> ChannelReading:
        settings = self.channel.settings
        settings.average = round(self._filter["count"]) if self._filter["enable"] else 1
        settings.delay_s = max(self._source["delay"], 0.0) + max(self._measuring["delay"], 0.0)
        wanted: tuple[Quantity, ...] = QUANTITIES
        if name in ("v", "i"):
            wanted = ("voltage",) if name == "v" else ("current",)
        reading = self.channel.measure(*wanted)
        self._over_range = reading.over_range
        return reading


def _results(reading: ChannelReading, name: str) -> tuple[float, ...]:
    if name in ("v", "i"):
        return (tsp_value(reading.values["voltage" if name == "v" else "current"]),)
    volts, amps = tsp_value(reading.values["voltage"]), tsp_value(reading.values["current"])
    if name == "iv":
        return (amps, volts)
    if name == "p":
        return (volts * amps,)
    return (volts / amps if amps else NOT_A_NUMBER,)
