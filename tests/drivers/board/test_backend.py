"""The backend ``board``: its settings, its page in the documentation, and OFF from a bench file."""

import re
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
from board_rig import PLAIN, graph
from pydantic import ValidationError

import hwlearn as hl
from hwlearn.errors import SetupError
from hwlearn_drivers.board.backend import BoardBackend
from hwlearn_drivers.board.board import OFF
from hwlearn_drivers.board.settings import BoardSettings
from hwlearn_drivers.errors import OutputsMayBeOnError
from hwlearn_drivers.instrument import open_outputs

PAGE = (Path(__file__).parents[3] / "docs" / "board.md").read_text(encoding="utf-8")
LIMITS = hl.Limits(voltage=1.0, drop=2.0, nudge=0.3, current=1e-3, conductance=(1.5e-5, 2e-4))


def settings(**changes):
    return BoardSettings(**({"address": "COM3", "dry_run": True} | changes))


def test_every_key_is_documented():
    missing = {key for key in BoardSettings.model_fields if key != "kind" and f"`{key}`" not in PAGE}
    assert not missing


def test_backend_is_registered():
    (found,) = [entry for entry in entry_points(group="hwlearn.backends") if entry.name == "board"]
    assert found.load() is BoardBackend


def test_quantities_are_read_with_units():
    read = settings(settle="50 us", watchdog="500 ms", voltage_sigma="50 uV", timeout="5 s", inputs=[3, 4])
    assert (read.settle, read.watchdog, read.voltage_sigma, read.timeout) == (5e-5, 0.5, 5e-5, 5.0)
    assert (read.baud, read.inputs, read.outputs, read.averages) == (1_000_000, (3, 4), None, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"adress": "COM4"},
        {"settle": "51 ms"},
        {"settle": "20 mV"},
        {"averages": 3},
        {"averages": 128},
        {"watchdog": "10 ms"},
        {"watchdog": "61 s"},
        {"baud": 0},
        {"inputs": "first"},
        {"kind": "smu"},
    ],
)
def test_invalid_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        settings(**wrong)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inputs": (0, 1)}, r"backend.inputs must name 3 different DAC channels for 3 inputs"),
        ({"inputs": (0, 1, 8)}, r"the board has DAC channels 0 to 7"),
        ({"outputs": (1, 1)}, r"backend.outputs must name 2 different output channels"),
        ({"outputs": (-1, 1)}, r"the board has output channels 0 to 3"),
        ({"edges": tuple(range(20, 34))}, r"the board has places 0 to 31"),
    ],
)
def test_invalid_wiring_is_refused_before_the_board_is_opened(changes, words, capsys):
    with pytest.raises(SetupError, match=words):
        BoardBackend.open(settings(**changes), graph(), LIMITS)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("topology", "words"),
    [
        (hl.Topology.random(20, 30, inputs=9, outputs=2, seed=1), "9 inputs, the board 8"),
        (hl.Topology.random(20, 30, inputs=3, outputs=5, seed=1), "5 outputs, the board 4"),
        (hl.Topology.random(20, 33, inputs=3, outputs=2, seed=1), "33 edges, the board 32"),
    ],
)
def test_network_larger_than_the_board_is_refused(topology, words, capsys):
    with pytest.raises(SetupError, match=words):
        BoardBackend.open(settings(), topology, LIMITS)
    assert capsys.readouterr().out == ""


def test_dry_run_prints_every_command(capsys):
    x, y = np.full((2, 3), 0.3), np.full((2, 2), 0.1)
    with BoardBackend.open(settings(settle="30 us"), graph(), LIMITS) as network:
        done = network.program(np.full(14, 1e-4))
        free = network.measure(x)
        phases = network.two_phase(x, hl.TargetError(y), hl.ResistorNudge(0.5, 1e-4))
        network.two_phase(x, lambda volts: volts - y, hl.ResistorNudge(0.5, 1e-4), symmetric=False)
    assert not done.failed.any()
    assert (free.voltages == 0).all()
    assert (phases.strength == 0.5).all()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "COM3 > \\x18OUTP OFF"
    for command in ("SEQ:SETT 30", "SOUR:LIM:VOLT 1.000000", "SOUR:LIM:NUDG 0.300000", "SEQ:SIDE 1"):
        assert f"COM3 > {command}" in lines
    assert any(line.startswith("COM3 > EDGE:DATA #") for line in lines)
    for header in ("SEQ:FREE? #", "SEQ:TWOP? 0.500000,#", "SEQ:NUDG? #"):
        assert any(re.match(rf"COM3 > OUTP:ARM (\d+),\1;:{re.escape(header)}", line) for line in lines)


def test_board_with_narrower_limits_is_closed_with_outputs_off(board_rig):
    rig = board_rig(record=replace(PLAIN, volts_uV=900_000))
    with pytest.raises(SetupError, match=r"limits.voltage = 1 V is wider than the board's own limit of 900 mV"):
        BoardBackend.open(settings(address=rig.address, dry_run=False), graph(), LIMITS)
    assert not open_outputs._open
    assert rig.is_safe
    assert b"SOUR:" not in bytes(rig.heard)


def test_board_without_a_record_is_refused(board_rig):
    rig = board_rig(record=None)
    with pytest.raises(SetupError, match="no valid calibration record"):
        BoardBackend.open(settings(address=rig.address, dry_run=False), graph(), LIMITS)


def test_off_is_sent_without_a_query(board_rig):
    rig = board_rig()
    rig.do("SOUR:VOLT 0,0.5")
    assert not rig.is_safe
    BoardBackend.off(settings(address=rig.address, dry_run=False))
    rig.wait_until(lambda: rig.is_safe)
    rig.wait_until(lambda: bytes(rig.heard) == 2 * (OFF.encode() + b"\n"))


def test_off_works_after_an_incomplete_block(board_rig):
    """Another program ended while it sent a block."""
    rig = board_rig()
    rig.do("SOUR:VOLT 0,0.5")
    rig.native.receive(b"EDGE:DATA #266" + bytes(20))
    BoardBackend.off(settings(address=rig.address, dry_run=False))
    rig.wait_until(lambda: rig.is_safe)


def test_off_that_cannot_be_sent_is_an_error(board_rig):
    rig = board_rig()
    rig.refuse()
    with pytest.raises(
        OutputsMayBeOnError, match=r"EVERY DAC AND NUDGE SWITCH OF socket://.* watchdog switches them off"
    ):
        BoardBackend.off(settings(address=rig.address, dry_run=False))


def test_board_works_with_a_serial_port_and_a_visa_name(board_rig):
    rig = board_rig(pty=True)
    for address in (rig.address, f"ASRL{rig.address}::INSTR"):
        with BoardBackend.open(settings(address=address, dry_run=False), graph(), LIMITS) as network:
            network.program(np.full(14, 1e-4))
            read = network.measure([[0.3, -0.2, 0.1]])
        expected = rig.model.solve([[0.3, -0.2, 0.1]])[:, graph().outputs]
        np.testing.assert_allclose(read.voltages, expected, atol=2e-4)
