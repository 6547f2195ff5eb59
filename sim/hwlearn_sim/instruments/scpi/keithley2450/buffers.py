"""Named reading buffers of a Keithley 2450 and their commands."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import numpy as np

from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.scpi.keithley2450.sense import Measured
from hwlearn_sim.instruments.scpi.language import unquoted
from hwlearn_sim.instruments.scpi.parameters import Choice, Whole, checked_count
from hwlearn_sim.instruments.scpi.reply_format import scpi_value
from hwlearn_sim.instruments.scpi.settings import Suffixes
from hwlearn_sim.instruments.scpi.smu import ScpiSmu

_DEFAULT_SIZE: Final = 100_000
_ELEMENTS: Final = (
    "DATE", "FORMatted", "FRACtional", "READing", "RELative", "SEConds", "SOURce", "SOURFORMatted",
    "SOURSTATus", "SOURUNIT", "STATus", "TIME", "TSTamp", "UNIT",
)  # fmt: skip
_UNITS: Final = {"VOLT": "Volt DC", "AMP": "Amp DC", "OHM": "Ohm", "WATT": "Watt DC"}
_SOURCE_UNITS: Final = {"voltage": "Volt DC", "current": "Amp DC"}
_LARGEST: Final = 6_875_000


class _Buffer:
    """One buffer: its readings, its capacity, and whether it discards the oldest when it is full."""

    __slots__ = ("capacity", "endless", "readings")

    def __init__(self, capacity: int, *, endless: bool) -> None:
        self.readings: deque[Measured] = deque()
        self.capacity, self.endless = capacity, endless

    def store(self, measured: Measured) -> None:
        """Add a reading (error 4915 if the buffer is full and keeps its oldest readings)."""
        if len(self.readings) >= self.capacity:
            if not self.endless:
                raise VirtualInstrumentError(4915, "Attempting to store past capacity of reading buffer")
            self.readings.popleft()
        self.readings.append(measured)


def source_value(measured: Measured) -> float:
    """Return the source value of a reading: read back if enabled, else the setpoint."""
    reading = measured.reading
    return reading.values.get(reading.function, reading.level)


class Buffers:
    """All reading buffers of an instrument.

    The two default buffers discard their oldest readings when they are full; others do not, unless
    ``:TRACe:FILL:MODE`` says otherwise.

    Attributes
    ----------
    digits : callable
        Returns the number of significant digits of readings as text; 0: seven.
    began : datetime
        Date and time at which the instrument's clock was zero.
    """

    def __init__(self) -> None:
        self._each: dict[str, _Buffer] = {}
        self.began = datetime(2000, 1, 1, tzinfo=UTC)
        self.digits: Callable[[], int] = lambda: 0
        self.reset()

    def reset(self) -> None:
        """Empty the two default buffers and delete the others."""
        self._each.clear()
        for name in ("defbuffer1", "defbuffer2"):
            self._each[name] = _Buffer(_DEFAULT_SIZE, endless=True)

    def checked_name(self, argument: str) -> str:
        """Return the buffer name in a string parameter; reject unknown names (-224)."""
        name = unquoted(argument)
        if name not in self._each:
            raise VirtualInstrumentError(-224)
        return name

    def readings(self, name: str) -> list[Measured]:
        """Return a buffer's readings, oldest first."""
        return list(self._each[name].readings)

    def capacity(self, name: str) -> int:
        """Return the largest number of readings of a buffer."""
        return self._each[name].capacity

    def last(self, name: str) -> list[Measured]:
        """Return the newest reading of a buffer, if there is one."""
        readings = self._each[name].readings
        return [readings[-1]] if readings else []

    def store(self, name: str, measured: Measured) -> None:
        """Add a reading."""
        self._each[name].store(measured)

    def clear(self, name: str) -> None:
        """Empty a buffer."""
        self._each[name].readings.clear()

    def elements(self, arguments: Sequence[str]) -> list[str]:
        """Return the requested elements. Default: READing."""
        if len(arguments) > len(_ELEMENTS):
            raise VirtualInstrumentError(-108)
        return [Choice(_ELEMENTS).read(argument) for argument in arguments] or ["READ"]

    def formatted(self, instrument: ScpiSmu, rows: Sequence[Measured], elements: Sequence[str]) -> str:
        """Return elements of readings in the instrument's present format."""
        if not rows:
            raise VirtualInstrumentError(-230)
        first = rows[0].reading.seconds
        if instrument.binary:
            if set(elements) - {"READ", "REL", "SOUR"}:
                raise VirtualInstrumentError(1133, "Parameter 4, Syntax error, expected valid name parameters")
            return instrument.readings([_number(row, element, first) for row in rows for element in elements])
        form = f"%.{(self.digits() or 7) - 1}E"
        return ",".join(_text(row, element, first, self.began, form) for row in rows for element in elements)

    # --- commands -----------------------------------------------------------------------------------

    def add_commands(self, instrument: ScpiSmu) -> None:
        """Add the TRACe commands to an instrument."""

        size_kind = Whole(1, _LARGEST, _DEFAULT_SIZE)

        def make(_: Suffixes, arguments: list[str]) -> None:
            name, size, *style = checked_count(arguments, 2, 3)
            if style and style[0]:
                chosen = Choice(("STANdard", "COMPact", "FULL", "WRITable", "FULLWRITable")).read(style[0])
                if chosen.endswith("WRIT"):
                    raise VirtualInstrumentError(-241)  # buffers for readings from elsewhere
            if unquoted(name) in self._each:
                raise VirtualInstrumentError(-224)
            self._each[unquoted(name)] = _Buffer(size_kind.read(size), endless=False)

        def delete(_: Suffixes, arguments: list[str]) -> None:
            name = self.checked_name(checked_count(arguments, 1)[0])
            if name.startswith("defbuffer"):
                raise VirtualInstrumentError(-224)
            del self._each[name]

        def clear(_: Suffixes, arguments: list[str]) -> None:
            self.clear(self._chosen(checked_count(arguments, 0, 1)))

        def resize(_: Suffixes, arguments: list[str]) -> None:
            size, *name = checked_count(arguments, 1, 2)
            buffer = self._each[self._chosen(name)]
            buffer.capacity = size_kind.read(size)
            buffer.readings.clear()

        def size(_: Suffixes, arguments: list[str]) -> str:
            return str(self._each[self._chosen(checked_count(arguments, 0, 1))].capacity)

        def fill(_: Suffixes, arguments: list[str]) -> None:
            mode, *name = checked_count(arguments, 1, 2)
            self._each[self._chosen(name)].endless = Choice(("CONTinuous", "ONCE")).read(mode) == "CONT"

        def filled(_: Suffixes, arguments: list[str]) -> str:
            return "CONT" if self._each[self._chosen(checked_count(arguments, 0, 1))].endless else "ONCE"

        def ends(_: Suffixes, arguments: list[str]) -> str:
            return str(len(self._each[self._chosen(checked_count(arguments, 0, 1))].readings))

        def data(_: Suffixes, arguments: list[str]) -> str:
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
        instrument.command("TRACe:FILL:MODE", fill, filled)
        instrument.command("TRACe:ACTual[:END]", query=ends)
        instrument.command(
            "TRACe:ACTual:STARt", query=lambda _, arguments: "1" if int(ends((), arguments)) else "0"
        )
        for pattern in ("TRACe:SAVE", "TRACe:SAVE:APPend"):
            instrument.refused(pattern)  # a USB drive
        self._add_statistics(instrument)
        instrument.command("TRACe:DATA", query=data)

    def _add_statistics(self, instrument: ScpiSmu) -> None:
        statistics: dict[str, Callable[[list[float]], float]] = {
            "AVERage": lambda x: float(np.mean(x)),
            "MAXimum": max,
            "MINimum": min,
            "PK2Pk": lambda x: max(x) - min(x),
            "STDDev": lambda x: float(np.std(x, ddof=1)) if len(x) > 1 else 0.0,
        }
        for name, of in statistics.items():
            instrument.command(f"TRACe:STATistics:{name}", query=partial(self._statistic, of))
        instrument.command("TRACe:STATistics:SPAN", query=self._span)

    def _span(self, _: Suffixes, arguments: list[str]) -> str:
        rows = self.readings(self._chosen(checked_count(arguments, 0, 1)))
        if not rows:
            raise VirtualInstrumentError(-230)
        return f"{rows[-1].reading.seconds - rows[0].reading.seconds:.6E}"

    def _chosen(self, arguments: Sequence[str]) -> str:
        return self.checked_name(arguments[0]) if arguments else "defbuffer1"

    def _statistic(self, of: Callable[[list[float]], float], _: Suffixes, arguments: list[str]) -> str:
        rows = self.readings(self._chosen(checked_count(arguments, 0, 1)))
        if not rows:
            raise VirtualInstrumentError(-230)
        with np.errstate(invalid="ignore"):  # overflows are infinite
            return f"{scpi_value(of([row.value for row in rows])):.6E}"


def _number(row: Measured, element: str, first: float) -> float:
    seconds = row.reading.seconds
    return {
        "READ": row.value,
        "SOUR": source_value(row),
        "REL": seconds - first,
        "FRAC": seconds % 1.0,
        "SEC": float(int(seconds)),
    }[element]


def _text(row: Measured, element: str, first: float, began: datetime, form: str) -> str:
    if element in ("READ", "SOUR", "REL", "FRAC", "SEC"):
        return form % scpi_value(_number(row, element, first))
    at = began + timedelta(seconds=row.reading.seconds)
    date, clock = f"{at:%m/%d/%Y}", f"{at:%H:%M:%S.%f}"
    return {
        "FORM": f"{scpi_value(row.value):.6g} {_UNITS[row.unit]}",
        "SOURFORM": f"{source_value(row):.6g} {_SOURCE_UNITS[row.reading.function]}",
        "UNIT": _UNITS[row.unit],
        "SOURUNIT": _SOURCE_UNITS[row.reading.function],
        # bits of the manual's table: limited 8, output on 32 ; sensed over range: questionable, 1
        "SOURSTAT": str(8 * row.reading.limited + 32 * row.reading.output),
        "STAT": str(int(row.reading.over_range)),
        "DATE": date,
        "TIME": clock,
        "TST": f"{date} {clock}",
    }[element]
