"""Trigger model of a Keithley 2400 and the commands that take readings (User's Manual, sections 11 and 17)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from hwlearn_sim.instruments.capability import ChannelReading
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.scpi.keithley2400.readings import Readings2400
from hwlearn_sim.instruments.scpi.keithley2400.sense import Sense2400
from hwlearn_sim.instruments.scpi.keithley2400.source import Source2400
from hwlearn_sim.instruments.scpi.keithley2400.sweep import MOST_POINTS, Sweep2400
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, Whole, checked_count, items
from hwlearn_sim.instruments.scpi.settings import Setting, Suffixes
from hwlearn_sim.instruments.scpi.smu import ScpiSmu
from hwlearn_sim.instruments.scpi.trigger_run import Steps

_ARM_SOURCES: Final = ("IMMediate", "TLINk", "TIMer", "MANual", "BUS", "NSTest", "PSTest", "BSTest")
_ENDLESS: Final = 9.9e37
_INPUTS: Final = ("SOURce", "DELay", "SENSe")


class TriggerModel2400:
    """The ARM, TRIGger, INITiate, READ, FETCh, MEASure and CONFigure commands.

    Parameters
    ----------
    smu : ScpiSmu
        The instrument.
    sense, source, sweep : Sense, Source, Sweep
        The parts that the model controls.
    readings : Readings
        Where the readings go.
    """

    def __init__(
        self, smu: ScpiSmu, sense: Sense2400, source: Source2400, sweep: Sweep2400, readings: Readings2400
    ) -> None:
        self._smu, self._sense, self._source, self._sweep = smu, sense, source, sweep
        self._channel, self._readings = smu.channels[0], readings
        self._add_layers()
        self._add_arm()
        self._add_trigger()
        self._add_readings()

    # --- settings -----------------------------------------------------------------------------------

    def _add_layers(self) -> None:
        smu = self._smu
        self._lines = {}
        self._bypassed = {}
        for layer, events in (("ARM", ("TENTer", "TEXit")), ("TRIGger", _INPUTS)):
            self._lines[layer] = smu.stored_setting(f"{layer}:ILINe", Whole(1, 4, 1), 1)
            bypass = Choice(("SOURce", "ACCeptor"))
            self._bypassed[layer] = smu.stored_setting(f"{layer}:DIRection", bypass, "ACC")
            # output triggers: nothing is connected to the trigger link
            smu.without_effect(f"{layer}:OLINe", Whole(1, 4, 2), 2)
            self._add_event_list(f"{layer}:OUTPut", events, "NONE", stored=True)
        self._inputs = self._add_event_list("TRIGger:INPut", _INPUTS, "SOUR", stored=False)

    def _add_event_list(
        self, pattern: str, names: tuple[str, ...], initial: str, *, stored: bool
    ) -> Callable[[], tuple[str, ...]]:
        """Add a setting with a list of events or NONE, and return its value."""
        events: Setting[tuple[str, ...]] = self._smu.kept(pattern, (initial,))
        kind = Choice((*names, "NONE"))

        def write(_: Suffixes, arguments: list[str]) -> None:
            chosen = items(kind, arguments, len(names))
            if "NONE" in chosen and len(chosen) > 1:
                raise VirtualInstrumentError(-221)
            events.put(tuple(chosen))

        def query(_: Suffixes, arguments: list[str]) -> str:
            checked_count(arguments, 0)
            return ",".join(events())

        self._smu.command(pattern, write, query)
        if stored:
            self._smu.effects[pattern] = "stored"
        return events

    def _add_arm(self) -> None:
        smu = self._smu
        self._arms = smu.kept("ARM:COUNt", 1.0)

        def set_arms(_: Suffixes, arguments: list[str]) -> None:
            (text,) = checked_count(arguments, 1)
            endless = text.upper() in ("INF", "INFINITE", "INFINITY")
            self._arms.put(math.inf if endless else float(Whole(1, MOST_POINTS).read(text)))

        def arms(_: Suffixes, arguments: list[str]) -> str:
            if checked_count(arguments, 0, 1):
                return str(Whole(1, MOST_POINTS).bound(arguments[0]))
            return f"{_ENDLESS:.6E}" if math.isinf(self._arms()) else str(int(self._arms()))

        smu.command("ARM:COUNt", set_arms, arms)
        self._arm_source = smu.stored_setting("ARM:SOURce", Choice(_ARM_SOURCES), "IMM")
        self._timer = smu.stored_setting("ARM:TIMer", smu.number(1e-3, 99999.99, 0.1, "S"), 0.1)

    def _add_trigger(self) -> None:
        smu = self._smu
        self._triggers = smu.stored_setting("TRIGger:COUNt", Whole(1, MOST_POINTS), 1)
        self._trigger_source = smu.stored_setting("TRIGger:SOURce", Choice(("IMMediate", "TLINk")), "IMM")
        self._delay = smu.stored_setting("TRIGger:DELay", smu.number(0, 999.9999, 0.0, "S"), 0.0)
        self._resets_time = smu.stored_setting("SYSTem:TIME:RESet:AUTO", Flag(), False)
        smu.simple_command("TRIGger:CLEar", smu.run.seen.clear, urgent=True)
        smu.simple_command("ABORt", smu.run.abort, urgent=True)

    # --- readings -----------------------------------------------------------------------------------

    def _add_readings(self) -> None:
        smu = self._smu
        functions = {"VOLTage[:DC]": "VOLT", "CURRent[:DC]": "CURR", "RESistance": "RES"}
        for pattern, function in functions.items():
            smu.simple_command(f"CONFigure:{pattern}", partial(self._configure, function))
            smu.simple_query(f"MEASure:{pattern}", partial(self._measure, function))
        smu.simple_query("CONFigure", self._sense.text)
        smu.simple_query("MEASure", partial(self._measure, None))
        smu.simple_query("READ", self._read)
        smu.simple_command("INITiate[:IMMediate]", self._initiate)
        smu.simple_query("FETCh", self._readings.fetch)
        smu.simple_query("SENSe#:DATA[:LATest]", lambda: self._readings.fetch(only_last=True))

    def _configure(self, function: str | None) -> None:
        """Prepare for one reading, and switch the output on (table 17-1)."""
        if function is not None:
            self._sense.configure(function)
        self._arms.put(1.0)
        self._triggers.put(1)
        self._arm_source.put("IMM")
        self._trigger_source.put("IMM")
        self._delay.put(0.0)
        if self._source.automatic_off is None:
            self._source.switch_on()

    def _measure(self, function: str | None) -> str:
        self._configure(function)
        return self._read()

    def _read(self) -> str:
        if self._arm_source() == "BUS":
            raise VirtualInstrumentError(-214)  # the trigger would interrupt the query that waits for it
        self._initiate()
        return self._smu.after_run(lambda _, __: self._readings.fetch())

    def _initiate(self) -> None:
        """Run the trigger model, as far as it goes without an event."""
        if math.isfinite(self._arms()) and self._arms() * self._triggers() > MOST_POINTS:
            raise VirtualInstrumentError(-221)
        if not self._channel.settings.output and self._source.automatic_off is None:
            raise VirtualInstrumentError(803, "Not permitted with OUTPUT off")
        self._readings.begin()
        if self._resets_time():
            self._smu.clock.reset()
        self._smu.run.start(self._run())

    def _run(self) -> Steps:
        with self._sweep.cycles() as cycles:
            try:
                yield from self._layers(cycles)
            finally:
                if self._source.automatic_off is not None:
                    self._channel.set_output(False)

    def _layers(self, cycles: Iterator[None]) -> Steps:
        armed, readings = 0, 0
        due, arm_source, arms = self._smu.clock.seconds, self._arm_source(), self._arms()
        while armed < arms:
            if arm_source not in ("IMM", "TIM"):
                yield from self._arm_event(armed)
            if arm_source == "TIM":
                self._smu.clock.advance(max(0.0, due - self._smu.clock.seconds))
                due = self._smu.clock.seconds + self._timer()
            for point in range(self._triggers()):
                reading: list[ChannelReading] = []
                yield from self._cycle(cycles, point, reading)
                if not reading:
                    return  # the sweep was aborted in compliance
                readings += 1
            armed += 1
            if readings >= MOST_POINTS and math.isinf(arms):
                yield frozenset({"nothing"})  # endless: until it is aborted

    def _arm_event(self, armed: int) -> Steps:
        source = self._arm_source()
        event = {
            "TLIN": f"line {self._lines['ARM']()}",
            "MAN": "manual",
            "BUS": "bus",
            "NST": "start of test",
            "PST": "start of test",
            "BST": "start of test",
        }.get(source)
        if event is not None and not (source == "TLIN" and not armed and self._bypassed["ARM"]() == "SOUR"):
            yield frozenset({event})

    def _cycle(self, cycles: Iterator[None], point: int, readings: list[ChannelReading]) -> Steps:
        """Source, delay, measure: one reading, or none if the sweep is aborted in compliance."""
        linked = self._trigger_source() == "TLIN"
        if linked:
            yield from self._link("SOUR", point)
        self._smu.clock.advance(self._delay())
        next(cycles)
        self._sweep.trigger_level()
        automatic_off, aborts = self._source.automatic_off, self._sweep.aborts
        if automatic_off is not None:
            self._source.switch_on()
        if linked:
            yield from self._link("DEL", point)
        if aborts == "EARL" and self._channel.tripped:
            return
        self._smu.clock.advance(self._source.delay_s)
        if linked:
            yield from self._link("SENS", point)
        reading = self._sense.measure()
        if automatic_off == "ALW":
            self._channel.set_output(False)
        self._readings.store(reading)
        if not (aborts == "LATE" and reading.limited):
            readings.append(reading)

    def _link(self, stage: str, point: int) -> Steps:
        if stage not in self._inputs():
            return
        if stage == "SOUR" and not point and self._bypassed["TRIGger"]() == "SOUR":
            return
        yield frozenset({f"line {self._lines['TRIGger']()}"})
