"""`Instrument`: identity, settings and queries, error queue."""

from __future__ import annotations

import csv
import logging
import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Final, Self

from hwlearn_drivers.errors import InstrumentError, UnknownInstrumentError
from hwlearn_drivers.transport.fence import SCPI_FENCE, Fence
from hwlearn_drivers.transport.transport import Transport

log = logging.getLogger("hwlearn_drivers")

NO_NUMBER: Final = 9.8e37 * (1 - 1e-6)
"""Readings of at least this magnitude are no numbers: 9.8e37, also rounded to single precision.

SCPI instruments send 9.9e37 for a reading beyond the range and 9.91e37 for NaN (SCPI-1999, volume 1, 7.2.1.4 and
7.2.1.5); some send the nearest number in single precision.
"""

_NAN_CODES: Final = (9.905e37, 9.915e37)

_MOST_CODE: Final = 1_000_000  # error numbers have at most five digits
_SHORT_LINE: Final = 12
_MAX_ERRORS: Final = 64  # no error queue is longer; more errors mean a faulty instrument


@dataclass(frozen=True, slots=True)
class Identity:
    """Identity of an instrument, as reported by ``*IDN?``."""

    maker: str
    model: str
    serial: str
    firmware: str

    @classmethod
    def parse(cls, line: str) -> Self:
        """Parse a reply to ``*IDN?``.

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
            short = "," not in line and 0 < len(line) <= _SHORT_LINE
            hint = f"; if every command is acknowledged with it, set acknowledgement = {line!r} in [backend]"
            raise UnknownInstrumentError(
                f"{line!r} is not a reply to *IDN?: maker, model, serial, firmware{hint if short else ''}"
            )
        return cls(*fields)

    @property
    def model_number(self) -> str:
        """Model in capitals, without the word MODEL before it.

        Examples
        --------
        >>> Identity("KEITHLEY INSTRUMENTS INC.", "MODEL 707B", "170", "01.10h").model_number
        '707B'
        """
        found = re.fullmatch(r"(?:MODEL\s+)?([\w-]+)", self.model.strip().upper())
        return "" if found is None else found[1]

    def text(self, address: str) -> str:
        """Return an entry of `Network.instruments`: maker, model, serial number, firmware and address.

        Examples
        --------
        >>> Identity.parse("KEITHLEY INSTRUMENTS INC.,MODEL 2400,1234567,C30").text("GPIB0::24")
        'KEITHLEY INSTRUMENTS INC. MODEL 2400, serial 1234567, firmware C30, at GPIB0::24'
        """
        firmware = f", firmware {self.firmware}" if self.firmware else ""
        return f"{self.maker} {self.model}, serial {self.serial}{firmware}, at {address}"

    def __str__(self) -> str:
        return f"{self.maker} {self.model} (serial {self.serial})"


def number(value: float) -> str:
    """Return the shortest text that reads back as exactly this value; used for every number that is sent.

    Raises
    ------
    ValueError
        If it is not finite.

    Examples
    --------
    >>> number(5e-7)
    '5e-07'
    """
    plain = float(value)
    if not math.isfinite(plain):
        raise ValueError(f"{value!r} is not finite and cannot be sent to an instrument; nothing was sent")
    return repr(plain)


class Instrument(ABC):
    """One instrument at the end of a transport.

    Parameters
    ----------
    transport : Transport
    identity : Identity

    Raises
    ------
    InUseError
        If another process, or another network of this one, uses the instrument, at any address.
    """

    __slots__ = ("identity", "transport")

    fence: ClassVar[Fence | None] = SCPI_FENCE
    error_query: ClassVar[str] = ":SYST:ERR?"

    def __init__(self, transport: Transport, identity: Identity) -> None:
        self.transport, self.identity = transport, identity
        transport.claim.identified(identity.model, identity.serial)
        transport.fence = self.fence

    @property
    def name(self) -> str:
        """Model and address, for messages."""
        return f"{self.identity.model} at {self.transport.name}"

    # --- messages -----------------------------------------------------------------------------------

    def query(self, question: str, timeout_s: float | None = None) -> str:
        """Send a query and return the reply."""
        return self.transport.query(question, timeout_s)

    def query_numbers(self, question: str, count: int, timeout_s: float | None = None) -> list[float]:
        """Query exactly ``count`` numbers; from `NO_NUMBER` on, 9.91e37 becomes NaN and all others infinity.

        Raises
        ------
        GarbledReplyError
            If the reply is anything else; the transport is then out of sync.
        """
        return self.numbers(question, self.transport.query(question, timeout_s), count)

    def numbers(self, question: str, reply: str, count: int) -> list[float]:
        """Return exactly ``count`` numbers of a reply, as `query_numbers`.

        Raises
        ------
        GarbledReplyError
            If the reply is anything else; the transport is then out of sync.
        """
        fields = reply.replace("\t", ",").split(",")
        try:
            values = [float(field) for field in fields]
        except ValueError:
            self.transport.garbled(question, reply)
        if len(values) != count or "_" in reply:  # Python reads 1_0 as 10
            self.transport.garbled(question, reply)
        return [value if abs(value) < NO_NUMBER else _special(value) for value in values]

    def query_whole(self, question: str) -> int:
        """Query one whole number.

        Raises
        ------
        GarbledReplyError
            If the reply is anything else, also an overflow; the transport is then out of sync.
        """
        reply = self.transport.query(question)
        (value,) = self.numbers(question, reply, 1)
        if not value.is_integer():
            self.transport.garbled(question, reply)
        return int(value)

    def write(self, *commands: str) -> None:
        """Send settings one by one, and read the error queue after each.

        Raises
        ------
        InstrumentError
            With code, text and the command that caused it; the commands after it are not sent.
        """
        with self.transport.exchange():
            for command in commands:
                self.transport.write(command)
                self.check_errors(command)

    def check_errors(self, command: str) -> None:
        """Read the error queue until it is empty, and raise its oldest error.

        Raises
        ------
        InstrumentError
        """
        self._raise_errors(command, self._next_error())

    def _raise_errors(self, command: str, first: tuple[int, str] | None) -> None:
        """Raise the first error that was read from the queue, if any, after emptying the queue.

        Raises
        ------
        InstrumentError
        """
        found: list[tuple[int, str]] = []
        while first is not None and len(found) < _MAX_ERRORS:
            found.append(first)
            first = self._next_error()
        if found:
            code, text = found[0]
            if len(found) > 1:
                text += f" (and {len(found) - 1} more)"
            raise InstrumentError(self.name, code, text, command)

    def _next_error(self) -> tuple[int, str] | None:
        """Take the oldest error from the queue; None if it is empty."""
        return self._error_in(self.query(self.error_query))

    def _error_in(self, line: str) -> tuple[int, str] | None:
        """Parse a reply to the error query; None if it reports no error."""
        try:
            fields = next(csv.reader([line], skipinitialspace=True), [])
            code = int(float(fields[0]))
        except (csv.Error, IndexError, ValueError, OverflowError):
            self.transport.garbled(self.error_query, line)
        if abs(code) > _MOST_CODE:
            self.transport.garbled(self.error_query, line)
        return (code, ",".join(fields[1:])) if code else None

    # --- set-up, reconnection, closing --------------------------------------------------------------

    @abstractmethod
    def set_up(self) -> None:
        """Reset it and make the settings that the driver requires."""

    def reconnect(self) -> None:
        """Open a dropped link again, check that the same instrument answers, and set it up again.

        Raises
        ------
        LinkError
            If it cannot be reached.
        InUseError
            If the instrument was closed before, and another process uses it now.
        UnknownInstrumentError
            If a different instrument answers; the link is closed again.
        """
        self.transport.claim.renew()
        self.transport.reopen()
        self._make_safe()
        now = Identity.parse(self.query("*IDN?"))
        if now != self.identity:
            self.transport.drop()
            raise UnknownInstrumentError(
                f"at {self.transport.name} there was {self.identity}, now there is {now}; the link is closed"
            )
        self.set_up()
        log.warning("%s: connected again and set up again", self.name)

    def _make_safe(self) -> None:
        """Send what must come before any query; nothing by default."""
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
    if math.isnan(value) or _NAN_CODES[0] <= abs(value) <= _NAN_CODES[1]:
        return math.nan
    return math.copysign(math.inf, value)
