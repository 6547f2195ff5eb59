"""Levels under random calibration records: each command sets the requested level within 1 LSB, or is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest

from .conftest import NewRig
from .emulated import Pair
from .record import ADC_STEP, MICRO, PLAIN, Converter, Record, dac_window
from .rig import Rig
from .wire_blocks import block, words

A_FEW, SHARE, MANY = 1_000, 2_000, 10_000
A_FEW_EMULATED, SHARE_EMULATED, MANY_EMULATED = 40, 200, 1_000
MID = 32768
DAC_UV = 5_000_000 / 65536
HALF = [[0.0] * 16 for _ in range(8)]
for _output in range(4):
    HALF[_output][_output] = 0.5  # free: half of the input
NUDGED = [[0.0] * 16 for _ in range(8)]
for _output in range(4):
    NUDGED[_output][8 + _output] = 1.0  # nudged: the nudge DAC itself


def extreme(dice: Random, most: int) -> int:
    """Draw an integer up to the magnitude `most`: often the ends, often small."""
    return dice.choice((-most, most, 0, dice.randint(-most, most), dice.randint(-most, most)))


def random_record(dice: Random) -> Record:
    """Draw any record that the board accepts: limits, gain errors and offsets in their full ranges."""
    low = dice.randrange(256)
    return replace(
        PLAIN,
        volts_uV=dice.choice(
            (2_490_000, 2_490_000, dice.randint(2_300_000, 2_490_000), dice.randint(1, 2_490_000))
        ),
        nudge_uV=dice.choice((5_000_000, dice.randint(1, 5_000_000))),
        edge_low=low,
        edge_high=dice.randint(low, 255),
        dacs=tuple(Converter(extreme(dice, 30_000), extreme(dice, 32_767)) for _ in range(16)),
        adcs=tuple(Converter(extreme(dice, 30_000), extreme(dice, 32_767)) for _ in range(8)),
    )


def errors_uV(dac: Converter) -> tuple[float, float]:
    """Return the microvolts per code and the microvolts of midscale."""
    return DAC_UV * (1 + dac.gain_ppm * 1e-6), float(dac.offset_uV)


class Values:
    """Send level commands to one board and compare its outputs with the requests."""

    def __init__(self, rig: Rig, dice: Random, record: Record) -> None:
        self.rig, self.dice, self.record = rig, dice, record
        self.seen: Counter[str] = Counter()

    def refused(self, data: bytes) -> bool:
        """Send a message and its error query; return whether it was refused, with -222."""
        self.rig.send(data + b"\n")
        self.reply = self.rig.fetch()
        self.rig.send(b"SYST:ERR?\n")
        error = self.rig.fetch()
        code = int(error.split(b",")[0])
        assert code in (0, -222), (data[:60], error)
        self.seen["refused" if code else "set"] += 1
        return code != 0

    def voltage(self, channel: int, uV: int) -> None:
        """Check SOUR:VOLT: within half a code, or an error that changes nothing."""
        before = self.rig.dacs
        dac = self.record.dacs[channel]
        exact = dac.dac_code(uV * MICRO)
        low, high = (min(max(code, 0), 65534) for code in dac_window(dac, self.record.volts_uV * MICRO))
        if self.refused(b"SOUR:VOLT %d,%de-6" % (channel, uV)):
            assert self.rig.dacs == before
            inside = low < exact < high and abs(uV) <= self.record.volts_uV
            assert not inside, f"channel {channel} of {dac} refused {uV} uV, code {float(exact)}"
            return
        assert abs(uV) <= self.record.volts_uV
        after = self.rig.dacs
        per_code, middle = errors_uV(dac)
        reached = (after[channel] - MID) * per_code + middle
        assert abs(reached - uV) <= per_code, f"channel {channel} of {dac}: {uV} uV requested, {reached:.0f} set"
        assert before[:channel] + before[channel + 1 :] == after[:channel] + after[channel + 1 :]
        self.rig.send(b"SOUR:VOLT? %d\n" % channel)
        assert abs(float(self.rig.fetch()) * 1e6 - reached) <= 1

    def limit(self, name: str, most: int) -> int:
        """Check SOUR:LIM:VOLT or SOUR:LIM:NUDG and return the limit that then applies, in microvolts."""
        uV = self.dice.randint(0, most + most // 50)
        refused = self.refused(b"SOUR:LIM:%s %de-6" % (name.encode(), uV))
        assert refused == (not 1 <= uV <= most)
        self.rig.send(b"SOUR:LIM:%s?\n" % name.encode())
        applies = round(float(self.rig.fetch()) * 1e6)
        assert applies == (most if refused else uV)
        return applies

    def edge(self) -> None:
        """Check EDGE:CODE and EDGE:DATA."""
        edge, code = self.dice.randrange(32), self.dice.randrange(-2, 300)
        for data in (b"EDGE:CODE %d,%d" % (edge, code), b"EDGE:DATA " + block([code % 65536] * 32)):
            before = self.rig.edges
            refused = self.refused(data)
            assert refused == (not self.record.edge_low <= code <= self.record.edge_high), (data[:20], code)
            changed = [code] * 32 if b"DATA" in data else [*before[:edge], code, *before[edge + 1 :]]
            assert self.rig.edges == (before if refused else changed)

    def settings(self) -> None:
        """Check the settings: the value of the query is the value sent, or it is unchanged."""
        for name, low, high in (
            ("SYST:WDOG", 50, 60_000),
            ("SEQ:SETT", 0, 50_000),
            ("SEQ:SIDE", 1, 2),
            ("*ESE", 0, 255),
        ):
            value = self.dice.choice((low, high, low - 1, high + 1, self.dice.randint(-70_000, 140_000)))
            before = self.rig.query(f"{name}?")
            refused = self.refused(b"%s %d" % (name.encode(), value))
            assert refused == (not low <= value <= high), (name, value)
            assert self.rig.query(f"{name}?") == (before if refused else str(value))
        self.rig.write("SEQ:SETT 0;SIDE 1;:SYST:WDOG 60000")

    def inputs(self) -> None:
        """Check SEQ:FREE?: the readings are half of the codes that the block requested."""
        codes = [self.dice.choice((0, 65534, 65535, self.dice.randrange(65536))) for _ in range(8)]
        if self.dice.random() < 0.7:
            windows = [dac_window(dac, self.record.volts_uV * MICRO) for dac in self.record.dacs[:8]]
            codes = [min(max(code, low, 0), high, 65534) for code, (low, high) in zip(codes, windows, strict=True)]
        if self.refused(b"SEQ:FREE? " + block(codes)):
            return
        _, *readings = words(self.reply)
        for code, reading in zip(codes, readings, strict=False):
            assert abs((reading - 32000) * 78.125 - (code - MID) * DAC_UV / 2) <= 78.125

    def two_phase(self) -> None:
        """Check SEQ:TWOP?: each nudge is eta times the way from the free reading to the target."""
        dacs, adcs = self.record.dacs, self.record.adcs
        window = [dac_window(dac, self.record.volts_uV * MICRO) for dac in dacs[:8]]
        codes = [self.dice.randint(max(low, 0), min(high, 65534)) if low <= high else MID for low, high in window]
        targets = [self.dice.randrange(65535) for _ in range(4)]
        eta = self.dice.choice((1, 4096, 32_767, self.dice.randint(1, 32_767)))
        if self.refused(b"SEQ:TWOP? %.7f," % (eta / 4096) + block([*codes, *targets])):
            return
        status, *readings = words(self.reply)
        if status & 3:
            assert status & 2 or readings[4:] == readings[:4]
            self.seen["not nudged"] += 1
            return
        self.seen["nudged"] += 1
        for j, (free, nudged) in enumerate(zip(readings[:4], readings[4:], strict=True)):
            adc, dac = adcs[j], dacs[8 + j]
            step = Fraction(eta, 4096) * (targets[j] - free)
            volts = float(adc.adc_volts(free) + step * ADC_STEP * (1 + adc.gain))
            per_code, middle = errors_uV(dac)
            # the ideal converters of the test show the nominal voltage of the DAC, rounded to an ADC code
            reached = (nudged - 32000) * 78.125 / DAC_UV * per_code + middle
            # half an ADC code each for the step and this reading; the board's formula takes up to 1.1 DAC codes
            assert abs(reached - volts * 1e6) <= 1.03 * 78.125 + 1.1 * per_code, (j, eta, free, nudged)


def check_records(rig: Rig, first: int, count: int) -> Counter[str]:
    """Send level commands under random records; return how many were accepted and refused."""
    seen: Counter[str] = Counter()
    for switches in range(16):
        rig.transfer(switches, NUDGED if switches else HALF)
    for k in range(first, first + count):
        dice = Random(f"values/{k}")
        record = random_record(dice)
        rig.provision(record.encode())
        rig.power_on()
        values = Values(rig, dice, record)
        values.settings()
        for _ in range(4):
            most = record.volts_uV
            near = dice.choice((-1, 1)) * (most - dice.randint(0, most // 30))
            values.voltage(
                dice.randrange(16), dice.choice((most, -most, most + 1, dice.randint(-most, most), near))
            )
        rig.write("OUTP OFF")
        values.edge()
        values.inputs()
        values.two_phase()
        values.record = replace(record, volts_uV=values.limit("VOLT", record.volts_uV))
        values.limit("NUDG", record.nudge_uV)
        values.voltage(dice.randrange(16), dice.choice((1, -1)) * values.record.volts_uV)
        seen += values.seen
    return seen


@pytest.mark.parametrize("gain_ppm", [-4500, -5000, -10_000, -30_000])
@pytest.mark.parametrize("sign", [1, -1])
def test_voltage_that_needs_a_code_beyond_the_dac_is_refused(new_rig: NewRig, gain_ppm: int, sign: int) -> None:
    record = replace(PLAIN, volts_uV=2_490_000, dacs=(Converter(gain_ppm),) * 16)
    rig = new_rig(record)
    rig.write("SOUR:VOLT 3,1")
    before = rig.dacs
    for channel in (0, 8, 12):
        rig.write(f"SOUR:VOLT {channel},{sign * 2.49}")
        exists = 0 <= record.dacs[0].dac_code(Fraction(sign * 249, 100)) <= 65534
        assert rig.errors() == ([] if exists else [-222])
        if not exists:
            assert rig.dacs == before


def test_levels_under_random_records_are_right_or_refused(new_rig: NewRig) -> None:
    seen = check_records(new_rig(), 0, A_FEW)
    assert min(seen["set"], seen["refused"]) > A_FEW
    assert min(seen["nudged"], seen["not nudged"]) > A_FEW // 50


@pytest.mark.slow
def test_levels_under_ten_thousand_records_are_right_or_refused(
    new_rig: NewRig, seeds: Callable[..., range]
) -> None:
    chosen = seeds(MANY, SHARE)
    assert check_records(new_rig(), A_FEW + chosen.start, len(chosen))["set"] > len(chosen)


def test_levels_of_the_avr_under_random_records_are_identical(host_library: Path) -> None:
    pair = Pair(host_library)
    assert check_records(pair, 0, A_FEW_EMULATED)["set"] > A_FEW_EMULATED
    pair.no_fault()


@pytest.mark.slow
def test_levels_of_the_avr_under_many_records_are_identical(
    host_library: Path, seeds: Callable[..., range]
) -> None:
    pair, chosen = Pair(host_library), seeds(MANY_EMULATED, SHARE_EMULATED)
    assert check_records(pair, A_FEW + chosen.start, len(chosen))["set"] > len(chosen)
    pair.no_fault()
