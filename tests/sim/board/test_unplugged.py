"""The cable is unplugged during a batch: the driver reports it within the time-out, the board switches its outputs
off, and training continues from the last committed batch with the same result."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import HwlearnError
from hwlearn.learning.records import Callback, Progress, Step
from hwlearn_drivers.board.backend import BoardBackend
from hwlearn_drivers.errors import LinkTimeout
from hwlearn_sim import PlacedBoard, VirtualBench
from hwlearn_sim.wire import serve
from hwlearn_sim.wire.faults import Faults

needs_pty = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")

CROSSBAR = hl.Topology.crossbar(8, 4)
LIMITS = hl.Limits(2.0, 4.0, 0.5, 1e-2, (1.05e-5, 5e-4))
TIMEOUT_S = 1.0
EPOCHS = 3


class Port:
    """A serial port with a fixed name, like the links that udev creates."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def plug(self, address: str) -> None:
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(address.removeprefix("ASRL").removesuffix("::INSTR"))


class Accident(Callback):
    """Unplugs the cable at a reply of the third step, and records the last committed step."""

    def __init__(self, faults: Faults, replies: int) -> None:
        self.faults, self.replies = faults, replies
        self.last: Step | None = None

    def on_step(self, step: Step) -> None:
        self.last = step
        if step.number == 1:
            self.faults.inject("unplugged", after=self.replies)


def open_network(address: str):
    settings = {"address": address, "timeout": TIMEOUT_S, "watchdog": 0.3}
    return BoardBackend.open(BoardBackend.Settings.model_validate(settings), CROSSBAR, LIMITS)


def trainer(network) -> hl.Trainer:
    start = np.exp(np.random.default_rng(5).uniform(*np.log(LIMITS.conductance), CROSSBAR.n_edges))
    model = hl.Kirchhoff(CROSSBAR, start)
    return hl.Trainer(network, hl.GEP(hl.ResistorNudge(0.5)), hl.MSE(), hl.Adam(0.05), model=model, seed=1)


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    return rng.uniform(-1, 1, (20, 8)), rng.uniform(-0.1, 0.1, (20, 4))


def bench(faults: Faults, wire: Literal["tcp", "pty"] = "pty") -> VirtualBench:
    placed = PlacedBoard("board", gain=2e-3, offset_V=2e-3, wire=wire, faults=faults)
    return VirtualBench(CROSSBAR, [placed], conductances=2e-5, conductance=LIMITS.conductance, seed=1)


@pytest.fixture(scope="module")
def undisturbed() -> np.ndarray:
    """Return the conductances of the same training without a fault."""
    with bench(Faults(), "tcp") as quiet, open_network(quiet.address("board")) as network:
        return trainer(network).fit(*data(), hl.Schedule(EPOCHS, batch_size=5)).conductances


def fail(network, faults: Faults, replies: int) -> Progress:
    """Train until the cable is unplugged; return the committed progress."""
    accident = Accident(faults, replies)
    began = time.monotonic()
    with pytest.raises(HwlearnError):
        trainer(network).fit(*data(), hl.Schedule(EPOCHS, batch_size=5), callbacks=[accident])
    assert time.monotonic() - began < 3 * TIMEOUT_S
    assert [fault.kind for _, fault in faults.occurred] == ["unplugged"]
    assert accident.last is not None
    return Progress(accident.last.number + 1, accident.last.optimizer_state)


def go_on(network, progress: Progress) -> np.ndarray:
    """Train the remaining steps and return the conductances."""
    assert 0 < progress.steps < EPOCHS * 4
    return trainer(network).fit(*data(), hl.Schedule(EPOCHS, batch_size=5), start=progress).conductances


REPLIES = pytest.mark.parametrize("replies", [0, 1, 2])  # of the phases, of programming, of reading back


@needs_pty
@REPLIES
def test_training_continues_after_cable_was_unplugged(replies, undisturbed, tmp_path):
    port, faults = Port(tmp_path / "board"), Faults()
    with bench(faults) as accident_prone:
        port.plug(accident_prone.address("board"))
        board = accident_prone.board("board")
        network = open_network(str(port.path))
        progress = fail(network, faults, replies)
        assert board.is_safe, "a sequence must end with safe outputs"
        with serve.PtyServer(board) as again:
            port.plug(again.address)
            network.reconnect()
            np.testing.assert_allclose(go_on(network, progress), undisturbed, rtol=1e-12)
            network.close()


@REPLIES
def test_training_continues_after_connection_was_dropped(replies, undisturbed):
    faults = Faults()
    with bench(faults, "tcp") as accident_prone:
        network = open_network(accident_prone.address("board"))
        progress = fail(network, faults, replies)
        network.reconnect()
        np.testing.assert_allclose(go_on(network, progress), undisturbed, rtol=1e-12)
        network.close()


@needs_pty
def test_watchdog_releases_outputs_after_disconnect(tmp_path, wait_until):
    port, faults = Port(tmp_path / "board"), Faults()
    with bench(faults) as accident_prone:
        port.plug(accident_prone.address("board"))
        board = accident_prone.board("board")
        network = open_network(str(port.path))
        network.board.write("SOUR:VOLT 0,1.5", "ROUT:CLOS 1")
        faults.inject("unplugged")
        with pytest.raises(HwlearnError):
            network.board.query("*IDN?")
        assert not board.is_safe
        assert board.switches() == 1
        pulled = time.monotonic()
        wait_until(lambda: board.is_safe)
        assert time.monotonic() - pulled < 1.0
        assert set(board.dac_codes()) == {0x8000}
        with serve.PtyServer(board) as again:
            port.plug(again.address)
            network.reconnect()
            assert np.abs(network.measure(np.zeros((1, 8))).voltages).max() < 1e-3
            network.close()


def test_silent_board_is_reported_within_timeout():
    faults = Faults()
    with bench(faults, "tcp") as accident_prone:
        network = open_network(accident_prone.address("board"))
        faults.muted = True
        began = time.monotonic()
        with pytest.raises(LinkTimeout):
            network.measure(np.zeros((1, 8)))
        assert time.monotonic() - began < 5 * TIMEOUT_S
        faults.clear()
        assert np.abs(network.measure(np.zeros((1, 8))).voltages).max() < 1e-3
        network.close()
