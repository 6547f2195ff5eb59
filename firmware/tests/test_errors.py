"""Every code of the card's table of errors, and the registers and the queue that tell of them."""

from __future__ import annotations

import pytest

from .conftest import NewRig
from .record import PLAIN
from .rig import Rig
from .wire_blocks import block, framed

FREE = block([32768] * 8)

PROVOKED = [
    ("SYST:WDOG ,5", -102),
    (":", -102),
    ("SYST:WDOG 500,", -102),
    ("SYST:WDOG 5 6", -104),
    ("SYST:WDOG OFF", -104),
    ("EDGE:DATA 5", -104),
    ("SYST:WDOG 500,500", -108),
    ("*RST 1", -108),
    ("MEAS:VOLT? 1,2", -108),
    ("OUTP? 1", -108),
    ("SYST:WDOG", -109),
    ("SOUR:VOLT 1", -109),
    ("SOUR:VOLT?", -109),
    ("SOUR:LIM:EDGE 5", -109),
    ("EDGE:CODE 5", -109),
    ("EDGE:DATA", -109),
    ("SEQ:FREE?", -109),
    ("OUTP", -109),
    ("FREE:ALL", -113),
    ("SYST::WDOG 500", -113),
    ("*RST?", -113),
    ("*IDN", -113),
    ("SYST:CAP", -113),
    ("MEAS:VOLT 1", -113),
    ("SEQ:FREE", -113),
    ("OUTP ON", -224),
    ("OUTP AUTO", -224),
    ("SYST:WDOG 49", -222),
    ("SYST:WDOG 60001", -222),
    ("SOUR:VOLT 16,0", -222),
    ("SOUR:VOLT -1,0", -222),
    ("SOUR:VOLT? 16", -222),
    ("SOUR:VOLT 0,2.001", -222),
    ("SOUR:VOLT 0,-2.001", -222),
    ("SOUR:LIM:VOLT 2.001", -222),
    ("SOUR:LIM:NUDG 0.501", -222),
    ("SOUR:LIM:EDGE 0,256", -222),
    ("SOUR:LIM:EDGE 9,8", -222),
    ("ROUT:CLOS 16", -222),
    ("ROUT:CLOS -1", -222),
    ("MEAS:VOLT? 8", -222),
    ("EDGE:CODE 32,0", -222),
    ("EDGE:CODE 0,256", -222),
    ("EDGE:CODE? 32", -222),
    ("SEQ:SETT 50001", -222),
    ("SEQ:SETT -1", -222),
    ("SEQ:AVER 3", -222),
    ("SEQ:AVER 0", -222),
    ("SEQ:AVER 128", -222),
    ("SEQ:SIDE 0", -222),
    ("SEQ:SIDE 3", -222),
    ("*ESE 256", -222),
    ("CAL:UNL T-0002", -224),
]


@pytest.mark.parametrize(("message", "code"), PROVOKED)
def test_a_wrong_message_gets_its_code_and_changes_nothing(rig: Rig, message: str, code: int) -> None:
    state = "SYST:WDOG?;:SOUR:LIM:VOLT?;NUDG?;EDGE?;:SEQ:SETT?;AVER?;SIDE?;*ESE?"
    before, edges = rig.ask(state), rig.edges
    rig.say(message)
    assert rig.errors() == [code]
    assert rig.is_safe()
    assert rig.loads == 0
    assert (rig.ask(state), rig.edges) == (before, edges)


def test_block_with_a_wrong_crc(rig: Rig) -> None:
    rig.say("SEQ:FREE? ", FREE[:-1] + bytes([FREE[-1] ^ 1]))
    assert rig.errors() == [-161]


def test_calibration_is_locked(rig: Rig) -> None:
    rig.say("CAL:DATA ", framed(PLAIN.encode()))
    assert rig.errors() == [-203]


@pytest.mark.parametrize(
    ("message", "data"),
    [("SOUR:VOLT 0,0.1", b""), ("EDGE:CODE 0,7", b""), ("EDGE:DATA ", block([9] * 32))],
)
def test_inputs_and_edges_stay_while_a_nudge_switch_is_closed(rig: Rig, message: str, data: bytes) -> None:
    rig.say("ROUT:CLOS 4")
    edges, dacs = rig.edges, rig.dacs
    rig.say(message, data)
    assert rig.errors() == [-221]
    assert (rig.edges, rig.dacs, rig.switches) == (edges, dacs, 4)


def test_calibration_stays_while_a_nudge_switch_is_closed(rig: Rig) -> None:
    rig.say("CAL:UNL T-0001")
    rig.say("ROUT:CLOS 4")
    before = bytes(rig.eeprom)
    rig.say("CAL:DATA ", framed(PLAIN.encode()))
    assert rig.errors() == [-221]
    assert bytes(rig.eeprom) == before


def test_no_valid_record(new_rig: NewRig) -> None:
    rig = new_rig(None)
    assert rig.errors() == [-340]  # told at once
    rig.say("SOUR:VOLT 0,0")
    assert rig.errors() == [-340]


def test_queue_keeps_the_oldest_and_marks_that_it_was_full(rig: Rig) -> None:
    for k in range(12):
        rig.say("SYST:WDOG 49" if k < 5 else "NO:SUCH")
    assert rig.ask("SYST:ERR:COUN?") == "8"
    assert rig.errors() == [-222] * 5 + [-113] * 2 + [-350]
    assert rig.ask("SYST:ERR:COUN?") == "0"


def test_reading_the_queue_makes_room_again(rig: Rig) -> None:
    for _ in range(9):
        rig.say("NO:SUCH")
    assert rig.ask("SYST:ERR?").startswith("-113,")
    rig.say("SYST:WDOG 49")
    assert rig.errors() == [-113] * 6 + [-350, -222]


def test_clear_status_empties_queue_and_register(rig: Rig) -> None:
    rig.say("NO:SUCH")
    rig.say("*CLS")
    assert rig.errors() == []
    assert rig.ask("*ESR?;*STB?") == "0;0"


def test_line_longer_than_96_characters(rig: Rig) -> None:
    line = "SYST:WDOG" + " " * (96 - len("SYST:WDOG") - 3) + "777"
    assert len(line) == 96
    rig.say(line)
    assert rig.ask("SYST:WDOG?") == "777"
    assert rig.errors() == []
    rig.say(line.replace("777", " 888"))
    assert rig.errors() == [-363]
    assert rig.ask("SYST:WDOG?") == "777"


def test_a_line_too_long_by_far_costs_one_error(rig: Rig) -> None:
    rig.say("SYST:WDOG 600 " * 3000)
    assert rig.errors() == [-363]
    assert rig.ask("SYST:WDOG?") == "2000"


def test_adc_that_does_not_answer(rig: Rig) -> None:
    rig.attach(lambda _switches, _volts: None)
    rig.say("MEAS:VOLT? 0")
    assert rig.errors() == [-365]
    assert int(rig.ask("*TST?")) & 2
    rig.say("ROUT:CLOS 1")
    assert rig.errors() == [-365]
    assert rig.switches == 0


@pytest.mark.parametrize(
    ("message", "bit"),
    [("NO:SUCH", 32), ("SYST:WDOG", 32), ("SYST:WDOG 1", 16), ("CAL:UNL X", 16), ("*OPC", 1)],
)
def test_event_status_register(rig: Rig, message: str, bit: int) -> None:
    rig.ask("*ESR?")
    rig.say(message)
    assert rig.ask("*ESR?") == str(bit)
    assert rig.ask("*ESR?") == "0"


def test_errors_from_minus_300_on_set_the_device_bit(rig: Rig) -> None:
    rig.ask("*ESR?")
    rig.attach(lambda _switches, _volts: None)
    rig.say("MEAS:VOLT? 0")
    assert rig.ask("*ESR?") == "8"


def test_a_trip_sets_the_execution_bit(rig: Rig) -> None:
    rig.ask("*ESR?")
    rig.say("SOUR:VOLT 0,0.1")
    rig.advance(2.5)
    assert rig.ask("*ESR?") == "16"
    assert rig.errors() == [-240]


def test_power_on_bit(rig: Rig) -> None:
    assert int(rig.ask("*ESR?")) & 128
    assert rig.ask("*ESR?") == "0"


def test_status_byte_sums_up(rig: Rig) -> None:
    rig.ask("*ESR?")
    assert rig.ask("*STB?") == "0"
    rig.say("NO:SUCH")
    assert int(rig.ask("*STB?")) & (4 | 32) == 4
    rig.say("*ESE 32")
    assert rig.ask("*ESE?") == "32"
    assert int(rig.ask("*STB?")) & (4 | 32) == 4 | 32
    rig.ask("*ESR?")
    assert int(rig.ask("*STB?")) & 32 == 0


@pytest.mark.parametrize("message", ["*OPC?", "*WAI;*OPC?"])
def test_operation_complete(rig: Rig, message: str) -> None:
    assert rig.ask(message) == "1"
    assert rig.errors() == []


def test_self_test_passes(rig: Rig) -> None:
    assert rig.ask("*TST?") == "0"
    assert rig.errors() == []


def test_after_an_error_the_rest_of_its_message_is_not_obeyed(rig: Rig) -> None:
    rig.send(b"*OPC?;NO:SUCH;SYST:WDOG 700;*OPC?;ALSO:NOT\n")
    assert rig.fetch() == b"1\n"
    assert rig.ask("SYST:WDOG?") == "2000"
    assert rig.errors() == [-113]


def test_a_number_sign_with_nothing_behind_it_is_given_up_after_silence(rig: Rig) -> None:
    rig.say("SYST:WDOG #")
    rig.advance(0.15)
    assert rig.errors() == [-104]
