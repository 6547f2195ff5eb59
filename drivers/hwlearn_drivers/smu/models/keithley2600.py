"""Keithley 2600 series System SourceMeter, one or two channels (TSP, a Lua dialect).

Source: Series 2600B System SourceMeter Reference Manual, section 9 (TSP command reference).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn_drivers.instrument.instrument import number
from hwlearn_drivers.smu.channel import SmuChannel
from hwlearn_drivers.smu.operating_range import OperatingRange, Quantity
from hwlearn_drivers.smu.reading import Reading
from hwlearn_drivers.smu.smu import Smu
from hwlearn_drivers.transport.fence import TSP_FENCE, Fence

_LETTER: Final[dict[Quantity, str]] = {"voltage": "v", "current": "i"}
_FUNCTION: Final[dict[Quantity, int]] = {"voltage": 1, "current": 0}
_NPLC = (0.001, 25.0)
_REGIONS = {
    "0": ((6.06, 3.03), (40.4, 1.01)),
    "1": ((20.2, 1.515), (202.0, 0.101)),
    "3": ((20.2, 1.515), (202.0, 0.101)),
}
"""Of 260x, 261x and 263x, by the third digit."""


class Keithley2600Channel(SmuChannel):
    """A channel, ``smua`` or ``smub``."""

    __slots__ = ()

    @property
    def label(self) -> str:
        """Name of the channel in the manual."""
        return self._node

    @property
    def _node(self) -> str:
        return _node(self.number)

    def read(self) -> Reading:
        """Measure voltage and current."""
        amperes, volts = self.smu.query_numbers(f"print({self._node}.measure.iv())", 2, self._patience_s())
        return Reading(volts, amperes)

    def limited(self) -> bool:
        """Query whether the source is at its limit."""
        self._needs_source()
        question = f"print({self._node}.source.compliance)"
        answer = self.smu.query(question).strip()
        if answer not in ("true", "false"):
            self.smu.transport.garbled(question, answer)
        return answer == "true"

    def _level_command(self, quantity: Quantity, value: float) -> str:
        return f"{self._node}.source.level{_LETTER[quantity]}={number(value)}"

    def _limit_command(self, quantity: Quantity, value: float) -> str:
        return f"{self._node}.source.limit{_LETTER[quantity]}={number(value)}"

    def _source_commands(self, quantity: Quantity) -> list[str]:
        return [f"{self._node}.source.func={_FUNCTION[quantity]}"]

    def _output_command(self, on: bool) -> str:
        return f"{self._node}.source.output={on:d}"

    def _source_range_command(self, quantity: Quantity, value: float | None) -> list[str]:
        return self._range_command("source", quantity, value)

    def _measure_range_command(self, quantity: Quantity, value: float | None) -> list[str]:
        return self._range_command("measure", quantity, value)

    def _range_command(self, side: str, quantity: Quantity, value: float | None) -> list[str]:
        path, letter = f"{self._node}.{side}", _LETTER[quantity]
        return [f"{path}.autorange{letter}=1"] if value is None else [f"{path}.range{letter}={number(value)}"]

    def _nplc_commands(self, cycles: float) -> list[str]:
        return [f"{self._node}.measure.nplc={number(cycles)}"]

    def _four_wire_commands(self, remote: bool) -> list[str]:
        return [f"{self._node}.sense={remote:d}"]

    def _sweep(self, quantity: Quantity, levels: Sequence[float]) -> FloatArray:
        node, n, letter = self._node, len(levels), _LETTER[quantity]
        self.smu.write(
            f"{node}.nvbuffer1.clear()",
            f"{node}.nvbuffer2.clear()",
            f"{node}.trigger.source.list{letter}({{{','.join(number(level) for level in levels)}}})",
            f"{node}.trigger.source.action=1",
            f"{node}.trigger.measure.iv({node}.nvbuffer1,{node}.nvbuffer2)",
            f"{node}.trigger.measure.action=1",
            f"{node}.trigger.endsweep.action=0",
            f"{node}.trigger.count={n}",
        )
        self.smu.transport.write(f"{node}.trigger.initiate()", "waitcomplete()")
        patience_s = self._patience_s(n)
        amperes = self.smu.query_numbers(f"printbuffer(1,{n},{node}.nvbuffer1.readings)", n, patience_s)
        volts = self.smu.query_numbers(f"printbuffer(1,{n},{node}.nvbuffer2.readings)", n, patience_s)
        self.smu.check_errors(f"{node}.trigger.initiate()")
        return np.array([volts, amperes])


class Keithley2600(Smu):
    """Keithley 2601 to 2636, A and B."""

    __slots__ = ()

    fence: ClassVar[Fence | None] = TSP_FENCE
    operating_ranges: ClassVar[Mapping[str, OperatingRange]] = {
        f"26{kind}{letter}": OperatingRange(_REGIONS[kind[0]], _NPLC, channels)
        for kind, channels in {
            "01": 1,
            "02": 2,
            "04": 2,
            "11": 1,
            "12": 2,
            "14": 2,
            "34": 2,
            "35": 1,
            "36": 2,
        }.items()
        for letter in ("A", "B")
    }
    channel_class: ClassVar[type[SmuChannel]] = Keithley2600Channel

    @property
    def outputs(self) -> list[str]:
        """Names of all channels."""
        return [_node(number) for number in self._numbers]

    @classmethod
    def off_command(cls, number: int) -> str:
        """Return the command that switches a channel off."""
        return f"{_node(number)}.source.output=0"

    def _reset(self) -> None:
        self.transport.write("errorqueue.clear()")
        self.write("reset()", "format.asciiprecision=16")

    def _abort_commands(self) -> list[str]:
        return ["abort"]

    def _is_off(self) -> bool:
        return all(self.query_numbers(f"print({_node(n)}.source.output)", 1) == [0.0] for n in self._numbers)

    def _next_error(self) -> tuple[int, str] | None:
        (count,) = self.query_numbers("print(errorqueue.count)", 1)
        if not count:
            return None
        question = "print(errorqueue.next())"
        answer = self.query(question)
        code, *rest = answer.split("\t")
        try:
            return int(float(code)), rest[0] if rest else ""
        except ValueError:
            self.transport.garbled(question, answer)


def _node(number: int) -> str:
    return "smu" + "ab"[number - 1]
