"""Packages from PyPI drive virtual scanners: DAQmon, FluidLab, QCoDeS, PyMeasure and PyICe.

They were written for the real instrument; they are independent readings of its manual.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest
from scanner_rig import served

DRIVE = b":SOUR:FUNC VOLT;:SOUR:VOLT 0.3;:OUTP 1"


@pytest.fixture
def daqmon():
    if sys.platform == "win32":
        pytest.skip("DAQmon opens a serial port: Windows has no pseudo-terminals")
    return pytest.importorskip("daqmon.instrument", reason="the package daqmon is not installed")


@pytest.fixture
def driver(daqmon) -> Iterator:
    with served(wire="pty") as bench:
        bench.instrument("smu").execute(DRIVE)
        yield from connected(daqmon, bench)


def connected(package, bench):
    made = package.HP34970A(port=bench.address("scan").removeprefix("ASRL").removesuffix("::INSTR"), timeout=5)
    made.open()
    yield made
    made.close()
    assert not len(bench.instrument("scan").errors)


def identity(daq):
    assert daq.idn().startswith("HEWLETT-PACKARD,34970A,0,")


def ranges(daq):
    daq.configure_dc_voltage([101, 102], "1", 0.2)
    assert float(daq.query_channel_range(102, "VOLT:DC")) == 1
    assert float(daq.query_channel_nplc(101, "VOLT:DC")) == 0.2
    daq.configure_dc_voltage([101], "auto", 10)
    assert float(daq.query_channel_nplc(101, "VOLT:DC")) == 10


def functions(daq):
    assert daq.query_channel_function(101).startswith('"VOLT')


def delays(daq):
    daq.set_channel_delay(102, 0.25)
    assert float(daq.query_channel_delay(102)) == 0.25


def scan_lists(daq):
    daq.set_scan_list([101, 115])
    assert daq.get_scan_channel_list() == "#210(@101,115)"


def triggers(daq):
    daq.set_scan_interval(1.5)
    daq.set_scan_count(3)
    assert (daq.query_trigger_source(), float(daq.query_trigger_timer())) == ("TIM", 1.5)
    assert float(daq.query_trigger_count()) == 3


def readings(daq):
    daq.configure_dc_voltage([101, 102, 115], "1", 1)
    daq.enable_channel_in_readings()
    daq.set_scan_count(2)
    daq.initiate_scan()
    assert daq.get_data_count() == 6
    found = daq.query_readings_with_channels("DATA:REM? 6")
    assert [channel for _, channel in found] == [101, 102, 115] * 2
    assert [volts for volts, _ in found[:3]] == pytest.approx([0.3, 0.2, 0.1], rel=0.01)
    daq.abort_scan()


def status(daq):
    daq.clear_status()
    daq.set_scan_list([102])
    daq.initiate_scan()
    assert daq.fetch_data() == [pytest.approx(0.2, rel=0.01)]


@pytest.mark.share(2)
@pytest.mark.parametrize(
    "act",
    [identity, ranges, functions, delays, scan_lists, triggers, readings, status],
    ids=lambda act: act.__name__,
)
def test_daqmon_drives_the_virtual_34970a(driver, act):
    act(driver)


def wire_of(interface, address):
    """Return a socket as an interface of FluidLab; it polls for the service request."""
    _, host, port, _ = address.split("::")

    class Wire(interface):
        def _open(self):
            self._socket = socket.create_connection((host, int(port)), timeout=5)
            self._lines = self._socket.makefile("r", encoding="ascii")

        def _close(self):
            self._lines.close()
            self._socket.close()

        def _write(self, text):
            self._socket.sendall(text.encode("ascii") + b"\n")

        def _query(self, text, **_):
            self._write(text)
            return self._lines.readline().strip()

        def wait_for_srq(self, timeout):
            assert int(self.query("*STB?")) & 64, "the scan is over: the request must be there"

    return Wire()


def test_fluidlab_scans_the_virtual_34970a():
    package = pytest.importorskip(
        "fluidlab.instruments.multiplexer.agilent_34970a", reason="the package fluidlab is not installed"
    )
    with served() as bench:
        bench.instrument("smu").execute(DRIVE)
        wire = wire_of(pytest.importorskip("fluidlab.interfaces").QueryInterface, bench.address("scan"))
        wire.open()
        scanner = package.Agilent34970a(wire)
        scanner.set_range(102, True, 1)
        scanner.set_nplc(101, 10)
        found = scanner.vdc.get([101, 102, 115])
        wire.close()
        assert list(found) == pytest.approx([0.3, 0.2, 0.1], rel=0.01)
        assert bench.instrument("scan").channels[101].nplc == 10
        assert bench.instrument("scan").channels[101].autorange
        assert bench.instrument("scan").channels[102].range_V == 1
        assert not len(bench.instrument("scan").errors)


@pytest.mark.filterwarnings("ignore")  # deprecations of QCoDeS and its dependencies
def test_qcodes_finds_the_cards_of_a_34980a_and_opens_its_channels(tmp_path, monkeypatch):
    monkeypatch.setenv("QCODES_USER_PATH", str(tmp_path))
    qcodes = pytest.importorskip("qcodes.instrument_drivers.Keysight.keysight_34980a", reason="no QCoDeS")
    with served(model="34980A", cards={1: "34921A", 8: "34922A"}, nodes={1001: 1}) as bench:
        scanner = bench.instrument("scan")
        scanner.execute(b"ROUT:CLOS (@1001,8070)")
        switch = qcodes.Keysight34980A("switch", bench.address("scan"), visalib="@py")
        assert switch.get_idn()["model"] == "34980A"
        found = {slot: info["model"] for slot, info in switch.system_slots_info.items()}
        assert found == {1: "34921A", 8: "34922A"}
        switch.disconnect_all(8)
        assert scanner.closed == {1001}
        switch.disconnect_all()
        assert not scanner.closed
        assert switch.get_error() == '+0,"No error"'
        switch.close()


@pytest.mark.filterwarnings("ignore")  # deprecations of PyMeasure and its dependencies
def test_pymeasure_finds_the_modules_of_a_2700_and_closes_its_channels():
    keithley = pytest.importorskip("pymeasure.instruments.keithley", reason="no PyMeasure")
    with served(model="2700", cards={1: "7700"}) as bench:
        scanner = bench.instrument("scan")
        address = bench.address("scan")
        wire = {"visa_library": "@py", "write_termination": "\n", "read_termination": "\n", "timeout": 5000}
        driver = keithley.Keithley2700(address, **wire)
        assert [str(card).strip() for card in driver.options] == ["7700", "NONE"]
        driver.open_all_channels()
        driver.CLIST_VALUES.extend(range(101, 121))  # it knows the channels of a 7709 only
        driver.closed_channels = [102]
        assert scanner.closed == {102}
        assert driver.closed_channels == [102]
        driver.open_channels = [102]
        assert not scanner.closed
        driver.display_text = "SCANNING"
        driver.text_enabled = True
        assert (driver.display_text, driver.text_enabled) == ("SCANNING", True)
        driver.beep(440, 0.1)
        driver.reset()
        driver.check_errors()
        assert not len(scanner.errors)
        driver.adapter.close()


@pytest.mark.filterwarnings("ignore")  # deprecations of PyICe and its dependencies
def test_pyice_scans_the_virtual_daq970a(capsys):
    pyice = pytest.importorskip(
        "PyICe.lab_instruments.daq970a_instruments", reason="the packages pyice-adi and labcomm are not installed"
    )
    interfaces = pytest.importorskip("PyICe.lab_interfaces")
    with served(model="DAQ970A", cards={1: "DAQM901A"}) as bench:
        bench.instrument("smu").execute(DRIVE)
        wire = interfaces.interface_factory().get_visa_interface(bench.address("scan"), timeout=5)
        wire.visaInterface.read_termination = wire.visaInterface.write_termination = "\n"
        daq = pyice.agilent_a970a_20ch(wire, 1)
        daq.add_channel_dc_voltage("first", 1, NPLC=10, range=1, high_z=True, delay=0.005, disable_autozero=False)
        daq.add_channel_dc_voltage("second", 2, NPLC=1, range=10, high_z=False)
        daq.add_channel_range_readback("range", daq.get_channel("second"))
        assert wire.ask("*OPC?") == "1"
        channels = bench.instrument("scan").channels
        assert (channels[101].range_V, channels[101].nplc, channels[101].set_delay_s) == (1.0, 10.0, 0.005)
        assert (channels[101].high_impedance, channels[101].autozero) == (True, True)
        assert (channels[102].range_V, channels[102].nplc, channels[102].high_impedance) == (10.0, 1.0, False)
        found = daq.read_delegated_channel_list([daq.get_channel(name) for name in ("first", "second")])
        assert [found[name] for name in ("first", "second")] == pytest.approx([0.3, 0.2], rel=0.01)
        assert daq.read_channel("range") == 10.0
        assert [int(count) for count in wire.ask("SYST:REL:CYCL? (@101,103)").split(",")] == [1, 0]
        assert not len(bench.instrument("scan").errors)
        wire.visaInterface.close()


@pytest.mark.filterwarnings("ignore")  # deprecations of PyMeasure and its dependencies
def test_pymeasure_reads_the_closed_channel_of_a_daq6510():
    keithley = pytest.importorskip("pymeasure.instruments.keithley", reason="no PyMeasure")
    with served(model="DAQ6510", cards={1: "7700"}) as bench:
        bench.instrument("smu").execute(DRIVE)
        scanner = bench.instrument("scan")
        wire = {"visa_library": "@py", "write_termination": "\n", "read_termination": "\n", "timeout": 5000}
        driver = keithley.KeithleyDAQ6510(bench.address("scan"), **wire)
        assert "MODEL DAQ6510" in driver.id
        driver.measure_voltage(nplc=0.5, voltage=10, auto_range=False)
        assert (driver.voltage_range, driver.voltage_nplc) == (10.0, 0.5)
        for channel, volts in ((101, 0.3), (102, 0.2)):
            driver.close_channel(channel)
            assert driver.ask("*OPC?").strip() == "1"
            assert scanner.closed == {channel}
            assert driver.voltage == pytest.approx(volts, rel=0.01)
            driver.open_channels([channel])
        driver.measure_voltage()
        driver.close_channel(115)
        assert driver.voltage == pytest.approx(0.1, rel=0.02)
        driver.beep(440, 0.1)
        driver.reset()
        driver.check_errors()
        assert not scanner.closed
        assert not len(scanner.errors)
        driver.adapter.close()


def test_messages_of_public_programs_scan_a_daq6510():
    """As examples of Tektronix, nemocrys, PythonEquipmentDrivers and CMStkModLab send them, with their replies."""
    with served(model="DAQ6510", cards={1: "7700"}) as bench:
        bench.instrument("smu").execute(DRIVE)
        scanner = bench.instrument("scan")
        for message in (
            b"*RST",
            b'FUNC "VOLT", (@101:102)',
            b"SENS:VOLT:RANG 1, (@101:102)",
            b"SENS:VOLT:INP MOHM10, (@101:102)",
            b"SENS:VOLT:NPLC 1, (@101:102)",
            b"ROUT:CHAN:DEL 0.001, (@101,102)",
            b"ROUTe:SCAN:CRE (@101,102)",
            b"ROUT:SCAN:COUN:SCAN 2",
            b"TRAC:CLE",
            b"INIT",
            b"*WAI",
        ):
            assert scanner.execute(message) == b"", message
        assert scanner.execute(b":SYST:CARD1:IDN?").startswith(b"7700,20Ch Mux w/CJC")
        assert scanner.execute(b"ROUT:SCAN?") == b"(@101:102)\n"
        assert scanner.execute(b"Sense:Function? (@101,102)") == b'"VOLT:DC";"VOLT:DC"\n'
        assert scanner.execute(b"ROUT:SCAN:COUN:STEP?") == b"2\n"
        assert scanner.execute(b'TRACe:ACTual? "defbuffer1"') == b"4\n"
        fields = scanner.execute(b'TRAC:DATA? 1,4,"defbuffer1", CHAN, READ').split(b",")
        assert [int(text) for text in fields[::2]] == [101, 102, 101, 102]
        assert [float(text) for text in fields[1::2]] == pytest.approx([0.3, 0.2, 0.3, 0.2], rel=0.01)
        assert not len(scanner.errors)
