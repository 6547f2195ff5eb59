"""Serving instruments over sockets and pseudo-terminals: clients, framing and faults."""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwlearn.errors import HwlearnError, SetupError
from hwlearn_sim.wire import serve
from hwlearn_sim.wire.faults import Fault, Faults
from hwlearn_sim.wire.framing import Framer
from hwlearn_sim.wire.message_session import LONGEST_MESSAGE

DEADLINE_S = 10.0


@pytest.fixture
def served(rack, connect):
    """Serve a 2400 on a socket; return the rack, its server, and a function that makes clients."""
    one = rack("2400")
    with serve.TcpServer(one.instrument) as server:
        yield one, server, lambda: connect(server.address)


def silent(client, seconds: float = 0.05) -> bool:
    return not select.select([client.socket], [], [], seconds)[0]


# --- lines and blocks ------------------------------------------------------------------------------------


@given(
    st.lists(st.sampled_from([b"A 1", b"", b"B #15a\nb;\n", b'C "#1"', b"D '\n", b"#H1F", b"E #0"]), max_size=8),
    st.data(),
)
def test_messages_do_not_depend_on_fragmentation(messages, data):
    """Any split of the stream gives the same messages. Blocks may contain newlines, strings may not."""
    stream = b"".join(message + b"\n" for message in messages)
    whole = Framer(True, 1000).feed(stream)[0]
    framer, got, rest = Framer(True, 1000), [], stream
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        found, lost = framer.feed(rest[:size])
        assert not lost
        got += found
        rest = rest[size:]
    assert got == whole
    if b"D '\n" not in messages:
        assert whole == messages


def test_too_long_message_is_discarded_and_next_one_accepted():
    framer = Framer(True, 12)
    assert framer.feed(b"0123456789ABC") == ([], True)
    assert framer.feed(b"DEF") == ([], False)
    assert framer.feed(b"GHI\nOK\n") == ([b"OK"], False)
    assert framer.feed(b"0123456789ABC\nOK\n") == ([b"OK"], True)
    assert framer.feed(b"#9999999999\nOK\n") == ([b"#9999999999", b"OK"], False)


# --- sockets ---------------------------------------------------------------------------------------------


def test_queries_are_answered_in_order(served):
    _, server, client = served
    assert server.address.startswith("TCPIP::127.0.0.1::")
    one = client()
    assert one.query(b"*IDN?").startswith(b"KEITHLEY")
    one.send(b":SOUR:VOLT 0.25\r\n:SOUR:VO")
    one.send(b"LT?\n*OPC?\n")
    assert [float(one.line()), one.line()] == [0.25, b"1"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a program acknowledge at once")
def test_client_that_sends_short_messages_does_not_wait_for_acknowledgements(served):
    """Nagle's algorithm (RFC 896) holds back a second short message until the first is acknowledged."""
    _, server, _ = served
    exchanges = []
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE_S) as client:
        for _ in range(40):  # a new connection acknowledges its first messages at once anyway
            began = time.perf_counter()
            client.sendall(b"*CLS\n")
            client.sendall(b"*ESE?\n")
            client.recv(100)
            exchanges.append(time.perf_counter() - began)
    assert min(exchanges[-15:]) < 0.02  # the delay of an acknowledgement is 40 ms; the least, on a busy machine


def test_connections_share_instrument_state(served):
    one, _, client = served
    first = client()
    first.query(b":SOUR:VOLT 0.5;:SENS:CURR:PROT 1e-2;:OUTP 1;*OPC?")
    first.close()
    second, third = client(), client()
    assert second.query(b":OUTP?") == b"1"
    assert third.query(b":SOUR:VOLT 0.25;*OPC?") == b"1"
    assert float(second.query(b":SOUR:VOLT?")) == 0.25
    assert one.plane.channels()[0].operating_point.volts == 0.25


def test_reply_goes_to_client_that_sent_the_query(served):
    _, _, client = served
    clients = [client() for _ in range(5)]
    for k, one in enumerate(clients):
        one.send(f":SOUR:LIST:VOLT 0.{k}\n:SOUR:LIST:VOLT?\n".encode())
    for k, one in enumerate(clients):
        assert float(one.line()) == pytest.approx(k / 10)


def test_disconnected_client_is_removed(served, wait_until):
    _, server, client = served
    one = client()
    one.query(b"*IDN?")
    wait_until(lambda: len(server._sessions) == 1)
    one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    one.close()
    wait_until(lambda: not server._sessions)
    assert client().query(b"*OPC?") == b"1"


def test_slow_reader_does_not_block_other_clients(served):
    _, _, client = served
    lazy, busy = client(), client()
    count = 40_000
    lazy.socket.setblocking(False)
    unsent = b"*IDN?\n" * count
    end = time.monotonic() + DEADLINE_S
    while unsent and time.monotonic() < end:
        try:
            unsent = unsent[lazy.socket.send(unsent) :]
        except BlockingIOError:
            break
    lazy.socket.settimeout(DEADLINE_S)
    assert busy.query(b"*OPC?") == b"1"
    got = {lazy.line() for _ in range(count - len(unsent) // 6 - 1)}
    assert len(got) == 1


def test_incomplete_block_loses_one_message(served, wait_until):
    one, _, client = served
    talker = client()
    talker.send(b":DISP:TEXT:DATA #15\n\n\n\n\n\n")
    assert talker.query(b":SYST:ERR?").startswith(b"-104")
    talker.send(b":DISP:TEXT:DATA #15ab")  # the rest never comes
    wait_until(lambda: len(one.instrument.errors) == 1)
    assert talker.query(b":SYST:ERR?") == b'-161,"Invalid block data"'


def test_too_long_message_queues_error_363(served):
    _, _, client = served
    talker = client()
    talker.send(b"A" * (LONGEST_MESSAGE + 10) + b"\n")
    assert talker.query(b":SYST:ERR?") == b'-363,"Input buffer overrun"'


def test_port_in_use_is_refused(served):
    one, server, _ = served
    with pytest.raises(SetupError, match=str(server.port)):
        serve.TcpServer(one.instrument, server.port)


def test_failure_of_instrument_is_raised_on_close(rack, connect):
    one = rack("2400")

    def broken(message: bytes) -> bytes:
        raise ZeroDivisionError(message)

    one.instrument.execute = broken
    server = serve.TcpServer(one.instrument).start()
    client = connect(server.address)
    client.send(b"*IDN?\n")
    with pytest.raises(ConnectionError):
        client.line()
    with pytest.raises(HwlearnError, match="failed") as caught:
        server.close()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    server.close()


def test_close_disconnects_clients(rack, connect):
    server = serve.TcpServer(rack("2400").instrument).start()
    client = connect(server.address)
    client.query(b"*OPC?")
    server.close()
    with pytest.raises(ConnectionError):
        client.query(b"*OPC?")


# --- pseudo-terminals ------------------------------------------------------------------------------------

needs_pty = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")


@contextmanager
def opened(path: str):
    terminal = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        yield terminal
    finally:
        os.close(terminal)


def read_line(terminal: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        assert select.select([terminal], [], [], DEADLINE_S)[0], "no reply in time"
        line += os.read(terminal, 65536)
    return line[:-1]


@needs_pty
def test_pseudo_terminal_stays_open_between_clients(rack):
    one = rack("2400")
    with serve.PtyServer(one.instrument) as server:
        assert server.address == f"ASRL{server.path}::INSTR"
        for volts in (b"0.5", b"0.25"):
            with opened(server.path) as terminal:
                os.write(terminal, b":SOUR:VOLT " + volts + b";VOLT?\n")
                assert float(read_line(terminal)) == float(volts)
        server.faults.inject("reset")
        with opened(server.path) as terminal:
            os.write(terminal, b"*IDN?\n*OPC?\n")
            assert read_line(terminal) == b"1", "a reset must lose the reply, not the line"


@needs_pty
def test_pyvisa_opens_socket_and_serial_address(rack):
    pyvisa = pytest.importorskip("pyvisa")
    one = rack("2450")
    manager = pyvisa.ResourceManager("@py")
    with serve.TcpServer(one.instrument) as tcp, serve.PtyServer(one.instrument) as pty:
        for server in (tcp, pty):
            link = manager.open_resource(server.address, read_termination="\n", write_termination="\n")
            try:
                assert link.query("*IDN?").startswith("KEITHLEY INSTRUMENTS,MODEL 2450")
            finally:
                link.close()
    manager.close()


# --- faults ----------------------------------------------------------------------------------------------


def test_late_reply_keeps_order(served):
    _, server, client = served
    one = client()
    server.faults.inject("late", seconds=0.15)
    began = time.monotonic()
    one.send(b"*IDN?\n*OPC?\n")
    assert one.line().startswith(b"KEITHLEY")
    assert time.monotonic() - began >= 0.15
    assert one.line() == b"1", "later replies must keep their order"


def test_fragmented_reply_arrives_in_pieces(served):
    _, server, client = served
    one = client()
    server.faults.inject("fragmented", seconds=0.03, pieces=4)
    one.send(b"*IDN?\n")
    pieces = []
    while not b"".join(pieces).endswith(b"\n"):
        pieces.append(one.socket.recv(65536))
    assert b"".join(pieces).startswith(b"KEITHLEY")
    assert len(pieces) == 4


def test_dropped_reply_does_not_undo_command(served):
    _, server, client = served
    one = client()
    server.faults.inject("dropped")
    one.send(b":SOUR:VOLT 0.5;VOLT?\n")
    assert silent(one)
    assert float(one.query(b":SOUR:VOLT?")) == 0.5, "the message was obeyed although its reply was lost"


def test_garbled_replies_are_damaged(served):
    _, server, client = served
    one = client()
    clean = one.query(b"*IDN?")
    server.faults.inject("garbled", count=5)
    damaged = [one.query(b"*IDN?") for _ in range(5)]
    assert all(reply != clean and len(reply) == len(clean) for reply in damaged)
    assert one.query(b"*IDN?") == clean


def test_reset_drops_connection(served):
    _, server, client = served
    one = client()
    server.faults.inject("reset", after=1)
    assert one.query(b":SOUR:VOLT 0.5;*OPC?") == b"1"
    one.send(b"*IDN?\n")
    with pytest.raises(ConnectionError):
        one.line()
    assert float(client().query(b":SOUR:VOLT?")) == 0.5


def test_muted_instrument_still_executes_commands(served, wait_until):
    one, server, client = served
    talker = client()
    talker.query(b"*OPC?")
    server.faults.muted = True
    talker.send(b"*IDN?\n:SOUR:VOLT 0.5;VOLT?\n")
    wait_until(lambda: one.instrument.channels[0].settings.levels["voltage"] == 0.5)
    assert silent(talker)
    server.faults.clear()
    assert talker.query(b"*OPC?") == b"1"


@pytest.mark.parametrize("kind", ["over-range", "compliance"])
def test_forced_reading_faults(kind, served):
    one, _, client = served
    talker = client()
    talker.send(b":SOUR:VOLT 0.5;:SENS:CURR:PROT 1e-2;:OUTP 1;:FORM:ELEM CURR\n")
    one.instrument.channels[0].forced = kind
    assert float(talker.query(b":READ?")) == (9.9e37 if kind == "over-range" else 1e-2)
    assert talker.query(b":SENS:CURR:PROT:TRIP?") == (b"0" if kind == "over-range" else b"1")


def test_random_faults_repeat_with_seed():
    rates = {"late": 0.1, "garbled": 0.2, "dropped": 0.05}

    def series(seed: int) -> list[str | None]:
        faults = Faults(rates, seed)
        return [None if fault is None else fault.kind for fault in (faults.next() for _ in range(2000))]

    first = series(1)
    assert first == series(1) != series(2)
    for kind, rate in rates.items():
        assert first.count(kind) / 2000 == pytest.approx(rate, abs=5 * (rate * (1 - rate) / 2000) ** 0.5)


def test_injected_faults_do_not_change_random_faults():
    plain, disturbed = Faults({"late": 0.3}, 3), Faults({"late": 0.3}, 3)
    disturbed.inject("dropped", after=2)
    first = [plain.next() for _ in range(50)]
    second = [disturbed.next() for _ in range(50)]
    assert second[2] == Fault("dropped")
    assert second[:2] == [None, None]
    assert second[3:] == first[3:]
    assert disturbed.replies == 50
    assert disturbed.occurred[0] == (2, Fault("dropped"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Fault("exploded"),
        lambda: Fault("late", -1.0),
        lambda: Fault("fragmented", pieces=1),
        lambda: Faults({"late": -0.1}),
        lambda: Faults({"late": 0.6, "dropped": 0.6}),
        lambda: Faults({"exploded": 0.1}),
    ],
)
def test_invalid_faults_are_refused(make):
    with pytest.raises(SetupError):
        make()


@given(st.binary(min_size=1, max_size=50), st.integers(0, 1000))
def test_garbled_reply_differs_and_keeps_terminator(reply, seed):
    damaged = Faults(seed=seed).garbled(reply + b"\n")
    assert damaged != reply + b"\n"
    assert len(damaged) == len(reply) + 1
    assert damaged.endswith(b"\n")
