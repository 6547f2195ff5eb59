"""Keys of claims: spellings of one address have the same key, and so has an instrument behind two addresses."""

from __future__ import annotations

import ipaddress
import re
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import parse_qs, urlsplit

from hwlearn_drivers.address import Address, parse_address, wrapped_port

_IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_COM: Final = re.compile(r"COM\d+")
_NO_SERIAL: Final = frozenset({"", "0", "NONE", "N/A", "NA", "UNKNOWN", "XXXXXXX"})
"""What instruments without a serial number report: it does not tell two of them apart."""


@dataclass(frozen=True, slots=True)
class AddressKey:
    """What an address leads to.

    Attributes
    ----------
    text : str
        The same for all spellings of one address.
    exclusive : bool
        Whether the link admits one client, by its kind: a serial port or USB. Some sockets do too, which is not
        known before.
    alone : bool
        Whether only the address is claimed, and not the instrument behind it. It is so for loopback addresses and
        pseudo-terminals: virtual instruments share serial numbers.
    adapter : str
        Key of the adapter that the instrument is behind; one process at a time uses it. Else empty.
    """

    text: str
    exclusive: bool = False
    alone: bool = False
    adapter: str = ""


def address_key(address: str) -> AddressKey | None:
    """Return the key of an address; None if nothing else can be behind the same address (``loop://``).

    Host names are resolved. The names of a serial port are resolved to its device.

    Raises
    ------
    SetupError
        If the address has no known form; see `hwlearn_drivers.address.parse_address`.

    Examples
    --------
    >>> address_key("TCPIP::192.168.0.5::5025::SOCKET") == address_key("socket://192.168.0.5:5025")
    True
    >>> address_key("GPIB::24").text
    'gpib:0:24'
    """
    found = parse_address(address)
    if found.kind == "socket":
        return _network(found.host, f":{found.port}")
    if found.kind == "lan":
        return _network(found.host, f"/{found.port or ''}{found.device.lower()}")
    if found.kind == "gpib":
        return AddressKey("gpib:" + ":".join(map(str, found.numbers)))
    if found.kind == "adapter":
        own = address_key(found.adapter)
        where = found.adapter if own is None else own.text
        text = f"{where}/gpib:{':'.join(map(str, found.numbers))}"
        return AddressKey(text, own is not None and own.exclusive, own is None or own.alone, where)
    if found.kind == "usb":
        vendor, product, interface = found.numbers
        where = f"usb:{vendor:04x}:{product:04x}:{found.serial.upper()}"
        return AddressKey(f"{where}:{interface}" if interface else where, exclusive=True)
    if found.kind == "serial":
        return _serial(found.device)
    if found.kind == "url":
        return _by_url(found)
    return AddressKey(f"other:{found.text.upper()}")


def instrument_key(model: str, serial: str) -> str | None:
    """Return the key of an instrument; None if it reports no serial number.

    Examples
    --------
    >>> instrument_key("MODEL 2400", "1234567")
    'instrument:2400:1234567'
    """
    number = serial.strip().upper()
    if number in _NO_SERIAL:
        return None
    kind = re.sub(r"^MODEL\s+", "", model.strip().upper())
    return f"instrument:{kind}:{number}"


def _by_url(found: Address) -> AddressKey | None:
    scheme = found.device
    if scheme == "loop":
        return None
    if found.host:
        return _network(found.host, f":{found.port}")
    if scheme == "hwgrep":
        return _found_by_pyserial(found.text.partition("://")[2])
    if port := wrapped_port(found):
        return _serial(port)
    try:
        parts = urlsplit(found.text)
        query = "&".join(f"{key}={','.join(value)}" for key, value in sorted(parse_qs(parts.query).items()))
        text = f"{scheme}://{parts.netloc}{parts.path}?{query}"
    except ValueError:  # brackets that are no IPv6 address
        text = found.text
    return AddressKey(f"url:{text}", exclusive=True)


def _found_by_pyserial(pattern: str) -> AddressKey:
    from serial.tools import list_ports

    try:
        ports = sorted(port.device for port in list_ports.grep(pattern.partition("&")[0]))
    except re.error:  # the link cannot be opened either
        ports = []
    return _serial(ports[0]) if ports else AddressKey(f"url:hwgrep://{pattern}", exclusive=True)


def _serial(port: str) -> AddressKey:
    if _COM.fullmatch(port):
        return AddressKey(f"serial:{port}", exclusive=True)
    device = str(Path(port).resolve()) if port.startswith("/") else port
    # a Mac lists each port twice, as cu.name and tty.name
    device = re.sub(r"^/dev/(?:cu|tty)\.", "/dev/cu.", device) if sys.platform == "darwin" else device
    virtual = device.startswith("/dev/pts/") or re.fullmatch(r"/dev/ttys\d+", device) is not None
    return AddressKey(f"serial:{device}", exclusive=True, alone=virtual)


def _network(host: str, rest: str) -> AddressKey:
    found = _resolved(host)
    return AddressKey(f"net:{found}{rest}", alone=found == "127.0.0.1")


def _resolved(host: str) -> str:
    """Return the IP address of a host, one for all of them; 127.0.0.1 for every loopback address."""
    try:
        found = {ipaddress.ip_address(host.partition("%")[0])}
    except ValueError:
        try:
            found = {
                ipaddress.ip_address(str(info[4][0]).partition("%")[0])
                for info in socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
            }
        except (OSError, UnicodeError):  # the link cannot be opened either
            return host
    if any(_plain(address).is_loopback for address in found):
        return "127.0.0.1"
    return str(min(map(_plain, found), key=lambda address: (address.version, int(address))))


def _plain(address: _IpAddress) -> _IpAddress:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped
