"""Bytes that come while a sequence runs: they wait, they are too many, or they are CAN."""

from __future__ import annotations

import pytest

from .rig import Rig
from .wire_blocks import block, words

MID = 32768
FREE = b"SEQ:FREE? " + block([MID] * 8 * 4) + b"\n"
ANSWER = len(block([0] * 20)) + 1


def during(rig: Rig, scan: int, data: bytes) -> None:
    """Let the bytes come within the reading of that number."""
    scans = 0

    def analog(_switches: int, _volts: list[float]) -> list[float]:
        nonlocal scans
        scans += 1
        if scans == scan:
            rig.send(data)
        return [0.0] * 8

    rig.attach(analog)


def test_a_message_waits_for_the_end_of_the_sequence(rig: Rig) -> None:
    during(rig, 2, b"SYST:WDOG 700;WDOG?\n")
    rig.send(FREE)
    answer = rig.fetch()
    assert words(answer[:ANSWER])[::5] == [0] * 4
    assert answer[ANSWER:] == b"700\n"
    assert rig.errors() == []


@pytest.mark.parametrize("size", [256, 300, 5000])
def test_more_than_there_is_room_for(rig: Rig, size: int) -> None:
    """What found no room is told, its message is lost, and the next one works."""
    during(rig, 2, b"SYST:WDOG?\n" + b" " * size)
    rig.send(FREE)
    answer = rig.fetch()
    assert words(answer[:ANSWER])[::5] == [0] * 4
    assert answer[ANSWER:] == b"2000\n"
    rig.send(b"\n")
    assert rig.errors() == [-363]
    assert rig.ask("SYST:WDOG?") == "2000"


def test_a_lost_end_of_a_block_costs_this_block(rig: Rig) -> None:
    during(rig, 2, b"EDGE:DATA " + block([5] * 32) + b"\n" + b"SEQ:FREE? " + block([MID] * 160))
    rig.send(FREE)
    rig.advance(0.15)
    rig.send(b"\n")
    assert words(rig.fetch()[:ANSWER])[::5] == [0] * 4
    assert rig.edges == [5] * 32
    assert rig.errors() == [-363]
    assert len(rig.sequence("SEQ:FREE? ", [[MID] * 8])) == 1


@pytest.mark.parametrize("before", [b"", b"SYST:WD", b"x" * 5000])
def test_can_is_heard_though_there_is_no_room(rig: Rig, before: bytes) -> None:
    during(rig, 2, before + b"\x18")
    rig.send(FREE)
    assert words(rig.fetch()[:ANSWER])[::5] == [0, 4, 4, 4]
    assert rig.is_safe()
    rig.send(b"\n")
    rig.errors()
    assert rig.ask("SYST:WDOG?") == "2000"


def test_can_in_a_long_settle_time_ends_it(rig: Rig) -> None:
    """A sequence that waits does not make the one who stops it wait for the rest of the batch."""
    rig.say("SEQ:SETT 50000")
    during(rig, 1, b"\x18")
    started = rig.now_us
    rig.send(FREE)
    assert words(rig.fetch())[::5] == [4] * 4
    assert rig.now_us - started <= 51_000


def test_a_cancelled_sequence_does_not_cancel_the_next(rig: Rig) -> None:
    during(rig, 1, b"\x18")
    rig.send(FREE)
    rig.fetch()
    assert [row[0] for row in rig.sequence("SEQ:FREE? ", [[MID] * 8] * 3)] == [0] * 3
