"""Sweeps of a Keithley 2450: linear, logarithmic and of lists (2450 Reference Manual p. 6-81 to 6-88)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from hwlearn_sim.instruments.capability import OTHER
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.ranges import Quantity
from hwlearn_sim.instruments.scpi.keithley2450.buffers import Buffers
from hwlearn_sim.instruments.scpi.keithley2450.sense import Measured, Sense2450
from hwlearn_sim.instruments.scpi.keithley2450.trigger_model import TriggerModel2450
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, Number, Whole, checked_count
from hwlearn_sim.instruments.scpi.settings import Suffixes
from hwlearn_sim.instruments.scpi.smu import MNEMONIC, UNIT, ScpiSmu
from hwlearn_sim.instruments.scpi.source_levels import Ranging, ramp, stepped
from hwlearn_sim.instruments.scpi.trigger_run import Steps

_MOST_POINTS: Final = 1_000_000
_ENDLESS_READINGS: Final = 2000
"""An endless sweep stops after these readings and waits until it is aborted."""

_RANGING: Final[dict[str, Ranging]] = {"AUTO": "AUTO", "BEST": "BEST", "FIX": "FIX"}


@dataclass(frozen=True, slots=True)
class _Plan:
    """A sweep: levels, delay at each in seconds (-1: none beside the source delay), repetitions (0: endless)."""

    quantity: Quantity
    levels: list[float]
    delay_s: float
    count: int
    ranging: Ranging
    aborts: bool
    buffer: str


class Sweeps2450:
    """The SOURce:SWEep and SOURce:LIST commands.

    Parameters
    ----------
    smu : ScpiSmu
        The instrument.
    sense : Sense
        Its measure functions.
    buffers : Buffers
        Its reading buffers.
    model : TriggerModel
        The trigger model that a sweep replaces.
    measure : callable
        Takes a reading and stores it in a buffer.
    """

    def __init__(
        self,
        smu: ScpiSmu,
        sense: Sense2450,
        buffers: Buffers,
        model: TriggerModel2450,
        measure: Callable[[str], Measured],
    ) -> None:
        self._smu, self._sense, self._buffers, self._model = smu, sense, buffers, model
        self._channel: VirtualChannel = smu.channels[0]
        self._measure = measure
        self._lists = {}
        for quantity, name in MNEMONIC.items():
            most = self._channel.capability.sources[quantity].most
            level = smu.number(-most, most, 0.0, UNIT[quantity])
            empty: tuple[float, ...] = ()
            self._lists[quantity] = smu.kept(f"SOURce#:list of {quantity}", empty, 1)
            smu.add_source_list(f"SOURce#:LIST:{name}", level, self._lists[quantity], 100, 100_000)
            base = f"SOURce#:SWEep:{name}"
            smu.command(f"{base}:LINear", partial(self._plan_points, quantity, level, False))
            smu.command(f"{base}:LOGarithmic", partial(self._plan_points, quantity, level, True))
            smu.command(f"{base}:LINear:STEP", partial(self._plan_step, quantity, level))
            smu.command(f"{base}:LIST", partial(self._plan_list, quantity))

    # --- commands -----------------------------------------------------------------------------------

    def _plan_points(
        self, quantity: Quantity, level: Number, logarithmic: bool, _: Suffixes, arguments: list[str]
    ) -> None:
        """Plan ``start, stop, points[, delay[, count[, range[, fail abort[, dual[, buffer]]]]]]``."""
        start, stop, points, *more = checked_count(arguments, 3, 9)
        number = Whole(2, _MOST_POINTS).read(points)
        levels = ramp(level.read(start), level.read(stop), number, logarithmic=logarithmic)
        self._plan_staircase(quantity, levels, list(more))

    def _plan_step(self, quantity: Quantity, level: Number, _: Suffixes, arguments: list[str]) -> None:
        """Plan ``start, stop, step[, ...]``; the step is positive, whatever the direction."""
        start, stop, step, *more = checked_count(arguments, 3, 9)
        first, last = level.read(start), level.read(stop)
        size = self._smu.number(0, 2 * level.high, 0.0, UNIT[quantity]).read(step)
        if not size > 0 or abs(last - first) / size > _MOST_POINTS:
            raise VirtualInstrumentError(-222)
        number = 1 + math.floor(abs(last - first) / size + 1e-9)
        self._plan_staircase(
            quantity, [first + k * math.copysign(size, last - first) for k in range(number)], list(more)
        )

    def _plan_staircase(self, quantity: Quantity, levels: list[float], given: list[str]) -> None:
        given += ["-1", "1", "BEST", "ON", "OFF", '"defbuffer1"'][len(given) :]
        ranging = _RANGING[Choice(("AUTO", "BEST", "FIXed")).read(given[2])]
        dual = Flag().read(given[4])
        self._load(
            _Plan(
                quantity,
                levels + levels[::-1] if dual else levels,
                self._delay(given[0]),
                Whole(0, 268_435_455).read(given[1]),
                ranging,
                Flag().read(given[3]),
                self._buffers.checked_name(given[5]),
            )
        )

    def _plan_list(self, quantity: Quantity, _: Suffixes, arguments: list[str]) -> None:
        """Plan ``[first[, delay[, count[, fail abort[, buffer]]]]]`` of the source list."""
        given = list(checked_count(arguments, 0, 5))
        given += ["1", "-1", "1", "ON", '"defbuffer1"'][len(given) :]
        values = self._lists[quantity]()
        if not values:
            raise VirtualInstrumentError(-221)
        first = Whole(1, len(values)).read(given[0])
        self._load(
            _Plan(
                quantity,
                list(values[first - 1 :]),
                self._delay(given[1]),
                Whole(0, 268_435_455).read(given[2]),
                "BEST",
                Flag().read(given[3]),
                self._buffers.checked_name(given[4]),
            )
        )

    def _delay(self, text: str) -> float:
        delay = self._smu.number(-1, 1e4, -1.0, "S").read(text)
        if -1 < delay < 0 or 0 < delay < 50e-6:
            raise VirtualInstrumentError(-222)
        return delay

    # --- run ----------------------------------------------------------------------------------------

    def _load(self, plan: _Plan) -> None:
        if plan.count * len(plan.levels) > _MOST_POINTS:
            raise VirtualInstrumentError(-221)  # more points than a buffer can store
        text = f"SOURCE_SWEEP POINTS: {len(plan.levels)} COUNT: {plan.count} BUFFER: {plan.buffer}"
        self._model.load_plan(text, partial(self._run, plan))

    def _run(self, plan: _Plan) -> Steps:
        channel = self._channel
        self._sense.ohms.leave()
        channel.set_function(plan.quantity)
        if self._sense.sensed != "RES":
            self._sense.choose("CURR" if OTHER[plan.quantity] == "current" else "VOLT")
        self._buffers.clear(plan.buffer)
        readings = plan.count * len(plan.levels) or _ENDLESS_READINGS
        with stepped(channel, plan.levels, plan.ranging) as steps:
            next(steps)
            channel.set_output(True)
            try:
                for k in range(readings):
                    if k:
                        next(steps)
                    self._smu.clock.advance(max(plan.delay_s, 0.0))
                    if self._measure(plan.buffer).reading.limited and plan.aborts:
                        return
                if not plan.count:
                    yield frozenset({"nothing"})
            finally:
                channel.set_output(False)
