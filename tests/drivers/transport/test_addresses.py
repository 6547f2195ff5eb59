"""`open_link` for every form of address, `VisaLink`, and discovery without opening anything."""

import sys

import pytest
import pyvisa
from pyvisa.constants import StatusCode

from hwlearn.errors import SetupError
from hwlearn_drivers.errors import LinkError, LinkTimeout, UnknownInstrumentError
from hwlearn_drivers.instrument import discovery
from hwlearn_drivers.transport.addresses import LinkOptions, open_link
from hwlearn_drivers.transport.blocks import encode_block
from hwlearn_drivers.transport.links.serial_port import SerialLink
from hwlearn_drivers.transport.links.tcp_socket import SocketLink
from hwlearn_drivers.transport.links.visa import VisaLink
from hwlearn_drivers.transport.transport import Transport

QUICK = LinkOptions(timeout_s=2.0)


def echo(line):
    return line.lower().encode() + b"\n" if line.endswith("?") else None


@pytest.mark.parametrize("form", ["visa", "url"])
def test_socket_opens_by_visa_name_and_url(responder, form):
    link = open_link(getattr(responder(echo), form), QUICK)
    assert isinstance(link, SocketLink)
    link.write(b"ONE?\n")
    assert link.read_line(2.0) == b"one?"
    link.close()
    link.close()


@pytest.mark.parametrize("form", ["{}", "ASRL{}::INSTR", "asrl{}"])
def test_serial_port_opens_by_device_and_visa_name(pty_responder, form):
    link = open_link(form.format(pty_responder(lambda line: line.lower() + b"\n")), QUICK)
    assert isinstance(link, SerialLink)
    link.write(b"ONE?\n")
    assert link.read_line(2.0) == b"one?"
    assert not link.unread()
    link.close()
    link.close()


def test_serial_port_opens_by_url():
    link = open_link("loop://", QUICK)
    assert isinstance(link, SerialLink)
    link.write(b"ONE?\nTWO?\n")
    assert link.unread()
    assert link.read_line(2.0) == b"ONE?"
    assert link.read_exactly(3, 2.0) == b"TWO"
    assert link.drain(0.05, 1.0) == b"?\n"
    with pytest.raises(LinkTimeout):
        link.read_line(0.1)
    link.close()


def test_closed_serial_port_raises_link_error(pty_responder):
    link = open_link(pty_responder(lambda line: None), QUICK)
    link.close()
    for use in (lambda: link.write(b"x\n"), lambda: link.read_line(0.1), link.unread):
        with pytest.raises(LinkError):
            use()


@pytest.mark.parametrize("address", ["", "24", "GPIB", "TCPIP", "COM", "instrument", "http:/x"])
def test_invalid_address_is_rejected(address):
    with pytest.raises(SetupError, match="is not an address; write for example"):
        open_link(address)


@pytest.mark.parametrize(
    "address", ["socket://127.0.0.1:1", "/dev/no-such-port", "TCPIP::127.0.0.1::1::SOCKET", "COM250"]
)
def test_unreachable_address_raises_link_error(address):
    with pytest.raises(LinkError, match=r"cannot (connect to|open)"):
        open_link(address, QUICK)


def test_other_visa_library_opens_every_visa_name(mocker):
    opened = mocker.patch("hwlearn_drivers.transport.links.visa.pyvisa.ResourceManager")
    open_link("TCPIP::10.0.0.1::5025::SOCKET", LinkOptions(visa_library="@ivi"))
    open_link("ASRL3::INSTR", LinkOptions(visa_library="@ivi", baud=9600))
    open_link("GPIB0::24::INSTR", LinkOptions(visa_library="@ivi"))
    assert [call.args for call in opened.call_args_list] == [("@ivi",)] * 3
    assert opened.return_value.open_resource.return_value.baud_rate == 9600


def test_missing_visa_library_is_named():
    with pytest.raises(LinkError, match="'@nosuch'"):
        open_link("GPIB0::24::INSTR", LinkOptions(visa_library="@nosuch"))


def test_visa_link_exchanges_messages_over_a_socket(responder):
    data = bytes(range(256)) * 100
    device = responder(lambda line: encode_block(data) + b"\n" if line == "DATA?" else echo(line))
    transport = Transport("visa", lambda: VisaLink(device.visa, "@py", 9600, 2.0), timeout_s=5.0)
    assert transport.query("ONE?") == "one?"
    assert transport.query_block("DATA?") == data
    assert transport.query("TWO?") == "two?"
    transport.write("A", "B")
    assert transport.query("THREE?") == "three?"
    assert device.heard[-3:] == ["A", "B", "THREE?"]
    with pytest.raises(LinkTimeout):
        transport.query("SILENCE", timeout_s=0.1)
    transport.close()
    transport.close()


def test_visa_link_resynchronises_a_socket(responder):
    def answer(line):
        if line.startswith("*ESE ") and "?" in line:
            return line.split()[1].split(";")[0].encode() + b"\n"
        return b"late\n" if line == "MORE" else None if line == "LOST?" else echo(line)

    device = responder(answer)
    transport = Transport("visa", lambda: VisaLink(device.visa, "@py", 9600, 2.0), timeout_s=5.0)
    with pytest.raises(LinkTimeout):
        transport.query("LOST?", timeout_s=0.1)
    transport.write("MORE")
    assert transport.query("ONE?") == "one?"
    transport.close()


def test_dropped_visa_connection_raises_link_error(responder):
    device = responder(echo)
    link = VisaLink(device.visa, "@py", 9600, 2.0)
    link.write(b"HERE?\n")  # so that the peer has accepted the connection before it closes
    link.read_line(2.0)
    device.refuse()

    def exchange():
        link.write(b"ONE?\n")  # the first bytes into a dead connection may still be accepted
        link.read_line(0.2)
        link.write(b"TWO?\n")

    with pytest.raises(LinkError):
        exchange()
    link.close()


class Bus:
    """A VISA library with one GPIB instrument; each message has its end mark."""

    def __init__(self, replies):
        self.replies, self.sent, self.cleared = list(replies), [], 0

    def write(self, session, data):
        self.sent.append(data)
        return len(data), StatusCode.success

    def read(self, session, count):
        if not self.replies:
            raise pyvisa.VisaIOError(StatusCode.error_timeout)
        message = self.replies.pop(0)
        if len(message) > count:
            self.replies.insert(0, message[count:])
            return message[:count], StatusCode.success_max_count_read
        return message, StatusCode.success


@pytest.fixture
def gpib(mocker):
    """Return a function that opens a GPIB link whose instrument has the given replies ready."""

    def make(*replies):
        bus = Bus(replies)
        manager = mocker.patch("hwlearn_drivers.transport.links.visa.pyvisa.ResourceManager").return_value
        resource = manager.open_resource.return_value
        resource.visalib, resource.session = bus, 1
        resource.clear.side_effect = lambda: setattr(bus, "cleared", bus.cleared + 1)
        return bus, open_link("GPIB0::24::INSTR", QUICK)

    return make


def test_bus_messages_have_separate_ends(gpib):
    long = b"7" * 50_000
    bus, link = gpib(b"one\r\n", encode_block(b"\n1\n2") + b"\n", long + b"\n")
    assert link.has_clear
    link.write_messages([b"A\n", b"B\n"])
    assert bus.sent == [b"A\n", b"B\n"]
    assert link.read_line(1.0) == b"one"
    assert link.read_exactly(7, 1.0) == b"#14\n1\n2"
    assert link.read_line(1.0) == b""
    assert link.read_line(1.0) == long
    with pytest.raises(LinkTimeout):
        link.read_line(1.0)


def test_bus_timeout_is_followed_by_a_device_clear(gpib):
    bus, link = gpib()
    transport = Transport("gpib", lambda: link, timeout_s=0.01)
    with pytest.raises(LinkTimeout):
        transport.query("SLOW?")
    bus.replies = []

    def write(session, data):
        bus.sent.append(data)
        if data.startswith(b"*ESE") and b"?" in data:
            bus.replies.append(data.split()[1].split(b";")[0] + b"\n")
        if data == b"ONE?\n":
            bus.replies.append(b"one\n")
        return len(data), StatusCode.success

    bus.write = write
    assert transport.query("ONE?") == "one"
    assert bus.cleared == 1


# --- discovery ------------------------------------------------------------------------------------


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
    manager = mocker.patch("hwlearn_drivers.instrument.discovery.pyvisa.ResourceManager").return_value
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


@pytest.mark.skipif(sys.platform != "linux", reason="reads ports as files on Linux only")
def test_pyserial_is_used_where_ports_are_not_files(pty_responder):
    link = open_link(pty_responder(lambda line: line.lower() + b"\n"), QUICK)
    link._fd = -1
    link.write(b"ONE?\n")
    assert link.read_line(2.0) == b"one?"
    link.close()
