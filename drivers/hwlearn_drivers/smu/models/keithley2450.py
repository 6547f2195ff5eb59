"""Keithley 2450, 2460 and 2461 SourceMeters with their SCPI command set.

Sources: Model 2450 Interactive SourceMeter Reference Manual, section 6 (SCPI command reference); Model 2461
Reference Manual. Operating ranges: `hwlearn_drivers.smu.tables.keithley2450`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn_drivers.errors import UnknownInstrumentError
from hwlearn_drivers.instrument.instrument import number
from hwlearn_drivers.smu.channel import SmuChannel
from hwlearn_drivers.smu.models.scpi_smu import WORD, ScpiChannel, range_command
from hwlearn_drivers.smu.operating_range import OperatingRange, Quantity, other
from hwlearn_drivers.smu.reading import StatusQueries
from hwlearn_drivers.smu.smu import Smu
from hwlearn_drivers.smu.tables.keithley2450 import RANGES, REFUSED

_LIMIT: Final[dict[Quantity, str]] = {"current": ":SOUR:VOLT:ILIM", "voltage": ":SOUR:CURR:VLIM"}


class Keithley2450Channel(ScpiChannel):
    """The channel of a 2450; it measures one quantity and reads back the source value of the other."""

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
        return _LIMIT[quantity]

    @property
    def _reading_query(self) -> str:
        return ':READ? "defbuffer1",SOUR,READ'

    def _ordered(self, source: Quantity, first: float, second: float) -> tuple[float, float]:
        return (first, second) if source == "voltage" else (second, first)

    def _source_commands(self, quantity: Quantity) -> list[str]:
        # first, because it may change the source function (2461 Reference Manual, page 2-100)
        return [f':SENS:FUNC "{WORD[other(quantity)]}"', *super()._source_commands(quantity)]

    def _source_range_command(self, quantity: Quantity, value: float | None) -> list[str]:
        return [range_command(f":SOUR:{WORD[quantity]}", value)]

    def _measure_range_command(self, quantity: Quantity, value: float | None) -> list[str]:
        return [range_command(f":SENS:{WORD[quantity]}", value)]

    def _nplc_commands(self, cycles: float) -> list[str]:
        return [f":SENS:{word}:NPLC {number(cycles)}" for word in WORD.values()]

    def _four_wire_commands(self, remote: bool) -> list[str]:
        return [f":SENS:{word}:RSEN {remote:d}" for word in WORD.values()]

    def _sweep(self, quantity: Quantity, levels: Sequence[float]) -> FloatArray:
        word, n = WORD[quantity], len(levels)
        self.smu.write(
            ':TRAC:CLE "defbuffer1"',
            f":SOUR:LIST:{word} {','.join(number(level) for level in levels)}",
            f":SOUR:SWE:{word}:LIST 1,0",
        )
        # the sweep itself switches the output on, and off at its end
        self.check_state()
        self._query_while_on(":INIT", n, after=False)
        self.smu.transport.write("*WAI")
        question = f':TRAC:DATA? 1,{n},"defbuffer1",SOUR,READ'
        (reply,) = self.smu.query_parts(question, self._patience_s(n))
        sourced, measured = self._pairs(question, reply, n)
        self.smu.check_errors(":INIT")
        return np.stack([sourced, measured] if quantity == "voltage" else [measured, sourced])


class Keithley2450(Smu):
    """Keithley 2450, 2460 and 2461; pulses beyond the DC regions of a 2461 are not used."""

    __slots__ = ()

    series: ClassVar[str] = "2450"
    operating_ranges: ClassVar[Mapping[str, OperatingRange]] = RANGES
    refused: ClassVar[Mapping[str, str]] = REFUSED
    interlock_query: ClassVar[str] = ":OUTP:INT:TRIP?"  # 1: closed (Reference Manual 2450 p. 6-33, 2461 p. 6-49)
    channel_class: ClassVar[type[SmuChannel]] = Keithley2450Channel

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
            {quantity: f"{header}?" for quantity, header in _LIMIT.items()},
            {"interlock closed": cls.interlock_query},
        )

    def _reset(self) -> None:
        language = self.query("*LANG?").strip()
        if language != "SCPI":
            raise UnknownInstrumentError(
                f"{self.name} uses the command set {language!r}; send '*LANG SCPI' and restart the instrument"
            )
        self.write("*CLS", "*RST")

    @classmethod
    def abort_commands(cls) -> list[str]:
        """Return the commands that end a sweep or a wait for a trigger."""
        return [":ABOR"]

    def _is_off(self) -> bool:
        return self.query_numbers(":OUTP?", 1) == [0.0]
