"""Every error code of the reference card, and the queue and registers that report it."""

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
    ("OUTP:ARM 1,2", -200),
    ("OUTP:ARM 5", -109),
    ("OUTP:ARM 0,65536", -222),
    ("OUTP:ARM 65536,0", -222),
    ("OUTP:ARM?", -113),
    ("SYST:STAT", -113),
    ("OUTP!", -113),
    ("*ESE! 5", -113),
    ("SEQ:SETT!", -113),
]


@pytest.mark.parametrize(("message", "code"), PROVOKED)
def test_invalid_message_gives_its_error_code_without_effect(rig: Rig, message: str, code: int) -> None:
    state = "SYST:WDOG?;:SOUR:LIM:VOLT?;NUDG?;EDGE?;:SEQ:SETT?;AVER?;SIDE?;*ESE?"
    before, edges = rig.query(state), rig.edges
    rig.write(message)
    assert rig.errors() == [code]
    assert rig.is_safe()
    assert rig.loads == 0
    assert (rig.query(state), rig.edges) == (before, edges)


def test_block_with_a_wrong_crc_is_rejected(rig: Rig) -> None:
    rig.write("SEQ:FREE? ", FREE[:-1] + bytes([FREE[-1] ^ 1]))
    assert rig.errors() == [-161]


def test_calibration_is_locked_at_power_up(rig: Rig) -> None:
    rig.write("CAL:DATA ", framed(PLAIN.encode()))
    assert rig.errors() == [-203]


@pytest.mark.parametrize(
    ("message", "data"),
    [("SOUR:VOLT 0,0.1", b""), ("EDGE:CODE 0,7", b""), ("EDGE:DATA ", block([9] * 32))],
)
def test_inputs_and_edges_cannot_change_while_a_nudge_switch_is_closed(
    rig: Rig, message: str, data: bytes
) -> None:
    rig.write("ROUT:CLOS 4")
    edges, dacs = rig.edges, rig.dacs
    rig.write(message, data)
    assert rig.errors() == [-221]
    assert (rig.edges, rig.dacs, rig.switches) == (edges, dacs, 4)


def test_calibration_cannot_change_while_a_nudge_switch_is_closed(rig: Rig) -> None:
    rig.write("CAL:UNL T-0001")
    rig.write("ROUT:CLOS 4")
    before = bytes(rig.eeprom)
    rig.write("CAL:DATA ", framed(PLAIN.encode()))
    assert rig.errors() == [-221]
    assert bytes(rig.eeprom) == before


def test_missing_record_gives_an_error_at_power_up(new_rig: NewRig) -> None:
    rig = new_rig(None)
    assert rig.errors() == [-340]  # reported at once
    rig.write("SOUR:VOLT 0,0")
    assert rig.errors() == [-340]


def test_full_queue_keeps_the_oldest_errors_and_adds_an_overflow_code(rig: Rig) -> None:
    for k in range(12):
        rig.write("SYST:WDOG 49" if k < 5 else "NO:SUCH")
    assert rig.query("SYST:ERR:COUN?") == "8"
    assert rig.errors() == [-222] * 5 + [-113] * 2 + [-350]
    assert rig.query("SYST:ERR:COUN?") == "0"


def test_reading_the_queue_frees_an_entry(rig: Rig) -> None:
    for _ in range(9):
        rig.write("NO:SUCH")
    assert rig.query("SYST:ERR?").startswith("-113,")
    rig.write("SYST:WDOG 49")
    assert rig.errors() == [-113] * 6 + [-350, -222]


def test_clear_status_clears_queue_and_register(rig: Rig) -> None:
    rig.write("NO:SUCH")
    rig.write("*CLS")
    assert rig.errors() == []
    assert rig.query("*ESR?;*STB?") == "0;0"


def test_line_longer_than_96_characters_is_rejected(rig: Rig) -> None:
    line = "SYST:WDOG" + " " * (96 - len("SYST:WDOG") - 3) + "777"
    assert len(line) == 96
    rig.write(line)
    assert rig.query("SYST:WDOG?") == "777"
    assert rig.errors() == []
    rig.write(line.replace("777", " 888"))
    assert rig.errors() == [-363]
    assert rig.query("SYST:WDOG?") == "777"


def test_very_long_line_gives_one_error(rig: Rig) -> None:
    rig.write("SYST:WDOG 600 " * 3000)
    assert rig.errors() == [-363]
    assert rig.query("SYST:WDOG?") == "2000"


def test_unresponsive_adc_gives_an_error(rig: Rig) -> None:
    rig.attach(lambda _switches, _volts: None)
    rig.write("MEAS:VOLT? 0")
    assert rig.errors() == [-365]
    assert int(rig.query("*TST?")) & 2
    rig.write("ROUT:CLOS 1")
    assert rig.errors() == [-365]
    assert rig.switches == 0


@pytest.mark.parametrize(
    ("message", "bit"),
    [("NO:SUCH", 32), ("SYST:WDOG", 32), ("SYST:WDOG 1", 16), ("CAL:UNL X", 16), ("*OPC", 1)],
)
def test_error_sets_its_bit_of_the_event_status_register(rig: Rig, message: str, bit: int) -> None:
    rig.query("*ESR?")
    rig.write(message)
    assert rig.query("*ESR?") == str(bit)
    assert rig.query("*ESR?") == "0"


def test_errors_of_minus_300_and_below_set_the_device_bit(rig: Rig) -> None:
    rig.query("*ESR?")
    rig.attach(lambda _switches, _volts: None)
    rig.write("MEAS:VOLT? 0")
    assert rig.query("*ESR?") == "8"


def test_watchdog_trip_sets_the_execution_bit(rig: Rig) -> None:
    rig.query("*ESR?")
    rig.write("SOUR:VOLT 0,0.1")
    rig.advance(2.5)
    assert rig.query("*ESR?") == "16"
    assert rig.errors() == [-240]


def test_power_up_sets_the_power_on_bit(rig: Rig) -> None:
    assert int(rig.query("*ESR?")) & 128
    assert rig.query("*ESR?") == "0"


def test_status_byte_summarises_queue_and_register(rig: Rig) -> None:
    rig.query("*ESR?")
    assert rig.query("*STB?") == "0"
    rig.write("NO:SUCH")
    assert int(rig.query("*STB?")) & (4 | 32) == 4
    rig.write("*ESE 32")
    assert rig.query("*ESE?") == "32"
    assert int(rig.query("*STB?")) & (4 | 32) == 4 | 32
    rig.query("*ESR?")
    assert int(rig.query("*STB?")) & 32 == 0


@pytest.mark.parametrize("message", ["*OPC?", "*WAI;*OPC?"])
def test_operation_complete_is_reported(rig: Rig, message: str) -> None:
    assert rig.query(message) == "1"
    assert rig.errors() == []


def test_self_test_passes_on_a_working_board(rig: Rig) -> None:
    assert rig.query("*TST?") == "0"
    assert rig.errors() == []


def test_rest_of_a_message_is_ignored_after_an_error(rig: Rig) -> None:
    rig.send(b"*OPC?;NO:SUCH;SYST:WDOG 700;*OPC?;ALSO:NOT\n")
    assert rig.fetch() == b"1\n"
    assert rig.query("SYST:WDOG?") == "2000"
    assert rig.errors() == [-113]


def test_incomplete_block_header_is_discarded_after_silence(rig: Rig) -> None:
    rig.write("SYST:WDOG #")
    rig.advance(0.15)
    assert rig.errors() == [-104]
