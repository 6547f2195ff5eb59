"""The firmware binary on the emulated ATmega2560: tests of timing, pins and chips."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from .emulated import emulated_board
from .record import BANKS, FLAWED, PLAIN, Record, with_generation
from .wire_blocks import block, framed, words

MID = 32768
SAFE = [MID] * 16
MS = 1000
HERTZ = 16_000_000

NewBoard = Callable[..., Any]


@pytest.fixture
def new_board() -> Iterator[NewBoard]:
    """Return a function that returns boards; none may violate a data sheet."""
    boards = []

    def new(record: Record | None = PLAIN, **settings: Any) -> Any:
        boards.append(emulated_board(record, **settings))
        return boards[-1]

    yield new
    for board in boards:
        count, newest = board.faults
        assert count == 0, newest


@pytest.fixture
def board(new_board: NewBoard) -> Any:
    """Return a board with ideal converters and a network of eight dividers by ten."""
    made = new_board()
    rows = np.zeros((8, 16))
    rows[:, :8] = 0.1
    for switches in range(16):
        closed = np.array([switches >> j & 1 for j in range(4)], dtype=float)
        rows[:4, :8] = 0.1 * (1 - closed / 2)[:, None]
        rows[:4, 8:12] = np.diag(closed / 2)
        made.set_transfer(switches, rows)
    return made


def query(board: Any, message: bytes) -> bytes:
    """Send a message and return the reply."""
    board.receive(message + b"\n")
    return bytes(board.transmit())


def is_safe(board: Any) -> bool:
    """Return whether all switches are open and every DAC is at midscale."""
    return bool(board.switches() == 0 and board.dac_codes() == SAFE)


def errors(board: Any) -> list[int]:
    """Empty the error queue and return its codes."""
    codes = []
    while code := int(query(board, b"SYST:ERR?").split(b",")[0]):
        codes.append(code)
    return codes


# Booting


def test_board_boots_and_reports_its_identity(board: Any) -> None:
    assert query(board, b"*IDN?") == b"hwlearn,REFBOARD,T-0001,1.1.0\n"
    assert query(board, b"*TST?") == b"0\n"
    assert query(board, b"SYST:CAP?") == b"2,8,4,32,256,3072\n"
    assert is_safe(board)


def test_outputs_do_not_change_during_boot(board: Any) -> None:
    board.allow([MID] * 16, [MID] * 16)
    board.power_on()
    assert board.violations == 0
    assert is_safe(board)


def test_outputs_stay_safe_without_a_record(new_board: NewBoard) -> None:
    board = new_board(None)
    assert query(board, b"*IDN?").split(b",")[2] == b"0"
    assert query(board, b"*TST?") == b"1\n"
    assert query(board, b"SOUR:VOLT 0,0.1") == b""
    assert errors(board) == [-340, -340]
    assert is_safe(board)


def test_reboot_restores_the_power_up_state(board: Any) -> None:
    query(board, b"SOUR:VOLT 3,1;:SYST:WDOG 5000")
    assert query(board, b"*OPC?;:SYST:REB") == b"1\n"  # the reply is sent before the reboot
    assert board.resets == 1
    assert is_safe(board)
    assert query(board, b"SYST:WDOG?") == b"2000\n"


# Chips


def test_codes_reach_all_sixteen_dac_channels(board: Any) -> None:
    for channel in range(16):
        query(board, b"SOUR:VOLT %d,%.3f" % (channel, (channel - 8) / 10))
    wanted = [MID + round((channel - 8) / 10 / 5 * 65536) for channel in range(16)]
    assert board.dac_codes() == wanted
    assert query(board, b"OUTP?") == b"1\n"
    query(board, b"OUTP OFF")
    assert is_safe(board)


@pytest.mark.parametrize("way", ["OUTP OFF", "*RST", "reset button", "watchdog", "hang"])
def test_switches_open_before_dacs_change(board: Any, way: str) -> None:
    query(board, b"SOUR:VOLT 0,1;VOLT 8,0.2;:ROUT:CLOS 15")
    assert board.switches() == 15
    assert board.moved_closed == 0
    if way == "reset button":
        board.power_on()
    elif way == "watchdog":
        board.advance_us(2_100 * MS)
    elif way == "hang":
        board.hang()
        board.advance_us(600 * MS)
    else:
        query(board, way.encode())
    assert is_safe(board)
    assert board.moved_closed == 0


def test_codes_reach_all_eight_potentiometer_chips(board: Any) -> None:
    codes = [(37 * edge + 5) % 256 for edge in range(32)]
    query(board, b"EDGE:DATA " + block(codes))
    assert board.edge_codes().tolist() == codes
    assert words(query(board, b"EDGE:DATA?")) == codes


def test_edges_do_not_change_at_a_reset(board: Any) -> None:
    query(board, b"EDGE:CODE 7,200")
    board.power_on()
    assert query(board, b"EDGE:CODE? 7") == b"200\n"


def test_each_switch_is_controlled_separately(board: Any) -> None:
    for mask in range(16):
        query(board, b"ROUT:CLOS %d" % mask)
        assert board.switches() == mask


def test_readings_equal_the_network_outputs(board: Any) -> None:
    query(board, b"SOUR:VOLT 0,1;VOLT 5,0.5")
    assert [round(float(text), 3) for text in query(board, b"MEAS:VOLT?").split(b",")] == [0.15] * 8
    assert float(query(board, b"MEAS:VOLT? 6")) == pytest.approx(0.15, abs=1e-4)


def test_attached_circuit_gets_switches_and_edge_codes(board: Any) -> None:
    switches_seen: list[int] = []
    edge_codes: list[list[int]] = []

    def analog(switches: int, dac_volts: Any) -> Any:
        switches_seen.append(switches)
        return np.full(8, dac_volts[2])

    board.attach(analog, lambda codes: edge_codes.append(codes.tolist()))
    query(board, b"SOUR:VOLT 2,-0.25")
    assert float(query(board, b"MEAS:VOLT? 0")) == pytest.approx(-0.25, abs=1e-4)
    query(board, b"EDGE:CODE 31,9")
    assert set(switches_seen) == {0}
    assert edge_codes[-1][31] == 9


def test_sequence_measures_and_ends_in_the_safe_state(board: Any) -> None:
    code = MID + 6554  # 0.5 V
    free = words(query(board, b"SEQ:FREE? " + block([code] * 8)))
    volts = 8 * 0.1 * 6554 * 5 / 65536
    assert free == [0] + [round((volts + 2.5) / 5.12 * 65536)] * 4
    answer = words(query(board, b"SEQ:SIDE 1;TWOP? 0.1," + block([code] * 8 + [free[1] + 1000] * 4)))
    assert answer[:5] == free
    v_nudge = (free[1] + 100) / 65536 * 5.12 - 2.5
    expected = volts / 2 + v_nudge / 2
    assert answer[5:] == pytest.approx([(expected + 2.5) / 5.12 * 65536] * 4, abs=1.5)
    assert is_safe(board)
    assert errors(board) == []


def test_adc_with_lost_range_settings_gives_an_error(board: Any) -> None:
    query(board, b"SOUR:VOLT 0,1")
    board.upset_adc()
    assert query(board, b"MEAS:VOLT? 1") == b""
    assert errors(board) == [-365]
    assert float(query(board, b"MEAS:VOLT? 1")) == pytest.approx(0.1, abs=1e-4)  # the ADC was configured again


def test_unresponsive_adc_ends_the_sequence(board: Any) -> None:
    def fails(_switches: int, _volts: Any) -> Any:
        raise RuntimeError("no supply")

    board.attach(fails, lambda _codes: None)
    board.send(b"SEQ:FREE? " + block([MID + 100] * 16) + b"\n")
    with pytest.raises(RuntimeError, match="no supply"):
        board.work()
    assert words(board.transmit())[::5] == [4 | 8, 4]
    assert is_safe(board)


def test_missing_edge_card_gives_an_error(board: Any) -> None:
    board.unplug_edges()
    assert query(board, b"*TST?") == b"4\n"
    assert query(board, b"EDGE:DATA " + block([255] * 32)) == b""
    assert errors(board) == [-365]
    board.unplug_edges(False)
    assert query(board, b"*TST?") == b"0\n"


# Serial line at 1 Mbaud


def test_longest_block_is_received_at_full_speed(board: Any) -> None:
    query(board, b"SEQ:SETT 0;SIDE 1")
    before = board.cycles
    board.send(b"SEQ:TWOP? 0.5," + block([MID] * 12 * 128) + b"\n")
    board.work()
    assert len(words(board.transmit())) == 128 * 9
    assert board.overruns == 0
    assert errors(board) == []
    assert (board.last_byte_at - before) / HERTZ > 3074 * 10e-6  # the transmission takes its time


def test_overrun_loses_one_message(board: Any) -> None:
    board.send(b"SEQ:SETT 1500;FREE? " + block([MID] * 8 * 10) + b"\n" + b"*IDN?\n" * 60)
    board.work()
    assert board.transmit().startswith(b"#")
    board.advance_us(150 * MS)
    query(board, b"")
    board.transmit()
    assert -363 in errors(board)
    assert query(board, b"*OPC?") == b"1\n"


def test_byte_without_stop_bit_invalidates_its_message(board: Any) -> None:
    board.send(b"SOUR:VOLT 0,")
    board.work()
    board.damage_next()
    board.send(b"0.1\n*OPC?\n")
    board.work()
    assert is_safe(board)
    assert board.transmit() == b"1\n"
    assert errors(board) == [-363]


def test_can_ends_a_running_sequence(board: Any) -> None:
    board.send(b"SEQ:SETT 20000;FREE? " + block([MID + 50] * 8 * 20) + b"\n")
    board.advance_us(100 * MS)
    assert not is_safe(board)
    board.send(b"\x18")
    board.advance_us(25 * MS)
    assert is_safe(board)
    board.work()
    status = words(board.transmit())[::5]
    assert status[0] == 0
    assert status[-1] == 4


# Watchdogs


def test_watchdog_sets_the_safe_state_after_two_seconds(board: Any) -> None:
    query(board, b"SOUR:VOLT 0,1;VOLT 8,0.1;:ROUT:CLOS 1")
    assert board.switches() == 1
    board.advance_us(1_900 * MS)
    assert not is_safe(board)
    board.advance_us(150 * MS)
    assert is_safe(board)
    assert errors(board) == [-240]
    assert query(board, b"SYST:WDOG:TRIP?") == b"1\n"


def test_mcu_watchdog_resets_a_stuck_program(board: Any) -> None:
    query(board, b"SOUR:VOLT 0,1")
    board.hang()
    board.advance_us(400 * MS)
    assert not is_safe(board)
    board.advance_us(200 * MS)
    assert is_safe(board)
    assert (board.resets, board.trips) == (1, 0)
    assert query(board, b"*IDN?").startswith(b"hwlearn")


def test_supervisor_resets_an_mcu_without_clock(board: Any) -> None:
    query(board, b"SOUR:VOLT 0,1;VOLT 8,0.1;:ROUT:CLOS 1")
    board.stop_clock()
    board.advance_us(1_500 * MS)
    assert not is_safe(board)
    board.advance_us(150 * MS)
    assert is_safe(board)
    assert (board.resets, board.trips) == (0, 1)


def test_supervisor_does_not_trip_during_long_commands(new_board: NewBoard) -> None:
    board = new_board()
    query(board, b"SYST:WDOG 60000;:SEQ:SETT 50000;AVER 64")
    query(board, b"SEQ:FREE? " + block([MID + 10] * 8 * 60))
    board.advance_us(3_000 * MS)
    assert (board.resets, board.trips) == (0, 0)
    assert errors(board) == []


# EEPROM


def test_writing_a_record_takes_the_stated_time(board: Any) -> None:
    before = board.now_us
    query(board, b"CAL:UNL T-0001;DATA " + framed(FLAWED.encode()))
    assert 300 * MS < board.now_us - before < 2_000 * MS
    assert (board.resets, board.trips) == (0, 0)
    assert query(board, b"*IDN?").split(b",")[2] == b"T-0002"
    assert errors(board) == []


@pytest.mark.parametrize("after_ms", [5, 100, 600, 1_100])
def test_reset_during_a_record_write_leaves_one_valid_record(board: Any, after_ms: int) -> None:
    board.send(b"CAL:UNL T-0001;DATA " + framed(FLAWED.encode()) + b"\n")
    board.advance_us((4 + after_ms) * MS)
    assert bytes(board.eeprom[BANKS[1] : BANKS[1] + 338]) != with_generation(FLAWED.encode(), 2)
    board.power_on()
    assert query(board, b"*IDN?").split(b",")[2] == b"T-0001"
