"""`open_link`: opens the link for an address such as ``COM3`` or ``GPIB0::24::INSTR``."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

from hwlearn.errors import SetupError
from hwlearn_drivers.errors import LinkError
from hwlearn_drivers.transport.links.link import Link

_SOCKET = re.compile(r"TCPIP\d*::([^:\s]+|\[[^\]\s]+\])::(\d+)::SOCKET", re.IGNORECASE)
_SOCKET_URL = re.compile(r"socket://([^:/\s]+|\[[^\]\s]+\]):(\d+)/?", re.IGNORECASE)
_ASRL = re.compile(r"ASRL(.+?)(?:::INSTR)?", re.IGNORECASE)
_VISA = re.compile(r"(GPIB|USB|TCPIP|VXI|PXI|VICP|PRLGX-\w+)\d*::.+", re.IGNORECASE)

PURE_PYTHON = "@py"
"""Default VISA library (pyvisa-py); it is installed with the package."""


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """Options for opening links.

    Attributes
    ----------
    baud : int
        Baud rate of serial ports.
    visa_library : str
        ``"@py"``, ``"@ivi"``, another installed VISA backend, or the path of a VISA library.
    timeout_s : float
        Maximum wait for a connection, for a write, and (unless a query specifies its own) for a reply.
    for_off : bool
        The link is opened to send OFF and nothing else; see `SerialLink`.
    """

    baud: int = 115200
    visa_library: str = PURE_PYTHON
    timeout_s: float = 3.0
    for_off: bool = False


def open_link(address: str, options: LinkOptions | None = None) -> Link:
    """Open the link for an address.

    ``TCPIP::host::port::SOCKET``, ``socket://host:port``, ``ASRL<port>::INSTR``, a port name (``COM3``,
    ``/dev/ttyACM0``) and every other pyserial URL are byte streams and are opened directly. If another VISA
    library than pyvisa-py is selected, the VISA names among them are opened through it. All other VISA names
    (``GPIB0::24::INSTR``, ``USB0::...``, ``TCPIP::host::INSTR``) are opened through the VISA library.

    Raises
    ------
    SetupError
        If the address has no known form.
    LinkError
        If it cannot be opened.
    """
    how = LinkOptions() if options is None else options
    kind, found = _kind(address.strip(), how)
    if kind == "socket":
        from hwlearn_drivers.transport.links.tcp_socket import SocketLink

        return SocketLink(found[0], int(found[1]), how.timeout_s)
    if kind == "visa":
        # takes a second to import, and not every bench needs it
        from hwlearn_drivers.transport.links.visa import VisaLink

        return VisaLink(found[0], how.visa_library, how.baud, how.timeout_s)
    return _serial(found[0], how)


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
    text = address.strip()
    kind, found = _kind(text, how)
    if kind == "socket":
        import hwlearn_drivers.transport.links.tcp_socket

        try:
            socket.getaddrinfo(found[0], int(found[1]))
        except OSError as error:
            raise LinkError(f"the host of {address} is unknown: {error}") from error
    elif kind == "visa":
        import hwlearn_drivers.transport.links.visa
    else:
        import hwlearn_drivers.transport.links.serial_port  # noqa: F401


def _kind(text: str, how: LinkOptions) -> tuple[str, tuple[str, ...]]:
    """Return the kind of link for an address (``socket``, ``serial`` or ``visa``) and what it is opened with."""
    direct = how.visa_library == PURE_PYTHON
    if found := _SOCKET_URL.fullmatch(text) or (direct and _SOCKET.fullmatch(text)):
        return "socket", (found[1].strip("[]"), found[2])
    if direct and (found := _ASRL.fullmatch(text)):
        return "serial", (_port_name(found[1]),)
    if _VISA.fullmatch(text) or _ASRL.fullmatch(text):
        return "visa", (text,)
    if "://" in text or text.startswith("/") or re.fullmatch(r"(?:\\\\\.\\)?COM\d+", text, re.IGNORECASE):
        return "serial", (text,)
    raise SetupError(
        f"{text!r} is not an address; write for example GPIB0::24::INSTR, TCPIP::192.168.0.5::5025::SOCKET, "
        "/dev/ttyACM0, COM3 or socket://192.168.0.5:5025"
    )


def _serial(port: str, how: LinkOptions) -> Link:
    from hwlearn_drivers.transport.links.serial_port import SerialLink

    return SerialLink(port, how.baud, how.timeout_s, for_off=how.for_off)


def _port_name(board: str) -> str:
    """Return the port name of ``ASRL<board>``; a plain number means a COM port (Windows)."""
    return f"COM{board}" if board.isdigit() else board
