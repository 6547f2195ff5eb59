"""`open_link`: every form of address, and errors for invalid and unreachable ones."""

import pytest

from hwlearn.errors import SetupError
from hwlearn_drivers.errors import LinkError, LinkTimeout
from hwlearn_drivers.transport.addresses import LinkOptions, open_link
from hwlearn_drivers.transport.links.serial_port import SerialLink
from hwlearn_drivers.transport.links.tcp_socket import SocketLink

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
