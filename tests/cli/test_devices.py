"""``hwlearn devices`` lists ports without opening any, and identifies only given addresses."""

import json
import socket
import subprocess
import sys
import threading

import pytest
from serial.tools.list_ports_common import ListPortInfo
from typer.testing import CliRunner

from hwlearn.cli import app
from hwlearn_drivers.instrument.buses import NO_GPIB, Bus


@pytest.fixture(autouse=True)
def no_daq(monkeypatch):
    """A machine without the package for DAQ devices."""
    for name in ("nidaqmx", "nidaqmx.system", "nidaqmx.constants"):
        monkeypatch.setitem(sys.modules, name, None)


def run(*words):
    return CliRunner().invoke(app, ["devices", *words])


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def one_port(mocker):
    """A machine with one USB serial port and one USB resource; opening any link fails the test."""
    port = ListPortInfo("/dev/ttyACM7")
    port.description, port.vid, port.pid, port.serial_number = "Some board", 0x2341, 0x42, "X1"
    mocker.patch("hwlearn_drivers.instrument.discovery.list_ports.comports", return_value=[port])
    found = [Bus("USB", ("USB0::0x05E6::0x2450::1::INSTR",)), Bus("GPIB", missing=NO_GPIB)]
    mocker.patch("hwlearn_drivers.instrument.buses.list_buses", return_value=found)
    return mocker.patch("hwlearn_drivers.transport.connector.open_link", side_effect=AssertionError("opened"))


def test_listing_contacts_no_instrument(one_port):
    result = run("--json")
    assert result.exit_code == 0
    serial, bus, *buses = lines(result)
    assert serial == {
        "kind": "serial",
        "address": "/dev/ttyACM7",
        "description": "Some board",
        "usb_id": "2341:0042",
        "serial": "X1",
    }
    assert bus["address"] == "USB0::0x05E6::0x2450::1::INSTR"
    assert [(row["bus"], row["found"], "note" in row) for row in buses] == [
        ("serial", 1, False),
        ("USB", 1, False),
        ("GPIB", 0, True),
        ("DAQ", 0, True),
    ]
    assert "2341:0042" in run().stdout
    assert one_port.call_count == 0


def test_identify_contacts_only_the_given_address():
    listener = socket.create_server(("127.0.0.1", 0))
    heard = []

    def answer():
        link, _ = listener.accept()
        with link:
            heard.append(link.recv(100))
            link.sendall(b"KEITHLEY INSTRUMENTS INC.,MODEL 2400,1234567,C30\n")
            link.recv(1)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    address = f"TCPIP::127.0.0.1::{listener.getsockname()[1]}::SOCKET"
    result = run("--json", "--identify", address)
    thread.join(5)
    listener.close()
    assert result.exit_code == 0
    assert lines(result) == [
        {"address": address, "maker": "KEITHLEY INSTRUMENTS INC.", "model": "MODEL 2400", "serial": "1234567",
         "firmware": "C30"}
    ]  # fmt: skip
    assert heard == [b"*IDN?\n"]


def test_unreachable_address_is_reported_and_fails():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    result = run("--json", "--identify", f"socket://127.0.0.1:{free}")
    assert result.exit_code == 1
    assert "error" in lines(result)[0]


@pytest.mark.parametrize("words", [["--identify"], ["COM3"]])
def test_addresses_without_identify_are_rejected(words):
    result = run(*words)
    assert result.exit_code == 2
    assert "--identify" in result.stderr


def test_command_module_imports_no_instrument_library():
    program = "import sys, hwlearn_drivers.commands; print(sorted({'pyvisa', 'serial'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_addresses_have_one_name_in_the_help(hwlearn):
    assert "[ADDRESS]..." in "\n".join(hwlearn("devices", "--help").out)
    assert "[[" not in "\n".join(hwlearn("devices", "--help").out)


def test_each_bus_has_a_line_with_its_reason(mocker):
    mocker.patch("hwlearn_drivers.instrument.discovery.list_ports.comports", side_effect=OSError(13, "no /sys"))
    found = [
        Bus(
            "USB", ("USB0::0x05E6::0x2450::1::INSTR",), problems=("05e6:2636 cannot be identified: no permission",)
        ),
        Bus("GPIB", missing=NO_GPIB),
    ]
    mocker.patch("hwlearn_drivers.instrument.buses.list_buses", return_value=found)
    result = run()
    text = result.stdout.splitlines()
    assert result.exit_code == 1  # something failed
    assert any(line.startswith("serial") and "no /sys" in line for line in text)
    assert any(line.startswith("USB") and "1 found; 05e6:2636 cannot be identified" in line for line in text)
    assert any(line.startswith("GPIB") and NO_GPIB in line for line in text)
    assert any("USB0::0x05E6::0x2450::1::INSTR" in line for line in text)
    rows = [json.loads(line) for line in run("--json").stdout.splitlines()]
    assert [row["bus"] for row in rows if row["kind"] == "bus"] == ["serial", "USB", "GPIB", "DAQ"]


def test_nothing_to_find_is_no_failure_and_said_for_each_bus(mocker):
    mocker.patch("hwlearn_drivers.instrument.discovery.list_ports.comports", return_value=[])
    mocker.patch("hwlearn_drivers.instrument.buses.list_buses", return_value=[Bus("USB"), Bus("GPIB")])
    result = run()
    assert result.exit_code == 0
    assert result.stdout.count("0 found") == 3


def test_wrong_address_is_refused_before_any_is_opened(mocker):
    opened = mocker.patch("socket.create_connection")
    result = run("--identify", "socket://127.0.0.1:9", "socket://127.000.000.010:5025")
    assert result.exit_code == 2
    assert "write 127.0.0.10" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    opened.assert_not_called()


def test_missing_visa_library_that_was_asked_for_is_a_failure():
    result = run("--visa-library", "@nosuch")
    assert result.exit_code == 1
    assert "@nosuch" in result.stdout


class NidaqmxErrors:
    """The errors of `nidaqmx`."""

    class DaqError(Exception):
        """An error with a code."""


class Nidaqmx:
    """The part of `nidaqmx` that is asked for devices: one answers, one is not plugged in."""

    errors = NidaqmxErrors

    def __init__(self, fails=None):
        self.system, self.fails = self, fails
        self.System, self.devices = self, self
        self.product_type, self.serial_num, self.is_simulated = "USB-6211", 0x1C0FFEE, True

    def local(self):
        return self

    @property
    def device_names(self):
        if self.fails is not None:
            raise self.fails
        return ["Dev1", "Dev2"]

    def Device(self, name):
        if name == "Dev2":
            raise self.errors.DaqError("Device cannot be accessed.\n\nStatus Code: -201003")
        return self


def test_daq_devices_are_listed_with_product_and_serial_number(one_port, mocker):
    mocker.patch("hwlearn_drivers.daq.discovery.load_library", return_value=Nidaqmx())
    result = run("--json")
    assert result.exit_code == 0
    rows = [row for row in lines(result) if row["kind"] == "DAQ" or row.get("bus") == "DAQ"]
    assert rows == [
        {"kind": "DAQ", "address": "Dev1", "description": "NI USB-6211, simulated", "serial": "1C0FFEE"},
        {
            "kind": "DAQ",
            "address": "Dev2",
            "description": "not reachable: Device cannot be accessed.",
            "serial": None,
        },
        {"kind": "bus", "bus": "DAQ", "found": 2},
    ]


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        ("package", "cannot look: the package nidaqmx, which is not installed; install the package: pip install"),
        ("driver", "cannot look: Could not find an installation of NI-DAQmx; install the package"),
    ],
)
def test_missing_daq_package_or_driver_is_one_line_and_no_failure(one_port, mocker, missing, text):
    if missing == "driver":
        error = RuntimeError("Could not find an installation of NI-DAQmx. Please ensure that ...")
        mocker.patch("hwlearn_drivers.daq.discovery.load_library", return_value=Nidaqmx(error))
    result = run()
    assert result.exit_code == 0
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("DAQ")]
    assert text in line
