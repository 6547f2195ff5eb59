"""Somebody else switches the board off, changes or restarts it: a named error at the next batch."""

import re

import numpy as np
import pytest
from board_rig import graph
from short_waits import short_waits

import hwlearn as hl
from hwlearn_drivers.board.backend import BoardBackend
from hwlearn_drivers.board.held import HeldBoard
from hwlearn_drivers.board.hold import BoardRestartedError, BoardState, Hold, changes
from hwlearn_drivers.errors import GarbledReplyError, HaltedError, LinkTimeout, OutputStateError
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.transport.transport import Transport

LIMITS = hl.Limits(voltage=1.0, drop=2.0, nudge=0.3, current=1e-3, conductance=(1.5e-5, 2e-4))
X = np.array([[0.3, -0.2, 0.1], [0.1, 0.2, -0.4]])
TARGET = hl.TargetError(np.zeros((2, 2)))
NUDGE = hl.ResistorNudge(0.5, 1e-4)
CAN = "\x18"

OFFS = {"OFF": "OUTP OFF", "as hwlearn off": f"{CAN}OUTP OFF", "CAN": CAN}
CHANGES = {
    "SOUR:LIM:VOLT 0.9": "SOUR:LIM:VOLT was set to 1.000000 and is 0.900000",
    "SOUR:LIM:NUDG 0.2": "SOUR:LIM:NUDG was set to 0.300000 and is 0.200000",
    "SOUR:LIM:EDGE 100,101": "SOUR:LIM:EDGE was set to 13,170 and is 100,101",
    "SYST:WDOG 9000": "SYST:WDOG was set to 2000 and is 9000",
    "SEQ:SETT 0": "SEQ:SETT was set to 200 and is 0",
    "SEQ:AVER 2": "SEQ:AVER was set to 1 and is 2",
    "*RST": "1 commands of another program",
    "SEQ:SIDE 1": "1 commands of another program",
    "SEQ:SETT 0;SETT 200": "2 commands of another program",
    "EDGE:CODE 3,77": "edges at places [3] were set to codes",
    "EDGE:CODE 3,77;CODE 30,78": "edges at places [3, 30] were set to codes",
    "SOUR:VOLT 0,0.5": "an output was driven",
    "SOUR:VOLT 15,0.5": "an output was driven",
    "ROUT:CLOS 15": "an output was driven",
}
RESTARTS = {"SYST:REB": "", "SYST:REB\n*ESR?": "event register read", "SYST:REB\n*CLS": "event register cleared"}
OPERATIONS = {
    "measure": lambda network: network.measure(X),
    "two phases": lambda network: network.two_phase(X, TARGET, NUDGE),
    "nudge": lambda network: network.measure(X, hl.OutputDrive.resistor(np.zeros((2, 2)), np.full(2, 1e-4))),
}


@pytest.fixture
def bench(board_rig):
    """Return a function that opens a network with programmed edges, and the rig of its board."""
    networks = []

    def make():
        rig = board_rig()
        table = BoardBackend.Settings(address=rig.address, timeout=2.0)
        networks.append(BoardBackend.open(table, graph(), LIMITS))
        networks[-1].program(np.full(14, 1e-4))
        networks[-1].measure(X)
        return networks[-1], rig

    yield make
    for network in networks:
        network.close()


def driven_since(rig, loads):
    """Return how many times the DACs were loaded; the safe state itself is one load."""
    return rig.native.loads - loads


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("off", OFFS)
def test_off_of_somebody_else_is_final(bench, off, operation):
    network, rig = bench()
    rig.do(OFFS[off])
    loads = rig.native.loads
    for _ in range(3):
        with pytest.raises(
            OutputStateError, match=r"somebody else used REFBOARD at .*: it was switched off .*void"
        ):
            OPERATIONS[operation](network)
        assert driven_since(rig, loads) == 0
        assert rig.is_safe
    assert network.board.transport.halted
    network.reconnect()
    OPERATIONS[operation](network)


@pytest.mark.parametrize("change", CHANGES)
def test_change_is_found_before_anything_is_driven(bench, change):
    network, rig = bench()
    rig.do(change)
    loads = rig.native.loads
    with pytest.raises(OutputStateError, match=re.escape(CHANGES[change])) as raised:
        network.two_phase(X, TARGET, NUDGE)
    assert "\n" not in str(raised.value)
    assert driven_since(rig, loads) == 0
    assert rig.is_safe
    with pytest.raises(OutputStateError, match=re.escape(CHANGES[change])):
        network.program(np.full(14, 1e-4))
    codes = rig.native.edge_codes().tolist()
    network.reconnect()
    assert not network.two_phase(X, TARGET, NUDGE).skipped.any()
    assert change.startswith("EDGE") != (rig.native.edge_codes().tolist() == codes)


@pytest.mark.parametrize("restart", RESTARTS)
def test_restarted_board_drives_nothing(bench, restart):
    network, rig = bench()
    for line in restart.split("\n"):
        rig.do(line)
    loads = rig.native.loads
    with pytest.raises(BoardRestartedError, match=r"has restarted on its own .* reconnect"):
        network.measure(X)
    assert driven_since(rig, loads) == 0


def test_edges_that_lose_their_codes_by_themselves_are_found(bench):
    """No command changed them: the card lost its supply, for instance."""
    network, rig = bench()
    state = BoardState.parse(network.board.query("SYST:STAT?"))
    rig.answer_instead[b"SEQ:"] = b'#212\0\0\xb5}\xb5}\xb5}\xb5}\xefa\n0;%d,%d;0,"No error"\n' % (
        state.number,
        state.checksum ^ 1,
    )
    with pytest.raises(OutputStateError, match="somebody else used"):
        network.measure(X[:1])


def test_codes_changed_before_they_are_read_back_are_not_taken_for_stuck_edges(bench, monkeypatch):
    network, rig = bench()
    write_codes = HeldBoard.write_codes

    def written(board, codes):
        write_codes(board, codes)
        rig.do("EDGE:CODE 3,77")

    monkeypatch.setattr(HeldBoard, "write_codes", written)
    with pytest.raises(OutputStateError, match=r"somebody else used REFBOARD at .*void"):
        network.program(np.full(14, 1.1e-4))
    assert rig.is_safe


def test_another_program_that_opens_the_board_is_found(bench):
    network, rig = bench()
    rig.do(f"{CAN}OUTP OFF")
    for message in ("*CLS", "SYST:REB", "*ESR?", "OUTP:ARM 0,4711", "SOUR:LIM:VOLT 1", "SOUR:LIM:NUDG 0.3"):
        rig.do(message)
    with pytest.raises(OutputStateError, match="somebody else used"):
        network.measure(X)


def test_off_during_a_batch_of_several_blocks_is_final(bench, monkeypatch):
    """OFF comes between two blocks of one batch."""
    network, rig = bench()
    usual, blocks = Transport.query_with_block, []

    def then_off(*arguments):
        blocks.append(usual(*arguments))
        if len(blocks) == 2:
            rig.do("OUTP OFF")
        return blocks[-1]

    monkeypatch.setattr(Transport, "query_with_block", then_off)
    with pytest.raises(OutputStateError, match="switched off"):
        network.measure(np.zeros((192 * 4, 3)))
    assert len(blocks) == 3


def test_off_during_programming_is_found_by_the_next_batch(bench):
    network, rig = bench()
    rig.do("OUTP OFF")
    network.program(np.full(14, 9e-5))
    with pytest.raises(OutputStateError, match="switched off"):
        network.measure(X)


@pytest.mark.parametrize("what", [*OFFS.values(), "SEQ:SETT 0;SETT 200", "EDGE:CODE 3,77"])
def test_change_while_the_network_is_off_is_not_undone(bench, what):
    """The network switches off after a fault of the link; meanwhile somebody else uses the board."""
    network, rig = bench()
    rig.mute = True
    with short_waits(network.board.transport), pytest.raises(LinkTimeout):
        network.measure(X)
    rig.mute = False
    rig.wait_until(lambda: rig.is_safe)
    rig.do(what)
    loads = rig.native.loads
    if what == CAN:  # the board was off and stays off until this program, which had switched it off, goes on
        network.measure(X)
        return
    with pytest.raises(OutputStateError, match="somebody else used"):
        network.measure(X)
    assert driven_since(rig, loads) == 0


def test_own_off_is_allowed_again(bench):
    network, rig = bench()
    for _ in range(3):
        network.board.halt()
        network.board.halt()
        network.measure(X)
        network.board.off()
        network.measure(X)
    network.board.halt()
    rig.do("OUTP OFF")
    with pytest.raises(OutputStateError, match="1 commands of another program"):
        network.measure(X)


def test_own_settings_are_not_taken_for_those_of_others(bench):
    network, _ = bench()
    for command in ("SOUR:VOLT 3,0.1", "SEQ:SETT 200", "ROUT:OPEN", "*RST", "SEQ:SIDE 2"):
        network.board.write(command)
    network.board.write("SEQ:SETT 200;AVER 1", "SOUR:VOLT 3,0")
    network.board.query("SEQ:SIDE 2;SIDE?")
    network.board.write("*CLS", "*ESE 7")
    with pytest.raises(Exception, match="-222"):
        network.board.write("SEQ:SETT 1000000")
    network.measure(X)
    network.program(np.full(14, 9e-5))
    network.measure(X)


def test_watchdog_trip_by_an_output_of_somebody_else_is_not_cleared(bench):
    network, rig = bench()
    rig.do("SOUR:VOLT 0,0.5")
    rig.advance(3.0)
    assert rig.is_safe
    with pytest.raises(OutputStateError, match="somebody else used"):
        network.measure(X)
    assert rig.do("SYST:WDOG:TRIP?") == b"1\n"


def test_off_that_was_requested_through_the_registry_is_final(bench):
    network, _ = bench()
    open_outputs.halt_open("requested by `hwlearn off` of process 7")
    for _ in range(2):
        with pytest.raises(HaltedError, match="process 7"):
            network.measure(X)
    network.reconnect()
    network.measure(X)


def test_refused_command_of_somebody_else_is_not_taken_for_an_own_one(bench):
    """Its error is in the queue that both programs read."""
    network, rig = bench()
    rig.do("EDGE:CODE 3,1")
    with pytest.raises(
        OutputStateError, match=r"another program sent a command; error -222, Data out of range"
    ) as raised:
        network.measure(X)
    assert "\n" not in str(raised.value)
    network.reconnect()
    rig.do("EDGE:CODE 3,1")
    with pytest.raises(OutputStateError, match=r"error -222, Data out of range.*may be that of its command"):
        network.program(np.full(14, 9e-5))
    network.reconnect()
    network.measure(X)


# --- counting -------------------------------------------------------------------------------------


def test_changes_are_counted_as_the_board_counts_them(board_rig):
    rig = board_rig()
    rig.do("OUTP:ARM 0,100")
    number = 100
    for message in (
        "SEQ:SETT 50;AVER 4;:SYST:ERR?", "*CLS;*ESE 5;*OPC", "*RST;*OPC?", "outp off",
        "SYST:WDOG 500;:SYST:WDOG?",
        ":SOUR:LIM:EDGE 3,200;EDGE?", "ROUT:OPEN;CLOS?", "SYST:WDOG:CLE", "MEAS:VOLT?;:OUTP?",
        "EDGE:CODE 4,5;CODE? 4",
    ):  # fmt: skip
        rig.do(message)
        number += changes(message)
        assert BoardState.parse(rig.do("SYST:STAT?").decode().strip()).number == number, message


def test_hold_starts_again_at_1_as_the_board_does(board_rig):
    rig, hold = board_rig(), Hold()
    hold.number = 65534
    rig.do("OUTP:ARM 0,65534")
    for _ in range(4):
        rig.do("SEQ:SIDE 2")
        hold.count(1)
        assert hold.agrees(BoardState.parse(rig.do("SYST:STAT?").decode().strip()))
    assert hold.number == 3


@pytest.mark.parametrize("line", ["", "5", "5,", "x,1", "--5,1", "5,-1", "5,1,2"])
def test_invalid_state_is_refused(line):
    with pytest.raises(GarbledReplyError, match="not a valid reply"):
        BoardState.parse(line)
