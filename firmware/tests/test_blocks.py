"""Damaged, interrupted or wrongly sized blocks: each fails only its own command, and no output changes."""

from __future__ import annotations

import pytest

from .record import crc16
from .rig import Rig
from .wire_blocks import block, framed

MID = 32768
FREE = block([MID + 100] * 8)


def healthy(rig: Rig) -> None:
    """Check that the next command works on the same link."""
    assert rig.query("SEQ:SETT?;*OPC?") == "200;1"
    assert len(rig.sequence("SEQ:FREE? ", [[MID] * 8])[0]) == 5
    assert rig.errors() == []


@pytest.mark.share(9)
@pytest.mark.parametrize("position", range(18))
@pytest.mark.parametrize("bit", [0, 7])
def test_block_with_one_wrong_bit_is_rejected(rig: Rig, position: int, bit: int) -> None:
    start = len(FREE) - 18
    wrong = bytearray(FREE)
    wrong[start + position] ^= 1 << bit
    rig.write("SEQ:FREE? ", bytes(wrong))
    assert rig.errors() == [-161]
    assert rig.loads == 0
    healthy(rig)


@pytest.mark.parametrize("words", [0, 1, 7, 9, 15, 17, 1535])
def test_block_length_that_is_no_multiple_of_a_sample_is_rejected(rig: Rig, words: int) -> None:
    rig.write("SEQ:FREE? ", block([MID + 5] * words))
    assert rig.errors() == [-161]
    assert rig.loads == 0
    healthy(rig)


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0", b"\0" * 17, b"\0" * 3])
def test_block_without_whole_words_is_rejected(rig: Rig, data: bytes) -> None:
    rig.write("SEQ:FREE? ", framed(data))
    assert rig.errors() == [-161]
    healthy(rig)


def test_block_longer_than_the_buffer_is_rejected(rig: Rig) -> None:
    rig.send(b"SEQ:FREE? " + block([MID] * (8 * 193)) + b"\n")
    rig.advance(0.15)
    rig.send(b"\n")
    rig.fetch()
    assert -161 in rig.errors()
    assert rig.loads == 0
    healthy(rig)


def test_longest_block_is_accepted(rig: Rig) -> None:
    rows = rig.sequence("SEQ:FREE? ", [[MID + k] * 8 for k in range(192)])
    assert len(rows) == 192
    assert rig.errors() == []


@pytest.mark.parametrize("digits", [1, 2, 3, 9])
def test_block_length_with_leading_zeros_is_accepted(rig: Rig, digits: int) -> None:
    data = FREE[4:]
    assert len(data) == 18
    header = b"#%d" % max(digits, 2) + b"%0*d" % (max(digits, 2), 18)
    rig.send(b"SEQ:FREE? " + header + data + b"\n")
    assert len(rig.fetch()) == len(block([0] * 5)) + 1
    assert rig.errors() == []


@pytest.mark.parametrize("sent", [1, 2, 3, 4, 5, 11, len(FREE) - 1, len(FREE)])
def test_interrupted_block_is_rejected_after_the_timeout(rig: Rig, sent: int) -> None:
    rig.send(b"SEQ:FREE? " + FREE[:sent])
    rig.advance(0.15)
    rig.send(b"\n")
    assert rig.fetch() == b""
    assert len(codes := rig.errors()) == 1
    assert codes[0] == (-161 if sent >= 4 else codes[0])
    assert codes[0] in (-102, -104, -161)
    assert rig.loads == 0
    healthy(rig)


def test_block_with_pauses_shorter_than_the_timeout_is_accepted(rig: Rig) -> None:
    for byte in b"SEQ:FREE? " + FREE:
        rig.send(bytes([byte]))
        rig.advance(0.09)
    rig.send(b"\n")
    assert len(rig.fetch()) == len(block([0] * 5)) + 1
    assert rig.errors() == []


def test_block_timeout_is_100_ms(rig: Rig) -> None:
    for pause, given_up in [(0.098, False), (0.103, True)]:
        rig.send(b"SEQ:FREE? " + FREE[:9])
        rig.advance(pause)
        assert (rig.query("SYST:ERR:COUN?") == "1") if given_up else not rig.fetch()
        if given_up:
            assert rig.errors() == [-161]
        else:
            rig.send(FREE[9:] + b"\n")
            assert len(rig.fetch()) == len(block([0] * 5)) + 1


@pytest.mark.parametrize("lost", range(len(FREE)))
def test_lost_byte_in_a_block_affects_only_its_command(rig: Rig, lost: int) -> None:
    """No output changes, and the next command works after the timeout."""
    rig.send(b"SEQ:FREE? " + FREE[:lost] + FREE[lost + 1 :] + b"\n")
    rig.advance(0.15)
    rig.send(b"\n")
    rig.fetch()
    assert rig.errors()
    assert rig.loads == 0
    healthy(rig)


@pytest.mark.parametrize("extra", [b"\0", b"A", b"\xff\xff"])
def test_next_command_works_after_extra_bytes_behind_a_block(rig: Rig, extra: bytes) -> None:
    rig.send(b"SEQ:FREE? " + FREE + extra + b"\n")
    rig.fetch()
    rig.errors()
    healthy(rig)


@pytest.mark.parametrize(
    ("message", "data"),
    [
        ("EDGE:DATA ", block([1] * 31)),
        ("EDGE:DATA ", block([1] * 33)),
        ("SEQ:NUDG? ", block([MID] * 12)),
        ("SEQ:TWOP? 0.5,", block([MID] * 13)),
        ("*OPC ", FREE),
        ("SEQ:SETT ", FREE),
        ("NO:SUCH ", FREE),
    ],
)
def test_block_in_a_wrong_place_is_rejected(rig: Rig, message: str, data: bytes) -> None:
    rig.write("SEQ:SIDE 2")
    edges = rig.edges
    rig.write(message, data)
    assert len(codes := rig.errors()) == 1
    assert codes[0] in (-161, -113, -104, -108)
    assert rig.edges == edges
    assert rig.loads == 0
    healthy(rig)


@pytest.mark.parametrize("data", [b"\n" * 16, b";" * 16, b"\x18" * 16, b"#" * 16])
def test_block_data_may_contain_any_bytes(rig: Rig, data: bytes) -> None:
    rig.allow([(0, 65535)] * 16)
    rig.send(b"SEQ:FREE? " + framed(data + crc16(data).to_bytes(2, "little")) + b"\n")
    answer = rig.fetch()
    code = int.from_bytes(data[:2], "little")
    inside = abs(code - MID) * 5 / 65536 <= 2
    assert bool(answer) == inside
    assert rig.errors() == ([] if inside else [-222])
    healthy(rig)


def test_block_in_a_compound_message_is_accepted(rig: Rig) -> None:
    rig.send(b"SEQ:SETT?;FREE? " + FREE + b";AVER?;SIDE?\n")
    answer = rig.fetch()
    assert answer.startswith(b"200;#212")
    assert answer.endswith(b";1;2\n")
    assert rig.errors() == []
