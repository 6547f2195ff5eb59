"""`SerialLink`: closed ports, and systems without direct access to the port."""

import sys

import pytest

from hwlearn_drivers.errors import LinkError
from hwlearn_drivers.transport.addresses import LinkOptions, open_link

QUICK = LinkOptions(timeout_s=2.0)


def test_closed_serial_port_raises_link_error(pty_responder):
    link = open_link(pty_responder(lambda line: None), QUICK)
    link.close()
    for use in (lambda: link.write(b"x\n"), lambda: link.read_line(0.1), link.unread):
        with pytest.raises(LinkError):
            use()


@pytest.mark.skipif(sys.platform != "linux", reason="reads ports as files on Linux only")
def test_pyserial_is_used_where_ports_are_not_files(pty_responder):
    link = open_link(pty_responder(lambda line: line.lower() + b"\n"), QUICK)
    link._fd = -1
    link.write(b"ONE?\n")
    assert link.read_line(2.0) == b"one?"
    link.close()
