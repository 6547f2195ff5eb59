"""`QueryOnly`: reads an instrument with queries that change nothing, for `hwlearn status`."""

from __future__ import annotations

import re
from types import TracebackType
from typing import Final, NoReturn, Self

from hwlearn_drivers.claims.claim import Claim
from hwlearn_drivers.errors import GarbledReplyError, LinkError
from hwlearn_drivers.transport.blocks import encode_block
from hwlearn_drivers.transport.links.link import Link
from hwlearn_drivers.transport.messages import decode_line, encode_line, read_block_or_reply, read_reply
from hwlearn_drivers.transport.wire_log import WireLog

_QUIET_S: Final = 0.03
_LONGEST_DRAIN_S: Final = 0.5

_SCPI: Final = re.compile(
    r"[*:]?[A-Za-z][A-Za-z0-9]*(?::[A-Za-z][A-Za-z0-9]*)*\?(?: (?:[\w,.+-]+|\(@[\d,:!]+\)))?"
)
_CHANGES: Final = re.compile(
    r"\*(ESR|TST|CAL|OPC|LRN|TRG)\?|:?(READ|MEAS(URE)?|INIT(IATE)?|FETC(H)?|SEQ(UENCE)?|TRAC(E)?)\b.*|"
    r":?SYST(EM)?:ERR(OR)?(?!:COUN).*|:?STAT(US)?:(QUES|OPER|MEAS)\w*(:EVEN(T)?)?\?.*",
    re.IGNORECASE,
)
"""Queries that change an instrument: reading clears event registers and error queues, and readings trigger."""

_NAME: Final = r"[A-Za-z_]\w*(?:\[\d\])?(?:\.[A-Za-z_]\w*)*"
_LIST: Final = r'channel\.getclose\("allslots"\)'
"""The one call that is known to change nothing: it lists the closed relays of a switch."""
_TSP: Final = re.compile(rf"print\((?:{_LIST}|{_NAME}(?:,{_NAME})*)\)")
_TSP_CHANGES: Final = re.compile(r"\b(event|next|measure|reset|clear|read|new)\b")


def only_reads(message: str) -> bool:
    """Return whether every part of a message is a query that changes nothing.

    A TSP message prints attributes, or the list of closed relays. Everything that is not known to change nothing
    is refused.

    Examples
    --------
    >>> [only_reads(text) for text in (":OUTP?;:SOUR:VOLT?", "*IDN?", "print(smua.source.output)")]
    [True, True, True]
    >>> only_reads(":ROUT:CLOS? (@1!1!1:1!1!10,2!1!1)")
    True
    >>> [only_reads(text) for text in ("print(slot[1].idn)", 'print(channel.getclose("allslots"))')]
    [True, True]
    >>> only_reads("ROUT:CLOS? (@101,102)")
    True
    >>> [only_reads(text) for text in (":OUTP 0", "*ESR?", ":SYST:ERR?", ":READ?", "print(smua.measure.v())")]
    [False, False, False, False, False]
    >>> [only_reads(text) for text in ("*IDN?;:OUTP 1", "print(errorqueue.next())", "x=print(1)")]
    [False, False, False]
    """
    if _TSP.fullmatch(message):
        return _TSP_CHANGES.search(message) is None
    parts = [part.strip() for part in message.split(";")]
    return all(_SCPI.fullmatch(part) and not _CHANGES.fullmatch(part) for part in parts)


class QueryOnly:
    """An open link on which nothing but queries that change nothing can be sent. Close it, or use it in a block.

    After a missing or damaged reply nothing more is sent: finding the next reply again would need a command.

    Parameters
    ----------
    name : str
        Address of the instrument.
    link : Link
    timeout_s : float
    wire_log : WireLog or None
    claim : Claim
        Released by `close`.
    acknowledgement : str
        See `Transport`.
    """

    __slots__ = ("_acknowledgement", "_claim", "_link", "_lost", "_timeout_s", "_wire_log", "name")

    def __init__(
        self,
        name: str,
        link: Link,
        timeout_s: float,
        wire_log: WireLog | None,
        claim: Claim,
        acknowledgement: str = "",
    ) -> None:
        self.name, self._link, self._timeout_s, self._wire_log, self._claim = (
            name,
            link,
            timeout_s,
            wire_log,
            claim,
        )
        self._acknowledgement = acknowledgement.strip().encode("ascii", "replace")
        self._lost = ""

    def query(self, question: str) -> str:
        """Send a query and return the line that answers it.

        Raises
        ------
        ValueError
            If the message is not known to change nothing; nothing was sent.
        LinkError
            If nothing answers, or an earlier query was not answered.
        """
        self._send(question)
        try:
            line = read_reply(self._link, self._timeout_s, self._acknowledgement)
        except LinkError as error:
            self._lost = str(error)
            raise
        if self._wire_log is not None:
            self._wire_log.received(self.name, line)
        return decode_line(line).strip()

    def query_block(self, question: str) -> bytes:
        """Send a query and return the data of the block that answers it; raises as `query`."""
        self._send(question)
        try:
            data, line = read_block_or_reply(self._link, self._timeout_s, self._acknowledgement)
        except LinkError as error:
            self._lost = str(error)
            raise
        if data is None:
            self.garbled(question, decode_line(line))
        if self._wire_log is not None:
            self._wire_log.received(self.name, encode_block(data))
        return data

    def number(self, question: str) -> float:
        """Return the number that answers a query; raises as `query`."""
        reply = self.query(question)
        try:
            return float(reply)
        except ValueError:
            self.garbled(question, reply)

    def garbled(self, question: str, reply: str) -> NoReturn:
        """Raise `GarbledReplyError`: a reply cannot be interpreted."""
        self._lost = f"{question!r} was answered with {reply!r:.60}"
        raise GarbledReplyError(f"{self.name} answers {question!r} with {reply!r:.60}, which is not a valid reply")

    def close(self) -> None:
        """Close the link; nothing is sent."""
        self._link.close()
        self._claim.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, question: str) -> None:
        if not only_reads(question):
            raise ValueError(f"{question!r} may change an instrument; it was not sent")
        if self._lost:
            raise LinkError(f"{self.name} is not read any further: {self._lost}")
        if self._link.unread():  # of an earlier user
            self._link.drain(_QUIET_S, _LONGEST_DRAIN_S)
        message = encode_line(question)
        if self._wire_log is not None:
            self._wire_log.sent(self.name, message)
        self._link.write(message)
