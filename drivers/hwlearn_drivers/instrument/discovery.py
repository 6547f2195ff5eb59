"""Lists serial ports and VISA resources without opening any; identifies the instrument at one address.

An unexpected ``*IDN?`` can disturb devices with another protocol, so only the given address is opened.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from serial.tools import list_ports

from hwlearn_drivers.errors import LinkError, UnknownInstrumentError
from hwlearn_drivers.instrument.buses import list_buses
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.transport.addresses import DEFAULT_BAUD, PURE_PYTHON, LinkOptions, is_serial
from hwlearn_drivers.transport.connector import Connector

_RATES: Final = "try --baud 9600 (2400 and 2600 from the factory), 115200 (edge card) or 1000000 (reference board)"


@dataclass(frozen=True, slots=True)
class SerialPort:
    """A serial port, as the operating system lists it.

    Attributes
    ----------
    address : str
        As `open_link` takes it.
    description : str
    usb_id : str or None
        Vendor and product, such as ``"2341:0042"``; None if the port is not on USB.
    serial : str or None
        Serial number of the USB device.
    """

    address: str
    description: str
    usb_id: str | None = None
    serial: str | None = None


def serial_ports() -> list[SerialPort]:
    """Return the serial ports, sorted by name, without opening any."""
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
    """Return the VISA resources on every bus; the network is not searched, because that sends messages.

    Raises
    ------
    LinkError
        If no bus can be looked at although the library is there.
    """
    buses = list_buses(library)
    found = sorted({address for bus in buses for address in bus.addresses})
    problems = [problem for bus in buses for problem in (*bus.problems, bus.missing) if problem]
    if not found and library != PURE_PYTHON and problems:
        raise LinkError(f"the VISA library {library!r} cannot list its resources: {problems[0]}")
    return found


def identify(address: str, options: LinkOptions | None = None) -> Identity:
    """Send ``*IDN?`` to an address and return the identity of the instrument.

    Raises
    ------
    SetupError
        If the address has no known form.
    InUseError
        If another process uses the instrument, which a query would disturb; nothing was sent.
    LinkError
        If the instrument does not answer.
    UnknownInstrumentError
        If the reply is not an identity.
    """
    how = LinkOptions() if options is None else options
    serial = is_serial(address)
    how = replace(how, any_line_end=serial)
    transport = Connector(how).transport(address, lambda: lambda message: None)
    try:
        return Identity.parse(transport.query("*IDN?"))
    except (LinkError, UnknownInstrumentError) as error:
        if not serial:
            raise
        baud = DEFAULT_BAUD if how.baud is None else how.baud
        raise type(error)(f"{error}; nothing was understood at {baud} baud; {_RATES}") from error
    finally:
        transport.close()
