"""Arithmetic of TWOP: codes of the nudge DACs, compared with the card's formula in exact fractions."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from fractions import Fraction

import pytest

from .conftest import NewRig
from .record import ADC_STEP, FLAWED, MICRO, PLAIN, Converter, Record, dac_window, nearest
from .rig import Rig
from .wire_blocks import block

MID, FLOATING = 32768, 0xFFFF
DAC_CODE_uV = Fraction("76.2939453125")


@dataclass(frozen=True)
class Card:
    """The card's two-phase arithmetic for one record and one eta."""

    record: Record
    eta: Fraction

    def nudge_code(self, output: int, v: int) -> int:
        """Return the DAC code of v, an ADC code."""
        adc, dac = self.record.adcs[output], self.record.dacs[8 + output]
        slope = Fraction(128, 125) * (1 + adc.gain) / (1 + dac.gain)
        a = nearest(2**18 * (slope - 1))
        b = nearest((adc.offset - dac.offset) / (DAC_CODE_uV * MICRO * (1 + dac.gain)))
        d = v - 32000
        return 32768 + d + (d * a + 131072) // 2**18 + b

    def nudges(self, free: list[int], targets: list[int], sides: int) -> list[list[int]] | None:
        """Return the nudge codes of each side; None if the sample must not be nudged."""
        codes: list[list[int]] = [[], []]
        for output, (f, t) in enumerate(zip(free, targets, strict=True)):
            if t == FLOATING:
                codes[0].append(FLOATING)
                codes[1].append(FLOATING)
                continue
            step = nearest(self.eta * (t - f))
            span = nearest(self.record.nudge_uV * MICRO / (ADC_STEP * (1 + self.record.adcs[output].gain)))
            low, high = dac_window(self.record.dacs[8 + output], self.record.volts_uV * MICRO)
            if f in (0, 65535) or abs(step) > span:
                return None
            for side, v in enumerate((f + step, f - step)[:sides]):
                code = self.nudge_code(output, v)
                if not (0 <= v <= 65535 and low <= code <= high):
                    return None
                codes[side].append(code)
        return codes[:sides]


class Probe:
    """Supplies free readings to the board and records nudge codes and switches of every second scan."""

    def __init__(self, rig: Rig, frees: list[list[int]]) -> None:
        self.frees = iter(frees)
        self.nudged: list[tuple[int, list[int]]] = []
        rig.attach(self.analog)

    def analog(self, switches: int, volts: list[float]) -> list[float]:
        if switches == 0:
            codes = next(self.frees, [32000] * 4)
        else:
            self.nudged.append((switches, [round(value * 65536 / 5) + MID for value in volts[8:12]]))
            codes = [32000] * 4
        return [code * 5.12 / 65536 - 2.5 for code in codes] + [0.0] * 4


WIDE = replace(FLAWED, volts_uV=2_490_000, nudge_uV=5_000_000)
EXTREME = replace(
    PLAIN,
    dacs=tuple(Converter(30000 * (-1) ** k, 32767 if k % 3 else -32768) for k in range(16)),
    adcs=tuple(Converter(-30000 if k % 2 else 30000, -32768 if k % 3 else 32767) for k in range(8)),
)


@pytest.mark.share(12)
@pytest.mark.parametrize("record", [PLAIN, FLAWED, EXTREME, WIDE], ids=["ideal", "flawed", "extreme", "wide"])
@pytest.mark.parametrize("eta", ["0.5", "1", "0.000244140625", "0.0123", "3.3", "7.999755859375"])
@pytest.mark.parametrize("sides", [1, 2])
def test_nudge_codes_equal_the_formula_of_the_card(new_rig: NewRig, record: Record, eta: str, sides: int) -> None:
    rig, dice = new_rig(record), random.Random(f"{eta} {sides}")
    rig.write(f"SEQ:SIDE {sides}")
    card = Card(record, Fraction(nearest(Fraction(eta) * 4096), 4096))
    reach = int(min(65535, record.nudge_uV / 78.125 / float(card.eta) * 1.05)) + 1
    frees = [[dice.randint(6000, 59000) for _ in range(4)] for _ in range(128)]
    targets = [
        [min(max(f + round(dice.randint(-reach, reach) * dice.random() ** 3), 0), 65534) for f in free]
        for free in frees
    ]
    for k in range(0, 128, 3):
        for output in dice.sample(range(4), k % 4):
            targets[k][output] = FLOATING
    frees[5][1], frees[6][2], frees[7][3] = 0, 65535, 1
    probe = Probe(rig, frees)
    answers = rig.sequence(f"SEQ:TWOP? {eta},", [[MID] * 8 + target for target in targets])
    nudged = iter(probe.nudged)
    flagged = 0
    for free, target, answer in zip(frees, targets, answers, strict=True):
        assert answer[1:5] == free
        expected = card.nudges(free, target, sides)
        if expected is None:
            assert answer[0] & 1
            assert answer[1:] == free * (1 + sides)
            flagged += 1
            continue
        assert answer[0] & 1 == 0
        for codes in expected:
            switches, present = next(nudged)
            connected = [j for j in range(4) if codes[j] != FLOATING]
            assert switches == sum(1 << j for j in connected)
            assert [present[j] for j in connected] == [codes[j] for j in connected]
    assert next(nudged, None) is None
    assert 0 < flagged < 128


@pytest.mark.parametrize("record", [PLAIN, FLAWED, EXTREME], ids=["ideal", "flawed", "extreme"])
def test_formula_of_the_card_preserves_the_voltage(record: Record) -> None:
    """The DAC code of an ADC code has the same calibrated voltage, within one code."""
    card = Card(record, Fraction(1))
    for output in range(4):
        for v in range(0, 65536, 211):
            exact = record.dacs[8 + output].dac_code(record.adcs[output].adc_volts(v))
            assert abs(card.nudge_code(output, v) - exact) <= Fraction(11, 10)


HALVES = [(1, "0.5", 1), (-1, "0.5", -1), (3, "0.5", 2), (-3, "0.5", -2)]
LESS = [(1, "0.499755859375", 0), (-1, "0.499755859375", 0)]


@pytest.mark.parametrize(("difference", "eta", "step"), HALVES + LESS)
def test_halves_are_rounded_away_from_zero(rig: Rig, difference: int, eta: str, step: int) -> None:
    free = 32000
    probe = Probe(rig, [[free] * 4])
    rig.write("SEQ:SIDE 2")
    rig.sequence(f"SEQ:TWOP? {eta},", [[MID] * 8 + [free + difference] * 4])
    codes = [codes[0] for _, codes in probe.nudged]
    card = Card(PLAIN, Fraction(eta))
    assert codes == [card.nudge_code(0, free + step), card.nudge_code(0, free - step)]


@pytest.mark.parametrize("eta", ["0", "-0.5", "0.0001", "8", "7.9999", "1e3", "-1e9"])
def test_eta_outside_its_range_is_rejected(rig: Rig, eta: str) -> None:
    rig.write(f"SEQ:TWOP? {eta},", block([MID] * 12))
    assert rig.errors() == [-222]
    assert rig.loads == 0


def test_nudges_obey_narrowed_limits(rig: Rig) -> None:
    """A sample whose nudge exceeds the narrowed limits is not nudged."""
    free = [32000] * 4
    for limit, value in (("NUDG", 0.1), ("VOLT", 0.1)):
        rig.power_on()
        target = 32000 + round(0.2 / 5.12 * 65536)
        Probe(rig, [free, free])
        assert rig.sequence("SEQ:TWOP? 1,", [[MID] * 8 + [target] * 4])[0][0] == 0
        rig.write(f"SOUR:LIM:{limit} {value}")
        assert rig.sequence("SEQ:TWOP? 1,", [[MID] * 8 + [target] * 4])[0][0] == 1
