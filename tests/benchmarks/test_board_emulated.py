"""Two-phase samples per second of the firmware binary on a cycle-accurate emulated ATmega2560.

Run with ``python -m pytest tests/benchmarks/test_board_emulated.py -s``. Eight inputs, four outputs, 20 us of
settling for each phase, 1 Mbaud, 128 samples in a block. The time is measured from the first byte of the command
to the last byte of the answer. Cycle counts are the same on every computer.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwlearn_drivers.board.record import BoardRecord
from hwlearn_drivers.transport.blocks import decode_codes, encode_block, encode_codes

HERTZ = 16_000_000
BATCH = 128
REQUIRED_PER_S = {1: 1200, 2: 950}
TIMES_FASTER = 20
HOST_LATENCY_US = 1000
ADC_SETTLES_US = 200
"""The ADS8688 has a filter of 15 kHz and second order before its multiplexer (data sheet SBAS582C, 8.3.5)."""
MIDSCALE = 32768


def emulated_board() -> Any:
    """Return a powered board connected to a network of dividers; skip the test if it cannot be built."""
    path = Path(__file__).parents[2] / "firmware" / "emu" / "refboard_emu.py"
    spec = importlib.util.spec_from_file_location("refboard_emu", path)
    assert spec is not None
    assert spec.loader is not None
    emu = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("refboard_emu", emu)
    spec.loader.exec_module(emu)
    try:
        board = emu.EmulatedBoard()
    except emu.EmulatorMissing as missing:
        pytest.skip(str(missing))
    data = BoardRecord("B-0001", volts_uV=2_000_000, nudge_uV=500_000).encode()
    board.eeprom[: len(data)] = data
    board.power_on()
    for switches in range(16):
        closed = np.array([switches >> j & 1 for j in range(4)], dtype=float)
        transfer = np.zeros((8, 16))
        transfer[:4, :8] = 0.1 * (1 - closed / 2)[:, None]
        transfer[:4, 8:12] = np.diag(closed / 2)
        board.set_transfer(switches, transfer)
    return board


def query(board: Any, message: bytes) -> bytes:
    """Send a message and return the answer."""
    board.receive(message + b"\n")
    return bytes(board.transmit())


def two_phase_cycles(board: Any, sides: int, settle_us: int = 20, held: bool = False) -> float:
    """Return the cycles per sample of a batch; if ``held``, as the driver sends it, with check and state."""
    rng = np.random.default_rng(0)
    inputs = MIDSCALE + rng.integers(-4000, 4000, (BATCH, 8))
    targets = 32000 + rng.integers(-1000, 1000, (BATCH, 4))
    assert query(board, b"SEQ:SIDE %d;SETT %d;*OPC?" % (sides, settle_us)) == b"1\n"
    before, after = b"", b""
    if held:
        assert query(board, b"OUTP:ARM %s,500;*OPC?" % query(board, b"SYST:STAT?").split(b",")[0]) == b"1\n"
        before, after = b"OUTP:ARM 500,500;:", b"*ESR?;:SYST:STAT?;:SYST:ERR?\n"
    block = encode_block(encode_codes(np.hstack([inputs, targets]).ravel()))
    began = board.cycles
    board.send(before + b"SEQ:TWOP? 0.1," + block + b"\n" + after)
    board.work()
    answer = board.transmit()
    first = 2 + int(answer[1:2])
    size = int(answer[2:first])
    assert answer[first + size :].startswith(b"\n0;500," if held else b"\n")
    status = decode_codes(answer[first : first + size]).reshape(BATCH, -1)[:, 0]
    assert not status.any()
    assert board.overruns == 0
    assert board.faults == (0, "")
    return float(board.last_byte_at - began) / BATCH


def text_cycles(board: Any, samples: int = 4) -> tuple[float, int]:
    """Return the cycles of a one-sided sample with text commands, and its round trips.

    Each action is one command with its own answer: eight inputs, a reading, four nudges, closed switches, another
    reading, open switches. The host takes one millisecond after every round trip.
    """
    rng = np.random.default_rng(1)
    trips = 0
    began = board.cycles
    for _ in range(samples):
        actions = [b"SOUR:VOLT %d,%.6f;*OPC?" % (k, volts) for k, volts in enumerate(rng.uniform(-0.3, 0.3, 8))]
        actions.append(b"MEAS:VOLT?")
        for action in actions:
            reading = query(board, action)
            board.advance_us(HOST_LATENCY_US)
            assert reading
        nudges = 0.9 * np.array([float(volts) for volts in reading.split(b",")[:4]])
        rest = [b"SOUR:VOLT %d,%.6f;*OPC?" % (8 + j, volts) for j, volts in enumerate(nudges)]
        rest += [b"ROUT:CLOS 15;*OPC?", b"MEAS:VOLT?", b"ROUT:OPEN;*OPC?"]
        for action in rest:
            assert query(board, action)
            board.advance_us(HOST_LATENCY_US)
        trips += len(actions) + len(rest)
    assert query(board, b"SYST:ERR:COUN?") == b"0\n"
    return float(board.cycles - began) / samples, trips // samples


@pytest.fixture(scope="module")
def board() -> Any:
    return emulated_board()


@pytest.mark.parametrize("sides", [1, 2], ids=["one-sided", "symmetric"])
def test_two_phase_samples_per_second(board, figure, sides):
    cycles = two_phase_cycles(board, sides)
    rate = HERTZ / cycles
    figure(
        f"ATmega2560, {'one-sided' if sides == 1 else 'symmetric'}: {cycles:.0f} cycles a two-phase sample, "
        f"{rate:.0f}/s (required {REQUIRED_PER_S[sides]})"
    )
    assert rate >= REQUIRED_PER_S[sides]


@pytest.mark.parametrize("sides", [1, 2], ids=["one-sided", "symmetric"])
def test_two_phase_samples_per_second_with_state_read_back(board, figure, sides):
    query(board, b"*CLS")
    cycles = two_phase_cycles(board, sides, held=True)
    rate = HERTZ / cycles
    figure(
        f"ATmega2560, {'one-sided' if sides == 1 else 'symmetric'}, state read back after {BATCH} samples: "
        f"{rate:.0f}/s (required {REQUIRED_PER_S[sides]})"
    )
    query(board, b"OUTP:ARM 500,0")
    assert rate >= REQUIRED_PER_S[sides]


@pytest.mark.parametrize("sides", [1, 2], ids=["one-sided", "symmetric"])
def test_longer_settling_adds_only_its_own_time(board, figure, sides):
    short, long = two_phase_cycles(board, sides), two_phase_cycles(board, sides, ADC_SETTLES_US)
    kind = "one-sided" if sides == 1 else "symmetric"
    figure(f"ATmega2560, {kind}, settling {ADC_SETTLES_US} us for the ADC's filter: {HERTZ / long:.0f}/s")
    assert long - short < (1 + sides) * (ADC_SETTLES_US - 20) * 16 + 200


def test_sequences_are_faster_than_text(board, figure):
    in_text, trips = text_cycles(board)
    # the host's millisecond is added to a block, too
    in_block = two_phase_cycles(board, 1) + HOST_LATENCY_US * HERTZ / 1e6 / BATCH
    figure(
        f"ATmega2560, {trips} text commands a sample with {HOST_LATENCY_US / 1000:g} ms each: "
        f"{HERTZ / in_text:.1f}/s; in blocks {HERTZ / in_block:.0f}/s, {in_text / in_block:.0f} times as many "
        f"(required {TIMES_FASTER})"
    )
    assert in_text / in_block >= TIMES_FASTER
