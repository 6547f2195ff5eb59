"""`SerialLink`: a serial port through pyserial, by device name or pyserial URL."""

from __future__ import annotations

import contextlib
import os
import re
import select
import sys
import time

import serial

from hwlearn_drivers.address import parse_address, wrapped_port
from hwlearn_drivers.errors import LinkError, LinkTimeout
from hwlearn_drivers.transport.links.link import CHUNK, StreamLink, close_in_child
from hwlearn_drivers.transport.links.port_errors import in_use, open_failure, users_of

_LINE_ENDS = re.compile(rb"[\r\n]+")
_SLICE_S = 0.05  # a new time-out would reconfigure the port, so it is fixed and longer waits are repeated reads


class SerialLink(StreamLink):
    """An open serial port with 8 data bits, no parity and one stop bit.

    Parameters
    ----------
    url : str
        Device name (``COM3``, ``/dev/ttyACM0``) or pyserial URL.
    baud : int
    timeout_s : float
        For sending.
    for_off : bool
        The port is opened to send OFF and nothing else. On Windows the DTR line is then left low, because its
        rising edge resets some boards.
    keep_dtr : bool
        On Windows, leave the DTR line low without opening the port for OFF only.
    any_line_end : bool
        Send CR LF instead of LF, and let CR, LF or both end a reply. Not for binary blocks.

    Raises
    ------
    LinkError
        If the port does not exist or is in use.

    Notes
    -----
    A local port, also behind ``spy://``, ``alt://`` and ``hwgrep://``, is opened exclusively: with a lock
    (`flock`) on Linux and macOS, which only programs that lock it too respect; by the system on Windows. On Linux
    a port that another process has open without a lock is refused before it is opened. To send OFF, neither is
    needed: a forked child may have inherited the lock of an owner that was killed.

    Linux and macOS raise DTR at opening, which cannot be prevented. The port is set to keep DTR when it is closed
    (HUPCL off), so that it has an edge at the first opening only: not when the port is opened again to send OFF
    after its owner has ended.
    """

    __slots__ = ("_any_end", "_at_start", "_fd", "_poll", "_port", "_timeout_s", "url")

    def __init__(
        self,
        url: str,
        baud: int,
        timeout_s: float,
        *,
        for_off: bool = False,
        keep_dtr: bool = False,
        any_line_end: bool = False,
    ) -> None:
        super().__init__()
        self._any_end, self._at_start = any_line_end, True
        self.url, self._timeout_s = url, timeout_s
        local, port = _local_port(url)
        if port and not for_off and (users := users_of(port)):
            raise LinkError(in_use(url, users))
        try:
            self._port = serial.serial_for_url(
                url, baudrate=baud, timeout=_SLICE_S, write_timeout=timeout_s, do_not_open=True
            )
            if local and not for_off:
                self._port.exclusive = True
            if local and (for_off or keep_dtr) and sys.platform == "win32":
                self._port.dtr = False
            self._port.open()
            self._port.reset_input_buffer()
        except Exception as error:  # also the errors of pyserial's URL handlers and of termios
            with contextlib.suppress(Exception):
                self._port.close()
            raise LinkError(open_failure(url, error, users_of(port) if port else ())) from error
        if local and sys.platform != "win32":
            _keep_dtr(self._port.fileno())
        close_in_child(self)
        # on Linux a local port is a file; reading it directly takes a third of the time of pyserial's read
        self._fd = self._port.fileno() if sys.platform == "linux" and "://" not in url else -1
        if self._fd >= 0:
            self._poll = select.poll()
            self._poll.register(self._fd, select.POLLIN)

    def write(self, data: bytes) -> None:
        """Send all of data."""
        try:
            self._port.write(data.replace(b"\n", b"\r\n") if self._any_end else data)
        except serial.SerialTimeoutException as error:
            raise LinkTimeout(f"{self.url} accepted no more bytes for {self._timeout_s:g} s") from error
        except Exception as error:  # pyserial passes on errors of termios and of closed ports
            raise LinkError(f"{self.url} was disconnected: {error}") from error

    def unread(self) -> bool:
        """Whether bytes are waiting."""
        if not self._buffer and self._any_end:
            self._buffer += self._receive(0.0)  # only the rest of a line end is not unread
            return bool(self._buffer)
        if self._buffer:
            return True
        try:
            return bool(self._poll.poll(0) if self._fd >= 0 else self._port.in_waiting)
        except Exception as error:
            raise LinkError(f"{self.url} was disconnected: {error}") from error

    def close(self) -> None:
        """Close the port."""
        self._fd = -1  # the system may give this number to another file
        with contextlib.suppress(Exception):
            self._port.close()

    def abandon(self) -> None:
        """Close the port in a forked child."""
        self.close()

    def _receive(self, timeout_s: float) -> bytes:
        if not self._any_end:
            return self._receive_raw(timeout_s)
        deadline = time.monotonic() + timeout_s
        while True:
            piece = self._receive_raw(max(0.0, deadline - time.monotonic()))
            if not piece:
                return b""
            text = _LINE_ENDS.sub(b"\n", piece)
            if self._at_start:
                text = text.removeprefix(b"\n")
            self._at_start = piece[-1:] in b"\r\n"
            if text:
                return text

    def _receive_raw(self, timeout_s: float) -> bytes:
        if self._fd < 0:
            return self._receive_through_pyserial(timeout_s)
        try:
            if not self._poll.poll(1000 * timeout_s):
                return b""
            piece = os.read(self._fd, CHUNK)
        except OSError as error:
            raise LinkError(f"{self.url} was disconnected: {error.strerror}") from error
        if not piece:
            raise LinkError(f"{self.url} was disconnected: it signals data but delivers none")
        return piece

    def _receive_through_pyserial(self, timeout_s: float) -> bytes:
        port = self._port
        deadline = time.monotonic() + timeout_s
        try:
            while True:
                first: bytes = port.read(1)
                if first:
                    more = port.in_waiting
                    return first + port.read(min(more, CHUNK)) if more else first
                if time.monotonic() >= deadline:
                    return b""
        except Exception as error:  # pyserial raises TypeError if the port is closed during a read
            raise LinkError(f"{self.url} was disconnected: {error}") from error


def _local_port(url: str) -> tuple[bool, str]:
    """Return whether a URL leads to a port of this computer, and the name of the port if it is known."""
    found = parse_address(url)
    if found.kind == "serial":
        return True, found.device
    return found.device in ("spy", "alt", "hwgrep"), wrapped_port(found)


def _keep_dtr(fd: int) -> None:
    """Keep DTR when the port is closed; its next opening then has no edge, which would reset some boards."""
    import termios

    with contextlib.suppress(termios.error):  # not every driver has modem lines
        settings = termios.tcgetattr(fd)
        settings[2] &= ~termios.HUPCL
        termios.tcsetattr(fd, termios.TCSANOW, settings)
