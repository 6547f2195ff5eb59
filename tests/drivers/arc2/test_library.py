"""Interface to the vendor's library: its real signatures, and errors if something is missing."""

import builtins
import importlib
import inspect
import sys
from types import SimpleNamespace
from unittest.mock import DEFAULT

import numpy as np
import pytest
from arc2_rig import FakeInstrument, FakeLibrary, VendorError, world_of

from hwlearn.errors import SetupError
from hwlearn_drivers.arc2 import library as arc2_library
from hwlearn_drivers.arc2.calls import DryInstrument
from hwlearn_drivers.arc2.channel_limits import Arc2ChannelLimits
from hwlearn_drivers.arc2.instrument import Arc2
from hwlearn_drivers.errors import LinkError

METHODS = [name for name in vars(arc2_library.VendorInstrument) if not name.startswith("_")]


@pytest.fixture
def vendor():
    """Return the vendor's real module; these tests need no instrument."""
    return pytest.importorskip("pyarc2", reason="the vendor's library is an extra: pip install 'hwlearn[arc2]'")


@pytest.fixture
def firmware(tmp_path):
    path = tmp_path / "efm03.bin"
    path.write_bytes(b"never loaded")
    return path


def parameters(function):
    """Return (name, default) of each parameter; annotations and slashes do not matter."""
    return [(p.name, p.default) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("replacement", [FakeInstrument, DryInstrument, arc2_library.VendorInstrument])
def test_replacements_have_the_signatures_of_the_vendor(vendor, replacement, name):
    assert parameters(getattr(replacement, name)) == parameters(getattr(vendor.Instrument, name))


def test_constructor_has_the_signature_of_the_vendor(vendor):
    signature = inspect.signature(vendor.Instrument.__init__)
    assert list(signature.parameters) == ["self", "port", "firmware", "init"]
    assert vendor.DataMode.All
    assert vendor.ReadType.Voltage != vendor.ReadType.Current
    assert vendor.ControlMode.Internal != vendor.ControlMode.Header
    assert issubclass(vendor.ArC2Error, Exception)


def test_real_library_reports_that_no_instrument_is_connected(vendor, firmware):
    if vendor.find_ids():
        pytest.skip("an ArC TWO is connected")
    with pytest.raises(LinkError, match=r"no ArC TWO with number 0 on USB \(found none\); check"):
        arc2_library.open_vendor(arc2_library.load_library(), 0, firmware)


def test_error_of_the_real_library_is_a_link_error(vendor, firmware):
    if vendor.find_ids():
        pytest.skip("an ArC TWO is connected")
    with (
        pytest.raises(LinkError, match=r"library failed while opening: Invalid ArC2 device id: 63"),
        arc2_library.vendor_errors(vendor, "opening"),
    ):
        vendor.Instrument(63, str(firmware))


def specified(vendor, mocker, firmware):
    """Return a driver on a mock that refuses every call that the vendor's instrument refuses."""
    mock = mocker.create_autospec(vendor.Instrument, instance=True)
    for name in METHODS:  # autospec does not know the signatures of compiled methods, inspect does
        getattr(mock, name).side_effect = bound(getattr(vendor.Instrument, name))
    mock.busy.return_value = False
    mock.read_one.return_value = 1e-6
    mock.pulseread_one.return_value = 2e-6
    mock.pick_one.return_value = np.zeros(64, dtype=np.float32)
    library = SimpleNamespace(
        ArC2Error=vendor.ArC2Error,
        DataMode=vendor.DataMode,
        ReadType=vendor.ReadType,
        ControlMode=vendor.ControlMode,
        find_ids=mocker.create_autospec(vendor.find_ids, return_value=[3]),
        Instrument=mocker.create_autospec(vendor.Instrument, return_value=mock),
    )
    return Arc2.open(library, 3, firmware, Arc2ChannelLimits(1.0, 3.0)), mock, library


def bound(method):
    def check(*arguments, **keywords):
        inspect.signature(method).bind(None, *arguments, **keywords)
        return DEFAULT

    return check


def names(mock):
    return [call[0] for call in mock.method_calls]


def test_driver_calls_fit_the_signatures_of_the_vendor(vendor, mocker, firmware):
    arc, mock, library = specified(vendor, mocker, firmware)
    library.Instrument.assert_called_once_with(3, str(firmware), True)
    assert names(mock)[:2] == ["ground_all", "execute"], "0 V before anything else"
    with arc:
        mock.reset_mock()
        assert arc.read_crosspoint(16, 0, 0.1) == 1e-6
        mock.read_one.assert_called_once_with(16, 0, 0.1)
        mock.reset_mock()
        assert arc.pulse_crosspoint(16, 0, -2.0, 1e-6, 0.1) == 2e-6
        mock.pulseread_one.assert_called_once_with(16, 0, -2.0, 1000, 0.1)
        assert names(mock) == ["pulseread_one"], "a pulse is queued and executed within one call"
        mock.reset_mock()
        with arc.phase() as hold:
            hold({0: 0.5, 1: -0.5}, [16, 17], 1e-3, True)
        mock.config_channels.assert_called_once_with([(0, 0.5), (1, -0.5)], None)
        mock.open_channels.assert_called_once_with([16, 17])
        mock.vread_channels_deferred.assert_called_once_with([0, 1, 16, 17], True)
        mock.read_slice_open_deferred.assert_called_once_with([0, 1], False)
        assert [n for n in names(mock) if n != "busy"][-2:] == ["ground_all", "execute"]
        mock.reset_mock()
    assert names(mock) == ["ground_all", "execute"], "no query on the exit path"


def test_mock_refuses_invalid_calls(vendor, mocker, firmware):
    arc, mock, _ = specified(vendor, mocker, firmware)
    with arc, pytest.raises(TypeError):
        mock.read_one(1, 2)
    assert not hasattr(mock, "clear_queue")


# --- missing parts ---------------------------------------------------------------------------------


def test_missing_library_error_names_the_installation(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarc2", None)
    with pytest.raises(
        SetupError, match=r"needs the library pyarc2, which is not installed: pip install 'hwlearn\[arc2\]'"
    ):
        arc2_library.load_library()


def test_library_that_does_not_load_gives_the_reason(monkeypatch):
    def load(name):
        raise ImportError("libudev is missing")

    monkeypatch.setattr(importlib, "import_module", load)
    with pytest.raises(SetupError, match=r"cannot be loaded here \(libudev is missing\)"):
        arc2_library.load_library()


def test_driver_can_be_imported_without_the_library(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest, **more):
        assert not name.startswith("pyarc2")
        return real(name, *rest, **more)

    for module in [name for name in sys.modules if name.startswith("hwlearn_drivers.arc2.instrument")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(builtins, "__import__", refuse)
    importlib.import_module("hwlearn_drivers.arc2.backend")


def test_missing_firmware_is_an_error_before_any_call(tmp_path):
    world = world_of([[1e-5]])
    with pytest.raises(SetupError, match=r"backend\.firmware = '.*none\.bin' does not exist; give the firmware"):
        arc2_library.open_vendor(FakeLibrary(world), 0, tmp_path / "none.bin")
    assert not world.calls


def test_unknown_number_error_lists_the_connected_instruments(firmware):
    world = world_of([[1e-5]])
    world.numbers = [0, 1]
    with pytest.raises(LinkError, match=r"no ArC TWO with number 5 on USB \(found 0, 1\)"):
        arc2_library.open_vendor(FakeLibrary(world), 5, firmware)
    assert not world.opened


def test_refused_firmware_is_a_link_error(firmware):
    world = world_of([[1e-5]])
    world.fails["Instrument"] = [VendorError("Could not program FPGA")]
    with pytest.raises(LinkError, match=r"failed while opening ArC TWO 0 with efm03\.bin: Could not program FPGA"):
        arc2_library.open_vendor(FakeLibrary(world), 0, firmware)
