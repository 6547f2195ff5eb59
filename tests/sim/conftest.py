"""What tests of virtual instruments and boards share: waiting for them, and talking to them."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object]], None]:
    """Wait for a condition, with a deadline."""

    def wait(holds: Callable[[], object]) -> None:
        end = time.monotonic() + 10.0
        while not holds():
            assert time.monotonic() < end, "it did not come about in time"
            time.sleep(0.001)

    return wait


class Client:
    """A plain TCP client that speaks in lines."""

    def __init__(self, address: str) -> None:
        _, host, port, _ = address.split("::")
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self._buffer = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def line(self) -> bytes:
        """Return one reply without its end of line."""
        while b"\n" not in self._buffer:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the peer closed the connection")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def ask(self, message: bytes) -> bytes:
        self.send(message + b"\n")
        return self.line()

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def connect() -> Iterator[Callable[[str], Client]]:
    """Make clients; all are closed in the end."""
    with ExitStack() as stack:

        def make(address: str) -> Client:
            client = Client(address)
            stack.callback(client.close)
            return client

        yield make
