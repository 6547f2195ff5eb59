"""The board over TCP and pseudo-terminals: bytes, watchdog without traffic, faults of the connection."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from hwlearn.circuit.topology import Topology
from hwlearn_sim import PlacedBoard, PlacedSmu, VirtualBench
from hwlearn_sim.wire.faults import Faults

CROSSBAR = Topology.crossbar(8, 4)
DEADLINE_S = 10.0
needs_pty = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")


@contextmanager
def served(*others, **keys) -> Iterator[VirtualBench]:
    with VirtualBench(CROSSBAR, [PlacedBoard("board", **keys), *others], conductances=2e-5) as bench:
        yield bench


class Terminal:
    """A client of a pseudo-terminal that sends and receives lines."""

    def __init__(self, address: str) -> None:
        path = address.removeprefix("ASRL").removesuffix("::INSTR")
        self.number = os.open(path, os.O_RDWR | os.O_NOCTTY)

    def send(self, data: bytes) -> None:
        os.write(self.number, data)

    def line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            assert select.select([self.number], [], [], DEADLINE_S)[0], "no reply in time"
            line += os.read(self.number, 65536)
        return line[:-1]

    def query(self, message: bytes) -> bytes:
        self.send(message + b"\n")
        return self.line()

    def close(self) -> None:
        os.close(self.number)


def ended(client: Terminal) -> bool:
    """Read until the line closes; return whether it closed in time."""
    while select.select([client.number], [], [], DEADLINE_S)[0]:
        try:
            if not os.read(client.number, 4096):
                return True
        except OSError:
            return True
    return False


@pytest.fixture
def terminal() -> Iterator[Callable[[str], Terminal]]:
    opened: list[Terminal] = []

    def make(address: str) -> Terminal:
        opened.append(Terminal(address))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def test_board_answers_successive_tcp_clients(connect):
    with served() as bench:
        for volts in (b"0.5", b"-0.25"):
            client = connect(bench.address("board"))
            assert client.query(b"*IDN?").startswith(b"hwlearn,REFBOARD,VIRTUAL-0,")
            assert float(client.query(b"SOUR:VOLT 0," + volts + b";VOLT? 0")) == pytest.approx(
                float(volts), abs=4e-5
            )
            client.close()


@needs_pty
def test_board_accepts_single_bytes_over_pseudo_terminal(terminal):
    with served(wire="pty") as bench:
        client = terminal(bench.address("board"))
        for byte in b"SYST:CAP?\n":
            client.send(bytes([byte]))
        assert client.line() == b"2,8,4,32,256,3072"


def test_watchdog_acts_without_traffic(connect, wait_until):
    with served(PlacedSmu("smu", "2450", (8,))) as bench:
        board, client = bench.board("board"), connect(bench.address("board"))
        began = time.monotonic()
        assert client.query(b"SYST:WDOG 400;:SOUR:VOLT 0,1;:ROUT:CLOS 2;*OPC?") == b"1"
        assert not board.is_safe
        assert bench.plane.node_voltages()[0] == pytest.approx(1.0, abs=1e-4)
        client.close()
        wait_until(lambda: board.is_safe)
        assert time.monotonic() - began >= 0.4
        wait_until(lambda: not bench.plane.node_voltages().any())
        again = connect(bench.address("board"))
        assert again.query(b"SYST:WDOG:TRIP?") == b"1"
        assert again.query(b"SOUR:VOLT 0,1\nSYST:ERR?").startswith(b"-240")


def test_incomplete_block_times_out(connect):
    with served() as bench:
        client = connect(bench.address("board"))
        client.send(b"EDGE:DATA #266" + bytes(20))
        until = time.monotonic() + DEADLINE_S
        # bytes within the 100 ms time-out belong to the block
        while True:
            assert time.monotonic() < until
            client.send(b"SYST:ERR?\n")
            ready = select.select([client.socket], [], [], 0.2)[0]
            if ready:
                break
        assert client.line().startswith(b"-161")
        assert client.query(b"EDGE:CODE? 0") == b"128"


def test_muted_and_unplugged_replies_are_lost(connect, wait_until):
    faults = Faults()
    with served(faults=faults) as bench:
        client = connect(bench.address("board"))
        faults.muted = True
        client.send(b"SOUR:VOLT 0,0.5;VOLT? 0\n")
        wait_until(lambda: not bench.board("board").is_safe)
        faults.clear()
        assert client.query(b"OUTP OFF;OUTP?") == b"0", "the lost answer does not come later"
        faults.inject("unplugged")
        client.send(b"*IDN?\n")
        client.socket.settimeout(DEADLINE_S)
        half = b""
        while piece := client.socket.recv(4096):
            half += piece
        whole = connect(bench.address("board")).query(b"*IDN?")
        assert whole.startswith(half)
        assert 0 < len(half) < len(whole)


@needs_pty
def test_unplugged_serial_line_closes_and_board_keeps_running(terminal, wait_until):
    faults = Faults()
    with served(wire="pty", faults=faults) as bench:
        board, client = bench.board("board"), terminal(bench.address("board"))
        assert client.query(b"SYST:WDOG 200;:SOUR:VOLT 3,1;*OPC?") == b"1"
        faults.inject("unplugged")
        client.send(b"*IDN?\n")
        assert ended(client), "the line is still open"
        assert not board.is_safe
        wait_until(lambda: board.is_safe)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process alone")
def test_sim_serve_serves_board(connect):
    run = "from hwlearn.cli import main; main()"
    arguments = ["sim", "serve", "virtual-board", "--set", "backend.wire=tcp", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-c", run, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        (listed,) = json.loads(process.stdout.readline())["instruments"]
        assert (listed["name"], listed["model"], listed["node"]) == ("board", "reference board", None)
        assert connect(listed["address"]).query(b"*IDN?").startswith(b"hwlearn,REFBOARD,")
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, complaints) == (0, b"")


def test_unsolicited_bytes_of_board_reach_client(connect, monkeypatch):
    """An emulated board may answer after the exchange of a message."""
    faults = Faults()
    with served(faults=faults) as bench:
        client = connect(bench.address("board"))
        assert client.query(b"*OPC?") == b"1"
        said = [b"late\n", b"too late\n"]
        controller = bench.board("board").controller
        usual = controller.transmit
        monkeypatch.setattr(controller, "transmit", lambda: said.pop(0) if said else usual())
        assert client.line() == b"late"
        assert client.line() == b"too late"
        faults.inject("reset")
        said.append(b"never\n")
        with pytest.raises(ConnectionError):
            client.line()
        assert connect(bench.address("board")).query(b"*OPC?") == b"1"
