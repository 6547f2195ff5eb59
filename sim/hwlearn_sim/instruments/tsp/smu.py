"""One channel of a Keithley 2600 as an object of a script: ``smua`` with attributes, functions and buffers."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from hwlearn_sim.instruments.capability import OTHER, OffState
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.ranges import Quantity
from hwlearn_sim.instruments.tsp.buffer import MOST_POINTS, TspBuffer
from hwlearn_sim.instruments.tsp.measuring import TspMeasure
from hwlearn_sim.instruments.tsp.script.objects import (
    Bounds,
    Key,
    Namespace,
    Value,
    as_number,
    enumerated,
    function,
    runtime_error,
    whole,
    within,
)
from hwlearn_sim.instruments.tsp.sweep import LETTER, TspTrigger
from hwlearn_sim.instruments.tsp.trigger.events import Events

Area = tuple[tuple[float, float], ...]
"""Safe operating area: pairs of the largest source range in volts and the largest current with it in amperes."""

_OFF_STATES: Final[tuple[OffState, ...]] = ("NORM", "ZERO", "HIMP")
_FUNCTIONS: Final[tuple[Quantity, Quantity]] = ("current", "voltage")
_STORED: Final = {"settling": 0.0, "sink": 0.0}
_LEAST_HIGH_C_A: Final = 1e-6
_STORED_BOUNDS: Final[dict[str, Bounds]] = {"settling": (0, 130), "sink": (0, 1)}
_CONTACT: Final = {"threshold": 50.0}
_SPEED: Final = {"speed": 0.0}
_CONSTANTS: Final[dict[Key, Value]] = {
    "OUTPUT_DCAMPS": 0.0, "OUTPUT_DCVOLTS": 1.0, "OUTPUT_OFF": 0.0, "OUTPUT_ON": 1.0, "OUTPUT_NORMAL": 0.0,
    "OUTPUT_ZERO": 1.0, "OUTPUT_HIGH_Z": 2.0, "SENSE_LOCAL": 0.0, "SENSE_REMOTE": 1.0, "SENSE_CALA": 3.0,
    "AUTORANGE_OFF": 0.0, "AUTORANGE_ON": 1.0, "AUTORANGE_FOLLOW_LIMIT": 2.0, "AUTOZERO_OFF": 0.0,
    "AUTOZERO_ONCE": 1.0, "AUTOZERO_AUTO": 2.0, "DISABLE": 0.0, "ENABLE": 1.0, "ASYNC": 2.0, "SOURCE_IDLE": 0.0,
    "SOURCE_HOLD": 1.0, "FILTER_OFF": 0.0, "FILTER_ON": 1.0, "FILTER_REPEAT_AVG": 1.0, "FILTER_MOVING_AVG": 0.0,
    "FILTER_MEDIAN": 2.0, "REL_OFF": 0.0, "REL_ON": 1.0, "DELAY_OFF": 0.0, "DELAY_AUTO": -1.0, "OE_NONE": 0.0,
    "OE_OUTPUT_OFF": 1.0, "FILL_ONCE": 0.0, "FILL_WINDOW": 1.0, "SETTLE_SMOOTH": 0.0, "SETTLE_SMOOTH_100NA": 7.0,
    "SETTLE_FAST_RANGE": 1.0, "SETTLE_FAST_POLARITY": 2.0, "SETTLE_DIRECT_IRANGE": 3.0, "SETTLE_FAST_ALL": 128.0,
    "CONTACT_FAST": 0.0, "CONTACT_MEDIUM": 1.0, "CONTACT_SLOW": 2.0, "LIMIT_AUTO": "LIMIT_AUTO",
}  # fmt: skip


class TspSmu:
    """The object ``smua`` or ``smub``.

    Parameters
    ----------
    name : str
        Name of the object.
    channel : VirtualChannel
        The channel that it controls.
    events : Events
        The events of the instrument.
    area : Area
        Safe operating area.
    has_trigger_model : bool
        Whether scripts can use the trigger model.

    Attributes
    ----------
    root : Namespace
        The object in the script language.
    trigger : TspTrigger
        The trigger model of the channel.
    """

    def __init__(
        self, name: str, channel: VirtualChannel, events: Events, area: Area, has_trigger_model: bool = True
    ) -> None:
        self.name, self.channel, self._area = name, channel, area
        self._measure = TspMeasure(name, channel, events)
        self.trigger = TspTrigger(name, channel, events, self._measure.readings)
        self._stored, self._contact, self._speed = dict(_STORED), dict(_CONTACT), dict(_SPEED)
        self._delay, self._high_c = 0.0, False
        self._off_mode, self._opened = 0, False
        self.root = Namespace(name, _CONSTANTS)
        self.root.add(
            reset=function(self._reset),
            abort=function(self.trigger.abort),
            makebuffer=function(lambda size: TspBuffer("buffer", whole(size, 1, MOST_POINTS)), 1),
            nvbuffer1=TspBuffer(f"{name}.nvbuffer1"),
            nvbuffer2=TspBuffer(f"{name}.nvbuffer2"),
            buffer=Namespace(f"{name}.buffer", {"getstats": function(_statistics, 1)}),
            contact=self._contact_part(),
            source=self._source_part(),
            measure=self._measure.root,
        )
        if has_trigger_model:
            self.root.add(trigger=self.trigger.root)
        self.root.fixed["buffer"].add(recalculatestats=function(_statistics, 1))
        for kind in ("v", "i", "r", "p", "iv"):
            self.root.add(**{f"measure{kind}andstep": function(partial(self._measure_and_step, kind), 1)})
        self.root.attribute("sense", lambda: float(self.channel.settings.four_wire), self._set_sense)
        self.root.refuse("is not modelled: the virtual instrument needs no adjustment", "cal")
        self.root.refuse("is not modelled: there is no nonvolatile memory", "savebuffer")
        self.root.refuse("belongs to the Model 2601B-PULSE", "pulser")

    def restore_defaults(self) -> None:
        """Restore the defaults that the channel does not store itself; buffers keep their readings."""
        self._stored.update(_STORED)
        self._contact.update(_CONTACT)
        self._speed.update(_SPEED)
        self._delay, self._high_c = 0.0, False
        self._off_mode, self._opened = 0, False
        self._measure.restore_defaults()
        self.trigger.restore_defaults()

    def saved(self) -> dict[str, Any]:
        """Return the settings that a setup contains."""
        return {
            "channel": self.channel.settings,
            "own": (self._stored, self._contact, self._speed),
            "delay": self._delay,
            "off_mode": self._off_mode,
            "measure": self._measure.saved(),
        }

    def recall(self, state: dict[str, Any]) -> None:
        """Apply the settings of a setup; the output is off."""
        self.channel.settings = state["channel"]
        self.channel.settings.output = False
        self.channel.apply()
        for own, saved in zip((self._stored, self._contact, self._speed), state["own"], strict=True):
            own.update(saved)
        self._measure.recall(state["measure"])
        self._set_delay(state["delay"])
        self._off_mode, self._opened = state["off_mode"], False
        self._apply_off_mode()

    def condition(self) -> float:
        """Return the condition register: voltage limit 1, current limit 2, reading overflow 128."""
        sourced, tripped = self.channel.settings.function, self.channel.tripped
        bit = (1 if sourced == "current" else 2) if tripped else 0
        return float(bit | (128 if self._measure.over_range else 0))

    def _reset(self) -> None:
        self.channel.reset()
        self.restore_defaults()

    def _measure_and_step(self, kind: str, level: Value) -> Value:
        found = self._measure.measure_and_step(kind)
        self._set_level(self.channel.settings.function, level)
        return found

    # --- attributes ---------------------------------------------------------------------------------

    def _set_sense(self, value: Value) -> None:
        if as_number(value) == _CONSTANTS["SENSE_CALA"]:
            raise runtime_error("SENSE_CALA is for adjustments, which are not modelled")
        self.channel.set_four_wire(enumerated(value, 2) == 1)

    def _contact_part(self) -> Namespace:
        """Return ``smua.contact``: the virtual leads have no resistance."""
        part = Namespace(f"{self.name}.contact", {"r": function(lambda: (0.0, 0.0))})
        part.add(check=function(lambda: self._contact["threshold"] > 0))
        part.keep(self._contact, {"threshold": (0, 1e38)})
        part.store(self._speed, {"speed": (0, 2)})
        part.refuse("is not modelled: the virtual instrument needs no adjustment", "calibratehi", "calibratelo")
        return part

    def _source_part(self) -> Namespace:
        part, channel = Namespace(f"{self.name}.source"), self.channel
        part.attribute("func", lambda: float(_FUNCTIONS.index(channel.settings.function)), self._set_function)
        part.attribute(
            "output",
            lambda: 2.0 if self._opened else float(channel.settings.output),
            self._set_output,
        )
        part.attribute("compliance", lambda: channel.tripped)
        part.attribute(
            "offmode",
            lambda: float(self._off_mode),
            self._set_off_mode,
        )
        part.attribute(
            "offfunc", lambda: float(_FUNCTIONS.index(channel.settings.off_function)), self._set_off_function
        )
        for quantity, letter in LETTER.items():
            self._add_quantity(part, quantity, letter)
        part.attribute("delay", lambda: self._delay, self._set_delay)
        part.attribute("highc", lambda: float(self._high_c), self._set_high_c)
        part.store(self._stored, _STORED_BOUNDS)
        part.refuse("is not modelled: nothing is connected to the output enable line", "outputenableaction")
        part.refuse("is not modelled: the virtual instrument needs no adjustment", "calibratei", "calibratev")
        return part

    def _add_quantity(self, part: Namespace, quantity: Quantity, letter: str) -> None:
        channel = self.channel
        part.attribute(
            f"level{letter}", lambda: channel.settings.levels[quantity], partial(self._set_level, quantity)
        )
        part.attribute(
            f"limit{letter}", lambda: channel.settings.limits[quantity], partial(self._set_limit, quantity)
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
            f"lowrange{letter}",
            lambda: (
                channel.capability.sources[quantity]
                .covering(channel.settings.least_source_ranges[quantity])
                .full_scale
            ),
            partial(self._set_low_range, quantity),
        )
        part.attribute(
            f"offlimit{letter}",
            lambda: channel.settings.off_limits[quantity],
            lambda value: self._set_off_limit(quantity, as_number(value)),
        )

    def _set_output(self, value: Value) -> None:
        """Switch the output on, off, or off with its relay open, whatever the programmed off mode is."""
        state = enumerated(value, 3)
        self._opened = state == _CONSTANTS["OUTPUT_HIGH_Z"]
        self._apply_off_mode()
        self.channel.set_output(state == 1)

    def _set_off_mode(self, value: Value) -> None:
        self._off_mode = enumerated(value, 3)
        self._apply_off_mode()

    def _apply_off_mode(self) -> None:
        self.channel.set_off_state("HIMP" if self._opened else _OFF_STATES[self._off_mode])

    def _set_function(self, value: Value) -> None:
        sourced, settings = _FUNCTIONS[enumerated(value, 2)], self.channel.settings
        self._check_area(sourced, settings.levels[sourced], settings.limits[OTHER[sourced]])
        self.channel.set_function(sourced)

    def _set_off_function(self, value: Value) -> None:
        self.channel.settings.off_function = _FUNCTIONS[enumerated(value, 2)]
        self.channel.apply()

    def _set_delay(self, value: Value) -> None:
        self._delay = within(value, -1, 1e4)
        self._measure.source_delay_s = max(self._delay, 0.0)

    def _set_high_c(self, value: Value) -> None:
        """Select the mode for large capacitances: no current range below 1 uA, and the range follows the limit.

        Source: Series 2600B Reference Manual, "High-capacitance mode".
        """
        on = bool(enumerated(value, 2))
        settings = self.channel.settings
        if on and settings.limits["current"] < _LEAST_HIGH_C_A:
            raise VirtualInstrumentError(-221)
        if on:
            for least in (settings.least_source_ranges, settings.least_measure_ranges):
                least["current"] = max(least["current"], _LEAST_HIGH_C_A)
            self._measure.follow_limit("current")
            self.channel.apply()
        self._high_c = on

    def _set_level(self, quantity: Quantity, value: Value) -> None:
        level = as_number(value)
        if self.channel.settings.function == quantity:
            self._check_area(quantity, level, self.channel.settings.limits[OTHER[quantity]])
        self.channel.set_level(quantity, level)

    def _set_limit(self, quantity: Quantity, value: Value) -> None:
        limit = as_number(value)
        sourced = OTHER[quantity]
        if self.channel.settings.function == sourced:
            self._check_area(sourced, self.channel.settings.levels[sourced], limit)
        self.channel.set_limit(quantity, limit)
        self._measure.follow_limits()

    def _check_area(self, sourced: Quantity, level: float, limit: float) -> None:
        """Reject a level and a limit that the instrument cannot supply together (5007).

        Source: Series 2600B Reference Manual, "Operating boundaries".
        """
        volts, amperes = (level, limit) if sourced == "voltage" else (limit, level)
        slack = 1.01 * (1 + 1e-12)
        most = [amps for full_scale, amps in self._area if abs(volts) <= full_scale * slack]
        if most and abs(amperes) > max(most) * slack and abs(amperes) <= max(a for _, a in self._area) * slack:
            raise VirtualInstrumentError(5007, "Operation would exceed safe operating area of the instrument")

    def _set_low_range(self, quantity: Quantity, value: Value) -> None:
        chosen = self.channel.capability.sources[quantity].select(as_number(value))
        self.channel.settings.least_source_ranges[quantity] = chosen.full_scale
        self.channel.apply()

    def _set_off_limit(self, quantity: Quantity, value: float) -> None:
        capability = self.channel.capability
        if not capability.least_limits[quantity] <= value <= capability.measures[quantity].most:
            raise VirtualInstrumentError(-222)
        self.channel.settings.off_limits[quantity] = value
        self.channel.apply()


def _statistics(buffer: Value) -> Namespace:
    if not isinstance(buffer, TspBuffer):
        raise runtime_error("a reading buffer was expected")
    return buffer.statistics()
