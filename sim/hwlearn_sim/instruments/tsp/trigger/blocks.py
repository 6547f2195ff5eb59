"""The object ``trigger`` of a Keithley 2600: timers, event blenders, generators and the command interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hwlearn_sim.instruments.tsp.script.objects import Namespace, Value, as_number, function, within
from hwlearn_sim.instruments.tsp.trigger.events import Detector, EventInput, Events

TIMERS, BLENDERS, GENERATORS, BLENDED = 8, 6, 2, 4
LONGEST_S: Final = 1e5
"""Maximum time of a delay in seconds."""


class TriggerBlocks:
    """The object ``trigger``.

    Parameters
    ----------
    events : Events
        The events of the instrument.

    Attributes
    ----------
    root : Namespace
        The object in the script language.
    command : int
        Number of the event of ``*TRG``.
    """

    def __init__(self, events: Events) -> None:
        self.command = events.new()
        self._detector = Detector(events)
        self._detector.input.connect(self.command)
        self.timers = [_Timer(events, k) for k in range(1, TIMERS + 1)]
        self.blenders = [_Blender(events, k) for k in range(1, BLENDERS + 1)]
        self.root = Namespace("trigger", {"EVENT_ID": self.command})
        self.root.add(
            wait=waiting(events, self._detector),
            clear=function(self._detector.clear),
            timer=Namespace("trigger.timer", {k: timer.root for k, timer in enumerate(self.timers, 1)}),
            blender=Namespace("trigger.blender", {k: one.root for k, one in enumerate(self.blenders, 1)}),
            generator=Namespace("trigger.generator", {k: _generator(events, k) for k in range(1, GENERATORS + 1)}),
        )

    def overruns(self) -> dict[str, Callable[[], int]]:
        """Return functions that return the bits of timers and of blenders that have overrun."""
        return {
            "trigger_timer": lambda: sum(1 << k for k, timer in enumerate(self.timers, 1) if timer.overrun),
            "trigger_blender": lambda: sum(1 << k for k, one in enumerate(self.blenders, 1) if one.overrun),
        }

    def restore_defaults(self) -> None:
        """Restore the defaults."""
        self._detector.clear()
        for timer in self.timers:
            timer.reset()
        for blender in self.blenders:
            blender.reset()


def waiting(events: Events, detector: Detector) -> Callable[..., Value]:
    """Return the function that waits for an event for some seconds and returns whether it came."""
    return function(lambda seconds: events.wait(detector, within(seconds, 0, LONGEST_S)), 1)


def detector_part(events: Events, name: str, event: int, detector: Detector) -> Namespace:
    """Return an object with an event, the function that waits for it, and the function that forgets it."""
    part = Namespace(
        name, {"EVENT_ID": event, "wait": waiting(events, detector), "clear": function(detector.clear)}
    )
    part.attribute("overrun", lambda: detector.overrun)
    return part


def _generator(events: Events, number: int) -> Namespace:
    event = events.new()
    return Namespace(
        f"trigger.generator[{number}]", {"EVENT_ID": event, "assert": function(lambda: events.post(event))}
    )


class _Timer:
    """Timer: at its stimulus it generates ``count`` events, each after a delay."""

    def __init__(self, events: Events, number: int) -> None:
        self._events, self._event = events, events.new()
        self._detector = Detector(events)
        self._detector.input.connect(self._event)
        self._input = EventInput(events, self._begin)
        self._series = 0
        self._left = 0
        self.root = detector_part(events, f"trigger.timer[{number}]", self._event, self._detector)
        self.root.attribute("overrun", lambda: self.overrun)
        self.root.add(reset=function(self.reset), clear=function(self._clear))
        self._values: dict[str, float] = {}
        self.reset()
        self.root.keep(self._values, {"count": (0, 1_048_575), "passthrough": (0, 1)})
        self.root.attribute("delay", lambda: self._delays[0], self._set_delay)
        self.root.attribute("delaylist", self._delay_list, self._set_delays)
        self._input.attribute(self.root)

    def reset(self) -> None:
        self._values.update(count=1.0, passthrough=0.0)
        self._delays = [10e-6]
        self._input.connect(0)
        self._series += 1
        self._left = 0
        self._clear()

    @property
    def overrun(self) -> bool:
        return self._overrun

    def _clear(self) -> None:
        self._detector.clear()
        self._overrun = False

    def _set_delay(self, value: Value) -> None:
        self._delays = [within(value, 0, LONGEST_S)]

    def _delay_list(self) -> Namespace:
        return Namespace("delaylist", dict(enumerate(self._delays, 1)))

    def _set_delays(self, value: Value) -> None:
        given = value if isinstance(value, list) else [value]
        self._delays = [within(one, 0, LONGEST_S) for one in given] or [10e-6]

    def _begin(self) -> None:
        if self._left:  # a timer that runs ignores its stimulus
            self._overrun = True
            return
        self._series += 1
        self._left = round(self._values["count"]) or -1
        if self._values["passthrough"]:
            self._events.post(self._event)
        self._schedule(self._series, 0)

    def _schedule(self, series: int, done: int) -> None:
        def expire() -> None:
            if series != self._series:
                return
            self._left -= self._left > 0
            if self._left:
                self._schedule(series, done + 1)
            self._events.post(self._event)

        self._events.after(self._delays[done % len(self._delays)], expire)


class _Blender:
    """Event blender: generates an event after any, or after all, of up to four events."""

    def __init__(self, events: Events, number: int) -> None:
        self._events, self._event = events, events.new()
        self._detector = Detector(events)
        self._detector.input.connect(self._event)
        self._any = False
        self._seen: set[int] = set()
        self._overrun = False
        name = f"trigger.blender[{number}]"
        self.root = detector_part(events, name, self._event, self._detector)
        self.root.add(reset=function(self.reset), clear=function(self._clear))
        self.root.attribute("overrun", lambda: self.overrun)
        self.root.attribute("orenable", lambda: self._any, self._set_any)
        stimulus = Namespace(f"{name}.stimulus")
        self._inputs = {k: EventInput(events, self._receiver(k)) for k in range(1, BLENDED + 1)}
        for k, one in self._inputs.items():
            one.attribute(stimulus, k)
        self.root.add(stimulus=stimulus)

    def reset(self) -> None:
        self._any = False
        for one in self._inputs.values():
            one.connect(0)
        self._clear()

    @property
    def overrun(self) -> bool:
        return self._overrun or self._detector.overrun

    def _clear(self) -> None:
        self._detector.clear()
        self._seen.clear()
        self._overrun = False

    def _set_any(self, value: Value) -> None:
        self._any = value if isinstance(value, bool) else bool(as_number(value))

    def _receiver(self, k: int) -> Callable[[], None]:
        def received() -> None:
            if not self._any:
                self._overrun = self._overrun or k in self._seen
                self._seen.add(k)
                if any(one.stimulus and j not in self._seen for j, one in self._inputs.items()):
                    return
                self._seen.clear()
            self._events.post(self._event)

        return received
