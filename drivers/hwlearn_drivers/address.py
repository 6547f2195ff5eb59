"""`parse_address`: reads every form of address of an instrument, and gives each one spelling.

Forms: VISA resource names (VPP-4.3, "VISA Library", section 4.3.1, "Address String Grammar"), names of serial
ports, URLs of pyserial, and GPIB addresses behind a Prologix or AR488 adapter
(``PROLOGIX::/dev/ttyUSB0::GPIB::24``). An address that could be read in two ways is refused: an IPv4 address with
leading zeros is octal for some programs and decimal for others.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
from dataclasses import dataclass
from typing import Final, Literal, NoReturn, TypeAlias

from hwlearn.errors import SetupError

AddressKind: TypeAlias = Literal["socket", "lan", "gpib", "usb", "serial", "url", "visa", "adapter"]

EXAMPLES: Final = (
    "GPIB0::24::INSTR, TCPIP::192.168.0.5::5025::SOCKET, /dev/ttyACM0, COM3 or socket://192.168.0.5:5025"
)

_GPIB_MOST: Final = 30
"""Largest primary and secondary address on GPIB (IEEE 488.1; 31 means no talker and no listener)."""

_PORT_MOST: Final = 65535

_ADAPTER_PORT: Final = 1234
"""TCP port of a Prologix GPIB-ETHERNET controller (Prologix GPIB-ETHERNET Controller User Manual, section 5)."""

_DIGITS: Final = r"[0-9]{1,9}"
_INTERFACE: Final = re.compile(r"(GPIB|USB|TCPIP|PXI|VXI|VICP|PRLGX-[A-Z]+)([0-9]*)::(.+)", re.IGNORECASE)
_ADAPTER: Final = re.compile(
    r"(?:PROLOGIX|AR488)::(.+?)::GPIB0?::([0-9]{1,9}(?:::[0-9]{1,9})?)(?:::INSTR)?", re.IGNORECASE
)
_ASRL: Final = re.compile(r"ASRL(.+?)(?:::INSTR)?", re.IGNORECASE)
_COM: Final = re.compile(r"(?:\\\\\.\\)?COM([0-9]{1,5})", re.IGNORECASE)
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)")
_AUTHORITY: Final = re.compile(r"(\[[^\]]*\]|[^:/?#\[\]]*)(?::([0-9]*))?(/?)(\?.*)?")
_LAN_DEVICE: Final = re.compile(r"(inst|hislip|gpib)([0-9]+)(,.*)?", re.IGNORECASE)
_NUMBER: Final = re.compile(r"0x[0-9a-f]+|[0-9]+", re.IGNORECASE)
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_WRONG_SCHEMES: Final = ("http", "https", "ftp", "file", "ssh", "telnet", "visa")


@dataclass(frozen=True, slots=True)
class Address:
    """An address, taken apart.

    Attributes
    ----------
    text : str
        The one spelling of this address; `parse_address` of it gives the same address again.
    kind : str
        ``socket`` (raw TCP), ``lan`` (VXI-11, HiSLIP), ``gpib``, ``usb``, ``serial``, ``url`` (another URL of
        pyserial), ``visa`` (another resource of a VISA library) or ``adapter`` (GPIB behind a Prologix adapter).
    is_visa : bool
        Whether it is a VISA resource name.
    host : str
        Of ``socket``, ``lan``, and URLs with a host: without brackets; else empty.
    port : int
        TCP port; 0 without.
    device : str
        Serial port; name of the LAN device; scheme of a URL; else empty.
    numbers : tuple of int
        GPIB: board, primary and perhaps secondary address. USB: vendor, product and interface. Behind an adapter:
        primary and perhaps secondary address.
    serial : str
        Serial number of a USB instrument.
    adapter : str
        Address of the adapter that the instrument is behind; else empty.
    """

    text: str
    kind: AddressKind
    is_visa: bool = False
    host: str = ""
    port: int = 0
    device: str = ""
    numbers: tuple[int, ...] = ()
    serial: str = ""
    adapter: str = ""


def parse_address(address: str) -> Address:
    r"""Return an address taken apart, with its one spelling.

    Raises
    ------
    SetupError
        If it has no known form, or a part of it is impossible or ambiguous.

    Examples
    --------
    >>> parse_address("gpib::05").text
    'GPIB0::5::INSTR'
    >>> parse_address(" socket://SMU.lab.:05025/ ").text
    'socket://smu.lab:5025'
    >>> parse_address(r"\\.\com3").text
    'COM3'
    >>> parse_address("prologix::192.168.0.7::gpib::024").text
    'PROLOGIX::192.168.0.7::1234::GPIB::24::INSTR'
    """
    text = address.strip()
    url = _URL.fullmatch(text)
    spaced = url is not None and url[1].lower() == "hwgrep"  # a pattern may contain spaces
    wrong = next((c for c in text if not c.isprintable() or (c.isspace() and not (spaced and c == " "))), None)
    if wrong is not None:
        _refuse(address, f"contains {'a space' if wrong == ' ' else ascii(wrong)}; remove it")
    if url is not None:
        return _parse_url(text, url[1].lower(), url[2])
    if found := _COM.fullmatch(text):
        port = f"COM{_com_number(address, found[1])}"
        return Address(port, "serial", device=port)
    if text.startswith("/"):
        device = _path(text)
        return Address(device, "serial", device=device)
    if found := _ASRL.fullmatch(text):
        return _parse_asrl(address, found[1])
    if text.upper().startswith(("PROLOGIX::", "AR488::")):
        return _parse_adapter(text)
    if found := _INTERFACE.fullmatch(text):
        board = (
            int(found[2] or 0) if len(found[2]) < 10 else _refuse(address, "has a board number that is too large")
        )
        return _parse_interface(address, found[1].upper(), board, found[3])
    hint = f", or /dev/{text}" if text.lower().startswith(("tty", "cu.")) else ""
    raise SetupError(f"{address!r} is not an address; write for example {EXAMPLES}{hint}")


def normal_address(address: str) -> str:
    """Return the one spelling of an address.

    Raises
    ------
    SetupError
        As `parse_address`.
    """
    return parse_address(address).text


def spelled_once(address: str) -> str:
    """Return the one spelling of an address, for a bench file; an address that is refused later stays as it is."""
    try:
        return normal_address(address)
    except SetupError:
        return address


def wrapped_port(address: Address) -> str:
    """Return the local serial port behind a URL that wraps one (``spy://``, ``alt://``); empty for others.

    Examples
    --------
    >>> wrapped_port(parse_address("spy:///dev/ttyUSB0?file=x.txt"))
    '/dev/ttyUSB0'
    """
    if address.kind != "url" or address.device not in ("spy", "alt"):
        return ""
    port = address.text.partition("://")[2].partition("?")[0].partition("#")[0]
    if found := _COM.fullmatch(port):
        return f"COM{int(found[1])}"
    return _path(port) if port.startswith("/") else port


def _refuse(address: str, why: str) -> NoReturn:
    raise SetupError(f"the address {address!r} {why}")


# --- URLs -------------------------------------------------------------------------------------------


def _parse_url(text: str, scheme: str, rest: str) -> Address:
    if scheme in _WRONG_SCHEMES:
        _refuse(text, f"has the scheme {scheme}://, which is none for instruments; write for example {EXAMPLES}")
    if not rest and scheme != "loop":
        _refuse(text, f"has nothing after {scheme}://; write for example {EXAMPLES}")
    if scheme not in ("socket", "rfc2217"):
        return Address(f"{scheme}://{rest}", "url", device=scheme)
    found = _AUTHORITY.fullmatch(rest)
    if found is None or not found[2]:
        _refuse(
            text,
            f"must be {scheme}://HOST:PORT, such as {scheme}://192.168.0.5:5025 or {scheme}://[fe80::1]:5025",
        )
    host, port = _host(text, found[1]), _port(text, found[2])
    shown = f"{scheme}://{_bracketed(host)}:{port}"
    if scheme == "socket" and not found[4]:
        return Address(shown, "socket", host=host, port=port)
    return Address(
        f"{shown}{found[3]}{found[4]}" if found[4] else shown, "url", host=host, port=port, device=scheme
    )


# --- serial ports -----------------------------------------------------------------------------------


def _path(text: str) -> str:
    return "/" + posixpath.normpath(text).lstrip("/")


def _com_number(address: str, digits: str) -> int:
    number = int(digits)
    if number < 1:
        _refuse(address, "has port number 0; serial ports of Windows begin with COM1")
    return number


def _parse_asrl(address: str, name: str) -> Address:
    if re.fullmatch(_DIGITS, name):
        number = _com_number(address, name)
        return Address(f"ASRL{number}::INSTR", "serial", is_visa=True, device=f"COM{number}")
    if found := _COM.fullmatch(name):
        number = _com_number(address, found[1])
        return Address(f"ASRLCOM{number}::INSTR", "serial", is_visa=True, device=f"COM{number}")
    if not name.startswith("/") or "::" in name:
        _refuse(address, "is no serial port; write ASRL3::INSTR, ASRL/dev/ttyUSB0::INSTR or /dev/ttyUSB0")
    device = _path(name)
    return Address(f"ASRL{device}::INSTR", "serial", is_visa=True, device=device)


# --- VISA resource names ----------------------------------------------------------------------------


def _parse_interface(address: str, interface: str, board: int, rest: str) -> Address:
    fields = _fields(rest)
    last = fields[-1].upper()
    if interface == "GPIB":
        return _parse_gpib(address, board, fields[:-1] if last == "INSTR" else fields)
    if interface == "USB":
        return _parse_usb(address, board, fields)
    if interface == "TCPIP":
        if last == "SOCKET":
            return _parse_socket(address, board, fields[:-1])
        return _parse_lan(address, board, fields[:-1] if last == "INSTR" else fields)
    if interface in ("PXI", "VXI"):
        return Address(f"{interface}{board}::{rest.upper()}", "visa", is_visa=True)
    return Address(f"{interface}{board}::{rest}", "visa", is_visa=True)


def _fields(rest: str) -> list[str]:
    """Split at ``::``, but not inside the brackets of an IPv6 address."""
    host, closing, behind = rest.partition("]")
    if not rest.startswith("[") or not closing:
        return rest.split("::")
    return [f"{host}]", *behind.removeprefix("::").split("::")] if behind else [f"{host}]"]


def _parse_gpib(address: str, board: int, fields: list[str]) -> Address:
    if not 1 <= len(fields) <= 2 or not all(re.fullmatch(_DIGITS, field) for field in fields):
        _refuse(
            address,
            "is no GPIB instrument; write GPIB0::24::INSTR, or GPIB0::24::1::INSTR with a secondary address",
        )
    numbers = _gpib_numbers(address, fields)
    text = "::".join([f"GPIB{board}", *map(str, numbers), "INSTR"])
    return Address(text, "gpib", is_visa=True, numbers=(board, *numbers))


def _gpib_numbers(address: str, fields: list[str]) -> tuple[int, ...]:
    numbers = tuple(int(field) for field in fields)
    for what, number in zip(("primary", "secondary"), numbers, strict=False):
        if number > _GPIB_MOST:
            _refuse(address, f"has the {what} address {number}; on GPIB it is 0 to {_GPIB_MOST}")
    return numbers


def _parse_usb(address: str, board: int, fields: list[str]) -> Address:
    kind = fields.pop().upper() if fields[-1].upper() in ("INSTR", "RAW") else "INSTR"
    ids = fields[:2]
    if (
        not 3 <= len(fields) <= 4
        or not all(_NUMBER.fullmatch(field) for field in (*ids, *fields[3:]))
        or not fields[2]
    ):
        _refuse(address, "is no USB instrument; write USB0::0x05E6::0x2450::SERIAL::INSTR")
    numbers = [int(field, 16 if field[:2].lower() == "0x" else 10) for field in (*ids, *fields[3:])]
    for number in numbers:
        if number > 0xFFFF:
            _refuse(address, f"has the number {number:#x}; vendor, product and interface are at most 0xFFFF")
    vendor, product, *interface = numbers
    number = interface[0] if interface else 0
    parts = [
        f"USB{board}",
        f"0x{vendor:04X}",
        f"0x{product:04X}",
        fields[2],
        *([str(number)] if number else []),
        kind,
    ]
    return Address("::".join(parts), "usb", is_visa=True, numbers=(vendor, product, number), serial=fields[2])


def _parse_socket(address: str, board: int, fields: list[str]) -> Address:
    if len(fields) != 2 or not re.fullmatch(r"[0-9]+", fields[1]):
        _refuse(address, "must be TCPIP::HOST::PORT::SOCKET, such as TCPIP::192.168.0.5::5025::SOCKET")
    host, port = _host(address, fields[0]), _port(address, fields[1])
    text = f"TCPIP{board}::{_bracketed(host)}::{port}::SOCKET"
    return Address(text, "socket", is_visa=True, host=host, port=port)


def _parse_lan(address: str, board: int, fields: list[str]) -> Address:
    if len(fields) == 2 and re.fullmatch(r"[0-9]+", fields[1]):
        _refuse(
            address, f"names {fields[1]} after the host; for a TCP port write TCPIP::HOST::{fields[1]}::SOCKET"
        )
    if not 1 <= len(fields) <= 2 or not fields[-1]:
        _refuse(address, "must be TCPIP::HOST::INSTR, TCPIP::HOST::hislip0::INSTR or TCPIP::HOST::PORT::SOCKET")
    # a port of the VXI-11 service: pyvisa-py takes it behind a comma, some other libraries behind a colon
    separator = ":" if fields[0].count(":") == 1 else ","
    name, mark, port = fields[0].partition(separator)
    host, device = _host(address, name), fields[1] if len(fields) == 2 else "inst0"
    if known := _LAN_DEVICE.fullmatch(device):
        device = f"{known[1].lower()}{int(known[2][:9])}{known[3] or ''}"
    at = _port(address, port) if mark else 0
    where = f"{_bracketed(host)}{mark}{at}" if at else _bracketed(host)
    text = f"TCPIP{board}::{where}::{device}::INSTR"
    return Address(text, "lan", is_visa=True, host=host, port=at, device=device)


# --- GPIB behind an adapter -------------------------------------------------------------------------


def _parse_adapter(address: str) -> Address:
    found = _ADAPTER.fullmatch(address)
    if found is None:
        _refuse(
            address,
            "is no instrument behind an adapter; write PROLOGIX::/dev/ttyUSB0::GPIB::24, PROLOGIX::COM3::GPIB::24 "
            "or PROLOGIX::192.168.0.7::GPIB::24",
        )
    numbers = _gpib_numbers(address, found[2].split("::"))
    where = found[1]
    if where.startswith("/") or "://" in where or _COM.fullmatch(where) or _ASRL.fullmatch(where):
        through = parse_address(where)
        shown = through.device if through.kind == "serial" else through.text
    else:
        fields = [*_fields(where), str(_ADAPTER_PORT)][:2]
        through = _parse_socket(address, 0, fields if len(_fields(where)) <= 2 else [])
        shown = f"{_bracketed(through.host)}::{through.port}"
    own = through.text if through.kind in ("socket", "url") else through.device
    text = "::".join(["PROLOGIX", shown, "GPIB", *map(str, numbers), "INSTR"])
    return Address(text, "adapter", numbers=numbers, adapter=own)


# --- hosts and ports --------------------------------------------------------------------------------


def _port(address: str, digits: str) -> int:
    number = int(digits) if re.fullmatch("0*[0-9]{1,5}", digits) else -1
    if not 1 <= number <= _PORT_MOST:
        _refuse(address, f"has the TCP port {digits}; ports are 1 to {_PORT_MOST}")
    return number


def _host(address: str, host: str) -> str:
    """Return the one spelling of a host: an IP address, or a name in small letters without a final dot."""
    if host.startswith("[") and host.endswith("]"):
        plain, mark, zone = host[1:-1].partition("%")
        try:
            return f"{ipaddress.IPv6Address(plain)}{mark}{zone}"
        except ValueError:
            _refuse(address, f"has the host {host}, which is no IPv6 address")
    if not host.isascii():
        _refuse(address, f"has the host {host!r}; write international names in their ASCII form, xn--...")
    name = host.lower().removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return _ipv4(address, labels)
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        _refuse(address, f"has the host {host!r}, which is no host name; IPv6 addresses need brackets, [fe80::1]")
    return name


def _ipv4(address: str, labels: list[str]) -> str:
    # with leading zeros, hexadecimal digits or fewer parts, programs disagree about what is meant
    host = ".".join(labels)
    if len(labels) != 4 or not all(re.fullmatch(r"[0-9]{1,10}", label) for label in labels):
        _refuse(address, f"has the host {host}, which is no IPv4 address; write four numbers, such as 192.168.0.5")
    plain = [str(int(label)) for label in labels]
    if any(int(label) > 255 for label in plain):
        _refuse(address, f"has the host {host}; each number of an IPv4 address is 0 to 255")
    if plain != labels:
        _refuse(
            address,
            f"has the host {host}; leading zeros make numbers octal for some programs, write {'.'.join(plain)}",
        )
    return host


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
