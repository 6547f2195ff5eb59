"""`SerialLink`: a serial port through pyserial, by device name or pyserial URL."""

from __future__ import annotations

import os
import select
import sys
import time

import serial

from hwlearn_drivers.errors import LinkError, LinkTimeout
from hwlearn_drivers.transport.links.link import CHUNK, StreamLink

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

    Raises
    ------
    LinkError
        If the port does not exist or is in use.
    """

    __slots__ = ("_fd", "_poll", "_port", "_timeout_s", "url")

    def __init__(self, url: str, baud: int, timeout_s: float) -> None:
        super().__init__()
        self.url, self._timeout_s = url, timeout_s
        try:
            self._port = serial.serial_for_url(url, baudrate=baud, timeout=_SLICE_S, write_timeout=timeout_s)
            self._port.reset_input_buffer()
        except (OSError, ValueError) as error:
            raise LinkError(f"cannot open {url}: {error}; is it plugged in, or in use elsewhere?") from error
        # on Linux a local port is a file; reading it directly takes a third of the time of pyserial's read
        self._fd = self._port.fileno() if sys.platform == "linux" and hasattr(self._port, "fd") else -1
        if self._fd >= 0:
            self._poll = select.poll()
            self._poll.register(self._fd, select.POLLIN)

    def write(self, data: bytes) -> None:
        """Send all of data."""
        try:
            self._port.write(data)
        except serial.SerialTimeoutException as error:
            raise LinkTimeout(f"{self.url} accepted no more bytes for {self._timeout_s:g} s") from error
        except OSError as error:
            raise LinkError(f"{self.url} was disconnected: {error}") from error

    def unread(self) -> bool:
        """Whether bytes are waiting."""
        if self._buffer:
            return True
        try:
            return bool(self._poll.poll(0) if self._fd >= 0 else self._port.in_waiting)
        except (OSError, TypeError) as error:
            raise LinkError(f"{self.url} was disconnected: {error}") from error

    def close(self) -> None:
        """Close the port."""
        self._fd = -1  # the system may give this number to another file
        self._port.close()

    def _receive(self, timeout_s: float) -> bytes:
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
        except (OSError, TypeError) as error:  # pyserial raises TypeError if the port is closed during a read
            raise LinkError(f"{self.url} was disconnected: {error}") from error
