"""Common parts of the SCPI models.

Several queries in one message are answered in one line, separated by semicolons, in the order of the queries
(IEEE 488.2; 2400 Series SourceMeter User's Manual, section 14, "Multiple response messages", whose example has a
space after each semicolon; Keysight B2961A/B2962A SCPI Command Reference, "Message Unit Separator", for the B2900
family). For the 2450 no such text was found; it is assumed to follow IEEE 488.2.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn_drivers.instrument.instrument import number
from hwlearn_drivers.smu.channel import SmuChannel
from hwlearn_drivers.smu.operating_range import Quantity, other
from hwlearn_drivers.smu.reading import OutputState, Reading

WORD: Final[dict[Quantity, str]] = {"voltage": "VOLT", "current": "CURR"}
"""Name of a quantity in a command."""

_STATE: Final = 4
"""Number of queries of the state: output, function, level, limit."""

_QUANTITY: Final[dict[str, Quantity]] = {word: quantity for quantity, word in WORD.items()}


def range_command(path: str, value: float | None) -> str:
    """Return the command for a fixed range, or for automatic ranging."""
    return f"{path}:RANG:AUTO 1" if value is None else f"{path}:RANG {number(value)}"


class ScpiChannel(SmuChannel):
    """A channel whose settings have one header each, for the command and for the query."""

    __slots__ = ()

    # --- headers of a model -------------------------------------------------------------------------

    @property
    @abstractmethod
    def _output(self) -> str:
        """Header of the output switch."""

    @property
    @abstractmethod
    def _function(self) -> str:
        """Header of the source function."""

    @abstractmethod
    def _level_of(self, quantity: Quantity) -> str:
        """Header of the level."""

    @abstractmethod
    def _limit_of(self, quantity: Quantity) -> str:
        """Header of the limit of this quantity."""

    @property
    @abstractmethod
    def _reading_query(self) -> str:
        """Query of one reading, which has two numbers."""

    def _ordered(self, source: Quantity, first: float, second: float) -> tuple[float, float]:
        """Return volts and amperes of the two numbers of a reading."""
        return first, second

    # --- commands -----------------------------------------------------------------------------------

    def _level_command(self, quantity: Quantity, value: float) -> str:
        return f"{self._level_of(quantity)} {number(value)}"

    def _limit_command(self, quantity: Quantity, value: float) -> str:
        return f"{self._limit_of(quantity)} {number(value)}"

    def _limit_query(self, quantity: Quantity) -> str:
        return f"{self._limit_of(quantity)}?"

    def _output_command(self, on: bool) -> str:
        return f"{self._output} {on:d}"

    def _source_commands(self, quantity: Quantity) -> list[str]:
        return [f"{self._function} {WORD[quantity]}"]

    # --- queries ------------------------------------------------------------------------------------

    def read(self) -> Reading:
        """Measure voltage and current, and read back compliance and state in the same message."""
        source = self._needs_source()
        question = self._question(source)
        parts = self.smu.query_parts(question, self._patience_s())
        if len(parts) not in (2 + _STATE, 1 + _STATE):
            self.smu.transport.garbled(question, ";".join(parts))
        # the state first: after a reset by somebody else, the reading has another format, or there is none
        self.compare_state(question, parts[-_STATE:])
        if len(parts) == 1 + _STATE:
            self.smu.check_errors(question)  # says why there is no reading, such as 803: output off
            self.smu.transport.garbled(question, ";".join(parts))
        volts, amperes = self._ordered(source, *self.smu.numbers(question, parts[0], 2))
        return Reading(volts, amperes, self._flag(question, parts[1]))

    def _reading_question(self, source: Quantity) -> str:
        return ";".join([self._reading_query, self._limited_query(source), *self._state_of(source)])

    def limited(self) -> bool:
        """Query whether the source is at its limit."""
        question = self._limited_query(self._needs_source())
        return self._flag(question, *self.smu.query_parts(question))

    def _limited_query(self, source: Quantity) -> str:
        return f"{self._limit_of(other(source))}:TRIP?"

    def _query_and_set(self, quantity: Quantity, command: str) -> tuple[str, list[str], str]:
        question = ";".join([*self._state_of(quantity), command, ":SYST:ERR?"])
        parts = self.smu.query_parts(question)
        if len(parts) == _STATE:
            parts.append("")  # a 2400 ignores what follows a command that it rejects
        if len(parts) != _STATE + 1:
            self.smu.transport.garbled(question, ";".join(parts))
        return question, parts[:-1], parts[-1]

    def _change_while_on(self, before: Quantity, quantity: Quantity) -> tuple[OutputState, bool]:
        question = ";".join([*self._state_of(before), *self._source_commands(quantity), f"{self._output}?"])
        parts = self.smu.query_parts(question)
        if len(parts) != _STATE + 1:
            self.smu.transport.garbled(question, ";".join(parts))
        return self._state_in(question, before, parts[:-1]), self._flag(question, parts[-1])

    def _state_of(self, quantity: Quantity) -> list[str]:
        limit = self._limit_of(other(quantity))
        return [f"{header}?" for header in (self._output, self._function, self._level_of(quantity), limit)]

    def _state_in(self, question: str, quantity: Quantity, parts: list[str]) -> OutputState:
        if len(parts) != _STATE:
            self.smu.transport.garbled(question, ";".join(parts))
        source = _QUANTITY.get(parts[1].strip("\"'")[:4].upper())
        output, level, limit = self.smu.numbers(question, f"{parts[0]},{parts[2]},{parts[3]}", 3)
        if source is None or output not in (0.0, 1.0) or not math.isfinite(level) or not math.isfinite(limit):
            self.smu.transport.garbled(question, ";".join(parts))
        return OutputState(output == 1.0, source, level, limit)

    def _flag(self, question: str, text: str = "", *more: str) -> bool:
        """Return a flag, 0 or 1."""
        if text in ("0", "1") and not more:
            return text == "1"
        (flag,) = self.smu.numbers(question, ",".join([text, *more]), 1)
        if flag not in (0.0, 1.0):
            self.smu.transport.garbled(question, text)
        return flag == 1.0

    # --- sweeps -------------------------------------------------------------------------------------

    def _query_while_on(self, question: str, points: int, after: bool = True) -> list[str]:
        """Query the output, then send a message, then query the output again; return the replies to the message.

        Raises
        ------
        OutputStateError
            If the output was off, before or afterwards.
        """
        source = self._needs_source()
        output = f"{self._output}?"
        whole = ";".join([output, question, *([output] if after else [])])
        parts = self.smu.query_parts(whole, self._patience_s(points))
        flags = [self._flag(whole, part) for part in ([parts[0], parts[-1]] if after else parts[:1])]
        self._compare(OutputState(all(flags), source), source)
        return parts[1:-1] if after else parts[1:]

    def _pairs(self, question: str, reply: str, points: int) -> FloatArray:
        """Return pairs of numbers as (2, points)."""
        return np.array(self.smu.numbers(question, reply, 2 * points)).reshape(points, 2).T
