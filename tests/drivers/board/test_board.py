"""The board as an instrument: opening, other instruments, sequences and resynchronisation."""

from dataclasses import replace

import numpy as np
import pytest
from board_rig import FLAWED, FREE, PLAIN, SESSION, at_midscale, transport
from short_waits import short_waits

from hwlearn.errors import SetupError
from hwlearn_drivers.board import board as board_module
from hwlearn_drivers.board.board import OFF, Board
from hwlearn_drivers.board.protocol import ADC_ZERO, BoardCapability
from hwlearn_drivers.errors import (
    GarbledReplyError,
    InstrumentError,
    LinkError,
    LinkTimeout,
    UnknownInstrumentError,
)
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.instrument.instrument import Identity

# --- opening --------------------------------------------------------------------------------------


def test_off_is_the_first_message(opened):
    rig, board = opened(record=FLAWED)
    assert bytes(rig.heard).startswith(OFF.encode() + b"\n")
    assert (board.record, board.identity.serial) == (FLAWED, "T-0002")
    assert board.capability.block_bytes == 3072


def test_opening_restores_a_known_state(board_rig):
    rig = board_rig()
    fresh = rig.do("SEQ:SETT?;AVER?;SIDE?").decode()
    for message in ("SOUR:LIM:VOLT 0.1", "SEQ:SETT 7000;AVER 64;SIDE 1", "SOUR:VOLT 0,0.05", "NONSENSE"):
        rig.do(message)
    with Board.open(transport(rig.address)) as board:
        assert float(board.query("SOUR:LIM:VOLT?")) == 2.0
        assert board.query("SEQ:SETT?;AVER?;SIDE?") + "\n" == fresh
        assert board.query("SYST:ERR:COUN?") == "0"
        assert board.query("OUTP?") == "0"


def test_session_is_set_in_the_firmware(opened):
    rig, board = opened()
    board.begin(SESSION)
    assert float(board.query("SOUR:LIM:VOLT?")) == 1.0
    assert float(board.query("SOUR:LIM:NUDG?")) == 0.2
    assert board.query("SOUR:LIM:EDGE?") == "3,200"
    assert board.query("SEQ:SETT?;AVER?") == "50;4"
    assert board.query("SYST:WDOG?") == "2000"
    with pytest.raises(InstrumentError, match="-222"):
        board.write_codes(np.full(32, 201))
    assert rig.is_safe


def test_corrupted_setting_is_detected(opened):
    rig, board = opened()
    rig.answer_instead[b"SOUR:LIM:VOLT?;"] = b"1.100000;0.200000;3,200;2000;50;4\n"
    with pytest.raises(
        UnknownInstrumentError, match=r"reports the limits and settings 1.1.*, they were set to 1.0"
    ):
        board.begin(SESSION)
    assert board.session is None


@pytest.mark.parametrize(
    ("wider", "words"),
    [
        ({"volts_uV": 2_000_001}, r"limits.voltage = 2.000001 V is wider than the board's own limit of 2 V"),
        ({"volts_uV": 2_400_000}, r"limits.voltage = 2.4 V is wider than the board's own limit of 2 V"),
        ({"nudge_uV": 600_000}, r"limits.nudge = 600 mV is wider than the board's own limit of 500 mV"),
    ],
)
def test_limit_wider_than_the_boards_own_is_not_sent(opened, wider, words):
    rig, board = opened()
    before = len(rig.heard)
    with pytest.raises(SetupError, match=words):
        board.begin(replace(SESSION, **wider))
    assert len(rig.heard) == before


def test_board_without_a_record_is_refused(opened):
    _, board = opened(record=None)
    assert board.record is None
    with pytest.raises(SetupError, match=r"no valid calibration record .* write one"):
        board.begin(SESSION)


def test_record_is_written_and_read_back(opened):
    rig, board = opened(record=None)
    board.write_record(FLAWED)
    assert board.identity.serial == "T-0002"
    board.begin(SESSION)
    board.write_record(replace(PLAIN, serial="T-0003"))
    assert board.record == replace(PLAIN, serial="T-0003", generation=board.record.generation)
    assert board.session is None, "the session ends with the old record"
    assert rig.do("SYST:ERR?") == b'0,"No error"\n'


# --- other instruments ----------------------------------------------------------------------------


def fence(line):
    return line.split(";")[0].removeprefix("*ESE ").encode() + b"\n" if line.endswith(";*ESE?") else None


def test_other_instrument_is_refused(responder):
    device = responder(lambda line: b"HWLEARN,EDGE CARD,7,1.0\n" if line == "*IDN?" else fence(line))
    with pytest.raises(UnknownInstrumentError, match=r"a reference board is expected, not HWLEARN EDGE CARD"):
        Board.open(transport(device.url))
    assert device.heard[0] == OFF
    assert not open_outputs._open


def test_older_firmware_is_refused(responder):
    errors = [b'-113,"Undefined header"\n']

    def answer(line):
        if line == "SYST:ERR?":
            return errors.pop() if errors else b'0,"No error"\n'
        return b"hwlearn,REFBOARD,SN-1,0.3\n" if line == "*IDN?" else fence(line)

    with pytest.raises(UnknownInstrumentError, match=r"firmware 0.3, which does not support SYST:CAP\?; update"):
        Board.open(transport(responder(answer).url, timeout_s=0.2))
    assert not open_outputs._open


def test_other_protocol_is_refused(board_rig):
    rig = board_rig()
    rig.answer_instead[b"SYST:CAP?"] = b"1,8,4,32,256,3072\n"
    with pytest.raises(UnknownInstrumentError, match=r"version 1 of the wire protocol, .* update the firmware"):
        Board.open(transport(rig.address))
    assert not open_outputs._open


def test_missing_board_is_a_timeout(responder, monkeypatch):
    monkeypatch.setattr(board_module, "START_S", 0.3)
    device = responder(lambda line: None)
    with pytest.raises(LinkTimeout, match=r"did not answer for 0.3 s; check that it is a reference board"):
        Board.open(transport(device.url))
    assert device.heard[0] == OFF


def test_opening_waits_for_the_boot_loader(responder):
    """The boot loader discards the first queries; then the board starts during a query."""
    queries = []

    def answer(line):
        queries.append(line)
        if len(queries) < 5:
            return None
        return b"HWLEARN,EDGE CARD,7,1.0\n" if line == "*IDN?" else fence(line)

    with pytest.raises(UnknownInstrumentError, match="EDGE CARD"):
        Board.open(transport(responder(answer).url))
    assert len(queries) >= 5


# --- sequences ------------------------------------------------------------------------------------


def test_batch_needs_one_query(opened):
    rig, board = opened()
    board.begin(SESSION)
    rig.heard.clear()
    status, readings = board.sequence(FREE, at_midscale(192), 1, 1)
    assert bytes(rig.heard).count(b"SEQ:FREE?") == bytes(rig.heard).count(b"SYST:ERR?\n") == 1
    assert not status.any()
    assert np.abs(readings.astype(int) - ADC_ZERO).max() <= 1
    rig.heard.clear()
    board.sequence(FREE, at_midscale(193), 1, 1)
    assert bytes(rig.heard).count(b"SEQ:FREE?") == 2


def test_sides_are_sent_only_when_they_change(opened):
    rig, board = opened()
    rig.heard.clear()
    for sides in (2, 2, 1, 1, 2):
        board.set_sides(sides)
    assert bytes(rig.heard).replace(b"\nSYST:ERR?\n", b"|") == b"SEQ:SIDE 1|SEQ:SIDE 2|"


def test_refused_sequence_gives_the_reason_at_once(opened):
    _, board = opened(timeout_s=60.0)
    board.begin(SESSION)
    words = at_midscale(3)
    words[1, 2] = 65000
    with pytest.raises(InstrumentError, match=r"'SEQ:FREE\? ' with error -222"):
        board.sequence(FREE, words, 1, 1)
    assert board.query("SYST:ERR:COUN?") == "0"


def test_tripped_watchdog_is_cleared_by_the_next_sequence(opened, caplog):
    rig, board = opened()
    board.begin(SESSION)
    board.write("SOUR:VOLT 0,0.5")
    rig.advance(3.0)
    assert rig.is_safe
    assert board.query("SYST:WDOG:TRIP?") == "1"
    status, _ = board.sequence(FREE, at_midscale(2), 1, 1)
    assert not status.any()
    assert "watchdog switched the outputs off" in caplog.text
    assert board.query("SYST:WDOG:TRIP?;:SYST:ERR:COUN?") == "0;0"


def test_watchdog_that_cannot_be_cleared_is_an_error(responder):
    def answers(line):
        if line.endswith("SYST:ERR?"):
            error = b'-240,"Watchdog"\n' if errors.pop(0) else b'0,"No error"\n'
            return b"16;" + error if line.startswith("*ESR?") else error
        return fence(line)

    errors = [True, False, False, True, False]
    link = transport(responder(answers).url)
    board = Board(link, Identity("hwlearn", "REFBOARD", "SN-1", "1.0"))
    board.capability = BoardCapability.parse("2,8,4,32,256,3072")
    with pytest.raises(InstrumentError, match="-240"):
        board.sequence(FREE, at_midscale(1), 1, 1)
    open_outputs.unwatch(board)
    link.close()


def test_board_that_restarted_must_be_reconnected(opened):
    """It has the wide limits of its EEPROM and unknown edges."""
    rig, board = opened()
    board.begin(SESSION)
    rig.native.power_on()
    with pytest.raises(LinkError, match=r"has restarted on its own .* reconnect"):
        board.sequence(FREE, at_midscale(1), 1, 1)
    assert board.needs_reconnect
    board.reconnect()
    assert float(board.query("SOUR:LIM:VOLT?")) == 1.0
    board.sequence(FREE, at_midscale(1), 1, 1)


def test_transport_resynchronises_after_a_corrupted_reply(opened):
    rig, board = opened()
    rig.answer_instead[b"SEQ:FREE?"] = b'#14\x00\x00\x00\x01\n0;0,"No error"\n'
    with pytest.raises(GarbledReplyError, match="not a valid reply"):
        board.sequence(FREE, at_midscale(1), 1, 1)
    rig.answer_instead.clear()
    del rig.heard[:]
    board.sequence(FREE, at_midscale(1), 1, 1)
    assert b"*ESE" in rig.heard, "the transport resynchronises first"
    del rig.heard[:]
    board.sequence(FREE, at_midscale(1), 1, 1)
    assert b"*ESE" not in rig.heard


def test_late_reply_is_not_taken_for_the_next_one(opened):
    rig, board = opened()
    rig.lost_after = 20  # the rest of the block is lost
    with short_waits(board.transport), pytest.raises(LinkTimeout):
        board.sequence(FREE, at_midscale(100), 1, 1)
    rig.lost_after = None
    assert board.query("*IDN?").startswith("hwlearn,REFBOARD")


def test_timeout_includes_the_duration_of_the_sequence(opened):
    _, board = opened(timeout_s=1.5)
    board.baud = 1_000_000
    board.begin(replace(SESSION, settle_us=50_000, averages=64))
    assert board._reply_s(128, 3072, 3, 3) > 1.5 + 128 * 3 * 0.05 + (3072 + 128 * 26) * 1e-5
    board.begin(SESSION)
    assert board._reply_s(128, 3072, 3, 3) < 2.5


def test_failed_self_test_is_an_error(opened):
    rig, board = opened()
    rig.answer_instead[b"*TST?"] = b"4\n"
    with pytest.raises(InstrumentError, match="its edges do not answer"):
        board.begin(SESSION)
    rig.answer_instead.clear()
