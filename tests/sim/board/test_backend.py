"""The backend ``virtual-board``: readings, noise, limits and errors as seen by its driver."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.errors import LimitError, SetupError
from hwlearn.network.network import TargetError
from hwlearn_drivers.board.backend import BoardBackend
from hwlearn_sim import KirchhoffTwin, PlacedBoard, VirtualBench
from hwlearn_sim.bench.board_backend import BOARD, VirtualBoardBackend, VirtualBoardSettings
from hwlearn_sim.board import build as board_build
from hwlearn_sim.board.parts import EDGE_LAW
from hwlearn_sim.devices.imperfections import Imperfections

CROSSBAR = hl.Topology.crossbar(8, 4)
RANDOM = hl.Topology.random(14, 30, inputs=4, outputs=3, seed=5)
LIMITS = hl.Limits(2.0, 4.0, 0.5, 1e-2, (1.05e-5, 5e-4))
STEP = 80e-6
WIRES = ["tcp", pytest.param("pty", marks=pytest.mark.skipif(sys.platform == "win32", reason="no such wire"))]


def opened(topology=CROSSBAR, **keys):
    settings = VirtualBoardSettings.model_validate({"wire": "tcp"} | keys)
    return VirtualBoardBackend().open(settings, topology, LIMITS)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("topology", [CROSSBAR, RANDOM], ids=["crossbar", "random"])
def test_driver_readings_agree_with_true_values(topology, wire):
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (40, topology.n_inputs))
    with opened(topology, wire=wire, device_spread=0.1, gain=3e-3, offset="3 mV", seed=2) as network:
        assert network.instruments[0].startswith("hwlearn REFBOARD, serial VIRTUAL-2,")
        target = np.exp(rng.uniform(np.log(1.1e-5), np.log(4e-4), topology.n_edges))
        programmed = network.program(target)
        assert not programmed.failed.any()
        np.testing.assert_allclose(programmed.reached, target, rtol=0.1)
        assert np.abs(network.true_conductances / programmed.reached - 1).max() > 0.05, (
            "the driver must not know the true devices"
        )
        np.testing.assert_allclose(network.measure(x).voltages, network.true_outputs(x), atol=2 * STEP)
        both = network.two_phase(x, TargetError(np.zeros((40, topology.n_outputs))), hl.ResistorNudge(0.5))
        assert (both.strength == 0.5).all()
        model = Kirchhoff(topology, network.true_conductances)
        nudged = model.solve(x, injected=both.plus.output_currents)[:, topology.outputs]
        np.testing.assert_allclose(both.plus.voltages, nudged, atol=4 * STEP)
        assert np.abs(both.plus.voltages - both.free.voltages).max() > 20 * STEP
        assert network.measurements == 40 + 3 * 40


def test_socket_and_visa_addresses_open_the_board():
    with VirtualBench(CROSSBAR, [PlacedBoard(BOARD)], conductances=2e-5) as bench:
        port = bench.address(BOARD).split("::")[2]
        for address in (f"socket://127.0.0.1:{port}", f"TCPIP::127.0.0.1::{port}::SOCKET"):
            settings = BoardBackend.Settings.model_validate({"address": address})
            with BoardBackend.open(settings, CROSSBAR, LIMITS) as network:
                np.testing.assert_allclose(network.measure(np.zeros((1, 8))).voltages, 0, atol=STEP)


def test_virtual_network_uses_measurement_sequences_of_board():
    x = np.full((5, 8), 0.3)
    with opened() as network:
        scans = network.bench.board(BOARD).controller
        before = scans.scans
        network.two_phase(x, TargetError(np.zeros((5, 4))), hl.ResistorNudge(0.5), symmetric=False)
        assert scans.scans - before == 2 * 5, "the board must read free and nudged outputs once"


def test_uncalibrated_board_shows_converter_errors():
    x = np.zeros((1, 8))
    keys = {"gain": 3e-3, "offset": "3 mV", "seed": 2}
    with opened(**keys, calibrated=False) as network:
        assert np.abs(network.measure(x).voltages).max() > 1e-3
    with opened(**keys) as network:
        assert np.abs(network.measure(x).voltages).max() < 2 * STEP


def test_noise_of_readings_agrees_with_stated_sigma():
    with opened(read_noise="1 mV", averages=16) as network:
        read = network.measure(np.zeros((500, 8)))
        assert read.voltages.std() == pytest.approx(read.voltage_sigma, rel=0.1)  # 2000 readings: 6 sigma
        assert read.voltage_sigma == pytest.approx(0.25e-3, rel=0.01)


def test_devices_are_those_of_a_twin_with_same_seed():
    flaws = Imperfections(device_spread=0.2, stuck_fraction=0.1)
    twin = KirchhoffTwin(CROSSBAR, LIMITS, flaws, seed=3, edge_law=EDGE_LAW)
    target = np.exp(np.random.default_rng(1).uniform(np.log(1.2e-5), np.log(4e-4), 32))
    twin.program(target)
    with opened(device_spread=0.2, stuck_fraction=0.1, seed=3) as network:
        programmed = network.program(target)
        np.testing.assert_allclose(network.true_conductances, twin.true_conductances, rtol=1e-12)
        np.testing.assert_allclose(programmed.reached, EDGE_LAW.siemens(EDGE_LAW.nearest(target)), rtol=1e-9)


def test_firmware_enforces_limits_of_bench():
    with opened() as network:
        board = network.bench.board(BOARD)
        with pytest.raises(LimitError):
            network.measure(np.full((1, 8), 2.1))
        assert board.exchange(b"SOUR:LIM:VOLT?;NUDG?\n") == b"2.000000;0.500000\n"
        low, high = (int(code) for code in board.exchange(b"SOUR:LIM:EDGE?\n").split(b","))
        reachable = EDGE_LAW.siemens(np.array([high, low]))
        assert LIMITS.conductance[0] <= reachable[0] < reachable[1] <= LIMITS.conductance[1]


def test_closing_network_makes_board_safe_and_stops_serving(connect):
    network = opened()
    address, board = network.bench.address(BOARD), network.bench.board(BOARD)
    network.measure(np.ones((1, 8)))
    network.close()
    assert board.is_safe
    with pytest.raises(OSError, match="refused"):
        connect(address)


def test_wire_log_contains_commands(tmp_path):
    with opened(wire_log=str(tmp_path / "wire.log")) as network:
        network.measure(np.zeros((1, 8)))
    assert "SEQ:FREE?" in (tmp_path / "wire.log").read_text()


@pytest.mark.parametrize(
    ("keys", "topology", "text"),
    [
        ({"driver": {"watchdogs": 1}}, CROSSBAR, "watchdogs"),
        ({"averages": 3}, CROSSBAR, "1, 2, 4"),
        ({"offset": "1 V"}, CROSSBAR, "offset"),
        ({}, hl.Topology.crossbar(9, 3), "9 inputs"),
    ],
)
def test_invalid_settings_are_refused(keys, topology, text):
    with pytest.raises(SetupError, match=text):
        opened(topology, **keys)


def test_emulated_board_needs_a_checkout(monkeypatch, tmp_path):
    real = board_build.firmware_folder()
    monkeypatch.setattr("hwlearn_sim.board.emulated.firmware_folder", lambda: tmp_path)
    assert real.is_dir()
    with pytest.raises(SetupError, match="a checkout"):
        opened(emulation="avr")


@pytest.mark.skipif(shutil.which("avr-gcc") is None, reason="the emulated board needs avr-gcc and libsimavr")
def test_emulated_and_native_board_measure_the_same():
    rng = np.random.default_rng(4)
    x, y = rng.uniform(-1, 1, (3, 8)), rng.uniform(-0.2, 0.2, (3, 4))
    target = np.exp(rng.uniform(np.log(1.1e-5), np.log(4e-4), 32))
    read = []
    for emulation in ("native", "avr"):
        with opened(emulation=emulation, gain=3e-3, offset="3 mV", device_spread=0.1, seed=5) as network:
            network.program(target)
            both = network.two_phase(x, TargetError(y), hl.ResistorNudge(0.5))
            read.append(np.stack([both.free.voltages, both.plus.voltages, both.minus.voltages]))
    np.testing.assert_array_equal(read[0], read[1])


def test_error_of_unavailable_emulator_is_one_line(monkeypatch, tmp_path):
    (tmp_path / "emu").mkdir()
    (tmp_path / "emu" / "refboard_emu.py").write_text(
        "class EmulatedBoard:\n    def __init__(self):\n        raise OSError('no libsimavr\\nmore of it')\n"
    )
    monkeypatch.setattr("hwlearn_sim.board.emulated.firmware_folder", lambda: tmp_path)
    monkeypatch.delitem(sys.modules, "refboard_emu", raising=False)
    with pytest.raises(SetupError, match=r"not available: no libsimavr$"):
        opened(emulation="avr")
    sys.modules.pop("refboard_emu", None)
