"""Named reading buffers of a Keithley 2450 and their commands."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from hwlearn_sim.instruments.capability import ChannelReading
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.scpi.language import unquoted
from hwlearn_sim.instruments.scpi.parameters import Choice, Whole, checked_count
from hwlearn_sim.instruments.scpi.reply_format import scpi_value
from hwlearn_sim.instruments.scpi.smu import ScpiSmu

_DEFAULT_SIZE: Final = 100_000
_ELEMENTS: Final = (
    "DATE", "FORMatted", "FRACtional", "READing", "RELative", "SEConds", "SOURce", "SOURFORMatted",
    "SOURSTATus", "SOURUNIT", "STATus", "TIME", "TSTamp", "UNIT",
)  # fmt: skip
_UNITS: Final = {"VOLT": "Volt DC", "CURR": "Amp DC", "RES": "Ohm"}
_SOURCE_UNITS: Final = {"voltage": "Volt DC", "current": "Amp DC"}


@dataclass(frozen=True, slots=True)
class Stored:
    """A reading in a buffer: the channel's reading, the sensed value, and the sense function."""

    reading: ChannelReading
    value: float
    sensed: str

    @property
    def source(self) -> float:
        """The source value: read back if enabled, else the setpoint."""
        return self.reading.values.get(self.reading.function, self.reading.level)


class Buffers:
    """All reading buffers of an instrument. A full buffer discards its oldest readings."""

    def __init__(self) -> None:
        self._each: dict[str, deque[Stored]] = {}
        self.reset()

    def reset(self) -> None:
        """Empty the two default buffers and delete the others."""
        self._each.clear()
        for name in ("defbuffer1", "defbuffer2"):
            self._each[name] = deque(maxlen=_DEFAULT_SIZE)

    def checked_name(self, argument: str) -> str:
        """Return the buffer name in a string parameter; reject unknown names (-224)."""
        name = unquoted(argument)
        if name not in self._each:
            raise VirtualInstrumentError(-224)
        return name

    def readings(self, name: str) -> list[Stored]:
        """Return a buffer's readings, oldest first."""
        return list(self._each[name])

    def store(self, name: str, stored: Stored) -> None:
        """Add a reading; a full buffer discards its oldest one."""
        self._each[name].append(stored)

    def clear(self, name: str) -> None:
        """Empty a buffer."""
        self._each[name].clear()

    def elements(self, arguments: Sequence[str]) -> list[str]:
        """Return the requested elements. Default: READing."""
        if len(arguments) > len(_ELEMENTS):
            raise VirtualInstrumentError(-108)
        return [Choice(_ELEMENTS).read(argument) for argument in arguments] or ["READ"]

    def formatted(self, instrument: ScpiSmu, rows: Sequence[Stored], elements: Sequence[str]) -> str:
        """Return elements of readings in the instrument's present format."""
        if not rows:
            raise VirtualInstrumentError(-230)
        first = rows[0].reading.seconds
        if instrument.binary:
            if set(elements) - {"READ", "REL", "SOUR"}:
                raise VirtualInstrumentError(1133, "Parameter 4, Syntax error, expected valid name parameters")
            return instrument.readings([_number(row, element, first) for row in rows for element in elements])
        return ",".join(_text(row, element, first) for row in rows for element in elements)

    # --- commands -----------------------------------------------------------------------------------

    def add_commands(self, instrument: ScpiSmu) -> None:
        """Add the TRACe commands to an instrument."""

        def make(_: tuple[int, ...], arguments: list[str]) -> None:
            name, size, *style = checked_count(arguments, 2, 3)
            if style and style[0]:
                Choice(("STANdard", "COMPact", "FULL", "WRITable", "FULLWRITable")).read(style[0])
            if unquoted(name) in self._each:
                raise VirtualInstrumentError(-224)
            self._each[unquoted(name)] = deque(maxlen=Whole(1, 6_875_000).read(size))

        def delete(_: tuple[int, ...], arguments: list[str]) -> None:
            name = self.checked_name(checked_count(arguments, 1)[0])
            if name.startswith("defbuffer"):
                raise VirtualInstrumentError(-224)
            del self._each[name]

        def clear(_: tuple[int, ...], arguments: list[str]) -> None:
            self.clear(self._chosen(checked_count(arguments, 0, 1)))

        def resize(_: tuple[int, ...], arguments: list[str]) -> None:
            size, *name = checked_count(arguments, 1, 2)
            self._each[self._chosen(name)] = deque(maxlen=Whole(1, 6_875_000).read(size))

        def size(_: tuple[int, ...], arguments: list[str]) -> str:
            return str(self._each[self._chosen(checked_count(arguments, 0, 1))].maxlen)

        def data(_: tuple[int, ...], arguments: list[str]) -> str:
            if len(arguments) < 2:
                raise VirtualInstrumentError(-109)
            rows = self.readings(self._chosen(arguments[2:3]))
            first, last = (Whole(1, max(len(rows), 1)).read(argument) for argument in arguments[:2])
            if first > last:
                raise VirtualInstrumentError(-222)
            return self.formatted(instrument, rows[first - 1 : last], self.elements(arguments[3:]))

        instrument.command("TRACe:MAKE", make)
        instrument.command("TRACe:DELete", delete)
        instrument.command("TRACe:CLEar", clear)
        instrument.command("TRACe:POINts", resize, size)
        instrument.command(
            "TRACe:ACTual",
            query=lambda _, arguments: str(len(self._each[self._chosen(checked_count(arguments, 0, 1))])),
        )
        instrument.command("TRACe:DATA", query=data)
        statistics: dict[str, Callable[[list[float]], float]] = {
            "AVERage": lambda x: float(np.mean(x)),
            "MAXimum": max,
            "MINimum": min,
            "PK2Pk": lambda x: max(x) - min(x),
            "STDDev": lambda x: float(np.std(x, ddof=1)) if len(x) > 1 else 0.0,
        }
        for name, of in statistics.items():
            instrument.command(f"TRACe:STATistics:{name}", query=partial(self._statistic, of))

    def _chosen(self, arguments: Sequence[str]) -> str:
        return self.checked_name(arguments[0]) if arguments else "defbuffer1"

    def _statistic(self, of: Callable[[list[float]], float], _: tuple[int, ...], arguments: list[str]) -> str:
        rows = self.readings(self._chosen(checked_count(arguments, 0, 1)))
        if not rows:
            raise VirtualInstrumentError(-230)
        return f"{scpi_value(of([row.value for row in rows])):.6E}"


def _number(row: Stored, element: str, first: float) -> float:
    seconds = row.reading.seconds
    return {
        "READ": row.value,
        "SOUR": row.source,
        "REL": seconds - first,
        "FRAC": seconds % 1.0,
        "SEC": float(int(seconds)),
    }[element]


def _text(row: Stored, element: str, first: float) -> str:
    seconds = row.reading.seconds
    date, clock = "01/01/2000", f"00:{int(seconds // 60) % 60:02d}:{seconds % 60:09.6f}"
    if element in ("READ", "SOUR", "REL", "FRAC", "SEC"):
        return f"{scpi_value(_number(row, element, first)):.6E}"
    return {
        "FORM": f"{scpi_value(row.value):.6g} {_UNITS[row.sensed]}",
        "SOURFORM": f"{row.source:.6g} {_SOURCE_UNITS[row.reading.function]}",
        "UNIT": _UNITS[row.sensed],
        "SOURUNIT": _SOURCE_UNITS[row.reading.function],
        # bits of the manual's table: limited 8, output on 32 ; sensed over range: questionable, 1
        "SOURSTAT": str(8 * row.reading.limited + 32 * row.reading.output),
        "STAT": str(int(row.reading.over_range)),
        "DATE": date,
        "TIME": clock,
        "TST": f"{date} {clock}",
    }[element]
