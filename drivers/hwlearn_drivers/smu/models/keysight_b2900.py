"""Keysight (Agilent) B2900 series SMU, one or two channels (SCPI).

Sources: Keysight B2900 Series Precision Source/Measure Unit SCPI Command Reference, chapter 4; Keysight
B2961A/B2962A SCPI Command Reference, edition 6, chapter 4. Operating ranges:
`hwlearn_drivers.smu.tables.keysight_b2900`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn_drivers.instrument.instrument import number
from hwlearn_drivers.smu.channel import SmuChannel
from hwlearn_drivers.smu.models.scpi_smu import WORD, ScpiChannel, range_command
from hwlearn_drivers.smu.operating_range import OperatingRange, Quantity
from hwlearn_drivers.smu.reading import StatusQueries
from hwlearn_drivers.smu.smu import Smu
from hwlearn_drivers.smu.tables.keysight_b2900 import RANGES, REFUSED


class KeysightB2900Channel(ScpiChannel):
    """A channel of a B2900."""

    __slots__ = ()

    @property
    def _output(self) -> str:
        return f":OUTP{self.number}"

    @property
    def _function(self) -> str:
        return f":SOUR{self.number}:FUNC:MODE"

    def _level_of(self, quantity: Quantity) -> str:
        return f":SOUR{self.number}:{WORD[quantity]}"

    def _limit_of(self, quantity: Quantity) -> str:
        return f":SENS{self.number}:{WORD[quantity]}:PROT"

    @property
    def _reading_query(self) -> str:
        return f":MEAS? (@{self.number})"  # :FORM:ELEM:SENS VOLT,CURR

    def _source_range_command(self, quantity: Quantity, value: float | None) -> list[str]:
        return [range_command(f":SOUR{self.number}:{WORD[quantity]}", value)]

    def _measure_range_command(self, quantity: Quantity, value: float | None) -> list[str]:
        if not self.smu.operating_range.has_measure_ranges:
            return []
        return [range_command(f":SENS{self.number}:{WORD[quantity]}", value)]

    def _nplc_commands(self, cycles: float) -> list[str]:
        return [f":SENS{self.number}:{word}:NPLC {number(cycles)}" for word in WORD.values()]

    def _four_wire_commands(self, remote: bool) -> list[str]:
        return [f":SENS{self.number}:REM {remote:d}"]

    def _sweep(self, quantity: Quantity, levels: Sequence[float]) -> FloatArray:
        word, n, c = WORD[quantity], len(levels), self.number
        self.smu.write(
            f":SOUR{c}:LIST:{word} {','.join(number(level) for level in levels)}",
            f":SOUR{c}:{word}:MODE LIST",
            f":TRIG{c}:COUN {n}",
        )
        self._query_while_on(f":INIT (@{c})", n, after=False)
        volts = self.smu.query_numbers(f":FETC:ARR:VOLT? (@{c})", n, self._patience_s(n))
        question = f":FETC:ARR:CURR? (@{c})"
        amperes = self.smu.numbers(question, "".join(self._query_while_on(question, n)), n)
        self.smu.check_errors(f":INIT (@{c})")
        self.smu.write(f":TRIG{c}:COUN 1", f":SOUR{c}:{word}:MODE FIX")
        return np.array([volts, amperes])


class KeysightB2900(Smu):
    """Keysight B2901, B2902, B2911 and B2912, A and B; B2961A and B2962A."""

    __slots__ = ()

    series: ClassVar[str] = "B2900"
    operating_ranges: ClassVar[Mapping[str, OperatingRange]] = RANGES
    refused: ClassVar[Mapping[str, str]] = REFUSED
    channel_class: ClassVar[type[SmuChannel]] = KeysightB2900Channel

    @classmethod
    def off_command(cls, number: int) -> str:
        """Return the command that switches a channel off."""
        return f":OUTP{number} 0"

    @classmethod
    def status_queries(cls, number: int) -> StatusQueries:
        """Return the queries of the state of a channel, of which none changes anything."""
        return StatusQueries(
            f":OUTP{number}?",
            f":SOUR{number}:FUNC:MODE?",
            {"voltage": f":SOUR{number}:VOLT?", "current": f":SOUR{number}:CURR?"},
            {"voltage": f":SENS{number}:VOLT:PROT?", "current": f":SENS{number}:CURR:PROT?"},
            {"interlock tripped": ":SYST:INT:TRIP?"},
        )

    def _reset(self) -> None:
        self.write("*CLS", "*RST", ":FORM:ELEM:SENS VOLT,CURR")
        for c in self._numbers:
            # factory default: a measurement switches the output on automatically
            self.write(f":OUTP{c}:ON:AUTO 0", f':SENS{c}:FUNC "VOLT","CURR"')

    @classmethod
    def abort_commands(cls) -> list[str]:
        """Return the commands that end a sweep or a wait for a trigger."""
        return [":ABOR:ALL"]

    def _is_off(self) -> bool:
        return all(self.query_numbers(f":OUTP{number}?", 1) == [0.0] for number in self._numbers)
