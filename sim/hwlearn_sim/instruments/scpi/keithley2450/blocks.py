"""Building blocks of the trigger model of a Keithley 2450 (2450 Reference Manual p. 6-129 to 6-150)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from hwlearn_sim.instruments.scpi.keithley2450.sense import Measured


class Actions(Protocol):
    """What blocks do to the instrument."""

    def measure(self, buffer: str) -> Measured:
        """Take a reading and store it."""

    def clear(self, buffer: str) -> None:
        """Empty a buffer."""

    def switch(self, on: bool) -> None:
        """Switch the output."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""

    def user_delay_s(self, name: str) -> float:
        """Return a user delay such as ``SOUR1`` in seconds."""

    def recall_list(self, name: str, index: int) -> int:
        """Recall an index of a source or measure configuration list; return the number of its indices."""


@dataclass
class RunState:
    """State of a run of the trigger model.

    Attributes
    ----------
    visits : Counter
        How often each counting block was passed.
    readings : dict of int to list of float
        The last two values of each measure block.
    last_measure : int
        The measure block that was executed last.
    events : set of str
        Events that happened and were not used.
    indices : dict of str to int
        Present index of each configuration list.
    began_s : float
        Time at which a duration began.
    """

    actions: Actions
    events: set[str]
    clock: Callable[[], float]
    visits: Counter[int] = field(default_factory=Counter)
    readings: dict[int, list[float]] = field(default_factory=dict)
    last_measure: int = 0
    indices: dict[str, int] = field(default_factory=dict)
    began_s: float = 0.0

    def values(self, block: int) -> list[float]:
        """Return the last two values of a measure block; 0: of the one that was executed last."""
        return self.readings.get(block or self.last_measure, [])


class TriggerBlock(Protocol):
    """One block. `act` returns the number of the next block, or None for the following one."""

    def act(self, number: int, state: RunState) -> int | None:
        """Execute the block."""

    @property
    def text(self) -> str:
        """Return the block as ``:TRIGger:BLOCk:LIST?`` shows it."""


@dataclass(frozen=True, slots=True)
class Do:
    """A block that acts on the instrument and goes on."""

    text: str
    action: Callable[[RunState], object]

    def act(self, number: int, state: RunState) -> int | None:
        """Execute the block."""
        self.action(state)
        return None


@dataclass(frozen=True, slots=True)
class Measure:
    """Take ``count`` readings."""

    buffer: str
    count: int = 1

    def act(self, number: int, state: RunState) -> int | None:
        """Execute the block."""
        for _ in range(self.count):
            value = state.actions.measure(self.buffer).value
            state.readings[number] = [*state.readings.get(number, [])[-1:], value]
        state.last_measure = number
        return None

    @property
    def text(self) -> str:
        """Return the block as ``:TRIGger:BLOCk:LIST?`` shows it."""
        return f"MEASURE BUFFER: {self.buffer} COUNT: {self.count}"


@dataclass(frozen=True, slots=True)
class Branch:
    """Go to another block if a condition holds."""

    text: str
    target: int
    condition: Callable[[int, RunState], bool]

    def act(self, number: int, state: RunState) -> int | None:
        """Execute the block."""
        return self.target if self.condition(number, state) else None


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for one of several events, or for all of them."""

    events: frozenset[str]
    every: bool = False

    def act(self, number: int, state: RunState) -> int | None:
        """Go on: the run waits before."""
        return None

    @property
    def text(self) -> str:
        """Return the block as ``:TRIGger:BLOCk:LIST?`` shows it."""
        return f"WAIT {'AND' if self.every else 'OR'}: {', '.join(sorted(self.events))}"


def counter(target: int, count: int) -> Branch:
    """Return a block that goes back until it was passed ``count`` times."""

    def again(number: int, state: RunState) -> bool:
        state.visits[number] += 1
        if state.visits[number] < count:
            return True
        state.visits[number] = 0
        return False

    return Branch(f"BRANCH_COUNTER VALUE: {count} BRANCH_BLOCK: {target}", target, again)


def once(target: int, *, excluded: bool) -> Branch:
    """Return a block that branches only the first time, or every time but the first."""

    def decide(number: int, state: RunState) -> bool:
        state.visits[number] += 1
        return (state.visits[number] > 1) == excluded

    return Branch(f"BRANCH_ONCE{'_EXCLUDED' * excluded} BRANCH_BLOCK: {target}", target, decide)


def delta(target: int, difference: float, measured: int) -> Branch:
    """Return a block that branches while two readings differ by less than ``difference``."""

    def decide(_: int, state: RunState) -> bool:
        values = state.values(measured)
        return len(values) == 2 and values[0] - values[1] < difference

    return Branch(f"BRANCH_DELTA VALUE: {difference:g} BRANCH_BLOCK: {target}", target, decide)


def limits(target: int, kind: str, low: float, high: float, measured: int) -> Branch:
    """Return a block that branches if the reading is ABOVe, BELow, INside or OUTside limits."""
    tests: Mapping[str, Callable[[float], bool]] = {
        "ABOV": lambda value: value > high,
        "BEL": lambda value: value < low,
        "IN": lambda value: low <= value <= high,
        "OUT": lambda value: not low <= value <= high,
    }

    def decide(_: int, state: RunState) -> bool:
        values = state.values(measured)
        return bool(values) and not math.isnan(values[-1]) and tests[kind](values[-1])

    return Branch(f"BRANCH_LIMIT_CONSTANT {kind} {low:g} {high:g} BRANCH_BLOCK: {target}", target, decide)


def on_event(target: int, event: str) -> Branch:
    """Return a block that branches if an event happened since it was used last."""

    def decide(_: int, state: RunState) -> bool:
        happened = event in state.events
        state.events.discard(event)
        return happened

    return Branch(f"BRANCH_ON_EVENT EVENT: {event} BRANCH_BLOCK: {target}", target, decide)


def always(target: int) -> Branch:
    """Return a block that always branches."""
    return Branch(f"BRANCH_ALWAYS BRANCH_BLOCK: {target}", target, lambda _, __: True)


def for_duration(target: int, seconds: float) -> Branch:
    """Return a block that branches until a duration has passed since the run began."""
    return Branch(
        f"BRANCH_DURATION {seconds:g} s BRANCH_BLOCK: {target}",
        target,
        lambda _, state: state.clock() - state.began_s < seconds,
    )
