"""Keysight (Agilent) B2900 series SMU, one or two channels (SCPI).

Source: Keysight B2900 Series Precision Source/Measure Unit SCPI Command Reference, chapter 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn_drivers.instrument.instrument import number
from hwlearn_drivers.smu.channel import SmuChannel
from hwlearn_drivers.smu.models.scpi_smu import WORD, ScpiChannel, range_command
from hwlearn_drivers.smu.operating_range import OperatingRange, Quantity, other
from hwlearn_drivers.smu.reading import Reading
from hwlearn_drivers.smu.smu import Smu

_REGIONS = ((6.0, 3.03), (21.0, 1.515), (210.0, 0.105))
_NPLC = (4e-4, 100.0)


class KeysightB2900Channel(ScpiChannel):
    """A channel of a B2900."""

    __slots__ = ()

    def read(self) -> Reading:
        """Measure voltage and current (``:FORM:ELEM:SENS VOLT,CURR``)."""
        volts, amperes = self.smu.query_numbers(f":MEAS? (@{self.number})", 2, self._patience_s())
        return Reading(volts, amperes)

    def limited(self) -> bool:
        """Query whether the source is at its limit."""
        return self._query_flag(f":SENS{self.number}:{WORD[other(self._needs_source())]}:PROT:TRIP?")

    def _level_command(self, quantity: Quantity, value: float) -> str:
        return f":SOUR{self.number}:{WORD[quantity]} {number(value)}"

    def _limit_command(self, quantity: Quantity, value: float) -> str:
        return f":SENS{self.number}:{WORD[quantity]}:PROT {number(value)}"

    def _source_commands(self, quantity: Quantity) -> list[str]:
        return [f":SOUR{self.number}:FUNC:MODE {WORD[quantity]}"]

    def _output_command(self, on: bool) -> str:
        return f":OUTP{self.number} {on:d}"

    def _source_range_command(self, quantity: Quantity, value: float | None) -> list[str]:
        return [range_command(f":SOUR{self.number}:{WORD[quantity]}", value)]

    def _measure_range_command(self, quantity: Quantity, value: float | None) -> list[str]:
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
        self.smu.transport.write(f":INIT (@{c})")
        patience_s = self._patience_s(n)
        volts = self.smu.query_numbers(f":FETC:ARR:VOLT? (@{c})", n, patience_s)
        amperes = self.smu.query_numbers(f":FETC:ARR:CURR? (@{c})", n, patience_s)
        self.smu.check_errors(f":INIT (@{c})")
        self.smu.write(f":TRIG{c}:COUN 1", f":SOUR{c}:{word}:MODE FIX")
        return np.array([volts, amperes])


class KeysightB2900(Smu):
    """Keysight B2901, B2902, B2911 and B2912, A and B."""

    __slots__ = ()

    operating_ranges: ClassVar[Mapping[str, OperatingRange]] = {
        f"B29{kind}{channels}{letter}": OperatingRange(_REGIONS, _NPLC, channels)
        for kind in (0, 1)
        for channels in (1, 2)
        for letter in "AB"
    }
    channel_class: ClassVar[type[SmuChannel]] = KeysightB2900Channel

    @classmethod
    def off_command(cls, number: int) -> str:
        """Return the command that switches a channel off."""
        return f":OUTP{number} 0"

    def _reset(self) -> None:
        self.write("*RST", "*CLS", ":FORM:ELEM:SENS VOLT,CURR")
        for c in self._numbers:
            # factory default: a measurement switches the output on automatically
            self.write(f":OUTP{c}:ON:AUTO 0", f':SENS{c}:FUNC "VOLT","CURR"')

    def _abort_commands(self) -> list[str]:
        return [":ABOR:ALL"]

    def _is_off(self) -> bool:
        return all(self.query_numbers(f":OUTP{number}?", 1) == [0.0] for number in self._numbers)
