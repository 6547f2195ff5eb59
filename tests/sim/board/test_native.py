"""Wrapper of the host library: callbacks, probes and injected failures."""

from __future__ import annotations

import numpy as np
import pytest

from hwlearn_drivers.board.record import BoardRecord
from hwlearn_drivers.transport.blocks import encode_block
from hwlearn_sim.board.library import ADCS, DACS
from hwlearn_sim.board.native import NativeBoard


def on(record: BoardRecord | None = None) -> NativeBoard:
    board = NativeBoard()
    if record is not None:
        data = record.encode()
        board.eeprom[0 : len(data)] = data
    board.power_on()
    return board


def query(board: NativeBoard, message: bytes) -> bytes:
    board.receive(message + b"\n")
    return board.transmit()


RECORD = BoardRecord("T-1", 2_000_000, 500_000)


def test_callback_receives_switches_and_dac_volts():
    board = on(RECORD)
    seen = []

    def analog(switches, volts):
        seen.append((switches, volts))
        return np.arange(ADCS) * 0.1

    board.attach(analog, lambda codes: None)
    said = query(board, b"SOUR:VOLT 1,0.5;:MEAS:VOLT?")
    np.testing.assert_allclose([float(v) for v in said.split(b",")], np.arange(ADCS) * 0.1, atol=5e-5)
    switches, volts = seen[-1]
    assert switches == 0
    np.testing.assert_allclose(volts, [0, 0.5, *[0] * 14], atol=5e-5)


def test_edge_callback_receives_new_codes():
    board = on(RECORD)
    seen = []
    board.attach(lambda switches, volts: np.zeros(ADCS), seen.append)
    assert query(board, b"EDGE:CODE 3,77;CODE? 3") == b"77\n"
    assert [codes.tolist() for codes in seen] == [[128, 128, 128, 77, *[128] * 28]]
    assert board.edge_codes().tolist() == seen[0].tolist()


def test_transfer_matrix_replaces_callback_until_discarded():
    board = on(RECORD)
    matrix = np.zeros((ADCS, DACS))
    matrix[2, 1] = 0.5
    requests = []

    def analog(switches, volts):
        requests.append(switches)
        board.set_transfer(switches, matrix)

    board.attach(analog, lambda codes: None)
    for _ in range(3):
        assert float(query(board, b"SOUR:VOLT 1,1;:MEAS:VOLT? 2")) == pytest.approx(0.5, abs=5e-5)
    assert requests == [0]
    board.forget_transfers()
    query(board, b"MEAS:VOLT? 2")
    assert requests == [0, 0]
    with pytest.raises(ValueError, match="shape"):
        board.set_transfer(0, np.zeros((4, 16)))


def test_callback_exception_is_raised_and_firmware_sees_failed_adc():
    board = on(RECORD)

    def analog(switches, volts):
        raise ZeroDivisionError("the analog world")

    board.attach(analog, lambda codes: None)
    with pytest.raises(ZeroDivisionError, match="analog world"):
        board.receive(b"MEAS:VOLT? 0\n")
    assert board.transmit() == b""
    assert query(board, b"SYST:ERR?").startswith(b"-365")


def test_converters_have_given_errors():
    board = on(RECORD)
    board.set_converters(0.01, 0.002, np.full(ADCS, -0.02), 0.003, 0.0, 1)
    applied = []

    def analog(switches, volts):
        applied.append(volts)
        return np.full(ADCS, 1.0)

    board.attach(analog, lambda codes: None)
    assert float(query(board, b"SOUR:VOLT 0,1;:MEAS:VOLT? 5")) == pytest.approx(0.98 + 0.003, abs=5e-5)
    assert applied[0][0] == pytest.approx(1.01 + 0.002, abs=5e-5)
    assert applied[0][1] == pytest.approx(0.002)


def test_dac_updates_outside_allowed_codes_are_counted():
    board = on(RECORD)
    board.allow(np.full(DACS, 30000), np.full(DACS, 35000))
    query(board, b"SOUR:VOLT 0,0.1;*OPC?")
    assert board.violations == 0
    query(board, b"SOUR:VOLT 0,1;*OPC?")
    assert board.violations == 1
    assert board.loads == 2


def test_power_failure_during_record_write_keeps_old_record():
    board = on(RECORD)
    before = bytes(board.eeprom[0:338])
    query(board, b"CAL:UNL T-1;*OPC?")
    board.lose_power_after(20)
    board.receive(b"CAL:DATA " + encode_block(BoardRecord("T-1", 1_000_000, 100_000).encode()) + b"\n")
    assert not board.is_on
    board.power_on()
    assert bytes(board.eeprom[0:338]) == before
    assert query(board, b"SOUR:LIM:VOLT?") == b"2.000000\n"


def test_time_advances_only_on_request():
    board = on(RECORD)
    board.attach(lambda switches, volts: np.zeros(ADCS), lambda codes: None)
    query(board, b"SYST:WDOG 100;:SOUR:VOLT 0,1;*OPC?")
    began = board.now_us
    board.advance_us(99_000)
    assert board.dac_codes()[0] != 0x8000
    board.advance_us(2_000)
    assert board.dac_codes() == [0x8000] * DACS
    assert board.now_us - began == 101_000
    assert query(board, b"SYST:WDOG:TRIP?") == b"1\n"
