"""A host holds the board: OFF of anybody is final until it is allowed again, and every change is counted."""

from __future__ import annotations

from itertools import pairwise

import pytest

from .conftest import NewRig
from .record import PLAIN, crc16
from .rig import Rig
from .wire_blocks import block, framed

CAN = b"\x18"
DRIVING = {
    "text": ("SOUR:VOLT 0,0.5", b""),
    "midscale": ("SOUR:VOLT 0,0", b""),
    "switches": ("ROUT:CLOS 1", b""),
    "no switch": ("ROUT:CLOS 0", b""),
    "free": ("SEQ:FREE? ", block([33000] * 8)),
    "nudged": ("SEQ:NUDG? ", block([33000] * 8 + [0xFFFF] * 8)),
    "two phases": ("SEQ:TWOP? 0.1,", block([33000] * 8 + [0xFFFF] * 4)),
}
OFFS = {"OFF": b"OUTP OFF\n", "0": b"OUTP 0\n", "CAN": CAN, "CAN and OFF": CAN + b"OUTP OFF\n"}
CHANGES = {
    "SOUR:VOLT 0,0.5": b"", "SOUR:LIM:VOLT 1.9": b"", "SOUR:LIM:NUDG 0.4": b"", "SOUR:LIM:EDGE 1,254": b"",
    "SYST:WDOG 3000": b"", "SYST:WDOG:CLE": b"", "SEQ:SETT 200": b"", "SEQ:AVER 1": b"", "SEQ:SIDE 2": b"",
    "ROUT:CLOS 0": b"", "ROUT:OPEN": b"", "OUTP OFF": b"", "*RST": b"", "EDGE:CODE 3,128": b"",
    "EDGE:DATA ": block([128] * 32), "CAL:UNL T-0001": b"",
}  # fmt: skip


def state(rig: Rig) -> tuple[int, int]:
    """Return the number and the checksum that the board reports."""
    number, checksum = rig.query("SYST:STAT?").split(",")
    return int(number), int(checksum)


def refused(rig: Rig, message: str, data: bytes = b"") -> None:
    """Check that a message drives nothing, is not answered, and gives error -200."""
    loads = rig.loads
    rig.write(message, data)
    assert rig.errors() == [-200]
    assert rig.loads == loads
    assert rig.is_safe()


@pytest.mark.parametrize("off", OFFS)
@pytest.mark.parametrize("driving", DRIVING)
def test_held_board_drives_nothing_after_off(rig: Rig, off: str, driving: str) -> None:
    rig.write("OUTP:ARM 0,500")
    rig.write("SOUR:VOLT 3,0.5")
    rig.send(OFFS[off])
    assert rig.is_safe()
    number, _ = state(rig)
    assert number < 0
    refused(rig, *DRIVING[driving])
    rig.write(f"OUTP:ARM {-number},900")
    message, data = DRIVING[driving]
    rig.send(message.encode() + data + b"\n")
    rig.fetch()
    assert rig.errors() == []


@pytest.mark.parametrize("habit", ["*RST", "*CLS", "SYST:WDOG:CLE", "ROUT:OPEN", "SOUR:LIM:VOLT 1", "OUTP OFF"])
def test_nothing_but_arm_ends_the_latch(rig: Rig, habit: str) -> None:
    rig.write("OUTP:ARM 0,500")
    rig.write("OUTP OFF")
    rig.write(habit)
    refused(rig, "SOUR:VOLT 0,0.5")


def test_arm_with_another_number_changes_nothing(rig: Rig) -> None:
    rig.write("OUTP:ARM 0,500")
    rig.write("OUTP OFF")
    for wrong in ("500,7", "502,7", "0,7", "65535,7"):
        refused(rig, f"OUTP:ARM {wrong}")
        assert state(rig)[0] == -501
    rig.write("OUTP:ARM 501,7")
    assert state(rig)[0] == 7


def test_equal_numbers_check_the_state_and_do_not_end_the_latch(rig: Rig) -> None:
    rig.write("OUTP:ARM 0,500")
    rig.write("OUTP:ARM 500,500")
    assert state(rig)[0] == 500
    rig.send(CAN)
    rig.write("OUTP:ARM 500,500")
    refused(rig, "SOUR:VOLT 0,0.5")


def test_a_failed_check_ends_its_message(rig: Rig) -> None:
    rig.write("OUTP:ARM 0,500")
    refused(rig, "OUTP:ARM 501,501;:SEQ:FREE? ", block([33000] * 8))


def test_board_that_nobody_holds_has_no_latch(rig: Rig) -> None:
    rig.write("OUTP OFF")
    rig.send(CAN)
    rig.write("SOUR:VOLT 0,0.5")
    assert state(rig)[0] == 0
    rig.write("OUTP:ARM 0,500")
    rig.write("OUTP OFF")
    rig.write("OUTP:ARM 501,0")
    rig.write("OUTP OFF")
    rig.write("SOUR:VOLT 0,0.5")
    assert not rig.is_safe()


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_counted_also_one_that_changes_back(rig: Rig, change: str) -> None:
    rig.write("OUTP:ARM 0,500")
    rig.write(change, CHANGES[change])
    assert rig.errors() == []
    assert abs(state(rig)[0]) == 501
    refused(rig, "OUTP OFF;:OUTP:ARM 500,500;:SEQ:FREE? ", block([33000] * 8))


def test_new_record_is_counted(rig: Rig) -> None:
    rig.write("OUTP:ARM 0,500")
    rig.write("CAL:UNL T-0001")
    rig.write("CAL:DATA ", framed(PLAIN.encode()))
    assert state(rig)[0] == 502


def test_queries_status_commands_and_refused_commands_are_not_counted(rig: Rig) -> None:
    rig.write("OUTP:ARM 0,500")
    rig.write("*CLS;*ESE 5;*OPC;*WAI")
    rig.write("SOUR:VOLT 0,2.5")
    rig.write("NO:SUCH")
    rig.write("OUTP ON")
    rig.query("*IDN?;*ESR?;:MEAS:VOLT?;:SOUR:LIM:VOLT?")
    rig.query_words("SEQ:FREE? ", block([33000] * 8))
    assert state(rig)[0] == 500


def test_count_never_returns_to_not_held(rig: Rig) -> None:
    rig.write("OUTP:ARM 0,65534")
    numbers = []
    for _ in range(4):
        rig.write("SEQ:SIDE 2")
        numbers.append(state(rig)[0])
    assert numbers == [65535, 1, 2, 3]


def test_restart_ends_the_hold(rig: Rig) -> None:
    rig.write("OUTP:ARM 0,500")
    rig.write("OUTP OFF")
    rig.send(b"SYST:REB\n")
    assert state(rig)[0] == 0
    refused_before = rig.errors()
    assert refused_before == []
    refused(rig, "OUTP:ARM 501,501;:SOUR:VOLT 0,0.5")


def test_checksum_is_that_of_the_codes_in_the_edges(rig: Rig) -> None:
    seen = []
    for code in range(0, 256, 51):
        rig.write(f"EDGE:CODE 31,{code}")
        seen.append(state(rig)[1])
        codes = b"".join(code.to_bytes(2, "little") for code in rig.edges)
        assert seen[-1] == crc16(codes)
        assert codes == b"".join(k.to_bytes(2, "little") for k in rig.query_words("EDGE:DATA?"))
    assert all(first != then for first, then in pairwise(seen))


def test_off_inside_a_sequence_is_final(rig: Rig) -> None:
    rig.write("OUTP:ARM 0,500")
    sent = []

    def network(_switches: int, _volts: list[float]) -> list[float]:
        if not sent:
            sent.append(CAN)
            rig.send(CAN)
        return [0.0] * 8

    rig.attach(network)
    rows = rig.sequence("SEQ:FREE? ", [[33000] * 8] * 3)
    assert [row[0] for row in rows] == [4, 4, 4]
    assert state(rig)[0] == -500
    refused(rig, "SEQ:FREE? ", block([33000] * 8))


def test_without_a_record_the_board_is_still_not_driven(new_rig: NewRig) -> None:
    rig = new_rig(None)
    rig.errors()
    rig.write("OUTP:ARM 0,500")
    rig.write("SOUR:VOLT 0,0.5")
    assert rig.errors() == [-340]
