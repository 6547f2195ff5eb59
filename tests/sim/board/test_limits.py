"""The firmware rejects requests beyond the limits, and its outputs stay within them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shares import examples

from hwlearn.circuit.topology import Topology
from hwlearn_drivers.transport.blocks import encode_block, encode_codes
from hwlearn_sim import PlacedBoard, VirtualBench
from hwlearn_sim.board.native import NativeBoard

HALF_VOLT = 6554  # codes from midscale, rounded up
ZERO = [0x8000] * 8


@pytest.fixture
def narrow(talk):
    """Return a board whose limits were reduced by the driver."""
    one = talk()
    one.write("SOUR:LIM:VOLT 0.5", "SOUR:LIM:NUDG 0.2", "SOUR:LIM:EDGE 5,243", "SEQ:SIDE 1")
    return one


@pytest.mark.parametrize(
    "message",
    [
        "SOUR:VOLT 0,0.51",
        "SOUR:VOLT 0,-2.49",
        "SOUR:VOLT 9,0.6",
        "SOUR:LIM:VOLT 0.6",
        "SOUR:LIM:NUDG 0.3",
        "SOUR:LIM:EDGE 0,255",
        "EDGE:CODE 0,4",
        "EDGE:CODE 0,244",
        "SYST:WDOG 3600000",
        "SEQ:SETT 60000",
    ],
)
def test_setting_beyond_limits_is_rejected(narrow, message):
    edges = narrow.board.edge_codes().tolist()
    assert narrow.board.exchange(message.encode() + b"\n") == b""
    assert narrow.errors() == [-222]
    assert narrow.board.is_safe
    assert narrow.board.edge_codes().tolist() == edges
    limits = [narrow.query(f"SOUR:LIM:{name}?") for name in ("VOLT", "NUDG", "EDGE")]
    assert limits == ["0.500000", "0.200000", "5,243"]


@pytest.mark.parametrize(
    ("message", "codes"),
    [
        ("SEQ:FREE? ", [*ZERO, *ZERO[1:], 0x8000 + HALF_VOLT + 1]),
        ("SEQ:NUDG? ", [*ZERO, 0x8000, 0, 0x8000, 0x8000]),
        ("SEQ:TWOP? 1,", [0, *ZERO[1:], *[32000] * 4]),
        ("EDGE:DATA ", [*[128] * 31, 244]),
    ],
)
def test_block_with_one_word_beyond_limits_changes_nothing(narrow, message, codes):
    native = narrow.board.controller
    moves, scans = native.loads, native.scans
    assert narrow.send(message, codes) == b""
    assert narrow.errors() == [-222]
    assert (native.loads, native.scans) == (moves, scans)
    assert narrow.board.edge_codes().tolist() == [128] * 32


def test_nudge_too_far_from_free_reading_is_not_applied(narrow):
    far = 0x8000 + round(0.25 * 65536 / 5)  # within the voltage limit, but more than 200 mV from 0 V
    words = narrow.codes(narrow.send("SEQ:NUDG? ", [*ZERO, far, 0xFFFF, 0xFFFF, 0xFFFF]))
    assert words[0] == 1
    assert words[1:] == [32000] * 4


def test_damaged_block_changes_nothing(narrow):
    data = bytearray(encode_codes([0x8000 + 1000] * 8))
    data[3] ^= 0x01
    moves = narrow.board.controller.loads
    assert narrow.board.exchange(b"SEQ:FREE? " + encode_block(bytes(data)) + b"\n") == b""
    assert narrow.errors() == [-161]
    assert narrow.board.controller.loads == moves


WORDS = st.lists(st.integers(0, 0xFFFF), max_size=40)
MESSAGES = st.one_of(
    st.binary(max_size=80),
    st.builds(lambda k, v: f"SOUR:VOLT {k},{v}".encode(), st.integers(-1, 17), st.floats(-3, 3, width=32)),
    st.builds(lambda mask: f"ROUT:CLOS {mask}".encode(), st.integers(0, 15)),
    st.builds(lambda v: f"SOUR:LIM:VOLT {v}".encode(), st.floats(0, 3, width=32)),
    st.builds(
        lambda head, words: head + encode_block(encode_codes(words)),
        st.sampled_from([b"SEQ:FREE? ", b"SEQ:NUDG? ", b"SEQ:TWOP? 2.5,", b"EDGE:DATA "]),
        WORDS,
    ),
    st.sampled_from([b"*RST", b"SYST:WDOG:CLE", b"SYST:REB", b"OUTP OFF", b"\x18"]),
)


@given(st.lists(MESSAGES, max_size=12))
@settings(max_examples=examples(50), deadline=None)
def test_no_message_moves_a_dac_beyond_the_limits_of_the_record(messages):
    graph = Topology.crossbar(8, 4)
    board = VirtualBench(graph, [PlacedBoard("board")], conductances=2e-5).board("board")
    native = board.controller
    assert isinstance(native, NativeBoard)
    most = round(2.49 * 65536 / 5)
    native.allow([0x8000 - most] * 16, [0x8000 + most] * 16)
    for message in messages:
        board.exchange(message + b"\n")
    assert native.violations == 0
