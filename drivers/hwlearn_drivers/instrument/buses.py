"""Lists the instruments on each bus of a VISA library without opening any; a bad one does not hide others."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, Final

import pyvisa

from hwlearn.errors import SetupError
from hwlearn_drivers.address import normal_address
from hwlearn_drivers.transport.addresses import PURE_PYTHON

_TMC: Final = (0xFE, 3)
"""Class and subclass of a USB interface for instruments (USBTMC 1.0, table 43)."""

_VENDOR: Final = 0xFF
_PATTERNS: Final = {"USB": "USB?*", "GPIB": "GPIB?*", "PXI": "PXI?*", "VXI": "VXI?*"}

NO_PYUSB: Final = "cannot look: PyUSB is not installed; pip install pyusb"
NO_LIBUSB: Final = (
    "cannot look: PyUSB finds no libusb; install libusb 1.0 with the packages of the system, or pip install "
    "libusb-package"
)
NO_GPIB: Final = (
    "cannot look: there is no GPIB library; install linux-gpib, or gpib-ctypes and the driver of the interface, "
    "or name the vendor's VISA library with --visa-library"
)
_FORBIDDEN: Final = "this user may not open it; on Linux a udev rule must allow it"


@dataclass(frozen=True, slots=True)
class Bus:
    """What was found on a bus.

    Attributes
    ----------
    name : str
        ``USB``, ``GPIB``, ...
    addresses : tuple of str
    missing : str
        Why the bus cannot be looked at; empty if it was.
    problems : tuple of str
        What failed on the bus: one text for each device that cannot be identified.
    """

    name: str
    addresses: tuple[str, ...] = ()
    missing: str = ""
    problems: tuple[str, ...] = ()


def list_buses(library: str = PURE_PYTHON) -> list[Bus]:
    """Return what is on each bus that a VISA library reaches; the network is not searched.

    Never raises: a bus that cannot be looked at has the reason in its result.
    """
    if library == PURE_PYTHON:
        return [_checked("USB", _usb), _checked("GPIB", _gpib)]
    try:
        manager = pyvisa.ResourceManager(library)
    except Exception as error:  # every backend raises exceptions of its own
        text = f"cannot look: the VISA library {library!r} cannot be opened: {_text(error)}"
        return [Bus("VISA", problems=(text,))]

    def listed(name: str) -> Bus:
        return Bus(
            name, tuple(sorted(n for n in manager.list_resources(_PATTERNS[name]) if n.upper().startswith(name)))
        )

    return [_checked(name, partial(listed, name)) for name in _PATTERNS]


def _checked(name: str, look: Callable[[], Bus]) -> Bus:
    try:
        return look()
    except Exception as error:
        return Bus(name, problems=(f"cannot look: {_text(error)}",))


# --- USB --------------------------------------------------------------------------------------------


def _usb() -> Bus:
    try:
        core = import_module("usb.core")
    except ImportError:
        return Bus("USB", missing=NO_PYUSB)
    try:
        devices = _usb_devices(core)
    except core.NoBackendError:
        return Bus("USB", missing=NO_LIBUSB)
    addresses, problems = [], []
    for device in devices:
        try:
            suffix = _usb_kind(device)
            if suffix:
                addresses.append(_usb_address(device, suffix))
        except Exception as error:  # PyUSB passes on errors of libusb and of descriptors
            if not _is_other(device):
                problems.append(f"{_usb_name(device)} cannot be identified: {_text(error)}")
    return Bus("USB", tuple(sorted(addresses)), problems=tuple(problems))


def _usb_devices(core: Any) -> list[Any]:
    try:
        return list(core.find(find_all=True) or ())
    except core.NoBackendError:
        try:
            package = import_module("libusb_package")
        except ImportError:
            raise core.NoBackendError("no libusb") from None
        return list(package.find(find_all=True) or ())


def _usb_kind(device: Any) -> str:
    """Return the last part of the resource name of a device; empty if it is no instrument."""
    interfaces = [interface for configuration in device for interface in configuration]
    classes = {(interface.bInterfaceClass, interface.bInterfaceSubClass) for interface in interfaces}
    if _TMC in classes:
        return "INSTR"
    return "RAW" if any(kind == _VENDOR for kind, _ in classes) else ""


def _usb_address(device: Any, suffix: str) -> str:
    serial = device.serial_number
    if not serial:
        raise ValueError("it has no serial number")
    return _normal(f"USB0::0x{device.idVendor:04x}::0x{device.idProduct:04x}::{serial}::{suffix}")


def _is_other(device: Any) -> bool:
    """Whether a device that cannot be identified is none for instruments: it is not worth a message."""
    try:
        return _usb_kind(device) != "INSTR"
    except Exception:
        return False


def _usb_name(device: Any) -> str:
    try:
        return f"{device.idVendor:04x}:{device.idProduct:04x}"
    except Exception:
        return "a device"


# --- GPIB -------------------------------------------------------------------------------------------


def _gpib() -> Bus:
    if not any(_is_there(name) for name in ("gpib_ctypes.gpib", "gpib")):
        return Bus("GPIB", missing=NO_GPIB)
    sessions = import_module("pyvisa_py.sessions").Session
    import_module("pyvisa_py.highlevel")  # registers the sessions
    session = sessions.get_session_class(pyvisa.constants.InterfaceType.gpib, "INSTR")
    resources: Iterable[str] = session.list_resources()
    return Bus("GPIB", tuple(sorted(map(_normal, resources))))


def _is_there(module: str) -> bool:
    try:
        import_module(module)
    except Exception:  # a binding without its library raises what it likes
        return False
    return True


def _normal(name: str) -> str:
    try:
        return normal_address(name)
    except SetupError:
        return name


def _text(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.EACCES, errno.EPERM) or "langid" in text:  # PyUSB without permission to read strings
        return f"{_FORBIDDEN} ({text})"
    return text
