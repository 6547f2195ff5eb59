"""Keithley 2400 series SourceMeter (SCPI).

Source: 2400 Series SourceMeter User's Manual, section 18 (SCPI command reference). Operating ranges:
`hwlearn_drivers.smu.tables.keithley2400`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from hwlearn.arrays import FloatArray
from hwlearn_drivers.instrument.instrument import number
from hwlearn_drivers.instrument.serial_line import SerialLine
from hwlearn_drivers.smu.channel import SmuChannel
from hwlearn_drivers.smu.models.scpi_smu import WORD, ScpiChannel, range_command
from hwlearn_drivers.smu.operating_range import OperatingRange, Quantity
from hwlearn_drivers.smu.reading import Reading, StatusQueries
from hwlearn_drivers.smu.smu import Smu
from hwlearn_drivers.smu.tables.keithley2400 import RANGES, REFUSED


class Keithley2400Channel(ScpiChannel):
    """The channel of a 2400."""

    __slots__ = ()

    @property
    def _output(self) -> str:
        return ":OUTP"

    @property
    def _function(self) -> str:
        return ":SOUR:FUNC"

    def _level_of(self, quantity: Quantity) -> str:
        return f":SOUR:{WORD[quantity]}"

    def _limit_of(self, quantity: Quantity) -> str:
        return f":SENS:{WORD[quantity]}:PROT"

    @property
    def _reading_query(self) -> str:
        return ":READ?"  # :FORM:ELEM VOLT,CURR

    def read(self) -> Reading:
        """Measure as `ScpiChannel.read`; with its output off, a 2400 measures nothing.

        Raises
        ------
        InstrumentError
            Number 803 if the output is off.
        """
        if not self.is_on:
            with self.smu.transport.exchange():
                self.check_state()
                self.smu.transport.write(self._reading_query)  # it has no reply, only an entry in the error queue
                self.smu.check_errors(self._reading_query)
        return super().read()

    def _source_range_command(self, quantity: Quantity, value: float | None) -> list[str]:
        return [range_command(f":SOUR:{WORD[quantity]}", value)]

    def _measure_range_command(self, quantity: Quantity, value: float | None) -> list[str]:
        return [range_command(f":SENS:{WORD[quantity]}", value)]

    def _nplc_commands(self, cycles: float) -> list[str]:
        return [f":SENS:CURR:NPLC {number(cycles)}"]  # one setting applies to all functions

    def _four_wire_commands(self, remote: bool) -> list[str]:
        return [f":SYST:RSEN {remote:d}"]

    def _sweep(self, quantity: Quantity, levels: Sequence[float]) -> FloatArray:
        word, n = WORD[quantity], len(levels)
        self.smu.write(
            f":SOUR:LIST:{word} {','.join(number(level) for level in levels)}",
            f":SOUR:{word}:MODE LIST",
            f":TRIG:COUN {n}",
        )
        replies = self._query_while_on(":READ?", n)
        readings = self._pairs(":READ?", "".join(replies), n)
        self.smu.write(":TRIG:COUN 1", f":SOUR:{word}:MODE FIX")
        return readings


class Keithley2400(Smu):
    """Keithley 2400 to 2440; a 2430 sources direct current only."""

    __slots__ = ()

    series: ClassVar[str] = "2400"
    # User's Manual 2400S-900-01, pages 14-13 and 14-14; of two line ends, one is white space
    serial_line: ClassVar[SerialLine | None] = SerialLine(
        (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600),
        any_line_end=True,
        menu="MENU > COMMUNICATION > RS-232 on its front panel: BITS 8, PARITY NONE, any TERMINATOR (LF with "
        "another visa_library), FLOW-CTRL NONE",
    )
    operating_ranges: ClassVar[Mapping[str, OperatingRange]] = RANGES
    refused: ClassVar[Mapping[str, str]] = REFUSED
    channel_class: ClassVar[type[SmuChannel]] = Keithley2400Channel

    @classmethod
    def off_command(cls, number: int) -> str:
        """Return the command that switches a channel off."""
        return ":OUTP 0"

    @classmethod
    def status_queries(cls, number: int) -> StatusQueries:
        """Return the queries of the state of a channel, of which none changes anything."""
        return StatusQueries(
            ":OUTP?",
            ":SOUR:FUNC?",
            {"voltage": ":SOUR:VOLT?", "current": ":SOUR:CURR?"},
            {"voltage": ":SENS:VOLT:PROT?", "current": ":SENS:CURR:PROT?"},
            {"output enable line tripped": ":OUTP:ENAB:TRIP?"},
        )

    def _reset(self) -> None:
        self.write(
            "*CLS",
            "*RST",
            ":SENS:FUNC:CONC 1",
            ':SENS:FUNC "VOLT","CURR"',  # measure both, instead of reporting the programmed level
            ":FORM:ELEM VOLT,CURR",
        )
        if self.operating_range.direct_current:  # also the default of *RST
            self.write(self.operating_range.direct_current)

    @classmethod
    def abort_commands(cls) -> list[str]:
        """Return the commands that end a sweep or a wait for a trigger."""
        return [":ABOR"]

    def _is_off(self) -> bool:
        return self.query_numbers(":OUTP?", 1) == [0.0]
