"""Headers, numbers and replies as text lines."""

from __future__ import annotations

import pytest

from .conftest import NewRig
from .rig import Rig


def test_identity_contains_the_serial_number(rig: Rig, new_rig: NewRig) -> None:
    maker, model, serial, version = rig.query("*IDN?").split(",")
    assert (maker, model, serial) == ("hwlearn", "REFBOARD", "T-0001")
    assert version
    assert new_rig(None).query("*IDN?") == f"hwlearn,REFBOARD,0,{version}"


def test_capability_equals_the_reference_card(rig: Rig) -> None:
    assert rig.query("SYST:CAP?") == "2,8,4,32,256,3072"


@pytest.mark.parametrize(
    "header",
    ["SYSTem:WDOG?", "SYST:WDOG?", "system:wdog?", "sYsT:wDoG?", ":SYST:WDOG?", ":SYSTEM:WDOG?"],
)
def test_headers_are_accepted_in_long_and_short_form_and_any_case(rig: Rig, header: str) -> None:
    assert rig.query(header) == "2000"
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
def test_forms_between_short_and_long_are_rejected(rig: Rig, header: str) -> None:
    rig.write(header)
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
def test_long_and_short_form_have_the_same_effect(rig: Rig, long: str, short: str) -> None:
    assert rig.query(long) == rig.query(short)
    assert rig.errors() == []


@pytest.mark.parametrize(
    "message",
    [
        "SYSTEM:WDOG 900", "SYSTEM:WDOG:CLEAR", "OUTPUT OFF", "SOURCE:VOLTAGE 0,0.1", "SOURCE:LIMIT:VOLTAGE 1",
        "SOURCE:LIMIT:NUDGE 0.1", "SOURCE:LIMIT:EDGE 3,200", "ROUTE:CLOSE 1", "ROUTE:OPEN", "EDGE:CODE 0,4",
        "SEQUENCE:SETTLE 30", "SEQUENCE:AVERAGE 2", "SEQUENCE:SIDES 1", "CALIBRATION:UNLOCK T-0001",
    ],
)  # fmt: skip
def test_long_forms_without_a_reply_are_accepted(rig: Rig, message: str) -> None:
    rig.write(message)
    assert rig.errors() == []


def test_replies_to_one_message_are_joined(rig: Rig) -> None:
    assert rig.query("*OPC?;SYST:WDOG?;:SEQ:AVER?") == "1;2000;1"
    assert rig.errors() == []


def test_header_after_a_semicolon_is_looked_up_at_the_same_level(rig: Rig) -> None:
    assert rig.query("SEQ:SETT 35;AVER 4;SIDE 1;SETT?;AVER?;SIDE?") == "35;4;1"
    assert rig.query("SOUR:LIM:VOLT 1.5;NUDG 0.25;EDGE 3,200;VOLT?;:SEQ:SETT?").split(";")[1] == "35"
    assert [float(rig.query(f"SOUR:LIM:{limit}?")) for limit in ("VOLT", "NUDG")] == [1.5, 0.25]
    assert rig.query("SOUR:LIM:EDGE?") == "3,200"
    assert rig.errors() == []


def test_header_after_a_semicolon_is_looked_up_from_the_root_otherwise(rig: Rig) -> None:
    assert rig.query("SEQ:SETT?;SYST:WDOG?;WDOG?") == "200;2000;2000"
    assert rig.errors() == []


def test_common_command_does_not_change_the_level(rig: Rig) -> None:
    assert rig.query("SEQ:SETT?;*OPC?;AVER?") == "200;1;1"
    assert rig.errors() == []


def test_each_line_starts_at_the_root(rig: Rig) -> None:
    assert rig.query("SEQ:SETT?") == "200"
    rig.write("AVER 4")
    assert rig.errors() == [-113]


def test_spaces_carriage_returns_and_empty_lines_are_ignored(rig: Rig) -> None:
    rig.send(b"\n\r\n  \nSYST:WDOG?\r\n")
    assert rig.fetch() == b"2000\n"
    assert rig.query("  SYST:WDOG?  ") == "2000"
    assert rig.query("*OPC? ; *OPC?") == "1;1"
    rig.write("EDGE:CODE   3 ,  77 ")
    assert rig.query("EDGE:CODE? 3") == "77"
    assert rig.errors() == []


@pytest.mark.parametrize("zeros", [1, 4, 80])
def test_zero_bytes_do_not_terminate_a_message(rig: Rig, zeros: int) -> None:
    rig.send(b"OUTP OFF" + b"\0" * zeros + b"\n")
    rig.send(b"*OPC?" + b"\0" * zeros + b"\n")
    rig.send(b"CAL:UNL T-0001" + b"\0" * zeros + b"\n")
    assert rig.errors() == [-224, -113, -224]


def test_message_sent_byte_by_byte_is_accepted(rig: Rig) -> None:
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
def test_number_formats_are_accepted(rig: Rig, text: str, volts: float) -> None:
    rig.write(f"SOUR:VOLT 2,{text}")
    assert rig.errors() == []
    assert (
        abs(rig.dacs[2] - (32768 + volts * 65536 / 5)) <= 0.5 + 0.02
    )  # nearest code; volts are rounded to a microvolt
    assert float(rig.query("SOUR:VOLT? 2")) == pytest.approx((rig.dacs[2] - 32768) * 5 / 65536, abs=1.1e-6)


@pytest.mark.parametrize(
    "text", ["9e9", "1e400", "-1e400", "99999999999999999999", "1e99999999999", "4294967296.1", "-2147483649"]
)
def test_too_large_number_is_rejected(rig: Rig, text: str) -> None:
    rig.write("SOUR:VOLT 2,0.25")
    before = rig.dacs
    rig.write(f"SOUR:VOLT 2,{text}")
    assert rig.errors() == [-222]
    assert rig.dacs == before


@pytest.mark.parametrize(
    "text", ["1e", "--1", "1.2.3", "0x10", "nan", "inf", "1 2", "e5", "+", ".", "1e+", "five"]
)
def test_invalid_number_is_rejected(rig: Rig, text: str) -> None:
    rig.write(f"SOUR:VOLT 2,{text}")
    assert len(codes := rig.errors()) == 1
    assert codes[0] in (-102, -104, -224)
    assert rig.is_safe()


ROUNDED = [("1.0000004", 1000000), ("1.0000005", 1000001), ("1.0000014999", 1000001), ("10000015e-7", 1000002)]


@pytest.mark.parametrize(("text", "uV"), ROUNDED)
def test_voltages_are_rounded_to_the_nearest_microvolt(rig: Rig, text: str, uV: int) -> None:
    rig.write(f"SOUR:LIM:VOLT {text}")
    assert rig.query("SOUR:LIM:VOLT?") == f"{uV / 1e6:.6f}"


@pytest.mark.parametrize("digits", range(1, 9))
def test_set_voltage_reads_back_within_one_step(rig: Rig, digits: int) -> None:
    volts = round(1.23456789, digits)
    rig.write(f"SOUR:VOLT 7,{volts!r}")
    assert float(rig.query("SOUR:VOLT? 7")) == pytest.approx(volts, abs=0.51 * 5 / 65536 + 1e-6)


def test_measured_voltage_of_one_channel_and_of_all(rig: Rig) -> None:
    levels = [-2.4, -1.0, -0.001, 0.0, 0.001, 0.5, 1.5, 2.5]
    rig.attach(lambda _switches, _volts: levels)
    every = [float(value) for value in rig.query("MEAS:VOLT?").split(",")]
    assert every == pytest.approx(levels, abs=1.01 * 5.12 / 65536)
    assert [float(rig.query(f"MEAS:VOLT? {k}")) for k in range(8)] == every
