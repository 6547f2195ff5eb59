"""`SerialLink`: closed ports, and systems without direct access to the port."""

import os
import subprocess
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


POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no ptys")


@POSIX
def test_port_is_opened_exclusively_and_its_users_are_named(pty_responder):
    port = pty_responder(lambda line: line)
    code = (
        "import sys; from hwlearn_drivers.transport.addresses import open_link; link = open_link(sys.argv[1]);"
        "print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, port]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout.readline() == "open\n"
        with pytest.raises(LinkError) as raised:
            open_link(port)
        if sys.platform == "linux":
            assert f"process {user.pid} (python" in str(raised.value)
        with pytest.raises(LinkError):
            open_link(port)
        off = open_link(port, LinkOptions(for_off=True))  # OFF goes out whoever has the port open
        off.write(b"OFF\n")
        off.close()
        user.stdin.close()
        user.wait()
    link = open_link(port)
    link.write(b"hello\n")
    link.close()


@POSIX
def test_port_keeps_dtr_when_it_is_closed(pty_responder):
    import termios

    port = pty_responder(lambda line: line)
    with open(port, "rb", buffering=0) as file:  # noqa: PTH123
        settings = termios.tcgetattr(file)
        settings[2] |= termios.HUPCL
        termios.tcsetattr(file, termios.TCSANOW, settings)
        open_link(port).close()
        assert not termios.tcgetattr(file)[2] & termios.HUPCL


@pytest.mark.parametrize("for_off", [False, True])
def test_on_windows_dtr_is_low_before_a_port_is_opened_to_send_off(mocker, monkeypatch, for_off):
    port = mocker.Mock(spec=["dtr", "exclusive", "open", "close", "reset_input_buffer", "fileno"], dtr=True)
    port.open.side_effect = lambda: seen.append((port.dtr, port.exclusive))
    port.exclusive, seen = None, []
    made = mocker.patch("serial.serial_for_url", return_value=port)
    monkeypatch.setattr("hwlearn_drivers.transport.links.serial_port.sys.platform", "win32")
    open_link("COM3", LinkOptions(for_off=for_off)).close()
    assert made.call_args.kwargs["do_not_open"]
    assert seen == [(not for_off, None if for_off else True)]


@POSIX
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("wire", ["tcp", "pty"])
def test_forked_child_does_not_keep_the_link_of_its_parent(responder, pty_responder, wire):
    address = responder(lambda line: b"yes\n").url if wire == "tcp" else pty_responder(lambda line: b"yes\n")
    link = open_link(address)
    read, write = os.pipe()
    running, runs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        os.write(runs, b"x")
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    try:
        os.read(running, 1)  # a child closes what it inherited before it does anything else
        link.write(b"still there?\n")
        assert link.read_line(5.0) == b"yes"
        link.close()
        open_link(address).close()  # a lock that the child holds would prevent it
    finally:
        for end in (write, running, runs):
            os.close(end)
        os.waitpid(child, 0)
