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


class UnplugAtStep(Callback):
    """Unplugs the cable at a reply of the third step, and records the last committed step."""

    def __init__(self, faults: Faults, replies: int) -> None:
        self.faults, self.replies = faults, replies
        self.last: Step | None = None

    def on_step(self, step: Step) -> None:
        self.last = step
        if step.number == 1:
            self.faults.inject("unplugged", after=self.replies)


def open_network(address: str, timeout_s: float = TIMEOUT_S):
    settings = {"address": address, "timeout": timeout_s, "watchdog": 0.3}
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
def without_fault() -> np.ndarray:
    """Return the conductances of the same training without a fault."""
    with bench(Faults(), "tcp") as quiet, open_network(quiet.address("board")) as network:
        return trainer(network).fit(*data(), hl.Schedule(EPOCHS, batch_size=5)).conductances


def train_until_unplugged(network, faults: Faults, replies: int) -> Progress:
    """Train until the cable is unplugged; return the committed progress."""
    recorder = UnplugAtStep(faults, replies)
    began = time.monotonic()
    with pytest.raises(HwlearnError):
        trainer(network).fit(*data(), hl.Schedule(EPOCHS, batch_size=5), callbacks=[recorder])
    assert time.monotonic() - began < 3 * TIMEOUT_S
    assert [fault.kind for _, fault in faults.occurred] == ["unplugged"]
    assert recorder.last is not None
    return Progress(recorder.last.number + 1, recorder.last.optimizer_state)


def finish_training(network, progress: Progress) -> np.ndarray:
    """Train the remaining steps and return the conductances."""
    assert 0 < progress.steps < EPOCHS * 4
    return trainer(network).fit(*data(), hl.Schedule(EPOCHS, batch_size=5), start=progress).conductances


REPLIES = pytest.mark.parametrize("replies", [0, 1, 2])  # of the measurement, the programming, the read-back


@needs_pty
@REPLIES
def test_training_continues_after_cable_was_unplugged(replies, without_fault, tmp_path):
    port, faults = Port(tmp_path / "board"), Faults()
    with bench(faults) as faulty_bench:
        port.plug(faulty_bench.address("board"))
        board = faulty_bench.board("board")
        network = open_network(str(port.path))
        progress = train_until_unplugged(network, faults, replies)
        assert board.is_safe, "a sequence must end with safe outputs"
        with serve.PtyServer(board) as again:
            port.plug(again.address)
            network.reconnect()
            np.testing.assert_allclose(finish_training(network, progress), without_fault, rtol=1e-12)
            network.close()


@REPLIES
def test_training_continues_after_connection_was_dropped(replies, without_fault):
    faults = Faults()
    with bench(faults, "tcp") as faulty_bench:
        network = open_network(faulty_bench.address("board"))
        progress = train_until_unplugged(network, faults, replies)
        network.reconnect()
        np.testing.assert_allclose(finish_training(network, progress), without_fault, rtol=1e-12)
        network.close()


@needs_pty
def test_watchdog_releases_outputs_after_disconnect(tmp_path, wait_until):
    port, faults = Port(tmp_path / "board"), Faults()
    with bench(faults) as faulty_bench:
        port.plug(faulty_bench.address("board"))
        board = faulty_bench.board("board")
        network = open_network(str(port.path))
        network.board.write("SOUR:VOLT 0,1.5", "ROUT:CLOS 1")
        faults.inject("unplugged")
        with pytest.raises(HwlearnError):
            network.board.query("*IDN?")
        assert not board.is_safe
        assert board.switches() == 1
        unplugged_at = time.monotonic()
        wait_until(lambda: board.is_safe)
        assert time.monotonic() - unplugged_at < 3.0
        assert set(board.dac_codes()) == {0x8000}
        with serve.PtyServer(board) as again:
            port.plug(again.address)
            network.reconnect()
            assert np.abs(network.measure(np.zeros((1, 8))).voltages).max() < 1e-3
            network.close()


def test_silent_board_is_reported_within_timeout():
    faults = Faults()
    with bench(faults, "tcp") as faulty_bench:
        network = open_network(faulty_bench.address("board"))
        faults.muted = True
        began = time.monotonic()
        with pytest.raises(LinkTimeout):
            network.measure(np.zeros((1, 8)))
        assert time.monotonic() - began < 5 * TIMEOUT_S
        faults.clear()
        assert np.abs(network.measure(np.zeros((1, 8))).voltages).max() < 1e-3
        network.close()
