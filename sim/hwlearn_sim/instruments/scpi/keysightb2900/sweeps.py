"""Source of a Keysight B2900: staircases, lists and pulses (SCPI Command Reference, p. 4-88 to 4-112)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from hwlearn_sim.instruments.capability import QUANTITIES
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.ranges import Quantity
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, Whole
from hwlearn_sim.instruments.scpi.settings import Setting, Suffixes
from hwlearn_sim.instruments.scpi.smu import MNEMONIC, UNIT, ScpiSmu
from hwlearn_sim.instruments.scpi.source_levels import Ranging, ramp, stepped

LONGEST_LIST: Final = 2500
_RANGING: Final[dict[str, Ranging]] = {"BEST": "BEST", "AUTO": "AUTO", "FIX": "FIX, refused"}


@dataclass(frozen=True, slots=True)
class _Staircase:
    """Settings of the staircase of one quantity."""

    start: Setting[float]
    stop: Setting[float]
    points: Setting[int]
    step: Setting[float]

    def put_span(self, start: float, stop: float, suffixes: Suffixes) -> None:
        """Set the ends: the number of points stays, the step changes (p. 4-98)."""
        self.start.put(start, suffixes)
        self.stop.put(stop, suffixes)
        self.step.put(math.nan, suffixes)

    def step_of(self, suffixes: Suffixes) -> float:
        """Return the step: as it was set, or span / (points - 1)."""
        step, points = self.step(suffixes), self.points(suffixes)
        if not math.isnan(step):
            return step
        return (self.stop(suffixes) - self.start(suffixes)) / (points - 1) if points > 1 else 0.0

    def put_points(self, points: int, suffixes: Suffixes) -> None:
        """Set the number of points: the span stays, the step changes."""
        self.points.put(points, suffixes)
        self.step.put(math.nan, suffixes)

    def put_step(self, suffixes: Suffixes, step: float) -> None:
        """Set the step: the span stays, the number of points changes (-221 for a wrong sign)."""
        span = self.stop(suffixes) - self.start(suffixes)
        if step * span < 0:
            raise VirtualInstrumentError(-221)
        points = 1 + math.floor(span / step + 1e-9) if step else 1
        if points > LONGEST_LIST:
            raise VirtualInstrumentError(-222)
        self.points.put(points, suffixes)
        self.step.put(step, suffixes)


@dataclass(frozen=True, slots=True)
class Pulse:
    """A pulse: seconds between the trigger and its begin, its width in seconds."""

    delay_s: float
    width_s: float


class SourceB2900:
    """The SOURce subsystem of all channels.

    Parameters
    ----------
    smu : ScpiSmu
        The instrument.
    """

    def __init__(self, smu: ScpiSmu) -> None:
        self._smu = smu
        zero: tuple[float, ...] = (0.0,)
        self._lists = {quantity: smu.kept(f"list of {quantity}", zero, 1) for quantity in QUANTITIES}
        self._triggered = {quantity: smu.kept(f"triggered {quantity}", math.nan, 1) for quantity in QUANTITIES}
        self._modes: dict[Quantity, Setting[str]] = {}
        self._firsts: dict[Quantity, Setting[int]] = {}
        self._staircases: dict[Quantity, _Staircase] = {}
        for quantity, name in MNEMONIC.items():
            self._add_quantity(quantity, f"[SOURce#:]{name}")
            self._add_staircase(quantity, f"[SOURce#:]{name}")
        self._add_common()
        self._add_pulses()

    # --- commands -----------------------------------------------------------------------------------

    def _level(self, quantity: Quantity) -> float:
        return self._smu.channels[0].capability.sources[quantity].most

    def _add_quantity(self, quantity: Quantity, base: str) -> None:
        smu, name = self._smu, MNEMONIC[quantity]
        most = self._level(quantity)
        level = smu.number(-most, most, 0.0, UNIT[quantity])
        mode = Choice(("FIXed", "LIST", "SWEep"))
        self._modes[quantity] = smu.stored_setting(f"{base}:MODE", mode, "FIX")
        smu.add_source_list(f"[SOURce#:]LIST:{name}", level, self._lists[quantity], LONGEST_LIST, LONGEST_LIST)
        first = Whole(1, LONGEST_LIST, 1)
        self._firsts[quantity] = smu.stored_setting(f"[SOURce#:]LIST:{name}:STARt", first, 1)
        triggered = self._triggered[quantity]

        def present(suffixes: Suffixes) -> float:
            value = triggered(suffixes)
            return smu.at(suffixes).settings.levels[quantity] if math.isnan(value) else value

        def put(suffixes: Suffixes, value: float) -> None:
            smu.check_suffixes(suffixes)
            triggered.put(value, suffixes)

        smu.setting(f"{base}[:LEVel]:TRIGgered[:AMPLitude]", level, present, put)

    def _add_staircase(self, quantity: Quantity, base: str) -> None:
        smu = self._smu
        most = self._level(quantity)
        level = smu.number(-most, most, 0.0, UNIT[quantity])
        double = smu.number(-2 * most, 2 * most, 0.0, UNIT[quantity])
        one = _Staircase(
            smu.kept(f"{base}:STARt", 0.0, 1),
            smu.kept(f"{base}:STOP", 0.0, 1),
            smu.kept(f"{base}:POINts", 1, 1),
            smu.kept(f"{base}:STEP", math.nan, 1),
        )
        self._staircases[quantity] = one

        def put(suffixes: Suffixes, start: float, stop: float) -> None:
            smu.check_suffixes(suffixes)
            if max(abs(start), abs(stop)) > most * (1 + 1e-12):
                raise VirtualInstrumentError(-222)
            one.put_span(start, stop, suffixes)

        def spread(suffixes: Suffixes, middle: float, span: float) -> None:
            put(suffixes, middle - span / 2, middle + span / 2)

        def middle(suffixes: Suffixes) -> float:
            return (one.start(suffixes) + one.stop(suffixes)) / 2

        def span(suffixes: Suffixes) -> float:
            return one.stop(suffixes) - one.start(suffixes)

        smu.setting(f"{base}:STARt", level, one.start, lambda s, value: put(s, value, one.stop(s)))
        smu.setting(f"{base}:STOP", level, one.stop, lambda s, value: put(s, one.start(s), value))
        smu.setting(f"{base}:CENTer", level, middle, lambda s, value: spread(s, value, span(s)))
        smu.setting(f"{base}:SPAN", double, span, lambda s, value: spread(s, middle(s), value))
        smu.setting(f"{base}:STEP", double, one.step_of, one.put_step)
        smu.setting(f"{base}:POINts", Whole(1, LONGEST_LIST), one.points, lambda s, n: one.put_points(n, s))

    def _add_common(self) -> None:
        smu, base = self._smu, "[SOURce#:]"
        self._spacing = smu.stored_setting(f"{base}SWEep:SPACing", Choice(("LINear", "LOGarithmic")), "LIN")
        self._ranging = smu.stored_setting(f"{base}SWEep:RANGing", Choice(("BEST", "AUTO", "FIXed")), "BEST")
        self._stair = smu.stored_setting(f"{base}SWEep:STAir", Choice(("SINGle", "DOUBle")), "SING")
        self._direction = smu.stored_setting(f"{base}SWEep:DIRection", Choice(("UP", "DOWN")), "UP")
        self._continuous = smu.stored_setting(f"{base}FUNCtion:TRIGgered:CONTinuous", Flag(), False)

        def points(suffixes: Suffixes) -> int:
            return self._staircases[smu.at(suffixes).settings.function].points(suffixes)

        def put_points(suffixes: Suffixes, number: int) -> None:
            smu.check_suffixes(suffixes)
            for staircase in self._staircases.values():
                staircase.put_points(number, suffixes)

        smu.setting(f"{base}SWEep:POINts", Whole(1, LONGEST_LIST), points, put_points)
        self._waits = smu.stored_setting("SOURce#:WAIT[:STATe]", Flag(), True)
        self._offset = smu.stored_setting("SOURce#:WAIT:OFFSet", smu.number(0, 1, 0.0, "S"), 0.0)
        # wait time = gain * initial wait time + offset; the initial wait time of a virtual instrument is zero
        smu.without_effect("SOURce#:WAIT:AUTO", Flag(), True)
        smu.without_effect("SOURce#:WAIT:GAIN", smu.number(0, 100, 1.0), 1.0)

    def _add_pulses(self) -> None:
        smu, base = self._smu, "[SOURce#:]"
        self._shape = smu.stored_setting(f"{base}FUNCtion[:SHAPe]", Choice(("DC", "PULSe")), "DC")
        self._pulse_delay = smu.stored_setting(f"{base}PULSe:DELay", smu.number(0, 99999.9, 0.0, "S"), 0.0)
        self._pulse_width = smu.stored_setting(f"{base}PULSe:WIDTh", smu.number(5e-5, 1e5, 5e-5, "S"), 5e-5)

    # --- levels -------------------------------------------------------------------------------------

    def pulse(self, k: int) -> Pulse | None:
        """Return the pulse of channel ``k``, from 0, or None for a DC source."""
        suffixes = (k + 1,)
        if self._shape(suffixes) == "DC":
            return None
        return Pulse(self._pulse_delay(suffixes), self._pulse_width(suffixes))

    def wait_s(self, k: int) -> float:
        """Return the time after a change of channel ``k`` before it can change again, in seconds."""
        suffixes = (k + 1,)
        return self._offset(suffixes) if self._waits(suffixes) else 0.0

    def keeps_last(self, k: int) -> bool:
        """Whether channel ``k`` keeps the last level of a sweep."""
        return self._continuous((k + 1,))

    def is_swept(self, k: int) -> bool:
        """Whether the level of channel ``k`` changes from trigger to trigger."""
        return self._modes[self._smu.channels[k].settings.function]((k + 1,)) != "FIX"

    def levels(self, k: int) -> list[float]:
        """Return the levels that the triggers of channel ``k`` set, one after the other."""
        channel, suffixes = self._smu.channels[k], (k + 1,)
        quantity = channel.settings.function
        mode = self._modes[quantity](suffixes)
        if mode == "LIST":
            values = self._lists[quantity](suffixes)
            first = self._firsts[quantity](suffixes)
            if first > len(values):
                raise VirtualInstrumentError(-221)
            return list(values[first - 1 :])
        if mode == "SWE":
            return self._staircase(quantity, suffixes)
        triggered = self._triggered[quantity](suffixes)
        return [channel.settings.levels[quantity] if math.isnan(triggered) else triggered]

    def _staircase(self, quantity: Quantity, suffixes: Suffixes) -> list[float]:
        one = self._staircases[quantity]
        start, stop, points = one.start(suffixes), one.stop(suffixes), one.points(suffixes)
        if self._spacing(suffixes) == "LOG":
            levels = ramp(start, stop, points, logarithmic=True)
        elif math.isnan(one.step(suffixes)):
            levels = ramp(start, stop, points)
        else:
            levels = [start + k * one.step(suffixes) for k in range(points)]
        if self._direction(suffixes) == "DOWN":
            levels = levels[::-1]
        return levels + levels[::-1] if self._stair(suffixes) == "DOUB" else levels

    @contextmanager
    def stepping(self, k: int, levels: list[float]) -> Iterator[Iterator[None]]:
        """Step the source of channel ``k``; at the end restore its level, unless it keeps the last one."""
        channel: VirtualChannel = self._smu.channels[k]
        quantity = channel.settings.function
        ranging = "AUTO" if self._spacing((k + 1,)) == "LOG" else _RANGING[self._ranging((k + 1,))]
        before = channel.settings.levels[quantity]
        keeps = self.pulse(k) is None and (self.keeps_last(k) or not self.is_swept(k))
        last = before
        if not self.is_swept(k) and levels == [before]:
            yield itertools.repeat(None)
            return
        try:
            with stepped(channel, levels, ranging) as steps:
                yield steps
                last = channel.settings.levels[quantity]
        finally:
            if keeps and last != before:
                channel.set_level(quantity, last)
