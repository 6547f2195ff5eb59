"""Listing of each bus: why one is empty, and bad devices that do not hide others."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from hwlearn_drivers.instrument import buses
from hwlearn_drivers.instrument.buses import NO_GPIB, NO_LIBUSB, NO_PYUSB, list_buses
from hwlearn_drivers.instrument.discovery import bus_resources


class NoBackendError(ValueError):
    """As ``usb.core.NoBackendError``."""


class USBError(OSError):
    """As ``usb.core.USBError``."""


class Device:
    """A USB device with one interface; ``error`` is raised when its serial number is read."""

    def __init__(self, vendor, product, serial="1", kind=(0xFE, 3), error=None, broken=False):
        self.idVendor, self.idProduct = vendor, product
        self._serial, self._kind, self._error, self._broken = serial, kind, error, broken

    def __iter__(self):
        if self._broken:
            raise USBError(5, "Input/Output Error")
        return iter([[SimpleNamespace(bInterfaceClass=self._kind[0], bInterfaceSubClass=self._kind[1])]])

    @property
    def serial_number(self):
        if self._error is not None:
            raise self._error
        return self._serial


GOOD = Device(0x05E6, 0x2450, "04012345")


@pytest.fixture
def usb(monkeypatch):
    """Return a function that installs a PyUSB which finds devices or raises an error."""

    def install(devices=(), error=None):
        def find(**_):
            if error is not None:
                raise error
            return iter(devices)

        core = ModuleType("usb.core")
        core.find, core.NoBackendError, core.USBError = find, NoBackendError, USBError
        monkeypatch.setitem(sys.modules, "usb", ModuleType("usb"))
        monkeypatch.setitem(sys.modules, "usb.core", core)

    return install


def bus(name):
    return next(found for found in list_buses() if found.name == name)


def test_missing_pyusb_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "usb.core", None)
    assert bus("USB").missing == NO_PYUSB


@pytest.mark.parametrize("package", [None, "finds nothing"])
def test_missing_libusb_is_said(usb, monkeypatch, package):
    usb(error=NoBackendError("No backend available"))
    module = None
    if package is not None:
        module = ModuleType("libusb_package")
        module.find = lambda **_: (_ for _ in ()).throw(NoBackendError("none"))
    monkeypatch.setitem(sys.modules, "libusb_package", module)
    assert bus("USB").missing == NO_LIBUSB


def test_libusb_package_is_used_where_the_system_has_no_libusb(usb, monkeypatch):
    usb(error=NoBackendError("No backend available"))
    module = ModuleType("libusb_package")
    module.find = lambda **_: [GOOD]
    monkeypatch.setitem(sys.modules, "libusb_package", module)
    assert bus("USB").addresses == ("USB0::0x05E6::0x2450::04012345::INSTR",)


BAD = {
    "no permission": (Device(0x05E6, 0x2636, error=USBError(13, "Access denied")), "udev rule"),
    "no language": (Device(0x05E6, 0x2636, error=ValueError("The device has no langid")), "udev rule"),
    "unplugged": (Device(0x05E6, 0x2636, error=USBError(19, "No such device")), "No such device"),
    "no serial number": (Device(0x05E6, 0x2636, serial=None), "no serial number"),
    "not implemented": (Device(0x05E6, 0x2636, error=NotImplementedError()), "NotImplementedError"),
    "no descriptor": (Device(0x05E6, 0x2636, broken=True), "Input/Output Error"),
    "anything": (Device(0x05E6, 0x2636, error=RuntimeError("two\nlines")), "two lines"),
}


@pytest.mark.parametrize(("bad", "words"), BAD.values(), ids=BAD)
def test_bad_device_is_named_and_hides_no_other(usb, bad, words):
    usb([bad, GOOD, Device(0x2A8D, 0x9501, "MY1")])
    found = bus("USB")
    assert found.addresses == ("USB0::0x05E6::0x2450::04012345::INSTR", "USB0::0x2A8D::0x9501::MY1::INSTR")
    (problem,) = found.problems
    assert "05e6:2636" in problem
    assert words in problem
    assert len(problem.splitlines()) == 1


def test_device_that_is_no_instrument_is_not_worth_a_message(usb):
    network = Device(0x0BDA, 0x8153, kind=(0xFF, 0xFF), error=USBError(13, "Access denied"))
    usb([network, Device(0x046D, 0xC52B, kind=(3, 1)), GOOD])
    assert bus("USB") == buses.Bus("USB", ("USB0::0x05E6::0x2450::04012345::INSTR",))


def test_raw_device_is_listed(usb):
    usb([Device(0x1234, 0x5678, "7", kind=(0xFF, 0))])
    assert bus("USB").addresses == ("USB0::0x1234::0x5678::7::RAW",)


def test_bus_that_fails_does_not_hide_the_other(usb, monkeypatch):
    usb(error=USBError(5, "Input/Output Error"))
    monkeypatch.setattr(buses, "_gpib", lambda: buses.Bus("GPIB", ("GPIB0::24::INSTR",)))
    first, second = list_buses()
    assert "Input/Output Error" in first.problems[0]
    assert second.addresses == ("GPIB0::24::INSTR",)
    assert bus_resources() == ["GPIB0::24::INSTR"]


def test_missing_gpib_library_is_said(monkeypatch):
    for name in ("gpib", "gpib_ctypes", "gpib_ctypes.gpib"):
        monkeypatch.setitem(sys.modules, name, None)
    assert bus("GPIB").missing == NO_GPIB


def test_each_bus_of_another_library_is_asked_alone(mocker):
    manager = mocker.patch("pyvisa.ResourceManager").return_value

    def listed(pattern):
        if pattern.startswith("USB"):
            raise OSError(13, "Permission denied")
        return ("GPIB0::24::INSTR",) if pattern.startswith("GPIB") else ()

    manager.list_resources.side_effect = listed
    found = {one.name: one for one in list_buses("@ivi")}
    assert found["GPIB"].addresses == ("GPIB0::24::INSTR",)
    assert "Permission denied" in found["USB"].problems[0]
    assert found["PXI"] == buses.Bus("PXI")


def test_missing_library_is_one_line(mocker):
    mocker.patch("pyvisa.ResourceManager", side_effect=ValueError("Could not locate\na VISA implementation"))
    (found,) = list_buses("@ivi")
    (problem,) = found.problems
    assert "the VISA library '@ivi' cannot be opened: Could not locate a VISA implementation" in problem
