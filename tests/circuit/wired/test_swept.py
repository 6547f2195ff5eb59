"""Wired crossbars solved by compiled sweeps (extra ``fast``): accuracy, choice of the solver, threads, history."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.circuit.linear.factor import ERROR_BOUND
from hwlearn.circuit.linear.solver import OhmicSolver
from hwlearn.circuit.spice import spice_text
from hwlearn.circuit.wired import swept
from hwlearn.circuit.wired.eliminated import EliminatedSystem
from hwlearn.errors import CircuitError

if importlib.util.find_spec("numba") is None:
    pytest.skip("numba is not installed: pip install 'hwlearn[fast]'", allow_module_level=True)


@pytest.fixture
def by_sweeps_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to eliminate."""

    def refuse(*_: object) -> None:
        raise AssertionError("eliminated")

    monkeypatch.setattr(EliminatedSystem, "of", refuse)


def crossbar(rows: int, columns: int, ohms: float, decades: float = 2, seed: int = 0) -> hl.Kirchhoff:
    """Return a crossbar of devices up to 1e-4 S between wires of a resistance."""
    topology = hl.Topology.crossbar(rows, columns, wire_resistance=ohms)
    g = 10 ** np.random.default_rng(seed).uniform(-4 - decades, -4, topology.n_edges)
    return hl.Kirchhoff(topology, g, allow_open=True)


def general(circuit: hl.Kirchhoff) -> hl.Kirchhoff:
    """Return the circuit with the general solver."""
    other = hl.Kirchhoff(circuit.topology, circuit.conductances, allow_open=True)
    other.solver = OhmicSolver(circuit.topology, other.all_values)
    return other


def inputs(circuit: hl.Kirchhoff, samples: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(-0.5, 0.5, (samples, circuit.topology.n_inputs))


def apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the largest difference of each sample, relative to its largest value."""
    return np.abs(a - b).max(axis=1) / np.abs(b).max(axis=1)


@pytest.mark.share(2)
@pytest.mark.parametrize(
    ("rows", "columns", "ohms", "decades", "samples"),
    [(33, 40, 2.0, 2, 30), (8, 130, 2.0, 2, 5), (130, 8, 5.0, 2, 1), (34, 34, 30.0, 2, 3), (40, 32, 2.0, 10, 6)],
)
@pytest.mark.usefixtures("by_sweeps_alone")
def test_sweeps_agree_with_the_general_solver(rows, columns, ohms, decades, samples):
    ours = crossbar(rows, columns, ohms, decades)
    theirs, x = general(ours), inputs(ours, samples)
    point, V = ours.operating_point(x), theirs.solve(x)
    assert (np.abs(point.V - V).max(axis=1) <= point.error_V + ERROR_BOUND * np.abs(V).max(axis=1)).all()
    assert ours.estimated_error() < ERROR_BOUND
    clamped = np.random.default_rng(2).uniform(-0.5, 0.5, (samples, columns))
    clamped[:, ::3] = np.nan
    injected = np.where(np.isnan(clamped), 1e-4, np.nan)
    for held in (clamped, np.nan_to_num(clamped)):
        assert apart(ours.solve(x, held, injected), theirs.solve(x, held, injected)).max() < 2 * ERROR_BOUND
    e = np.random.default_rng(3).normal(size=(samples, columns))
    assert apart(ours.adjoint(e), theirs.adjoint(e)).max() < 2 * ERROR_BOUND
    gradient = theirs.gradient(x, e)
    assert np.abs(ours.gradient(x, e) - gradient).max() < 1e-9 * np.abs(gradient).max()


@pytest.mark.usefixtures("by_sweeps_alone")
def test_open_devices_are_solved_by_sweeps():
    full = crossbar(32, 33, 2.0)
    g = full.conductances * (np.random.default_rng(4).random(full.topology.n_edges) < 0.5)
    g.reshape(32, 33)[1:, 5] = 0.0
    ours = full.with_conductances(g)
    x = inputs(ours, 4)
    assert apart(ours.solve(x), general(ours).solve(x)).max() < 2 * ERROR_BOUND


@pytest.mark.usefixtures("by_sweeps_alone")
def test_sweeps_agree_with_ngspice(ngspice: Callable[[str], dict[str, float]], figure):
    circuit = crossbar(32, 33, 3.0)
    x = inputs(circuit, 1)
    printed = ngspice(spice_text(circuit.topology, circuit.conductances, x[0]))
    volts = np.array([[printed.get(name.lower(), 0.0) for name in circuit.topology.names]])
    worst = float(apart(circuit.solve(x), volts).max())
    figure(f"sweeps over a wired crossbar against ngspice: {worst:.1e} relative (required 1e-9)")
    assert worst < 1e-9


@pytest.mark.usefixtures("by_sweeps_alone")
def test_voltages_scale_with_the_inputs():
    circuit = crossbar(32, 33, 2.0)
    x = inputs(circuit, 5)
    assert not circuit.solve(0.0 * x).any()
    V = circuit.solve(x)
    np.testing.assert_allclose(circuit.solve(1e-200 * x), 1e-200 * V, rtol=0, atol=1e-210)
    x[3] = 0.0
    assert not circuit.solve(x)[3].any()


@pytest.mark.usefixtures("by_sweeps_alone")
def test_results_do_not_depend_on_the_number_of_threads(monkeypatch):
    circuit = crossbar(32, 40, 2.0)
    x, found = inputs(circuit, 29), []
    for cores in (1, 3, 9):
        monkeypatch.setattr(swept, "_THREADED", 0)
        monkeypatch.setattr(swept, "cores", lambda cores=cores: cores)
        found.append(circuit.solve(x))
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_strong_devices_and_slow_batches_are_eliminated(monkeypatch):
    strong = crossbar(32, 33, 3000.0)
    x = inputs(strong, 3)
    with_numba = strong.solve(x)
    weak = crossbar(32, 33, 2.0)
    monkeypatch.setattr(swept, "_MOST_SWEEPS", 2)
    slow = weak.solve(x)
    assert weak.operating_point(x).error_V.max() < 1e-12
    monkeypatch.setattr(swept, "compiled_sweeps", lambda: None)
    np.testing.assert_array_equal(with_numba, crossbar(32, 33, 3000.0).solve(x))
    np.testing.assert_array_equal(slow, crossbar(32, 33, 2.0).solve(x))


def test_interrupt_ends_all_threads(monkeypatch):
    circuit = crossbar(64, 64, 2.0)
    x = inputs(circuit, 40)
    compiled = swept.compiled_sweeps()
    relax, this, raised = compiled.relax, threading.get_ident(), threading.Event()

    def interrupted(*arguments):
        if threading.get_ident() == this:
            raised.set()
            raise KeyboardInterrupt
        raised.wait(5.0)
        return relax(*arguments)

    monkeypatch.setattr(swept, "cores", lambda: 3)
    monkeypatch.setattr(compiled, "relax", interrupted)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        circuit.solve(x)
    assert threading.active_count() == before
    monkeypatch.setattr(compiled, "relax", relax)
    assert apart(circuit.solve(x), general(circuit).solve(x)).max() < 2 * ERROR_BOUND


def test_history_keeps_the_way_of_solution(monkeypatch):
    circuit = crossbar(32, 33, 2.0)
    x = inputs(circuit, 3)
    later = circuit.with_conductances(2 * circuit.conductances)
    assert "sweeps" in later.history
    again = hl.Kirchhoff(circuit.topology, later.conductances, allow_open=True)
    np.testing.assert_array_equal(again.with_history(later.history).solve(x), later.solve(x))
    eliminated = again.with_history({})
    assert not eliminated.history
    history = later.history
    monkeypatch.setattr(swept, "compiled_sweeps", lambda: None)
    plain = hl.Kirchhoff(circuit.topology, later.conductances, allow_open=True)
    np.testing.assert_array_equal(plain.solve(x), eliminated.solve(x))
    with pytest.raises(CircuitError, match="numba is not installed"):
        plain.with_history(history)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_batch_is_eliminated_if_a_thread_fails(monkeypatch):
    circuit = crossbar(64, 64, 2.0)
    x = inputs(circuit, 40)
    compiled = swept.compiled_sweeps()
    relax, this, raised = compiled.relax, threading.get_ident(), threading.Event()

    def failing(*arguments):
        if threading.get_ident() == this:
            raised.wait(5.0)
            return relax(*arguments)
        raised.set()
        raise MemoryError

    monkeypatch.setattr(swept, "cores", lambda: 2)
    monkeypatch.setattr(compiled, "relax", failing)
    V = circuit.solve(x)
    monkeypatch.setattr(swept, "compiled_sweeps", lambda: None)
    np.testing.assert_array_equal(V, crossbar(64, 64, 2.0).solve(x))
