"""Gradients after a solution of the same inputs: equal to those of a circuit that has solved nothing."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.circuit.elements import IdealDiode, Sinh


@pytest.fixture
def circuit():
    topology = hl.Topology.layered([6, 5, 3], rectifier=IdealDiode()).with_elements(Sinh(0.2))
    return hl.Kirchhoff(topology, np.random.default_rng(0).uniform(1e-5, 1e-4, topology.n_edges))


def batch(seed, samples=4):
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (samples, 6)), rng.normal(size=(samples, 3))


def test_gradient_does_not_depend_on_what_was_solved_before(circuit):
    (x, e), (y, _) = batch(1), batch(2)
    fresh = circuit.with_conductances(circuit.conductances).gradient(x, e)
    circuit.solve(x)
    np.testing.assert_array_equal(circuit.gradient(x, e), fresh)
    circuit.solve(y)
    np.testing.assert_array_equal(circuit.gradient(x, e), fresh)
    circuit.solve(x, injected=np.full((4, 3), 1e-5))
    np.testing.assert_array_equal(circuit.gradient(x, e), fresh)
    circuit.solve(x, clamped=np.full((4, 3), 0.1))
    np.testing.assert_array_equal(circuit.gradient(x, e), fresh)


def test_arrays_that_a_caller_changes_do_not_change_later_gradients(circuit):
    x, e = batch(1)
    fresh = circuit.with_conductances(circuit.conductances).gradient(x, e)
    V = circuit.solve(x)
    V[:] = 0.0
    np.testing.assert_array_equal(circuit.gradient(x, e), fresh)
    changed = x.copy()
    circuit.solve(changed)
    changed[:] = 0.0
    np.testing.assert_array_equal(circuit.gradient(x, e), fresh)


def test_one_sample_is_not_taken_for_a_batch_of_equal_ones(circuit):
    x, e = batch(1, 1)
    circuit.solve(x)
    many = circuit.gradient(np.repeat(x, 3, axis=0), np.repeat(e, 3, axis=0))
    np.testing.assert_allclose(many, circuit.gradient(x, e), rtol=1e-9, atol=1e-15)
