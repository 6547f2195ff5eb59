"""Events of a Keithley 2600: the inputs that wait for them, and what happens in the instrument's time."""

from __future__ import annotations

import heapq
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Final

from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.tsp.script.objects import Namespace, Value, as_number

MOST_ACTIONS: Final = 1_000_000
"""Actions that may happen before a sweep that waits is found to wait for ever."""

_SHORT_S: Final = 0.05
_MOST_FOLLOWING: Final = 1000
_MOST_WHILE_WAITING: Final = 20_000
_IDLE_ACTIONS: Final = 10_000  # of timers that no sweep reacts to


class EventInput:
    """An input that detects one kind of event.

    Parameters
    ----------
    events : Events
        The events of the instrument.
    received : callable
        Called at each event.

    Attributes
    ----------
    stimulus : int
        Number of the event; 0 for none.
    """

    def __init__(self, events: Events, received: Callable[[], None]) -> None:
        self._events, self._received = events, received
        self.stimulus = 0

    def connect(self, value: Value) -> None:
        """Select the event; reject a number that no event has (-222)."""
        number = as_number(value)
        if number not in range(self._events.known + 1):
            raise VirtualInstrumentError(-222)
        self._events.move(self._received, self.stimulus, int(number))
        self.stimulus = int(number)

    def attribute(self, part: Namespace, name: str | int = "stimulus") -> None:
        """Add the attribute that selects the event."""
        part.attribute(name, lambda: float(self.stimulus), self.connect)


class Detector:
    """Remembers an event until it is waited for; a second one in between is an overrun.

    Attributes
    ----------
    input : EventInput
        The event that it detects.
    detected, overrun : bool
        Its state.
    """

    def __init__(self, events: Events) -> None:
        self.input = EventInput(events, self.set)
        self.detected = self.overrun = False

    def set(self) -> None:
        """Enter the detected state."""
        self.overrun = self.overrun or self.detected
        self.detected = True

    def clear(self) -> None:
        """Forget a detected event and the overrun."""
        self.detected = self.overrun = False

    def take(self) -> bool:
        """Return whether an event was detected, and forget it."""
        detected, self.detected = self.detected, False
        return detected


Step = float | Detector
"""What an activity waits for: a time in seconds, or an event."""


class Events:
    """The events of an instrument, and its activities: sweeps, timers and measurements in the background.

    An activity is a generator that yields what it waits for. Activities advance together in the time of the
    instrument, when the instrument waits for something.

    Parameters
    ----------
    clock : Clock
        The instrument's clock.

    Attributes
    ----------
    known : int
        Number of kinds of events.
    extend : callable
        Takes seconds of processor time by which the running script may last longer.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.known = 0
        self.extend: Callable[[float], None] = lambda seconds: None
        self._longest_s = _SHORT_S
        self._listeners: defaultdict[int, list[Callable[[], None]]] = defaultdict(list)
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._waiting: dict[int, tuple[Iterator[Step], Detector]] = {}
        self._running: set[int] = set()
        self._posted: list[int] = []

    def begin_message(self) -> None:
        """Begin a message: no long operation of it has been seen."""
        self._longest_s = _SHORT_S

    @contextmanager
    def operation(self) -> Iterator[None]:
        """Run a series of readings: the longest one of a message does not count as time of its script."""
        start = time.thread_time()
        try:
            yield
        finally:
            took = time.thread_time() - start
            if took > self._longest_s:
                self.extend(took - self._longest_s)
                self._longest_s = took

    # --- events -------------------------------------------------------------------------------------

    def new(self) -> int:
        """Return the number of a new kind of event."""
        self.known += 1
        return self.known

    def move(self, received: Callable[[], None], old: int, new: int) -> None:
        """Register who is called at an event."""
        if old:
            self._listeners[old].remove(received)
        if new:
            self._listeners[new].append(received)

    def post(self, number: int) -> None:
        """Let an event happen now, and the events that follow from it."""
        self._posted.append(number)
        if len(self._posted) > 1:
            return  # an event of an event: the call below takes it
        for posted in self._posted:
            for received in tuple(self._listeners[posted]):
                received()
            if len(self._posted) > _MOST_FOLLOWING:
                break  # events that cause each other
        self._posted.clear()
        self._wake()

    # --- activities ---------------------------------------------------------------------------------

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self._due, (self.clock.seconds + max(seconds, 0.0), next(self._order), act))

    def start(self, activity: Iterator[Step]) -> int:
        """Start an activity; return its number."""
        number = next(self._order)
        self._running.add(number)
        self.after(0.0, partial(self._advance, number, activity))
        return number

    def cancel(self, number: int) -> None:
        """End an activity at its present step."""
        self._running.discard(number)
        self._waiting.pop(number, None)

    def clear(self) -> None:
        """End all activities and forget what is due."""
        self._due.clear()
        self._waiting.clear()
        self._running.clear()

    @property
    def active(self) -> bool:
        """Whether an activity has not ended."""
        return bool(self._running)

    def run(self, most: int = MOST_ACTIONS) -> bool:
        """Let time pass until every activity has ended, or waits for what does not come; return which of both."""
        idle = 0
        while self._running and self._due and most > 0 and idle < _IDLE_ACTIONS:
            before = len(self._waiting)
            self._next()
            most -= 1
            idle = idle + 1 if self._running and len(self._waiting) == before == len(self._running) else 0
        return not self._running

    def pass_time(self, seconds: float) -> None:
        """Let this much time pass."""
        end = self.clock.seconds + seconds
        self._pass(end, lambda: False)
        self.clock.advance(max(end - self.clock.seconds, 0.0))

    def wait(self, detector: Detector, seconds: float) -> bool:
        """Let time pass until an event is detected, but not longer than ``seconds``; return whether it was."""
        end = self.clock.seconds + seconds
        self._pass(end, lambda: detector.detected)
        if not detector.detected:
            self.clock.advance(max(end - self.clock.seconds, 0.0))
        return detector.take()

    def _pass(self, end: float, done: Callable[[], bool]) -> None:
        for _ in range(_MOST_WHILE_WAITING):
            if done() or not self._due or self._due[0][0] > end:
                return
            self._next()

    def _next(self) -> None:
        when, _, act = heapq.heappop(self._due)
        self.clock.advance(max(when - self.clock.seconds, 0.0))
        act()
        self._wake()

    def _advance(self, number: int, activity: Iterator[Step]) -> None:
        if number not in self._running:
            return
        try:
            step = next(activity)
        except StopIteration:
            self._running.discard(number)
            return
        except VirtualInstrumentError:
            self._running.discard(number)
            raise
        if isinstance(step, Detector):
            self._waiting[number] = (activity, step)
        else:
            self.after(step, partial(self._advance, number, activity))

    def _wake(self) -> None:
        for number, (activity, detector) in tuple(self._waiting.items()):
            if number in self._waiting and detector.take():
                del self._waiting[number]
                self.after(0.0, partial(self._advance, number, activity))
