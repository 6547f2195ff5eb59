"""`VisaLink`: over a socket with pyvisa-py, and on a bus."""

import contextlib

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


class LostDevice(Exception):
    """An exception that a VISA backend has for itself, such as ``usb.core.USBError``."""


ERRORS = {
    "VISA": lambda: pyvisa.VisaIOError(StatusCode.error_connection_lost),
    "VISA type": lambda: pyvisa.errors.VisaTypeError("wrong type"),
    "session": lambda: pyvisa.errors.InvalidSession,
    "socket": lambda: ConnectionResetError(104, "Connection reset by peer"),
    "broken pipe": lambda: BrokenPipeError(32, "Broken pipe"),
    "USB": lambda: LostDevice("[Errno 19] No such device"),
    "RPC": lambda: EOFError(),
    "value": lambda: ValueError("two\nlines"),
    "attribute": lambda: AttributeError("'NoneType' object has no attribute 'send'"),
    "runtime": lambda: RuntimeError(""),
    "key": lambda: KeyError(7),
    "ctypes": lambda: OSError("exception: access violation reading 0x0000000000000008"),
}  # fmt: skip


class Faulty:
    """A VISA resource of which one call fails."""

    def __init__(self, call, error):
        object.__setattr__(self, "call", call)
        object.__setattr__(self, "error", error)
        object.__setattr__(self, "session", 1)
        object.__setattr__(self, "closed", 0)

    @property
    def visalib(self):
        return self

    def ignore_warning(self, *_):
        return contextlib.nullcontext()

    def write(self, session, data):
        self.fail("write")
        return len(data), StatusCode.success

    def read(self, session, count):
        self.fail("read")
        return b"#3100" + bytes(100) + b"\n", StatusCode.success

    def clear(self):
        self.fail("clear")

    def close(self):
        object.__setattr__(self, "closed", self.closed + 1)
        self.fail("close")

    def fail(self, call):
        if call == self.call:
            raise self.error()

    def __setattr__(self, name, value):
        self.fail(name)
        object.__setattr__(self, name, value)


def use(link):
    link.write(b"A?\n")
    link.read_line(0.5)
    if link.has_clear:
        link.clear()
    link.drain(0.01, 0.05)
    link.write_messages([b"A\n", b"B\n"])
    link.read_exactly(80, 0.7)


@pytest.mark.share(24)
@pytest.mark.parametrize("call", ["write", "read", "clear", "timeout", "read_termination", "close"])
@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_every_error_of_every_call_of_a_library_is_a_link_error_of_one_line(mocker, call, error):
    address = "TCPIP0::10.0.0.1::5025::SOCKET" if call == "read_termination" else "GPIB0::24::INSTR"
    resource = Faulty("", error)
    manager = mocker.patch("hwlearn_drivers.transport.links.visa.pyvisa.ResourceManager").return_value
    manager.open_resource.return_value = resource
    link = open_link(address, LinkOptions(timeout_s=2.0, visa_library="@ivi"))
    object.__setattr__(resource, "call", call)
    if call == "close":
        use(link)
    else:
        with pytest.raises(LinkError) as translated:
            use(link)
        assert address in str(translated.value)
        assert len(str(translated.value).splitlines()) == 1
    link.close()
    link.close()
    assert resource.closed == 2


@pytest.mark.parametrize("call", ["baud_rate", "read_termination", "write_termination", "timeout"])
def test_error_while_a_resource_is_set_up_closes_it(mocker, call):
    resource = Faulty(call, ERRORS["USB"])
    manager = mocker.patch("hwlearn_drivers.transport.links.visa.pyvisa.ResourceManager").return_value
    manager.open_resource.return_value = resource
    with pytest.raises(LinkError, match=r"cannot open ASRL3::INSTR with .* '@ivi': .*No such device"):
        open_link("ASRL3::INSTR", LinkOptions(visa_library="@ivi"))
    assert resource.closed == 1


@pytest.mark.parametrize(
    "error", [NotImplementedError, lambda: pyvisa.VisaIOError(StatusCode.error_nonsupported_operation)]
)
def test_backend_without_device_clear_is_resynchronised_by_the_fence(gpib, error):
    bus, link = gpib()
    link._resource.clear.side_effect = lambda: (_ for _ in ()).throw(error())
    transport = Transport("gpib", lambda: link, timeout_s=0.05)
    with pytest.raises(LinkTimeout):
        transport.query("SLOW?")

    def write(session, data):
        if data.startswith(b"*ESE") and b"?" in data:
            bus.replies.append(data.split()[1].split(b";")[0] + b"\n")
        elif b"?" in data:
            bus.replies.append(data.lower())
        return len(data), StatusCode.success

    bus.write = write
    assert transport.query("ONE?") == "one?"
    assert not link.has_clear
    assert link._resource.clear.call_count == 1
