"""OFF, closing and reconnecting a board."""

from dataclasses import replace

import numpy as np
import pytest
from board_rig import FREE, PLAIN, SESSION, at_midscale, transport

from hwlearn_drivers.board import board as board_module
from hwlearn_drivers.board.board import OFF, Board
from hwlearn_drivers.board.protocol import MIDSCALE
from hwlearn_drivers.errors import (
    HaltedError,
    OutputsMayBeOnError,
    OutputStateError,
    UnknownInstrumentError,
)
from hwlearn_drivers.instrument import open_outputs


def test_off_is_repeated_after_an_incomplete_block(opened):
    rig, board = opened()
    board.begin(SESSION)
    board.write("SOUR:VOLT 0,0.5")
    assert not rig.is_safe
    # the program is interrupted after half a block
    board.transport._link.write(b"SEQ:FREE? #41602" + bytes(100))
    board.transport._sending = True
    board.halt()
    rig.wait_until(lambda: rig.is_safe)
    board.rearm()
    assert board.query("SYST:ERR:COUN?") == "0"
    status, _ = board.sequence(FREE, at_midscale(5), 1, 1)
    assert not status.any()


def test_off_ends_a_running_sequence(opened):
    """OFF of somebody else arrives while the sequence runs: nothing more is measured, and OFF stays."""
    rig, board = opened()
    board.begin(SESSION)
    rig.native.forget_transfers()
    rig.inside = OFF.encode() + b"\n"
    words = np.full((100, 8), MIDSCALE + 1000)
    loads = rig.native.loads
    for _ in range(2):
        with pytest.raises(OutputStateError, match=r"somebody else used .* it was switched off"):
            board.sequence(FREE, words, 1, 1)
        assert rig.native.loads - loads < 3
    assert board.query("OUTP?") == "0"
    board.reconnect()
    status, _ = board.sequence(FREE, words, 1, 1)
    assert not status.any()


def test_nothing_is_sent_after_off_until_rearm(opened):
    _, board = opened()
    board.halt()
    with pytest.raises(HaltedError, match="switched off"):
        board.sequence(FREE, at_midscale(1), 1, 1)
    board.rearm()
    board.sequence(FREE, at_midscale(1), 1, 1)


def test_closing_a_mute_board_is_an_error_that_names_the_watchdog(board_rig, monkeypatch):
    monkeypatch.setattr(board_module, "START_S", 0.3)
    rig = board_rig()
    board = Board.open(transport(rig.address))
    board.begin(SESSION)
    board.write("SOUR:VOLT 0,0.5")
    board.transport.timeout_s = 0.3
    rig.mute = True
    with pytest.raises(
        OutputsMayBeOnError, match=r"EVERY DAC AND NUDGE SWITCH .* watchdog switches them off 2 s after"
    ):
        board.close()
    assert rig.is_safe, "it does not reply, but it receives"
    assert not open_outputs.watched(board)
    board.close()


def test_closing_a_disconnected_board_is_an_error_that_names_the_watchdog(board_rig):
    rig = board_rig()
    board = Board.open(transport(rig.address))
    rig.refuse()
    with pytest.raises(OutputsMayBeOnError, match="watchdog switches them off"):
        board.close()
    assert not open_outputs.watched(board)


def test_reconnect_switches_outputs_off_and_restores_the_session(opened, caplog):
    rig, board = opened()
    board.begin(SESSION)
    rig.drop()
    rig.heard.clear()
    board.reconnect()
    assert bytes(rig.heard).startswith(OFF.encode() + b"\n")
    assert board.query("SEQ:SETT?") == "50"
    assert float(board.query("SOUR:LIM:NUDG?")) == 0.2
    assert "connected again" in caplog.text


def test_reconnect_refuses_another_board_or_record(opened):
    rig, board = opened()
    rig.provision(replace(PLAIN, serial="T-0009"))
    rig.native.power_on()
    with pytest.raises(UnknownInstrumentError, match=r"there was .*T-0001.* now there is .*T-0009"):
        board.reconnect()
    rig.provision(replace(PLAIN, volts_uV=1_900_000))
    rig.native.power_on()
    with pytest.raises(UnknownInstrumentError, match="another calibration record"):
        board.reconnect()
    rig.provision(PLAIN)
    rig.native.power_on()
    board.reconnect()
