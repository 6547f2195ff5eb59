"""A circuit of a series is rebuilt from its history with equal solutions, to the last bit."""

import numpy as np
import pytest

import hwlearn as hl


def test_circuit_with_history_solves_and_continues_like_the_original():
    top = hl.Topology.grid(20, 20)
    rng = np.random.default_rng(0)
    g = rng.uniform(1e-5, 1e-4, top.n_edges)
    x = rng.uniform(-1, 1, (2, top.n_inputs))
    circuit = hl.Kirchhoff(top, g)
    for _ in range(4):
        g = g.copy()
        g[[3, 100, 401]] = rng.uniform(1e-5, 1e-4, 3)
        circuit = circuit.with_conductances(g)
        circuit.solve(x)
    assert circuit.history, "few edges change: the circuits share eliminated nodes"
    rebuilt = hl.Kirchhoff(top, g).with_history(circuit.history)
    np.testing.assert_array_equal(rebuilt.solve(x), circuit.solve(x))
    g = g.copy()
    g[3] *= 1.1
    after, expected = rebuilt.with_conductances(g), circuit.with_conductances(g)
    np.testing.assert_array_equal(after.solve(x), expected.solve(x))
    np.testing.assert_equal(after.history, expected.history)


def test_history_of_another_circuit_is_refused():
    small, large = hl.Topology.grid(3, 3), hl.Topology.grid(4, 4)
    history = {"base": np.ones(large.n_edges), "changed": np.ones(large.n_edges, dtype=bool), "steps": np.array(1)}
    with pytest.raises(ValueError, match="history is of"):
        hl.Kirchhoff(small, np.ones(small.n_edges)).with_history(history)
