"""Keithley 2450, 2460 and 2461 SourceMeters with their SCPI command set.

Sources: Model 2450 Interactive SourceMeter Reference Manual, section 6 (SCPI command reference); Model 2461
Reference Manual; data sheets of the 2450, 2460 and 2461 (operating regions).
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

_VOLTS = (0.02, 0.2, 2.0, 20.0, 200.0)
_AMPERES = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)
_NPLC = (0.01, 10.0)
_REGIONS_2460 = ((7.35, 7.35), (10.5, 5.25), (21.0, 4.2), (105.0, 1.05))
_VOLTS_2460 = (0.2, 2.0, 7.0, 10.0, 20.0, 100.0)
_AMPERES_2460 = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 4.0, 5.0, 7.0)
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
    operating_ranges: ClassVar[Mapping[str, OperatingRange]] = {
        "2450": OperatingRange(((21.0, 1.05), (210.0, 0.105)), _NPLC, (_VOLTS, _AMPERES), 2e4),
        **dict.fromkeys(("2460", "2461"), OperatingRange(_REGIONS_2460, _NPLC, (_VOLTS_2460, _AMPERES_2460), 2e4)),
    }
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
            {"interlock closed": ":OUTP:INT:TRIP?"},
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
