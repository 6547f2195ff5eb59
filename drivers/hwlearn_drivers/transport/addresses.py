"""`open_link`: opens the link for an address such as ``COM3`` or ``GPIB0::24::INSTR``."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from typing import Final

from hwlearn_drivers.address import Address, parse_address
from hwlearn_drivers.errors import LinkError
from hwlearn_drivers.transport.links.line_end import LineEndLink
from hwlearn_drivers.transport.links.link import Link

DEFAULT_BAUD: Final = 115200

_RESTART_S: Final = 2.5  # after which an Arduino has started again, because its port was opened
_PROMPT_S: Final = 0.5

PURE_PYTHON = "@py"
"""Default VISA library (pyvisa-py); it is installed with the package."""


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """Options for opening links.

    Attributes
    ----------
    baud : int or None
        Baud rate of serial ports; None: the one that is set at the factory, or `DEFAULT_BAUD` if it is unknown.
    visa_library : str
        ``"@py"``, ``"@ivi"``, another installed VISA backend, or the path of a VISA library.
    timeout_s : float
        Maximum wait for a connection, for a write, and (unless a query specifies its own) for a reply.
    for_off : bool
        The link is opened to send OFF and nothing else; see `SerialLink`.
    keep_dtr : bool
        Leave the DTR line of a serial port low where the system allows it; see `SerialLink`.
    any_line_end : bool
        On serial ports: send CR LF after each command, and let CR, LF or both end a reply, for instruments on
        which the user chooses the terminator. Not for binary blocks.
    acknowledgement : str
        Line with which the instrument acknowledges commands, such as ``"OK"``; empty if it does not.
    line_end : bytes
        What is sent at the end of each command.
    """

    baud: int | None = None
    visa_library: str = PURE_PYTHON
    timeout_s: float = 3.0
    for_off: bool = False
    keep_dtr: bool = False
    any_line_end: bool = False
    acknowledgement: str = ""
    line_end: bytes = b"\n"


def open_link(address: str, options: LinkOptions | None = None) -> Link:
    """Open the link for an address.

    ``TCPIP::host::port::SOCKET``, ``socket://host:port``, ``ASRL<port>::INSTR``, a port name (``COM3``,
    ``/dev/ttyACM0``) and every other pyserial URL are byte streams and are opened directly. If another VISA
    library than pyvisa-py is selected, the VISA names among them are opened through it. All other VISA names
    (``GPIB0::24::INSTR``, ``USB0::...``, ``TCPIP::host::INSTR``) are opened through the VISA library. Instruments
    behind one Prologix or AR488 adapter (``PROLOGIX::/dev/ttyUSB0::GPIB::24``) share its link.

    Raises
    ------
    SetupError
        If the address has no known form.
    LinkError
        If it cannot be opened.
    """
    how = LinkOptions() if options is None else options
    found = parse_address(address)
    if found.kind == "adapter":
        return _behind_adapter(found, how)
    link = _opened(address, how)
    sends_it = how.any_line_end and how.line_end == b"\r\n" and is_serial(address)
    return link if sends_it or how.line_end == b"\n" else LineEndLink(link, how.line_end)


def _opened(address: str, how: LinkOptions) -> Link:
    found = parse_address(address)
    baud = DEFAULT_BAUD if how.baud is None else how.baud
    if _is_direct_socket(found, how):
        from hwlearn_drivers.transport.links.tcp_socket import SocketLink

        return SocketLink(found.host, found.port, how.timeout_s)
    if _needs_visa(found, how):
        # takes a second to import, and not every bench needs it
        from hwlearn_drivers.transport.links.visa import VisaLink

        return VisaLink(found.text, how.visa_library, baud, how.timeout_s)
    from hwlearn_drivers.transport.links.serial_port import SerialLink

    port = found.device if found.kind == "serial" else found.text
    return SerialLink(
        port,
        baud,
        how.timeout_s,
        for_off=how.for_off,
        keep_dtr=how.keep_dtr,
        any_line_end=how.any_line_end,
    )


def _behind_adapter(found: Address, how: LinkOptions) -> Link:
    from hwlearn_drivers.transport.links.gpib.adapter import GpibAdapter, join_adapter
    from hwlearn_drivers.transport.links.gpib.link import GpibLink
    from hwlearn_drivers.transport.links.link import StreamLink

    def opened() -> GpibAdapter:
        stream = _opened(found.adapter, replace(how, visa_library=PURE_PYTHON, any_line_end=False))
        assert isinstance(stream, StreamLink)
        return GpibAdapter(found.adapter, stream, _RESTART_S if is_serial(found.adapter) else _PROMPT_S)

    return GpibLink(found.text, join_adapter(found.adapter, opened), found.numbers)


def prepare_link(address: str, options: LinkOptions | None = None) -> None:
    """Import what `open_link` needs for an address and look up its host name; no link is opened.

    Raises
    ------
    SetupError
        If the address has no known form.
    LinkError
        If the host name is unknown.
    """
    how = LinkOptions() if options is None else options
    found = parse_address(address)
    if found.kind == "adapter":
        import hwlearn_drivers.transport.links.gpib.link

        prepare_link(found.adapter, replace(how, visa_library=PURE_PYTHON))
    elif _is_direct_socket(found, how):
        import hwlearn_drivers.transport.links.tcp_socket

        try:
            socket.getaddrinfo(found.host, found.port)
        except (OSError, UnicodeError) as error:
            raise LinkError(f"the host of {found.text} is unknown: {error}") from error
    elif _needs_visa(found, how):
        import hwlearn_drivers.transport.links.visa
    else:
        import hwlearn_drivers.transport.links.serial_port  # noqa: F401


def is_serial(address: str) -> bool:
    """Whether an address leads to a serial port of this computer, so that a baud rate matters.

    Raises
    ------
    SetupError
        If the address has no known form.
    """
    found = parse_address(address)
    return found.kind == "serial" or found.device in ("spy", "alt", "hwgrep")


def _is_direct_socket(found: Address, how: LinkOptions) -> bool:
    return found.kind == "socket" and not (found.is_visa and how.visa_library != PURE_PYTHON)


def _needs_visa(found: Address, how: LinkOptions) -> bool:
    """Whether an address is opened through the VISA library; pyvisa-py is not needed for ports and sockets."""
    return found.is_visa and not (how.visa_library == PURE_PYTHON and found.kind in ("socket", "serial"))
