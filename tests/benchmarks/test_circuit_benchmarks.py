"""Time to solve and differentiate circuits of typical sizes.

Run with ``python -m pytest tests/benchmarks --benchmark-enable``.
"""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.circuit.elements import Shockley, Sinh

GRAPHS = {
    "crossbar 14x11": hl.Topology.crossbar(14, 11, range(10), range(3)),
    "random 24": hl.Topology.random(24, 55, inputs=5, outputs=3),
    "grid 100x100": hl.Topology.grid(100, 100),
}


@pytest.fixture(params=GRAPHS.values(), ids=GRAPHS.keys())
def circuit(request) -> tuple[hl.Topology, np.ndarray, np.ndarray, np.ndarray]:
    """Return a graph, conductances, a batch of 8 inputs and 8 errors."""
    t = request.param
    rng = np.random.default_rng(0)
    g = 10 ** rng.uniform(-6, -4, t.n_edges)
    return t, g, rng.uniform(-0.5, 0.5, (8, t.n_inputs)), rng.normal(size=(8, t.n_outputs))


def test_solve_and_gradient_with_new_conductances(benchmark, circuit):
    """Cost of each training step: a factor, a free solve and an adjoint solve."""
    t, g, x, e = circuit
    gradient = benchmark(lambda: hl.Kirchhoff(t, g).gradient(x, e))
    # doubling every conductance changes no voltage and halves the gradient
    np.testing.assert_allclose(hl.Kirchhoff(t, 2 * g).gradient(x, e), gradient / 2, rtol=0, atol=1e-9 / g.min())


def test_solve_with_an_existing_factor(benchmark, circuit):
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


def test_re_solve_after_one_percent_of_the_edges_changed(benchmark):
    """Cost of a step of subset training: a new circuit that differs from the last in the same few edges."""
    t = GRAPHS["grid 100x100"]
    rng = np.random.default_rng(0)
    g, x = 10 ** rng.uniform(-6, -4, t.n_edges), rng.uniform(-0.5, 0.5, (1, t.n_inputs))
    trained = rng.choice(t.n_edges, t.n_edges // 100, replace=False)
    k = hl.Kirchhoff(t, g)
    k.solve(x)

    def re_solve() -> np.ndarray:
        nonlocal k
        changed = g.copy()
        changed[trained] = 10 ** rng.uniform(-6, -4, trained.size)
        k = k.with_conductances(changed)
        return k.solve(x)

    V = benchmark(re_solve)
    np.testing.assert_allclose(V, hl.Kirchhoff(t, k.conductances).solve(x), rtol=0, atol=1e-9)


@pytest.mark.parametrize("element", [Sinh(0.1), Shockley()], ids=repr)
def test_solve_and_gradient_of_a_nonlinear_network(benchmark, element):
    """A crossbar of nonlinear devices: Newton's method, then one adjoint solve per sample."""
    t = GRAPHS["crossbar 14x11"]
    rng = np.random.default_rng(0)
    theta = 10 ** rng.uniform(-6, -4, t.n_edges)
    x, e = rng.uniform(-0.3, 0.3, (8, t.n_inputs)), rng.normal(size=(8, t.n_outputs))
    k = hl.Kirchhoff(t, theta, elements=element)
    gradient = benchmark(lambda: k.with_conductances(theta).gradient(x, e))
    # a common factor changes no voltage
    twice = k.with_conductances(2 * theta).gradient(x, e)
    np.testing.assert_allclose(twice, gradient / 2, rtol=0, atol=1e-6 * np.abs(gradient).max())


@pytest.mark.share(1)
@pytest.mark.parametrize("wires", [1.0, 0.0], ids=["wires 1 ohm", "ideal lines"])
def test_crossbar_64x64_with_wires(benchmark, wires):
    rng = np.random.default_rng(0)
    g, v = 10 ** rng.uniform(-6, -4, (64, 64)), rng.uniform(-0.5, 0.5, (8, 64))
    currents = benchmark(hl.solve_crossbar, g, v, wires).column_currents
    np.testing.assert_allclose(currents, v @ g, rtol=0, atol=0.2 * np.abs(v @ g).max() if wires else 1e-15)


@pytest.mark.parametrize("samples", [1, 64])
def test_crossbar_128x128_with_wires(benchmark, samples):
    rng = np.random.default_rng(0)
    g, v = 10 ** rng.uniform(-6, -4, (128, 128)), rng.uniform(-0.5, 0.5, (samples, 128))
    got = benchmark(hl.solve_crossbar, g, v, 1.0)
    np.testing.assert_allclose(got.column_nodes[:, -1], got.column_currents, rtol=0, atol=1e-9)  # over 1 ohm
