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

_IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_SOCKET: Final = re.compile(r"TCPIP\d*::([^:\s]+|\[[^\]\s]+\])::(\d+)::SOCKET", re.IGNORECASE)
_LAN: Final = re.compile(r"TCPIP\d*::([^:\s]+|\[[^\]\s]+\])(?:::([^:\s]+))??(?:::INSTR)?", re.IGNORECASE)
_GPIB: Final = re.compile(r"GPIB(\d*)::(\d+)(?:::(\d+))?(?:::INSTR)?", re.IGNORECASE)
_USB: Final = re.compile(
    r"USB\d*::(0x[0-9a-f]+|\d+)::(0x[0-9a-f]+|\d+)::([^:]+)(?:::(\d+))?(?:::(INSTR|RAW))?", re.IGNORECASE
)
_ASRL: Final = re.compile(r"ASRL(.+?)(?:::INSTR)?", re.IGNORECASE)
_COM: Final = re.compile(r"(?:\\\\\.\\)?(COM\d+)", re.IGNORECASE)
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
    """

    text: str
    exclusive: bool = False
    alone: bool = False


def address_key(address: str) -> AddressKey | None:
    """Return the key of an address; None if nothing else can be behind the same address (``loop://``).

    Host names are resolved. The names of a serial port are resolved to its device.

    Examples
    --------
    >>> address_key("TCPIP::192.168.0.5::5025::SOCKET") == address_key("socket://192.168.0.5:5025")
    True
    >>> address_key("GPIB::24").text
    'gpib:0:24'
    """
    text = address.strip()
    if found := _SOCKET.fullmatch(text):
        return _network(found[1], f":{int(found[2])}")
    if found := _GPIB.fullmatch(text):
        second = "" if found[3] is None else f":{int(found[3])}"
        return AddressKey(f"gpib:{int(found[1] or 0)}:{int(found[2])}{second}")
    if found := _USB.fullmatch(text):
        interface = f":{int(found[4])}" if found[4] and int(found[4]) else ""
        return AddressKey(
            f"usb:{int(found[1], 0):04x}:{int(found[2], 0):04x}:{found[3].upper()}{interface}", exclusive=True
        )
    if found := _LAN.fullmatch(text):
        return _network(found[1], f"/{(found[2] or 'inst0').lower()}")
    if found := _ASRL.fullmatch(text):
        return _serial(f"COM{found[1]}" if found[1].isdigit() else found[1])
    if "://" in text:
        return _by_url(text)
    if text.startswith("/") or _COM.fullmatch(text):
        return _serial(text)
    return AddressKey(f"other:{text.upper()}")


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


def _by_url(url: str) -> AddressKey | None:
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    if scheme == "loop":
        return None
    if scheme in ("socket", "rfc2217") and parts.hostname and parts.port:
        return _network(parts.hostname, f":{parts.port}")
    if scheme == "hwgrep":
        return _found_by_pyserial(url.partition("://")[2])
    if scheme in ("spy", "alt"):  # wrappers of pyserial around a port
        return _serial(parts.netloc + parts.path)
    query = "&".join(f"{key}={','.join(value)}" for key, value in sorted(parse_qs(parts.query).items()))
    return AddressKey(f"url:{scheme}://{parts.netloc}{parts.path}?{query}", exclusive=True)


def _found_by_pyserial(pattern: str) -> AddressKey:
    from serial.tools import list_ports

    ports = sorted(port.device for port in list_ports.grep(pattern.partition("&")[0]))
    return _serial(ports[0]) if ports else AddressKey(f"url:hwgrep://{pattern}", exclusive=True)


def _serial(port: str) -> AddressKey:
    if found := _COM.fullmatch(port):
        return AddressKey(f"serial:{found[1].upper()}", exclusive=True)
    device = str(Path(port).resolve()) if port.startswith("/") else port
    # a Mac lists each port twice, as cu.name and tty.name
    device = re.sub(r"^/dev/(?:cu|tty)\.", "/dev/cu.", device) if sys.platform == "darwin" else device
    virtual = device.startswith("/dev/pts/") or re.fullmatch(r"/dev/ttys\d+", device) is not None
    return AddressKey(f"serial:{device}", exclusive=True, alone=virtual)


def _network(host: str, rest: str) -> AddressKey:
    found = _resolved(host.strip("[]"))
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
            return host.lower().rstrip(".")
    if any(_plain(address).is_loopback for address in found):
        return "127.0.0.1"
    return str(min(map(_plain, found), key=lambda address: (address.version, int(address))))


def _plain(address: _IpAddress) -> _IpAddress:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped
