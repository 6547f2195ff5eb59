"""Headers, numbers and answers as text lines."""

from __future__ import annotations

import pytest

from .conftest import NewRig
from .rig import Rig


def test_identity_tells_the_serial_and_a_blank_board_has_none(rig: Rig, new_rig: NewRig) -> None:
    maker, model, serial, version = rig.ask("*IDN?").split(",")
    assert (maker, model, serial) == ("hwlearn", "REFBOARD", "T-0001")
    assert version
    assert new_rig(None).ask("*IDN?") == f"hwlearn,REFBOARD,0,{version}"


def test_capability(rig: Rig) -> None:
    assert rig.ask("SYST:CAP?") == "1,8,4,32,256,3072"


@pytest.mark.parametrize(
    "header",
    ["SYSTem:WDOG?", "SYST:WDOG?", "system:wdog?", "sYsT:wDoG?", ":SYST:WDOG?", ":SYSTEM:WDOG?"],
)
def test_headers_take_long_and_short_form_in_any_case(rig: Rig, header: str) -> None:
    assert rig.ask(header) == "2000"
    assert rig.errors() == []


@pytest.mark.parametrize(
    "header",
    [
        "SYS:WDOG?",
        "SYSTE:WDOG?",
        "SYSTEMS:WDOG?",
        "SYST:WDO?",
        "SYST:WDOGG?",
        "SYST?",
        "WDOG?",
        "SYST:WDOG:WDOG?",
        "*IDNX?",
    ],
)
def test_nothing_between_short_and_long_form_is_a_header(rig: Rig, header: str) -> None:
    rig.say(header)
    assert rig.errors() == [-113]


LONG_FORMS = [
    ("SYSTEM:ERROR:NEXT?", "SYST:ERR?"),
    ("SYSTEM:ERROR?", "SYST:ERR?"),
    ("SYSTEM:ERROR:COUNT?", "SYST:ERR:COUN?"),
    ("SYSTEM:CAPABILITY?", "SYST:CAP?"),
    ("SYSTEM:WDOG:TRIPPED?", "SYST:WDOG:TRIP?"),
    ("OUTPUT?", "OUTP?"),
    ("SOURCE:VOLTAGE? 3", "SOUR:VOLT? 3"),
    ("SOURCE:LIMIT:VOLTAGE?", "SOUR:LIM:VOLT?"),
    ("SOURCE:LIMIT:NUDGE?", "SOUR:LIM:NUDG?"),
    ("SOURCE:LIMIT:EDGE?", "SOUR:LIM:EDGE?"),
    ("ROUTE:CLOSE?", "ROUT:CLOS?"),
    ("MEASURE:VOLTAGE? 1", "MEAS:VOLT? 1"),
    ("EDGE:CODE? 5", "EDGE:CODE? 5"),
    ("SEQUENCE:SETTLE?", "SEQ:SETT?"),
    ("SEQUENCE:AVERAGE?", "SEQ:AVER?"),
    ("SEQUENCE:SIDES?", "SEQ:SIDE?"),
]


@pytest.mark.parametrize(("long", "short"), LONG_FORMS)
def test_long_and_short_form_are_one_message(rig: Rig, long: str, short: str) -> None:
    assert rig.ask(long) == rig.ask(short)
    assert rig.errors() == []


@pytest.mark.parametrize(
    "message",
    [
        "SYSTEM:WDOG 900", "SYSTEM:WDOG:CLEAR", "OUTPUT OFF", "SOURCE:VOLTAGE 0,0.1", "SOURCE:LIMIT:VOLTAGE 1",
        "SOURCE:LIMIT:NUDGE 0.1", "SOURCE:LIMIT:EDGE 3,200", "ROUTE:CLOSE 1", "ROUTE:OPEN", "EDGE:CODE 0,4",
        "SEQUENCE:SETTLE 30", "SEQUENCE:AVERAGE 2", "SEQUENCE:SIDES 1", "CALIBRATION:UNLOCK T-0001",
    ],
)  # fmt: skip
def test_long_forms_without_an_answer(rig: Rig, message: str) -> None:
    rig.say(message)
    assert rig.errors() == []


def test_answers_of_one_message_are_joined(rig: Rig) -> None:
    assert rig.ask("*OPC?;SYST:WDOG?;:SEQ:AVER?") == "1;2000;1"
    assert rig.errors() == []


def test_after_a_semicolon_the_path_goes_on(rig: Rig) -> None:
    assert rig.ask("SEQ:SETT 35;AVER 4;SIDE 1;SETT?;AVER?;SIDE?") == "35;4;1"
    assert rig.ask("SOUR:LIM:VOLT 1.5;NUDG 0.25;EDGE 3,200;VOLT?;:SEQ:SETT?").split(";")[1] == "35"
    assert [float(rig.ask(f"SOUR:LIM:{limit}?")) for limit in ("VOLT", "NUDG")] == [1.5, 0.25]
    assert rig.ask("SOUR:LIM:EDGE?") == "3,200"
    assert rig.errors() == []


def test_after_a_semicolon_a_header_not_beside_the_last_is_looked_up_from_the_root(rig: Rig) -> None:
    assert rig.ask("SEQ:SETT?;SYST:WDOG?;WDOG?") == "200;2000;2000"
    assert rig.errors() == []


def test_a_common_command_does_not_move_the_path(rig: Rig) -> None:
    assert rig.ask("SEQ:SETT?;*OPC?;AVER?") == "200;1;1"
    assert rig.errors() == []


def test_the_path_does_not_outlive_its_line(rig: Rig) -> None:
    assert rig.ask("SEQ:SETT?") == "200"
    rig.say("AVER 4")
    assert rig.errors() == [-113]


def test_spaces_carriage_returns_and_empty_lines(rig: Rig) -> None:
    rig.send(b"\n\r\n  \nSYST:WDOG?\r\n")
    assert rig.fetch() == b"2000\n"
    assert rig.ask("  SYST:WDOG?  ") == "2000"
    assert rig.ask("*OPC? ; *OPC?") == "1;1"
    rig.say("EDGE:CODE   3 ,  77 ")
    assert rig.ask("EDGE:CODE? 3") == "77"
    assert rig.errors() == []


@pytest.mark.parametrize("zeros", [1, 4, 80])
def test_zero_bytes_end_nothing(rig: Rig, zeros: int) -> None:
    rig.send(b"OUTP OFF" + b"\0" * zeros + b"\n")
    rig.send(b"*OPC?" + b"\0" * zeros + b"\n")
    rig.send(b"CAL:UNL T-0001" + b"\0" * zeros + b"\n")
    assert rig.errors() == [-224, -113, -224]


def test_bytes_may_come_one_by_one(rig: Rig) -> None:
    for byte in b"SEQ:AVER 8;AVER?\n":
        assert rig.fetch() == b""
        rig.send(bytes([byte]))
    assert rig.fetch() == b"8\n"


NUMBERS = [
    ("0.5", 0.5), ("+0.5", 0.5), ("-0.5", -0.5), (".5", 0.5), ("5e-1", 0.5), ("5E-1", 0.5), ("0.05e+1", 0.5),
    ("50e-2", 0.5), ("500000e-6", 0.5), ("0.000000005e8", 0.5), ("1", 1.0), ("1.", 1.0),
    ("1.000000000000000000", 1.0), ("0000000000001", 1.0), ("5e-07", 5e-7), ("-5e-07", -5e-7), ("0", 0.0),
    ("-0.0", 0.0), ("1e-30", 0.0),
    ("0e30", 0.0), ("1.23456789012345", 1.23456789012345), ("-1.9999999999999998", -2.0),
    ("7.62939453125e-05", 5 / 65536),
]  # fmt: skip


@pytest.mark.parametrize(("text", "volts"), NUMBERS)
def test_numbers(rig: Rig, text: str, volts: float) -> None:
    rig.say(f"SOUR:VOLT 2,{text}")
    assert rig.errors() == []
    assert abs(rig.dacs[2] - (32768 + volts * 65536 / 5)) <= 0.5 + 0.02  # nearest code, the volts to a microvolt
    assert float(rig.ask("SOUR:VOLT? 2")) == pytest.approx((rig.dacs[2] - 32768) * 5 / 65536, abs=1.1e-6)


@pytest.mark.parametrize(
    "text", ["9e9", "1e400", "-1e400", "99999999999999999999", "1e99999999999", "4294967296.1", "-2147483649"]
)
def test_a_number_too_large_for_anything_is_refused_and_nothing_moves(rig: Rig, text: str) -> None:
    rig.say("SOUR:VOLT 2,0.25")
    before = rig.dacs
    rig.say(f"SOUR:VOLT 2,{text}")
    assert rig.errors() == [-222]
    assert rig.dacs == before


@pytest.mark.parametrize(
    "text", ["1e", "--1", "1.2.3", "0x10", "nan", "inf", "1 2", "e5", "+", ".", "1e+", "five"]
)
def test_what_is_no_number(rig: Rig, text: str) -> None:
    rig.say(f"SOUR:VOLT 2,{text}")
    assert len(codes := rig.errors()) == 1
    assert codes[0] in (-102, -104, -224)
    assert rig.is_safe()


ROUNDED = [("1.0000004", 1000000), ("1.0000005", 1000001), ("1.0000014999", 1000001), ("10000015e-7", 1000002)]


@pytest.mark.parametrize(("text", "uV"), ROUNDED)
def test_volts_are_rounded_to_the_nearest_microvolt(rig: Rig, text: str, uV: int) -> None:
    rig.say(f"SOUR:LIM:VOLT {text}")
    assert rig.ask("SOUR:LIM:VOLT?") == f"{uV / 1e6:.6f}"


@pytest.mark.parametrize("digits", range(1, 9))
def test_a_voltage_reads_back_as_it_was_set_to_a_step(rig: Rig, digits: int) -> None:
    volts = round(1.23456789, digits)
    rig.say(f"SOUR:VOLT 7,{volts!r}")
    assert float(rig.ask("SOUR:VOLT? 7")) == pytest.approx(volts, abs=0.51 * 5 / 65536 + 1e-6)


def test_measured_volts_of_one_channel_and_of_all(rig: Rig) -> None:
    levels = [-2.4, -1.0, -0.001, 0.0, 0.001, 0.5, 1.5, 2.5]
    rig.attach(lambda _switches, _volts: levels)
    every = [float(value) for value in rig.ask("MEAS:VOLT?").split(",")]
    assert every == pytest.approx(levels, abs=1.01 * 5.12 / 65536)
    assert [float(rig.ask(f"MEAS:VOLT? {k}")) for k in range(8)] == every
