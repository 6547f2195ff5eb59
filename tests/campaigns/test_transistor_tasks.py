"""Shares of the campaigns on the published tasks of transistor networks."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from coupled_learning import CoupledLearner, chip
from transistor_seconds import AGREES_V, part_of, seconds_here, seconds_there
from transistor_tasks import learner, own_split, xor_learner

import hwlearn as hl


def gates_one_by_one(one: CoupledLearner, x: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return the gates after samples in order, each solved alone from a cold start, as published."""
    top, gates, numbers = one.topology, one.gates.copy(), one.published
    a, b = top.edges.T
    for sample in order.tolist():
        circuit = hl.Kirchhoff(top, gates)
        free = circuit.solve(x[[sample]])[0]
        goals = one.clamp(free[top.outputs], sample)
        if goals is None:
            continue
        held = np.full((1, top.n_outputs), np.nan)
        held[0, list(goals)] = list(goals.values())
        clamped = circuit.solve(x[[sample]], clamped=held)[0]
        moved = np.isin(b, top.outputs[list(goals)]) if one.only_clamped else np.ones(len(b), dtype=np.bool_)
        step = numbers.gamma * ((clamped[a] - clamped[b]) ** 2 - (free[a] - free[b]) ** 2)
        gates = np.clip(gates - step * moved, numbers.low, numbers.high)
    return gates


def test_samples_side_by_side_are_learned_as_one_after_the_other():
    with hl.open_bench("ionosphere-nmos") as bench:
        x, order = bench.data.inputs, np.random.default_rng(0).permutation(len(bench.data.inputs))[:30]
        one = learner("ionosphere", bench, 0, None)
        expected = gates_one_by_one(one, x, order)
        assert one.epoch(x, order) > 5
        assert one.gates == pytest.approx(expected, abs=1e-7)


def test_seeds_of_exclusive_or_in_one_graph_are_learned_as_each_alone():
    with hl.open_bench("xor-nmos") as bench:
        x = bench.data.inputs
        both, alone = xor_learner(bench, [3, 4]), xor_learner(bench, [4])
        for _ in range(10):
            both.epoch(np.tile(x, (1, 2)), np.arange(4))
            alone.epoch(x, np.arange(4))
        assert both.gates[32:] == pytest.approx(alone.gates, abs=1e-7)
        assert np.abs(both.gates[:32] - both.gates[32:]).max() > 0.1


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ngspice") is None, reason="ngspice is not installed")
@pytest.mark.parametrize("copies", [1, 2])
def test_ngspice_does_the_same_updates_and_takes_longer(figure, copies):
    pytest.importorskip("numba")
    with hl.open_bench("digits-nmos") as bench:
        rows = own_split(np.asarray(bench.data.targets), 1)
        gates = learner("digits", bench, 1, None).gates
        part = part_of(bench, "epoch 1", gates, rows["train"][:6])
        here = seconds_here(bench, part)
        there, off = seconds_there(bench, part, copies)
    figure(
        f"coupled learning of digits-nmos, 6 samples: ngspice takes {there / here:.0f} times as long "
        f"({copies} copies; required 100 with the two of the published program)"
    )
    assert off <= AGREES_V
    assert there > 10 * here


def test_a_chip_has_different_devices_for_both_phases():
    with hl.open_bench("ionosphere-nmos") as bench:
        top = bench.topology
        vto = [
            np.array([one.vto for one in chip(top, seed).edge_elements]) - top.edge_elements[0].vto
            for seed in (1, 1001)
        ]
        assert [one.std() for one in vto] == pytest.approx([0.01, 0.01], rel=0.2)
        assert np.abs(np.corrcoef(*vto)[0, 1]) < 0.3
        x, order = bench.data.inputs, np.arange(12)
        noisy, clean = learner("ionosphere", bench, 0, 1), learner("ionosphere", bench, 0, None)
        assert noisy.epoch(x, order) > 0
        clean.epoch(x, order)
        assert np.abs(noisy.gates - clean.gates).max() > 1e-3
