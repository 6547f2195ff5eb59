"""`SocketLink`: a raw TCP socket (``TCPIP::host::port::SOCKET`` or ``socket://host:port``)."""

from __future__ import annotations

import contextlib
import select
import socket

from hwlearn_drivers.errors import LinkError, LinkTimeout
from hwlearn_drivers.transport.links.link import CHUNK, StreamLink, close_in_child


class SocketLink(StreamLink):
    """A connected TCP socket.

    Parameters
    ----------
    host : str
    port : int
    timeout_s : float
        For connecting and for sending.

    Raises
    ------
    LinkError
        If the connection is refused or times out.
    """

    __slots__ = ("_set_s", "_socket", "_timeout_s", "peer")

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        super().__init__()
        self.peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self._socket = socket.create_connection((host, port), timeout=timeout_s)
        except OSError as error:
            raise LinkError(
                f"cannot connect to {self.peer}: {error.strerror or error}; is it on, or in use elsewhere?"
            ) from error
        # commands are short and wait for a reply, so the kernel must not collect them into larger packets
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._timeout_s = self._set_s = timeout_s
        close_in_child(self)

    def write(self, data: bytes) -> None:
        """Send all of data."""
        try:
            self._wait_at_most(self._timeout_s)
            self._socket.sendall(data)
        except TimeoutError as error:
            raise LinkTimeout(f"{self.peer} accepted no more bytes for {self._timeout_s:g} s") from error
        except OSError as error:
            raise LinkError(f"{self.peer} was disconnected: {error.strerror or error}") from error

    def unread(self) -> bool:
        """Whether bytes or the end of the stream are waiting."""
        if self._buffer:
            return True
        if self._socket.fileno() < 0:
            raise LinkError(f"the link to {self.peer} is closed")
        return _readable(self._socket)

    def close(self) -> None:
        """Close the socket."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def abandon(self) -> None:
        """Close the socket in a forked child, without ending the connection of the parent."""
        self._socket.close()

    def _receive(self, timeout_s: float) -> bytes:
        try:
            self._wait_at_most(timeout_s)
            piece = self._socket.recv(CHUNK)
        except (TimeoutError, BlockingIOError):
            return b""
        except OSError as error:
            raise LinkError(f"{self.peer} was disconnected: {error.strerror or error}") from error
        if not piece:
            raise LinkError(f"{self.peer} closed the connection")
        return piece

    def _wait_at_most(self, seconds: float) -> None:
        if seconds != self._set_s:
            self._socket.settimeout(seconds)
            self._set_s = seconds


def _readable(sock: socket.socket) -> bool:
    if hasattr(select, "poll"):  # select() fails for large file numbers, poll() is not on Windows
        waiter = select.poll()
        waiter.register(sock, select.POLLIN)
        return bool(waiter.poll(0))
    return bool(select.select([sock], [], [], 0)[0])
