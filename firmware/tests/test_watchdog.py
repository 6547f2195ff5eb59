"""The message watchdog, CAN, reboot and OUTP OFF: the ways into the safe state, and the one way out of a trip."""

from __future__ import annotations

import pytest

from .rig import Rig
from .wire_blocks import block

MID = 32768
CAN = b"\x18"


def drive(rig: Rig) -> None:
    rig.say("SOUR:VOLT 0,0.4")
    rig.say("ROUT:CLOS 2")
    assert rig.errors() == []
    assert not rig.is_safe()
    assert rig.ask("OUTP?") == "1"


def test_silence_makes_safe_and_latches(rig: Rig) -> None:
    drive(rig)
    rig.advance(1.99)
    assert not rig.is_safe()
    rig.advance(0.02)
    assert rig.is_safe()
    assert rig.ask("SYST:WDOG:TRIP?") == "1"
    assert rig.errors() == [-240]
    for message, data in [
        ("SOUR:VOLT 0,0.1", b""), ("ROUT:CLOS 1", b""), ("SEQ:FREE? ", block([MID] * 8)),
        ("SEQ:NUDG? ", block([MID] * 16)), ("SEQ:TWOP? 0.5,", block([MID] * 12)),
    ]:  # fmt: skip
        rig.say(message, data)
        assert rig.errors() == [-240], message
        assert rig.is_safe()


@pytest.mark.parametrize("habit", ["*CLS", "*RST", "OUTP OFF", "SYST:WDOG 5000", "*OPC?"])
def test_only_wdog_clear_clears_it(rig: Rig, habit: str) -> None:
    drive(rig)
    rig.advance(2.1)
    rig.send(habit.encode() + b"\n")
    rig.fetch()
    rig.errors()
    assert rig.ask("SYST:WDOG:TRIP?") == "1"
    rig.say("SOUR:VOLT 0,0.1")
    assert rig.errors() == [-240]
    rig.say("SYST:WDOG:CLE")
    assert rig.ask("SYST:WDOG:TRIP?") == "0"
    assert rig.is_safe()
    drive(rig)


def test_can_does_not_clear_it(rig: Rig) -> None:
    drive(rig)
    rig.advance(2.1)
    rig.send(CAN)
    assert rig.ask("SYST:WDOG:TRIP?") == "1"


def test_nothing_driven_nothing_to_watch(rig: Rig) -> None:
    rig.advance(60)
    assert rig.ask("SYST:WDOG:TRIP?") == "0"
    assert rig.errors() == []
    drive(rig)


def test_every_message_is_a_sign_of_life(rig: Rig) -> None:
    drive(rig)
    for message in ["*OPC?", "SYST:WDOG?", "OUTP?", "SYST:ERR?", "*OPC?"]:
        rig.advance(1.9)
        rig.ask(message)
    assert not rig.is_safe()


def test_after_a_long_silence_the_first_half_of_a_message_may_drive(rig: Rig) -> None:
    """Bytes come one by one: between two units of a message the watchdog looks, and sees a host that talks."""
    rig.advance(10)
    for byte in b"SOUR:VOLT 0,0.1;VOLT 1,0.1\n":
        rig.send(bytes([byte]))
        rig.advance(1e-5)
    assert rig.errors() == []
    assert not rig.is_safe()


def test_half_a_message_is_none(rig: Rig) -> None:
    drive(rig)
    for _ in range(30):
        rig.send(b" ")
        rig.advance(0.1)
    assert rig.is_safe()
    rig.send(b"\n")
    assert rig.errors() == [-240]


@pytest.mark.parametrize("ms", [50, 173, 60000])
def test_its_time_is_set_by_the_host(rig: Rig, ms: int) -> None:
    rig.say(f"SYST:WDOG {ms}")
    assert rig.ask("SYST:WDOG?") == str(ms)
    drive(rig)
    rig.advance((ms - 2) / 1000)
    assert not rig.is_safe()
    rig.advance(0.005)
    assert rig.is_safe()


def test_spare_and_nudge_dacs_are_watched_too(rig: Rig) -> None:
    for channel in (9, 15):
        rig.say(f"SOUR:VOLT {channel},0.2")
        rig.advance(2.1)
        assert rig.is_safe()
        assert rig.errors() == [-240]
        rig.say("SYST:WDOG:CLE")


def test_it_pauses_in_a_sequence(rig: Rig) -> None:
    rig.say("SYST:WDOG 50;:SEQ:SETT 50000;AVER 1")
    started = rig.now_us
    rows = rig.sequence("SEQ:FREE? ", [[MID + 1000] * 8] * 20)
    assert rig.now_us - started >= 20 * 50_000
    assert [row[0] for row in rows] == [0] * 20
    assert rig.ask("SYST:WDOG:TRIP?") == "0"
    assert rig.errors() == []
    assert rig.is_safe()


def test_a_block_that_stops_leaves_the_watchdog_awake(rig: Rig) -> None:
    drive(rig)
    rig.send(b"SEQ:FREE? #218\0\0")
    rig.advance(2.5)
    assert rig.is_safe()
    assert sorted(rig.errors()) == [-240, -161]


@pytest.mark.parametrize("partial", [b"", b"SOUR:VOLT 0,0.", b"SEQ:FREE? ", b"\xff" * 200])
def test_can_drops_the_message_and_makes_safe(rig: Rig, partial: bytes) -> None:
    drive(rig)
    rig.send(partial + CAN)
    assert rig.is_safe()
    assert rig.fetch() == b""
    assert rig.ask("*OPC?") == "1"
    assert all(code == -363 for code in rig.errors())
    assert rig.ask("SYST:WDOG:TRIP?") == "0"


@pytest.mark.parametrize("partial", [b"#", b"#2", b"#218", b"#218\0\0\0"])
def test_can_in_a_block_is_data(rig: Rig, partial: bytes) -> None:
    drive(rig)
    rig.send(b"SEQ:FREE? " + partial + CAN)
    assert not rig.is_safe()
    rig.advance(0.11)
    rig.send(CAN)
    assert rig.is_safe()
    assert rig.errors() == [-161]


def test_can_ends_a_sequence_after_the_reading_under_way(rig: Rig) -> None:
    """The rest of the samples say that they were not measured, and the next message works."""
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
    assert rig.ask("*OPC?") == "1"
    assert rig.errors() == []


def test_reboot_is_a_power_up(rig: Rig) -> None:
    rig.say("SOUR:LIM:VOLT 0.5;:SEQ:SETT 40;AVER 4;SIDE 1;:SYST:WDOG 300;*ESE 7")
    rig.say("EDGE:CODE 3,99")
    drive(rig)
    rig.say("NO:SUCH")
    rig.say("SYST:REB")
    assert rig.is_safe()
    state = "SYST:WDOG?;:SEQ:SETT?;AVER?;SIDE?;*ESE?;SYST:ERR:COUN?;:SYST:WDOG:TRIP?"
    assert rig.ask(state) == "2000;200;1;2;0;0;0"
    assert float(rig.ask("SOUR:LIM:VOLT?")) == 2.0
    assert int(rig.ask("*ESR?")) & 128
    assert rig.ask("EDGE:CODE? 3") == "99"


def test_reboot_clears_a_trip(rig: Rig) -> None:
    drive(rig)
    rig.advance(2.1)
    rig.say("SYST:REB")
    assert rig.ask("SYST:WDOG:TRIP?") == "0"
    drive(rig)


@pytest.mark.parametrize("message", ["OUTP OFF", "*RST"])
def test_safe_now(rig: Rig, message: str) -> None:
    drive(rig)
    rig.say(message)
    assert rig.is_safe()
    assert rig.ask("OUTP?") == "0"
    assert rig.ask("ROUT:CLOS?") == "0"


def test_reset_keeps_what_it_should(rig: Rig) -> None:
    rig.say("SOUR:LIM:VOLT 0.5;:SEQ:SETT 40;AVER 4;SIDE 1;:SYST:WDOG 300")
    rig.say("EDGE:CODE 3,99")
    rig.say("*RST")
    assert rig.ask("SEQ:SETT?;AVER?;SIDE?") == "200;1;2"
    assert rig.ask("EDGE:CODE? 3") == "99"
    assert float(rig.ask("SOUR:LIM:VOLT?")) == 0.5


def test_open_keeps_the_dacs(rig: Rig) -> None:
    drive(rig)
    rig.say("ROUT:OPEN")
    assert rig.switches == 0
    assert rig.dacs[0] != MID
    assert rig.ask("OUTP?") == "1"
