"""Benches of crossbars with wires: their keys, and the control model without wires."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import SetupError, TopologyError

SMALL = {
    "network.rows": 6,
    "network.columns": 5,
    "network.wire_resistance": 200.0,
    "data.samples": 4,
    "train.epochs": 30,
}


def bench(**changes):
    return hl.open_bench("crossbar-wires", {**SMALL, **changes})


def test_shipped_bench_has_the_wires_that_it_declares():
    wires = hl.open_bench("crossbar-wires").topology.wires
    assert wires is not None
    assert (wires.rows, wires.columns, wires.row_ohms, wires.column_ohms) == (64, 64, 2.0, 2.0)


@pytest.mark.parametrize("given", ["200 ohm", 200, ["200 ohm", "0.2 kohm"]])
def test_wire_resistance_takes_one_value_or_two_with_units(given):
    wires = bench(**{"network.wire_resistance": given}).topology.wires
    assert wires is not None
    assert (wires.row_ohms, wires.column_ohms) == (200.0, 200.0)


@pytest.mark.parametrize("given", ["-2 ohm", "2 V", True, [1.0], [1.0, 2.0, 3.0], "two"])
def test_wrong_wire_resistance_names_the_key(given):
    with pytest.raises((SetupError, TopologyError), match="wire_resistance"):
        bench(**{"network.wire_resistance": given})


def test_loop_learns_with_and_without_a_model_of_the_wires():
    for model in ("declared", "without-wires"):
        with bench(**{"train.model": model}) as opened:
            history = opened.train()
            trained = opened.evaluate(history).true
        assert trained is not None
        assert trained.rms_error_V < 0.3 * history.epochs[0].train.rms_error_V


def test_control_model_has_ideal_lines_and_the_same_edges():
    opened = bench(**{"train.model": "without-wires"})
    model = opened.trainer().model
    opened.close()
    assert model.topology == opened.topology.without_wires()
    assert model.topology.n_edges == opened.topology.n_edges


def test_control_model_needs_a_network_with_wires():
    with pytest.raises(SetupError, match=r"train\.model = 'without-wires'.*wire_resistance"):
        bench(**{"train.model": "without-wires", "network.wire_resistance": 0.0})


def test_control_model_cannot_use_node_readings():
    keys = {"train.model": "without-wires", "train.readout": "nodes", "backend.node_readout": True}
    with pytest.raises(SetupError, match=r"train\.readout"):
        bench(**keys)


def test_model_of_another_network_is_refused():
    other = hl.Kirchhoff(hl.Topology.crossbar(3, 4), np.full(12, 1e-5))
    with bench() as opened, pytest.raises(SetupError, match=r"30 edges.*make the model for the same network"):
        hl.Trainer(opened.network, hl.Analytic(), hl.MSE(), hl.Adam(), model=other)


def test_node_readings_do_not_fit_a_model_with_other_nodes():
    with bench(**{"backend.node_readout": True}) as opened:
        ideal = hl.Kirchhoff(opened.topology.without_wires(), np.full(30, 1e-5))
        trainer = hl.Trainer(opened.network, hl.GEP(readout="nodes"), hl.MSE(), hl.Adam(), model=ideal)
        with pytest.raises(SetupError, match="reads 71 nodes, its model has 11"):
            trainer.fit(opened.data.inputs, opened.data.targets, 1)
