"""The native board and the emulated AVR send identical replies to valid and invalid bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from .emulated import Pair
from .plant import Converters, Plant
from .play import Stage, play_stream
from .record import FLAWED, PLAIN, Record
from .wire_blocks import block

A_FEW, SHARE, MANY = 24, 150, 1000


class PairStage(Stage):
    """Stage with both boards; each must also agree with the reference model."""

    def __init__(self, library: Path) -> None:
        super().__init__(library)
        self.rig: Pair = Pair(library, None)
        for switches in range(16):
            self.rig.transfer(switches, [[0.0] * 16] * 8)
        self.begin(None)


def play(library: Path, first: int, count: int) -> None:
    """Send random streams of valid, invalid, damaged, truncated and cancelled messages with pauses."""
    stage = PairStage(library)
    for k in range(first, first + count):
        play_stream(stage, Random(f"differential/{k}"))
    stage.rig.no_fault()
    assert stage.seen["streams"] == count
    assert stage.seen["messages"] > count
    assert stage.seen["damaged"] > count // 4


def message(dice: Random, record: Record) -> bytes:
    """Write a message about voltages and samples on a live network; the replies contain readings."""
    low, high = (max(window[k] for window in map(record.dac_range, range(12))) for k in (0, 1))
    high = min(record.dac_range(k)[1] for k in range(12))
    form = dice.randrange(8)
    if form == 0:
        return b"SOUR:VOLT %d,%.5f" % (dice.randrange(12), dice.uniform(-1, 1) * record.volts_uV * 1.1e-6)
    if form == 1:
        return b"MEAS:VOLT?" if dice.random() < 0.5 else b"MEAS:VOLT? %d" % dice.randrange(8)
    if form == 2:
        return b"ROUT:CLOS %d;CLOS?" % dice.randrange(16) if dice.random() < 0.5 else b"ROUT:OPEN"
    if form == 3:
        return b"SEQ:SIDE %d;AVER %d;SETT %d" % (
            dice.randint(1, 2),
            dice.choice((1, 2, 4, 64)),
            dice.choice((0, 20, 1500)),
        )
    if form == 4:
        hold = b"OUTP:ARM 0,7;ARM 7,%d;:" % dice.randint(0, 8) if dice.random() < 0.5 else b""
        return hold + b"OUTP OFF;:SYST:STAT?;ERR?;ERR?;ERR:COUN?"
    kind = dice.choice((b"FREE", b"NUDG", b"TWOP"))
    sides = dice.randint(1, 2)
    words = {b"FREE": 0, b"NUDG": 4 * sides, b"TWOP": 4}[kind]
    rows = [
        [dice.randint(low, high) for _ in range(8)]
        + [dice.choice((0xFFFF, *[dice.randint(24000, 40000)] * 5)) for _ in range(words)]
        for _ in range(dice.choice((1, 2, 7)))
    ]
    eta = b"%.4f," % dice.uniform(0.001, 1) if kind == b"TWOP" else b""
    data = block(word for row in rows for word in row)
    return b"OUTP OFF;:SEQ:SIDE %d;" % sides + kind + b"? " + eta + data


def compare_readings(library: Path, record: Record, first: int, count: int) -> int:
    """Send messages on a live linear network and return the number of reply bytes."""
    pair = Pair(library, record)
    errors = Converters.of(record)
    errors.install(pair)
    pair.emulated.set_converters(errors.dac_gain, errors.dac_offset, errors.adc_gain, errors.adc_offset, 0.0, 0)
    answered = 0
    for k in range(first, first + count):
        dice = Random(f"readings/{k}")
        pair.power_on()
        Plant.random(k % 5).connect(pair)
        for _ in range(dice.randrange(4, 10)):
            pair.send(message(dice, record) + b"\n")
            answered += len(pair.fetch())
            assert len(pair.dacs) == 16
            assert pair.switches in range(16)
    pair.no_fault()
    return answered


def test_random_streams_give_identical_answers(host_library: Path) -> None:
    play(host_library, 0, A_FEW)


@pytest.mark.slow
def test_thousand_random_streams_give_identical_answers(host_library: Path, seeds: Callable[..., range]) -> None:
    chosen = seeds(MANY, SHARE)
    play(host_library, A_FEW + chosen.start, len(chosen))


@pytest.mark.parametrize("record", [PLAIN, FLAWED], ids=["ideal", "flawed"])
def test_readings_on_a_live_network_are_identical(host_library: Path, record: Record) -> None:
    assert compare_readings(host_library, record, 0, A_FEW) > 1000


@pytest.mark.slow
@pytest.mark.parametrize("record", [PLAIN, FLAWED], ids=["ideal", "flawed"])
def test_readings_of_thousand_streams_are_identical(
    host_library: Path, record: Record, seeds: Callable[..., range]
) -> None:
    chosen = seeds(MANY, SHARE)
    assert compare_readings(host_library, record, A_FEW + chosen.start, len(chosen)) > 40 * len(chosen)


@pytest.mark.parametrize("message", [b"NO:SUCH", b"\x00\xff", b"SOUR:VOLT 0,2.1", b"EDGE:DATA #10"])
def test_refused_messages_restart_the_watchdog_of_neither_board(host_library: Path, message: bytes) -> None:
    pair = Pair(host_library)
    pair.send(b"SYST:WDOG 500;:SOUR:VOLT 0,0.4\n")
    for _ in range(8):
        pair.send(message + b"\n")
        pair.advance(0.2)
    assert pair.is_safe()
    pair.send(b"\n")
    assert pair.query("SYST:WDOG:TRIP?") == "1"
    pair.no_fault()
