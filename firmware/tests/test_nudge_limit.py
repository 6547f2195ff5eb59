"""The nudge limit, to one code, in TWOP, NUDG and ROUT:CLOS."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from .conftest import NewRig
from .record import FLAWED, PLAIN, Record
from .reference import Windows
from .rig import Rig
from .wire_blocks import block

MID, FLOATING = 32768, 0xFFFF
WIDE = replace(FLAWED, volts_uV=2_490_000, nudge_uV=5_000_000)
RECORDS = pytest.mark.parametrize("record", [PLAIN, FLAWED], ids=["ideal", "flawed"])


def reading(rig: Rig, *codes: int) -> None:
    """Set the ADC codes that the outputs read."""
    rig.attach(lambda _switches, _volts: [code * 5.12 / 65536 - 2.5 for code in codes] + [0.0] * 4)


@RECORDS
@pytest.mark.parametrize("output", range(4))
@pytest.mark.parametrize("sign", [1, -1])
def test_target_beyond_the_nudge_limit_is_refused(new_rig: NewRig, record: Record, output: int, sign: int) -> None:
    rig, windows = new_rig(record), Windows(record, record.volts_uV, record.nudge_uV)
    reading(rig, 32000, 32000, 32000, 32000)
    rows = []
    for away in (windows.nudge_adc_codes[output], windows.nudge_adc_codes[output] + 1):
        targets = [FLOATING] * 4
        targets[output] = 32000 + sign * away
        rows.append([MID] * 8 + targets)
    assert [answer[0] for answer in rig.sequence("SEQ:TWOP? 1,", rows)] == [0, 1]


@RECORDS
@pytest.mark.parametrize("output", range(4))
@pytest.mark.parametrize("sign", [1, -1])
def test_given_nudge_beyond_the_limit_is_refused(new_rig: NewRig, record: Record, output: int, sign: int) -> None:
    rig, windows = new_rig(record), Windows(record, record.volts_uV, record.nudge_uV)
    free = [32100, 31900, 32300, 31000]
    reading(rig, *free)
    rig.write("SEQ:SIDE 1")
    rows = []
    for away in (windows.nudge_dac_codes[output], windows.nudge_dac_codes[output] + 1):
        nudges = [FLOATING] * 4
        nudges[output] = windows.nudge_code(output, free[output]) + sign * away
        rows.append([MID] * 8 + nudges)
    assert [answer[0] for answer in rig.sequence("SEQ:NUDG? ", rows)] == [0, 1]


@RECORDS
@pytest.mark.parametrize("output", range(4))
@pytest.mark.parametrize("sign", [1, -1])
def test_closing_a_switch_at_the_nudge_limit(new_rig: NewRig, record: Record, output: int, sign: int) -> None:
    rig, windows = new_rig(record), Windows(record, record.volts_uV, record.nudge_uV)
    for away, allowed in ((windows.nudge_dac_codes[output], True), (windows.nudge_dac_codes[output] + 1, False)):
        code = windows.nudge_code(output, 32000) + sign * away
        reading(rig, *[32000] * 4)
        rig.write(f"SOUR:VOLT {8 + output},{float(record.dacs[8 + output].dac_volts(code)):.6f}")
        assert rig.dacs[8 + output] == code
        rig.write(f"ROUT:CLOS {1 << output}")
        assert rig.errors() == ([] if allowed else [-222])
        rig.write("OUTP OFF")


@pytest.mark.parametrize("eta", [4681, 5000, 8192, 20_001, 32_767])
@pytest.mark.parametrize("rising", [True, False])
def test_nudge_beyond_the_code_range_does_not_wrap_around(new_rig: NewRig, eta: int, rising: bool) -> None:
    """eta (t - f) slightly above 65536 codes would be a small nudge in 16-bit arithmetic."""
    rig = new_rig(WIDE)
    rows, frees = [], []
    for beyond in range(12):
        apart = -(-(65536 + beyond) * 4096 // eta)
        free = 1000 if rising else 64500
        target = free + apart if rising else free - apart
        assert 0 <= target < FLOATING
        frees.append(free)
        rows.append([MID] * 8 + [target] * 4)
    reading(rig, *frees[:1] * 4)
    answers = rig.sequence(f"SEQ:TWOP? {float(Fraction(eta, 4096)):.9f},", rows)
    assert [answer[0] for answer in answers] == [1] * 12


@pytest.mark.parametrize("end", [0, 65535])
def test_output_at_the_end_of_the_adc_range_is_not_nudged(new_rig: NewRig, end: int) -> None:
    """An output with unknown voltage is not connected to a nudge DAC, at any limit."""
    rig = new_rig(WIDE)
    reading(rig, 32000, end, 32000, 32000)
    for codes, status in ([MID, FLOATING, MID, MID], 0), ([FLOATING, MID, FLOATING, FLOATING], 1):
        assert rig.sequence("SEQ:NUDG? ", [[MID] * 8 + codes * 2])[0][0] & 1 == status
    assert rig.sequence("SEQ:TWOP? 0.1,", [[MID] * 8 + [FLOATING, 32000, FLOATING, FLOATING]])[0][0] & 1
    rig.write("ROUT:CLOS 13")
    assert rig.errors() == []
    rig.write("ROUT:CLOS 15")
    assert rig.errors() == [-222]
    assert rig.switches == 13


def test_mask_closes_exactly_its_switches(rig: Rig) -> None:
    for mask in (1, 2, 6, 15, 8, 0):
        rig.write(f"ROUT:CLOS {mask}")
        assert rig.switches == mask
        assert rig.query("ROUT:CLOS?") == str(mask)


def test_output_nudged_on_one_side_floats_on_the_other(rig: Rig) -> None:
    closed = []

    def analog(switches: int, _volts: list[float]) -> list[float]:
        closed.append(switches)
        return [0.0] * 8

    rig.attach(analog)
    plus, minus = [MID, MID, FLOATING, FLOATING], [FLOATING, MID, MID, FLOATING]
    rig.query_words("SEQ:NUDG? ", block([MID] * 8 + plus + minus))
    assert closed == [0, 0b0011, 0b0110]
