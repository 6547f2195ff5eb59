"""Nudged phases start at the free operating points: equal to a search from 0 V, whatever the nudge switches."""

from __future__ import annotations

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.circuit.elements import OHMIC, Custom, IdealDiode, Shockley, Sinh
from hwlearn.circuit.nonlinear import switching
from hwlearn.circuit.nonlinear.last_batch import LastBatch
from hwlearn.circuit.nonlinear.newton import LARGEST_ERROR
from hwlearn.errors import CircuitError

SAMPLES = 5
CUBIC = Custom(lambda v, t: t * (v + v**3), lambda v, t: t * (1 + 3 * v**2), lambda v, t: v + v**3)
RECTIFIER = IdealDiode(leak=1e-4)


def rectified(rectifier):
    return hl.Topology.layered([6, 40, 3], rectifier=rectifier, rectifier_siemens=1e-3)


def general(element):
    """Every third edge nonlinear, also between free nodes, and from inputs that are not at 0 V."""
    top = hl.Topology.random(14, 30, 4, 3, seed=5)
    return top.with_elements([element if k % 3 == 0 else OHMIC for k in range(top.n_edges)])


CIRCUITS = {
    "ideal diodes": lambda: rectified(RECTIFIER),
    "ideal diodes with a threshold": lambda: rectified(IdealDiode(0.05, 1e-3)),
    "junctions": lambda: rectified(Shockley(0.05)),
    "sinh on every edge": lambda: rectified(RECTIFIER).with_elements(Sinh(0.2)),
    "general graph of ideal diodes": lambda: general(IdealDiode(0.02, 1e-2)),
    "general graph of sinh": lambda: general(Sinh(0.1)),
    "a law of the user": lambda: general(CUBIC),
}


@pytest.fixture(params=list(CIRCUITS))
def circuit(request):
    top = CIRCUITS[request.param]()
    return hl.Kirchhoff(top, np.random.default_rng(0).uniform(1e-5, 1e-4, top.n_edges))


def phases(circuit, size):
    """Inputs, and currents of this size for both nudged phases of each sample."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (SAMPLES, circuit.topology.n_inputs))
    amperes = size * rng.normal(size=(SAMPLES, circuit.topology.n_outputs))
    return x, np.concatenate([x, x]), np.concatenate([amperes, -amperes])


@pytest.mark.share(5)
@pytest.mark.parametrize("size", [1e-9, 2e-4])  # no side changes, most samples saturate
def test_nudged_phases_equal_those_from_0_V(circuit, size):
    x, both, amperes = phases(circuit, size)
    cold = circuit.with_conductances(circuit.conductances).operating_point(both, injected=amperes)
    circuit.solve(x)
    warm = circuit.operating_point(both, injected=amperes)
    largest = np.abs(cold.V).max(axis=1)
    assert (warm.error_V <= LARGEST_ERROR * largest).all()
    assert (np.abs(warm.V - cold.V).max(axis=1) <= warm.error_V + cold.error_V + 1e-15 * largest).all()
    assert np.abs(circuit.node_currents(warm.V)[:, inner(circuit)]).max() <= 1e-13


def test_contrast_equals_that_from_0_V(circuit):
    x, both, amperes = phases(circuit, 1e-6)
    found = []
    for start in (False, True):
        one = circuit.with_conductances(circuit.conductances)
        if start:
            one.solve(x)
        V = one.solve(both, injected=amperes)
        found.append(one.contrast(V[:SAMPLES], V[SAMPLES:], np.ones(SAMPLES)))
    cold, warm = found
    np.testing.assert_allclose(warm, cold, rtol=1e-6, atol=1e-8 * np.abs(cold).max())


def test_clamps_and_loads_start_there_too(circuit):
    x, both, _ = phases(circuit, 0.0)
    volts = np.where(np.arange(2 * SAMPLES)[:, None] % 2, 0.1, np.nan) * np.ones(circuit.topology.n_outputs)
    siemens = np.full(circuit.topology.n_outputs, 1e-4)
    fresh = circuit.with_conductances(circuit.conductances)
    cold = fresh.solve(both, clamped=volts), fresh.solve_behind(both, volts, siemens)[0]
    circuit.solve(x)
    warm = circuit.solve(both, clamped=volts), circuit.solve_behind(both, volts, siemens)[0]
    np.testing.assert_allclose(warm, cold, rtol=0, atol=2 * LARGEST_ERROR)


def test_small_nudge_takes_one_step_after_the_free_phase(monkeypatch):
    """Two linear solutions: the step, and the one that shows its error; no new factor."""
    monkeypatch.setattr(switching, "compiled_module", lambda name: None)
    top = rectified(RECTIFIER)
    circuit = hl.Kirchhoff(top, np.random.default_rng(0).uniform(1e-5, 1e-4, top.n_edges))
    x, both, amperes = phases(circuit, 1e-9)
    circuit.solve(x)
    factored, factor = [], type(circuit.solver._search(np.zeros(3, dtype=bool)).linear).factor
    monkeypatch.setattr(
        "hwlearn.circuit.nonlinear.linearised.Linearised.factor",
        lambda self, *given: factored.append(1) or factor(self, *given),
    )
    circuit.solve(both, injected=amperes)
    assert not factored


@pytest.mark.parametrize("rectifier", [RECTIFIER, IdealDiode(0.05, 1e-3)])
def test_compiled_search_agrees_with_newton(rectifier, monkeypatch):
    pytest.importorskip("numba", reason="the compiled search needs numba (extra fast)")
    top = rectified(rectifier)
    g = np.random.default_rng(0).uniform(1e-5, 1e-4, top.n_edges)
    circuit = hl.Kirchhoff(top, g)
    _, both, amperes = phases(circuit, 1e-5)
    compiled = circuit.operating_point(both, injected=amperes)
    assert circuit.solver._search(np.zeros(3, dtype=bool)).switching is not None
    monkeypatch.setattr(switching, "compiled_module", lambda name: None)
    plain = hl.Kirchhoff(top, g)
    newton = plain.operating_point(both, injected=amperes)
    assert plain.solver._search(np.zeros(3, dtype=bool)).switching is None
    np.testing.assert_allclose(compiled.V, newton.V, rtol=0, atol=1e-12)
    assert (compiled.error_V <= 1e-10).all()


def test_sample_without_accurate_compiled_point_is_left_to_newton(monkeypatch):
    pytest.importorskip("numba", reason="the compiled search needs numba (extra fast)")
    top = rectified(RECTIFIER)
    circuit = hl.Kirchhoff(top, np.random.default_rng(0).uniform(1e-5, 1e-4, top.n_edges))
    x, _, _ = phases(circuit, 0.0)
    expected = circuit.solve(x)
    monkeypatch.setattr(switching, "_MOST_CHANGES", 1)
    np.testing.assert_allclose(circuit.with_conductances(circuit.conductances).solve(x), expected, atol=1e-12)


def test_samples_of_the_last_batch_are_found():
    x = np.random.default_rng(3).uniform(-1, 1, (4, 7))
    last = LastBatch(x, np.zeros((4, 9)), None)
    np.testing.assert_array_equal(last.rows_of(x[[2, 2, 0]]), [2, 2, 0])
    assert last.rows_of(np.concatenate([x, x + 1e-16 + 1e-12])) is None
    assert LastBatch(x[:0], np.zeros((0, 9)), None).rows_of(x) is None


def inner(circuit):
    top = circuit.topology
    return np.setdiff1d(np.arange(top.n_nodes), np.concatenate([top.driven, top.outputs]))


def test_history_keeps_compiled_functions_or_their_absence(monkeypatch):
    pytest.importorskip("numba", reason="the compiled search needs numba (extra fast)")
    top = rectified(RECTIFIER)
    circuit = hl.Kirchhoff(top, np.full(top.n_edges, 1e-5))
    assert "compiled" in circuit.history
    plain = circuit.with_history({}).with_conductances(circuit.conductances)
    assert not plain.history
    assert plain.solver._search(np.zeros(3, dtype=bool)).switching is None
    assert circuit.with_history(circuit.history).solver._search(np.zeros(3, dtype=bool)).switching is not None
    monkeypatch.setattr(switching, "compiled_module", lambda name: None)
    with pytest.raises(CircuitError, match="install the extra `fast`"):
        circuit.with_history({"compiled": np.ones(1)})
