"""Virtual boards for the tests, without a connection."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hwlearn.circuit.topology import Topology
from hwlearn_drivers.transport.blocks import decode_codes, encode_block, encode_codes
from hwlearn_sim import PlacedBoard, VirtualBench
from hwlearn_sim.board.board import VirtualBoard
from hwlearn_sim.devices.imperfections import Imperfections


class Talk:
    """Sends text messages to a board on a bench that is not served."""

    def __init__(self, bench: VirtualBench) -> None:
        self.bench = bench
        self.board: VirtualBoard = bench.board("board")

    def query(self, message: str) -> str:
        """Send a query and return its reply."""
        reply = self.board.exchange(message.encode() + b"\n")
        assert reply.endswith(b"\n"), f"{message!r} was not answered"
        return reply[:-1].decode()

    def write(self, *messages: str) -> None:
        """Send commands and check that none was rejected."""
        for message in messages:
            assert self.board.exchange(message.encode() + b"\n") == b"", f"{message!r} was answered"
        assert self.errors() == []

    def send(self, message: str, codes: list[int]) -> bytes:
        """Send a message that ends with a block of codes; return the raw reply."""
        return self.board.exchange(message.encode() + encode_block(encode_codes(codes)) + b"\n")

    def codes(self, reply: bytes) -> list[int]:
        """Return the codes in a block."""
        digits = int(reply[1:2])
        assert reply[:1] == b"#", reply[:40]
        return decode_codes(reply[2 + digits : -1]).tolist()

    def volts(self) -> list[float]:
        """Return the voltages that the board measures at its four outputs."""
        return [float(text) for text in self.query("MEAS:VOLT?").split(",")[:4]]

    def errors(self) -> list[int]:
        """Remove and return all error codes of the queue."""
        codes = []
        while (code := int(self.query("SYST:ERR?").split(",")[0])) != 0:
            codes.append(code)
        return codes


@pytest.fixture
def talk() -> Callable[..., Talk]:
    """Return a function that makes a board. Default: ideal, on an 8 x 4 crossbar, without other instruments."""

    def make(*others, topology: Topology | None = None, seed: int = 0, flaws: Imperfections | None = None, **keys):
        graph = Topology.crossbar(8, 4) if topology is None else topology
        placed = [PlacedBoard("board", **keys), *others]
        return Talk(
            VirtualBench(
                graph,
                placed,
                conductances=2e-5,
                conductance=(1.05e-5, 5e-4),
                imperfections=flaws,
                seed=seed,
            )
        )

    return make
