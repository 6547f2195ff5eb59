"""Discovery lists ports and resources without opening any; `identify` contacts one address."""

import pytest

from hwlearn_drivers.errors import LinkError, UnknownInstrumentError
from hwlearn_drivers.instrument import discovery
from hwlearn_drivers.transport.addresses import LinkOptions

QUICK = LinkOptions(timeout_s=2.0)


def echo(line):
    return line.lower().encode() + b"\n" if line.endswith("?") else None


def test_serial_ports_are_listed_with_usb_ids_and_not_opened(mocker):
    class Port:
        def __init__(self, device, vid=None, pid=None, serial=None):
            self.device, self.description, self.vid, self.pid = device, "board", vid, pid
            self.serial_number = serial

        def __lt__(self, other):
            return self.device < other.device

    ports = [Port("COM4", 0x2341, 0x42, "85735"), Port("COM3")]
    mocker.patch("hwlearn_drivers.instrument.discovery.list_ports.comports", return_value=ports)
    opened = mocker.patch("serial.serial_for_url")
    found = discovery.serial_ports()
    assert [(port.address, port.usb_id, port.serial) for port in found] == [
        ("COM3", None, None),
        ("COM4", "2341:0042", "85735"),
    ]
    opened.assert_not_called()


def test_bus_listing_does_not_use_the_network(mocker):
    call = mocker.patch("socket.socket", side_effect=AssertionError("the network was used"))
    assert isinstance(discovery.bus_resources(), list)
    call.assert_not_called()


def test_other_visa_library_lists_its_buses(mocker):
    manager = mocker.patch("pyvisa.ResourceManager").return_value
    manager.list_resources.return_value = ("USB0::1::2::3::INSTR", "GPIB0::24::INSTR")
    assert discovery.bus_resources("@ivi") == ["GPIB0::24::INSTR", "USB0::1::2::3::INSTR"]
    manager.open_resource.assert_not_called()
    manager.list_resources.side_effect = OSError("no driver")
    with pytest.raises(LinkError, match="cannot list"):
        discovery.bus_resources("@ivi")


def test_identify_queries_only_the_given_address(responder):
    given = responder(lambda line: b"KEITHLEY,MODEL 2400,1,1\n")
    other = responder(echo)
    assert discovery.identify(given.url, QUICK).model == "MODEL 2400"
    assert given.heard == ["*IDN?"]
    assert other.heard == []
    with pytest.raises(UnknownInstrumentError):
        discovery.identify(other.url, QUICK)


@pytest.mark.parametrize("reply", [None, b"\xfe\x00\n"])
def test_identify_on_a_serial_port_says_which_rates_to_try(pty_responder, reply):
    with pytest.raises(LinkError, match=r"understood at 115200 baud; try --baud 9600 \(2400 and 2600"):
        discovery.identify(pty_responder(lambda line: reply), LinkOptions(timeout_s=0.3))


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_identify_understands_every_line_end(pty_responder, end):
    port = pty_responder(lambda line: b"KEITHLEY,MODEL 2400,1,1" + end)
    assert discovery.identify(port, QUICK).model == "MODEL 2400"
