"""`VisaLink`: over a socket with pyvisa-py, and on a bus."""

import pytest
import pyvisa
from pyvisa.constants import StatusCode

from hwlearn_drivers.errors import LinkError, LinkTimeout
from hwlearn_drivers.transport.addresses import LinkOptions, open_link
from hwlearn_drivers.transport.blocks import encode_block
from hwlearn_drivers.transport.links.visa import VisaLink
from hwlearn_drivers.transport.transport import Transport

QUICK = LinkOptions(timeout_s=2.0)


def echo(line):
    return line.lower().encode() + b"\n" if line.endswith("?") else None


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
