"""System, display and status commands of a Keithley 2450 (2450 Reference Manual, section 6)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from hwlearn_sim.instruments.capability import LINE_HZ
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.scpi.keithley2450.buffers import Buffers
from hwlearn_sim.instruments.scpi.parameters import Choice, Text, Whole, checked_count
from hwlearn_sim.instruments.scpi.settings import Suffixes
from hwlearn_sim.instruments.scpi.smu import ScpiSmu

_LOWEST: Final = (1970, 1, 1, 0, 0, 0)
_HIGHEST: Final = (2099, 12, 31, 23, 59, 59)


class System2450:
    """Commands that concern neither the source nor the meter.

    Parameters
    ----------
    smu : ScpiSmu
        The instrument.
    buffers : Buffers
        Its reading buffers, which show date and time.
    """

    def __init__(self, smu: ScpiSmu, buffers: Buffers) -> None:
        self._smu, self._buffers = smu, buffers
        self._add_language()
        self._add_time()
        self._add_events()
        self._add_display()
        self._add_terminals()

    def _add_language(self) -> None:
        smu = self._smu

        def language(_: Suffixes, arguments: list[str]) -> None:
            (text,) = checked_count(arguments, 1)
            Choice(("SCPI", "TSP", "SCPI2400")).read(text)  # takes effect at the next power cycle

        smu.command("*LANG", language, lambda _, __: "SCPI")
        access = Choice(("FULL", "EXCLusive", "PROTected", "LOCKout"))
        smu.without_effect("SYSTem:ACCess", access, "FULL", lasting=True)
        smu.refused("SYSTem:PASSword:NEW")

    def _add_time(self) -> None:
        smu = self._smu

        def now() -> datetime:
            return self._buffers.began + timedelta(seconds=smu.clock.seconds)

        def set_time(_: Suffixes, arguments: list[str]) -> None:
            """Set ``year, month, day, hour, minute, second`` or only the time of day."""
            if len(arguments) not in (3, 6):
                raise VirtualInstrumentError(-109 if len(arguments) < 6 else -108)
            skipped = 6 - len(arguments)
            given = [
                Whole(low, high).read(text)
                for low, high, text in zip(_LOWEST[skipped:], _HIGHEST[skipped:], arguments, strict=True)
            ]
            today = now()
            year, month, day, hour, minute, second = [today.year, today.month, today.day][:skipped] + given
            try:
                began = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
            except ValueError:
                raise VirtualInstrumentError(-222) from None
            self._buffers.began = began - timedelta(seconds=smu.clock.seconds)

        def time(_: Suffixes, arguments: list[str]) -> str:
            shown = checked_count(arguments, 0, 1)
            if shown and Whole(1, 1).read(shown[0]):
                return f"{now():%a %b %d %H:%M:%S %Y}"
            return str(int(now().timestamp()))

        smu.command("SYSTem:TIME", set_time, time)

    def _add_events(self) -> None:
        smu = self._smu
        smu.simple_command("STATus:CLEar", smu.status.clear)
        smu.simple_query("SYSTem:LFRequency", lambda: f"{LINE_HZ:g}")
        smu.simple_query("SYSTem:EVENtlog[:NEXT]", smu.next_error)
        smu.command("SYSTem:EVENtlog:COUNt", query=lambda _, __: str(len(smu.errors)))
        smu.refused("SYSTem:EVENtlog:POST")
        smu.refused("SYSTem:EVENtlog:SAVE")
        smu.nothing("SYSTem:BEEPer[:IMMediate]", most=2)

    def _add_display(self) -> None:
        smu = self._smu
        smu.nothing("DISPlay:SCReen", least=1, most=1)
        smu.nothing("DISPlay:CLEar")
        smu.without_effect(
            "DISPlay:LIGHt:STATe", Choice(("ON100", "ON75", "ON50", "ON25", "OFF", "BLACkout")), "ON50"
        )
        for name in ("VOLTage[:DC]", "CURRent[:DC]", "RESistance"):
            smu.without_effect(f"DISPlay:{name}:DIGits", Whole(3, 6, 5), 5)
        for number in (1, 2):
            smu.without_effect(f"DISPlay:USER{number}:TEXT[:DATA]", Text(), "")

    def _add_terminals(self) -> None:
        smu = self._smu
        terminals = smu.kept("terminals", "FRON")

        def choose(_: Suffixes, name: str) -> None:
            if name != terminals():
                smu.channels[0].set_output(False)
            terminals.put(name)

        # the network is connected to both; the output is switched off when they change
        smu.setting("ROUTe:TERMinals", Choice(("FRONt", "REAR")), lambda _: terminals(), choose)
        precision = smu.kept("digits", 0)

        def set_precision(_: Suffixes, digits: int) -> None:
            precision.put(digits)

        smu.setting("FORMat:ASCii:PRECision", Whole(0, 16, 0), lambda _: precision(), set_precision)
        self._buffers.digits = precision
        smu.refused("DIGital:LINE#:MODE")
        smu.refused("DIGital:LINE#:STATe")
