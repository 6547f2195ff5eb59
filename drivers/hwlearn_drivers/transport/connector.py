"""`Connector`: how to connect to the instruments of a bench, as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hwlearn_drivers.transport.addresses import LinkOptions, open_link
from hwlearn_drivers.transport.links.dry_run import Answer, DryLink
from hwlearn_drivers.transport.links.link import Link
from hwlearn_drivers.transport.transport import Transport
from hwlearn_drivers.transport.wire_log import WireLog


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
    """

    options: LinkOptions = field(default_factory=LinkOptions)
    wire_log: WireLog | None = None
    dry_run: bool = False

    def transport(self, address: str, dry_answers: Callable[[], Answer]) -> Transport:
        """Open the transport to an instrument.

        Parameters
        ----------
        address : str
            As `open_link` takes it.
        dry_answers : callable
            Called whenever the link of a dry run is opened; returns a function that answers queries.

        Raises
        ------
        SetupError
            If the address has no known form.
        LinkError
            If it cannot be opened.
        """

        def connect() -> Link:
            return DryLink(address, dry_answers()) if self.dry_run else open_link(address, self.options)

        return Transport(address, connect, timeout_s=self.options.timeout_s, wire_log=self.wire_log)
