"""What is plugged in, found without saying a word to anything; and one question to one address.

A stray ``*IDN?`` upsets devices that speak another language, so nothing here talks to a port unless it was
told to.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyvisa
from pyvisa.constants import InterfaceType
from serial.tools import list_ports

from hwlearn_drivers.errors import LinkError
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.transport.addresses import PURE_PYTHON, LinkOptions, open_link
from hwlearn_drivers.transport.transport import Transport
from hwlearn_drivers.transport.wire_log import WireLog


@dataclass(frozen=True, slots=True)
class SerialPort:
    """A serial port, as the operating system knows it.

    Attributes
    ----------
    address : str
        What `open_link` takes.
    description : str
    usb_id : str or None
        ``"2341:0042"``: vendor and product; None where the port is not on USB.
    serial : str or None
        Serial number of the USB device.
    """

    address: str
    description: str
    usb_id: str | None = None
    serial: str | None = None


def serial_ports() -> list[SerialPort]:
    """Return the serial ports by name, without opening any."""
    return [
        SerialPort(
            port.device,
            port.description or "",
            None if port.vid is None else f"{port.vid:04x}:{port.pid:04x}",
            port.serial_number,
        )
        for port in sorted(list_ports.comports())
    ]


def bus_resources(library: str = PURE_PYTHON) -> list[str]:
    """Return the VISA resources on USB and GPIB; the network is not searched, as that means calling out.

    Raises
    ------
    LinkError
        If the VISA library cannot be opened.
    """
    try:
        if library == PURE_PYTHON:
            return _pure_python_resources()
        return sorted(pyvisa.ResourceManager(library).list_resources("(GPIB|USB|PXI|VXI)?*"))
    except Exception as error:  # every backend raises its own kinds
        raise LinkError(f"the VISA library {library!r} cannot list its resources: {error}") from error


def _pure_python_resources() -> list[str]:
    # pyvisa-py's own list calls out to the network as well, so its sessions are asked one by one
    from pyvisa_py.sessions import Session

    buses = (InterfaceType.usb, InterfaceType.gpib)
    found = [
        resource
        for (interface, _), session in Session.iter_valid_session_classes()
        if interface in buses
        for resource in session.list_resources()
    ]
    return sorted(found)


def identify(address: str, options: LinkOptions | None = None, wire_log: WireLog | None = None) -> Identity:
    """Ask the one instrument at an address who it is.

    Raises
    ------
    SetupError
        If the address is of no known form.
    LinkError
        If nothing answers there.
    UnknownInstrumentError
        If what answers does not know ``*IDN?``.
    """
    how = LinkOptions() if options is None else options
    transport = Transport(address, lambda: open_link(address, how), timeout_s=how.timeout_s, wire_log=wire_log)
    try:
        return Identity.parse(transport.query("*IDN?"))
    finally:
        transport.close()
