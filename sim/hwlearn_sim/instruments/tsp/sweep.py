"""Trigger model of one channel of a Keithley 2600: source sweeps and pulses with readings.

Source: Series 2600B Reference Manual, sections "Triggering" and "TSP command reference".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Final, Protocol

from hwlearn_sim.instruments.capability import ChannelState
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.ranges import Quantity
from hwlearn_sim.instruments.scpi.source_levels import ramp
from hwlearn_sim.instruments.tsp.buffer import MOST_POINTS, TspBuffer
from hwlearn_sim.instruments.tsp.script.objects import (
    Bounds,
    Namespace,
    Value,
    as_number,
    function,
    runtime_error,
    whole,
    within,
)
from hwlearn_sim.instruments.tsp.trigger.events import Detector, Events, Step

LETTER: Final[dict[Quantity, str]] = {"voltage": "v", "current": "i"}
_MOST_LEVEL: Final = 1e6  # volts or amperes: more than any range
_MOST_COUNT: Final = 1e9
_PARTS: Final[dict[str, dict[str, tuple[float, Bounds]]]] = {
    "arm": {"count": (1.0, (0, _MOST_COUNT))},
    "source": {"action": (0.0, (0, 1))},
    "measure": {"action": (0.0, (0, 2))},
    "endpulse": {"action": (1.0, (0, 1))},
    "endsweep": {"action": (0.0, (0, 1))},
}
"""Default and bounds of the attributes of each part."""

_WAITS: Final = ("arm", "source", "measure", "endpulse")
_EVENTS: Final = (
    "SWEEPING",
    "ARMED",
    "SOURCE_COMPLETE",
    "MEASURE_COMPLETE",
    "PULSE_COMPLETE",
    "SWEEP_COMPLETE",
    "IDLE",
)
_LIMIT_AUTO: Final = "LIMIT_AUTO"


class Measurement(Protocol):
    """Takes the readings of one measure action."""

    def __call__(self, name: str, buffers: tuple[TspBuffer, ...], *, first: bool) -> Iterator[Step]:
        """Yield the times that the readings need."""


class TspTrigger:
    """The object ``smua.trigger``.

    Parameters
    ----------
    name : str
        Name of the channel.
    channel : VirtualChannel
        The channel.
    events : Events
        The events of the instrument.
    measure : callable
        Takes the readings of one measure action.

    Attributes
    ----------
    root : Namespace
        The object in the script language.
    endless : bool
        Whether a sweep that was initiated has no last step.
    """

    def __init__(self, name: str, channel: VirtualChannel, events: Events, measure: Measurement) -> None:
        self._name, self._channel, self._bus, self._measure = name, channel, events, measure
        self.root = Namespace(f"{name}.trigger", {"initiate": function(self._initiate)})
        self._event = {event: events.new() for event in _EVENTS}
        self.root.add(**{f"{event}_EVENT_ID": number for event, number in self._event.items()})
        self._detectors = {part: Detector(events) for part in _WAITS}
        self._values: dict[str, dict[str, float]] = {part: {} for part in ("", *_PARTS)}
        self._limits: dict[Quantity, float | None] = {}
        self._levels: tuple[Quantity, list[float]] | None = None
        self._measured: tuple[str, tuple[TspBuffer, ...]] = ("", ())
        self._activity: int | None = None
        self._idle: tuple[ChannelState, Quantity, float, dict[Quantity, float]] | None = None
        self.restore_defaults()
        self.root.keep(self._values[""], {"count": (0, _MOST_COUNT), "autoclear": (0, 1)})
        self._add_parts(name)

    def _add_parts(self, name: str) -> None:
        parts = {part: Namespace(f"{name}.trigger.{part}") for part in _PARTS}
        for part, attributes in _PARTS.items():
            parts[part].keep(self._values[part], {key: bounds for key, (_, bounds) in attributes.items()})
        for part, detector in self._detectors.items():
            detector.input.attribute(parts[part])
            parts[part].add(set=function(detector.set))
        for quantity, letter in LETTER.items():
            parts["source"].add(
                **{
                    f"list{letter}": function(partial(self._set_list, quantity), 1),
                    f"linear{letter}": function(partial(self._set_ramp, quantity), 3),
                    f"log{letter}": function(partial(self._set_log_ramp, quantity), 3, 4),
                }
            )
            parts["source"].attribute(
                f"limit{letter}", partial(self._read_limit, quantity), partial(self._set_limit, quantity)
            )
        for measured in ("v", "i", "r", "p", "iv"):
            parts["measure"].add(**{measured: function(partial(self._set_buffers, measured), 1, len(measured))})
        self.root.add(**parts)

    def restore_defaults(self) -> None:
        """Restore the defaults; a sweep ends."""
        self._stop()
        self._values[""].update(count=1.0, autoclear=0.0)
        for part, attributes in _PARTS.items():
            self._values[part].update({key: default for key, (default, _) in attributes.items()})
        for detector in self._detectors.values():
            detector.input.connect(0)
            detector.clear()
        self._limits = {"voltage": None, "current": None}
        self._levels, self._measured = None, ("", ())

    @property
    def sweeping(self) -> bool:
        """Whether a sweep was initiated and has not ended."""
        return self._activity is not None

    @property
    def overrun(self) -> int:
        """Bits of the detectors whose event came before the last one was used: arm 2, source 4, measure 8 ..."""
        return sum(2 << k for k, detector in enumerate(self._detectors.values()) if detector.overrun)

    @property
    def endless(self) -> bool:
        """Whether a sweep that was initiated has no last step, or more steps than a buffer has places."""
        steps = self._values[""]["count"] * self._values["arm"]["count"]
        return self.sweeping and not 0 < steps <= MOST_POINTS

    def abort(self) -> None:
        """End the sweep; the source returns to its idle level."""
        self._stop()

    # --- sweep --------------------------------------------------------------------------------------

    def _initiate(self) -> None:
        if self._values["source"]["action"] and self._levels is None:
            raise VirtualInstrumentError(-221)
        if self.sweeping:
            raise VirtualInstrumentError(-211)
        for detector in self._detectors.values():
            detector.clear()
        self._activity = self._bus.start(self._sweep())

    def _stop(self) -> None:
        if self._activity is not None:
            self._bus.cancel(self._activity)
            self._activity = None
            self._restore(hold=False)

    def _sweep(self) -> Iterator[Step]:
        try:
            self._prepare()
            self._post("SWEEPING")
            for _ in _counted(self._values["arm"]["count"]):
                yield from self._wait("arm")
                self._post("ARMED")
                if self._values[""]["autoclear"]:
                    for part in _WAITS[1:]:
                        self._detectors[part].take()
                yield from self._trigger_layer()
                self._post("SWEEP_COMPLETE")
            self._activity = None
            self._restore(hold=bool(self._values["endsweep"]["action"]))
            self._post("IDLE")
        except VirtualInstrumentError:
            self._activity = None
            self._restore(hold=False)
            raise

    def _trigger_layer(self) -> Iterator[Step]:
        action = self._values["measure"]["action"]
        name, buffers = self._measured
        for step in _counted(self._values[""]["count"]):
            yield from self._wait("source")
            self._source(step)
            yield 0.0  # sources that step at the same time do so before any reading
            self._post("SOURCE_COMPLETE")
            yield from self._wait("measure")
            if action and name:
                readings = self._measure(name, buffers, first=step == 0)
                if action == 2:  # asynchronous: the pulse may end before the reading
                    self._bus.start(self._in_background(readings))
                else:
                    yield from readings
            if action != 2:
                self._post("MEASURE_COMPLETE")
            yield from self._wait("endpulse")
            if not self._values["endpulse"]["action"]:
                self._return_to_idle_level()
            self._post("PULSE_COMPLETE")

    def _in_background(self, readings: Iterator[Step]) -> Iterator[Step]:
        yield from readings
        self._post("MEASURE_COMPLETE")

    def _wait(self, part: str) -> Iterator[Step]:
        detector = self._detectors[part]
        if detector.input.stimulus and not detector.take():
            yield detector

    def _post(self, event: str) -> None:
        self._bus.post(self._event[event])

    # --- source -------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        settings, channel = self._channel.settings, self._channel
        quantity = settings.function
        if self._values["source"]["action"] and self._levels is not None:
            quantity = self._levels[0]
            if quantity != settings.function:
                channel.set_function(quantity)
        self._idle = (settings, quantity, settings.levels[quantity], dict(settings.limits))
        for limited, value in self._limits.items():
            if value is not None:
                channel.set_limit(limited, value)

    def _source(self, step: int) -> None:
        if self._values["source"]["action"] and self._levels is not None:
            quantity, levels = self._levels
            self._set_level(quantity, levels[step % len(levels)])

    def _return_to_idle_level(self) -> None:
        if self._idle is not None and self._values["source"]["action"]:
            self._set_level(self._idle[1], self._idle[2])

    def _set_level(self, quantity: Quantity, level: float) -> None:
        if self._channel.settings.levels[quantity] != level:
            self._channel.set_level(quantity, level)

    def _restore(self, *, hold: bool) -> None:
        if self._idle is None:
            return
        settings, quantity, level, limits = self._idle
        self._idle = None
        if self._channel.settings is not settings:
            return  # reset in between
        if not hold:
            self._set_level(quantity, level)
        for limited, value in self._limits.items():
            if value is not None:
                self._channel.set_limit(limited, limits[limited])

    # --- settings -----------------------------------------------------------------------------------

    def _read_limit(self, quantity: Quantity) -> Value:
        value = self._limits[quantity]
        return _LIMIT_AUTO if value is None else value

    def _set_limit(self, quantity: Quantity, value: Value) -> None:
        if value == _LIMIT_AUTO:
            self._limits[quantity] = None
            return
        limit = as_number(value)
        least, most = (
            self._channel.capability.least_limits[quantity],
            self._channel.capability.measures[quantity].most,
        )
        if not least <= limit <= most:
            raise VirtualInstrumentError(-222)
        self._limits[quantity] = limit

    def _set_list(self, quantity: Quantity, levels: Value) -> None:
        if not isinstance(levels, list):
            raise runtime_error("a table of levels was expected")
        self._set_levels(quantity, [as_number(item) for item in levels])

    def _set_ramp(self, quantity: Quantity, start: Value, stop: Value, points: Value) -> None:
        self._set_levels(quantity, ramp(_finite(start), _finite(stop), whole(points, 2, MOST_POINTS)))

    def _set_log_ramp(
        self, quantity: Quantity, start: Value, stop: Value, points: Value, asymptote: Value = 0.0
    ) -> None:
        base, count = _finite(asymptote), whole(points, 2, MOST_POINTS)
        levels = ramp(_finite(start) - base, _finite(stop) - base, count, logarithmic=True)
        self._set_levels(quantity, [level + base for level in levels])

    def _set_levels(self, quantity: Quantity, levels: list[float]) -> None:
        ranges = self._channel.capability.sources[quantity]
        if not levels or not all(ranges.holds(ranges.each[-1], level) for level in levels):
            raise VirtualInstrumentError(-222)
        self._levels = (quantity, levels)

    def _set_buffers(self, name: str, *buffers: Value) -> None:
        chosen = tuple(buffer for buffer in buffers if isinstance(buffer, TspBuffer))
        if len(chosen) != len(name) or len(chosen) != len(buffers):
            raise runtime_error("a reading buffer was expected")
        self._measured = (name, chosen)


def _finite(value: Value) -> float:
    return within(value, -_MOST_LEVEL, _MOST_LEVEL)


def _counted(times: float) -> Iterator[int]:
    """Yield 0, 1, 2 ... this many times, or without end for 0."""
    step = 0
    while step < (times or math.inf):
        yield step
        step += 1
