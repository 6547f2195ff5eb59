"""Time to solve and differentiate circuits of the sizes that are trained.

Run with ``python -m pytest tests/benchmarks --benchmark-enable``.
"""

import numpy as np
import pytest

import hwlearn as hl

GRAPHS = {
    "crossbar 14x11": hl.Topology.crossbar(14, 11, range(10), range(3)),
    "random 24": hl.Topology.random(24, 55, inputs=5, outputs=3),
    "grid 100x100": hl.Topology.grid(100, 100),
}


@pytest.fixture(params=GRAPHS.values(), ids=GRAPHS.keys())
def circuit(request) -> tuple[hl.Topology, np.ndarray, np.ndarray, np.ndarray]:
    """A graph, conductances, a batch of 8 inputs and 8 errors."""
    t = request.param
    rng = np.random.default_rng(0)
    g = 10 ** rng.uniform(-6, -4, t.n_edges)
    return t, g, rng.uniform(-0.5, 0.5, (8, t.n_inputs)), rng.normal(size=(8, t.n_outputs))


def test_solve_and_gradient_with_new_conductances(benchmark, circuit):
    """What each training step pays: a factor, a free solve and an adjoint solve."""
    t, g, x, e = circuit
    gradient = benchmark(lambda: hl.Kirchhoff(t, g).gradient(x, e))
    # doubling every conductance moves no voltage and halves the gradient
    np.testing.assert_allclose(hl.Kirchhoff(t, 2 * g).gradient(x, e), gradient / 2, rtol=0, atol=1e-9 / g.min())


def test_solve_with_the_factor_at_hand(benchmark, circuit):
    t, g, x, _ = circuit
    k = hl.Kirchhoff(t, g)
    k.solve(x)
    V = benchmark(k.solve, x)
    assert np.abs(V).max() <= np.abs(x).max() * (1 + 1e-12)


def test_loop_form(benchmark):
    t = GRAPHS["random 24"]
    g = 10 ** np.random.default_rng(0).uniform(-6, -4, t.n_edges)
    x, e = np.eye(8, t.n_inputs), np.eye(8, t.n_outputs)
    gradient = benchmark(hl.loops.gradient, t, g, x, e)
    exact = hl.Kirchhoff(t, g).gradient(x, e)
    np.testing.assert_allclose(gradient, exact, rtol=0, atol=1e-10 * np.abs(exact).max())


@pytest.mark.parametrize("wires", [1.0, 0.0], ids=["wires 1 ohm", "ideal lines"])
def test_crossbar_64x64_with_wires(benchmark, wires):
    rng = np.random.default_rng(0)
    g, v = 10 ** rng.uniform(-6, -4, (64, 64)), rng.uniform(-0.5, 0.5, (8, 64))
    currents = benchmark(hl.solve_crossbar, g, v, wires).column_currents
    np.testing.assert_allclose(currents, v @ g, rtol=0, atol=0.2 * np.abs(v @ g).max() if wires else 1e-15)
