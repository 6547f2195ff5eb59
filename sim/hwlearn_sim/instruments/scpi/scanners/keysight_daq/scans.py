"""Scans of a virtual 34970A: triggers, sweeps, reading memory and the format of readings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.scpi.language import Query, Write, as_block, spelled
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, Number, Whole, checked_count
from hwlearn_sim.instruments.scpi.reply_format import scpi_value
from hwlearn_sim.instruments.scpi.settings import Setting, Suffixes

_MOST_READINGS: Final = 50_000
_MOST_SWEEPS: Final = 50_000
_LONGEST_S: Final = 359_999.0
_FORM: Final = "%+.8E"
_REFUSED: Final = ("ALARm", "TIME")

Reading = tuple[int, float]
"""Channel and volts."""


class _Instrument(Protocol):
    """What scans need of their instrument."""

    clock: Clock

    def command(
        self, pattern: str, write: Write | None = None, query: Query | None = None, *, urgent: bool = False
    ) -> None: ...

    def simple_command(self, pattern: str, act: Callable[[], None], *, urgent: bool = False) -> None: ...

    def simple_query(self, pattern: str, answer: Callable[[], str]) -> None: ...

    def kept(self, name: str, initial: float, suffixes: int = 0, *, lasting: bool = False) -> Setting[float]: ...


class Scans:
    """Sweeps of the scan list, and the memory of the readings.

    Parameters
    ----------
    instrument : VirtualKeysightDaq
        To which the commands are added.
    sweep : callable
        Reads each channel of the scan list once.
    """

    def __init__(self, instrument: _Instrument, sweep: Callable[[], list[Reading]]) -> None:
        self._instrument, self._sweep = instrument, sweep
        self._memory: list[Reading] = []
        self._source = instrument.kept("timer", 0.0)
        self._timer_s = instrument.kept("interval", 10.0)
        self._sweeps = instrument.kept("sweeps", 1.0)
        self._shown = {name: instrument.kept(name, 0.0) for name in ("CHANnel", "UNIT", *_REFUSED)}
        self._add_triggers()
        self._add_format()
        self._add_memory()

    def clear(self) -> None:
        """Empty the memory."""
        self._memory.clear()

    def plain_format(self) -> None:
        """Show readings only, as after CONFigure."""
        for shown in self._shown.values():
            shown.put(0.0)

    def _run(self) -> list[Reading]:
        """Return the readings of all sweeps; between two of them the timer runs."""
        found: list[Reading] = []
        clock = self._instrument.clock
        for k in range(round(self._sweeps())):
            began = clock.seconds
            found += self._sweep()
            if self._source() and k + 1 < round(self._sweeps()):
                clock.advance(max(0.0, self._timer_s() - (clock.seconds - began)))
        return found

    def _initiate(self) -> None:
        self._memory = self._run()[-_MOST_READINGS:]

    def _text(self, readings: list[Reading]) -> str:
        return ",".join(self._one(channel, volts) for channel, volts in readings)

    def _one(self, channel: int, volts: float) -> str:
        text = _FORM % scpi_value(volts)
        if self._shown["UNIT"]():
            text += " VDC"
        return f"{text},{channel}" if self._shown["CHANnel"]() else text

    def _taken(self, count: int) -> list[Reading]:
        taken, self._memory = self._memory[:count], self._memory[count:]
        return taken

    # --- commands -----------------------------------------------------------------------------------

    def _add_triggers(self) -> None:
        one = self._instrument
        sources = Choice(("BUS", "IMMediate", "EXTernal", "ALARm1", "ALARm2", "ALARm3", "ALARm4", "TIMer"))

        def source(_: Suffixes, arguments: list[str]) -> None:
            name = sources.read(checked_count(arguments, 1)[0])
            if name not in ("IMM", "TIM"):
                raise VirtualInstrumentError(-241)
            self._source.put(float(name == "TIM"))

        def count(_: Suffixes, arguments: list[str]) -> None:
            (text,) = checked_count(arguments, 1)
            if spelled(text, "INFinity"):  # a scan without an end would run beside other commands
                raise VirtualInstrumentError(-241)
            self._sweeps.put(float(Whole(1, _MOST_SWEEPS).read(text)))

        def timer(_: Suffixes, arguments: list[str]) -> None:
            self._timer_s.put(Number(0.0, _LONGEST_S, 10.0).read(checked_count(arguments, 1)[0]))

        one.command("TRIGger:SOURce", source, lambda _, __: "TIM" if self._source() else "IMM")
        one.command("TRIGger:COUNt", count, lambda _, __: _FORM % self._sweeps())
        one.command("TRIGger:TIMer", timer, lambda _, __: _FORM % self._timer_s())
        one.simple_command("INITiate", self._initiate)
        one.simple_command("ABORt", lambda: None, urgent=True)
        one.simple_query("READ", lambda: self._text(self._run()))

    def _add_format(self) -> None:
        for name, shown in self._shown.items():

            def write(_: Suffixes, arguments: list[str], name: str = name, shown: Setting[float] = shown) -> None:
                wanted = Flag().read(checked_count(arguments, 1)[0])
                if wanted and name in _REFUSED:
                    raise VirtualInstrumentError(-241)
                shown.put(float(wanted))

            def query(_: Suffixes, __: list[str], shown: Setting[float] = shown) -> str:
                return str(int(shown()))

            self._instrument.command(f"FORMat:READing:{name}", write, query)

    def _add_memory(self) -> None:
        one = self._instrument

        def fetch() -> str:
            if not self._memory:
                raise VirtualInstrumentError(-230)
            return self._text(self._memory)

        def remove(_: Suffixes, arguments: list[str]) -> str:
            count = Whole(1, _MOST_READINGS).read(checked_count(arguments, 1)[0])
            if count > len(self._memory):
                raise VirtualInstrumentError(-222)
            return self._text(self._taken(count))

        def take(_: Suffixes, arguments: list[str]) -> str:
            most = (
                Whole(1, _MOST_READINGS).read(checked_count(arguments, 0, 1)[0]) if arguments else _MOST_READINGS
            )
            return as_block(self._text(self._taken(most)).encode("ascii"))

        one.simple_query("FETCh", fetch)
        one.simple_query("DATA:POINts", lambda: f"+{len(self._memory)}")
        one.command("DATA:REMove", query=remove)
        one.command("R", query=take)
