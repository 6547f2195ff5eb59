"""Bytes received during a sequence: they are buffered, lost in an overrun, or CAN."""

from __future__ import annotations

import pytest

from .rig import Rig
from .wire_blocks import block, words

MID = 32768
FREE = b"SEQ:FREE? " + block([MID] * 8 * 4) + b"\n"
ANSWER = len(block([0] * 20)) + 1


def during(rig: Rig, scan: int, data: bytes) -> None:
    """Deliver bytes during the reading with this number."""
    scans = 0

    def analog(_switches: int, _volts: list[float]) -> list[float]:
        nonlocal scans
        scans += 1
        if scans == scan:
            rig.send(data)
        return [0.0] * 8

    rig.attach(analog)


def test_message_during_a_sequence_is_executed_after_it(rig: Rig) -> None:
    during(rig, 2, b"SYST:WDOG 700;WDOG?\n")
    rig.send(FREE)
    answer = rig.fetch()
    assert words(answer[:ANSWER])[::5] == [0] * 4
    assert answer[ANSWER:] == b"700\n"
    assert rig.errors() == []


@pytest.mark.parametrize("size", [256, 300, 5000])
def test_overrun_gives_an_error_and_loses_its_message(rig: Rig, size: int) -> None:
    """An overrun is reported, its message is lost, and the next message works."""
    during(rig, 2, b"SYST:WDOG?\n" + b" " * size)
    rig.send(FREE)
    answer = rig.fetch()
    assert words(answer[:ANSWER])[::5] == [0] * 4
    assert answer[ANSWER:] == b"2000\n"
    rig.send(b"\n")
    assert rig.errors() == [-363]
    assert rig.query("SYST:WDOG?") == "2000"


def test_lost_end_of_a_block_rejects_this_block_only(rig: Rig) -> None:
    during(rig, 2, b"EDGE:DATA " + block([5] * 32) + b"\n" + b"SEQ:FREE? " + block([MID] * 160))
    rig.send(FREE)
    rig.advance(0.15)
    rig.send(b"\n")
    assert words(rig.fetch()[:ANSWER])[::5] == [0] * 4
    assert rig.edges == [5] * 32
    assert rig.errors() == [-363]
    assert len(rig.sequence("SEQ:FREE? ", [[MID] * 8])) == 1


@pytest.mark.parametrize("before", [b"", b"SYST:WD", b"x" * 5000])
def test_can_is_detected_with_a_full_buffer(rig: Rig, before: bytes) -> None:
    during(rig, 2, before + b"\x18")
    rig.send(FREE)
    assert words(rig.fetch()[:ANSWER])[::5] == [0, 4, 4, 4]
    assert rig.is_safe()
    rig.send(b"\n")
    rig.errors()
    assert rig.query("SYST:WDOG?") == "2000"


def test_can_ends_a_long_settle_time(rig: Rig) -> None:
    """CAN during a settle time ends the sequence before the rest of the batch."""
    rig.write("SEQ:SETT 50000")
    during(rig, 1, b"\x18")
    started = rig.now_us
    rig.send(FREE)
    assert words(rig.fetch())[::5] == [4] * 4
    assert rig.now_us - started <= 51_000


def test_next_sequence_runs_after_a_cancelled_one(rig: Rig) -> None:
    during(rig, 1, b"\x18")
    rig.send(FREE)
    rig.fetch()
    assert [row[0] for row in rig.sequence("SEQ:FREE? ", [[MID] * 8] * 3)] == [0] * 3
