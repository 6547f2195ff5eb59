"""Trigger model of one channel of a Keithley 2600: source sweeps with a reading at each point."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Final

from hwlearn_sim.instruments.capability import ChannelReading
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.ranges import Quantity
from hwlearn_sim.instruments.scpi.source_levels import ramp, stepped
from hwlearn_sim.instruments.tsp.buffer import MOST_POINTS, TspBuffer, tsp_value
from hwlearn_sim.instruments.tsp.values import (
    Namespace,
    ScriptTable,
    Value,
    as_number,
    function,
    runtime_error,
    whole,
)

LETTER: Final[dict[Quantity, str]] = {"voltage": "v", "current": "i"}
_POINTS: Final = (1, MOST_POINTS)
_PARTS: Final = {
    "arm": {"count": (1.0, _POINTS)},
    "source": {"action": (0.0, (0, 1))},
    "measure": {"action": (0.0, (0, 2))},
    "endpulse": {"action": (0.0, (0, 1))},
    "endsweep": {"action": (0.0, (0, 1))},
}
"""Default and bounds of the attributes of each part."""


class TspTrigger:
    """The object ``smua.trigger``.

    Parameters
    ----------
    name : str
        Name of the channel.
    channel : VirtualChannel
        The channel.
    read : callable
        Takes one reading of both quantities.

    Attributes
    ----------
    root : Namespace
        The object in the script language.
    initiated : bool
        Whether a sweep was initiated and has not run yet.
    """

    def __init__(self, name: str, channel: VirtualChannel, read: Callable[[], ChannelReading]) -> None:
        self.root = Namespace(f"{name}.trigger", {"initiate": function(self._initiate)})
        self.initiated = False
        self._channel, self._read = channel, read
        self._values: dict[str, dict[str, float]] = {part: {} for part in ("", *_PARTS)}
        self._levels: tuple[Quantity, list[float]] | None = None
        self._buffers: dict[Quantity, TspBuffer] = {}
        self._running = ExitStack()
        self.restore_defaults()
        self.root.keep(self._values[""], {"count": _POINTS})
        parts = {part: Namespace(f"{name}.trigger.{part}") for part in _PARTS}
        for part, attributes in _PARTS.items():
            parts[part].keep(self._values[part], {key: bounds for key, (_, bounds) in attributes.items()})
        for quantity, letter in LETTER.items():
            parts["source"].add(
                **{
                    f"list{letter}": function(partial(self._set_list, quantity), 1),
                    f"linear{letter}": function(partial(self._set_ramp, quantity), 3),
                    f"log{letter}": function(partial(self._set_log_ramp, quantity), 3, 4),
                }
            )
            parts["measure"].add(**{letter: function(partial(self._set_buffers, (quantity,)), 1)})
        parts["measure"].add(iv=function(partial(self._set_buffers, ("current", "voltage")), 2))
        self.root.add(**parts)

    def restore_defaults(self) -> None:
        """Restore the defaults."""
        self.initiated = False
        self._values[""].update(count=1.0)
        for part, attributes in _PARTS.items():
            self._values[part].update({key: default for key, (default, _) in attributes.items()})
        self._levels, self._buffers = None, {}

    def steps(self) -> Iterator[None]:
        """Run the initiated sweep. It yields after each step and after each reading."""
        levels: list[float] = []
        if self._values["source"]["action"] and self._levels is not None:
            quantity, levels = self._levels
            self._channel.set_function(quantity)
        steps = self._running.enter_context(stepped(self._channel, levels))
        for buffer in self._buffers.values():
            buffer.begin()
        for _ in range(self._count):
            next(steps)
            yield None
            if self._values["measure"]["action"]:
                reading = self._read()
                for measured, buffer in self._buffers.items():
                    buffer.store(tsp_value(reading.values[measured]), reading)
            yield None

    def end(self) -> None:
        """End the sweep: restore the source level, or hold the last one, according to endsweep.action."""
        self.initiated = False
        settings = self._channel.settings
        last = settings.levels[settings.function]
        self._running.close()
        if self._values["endsweep"]["action"] and self._channel.settings is settings:
            self._channel.set_level(settings.function, last)

    @property
    def _count(self) -> int:
        return round(self._values[""]["count"] * self._values["arm"]["count"])

    def _initiate(self) -> None:
        lacks_levels = self._values["source"]["action"] and self._levels is None
        if lacks_levels or self._count > MOST_POINTS:
            raise VirtualInstrumentError(-221)
        self.initiated = True

    # --- levels and buffers -------------------------------------------------------------------------

    def _set_list(self, quantity: Quantity, table: Value) -> None:
        if not isinstance(table, ScriptTable):
            raise runtime_error("a table of levels was expected")
        self._set_levels(quantity, [as_number(item) for item in table.sequence()])

    def _set_ramp(self, quantity: Quantity, start: Value, stop: Value, points: Value) -> None:
        self._set_levels(quantity, ramp(as_number(start), as_number(stop), whole(points, 2, MOST_POINTS)))

    def _set_log_ramp(
        self, quantity: Quantity, start: Value, stop: Value, points: Value, asymptote: Value = 0.0
    ) -> None:
        base, count = as_number(asymptote), whole(points, 2, MOST_POINTS)
        levels = ramp(as_number(start) - base, as_number(stop) - base, count, logarithmic=True)
        self._set_levels(quantity, [level + base for level in levels])

    def _set_levels(self, quantity: Quantity, levels: list[float]) -> None:
        ranges = self._channel.capability.sources[quantity]
        if not levels or not all(ranges.holds(ranges.each[-1], level) for level in levels):
            raise VirtualInstrumentError(-222)
        self._levels = (quantity, levels)

    def _set_buffers(self, quantities: tuple[Quantity, ...], *buffers: Value) -> None:
        chosen = [buffer for buffer in buffers if isinstance(buffer, TspBuffer)]
        if len(chosen) != len(quantities):
            raise runtime_error("a reading buffer was expected")
        self._buffers = dict(zip(quantities, chosen, strict=True))
