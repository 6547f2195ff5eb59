"""`Instrument`: who it is, and what it complains about."""

from __future__ import annotations

import csv
import logging
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Final, Self

from hwlearn_drivers.errors import InstrumentError, UnknownInstrumentError
from hwlearn_drivers.transport.fence import SCPI_FENCE, Fence
from hwlearn_drivers.transport.transport import Transport

log = logging.getLogger("hwlearn_drivers")

OVERFLOW: Final = 9.9e37
"""What SCPI instruments send for a reading beyond the range."""

NOT_A_NUMBER: Final = 9.91e37
"""What SCPI and TSP instruments send for NaN."""

_MOST_ERRORS: Final = 64  # no queue is longer; an instrument that never runs dry is itself faulty


@dataclass(frozen=True, slots=True)
class Identity:
    """What an instrument says of itself (``*IDN?``)."""

    maker: str
    model: str
    serial: str
    firmware: str

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read a reply to ``*IDN?``.

        Raises
        ------
        UnknownInstrumentError
            If it does not have four fields.

        Examples
        --------
        >>> Identity.parse("KEITHLEY INSTRUMENTS INC.,MODEL 2400,1234567,C30").model
        'MODEL 2400'
        """
        fields = [field.strip() for field in line.split(",", 3)]
        if len(fields) != 4 or not fields[1]:
            raise UnknownInstrumentError(f"{line!r} is no answer to *IDN?: maker, model, serial, firmware")
        return cls(*fields)

    def __str__(self) -> str:
        return f"{self.maker} {self.model} (serial {self.serial})"


def number(value: float) -> str:
    """Return the shortest text that reads back as exactly this value; this is how numbers go on the wire.

    Raises
    ------
    ValueError
        If it is not finite: no instrument is ever sent one.

    Examples
    --------
    >>> number(5e-7)
    '5e-07'
    """
    plain = float(value)
    if not math.isfinite(plain):
        raise ValueError(f"{value!r} is no number that an instrument could take; nothing was sent")
    return repr(plain)


class Instrument(ABC):
    """One instrument at the end of a transport.

    Parameters
    ----------
    transport : Transport
    identity : Identity
    """

    __slots__ = ("identity", "transport")

    fence: ClassVar[Fence | None] = SCPI_FENCE
    error_query: ClassVar[str] = ":SYST:ERR?"

    def __init__(self, transport: Transport, identity: Identity) -> None:
        self.transport, self.identity = transport, identity
        transport.fence = self.fence

    @property
    def name(self) -> str:
        """Model and address, for messages."""
        return f"{self.identity.model} at {self.transport.name}"

    # --- talking ------------------------------------------------------------------------------------

    def query(self, question: str, timeout_s: float | None = None) -> str:
        """Ask, and return the answer."""
        return self.transport.query(question, timeout_s)

    def query_numbers(self, question: str, count: int, timeout_s: float | None = None) -> list[float]:
        """Ask for exactly ``count`` numbers; 9.91e37 is NaN and 9.9e37 infinity, as SCPI means them.

        Raises
        ------
        GarbledReplyError
            If the answer is something else; the transport is then out of step.
        """
        line = self.transport.query(question, timeout_s)
        fields = line.replace("\t", ",").split(",")
        try:
            values = [float(field) for field in fields]
        except ValueError:
            self.transport.garbled(question, line)
        if len(values) != count:
            self.transport.garbled(question, line)
        return [value if abs(value) < OVERFLOW else _special(value) for value in values]

    def write(self, *commands: str) -> None:
        """Send settings one by one, reading the error queue after each.

        Raises
        ------
        InstrumentError
            With code, text and the command that caused it; the commands after it were not sent.
        """
        with self.transport.exchange():
            for command in commands:
                self.transport.write(command)
                self.check_errors(command)

    def write_together(self, *commands: str) -> None:
        """Send settings that belong together with nothing in between, then read the error queue once."""
        with self.transport.exchange():
            self.transport.write(*commands)
            self.check_errors("; ".join(commands))

    def check_errors(self, command: str) -> None:
        """Read the error queue until it is empty, and raise what was in it.

        Raises
        ------
        InstrumentError
        """
        found: list[tuple[int, str]] = []
        while len(found) < _MOST_ERRORS and (error := self._next_error()) is not None:
            found.append(error)
        if found:
            code, text = found[0]
            if len(found) > 1:
                text += f" (and {len(found) - 1} more)"
            raise InstrumentError(self.name, code, text, command)

    def _next_error(self) -> tuple[int, str] | None:
        """Take the oldest error from the queue; None if there is none."""
        return self._error_in(self.query(self.error_query))

    def _error_in(self, line: str) -> tuple[int, str] | None:
        """Read an answer to the error question; None if it tells of no error."""
        fields = next(csv.reader([line], skipinitialspace=True), [])
        try:
            code = int(float(fields[0]))
        except (IndexError, ValueError):
            self.transport.garbled(self.error_query, line)
        return (code, ",".join(fields[1:])) if code else None

    # --- coming and going ---------------------------------------------------------------------------

    @abstractmethod
    def set_up(self) -> None:
        """Reset it and make the settings that the driver relies on."""

    def reconnect(self) -> None:
        """Open a dropped link again, make sure that the same instrument answers, and set it up anew.

        Raises
        ------
        LinkError
            If it cannot be reached.
        UnknownInstrumentError
            If another instrument answers; the link is closed again.
        """
        self.transport.reopen()
        self._make_safe()
        now = Identity.parse(self.query("*IDN?"))
        if now != self.identity:
            self.transport.close()
            raise UnknownInstrumentError(
                f"at {self.transport.name} there was {self.identity}, now there is {now}; the link is closed"
            )
        self.set_up()
        log.warning("%s: connected again and set up anew", self.name)

    def _make_safe(self) -> None:
        """Do what must come before any question; most instruments have nothing of the kind."""
        return

    def close(self) -> None:
        """Close the link; closing twice is harmless."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _special(value: float) -> float:
    if abs(value) == NOT_A_NUMBER:
        return math.nan
    return math.copysign(math.inf, value) if abs(value) == OVERFLOW else value
