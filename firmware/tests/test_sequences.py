"""Sequences on a linear network, compared with node analysis and converter arithmetic in numpy."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest

from .conftest import NewRig
from .plant import Converters, Plant, read
from .record import FLAWED, PLAIN, Record
from .rig import Rig
from .wire_blocks import block

MID, FLOATING = 32768, 0xFFFF
RECORDS = pytest.mark.parametrize("record", [PLAIN, FLAWED], ids=["ideal", "flawed"])


def on_network(rig: Rig, record: Record, seed: int) -> tuple[Plant, Converters]:
    plant, converters = Plant.random(seed), Converters.of(record)
    plant.connect(rig)
    converters.install(rig)
    rig.allow([record.dac_range(k) for k in range(16)])
    return plant, converters


def some_inputs(record: Record, dice: random.Random) -> list[int]:
    return [dice.randint(*record.dac_range(k)) for k in range(8)]


def close(measured: Sequence[int], expected: Sequence[int]) -> bool:
    """Check equality within one code, since another summation order can round differently."""
    return all(abs(a - b) <= 1 for a, b in zip(measured, expected, strict=True))


@RECORDS
def test_free_readings_equal_node_analysis(new_rig: NewRig, record: Record) -> None:
    rig, dice = new_rig(record), random.Random(1)
    plant, converters = on_network(rig, record, 1)
    rows = [some_inputs(record, dice) for _ in range(100)]
    answers = rig.sequence("SEQ:FREE? ", rows)
    expected = [[0, *read(plant, converters, row + [MID] * 8, 0)] for row in rows]
    assert sum(a == b for a, b in zip(answers, expected, strict=True)) >= 99
    assert all(close(a, b) for a, b in zip(answers, expected, strict=True))
    assert rig.is_safe()
    assert rig.violations() == 0


@RECORDS
@pytest.mark.parametrize("sides", [1, 2])
def test_nudged_readings_equal_node_analysis(new_rig: NewRig, record: Record, sides: int) -> None:
    rig, dice = new_rig(record), random.Random(2)
    plant, converters = on_network(rig, record, 2)
    rig.write(f"SEQ:SIDE {sides}")
    rows: list[list[int]] = []
    expected: list[list[int]] = []
    present = [MID] * 4  # codes of the nudge DACs; a floating output keeps its code
    span = int(record.nudge_uV / 76.3) - 20
    for _ in range(60):
        inputs = [MID + (code - MID) // 3 for code in some_inputs(record, dice)]
        free = read(plant, converters, inputs + [MID] * 8, 0)
        nudges: list[list[int]] = []
        wanted = []
        for _ in range(sides):
            near = [
                round(float(record.dacs[8 + j].dac_code(record.adcs[j].adc_volts(code))))
                + dice.randint(-span, span)
                for j, code in enumerate(free)
            ]
            codes = [FLOATING if dice.random() < 0.25 else code for code in near]
            present = [old if code == FLOATING else code for old, code in zip(present, codes, strict=True)]
            closed = sum(1 << j for j in range(4) if codes[j] != FLOATING)
            nudges.append(codes)
            wanted += read(plant, converters, inputs + present + [MID] * 4, closed)
        rows.append(inputs + [code for side in nudges for code in side])
        expected.append([0, *wanted])
    answers = rig.sequence("SEQ:NUDG? ", rows)
    assert all(close(a, b) for a, b in zip(answers, expected, strict=True))
    assert rig.is_safe()
    assert rig.violations() == 0


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("output", range(4))
def test_nudge_beyond_the_limit_is_skipped_and_flagged(rig: Rig, output: int, side: int) -> None:
    """The sample repeats its free readings; the other samples are nudged."""
    volts = [0.5, -0.5, 0.25, 0.0]
    closed = []

    def analog(switches: int, _volts: list[float]) -> list[float]:
        closed.append(switches)
        return volts + [0.0] * 4

    rig.attach(analog)
    span = round(0.5 * 65536 / 5)
    good = [MID + round(value * 65536 / 5) for value in volts] * 2
    rows = []
    for away in (0, span + 3, -span - 3, span - 3, 3 - span):
        nudges = list(good)
        nudges[4 * side + output] += away
        rows.append([MID] * 8 + nudges)
    answers = rig.sequence("SEQ:NUDG? ", rows)
    free = rig.sequence("SEQ:FREE? ", [[MID] * 8])[0][1:]
    assert [answer[0] for answer in answers] == [0, 1, 1, 0, 0]
    assert all(answer[1:] == free * 2 for answer in answers)
    assert closed == [0, 15, 15, 0, 0, 0, 15, 15, 0, 15, 15, 0]


def test_free_output_at_the_end_of_the_range_is_not_nudged(rig: Rig) -> None:
    """The voltage of such an output is unknown, so it is not nudged."""
    rig.attach(lambda _switches, _volts: [-2.6, 0.0, 0.0, 2.7, 0, 0, 0, 0])
    low, high = MID - 32767, MID + 32766
    rig.write("OUTP OFF")
    answers = rig.sequence("SEQ:TWOP? 0.1,", [[MID] * 8 + [100, 32000, 32000, 65500]])
    assert answers[0][0] & 1
    assert answers[0][0] & 2
    assert answers[0][1:5] == answers[0][5:9] == answers[0][9:13]
    rig.write("SEQ:NUDG? ", block([MID] * 8 + [low, FLOATING, FLOATING, high] * 2))
    assert rig.errors() == [-222]
    assert rig.sequence("SEQ:NUDG? ", [[MID] * 8 + [MID - 26000, *[FLOATING] * 3] * 2])[0][0] & 1


@pytest.mark.parametrize(
    ("volts", "saturated"), [(2.61995, True), (2.61985, False), (-2.5, True), (-2.4998, False)]
)
@pytest.mark.parametrize("output", range(4))
def test_saturated_readings_are_flagged(rig: Rig, volts: float, saturated: bool, output: int) -> None:
    levels = [0.0] * 8
    levels[output] = volts
    rig.attach(lambda _switches, _volts: levels)
    answers = rig.sequence("SEQ:FREE? ", [[MID] * 8] * 3)
    assert [answer[0] for answer in answers] == [2 if saturated else 0] * 3


def test_saturation_in_one_nudged_phase_is_flagged(rig: Rig) -> None:
    rig.attach(lambda switches, _volts: [3.0 if switches else 0.0] + [0.0] * 7)
    answers = rig.sequence("SEQ:NUDG? ", [[MID] * 8 + [MID] * 8, [MID] * 8 + [FLOATING] * 8])
    assert [answer[0] for answer in answers] == [2, 0]


def test_nudged_phase_with_all_outputs_floating_equals_the_free_phase(rig: Rig) -> None:
    on_network(rig, PLAIN, 3)
    inputs = [MID + 1000 * (k - 3) for k in range(8)]
    free = rig.sequence("SEQ:FREE? ", [inputs])[0][1:]
    assert rig.sequence("SEQ:NUDG? ", [inputs + [FLOATING] * 8]) == [[0, *free * 2]]
    assert rig.sequence("SEQ:TWOP? 1,", [inputs + [FLOATING] * 4]) == [[0, *free * 3]]


@pytest.mark.parametrize("count", [1, 2, 4, 8, 16, 32, 64])
def test_reading_is_the_rounded_mean_of_the_scans(rig: Rig, count: int) -> None:
    """A reading is the mean of the scans, rounded to the nearest code."""
    seen: list[list[int]] = []

    def analog(_switches: int, _volts: list[float]) -> list[float]:
        dice = random.Random(len(seen))
        codes = [dice.randint(0, 65535) for _ in range(8)]
        seen.append(codes)
        return [code * 5.12 / 65536 - 2.5 for code in codes]

    rig.attach(analog)
    rig.write(f"SEQ:AVER {count}")
    answers = rig.sequence("SEQ:FREE? ", [[MID] * 8] * 5)
    assert len(seen) == 5 * count
    for k, answer in enumerate(answers):
        scans = seen[k * count : (k + 1) * count]
        for j in range(4):
            assert abs(answer[1 + j] - sum(scan[j] for scan in scans) / count) <= 0.5


def test_full_scale_does_not_overflow_the_mean(rig: Rig) -> None:
    rig.attach(lambda _switches, _volts: [9.0] * 8)
    rig.write("SEQ:AVER 64")
    assert rig.sequence("SEQ:FREE? ", [[MID] * 8]) == [[2, *[65535] * 4]]


def test_averaging_reduces_noise(rig: Rig) -> None:
    Converters.of(PLAIN).install(rig, noise_volts=0.002, seed=7)
    rig.transfer(0, [[0.0] * 16] * 8)

    def spread() -> float:
        codes = [code for answer in rig.sequence("SEQ:FREE? ", [[MID] * 8] * 150) for code in answer[1:]]
        return math.sqrt(sum((code - 32000) ** 2 for code in codes) / len(codes))

    single = spread()
    rig.write("SEQ:AVER 16")
    assert single == pytest.approx(0.002 / 5.12 * 65536, rel=0.15)
    assert spread() == pytest.approx(single / 4, rel=0.25)


@pytest.mark.parametrize("settle", [0, 20, 999, 1000, 1001, 2500, 50_000])
def test_every_phase_waits_for_the_settle_time(rig: Rig, settle: int) -> None:
    moments: list[tuple[int, int]] = []

    def analog(switches: int, _volts: list[float]) -> list[float]:
        moments.append((switches, rig.now_us))
        return [0.0] * 8

    rig.attach(analog)
    rig.write(f"SEQ:SETT {settle}")
    started = rig.now_us
    rig.sequence("SEQ:NUDG? ", [[MID] * 8 + [MID] * 8] * 2)
    assert [switches for switches, _ in moments] == [0, 15, 15] * 2
    times = [started] + [moment for _, moment in moments]
    assert all(later - earlier >= settle for earlier, later in pairwise(times))


def test_inputs_change_at_the_same_time(rig: Rig) -> None:
    before = rig.loads
    rig.sequence("SEQ:FREE? ", [[MID + 100 * k] * 8 for k in range(10)])
    assert rig.loads - before == 10


@pytest.mark.parametrize("successes", range(7))
def test_adc_failure_ends_the_sequence(rig: Rig, successes: int) -> None:
    scans = 0

    def analog(_switches: int, _volts: list[float]) -> list[float] | None:
        nonlocal scans
        scans += 1
        return None if scans > successes else [0.1] * 8

    rig.attach(analog)
    answers = rig.sequence("SEQ:NUDG? ", [[MID] * 8 + [MID] * 8] * 4)
    status = [answer[0] for answer in answers]
    last = successes // 3
    assert status[:last] == [0] * last
    assert status[last] & 8
    assert [value & 12 for value in status[last + 1 :]] == [4] * (3 - last)
    assert rig.is_safe()
    assert scans == successes + 1
    assert rig.query("*OPC?") == "1"


def test_sequence_is_rejected_while_a_switch_is_closed(rig: Rig) -> None:
    rig.write("ROUT:CLOS 1")
    for message, width in (("SEQ:FREE? ", 8), ("SEQ:NUDG? ", 16), ("SEQ:TWOP? 1,", 12)):
        rig.write(message, block([MID] * width))
        assert rig.errors() == [-221]
    assert rig.switches == 1


@pytest.mark.parametrize(("message", "sides", "width", "answer"), [
    ("SEQ:FREE? ", 1, 8, 5), ("SEQ:FREE? ", 2, 8, 5), ("SEQ:NUDG? ", 1, 12, 5), ("SEQ:NUDG? ", 2, 16, 9),
    ("SEQ:TWOP? 0.5,", 1, 12, 9), ("SEQ:TWOP? 0.5,", 2, 12, 13),
])  # fmt: skip
def test_largest_batches_are_accepted(rig: Rig, message: str, sides: int, width: int, answer: int) -> None:
    rig.write(f"SEQ:SIDE {sides}")
    most = 3072 // (2 * width)
    answers = rig.sequence(message, [[MID] * width] * most)
    assert (len(answers), len(answers[0])) == (most, answer)
    assert rig.errors() == []
