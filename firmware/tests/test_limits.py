"""Limits in the firmware: codes outside change no output, and no command widens the limits."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from .conftest import NewRig
from .record import FLAWED, MICRO, PLAIN, Record, dac_range, dac_window, nearest
from .rig import Rig
from .wire_blocks import block, framed

MID = 32768
RECORDS = pytest.mark.parametrize("record", [PLAIN, FLAWED], ids=["ideal", "flawed"])


def code_limits(record: Record, volts_uV: int) -> list[tuple[int, int]]:
    return [dac_range(dac, volts_uV * MICRO) for dac in record.dacs]


@RECORDS
@pytest.mark.parametrize("volts_uV", [1_000_000, 654_321, 76_294, 1_000, 1])
def test_block_is_rejected_from_the_first_code_outside_the_limit(
    new_rig: NewRig, record: Record, volts_uV: int
) -> None:
    rig = new_rig(record)
    rig.write(f"SOUR:LIM:VOLT {volts_uV}e-6")
    ranges = code_limits(record, volts_uV)
    rig.allow(ranges)
    windows = [dac_window(dac, volts_uV * MICRO) for dac in record.dacs]
    for channel in range(8):
        low, high = windows[channel]
        for code in (low, high, low - 1, high + 1, 0, 65535):
            row = [MID] * 8
            row[channel] = code
            # midscale can be outside a limit that is smaller than the offset
            others_in = all(a <= MID <= b for a, b in windows[:8])
            loads = rig.loads
            rig.send(b"SEQ:FREE? " + block([*[MID] * 8, *row]) + b"\n")
            answered, errors = bool(rig.fetch()), rig.errors()
            if low <= code <= high and others_in:
                assert (answered, errors) == (True, []), (channel, code)
            else:
                assert (answered, errors, rig.loads) == (False, [-222], loads), (channel, code)
    assert rig.violations() == 0


@RECORDS
def test_voltage_at_the_limit_is_accepted_and_beyond_rejected(new_rig: NewRig, record: Record) -> None:
    rig = new_rig(record)
    rig.allow(code_limits(record, record.volts_uV))
    for channel in (*range(8), *range(12, 16)):
        for sign in (1, -1):
            rig.write(f"SOUR:VOLT {channel},{sign * record.volts_uV}e-6")
            assert rig.errors() == []
            code = rig.dacs[channel]
            assert code == nearest(record.dacs[channel].dac_code(sign * record.volts_uV * MICRO))
            rig.write(f"SOUR:VOLT {channel},{sign * (record.volts_uV + 1)}e-6")
            assert rig.errors() == [-222]
            assert rig.dacs[channel] == code
    assert rig.violations() == 0


@pytest.mark.parametrize(
    ("limit", "wider", "same", "narrower"),
    [
        ("SOUR:LIM:VOLT", "2.000001", "2", "1.5"),
        ("SOUR:LIM:NUDG", "0.500001", "0.5", "0.25"),
        ("SOUR:LIM:EDGE", "7,251", "8,250", "9,249"),
    ],
)
def test_limits_can_only_be_narrowed(new_rig: NewRig, limit: str, wider: str, same: str, narrower: str) -> None:
    rig = new_rig(replace(PLAIN, edge_low=8, edge_high=250))
    at_first = rig.query(f"{limit}?")
    for value, code in [(wider, -222), (same, None), (narrower, None), (same, -222), (wider, -222)]:
        rig.write(f"{limit} {value}")
        assert rig.errors() == ([] if code is None else [code]), value
    narrowed = rig.query(f"{limit}?")
    assert narrowed != at_first
    for harmless in ("*RST", "*CLS", "OUTP OFF", "SYST:WDOG:CLE", "ROUT:OPEN", "CAL:UNL T-0001"):
        rig.write(harmless)
        assert rig.query(f"{limit}?") == narrowed, harmless
    rig.send(b"\x18")
    assert rig.query(f"{limit}?") == narrowed


@pytest.mark.parametrize("edge", ["7,250", "8,251", "0,255", "251,255", "0,7"])
def test_edge_range_outside_the_present_range_is_rejected(new_rig: NewRig, edge: str) -> None:
    rig = new_rig(replace(PLAIN, edge_low=8, edge_high=250))
    rig.write(f"SOUR:LIM:EDGE {edge}")
    assert rig.errors() == [-222]
    assert rig.query("SOUR:LIM:EDGE?") == "8,250"


@pytest.mark.parametrize("value", ["0", "-1", "-0.5"])
@pytest.mark.parametrize("limit", ["VOLT", "NUDG"])
def test_limit_that_is_not_positive_is_rejected(rig: Rig, limit: str, value: str) -> None:
    before = rig.query(f"SOUR:LIM:{limit}?")
    rig.write(f"SOUR:LIM:{limit} {value}")
    assert rig.errors() in ([-222], [])
    after = float(rig.query(f"SOUR:LIM:{limit}?"))
    assert 0 <= after <= float(before)
    rig.allow([(MID, MID)] * 16 if after == 0 else [(0, 65535)] * 16)
    rig.write("SOUR:VOLT 0,0.1")
    assert rig.violations() == 0


def test_reset_does_not_widen_the_limits(rig: Rig) -> None:
    rig.write("SOUR:LIM:VOLT 0.1")
    rig.write("*RST")
    rig.allow([dac_range(dac, Fraction(1, 10)) for dac in PLAIN.dacs])
    rig.write("SEQ:FREE? ", block([MID + 1400] * 8))
    rig.write("SOUR:VOLT 1,0.11")
    assert rig.errors() == [-222, -222]
    assert rig.violations() == 0


def test_power_up_restores_the_limits_of_the_record(rig: Rig) -> None:
    rig.write("SOUR:LIM:VOLT 0.1;NUDG 0.1;EDGE 9,10")
    rig.power_on()
    assert [float(rig.query(f"SOUR:LIM:{limit}?")) for limit in ("VOLT", "NUDG")] == [2.0, 0.5]
    assert rig.query("SOUR:LIM:EDGE?") == "0,255"


def test_no_output_exceeds_a_narrowed_limit(rig: Rig) -> None:
    """The tighter limit is rejected, or the outputs outside it change."""
    rig.write("SOUR:VOLT 0,1.5")
    rig.write("SOUR:LIM:VOLT 1")
    errors = rig.errors()
    low, high = PLAIN.dac_range(0) if errors else dac_range(PLAIN.dacs[0], Fraction(1))
    assert low <= rig.dacs[0] <= high
    rig.allow([dac_range(dac, Fraction(1)) for dac in PLAIN.dacs])
    rig.write("SOUR:VOLT 1,0.1")
    assert errors == [-222] or rig.violations() == 0


@pytest.mark.parametrize("code", [0, 7, 251, 255, 256, 4096, 65535])
def test_edge_codes_outside_the_range_change_no_edge(new_rig: NewRig, code: int) -> None:
    rig = new_rig(replace(PLAIN, edge_low=8, edge_high=250))
    rig.write("EDGE:DATA ", block([100] * 32))
    for k in (0, 31):
        codes = [120] * 32
        codes[k] = code
        rig.write("EDGE:DATA ", block(codes))
        rig.write(f"EDGE:CODE {k},{code}")
        assert rig.errors() == [-222, -222]
    assert rig.edges == [100] * 32


def test_nudge_code_outside_the_voltage_limit_rejects_the_block(rig: Rig) -> None:
    good, bad = [MID] * 8 + [MID + 10] * 8, [MID] * 8 + [MID + 10] * 7 + [MID + 30000]
    rig.write("SEQ:NUDG? ", block([*good, *good, *bad]))
    assert rig.errors() == [-222]
    assert rig.loads == 0


def test_targets_outside_the_voltage_limit_do_not_reach_a_dac(rig: Rig) -> None:
    rig.allow([PLAIN.dac_range(k) for k in range(16)])
    rows = rig.sequence("SEQ:TWOP? 7.9,", [[MID] * 8 + [0, 65534, 60000, 5]])
    assert rows[0][0] & 1
    assert rig.violations() == 0


def test_nudge_dac_beyond_the_nudge_limit_is_not_connected(rig: Rig) -> None:
    rig.attach(lambda _switches, _volts: [0.3, -0.3, 0.0, 0.0, 0, 0, 0, 0])
    for volts, mask, allowed in [
        (0.7, 1, True), (0.9, 1, False), (-0.1, 1, True), (-0.3, 1, False), (-0.7, 2, True), (0.3, 2, False),
        (0.1, 2, True), (0.7, 4, False), (0.4, 4, True),
    ]:  # fmt: skip
        rig.write("OUTP OFF")
        rig.write(f"SOUR:VOLT {8 + {1: 0, 2: 1, 4: 2}[mask]},{volts}")
        rig.write(f"ROUT:CLOS {mask}")
        assert rig.errors() == ([] if allowed else [-222]), (volts, mask)
        assert rig.switches == (mask if allowed else 0)
        assert rig.query("ROUT:CLOS?") == str(rig.switches)


def test_connected_nudge_dac_stays_within_the_nudge_limit(rig: Rig) -> None:
    rig.attach(lambda _switches, _volts: [0.3] * 8)
    rig.write("SOUR:VOLT 8,0.3")
    rig.write("ROUT:CLOS 1")
    code = rig.dacs[8]
    rig.write("SOUR:VOLT 8,1.5")
    assert rig.errors() in ([-222], [-221])
    assert rig.dacs[8] == code


def test_record_with_limits_beyond_the_board_is_rejected(rig: Rig) -> None:
    wrong = [
        replace(PLAIN, volts_uV=2_490_001), replace(PLAIN, volts_uV=0), replace(PLAIN, volts_uV=-1),
        replace(PLAIN, nudge_uV=5_000_001), replace(PLAIN, nudge_uV=0), replace(PLAIN, edge_low=9, edge_high=8),
    ]  # fmt: skip
    for record in wrong:
        rig.write("CAL:UNL T-0001")
        before = bytes(rig.eeprom)
        rig.write("CAL:DATA ", framed(record.encode()))
        assert rig.errors() == [-222]
        assert bytes(rig.eeprom) == before
