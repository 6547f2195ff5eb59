"""Keithley 2600 series System SourceMeter, one or two channels (TSP, a Lua dialect).

Source: Series 2600B System SourceMeter Reference Manual, section 9 (TSP command reference). The instrument
executes a line as a whole; ``print`` separates its values by tabs. Operating ranges:
`hwlearn_drivers.smu.tables.keithley2600`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn_drivers.instrument.instrument import number
from hwlearn_drivers.instrument.serial_line import SerialLine
from hwlearn_drivers.instrument.tsp import next_tsp_error
from hwlearn_drivers.smu.channel import SmuChannel
from hwlearn_drivers.smu.operating_range import OperatingRange, Quantity, other
from hwlearn_drivers.smu.reading import OutputState, Reading, StatusQueries
from hwlearn_drivers.smu.smu import Smu
from hwlearn_drivers.smu.tables.keithley2600 import RANGES, REFUSED
from hwlearn_drivers.transport.fence import TSP_FENCE, Fence

_LETTER: Final[dict[Quantity, str]] = {"voltage": "v", "current": "i"}
_FUNCTION: Final[dict[Quantity, int]] = {"voltage": 1, "current": 0}
_READING, _STATE = 3, 4
"""Numbers of values: volts, amperes and compliance; output, function, level and limit."""


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
        """Measure voltage and current, and read back compliance and state in the same message."""
        source = self._needs_source()
        question = self._question(source)
        parts = self.smu.query_parts(question, self._patience_s())
        if len(parts) != _READING + _STATE + 1:
            self.smu.transport.garbled(question, "\t".join(parts))
        self.compare_state(question, parts[_READING:-1])
        self.smu.raise_reported(self._level_command(source, self.level), parts[-1])
        amperes, volts = self.smu.numbers(question, "\t".join(parts[:2]), 2)
        return Reading(volts, amperes, self._true(question, parts[2]))

    def _reading_question(self, source: Quantity) -> str:
        node = self._node
        answers = ",".join(["i", "v", f"{node}.source.compliance", *self._state_of(source), "errorqueue.count"])
        return f"local i,v={node}.measure.iv() print({answers})"

    def limited(self) -> bool:
        """Query whether the source is at its limit."""
        self._needs_source()
        question = f"print({self._node}.source.compliance)"
        return self._true(question, *self.smu.query_parts(question))

    def _true(self, question: str, text: str, *more: str) -> bool:
        if text not in ("true", "false") or more:
            self.smu.transport.garbled(question, "\t".join([text, *more]))
        return text == "true"

    # --- state --------------------------------------------------------------------------------------

    def _state_of(self, source: Quantity) -> list[str]:
        names = ("output", "func", f"level{_LETTER[source]}", f"limit{_LETTER[other(source)]}")
        return [f"{self._node}.source.{name}" for name in names]

    def _state_in(self, question: str, source: Quantity, parts: list[str]) -> OutputState:
        output, function, level, limit = self.smu.numbers(question, "\t".join(parts), _STATE)
        finite = math.isfinite(level) and math.isfinite(limit)
        if output not in (0.0, 1.0) or function not in (0.0, 1.0) or not finite:
            self.smu.transport.garbled(question, "\t".join(parts))
        return OutputState(output == 1.0, "voltage" if function else "current", level, limit)

    def _query_and_set(self, quantity: Quantity, command: str) -> tuple[str, list[str], str]:
        state = ",".join(self._state_of(quantity))
        # printed first, because some errors end the line; the next reading has the number of errors after it
        question = f"print({state},errorqueue.count) {command}"
        parts = self.smu.query_parts(question)
        if len(parts) != _STATE + 1:
            self.smu.transport.garbled(question, "\t".join(parts))
        return question, parts[:_STATE], parts[_STATE]

    def _change_while_on(self, before: Quantity, quantity: Quantity) -> tuple[OutputState, bool]:
        """Change the source in one line, which the instrument executes as a whole.

        An output that is off stays off. If the change itself switches it off, it is on again within this line.
        """
        output, change = f"{self._node}.source.output", " ".join(self._source_commands(quantity))
        question = (
            f"local s,f,l,m={','.join(self._state_of(before))} "
            f"if s==1 and f=={_FUNCTION[before]} then {change} if {output}==0 then {output}=1 end end "
            f"print(s,f,l,m,{output})"
        )
        parts = self.smu.query_parts(question)
        if len(parts) != _STATE + 1:
            self.smu.transport.garbled(question, "\t".join(parts))
        state = self._state_in(question, before, parts[:_STATE])
        (after,) = self.smu.numbers(question, parts[_STATE], 1)
        return OutputState(state.on and after == 1.0, state.source, state.level, state.limit), True

    # --- commands -----------------------------------------------------------------------------------

    def _level_command(self, quantity: Quantity, value: float) -> str:
        return f"{self._node}.source.level{_LETTER[quantity]}={number(value)}"

    def _limit_command(self, quantity: Quantity, value: float) -> str:
        return f"{self._node}.source.limit{_LETTER[quantity]}={number(value)}"

    def _limit_query(self, quantity: Quantity) -> str:
        return f"{self._node}.source.limit{_LETTER[quantity]}"

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
        if not self.smu.operating_range.has_trigger_model:
            return self._stepped(quantity, levels)
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
        patience_s, output = self._patience_s(n), f"{node}.source.output"
        question = f"local s={output} if s==1 then {node}.trigger.initiate() end waitcomplete() print(s,{output})"
        flags = self.smu.query_numbers(question, 2, patience_s)
        self._compare(OutputState(flags == [1.0, 1.0], quantity), quantity)
        amperes = self.smu.query_numbers(f"printbuffer(1,{n},{node}.nvbuffer1.readings)", n, patience_s)
        volts = self.smu.query_numbers(f"printbuffer(1,{n},{node}.nvbuffer2.readings)", n, patience_s)
        self.smu.check_errors(f"{node}.trigger.initiate()")
        return np.array([volts, amperes])

    def _stepped(self, quantity: Quantity, levels: Sequence[float]) -> FloatArray:
        """Run a list of levels line by line, on a model without a trigger model; return volts and amperes."""
        self.check_state()
        readings = []
        for level in levels:
            question = f"{self._level_command(quantity, level)} print({self._node}.measure.iv())"
            readings.append(self.smu.query_numbers(question, 2, self._patience_s()))
        self.smu.check_errors(question)
        flags = self.smu.query_numbers(f"print({self._node}.source.output)", 1)
        self._compare(OutputState(flags == [1.0], quantity), quantity)
        return np.array(readings).T[::-1]


class Keithley2600(Smu):
    """Keithley 2601 to 2636, without a letter, A and B, and 2651A; no pulses."""

    __slots__ = ()

    fence: ClassVar[Fence | None] = TSP_FENCE
    series: ClassVar[str] = "2600"
    # Series 2600B Reference Manual 2600BS-901-01, pages 2-109 and 2-110
    serial_line: ClassVar[SerialLine | None] = SerialLine(
        (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200),
        menu="MENU > RS232 on its front panel: 8 bits, no parity, no flow control",
    )
    operating_ranges: ClassVar[Mapping[str, OperatingRange]] = RANGES
    refused: ClassVar[Mapping[str, str]] = REFUSED
    channel_class: ClassVar[type[SmuChannel]] = Keithley2600Channel

    @property
    def outputs(self) -> list[str]:
        """Names of all channels."""
        return [_node(number) for number in self._numbers]

    @classmethod
    def off_command(cls, number: int) -> str:
        """Return the command that switches a channel off."""
        return f"{_node(number)}.source.output=0"

    @classmethod
    def status_queries(cls, number: int) -> StatusQueries:
        """Return the queries of the state of a channel, of which none changes anything."""
        source = f"{_node(number)}.source"
        return StatusQueries(
            f"print({source}.output)",
            f"print({source}.func)",
            {"voltage": f"print({source}.levelv)", "current": f"print({source}.leveli)"},
            {"voltage": f"print({source}.limitv)", "current": f"print({source}.limiti)"},
        )

    def _reset(self) -> None:
        self.transport.write("errorqueue.clear()")
        self.write("reset()", "format.asciiprecision=16")

    @classmethod
    def abort_commands(cls) -> list[str]:
        """Return the commands that end a sweep or a wait for a trigger."""
        return ["abort"]

    def _is_off(self) -> bool:
        return all(self.query_numbers(f"print({_node(n)}.source.output)", 1) == [0.0] for n in self._numbers)

    def query_parts(self, question: str, timeout_s: float | None = None) -> list[str]:
        """Send a line that prints several values and return each of them."""
        return [part.strip() for part in self.query(question, timeout_s).split("\t")]

    def one_message(self, queries: Sequence[str]) -> str:
        """Return several expressions as one message."""
        return f"print({','.join(queries)})"

    def write_and_read_back(self, command: str, question: str) -> float:
        """Send a setting, then read back an attribute together with the number of errors."""
        with self.transport.exchange():
            self.transport.write(command)
            whole = f"print({question},errorqueue.count)"
            parts = self.query_parts(whole)
            if len(parts) != 2:
                self.transport.garbled(whole, "\t".join(parts))
            self.raise_reported(command, parts[1])
            (value,) = self.numbers(whole, parts[0], 1)
            return value

    def raise_reported(self, command: str, reported: str) -> None:
        """Raise the oldest error if the number of errors that was reported is not zero."""
        if self.numbers(command, reported, 1) != [0.0]:
            self.check_errors(command)

    def _next_error(self) -> tuple[int, str] | None:
        return next_tsp_error(self)


def _node(number: int) -> str:
    return "smu" + "ab"[number - 1]
