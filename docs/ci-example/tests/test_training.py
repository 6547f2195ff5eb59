"""A training: on a simulated network, on the reference board's own firmware, and on the bench."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn_sim import Imperfections


@pytest.fixture
def task():
    topology = hl.Topology.random(14, 30, inputs=4, outputs=3, seed=5)
    rng = np.random.default_rng(1)
    teacher = hl.Kirchhoff(topology, np.exp(rng.uniform(np.log(2e-6), np.log(5e-5), 30)))
    inputs = rng.uniform(-0.4, 0.4, (8, 4))
    return topology, inputs, teacher.solve(inputs)[:, topology.outputs]


@pytest.mark.parametrize("broken", [[], [7]])
def test_training_learns_also_when_a_device_breaks(broken, task, kirchhoff_twin, faults):
    topology, inputs, targets = task
    twin = kirchhoff_twin(topology, imperfections=Imperfections(device_spread=0.2), seed=3)
    if broken:
        faults.edges(twin, broken, "open", at_step=20)
    trainer = hl.Trainer(twin, hl.GEP(), hl.MSE(), hl.Adam(0.1, scale="log"))
    history = trainer.fit(inputs, targets, hl.Schedule(80, anneal=0.05))
    first, last = history.epochs[0].train.rms_error_V, history.epochs[-1].train.rms_error_V
    assert last < 0.2 * first


def test_board_applies_what_it_is_sent(virtual_board):
    board = virtual_board()
    network = board.open()
    network.program(np.full(32, 1e-4))
    read = network.measure(np.full((1, 8), 0.5))
    assert read.voltages == pytest.approx(0.5, abs=2e-3)
    network.close()
    assert board.board.is_safe


@pytest.mark.hardware
def test_bench_reads_zero(bench):
    read = bench.network.measure(np.zeros((1, bench.topology.n_inputs)))
    assert np.abs(read.voltages).max() < 2e-3


@pytest.mark.hardware
def test_bench_learns(bench):
    history = bench.train(progress=False)
    assert history.epochs[-1].train.cost < history.epochs[0].train.cost
