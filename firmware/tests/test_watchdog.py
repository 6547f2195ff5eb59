"""Message watchdog, CAN, reboot and OUTP OFF: entering the safe state, and clearing the watchdog latch."""

from __future__ import annotations

import pytest

from .rig import Rig
from .wire_blocks import block

MID = 32768
CAN = b"\x18"


def drive(rig: Rig) -> None:
    rig.write("SOUR:VOLT 0,0.4")
    rig.write("ROUT:CLOS 2")
    assert rig.errors() == []
    assert not rig.is_safe()
    assert rig.query("OUTP?") == "1"


def test_silence_sets_the_safe_state_and_the_latch(rig: Rig) -> None:
    drive(rig)
    rig.advance(1.99)
    assert not rig.is_safe()
    rig.advance(0.02)
    assert rig.is_safe()
    assert rig.query("SYST:WDOG:TRIP?") == "1"
    assert rig.errors() == [-240]
    for message, data in [
        ("SOUR:VOLT 0,0.1", b""), ("ROUT:CLOS 1", b""), ("SEQ:FREE? ", block([MID] * 8)),
        ("SEQ:NUDG? ", block([MID] * 16)), ("SEQ:TWOP? 0.5,", block([MID] * 12)),
    ]:  # fmt: skip
        rig.write(message, data)
        assert rig.errors() == [-240], message
        assert rig.is_safe()


@pytest.mark.parametrize("habit", ["*CLS", "*RST", "OUTP OFF", "SYST:WDOG 5000", "*OPC?"])
def test_other_commands_do_not_clear_the_watchdog_latch(rig: Rig, habit: str) -> None:
    drive(rig)
    rig.advance(2.1)
    rig.send(habit.encode() + b"\n")
    rig.fetch()
    rig.errors()
    assert rig.query("SYST:WDOG:TRIP?") == "1"
    rig.write("SOUR:VOLT 0,0.1")
    assert rig.errors() == [-240]
    rig.write("SYST:WDOG:CLE")
    assert rig.query("SYST:WDOG:TRIP?") == "0"
    assert rig.is_safe()
    drive(rig)


def test_can_does_not_clear_the_watchdog_latch(rig: Rig) -> None:
    drive(rig)
    rig.advance(2.1)
    rig.send(CAN)
    assert rig.query("SYST:WDOG:TRIP?") == "1"


def test_watchdog_does_not_trip_without_driven_outputs(rig: Rig) -> None:
    rig.advance(60)
    assert rig.query("SYST:WDOG:TRIP?") == "0"
    assert rig.errors() == []
    drive(rig)


def test_every_query_restarts_the_watchdog(rig: Rig) -> None:
    drive(rig)
    for message in ["*OPC?", "SYST:WDOG?", "OUTP?", "SYST:ERR?", "*OPC?"]:
        rig.advance(1.9)
        rig.query(message)
    assert not rig.is_safe()


@pytest.mark.parametrize(
    "message",
    [
        b"\x00\xff\x80garbage", b"", b" ;; ", b"NO:SUCH", b"SOUR:VOLT", b"SOUR:VOLT 0,x", b"*IDN? 1", b"x" * 120,
        b"NO:SUCH;*OPC?", b"SEQ:FREE? #1x", b"EDGE:DATA #10", b"OUTP MAYBE",
        b"SOUR:VOLT 0,2.1", b"SOUR:VOLT 16,0", b"SYST:WDOG 49", b"SEQ:AVER 3", b"SOUR:LIM:VOLT 2.1",
        b"CAL:UNL WRONG", b"EDGE:DATA " + block([1] * 32), b"SEQ:FREE? " + block([MID] * 8),
    ],
)  # fmt: skip
def test_message_that_is_refused_does_not_restart_the_watchdog(rig: Rig, message: bytes) -> None:
    """Invalid lines, refused values and refused blocks show no host in control. (Edges: switches are closed.)"""
    rig.write("SYST:WDOG 500")
    drive(rig)
    for _ in range(8):
        rig.send(message + b"\n")
        rig.advance(0.2)
    assert rig.is_safe()
    rig.send(b"\n")
    rig.fetch()
    assert rig.query("SYST:WDOG:TRIP?") == "1"


@pytest.mark.parametrize(
    "message", [b"*OPC", b"SOUR:VOLT 12,0.1", b"SYST:WDOG 500", b"*OPC;NO:SUCH", b"SOUR:VOLT? 0"]
)
def test_executed_command_restarts_the_watchdog(rig: Rig, message: bytes) -> None:
    rig.write("SYST:WDOG 500")
    drive(rig)
    for _ in range(8):
        rig.send(message + b"\n")
        rig.advance(0.2)
    assert not rig.is_safe()
    rig.fetch()
    assert rig.query("SYST:WDOG:TRIP?") == "0"


def test_executed_block_restarts_the_watchdog(rig: Rig) -> None:
    rig.write("SYST:WDOG 500")
    rig.write("SOUR:VOLT 0,0.4")
    for code in range(8):
        rig.write("EDGE:DATA ", block([code] * 32))
        rig.advance(0.2)
    assert not rig.is_safe()
    assert rig.edges == [7] * 32
    assert rig.query("SYST:WDOG:TRIP?") == "0"


def test_first_command_of_a_message_restarts_the_watchdog(rig: Rig) -> None:
    """The watchdog runs between two commands of a message that arrives byte by byte, and must not trip."""
    rig.advance(10)
    for byte in b"SOUR:VOLT 0,0.1;VOLT 1,0.1\n":
        rig.send(bytes([byte]))
        rig.advance(1e-5)
    assert rig.errors() == []
    assert not rig.is_safe()


def test_incomplete_message_does_not_restart_the_watchdog(rig: Rig) -> None:
    drive(rig)
    for _ in range(30):
        rig.send(b" ")
        rig.advance(0.1)
    assert rig.is_safe()
    rig.send(b"\n")
    assert rig.errors() == [-240]


@pytest.mark.parametrize("ms", [50, 173, 60000])
def test_watchdog_time_is_set_by_the_host(rig: Rig, ms: int) -> None:
    rig.write(f"SYST:WDOG {ms}")
    assert rig.query("SYST:WDOG?") == str(ms)
    drive(rig)
    rig.advance((ms - 2) / 1000)
    assert not rig.is_safe()
    rig.advance(0.005)
    assert rig.is_safe()


def test_watchdog_is_active_for_spare_and_nudge_dacs(rig: Rig) -> None:
    for channel in (9, 15):
        rig.write(f"SOUR:VOLT {channel},0.2")
        rig.advance(2.1)
        assert rig.is_safe()
        assert rig.errors() == [-240]
        rig.write("SYST:WDOG:CLE")


def test_watchdog_pauses_in_a_sequence(rig: Rig) -> None:
    rig.write("SYST:WDOG 50;:SEQ:SETT 50000;AVER 1")
    started = rig.now_us
    rows = rig.sequence("SEQ:FREE? ", [[MID + 1000] * 8] * 20)
    assert rig.now_us - started >= 20 * 50_000
    assert [row[0] for row in rows] == [0] * 20
    assert rig.query("SYST:WDOG:TRIP?") == "0"
    assert rig.errors() == []
    assert rig.is_safe()


def test_interrupted_block_does_not_stop_the_watchdog(rig: Rig) -> None:
    drive(rig)
    rig.send(b"SEQ:FREE? #218\0\0")
    rig.advance(2.5)
    assert rig.is_safe()
    assert sorted(rig.errors()) == [-240, -161]


@pytest.mark.parametrize("partial", [b"", b"SOUR:VOLT 0,0.", b"SEQ:FREE? ", b"\xff" * 200])
def test_can_discards_the_message_and_sets_the_safe_state(rig: Rig, partial: bytes) -> None:
    drive(rig)
    rig.send(partial + CAN)
    assert rig.is_safe()
    assert rig.fetch() == b""
    assert rig.query("*OPC?") == "1"
    assert all(code == -363 for code in rig.errors())
    assert rig.query("SYST:WDOG:TRIP?") == "0"


@pytest.mark.parametrize("partial", [b"#", b"#2", b"#218", b"#218\0\0\0"])
def test_can_in_a_block_is_data(rig: Rig, partial: bytes) -> None:
    drive(rig)
    rig.send(b"SEQ:FREE? " + partial + CAN)
    assert not rig.is_safe()
    rig.advance(0.11)
    rig.send(CAN)
    assert rig.is_safe()
    assert rig.errors() == [-161]


def test_can_ends_a_sequence_after_the_current_reading(rig: Rig) -> None:
    """The other samples are marked as not measured, and the next message works."""
    scans = 0

    def analog(_switches: int, _volts: list[float]) -> list[float]:
        nonlocal scans
        scans += 1
        if scans == 5:
            rig.send(CAN)
        return [0.1] * 8

    rig.attach(analog)
    rows = rig.sequence("SEQ:FREE? ", [[MID + 50] * 8] * 12)
    status = [row[0] for row in rows]
    first = status.index(4)
    assert 4 <= first <= 5
    assert status == [0] * first + [4] * (12 - first)
    assert scans <= 6
    assert rig.is_safe()
    assert rig.query("*OPC?") == "1"
    assert rig.errors() == []


def test_reboot_equals_a_power_up(rig: Rig) -> None:
    rig.write("SOUR:LIM:VOLT 0.5;:SEQ:SETT 40;AVER 4;SIDE 1;:SYST:WDOG 300;*ESE 7")
    rig.write("EDGE:CODE 3,99")
    drive(rig)
    rig.write("NO:SUCH")
    rig.write("SYST:REB")
    assert rig.is_safe()
    state = "SYST:WDOG?;:SEQ:SETT?;AVER?;SIDE?;*ESE?;SYST:ERR:COUN?;:SYST:WDOG:TRIP?"
    assert rig.query(state) == "2000;200;1;2;0;0;0"
    assert float(rig.query("SOUR:LIM:VOLT?")) == 2.0
    assert int(rig.query("*ESR?")) & 128
    assert rig.query("EDGE:CODE? 3") == "99"


def test_reboot_clears_the_watchdog_latch(rig: Rig) -> None:
    drive(rig)
    rig.advance(2.1)
    rig.write("SYST:REB")
    assert rig.query("SYST:WDOG:TRIP?") == "0"
    drive(rig)


@pytest.mark.parametrize("message", ["OUTP OFF", "*RST"])
def test_command_sets_the_safe_state_immediately(rig: Rig, message: str) -> None:
    drive(rig)
    rig.write(message)
    assert rig.is_safe()
    assert rig.query("OUTP?") == "0"
    assert rig.query("ROUT:CLOS?") == "0"


def test_reset_keeps_limits_and_edges(rig: Rig) -> None:
    rig.write("SOUR:LIM:VOLT 0.5;:SEQ:SETT 40;AVER 4;SIDE 1;:SYST:WDOG 300")
    rig.write("EDGE:CODE 3,99")
    rig.write("*RST")
    assert rig.query("SEQ:SETT?;AVER?;SIDE?") == "200;1;2"
    assert rig.query("EDGE:CODE? 3") == "99"
    assert float(rig.query("SOUR:LIM:VOLT?")) == 0.5


def test_opening_switches_does_not_change_the_dacs(rig: Rig) -> None:
    drive(rig)
    rig.write("ROUT:OPEN")
    assert rig.switches == 0
    assert rig.dacs[0] != MID
    assert rig.query("OUTP?") == "1"
