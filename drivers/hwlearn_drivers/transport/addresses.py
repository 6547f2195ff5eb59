"""`open_link`: opens the link for an address such as ``COM3`` or ``GPIB0::24::INSTR``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hwlearn.errors import SetupError
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
    """

    baud: int = 115200
    visa_library: str = PURE_PYTHON
    timeout_s: float = 3.0


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
    text = address.strip()
    direct = how.visa_library == PURE_PYTHON
    if found := _SOCKET_URL.fullmatch(text) or (direct and _SOCKET.fullmatch(text)):
        from hwlearn_drivers.transport.links.tcp_socket import SocketLink

        return SocketLink(found[1].strip("[]"), int(found[2]), how.timeout_s)
    if direct and (found := _ASRL.fullmatch(text)):
        return _serial(_port_name(found[1]), how)
    if _VISA.fullmatch(text) or _ASRL.fullmatch(text):
        # takes a second to import, and not every bench needs it
        from hwlearn_drivers.transport.links.visa import VisaLink

        return VisaLink(text, how.visa_library, how.baud, how.timeout_s)
    if "://" in text or text.startswith("/") or re.fullmatch(r"(?:\\\\\.\\)?COM\d+", text, re.IGNORECASE):
        return _serial(text, how)
    raise SetupError(
        f"{address!r} is not an address; write for example GPIB0::24::INSTR, TCPIP::192.168.0.5::5025::SOCKET, "
        "/dev/ttyACM0, COM3 or socket://192.168.0.5:5025"
    )


def _serial(port: str, how: LinkOptions) -> Link:
    from hwlearn_drivers.transport.links.serial_port import SerialLink

    return SerialLink(port, how.baud, how.timeout_s)


def _port_name(board: str) -> str:
    """Return the port name of ``ASRL<board>``; a plain number means a COM port (Windows)."""
    return f"COM{board}" if board.isdigit() else board
