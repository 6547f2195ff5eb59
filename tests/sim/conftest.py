"""Fixtures for tests of virtual instruments and boards: waiting, TCP clients, instruments on a voltage divider."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import numpy as np
import pytest

from hwlearn.circuit.topology import Topology
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.instruments.instrument import VirtualInstrument
from hwlearn_sim.instruments.models import make_smu
from hwlearn_sim.placed import PlacedSmu
from hwlearn_sim.plane.plane import AnalogPlane


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object]], None]:
    """Return a function that waits for a condition, with a deadline."""

    def wait(holds: Callable[[], object]) -> None:
        end = time.monotonic() + 10.0
        while not holds():
            assert time.monotonic() < end, "the condition was not met in time"
            time.sleep(0.001)

    return wait


class Client:
    """A TCP client that sends and receives lines."""

    def __init__(self, address: str) -> None:
        _, host, port, _ = address.split("::")
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self._buffer = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def line(self) -> bytes:
        """Return one reply without its newline."""
        while b"\n" not in self._buffer:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the peer closed the connection")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def query(self, message: bytes) -> bytes:
        self.send(message + b"\n")
        return self.line()

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def connect() -> Iterator[Callable[[str], Client]]:
    """Return a function that makes clients. They are closed after the test."""
    with ExitStack() as stack:

        def make(address: str) -> Client:
            client = Client(address)
            stack.callback(client.close)
            return client

        yield make


QUIET = Meters(noise=0.0)


class Rack:
    """Sends text messages to an instrument on a plane."""

    def __init__(self, model: str, plane: AnalogPlane, nodes: tuple[int, ...], meters: Meters, seed: int) -> None:
        self.plane = plane
        placed = PlacedSmu("smu", model, nodes)
        self.instrument: VirtualInstrument = make_smu(placed, plane, np.random.default_rng(seed), meters=meters)

    def write(self, *messages: str) -> None:
        """Send commands, which must have no reply."""
        for message in messages:
            assert self.instrument.execute(message.encode("latin-1")) == b"", f"{message!r} was answered"

    def query(self, message: str) -> str:
        """Send a query and return its reply."""
        reply = self.instrument.execute(message.encode("latin-1"))
        assert reply.endswith(b"\n"), f"{message!r} was not answered; {self.errors()}"
        return reply[:-1].decode("latin-1")

    def numbers(self, message: str) -> list[float]:
        """Send a query and return the numbers of its reply."""
        return [float(text) for text in self.query(message).replace("\t", ",").split(",")]

    def errors(self) -> list[int]:
        """Remove and return all error codes of the queue."""
        codes = []
        while len(self.instrument.errors):
            codes.append(self.instrument.errors.next()[0])
        return codes


@pytest.fixture
def divider() -> Topology:
    """Return the graph of two resistors in series: ground, node 1, node 2."""
    return Topology(3, [(0, 1), (1, 2)], inputs=[1], outputs=[2], ground=0)


@pytest.fixture
def rack(divider: Topology) -> Callable[..., Rack]:
    """Return a function that makes an instrument. Default: without noise, on nodes 1 and 2 of the divider."""

    def make(
        model: str,
        nodes: tuple[int, ...] | None = None,
        *,
        meters: Meters = QUIET,
        plane: AnalogPlane | None = None,
        seed: int = 0,
    ) -> Rack:
        plane = AnalogPlane(divider, [1e-3, 1e-3]) if plane is None else plane
        if nodes is None:
            nodes = (1,) if model in ("2400", "2450") else (1, 2)
        return Rack(model, plane, nodes, meters, seed)

    return make
