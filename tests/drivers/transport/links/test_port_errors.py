"""Serial ports that cannot be opened: the message says whether another program uses them, on every system."""

import errno
import os
import subprocess
import sys

import pytest
import serial

from hwlearn_drivers.errors import LinkError
from hwlearn_drivers.transport.addresses import LinkOptions, open_link
from hwlearn_drivers.transport.links.port_errors import open_failure, port_problem, users_of

QUICK = LinkOptions(timeout_s=2.0)
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no ptys")


def posix(number, text="could not open port"):
    """An error as pyserial raises it on Linux and macOS."""
    return serial.SerialException(number, f"{text} /dev/ttyUSB0: [Errno {number}] {os.strerror(number)}")


def windows(text):
    """An error as pyserial raises it on Windows: the error of the system is only in its text."""
    return serial.SerialException(f"could not open port 'COM3': {text}")


ERRORS = {
    "Linux, lock": ("linux", posix(errno.EAGAIN, "Could not exclusively lock port"), "in use"),
    "Linux, TIOCEXCL": ("linux", posix(errno.EBUSY), "in use"),
    "macOS, busy": ("darwin", posix(errno.EBUSY), "in use"),
    "number only in the text": ("linux", windows("[Errno 16] Device or resource busy"), "in use"),
    "Linux, group": ("linux", posix(errno.EACCES), "forbidden"),
    "macOS, permission": ("darwin", posix(errno.EPERM), "forbidden"),
    "Linux, unplugged": ("linux", posix(errno.ENOENT), "missing"),
    "Linux, driver gone": ("linux", posix(errno.ENXIO), "missing"),
    "Linux, no terminal": ("linux", windows("Could not configure port: (25, 'Inappropriate ioctl')"), "other"),
    "Windows, English": ("win32", windows("PermissionError(13, 'Access is denied.', None, 5)"), "in use"),
    "Windows, German": ("win32", windows("PermissionError(13, 'Zugriff verweigert', None, 5)"), "in use"),
    "Windows, Japanese": (
        "win32",
        windows("PermissionError(13, 'アクセスが拒否されました。', None, 5)"),
        "in use",
    ),
    "Windows, sharing": ("win32", windows("PermissionError(13, 'shared', None, 32)"), "in use"),
    "Windows, busy": ("win32", windows("OSError(22, 'The requested resource is in use.', None, 170)"), "in use"),
    "Windows, missing": ("win32", windows("FileNotFoundError(2, 'Das System ...', None, 2)"), "missing"),
    "Windows, not connected": ("win32", windows("OSError(9, 'not connected', None, 1167)"), "missing"),
    "Windows, semaphore": ("win32", windows("OSError(22, 'semaphore timeout', None, 121)"), "other"),
}
ADVICE = {
    "in use": "in use by another program",
    "forbidden": "dialout",
    "missing": "plugged in",
    "other": "plugged in",
}


@pytest.mark.parametrize(("platform", "error", "problem"), ERRORS.values(), ids=ERRORS)
def test_cause_is_recognised_on_every_system_and_in_every_language(platform, error, problem, monkeypatch):
    assert port_problem(error, platform) == problem
    monkeypatch.setattr("hwlearn_drivers.transport.links.port_errors.port_problem", lambda error: problem)
    text = open_failure("COM3", error)
    assert ADVICE[problem] in text
    assert len(text.splitlines()) == 1


OPEN_IT = {
    "with a lock": "import serial; port = serial.Serial(sys.argv[1], exclusive=True)",
    "without a lock": "import serial; port = serial.Serial(sys.argv[1])",
    "as a file": "port = open(sys.argv[1], 'rb', buffering=0)",
}


@pytest.mark.share(3)
@POSIX
@pytest.mark.parametrize("form", ["{}", "spy://{}", "alt://{}?class=PosixPollSerial", "ASRL{}::INSTR"])
@pytest.mark.parametrize("how", OPEN_IT)
def test_port_that_another_program_has_open_is_refused(pty_responder, form, how):
    if how != "with a lock" and sys.platform != "linux":
        pytest.skip("only Linux shows who has a port open")
    port = pty_responder(lambda line: line)
    code = f"import sys; {OPEN_IT[how]}; print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, port]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout.readline() == "open\n"
        with pytest.raises(LinkError, match="in use by another program") as refused:
            open_link(form.format(port), QUICK)
        if sys.platform == "linux":
            assert f"process {user.pid} (python" in str(refused.value)
        assert len(str(refused.value).splitlines()) == 1
        user.stdin.close()
        user.wait()
    open_link(form.format(port), QUICK).close()


@POSIX
@pytest.mark.parametrize("forms", [("{}", "spy://{}"), ("spy://{}", "{}"), ("alt://{}", "ASRL{}::INSTR")])
def test_port_that_is_open_under_another_name_is_refused(pty_responder, forms):
    port = pty_responder(lambda line: line)
    first = open_link(forms[0].format(port), QUICK)
    with pytest.raises(LinkError, match="in use by another program"):
        open_link(forms[1].format(port), QUICK)
    first.close()
    open_link(forms[1].format(port), QUICK).close()


WRONG_URLS = [
    "hwgrep://(",
    "hwgrep://x&n=0",
    "alt:///dev/null?class=nonsense",
    "alt:///dev/null?class=serial_for_url",
    "spy:///dev/null?dev=x",
    "nosuch://x",
    "cp2110://x",
    "spy://",
    "/dev/null",
    "/dev",
    "COM250",
]


@pytest.mark.parametrize("url", WRONG_URLS)
def test_every_error_of_a_url_handler_is_one_line(url):
    with pytest.raises((LinkError, ValueError)) as refused:
        open_link(url, QUICK)
    assert len(str(refused.value).splitlines()) == 1
    assert type(refused.value).__module__ in ("hwlearn.errors", "hwlearn_drivers.errors")


@POSIX
def test_device_that_is_no_port_has_no_users():
    assert users_of("/dev/null") == users_of("/dev") == []


def test_bytes_through_spy_are_logged(pty_responder, capsys):
    link = open_link(f"spy://{pty_responder(lambda line: line.upper() + b'!' + bytes([10]))}", QUICK)
    link.write(b"ping\n")
    assert link.read_line(2.0) == b"PING!"
    link.close()
    logged = capsys.readouterr().err
    assert "70 69 6E 67" in logged
    assert "49 4E 47 21 0A" in logged
