"""`Connector`: how to connect to the instruments of a bench, as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from hwlearn_drivers.address import normal_address
from hwlearn_drivers.claims.claim import Claim
from hwlearn_drivers.claims.keys import address_key
from hwlearn_drivers.errors import LinkError
from hwlearn_drivers.transport.addresses import LinkOptions, open_link
from hwlearn_drivers.transport.links.dry_run import Answer, DryLink
from hwlearn_drivers.transport.links.link import Link
from hwlearn_drivers.transport.links.replay import Replay
from hwlearn_drivers.transport.query_only import QueryOnly
from hwlearn_drivers.transport.transport import Transport
from hwlearn_drivers.transport.wire_log import WireLog

OFF_TIMEOUT_S: Final = 2.0
"""Maximum time-out of a link that is opened to send OFF: a person waits, and may have to act."""

_ANSWER_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Connector:
    """Opens transports to instruments, with the same options, wire log and dry run for all.

    Attributes
    ----------
    options : LinkOptions
    wire_log : WireLog or None
        Records all messages.
    dry_run : bool
        Print commands instead of sending them; no link is opened.
    claims : bool
        Claim each instrument. Only what sends OFF and nothing else goes without.
    replay : Replay or None
        A recorded wire log that stands in for the instruments; no link is opened.
    """

    options: LinkOptions = field(default_factory=LinkOptions)
    wire_log: WireLog | None = None
    dry_run: bool = False
    claims: bool = True
    replay: Replay | None = None

    @property
    def is_rehearsal(self) -> bool:
        """Whether no instrument is contacted: in a dry run, and when a log is replayed."""
        return self.dry_run or self.replay is not None

    def on_serial_line(self, baud: int, any_line_end: bool) -> Connector:
        """Return how to connect with another baud rate and other line ends on serial ports."""
        return replace(self, options=replace(self.options, baud=baud, any_line_end=any_line_end))

    def with_baud(self, baud: int | None) -> Connector:
        """Return how to connect with another baud rate on serial ports."""
        return replace(self, options=replace(self.options, baud=baud))

    def for_lines(self, baud: int, timeout_s: float, line_end: bytes, ignored: str) -> Connector:
        """Return how to connect to a board with a text protocol.

        Parameters
        ----------
        baud : int
        timeout_s : float
        line_end : bytes
            End of each command.
        ignored : str
            A line before replies that is dropped; empty if there is none.
        """
        ends = line_end != b"\n"
        return replace(
            self,
            options=replace(
                self.options,
                baud=baud,
                timeout_s=timeout_s,
                any_line_end=ends,
                line_end=line_end,
                acknowledgement=ignored,
            ),
        )

    def for_off(self) -> Connector:
        """Return how to connect to send OFF and nothing else: without a claim, and with a short time-out."""
        options = replace(self.options, timeout_s=min(self.options.timeout_s, OFF_TIMEOUT_S), for_off=True)
        return replace(self, options=options, claims=False)

    def query_only(self, address: str) -> QueryOnly:
        """Open the link to an instrument for queries that change nothing.

        Raises
        ------
        SetupError, InUseError, LinkError
            As `transport`.
        """
        address = normal_address(address)
        options = replace(self.options, timeout_s=min(self.options.timeout_s, OFF_TIMEOUT_S), keep_dtr=True)
        claim = Claim(address, address_key(address))
        try:
            link = open_link(address, options)
        except BaseException:
            claim.release()
            raise
        return QueryOnly(address, link, options.timeout_s, self.wire_log, claim, options.acknowledgement)

    def transport(self, address: str, dry_answers: Callable[[], Answer]) -> Transport:
        """Open the transport to an instrument.

        Parameters
        ----------
        address : str
            As `open_link` takes it; messages show its one spelling.
        dry_answers : callable
            Called whenever the link of a dry run is opened; returns a function that answers queries.

        Raises
        ------
        SetupError
            If the address has no known form, or the folder of the claims cannot be used.
        InUseError
            If another process, or another network of this one, uses the instrument. Nothing was sent.
        LinkError
            If it cannot be opened.
        """

        address = normal_address(address)

        def connect() -> Link:
            if self.replay is not None:
                return self.replay.link(address)
            return DryLink(address, dry_answers()) if self.dry_run else open_link(address, self.options)

        claim = None if self.is_rehearsal or not self.claims else Claim(address, address_key(address))
        try:
            return Transport(
                address,
                connect,
                timeout_s=self.options.timeout_s,
                wire_log=self.wire_log,
                claim=claim,
                acknowledgement=self.options.acknowledgement,
            )
        except BaseException:
            if claim is not None:
                claim.release()
            raise


def reads_connection(transport: Transport) -> bool:
    """Return, after OFF was sent, whether the instrument reads this connection and not only that of its owner.

    Some instruments accept a second connection, but do not read it before the first one is closed.
    """
    transport.rearm()
    try:
        return bool(transport.query("*IDN?", _ANSWER_S))
    except LinkError:
        return False
