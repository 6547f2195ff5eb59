"""Digital port of a Keithley 2600, to which nothing is connected: lines that are not driven low read high."""

from __future__ import annotations

from typing import Final

from hwlearn_sim.instruments.tsp.script.objects import Key, Namespace, Value, function, whole
from hwlearn_sim.instruments.tsp.trigger.blocks import detector_part
from hwlearn_sim.instruments.tsp.trigger.events import Detector, EventInput, Events

LINES: Final = 14
_ALL: Final = (1 << LINES) - 1
_BYPASS: Final = 0
_MODES: Final[dict[Key, Value]] = {
    "TRIG_BYPASS": 0.0, "TRIG_FALLING": 1.0, "TRIG_RISING": 2.0, "TRIG_EITHER": 3.0, "TRIG_SYNCHRONOUSA": 4.0,
    "TRIG_SYNCHRONOUS": 5.0, "TRIG_SYNCHRONOUSM": 6.0, "TRIG_RISINGA": 7.0, "TRIG_RISINGM": 8.0,
}  # fmt: skip


class DigitalPort:
    """The object ``digio``.

    Parameters
    ----------
    events : Events
        The events of the instrument.

    Attributes
    ----------
    root : Namespace
        The object in the script language.
    """

    def __init__(self, events: Events) -> None:
        self._written, self._protected = _ALL, 0
        self._triggers = [_LineTrigger(events, k) for k in range(1, LINES + 1)]
        self.root = Namespace("digio", _MODES)
        self.root.add(
            readbit=function(lambda line: float(self._written >> (whole(line, 1, LINES) - 1) & 1), 1),
            readport=function(lambda: float(self._written)),
            writebit=function(self._write_bit, 2),
            writeport=function(lambda value: self._write(whole(value, 0, _ALL), _ALL), 1),
            trigger=Namespace("digio.trigger", {k: one.root for k, one in enumerate(self._triggers, 1)}),
        )
        self.root.attribute("writeprotect", lambda: float(self._protected), self._protect)

    def overrun(self) -> int:
        """Return the bits of the lines whose trigger has overrun."""
        return sum(1 << k for k, trigger in enumerate(self._triggers, 1) if trigger.overrun)

    def restore_defaults(self) -> None:
        """Restore the defaults."""
        self._protected = 0
        for trigger in self._triggers:
            trigger.reset()

    def _protect(self, value: Value) -> None:
        self._protected = whole(value, 0, _ALL)

    def _write_bit(self, line: Value, value: Value) -> None:
        place = whole(line, 1, LINES) - 1
        self._write(whole(value, 0, 1) << place, 1 << place)

    def _write(self, bits: int, mask: int) -> None:
        mask &= ~self._protected
        self._written = self._written & ~mask | bits & mask


class _LineTrigger:
    """Trigger of one line: an output pulse is an edge that the line itself detects."""

    def __init__(self, events: Events, number: int) -> None:
        self._events, self._event = events, events.new()
        self._detector = Detector(events)
        self._detector.input.connect(self._event)
        self._input = EventInput(events, self._assert)
        self._mode: dict[str, float] = {"mode": 0.0}
        self._width: dict[str, float] = {"pulsewidth": 10e-6}
        self.root = detector_part(events, f"digio.trigger[{number}]", self._event, self._detector)
        self.root.add(
            reset=function(self.reset), release=function(lambda: None), **{"assert": function(self._assert)}
        )
        self.root.keep(self._mode, {"mode": (0, 8)})
        self.root.store(self._width, {"pulsewidth": (0, 1e5)})
        self._input.attribute(self.root)

    @property
    def overrun(self) -> bool:
        return self._detector.overrun

    def reset(self) -> None:
        self._mode.update(mode=0.0)
        self._width.update(pulsewidth=10e-6)
        self._input.connect(0)
        self._detector.clear()

    def _assert(self) -> None:
        if self._mode["mode"] != _BYPASS:
            self._events.post(self._event)
