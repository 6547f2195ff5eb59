"""Bounds of the current at terminals, against currents of circuits with random devices and voltages."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.circuit.terminal_conductance import terminal_conductances

LARGEST = 1e-4
GRAPHS = {
    "wired crossbar": hl.Topology.crossbar(5, 4, wire_resistance=(3.0, 500.0)),
    "wired crossbar with ground": hl.Topology.crossbar(5, 4, ground=2, outputs=[0, 3], wire_resistance=2000.0),
    "crossbar": hl.Topology.crossbar(5, 4),
    "random": hl.Topology.random(12, 30, 3, 2, ground=11),
    "resistors at the terminals": hl.Topology(
        6, [(2, 3), (3, 4), (2, 4)], [0, 1], [4], 5, fixed_edges=[(0, 2), (1, 3), (3, 5)],
        fixed_conductances=[1.0, 1e-5, 1e-3],
    ),
}  # fmt: skip


@pytest.mark.parametrize("topology", GRAPHS.values(), ids=GRAPHS)
def test_no_source_delivers_more_than_the_bound_allows(topology):
    rng = np.random.default_rng(3)
    bound = terminal_conductances(topology, LARGEST)
    worst = np.zeros(len(bound))
    for _ in range(60):
        g = np.where(rng.random(topology.n_edges) < 0.5, LARGEST, rng.uniform(1e-7, LARGEST, topology.n_edges))
        circuit = hl.Kirchhoff(topology, g)
        x = rng.choice([-0.5, 0.5], (8, topology.n_inputs))
        clamped = rng.choice([-0.5, 0.5], (8, topology.n_outputs))
        V = circuit.solve(x, clamped=clamped)
        currents = np.concatenate([circuit.source_currents(V), circuit.output_currents(V)], axis=1)
        worst = np.maximum(worst, np.abs(currents).max(axis=0))  # 1 V between the terminals
    assert (worst <= bound * (1 + 1e-9)).all()
    assert (worst > 0.3 * bound).all()  # the bound is not far too large


def test_wires_do_not_count_as_conductance_to_the_other_terminals():
    wired = terminal_conductances(hl.Topology.crossbar(64, 64, wire_resistance=2.0), LARGEST)
    ideal = terminal_conductances(hl.Topology.crossbar(64, 64), LARGEST)
    assert (ideal == 64 * LARGEST).all()
    assert (wired < ideal).all()
    assert (wired > 0.5 * ideal).all()


def test_bound_is_that_of_one_device_where_nothing_else_conducts():
    chain = hl.Topology(3, [(1, 2)], [0], [2], fixed_edges=[(0, 1)], fixed_conductances=[1.0])
    np.testing.assert_allclose(terminal_conductances(chain, 1e-3), 1 / 1001, rtol=1e-12)
