"""Wired crossbars: elimination and sweeps against the general solver, exact results, ngspice and badcrossbar."""

from __future__ import annotations

import importlib.util
import logging
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.circuit.elements import Sinh
from hwlearn.circuit.linear.factor import ERROR_BOUND
from hwlearn.circuit.linear.solver import OhmicSolver
from hwlearn.circuit.spice import spice_text
from hwlearn.circuit.wired import layout, swept
from hwlearn.circuit.wired.solver import WiredSolver
from hwlearn.errors import SingularCircuitError

BOUND = 2 * ERROR_BOUND
"""Two solutions, each within the bound of its solver."""


class Case(NamedTuple):
    """A random wired crossbar with inputs x, errors e, clamped and injected values at its outputs."""

    topology: hl.Topology
    g: np.ndarray
    x: np.ndarray
    e: np.ndarray
    clamped: np.ndarray
    injected: np.ndarray

    def circuit(self) -> hl.Kirchhoff:
        return hl.Kirchhoff(self.topology, self.g, allow_open=True)

    def general(self) -> hl.Kirchhoff:
        """Return the circuit with the general solver."""
        other = self.circuit()
        other.solver = OhmicSolver(self.topology, other.all_values)
        return other


def random_case(seed: int, most: int = 12, samples: int = 3) -> Case:
    """Return a crossbar of any size and wires; some have floating rows, a ground row, or open devices."""
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(1, most, 2).tolist()
    driven = rng.permutation(rows)[: rng.integers(1, rows + 1)] if seed % 2 else np.arange(rows)
    ground = int(driven[-1]) if seed % 3 == 0 and len(driven) > 1 else None
    topology = hl.Topology.crossbar(
        rows,
        columns,
        [m for m in driven.tolist() if m != ground],
        rng.permutation(columns)[: rng.integers(1, columns + 1)].tolist(),
        ground,
        wire_resistance=(10 ** rng.uniform(-2, 3, 2)).tolist(),
    )
    g = 10 ** rng.uniform(-7, -4) * 10 ** rng.uniform(0, rng.uniform(0.5, 3), rows * columns)
    if seed % 4 == 1:
        kept = rng.random(g.size) < 0.7
        g = g * kept if not topology.floating_nodes(kept).size else g
    x, shape = rng.uniform(-1, 1, (samples, topology.n_inputs)), (samples, topology.n_outputs)
    clamped = np.where(rng.random(shape) < rng.choice([0.0, 0.5, 1.0]), rng.uniform(-1, 1, shape), np.nan)
    injected = np.where(rng.random(shape) < 0.7, 1e-4 * rng.normal(size=shape), np.nan)
    return Case(topology, g, x, rng.normal(size=shape), clamped, injected)


@pytest.fixture(autouse=True, params=["elimination", "sweeps"])
def any_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Solve small crossbars too by elimination, or by sweeps where these are suited."""
    monkeypatch.setattr(layout, "_FEWEST_DEVICES", 0)
    monkeypatch.setattr(layout, "_FEWEST_LINES", 0)
    if request.param == "elimination":
        monkeypatch.setattr(swept, "compiled_sweeps", lambda: None)
    elif importlib.util.find_spec("numba") is None:
        pytest.skip("numba is not installed: pip install 'hwlearn[fast]'")
    else:
        monkeypatch.setattr(swept, "_FEWEST_DEVICES", 0)
        monkeypatch.setattr(swept, "_FEWEST_LINES", 0)


def apart(a: np.ndarray, b: np.ndarray, scale: float | None = None) -> float:
    """Return the largest difference, relative to the largest value of b unless a scale is given."""
    return float(np.abs(a - b).max() / max(np.abs(b).max() if scale is None else scale, 1e-300))


# --- agreement ------------------------------------------------------------------------------------------


@pytest.mark.share(8)
@pytest.mark.parametrize("seed", range(24))
def test_all_results_agree_with_the_general_solver(seed: int):
    case = random_case(seed)
    ours, theirs = case.circuit(), case.general()
    assert isinstance(ours.solver, WiredSolver)
    free = theirs.solve(case.x)
    largest = np.abs(free).max()
    assert apart(ours.solve(case.x), free) < BOUND
    held = theirs.solve(case.x, case.clamped, case.injected)
    point = ours.operating_point(case.x, case.clamped, case.injected)
    assert (np.abs(point.V - held) <= (point.error_V + BOUND * np.abs(held).max(axis=1))[:, None]).all()
    assert (point.error_V <= ERROR_BOUND * np.abs(held).max(axis=1)).all()
    adjoint = theirs.adjoint(case.e)
    assert apart(ours.adjoint(case.e), adjoint) < BOUND
    product = largest * np.abs(adjoint).max()
    assert apart(ours.gradient(case.x, case.e), theirs.gradient(case.x, case.e), product) < 4 * BOUND
    assert apart(ours.gradient_at(free, case.e), theirs.gradient_at(free, case.e), product) < 4 * BOUND
    assert apart(ours.gradient_at(free, case.e[:1]), theirs.gradient_at(free, case.e[:1]), product) < 4 * BOUND
    Z = theirs.output_impedance()
    assert apart(ours.output_impedance(), Z) < BOUND
    power = (largest * np.abs(Z).max()) ** 2
    assert apart(ours.output_power(case.x), theirs.output_power(case.x), power) < 8 * BOUND


@pytest.mark.share(8)
@pytest.mark.parametrize("seed", range(12))
def test_results_at_given_voltages_agree_with_the_general_solver(seed: int):
    case = random_case(100 + seed)
    ours, theirs = case.circuit(), case.general()
    V, other = theirs.solve(case.x), theirs.solve(-2 * case.x)
    for name in ("edge_currents", "node_currents", "source_currents", "output_currents", "power"):
        expected = getattr(theirs, name)(V)
        np.testing.assert_allclose(
            getattr(ours, name)(V), expected, rtol=1e-12, atol=1e-13 * np.abs(expected).max(), err_msg=name
        )
    weights = np.array([1.0, -2.0, 0.5])
    expected = theirs.contrast(V, other, weights)
    assert apart(ours.contrast(V, other, weights), expected, float(np.abs(V).max()) ** 2) < 1e-12
    np.testing.assert_array_equal(ours.solver.cocontent(V), theirs.solver.cocontent(V))


@pytest.mark.parametrize("seed", range(8))
def test_sources_behind_resistors_agree_with_the_general_solver(seed: int):
    case = random_case(200 + seed)
    siemens = np.where(np.isnan(case.injected), 0.0, np.abs(case.injected))
    ours, our_currents = case.circuit().solve_behind(case.x, case.clamped, siemens)
    theirs, currents = case.general().solve_behind(case.x, case.clamped, siemens)
    assert apart(ours, theirs) < 100 * BOUND  # the currents are solved for with the output impedance
    assert apart(our_currents, currents, max(np.abs(currents).max(), 1e-9)) < 1000 * BOUND


def exact(case: Case, clamped: np.ndarray | None) -> np.ndarray:
    """Return node voltages by elimination without subtraction, in extended precision; one set of held outputs."""
    top, E = case.topology, case.topology.all_edges
    siemens = np.concatenate([case.g, top.fixed_conductances]).astype(np.longdouble)
    joined = np.zeros((top.n_nodes, top.n_nodes), dtype=np.longdouble)
    np.add.at(joined, (E[:, 0], E[:, 1]), siemens)
    np.add.at(joined, (E[:, 1], E[:, 0]), siemens)
    V, held = np.zeros((top.n_nodes, len(case.x)), dtype=np.longdouble), np.zeros(top.n_nodes, dtype=bool)
    held[top.driven], V[top.inputs] = True, case.x.T
    if clamped is not None:
        held[top.outputs], V[top.outputs] = True, clamped.T
    order = np.flatnonzero(~held).tolist()
    weight, amperes = joined, joined[:, held] @ V[held]
    leak = joined[:, held].sum(axis=1)
    total = {}
    for i, k in enumerate(order):
        rest = order[i + 1 :]
        total[k] = leak[k] + weight[k, rest].sum()
        share = weight[rest, k] / total[k]
        weight[np.ix_(rest, rest)] += np.outer(share, weight[k, rest])
        leak[rest] += share * leak[k]
        amperes[rest] += np.outer(share, amperes[k])
    for i, k in reversed(list(enumerate(order))):
        rest = order[i + 1 :]
        V[k] = (amperes[k] + weight[k, rest] @ V[rest]) / total[k]
    return V.T


@pytest.mark.share(8)
@pytest.mark.parametrize("seed", range(12))
def test_errors_stay_within_their_estimates(seed: int):
    case = random_case(300 + seed, most=7)
    clamped = np.random.default_rng(seed).uniform(-1, 1, case.e.shape)
    circuit = case.circuit()
    for at in (None, clamped):
        reference, V = exact(case, at), circuit.solve(case.x, at)
        estimate = circuit.estimated_error(None if at is None else at[0])
        assert 0 < estimate < ERROR_BOUND
        assert apart(V, reference.astype(np.float64)) < 2 * estimate


@pytest.mark.share(6)
@pytest.mark.parametrize("size", [(22, 26), (40, 7), (7, 40)])
@pytest.mark.parametrize("ohms", [0.1, 2.0, 100.0])
def test_large_arrays_agree_with_the_general_solver(size, ohms):
    topology = hl.Topology.crossbar(*size, wire_resistance=ohms)
    rng = np.random.default_rng(1)
    g, x = rng.uniform(1e-6, 1e-4, topology.n_edges), rng.uniform(-1, 1, (9, size[0]))
    case = Case(topology, g, x, rng.normal(size=(9, size[1])), x[:, :0], x[:, :0])
    ours, theirs = case.circuit(), case.general()
    V = ours.solve(x)
    assert apart(V, theirs.solve(x)) < BOUND
    clamped = V[:, topology.outputs] + 0.01
    clamped[4:, ::3] = np.nan
    assert apart(ours.solve(x, clamped), theirs.solve(x, clamped)) < BOUND
    assert apart(ours.gradient(x, case.e), theirs.gradient(x, case.e)) < 1e-8


def test_node_voltages_agree_with_ngspice(ngspice: Callable[[str], dict[str, float]], figure):
    topology = hl.Topology.crossbar(9, 12, [0, 2, 3, 5, 6, 8], ground=4, wire_resistance=(2.0, 7.0))
    rng = np.random.default_rng(2)
    g, x = 10 ** rng.uniform(-6, -3, topology.n_edges), rng.uniform(-1, 1, (1, 6))
    printed = ngspice(spice_text(topology, g, x[0]))
    volts = np.array([printed.get(name.lower(), 0.0) for name in topology.names])
    worst = apart(hl.Kirchhoff(topology, g).solve(x)[0], volts)
    figure(f"wired crossbar in Kirchhoff against ngspice: {worst:.1e} relative (required 1e-9)")
    assert worst < 1e-9


def test_currents_and_voltages_agree_with_badcrossbar(figure):
    if importlib.util.find_spec("badcrossbar") is None or importlib.util.find_spec("pathvalidate") is None:
        pytest.skip("badcrossbar is not installed: pip install --no-deps badcrossbar pathvalidate")
    import badcrossbar

    logging.getLogger("badcrossbar").setLevel(logging.WARNING)
    topology = hl.Topology.crossbar(13, 9, wire_resistance=2.0)
    rng = np.random.default_rng(3)
    g, x = rng.uniform(1e-6, 1e-3, (13, 9)), rng.uniform(-1, 1, (5, 13))
    theirs = badcrossbar.compute(x.T, 1 / g, 2.0)
    circuit = hl.Kirchhoff(topology, g.ravel())
    V = circuit.solve(x, np.zeros((5, 9)))
    wires = topology.wires
    assert wires is not None
    worst = max(
        apart(-circuit.output_currents(V), theirs.currents.output),
        apart(V[:, wires.row_nodes], np.moveaxis(theirs.voltages.word_line, 2, 0)),
        apart(V[:, wires.column_nodes], np.moveaxis(theirs.voltages.bit_line, 2, 0)),
    )
    figure(f"wired crossbar in Kirchhoff against badcrossbar: {worst:.1e} relative (required 1e-9)")
    assert worst < 1e-9


@pytest.mark.parametrize("seed", [4, 9])
def test_gradient_equals_central_differences(seed: int):
    case = random_case(seed, most=5)
    circuit = case.circuit()

    def cost(g: np.ndarray) -> float:
        V = circuit.with_conductances(g).solve(case.x)[:, case.topology.outputs]
        return float((case.e * V).sum() / len(V))

    gradient = circuit.gradient(case.x, case.e)
    step = 1e-4 * case.g.max()
    for k in np.flatnonzero(case.g > step):
        up, down = case.g.copy(), case.g.copy()
        up[k], down[k] = case.g[k] + step, case.g[k] - step
        difference = (cost(up) - cost(down)) / (2 * step)
        assert difference == pytest.approx(gradient[k], abs=1e-4 * np.abs(gradient).max() + 1e-9 / step)


# --- state ----------------------------------------------------------------------------------------------


def test_results_do_not_depend_on_earlier_calls():
    case = random_case(6)
    used, fresh = case.circuit(), case.circuit()
    V = used.solve(case.x)
    used.solve(case.x, case.clamped, case.injected)
    used.solve(2 * case.x)
    gradient = used.gradient(case.x, case.e)
    np.testing.assert_array_equal(fresh.gradient(case.x, case.e), gradient)
    np.testing.assert_array_equal(fresh.solve(case.x), V)
    np.testing.assert_array_equal(used.solve(case.x), V)
    np.testing.assert_array_equal(
        used.with_conductances(2 * case.g).with_conductances(case.g).gradient(case.x, case.e), gradient
    )


def test_changed_inputs_or_voltages_do_not_reach_the_gradient():
    case = random_case(8)
    circuit = case.circuit()
    x = case.x.copy()
    V = circuit.solve(x)
    V[:] = 0.0
    x *= 3.0
    np.testing.assert_array_equal(circuit.gradient(x, case.e), case.circuit().gradient(x, case.e))
    circuit.solve(case.x)[:] = np.nan
    np.testing.assert_array_equal(circuit.gradient(case.x, case.e), case.circuit().gradient(case.x, case.e))


def test_circuit_survives_pickle_and_history():
    case = random_case(10)
    circuit = case.circuit()
    V = circuit.solve(case.x)
    copy = pickle.loads(pickle.dumps(circuit))
    assert isinstance(copy.solver, WiredSolver)
    np.testing.assert_array_equal(copy.solve(case.x), V)
    g = case.g.copy()
    g[0] *= 1.5
    changed = circuit.with_conductances(g)
    rebuilt = hl.Kirchhoff(case.topology, g, allow_open=True).with_history(changed.history)
    np.testing.assert_array_equal(rebuilt.solve(case.x), changed.solve(case.x))
    np.testing.assert_equal(rebuilt.history, changed.history)


def test_one_circuit_can_be_used_in_several_threads():
    case = random_case(14, samples=20)
    circuit = case.circuit()
    batches = [case.x * k for k in range(1, 30)]
    expected = [case.circuit().gradient(x, case.e) for x in batches]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda x: circuit.gradient(x, case.e), batches))
    for ours, alone in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, alone)


def test_empty_batch_has_no_voltages():
    topology = hl.Topology.crossbar(3, 4, wire_resistance=1.0)
    circuit = hl.Kirchhoff(topology, np.full(12, 1e-5))
    assert circuit.solve(np.zeros((0, 3))).shape == (0, topology.n_nodes)
    assert circuit.solve(np.zeros((0, 3)), np.zeros((0, 4))).shape == (0, topology.n_nodes)


# --- choice of the solver -------------------------------------------------------------------------------


def test_only_wired_crossbars_of_resistors_have_the_solver(monkeypatch):
    monkeypatch.undo()
    wired, few, small = (hl.Topology.crossbar(n, m, wire_resistance=1.0) for n, m in [(12, 16), (5, 60), (9, 9)])
    assert isinstance(hl.Kirchhoff(wired, np.ones(192)).solver, WiredSolver)
    ideal_rows = hl.Topology.crossbar(12, 16, wire_resistance=(0.0, 1.0))
    for other in (few, small, hl.Topology.crossbar(12, 16), ideal_rows):
        assert isinstance(hl.Kirchhoff(other, np.ones(other.n_edges)).solver, OhmicSolver)
    assert not isinstance(hl.Kirchhoff(wired, np.ones(192), elements=Sinh(0.1)).solver, WiredSolver)


@pytest.mark.parametrize(("siemens", "ohms"), [(1e-12, 1e-9), (1e-280, 1.0)])
def test_weak_devices_between_good_wires_are_solved(siemens, ohms):
    """The wires are almost ideal: a floating column is at the mean of the rows, weighted by its devices."""
    topology = hl.Topology.crossbar(20, 20, wire_resistance=ohms)
    rng = np.random.default_rng(1)
    g, x = siemens * 10 ** rng.uniform(0, 6, (20, 20)), rng.uniform(-1, 1, (3, 20))
    V = hl.Kirchhoff(topology, g.ravel()).solve(x)
    np.testing.assert_allclose(V[:, topology.outputs], x @ (g / g.sum(axis=0)), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("siemens", "ohms"), [(1e3, 1e4), (1e-3, 1e9), (1e12, 1.0), (1e-300, 1.0)])
def test_ill_conditioned_crossbars_are_left_to_the_general_solver(siemens, ohms):
    topology = hl.Topology.crossbar(6, 5, inputs=[0, 2], wire_resistance=ohms)
    rng = np.random.default_rng(0)
    g, x = siemens * rng.uniform(0.5, 1, 30), rng.uniform(-1, 1, (2, 2))
    case = Case(topology, g, x, x[:, :0], x[:, :0], x[:, :0])
    circuit = case.circuit()
    solver = circuit.solver
    assert isinstance(solver, WiredSolver)
    try:
        expected = case.general().solve(x)
    except SingularCircuitError as error:
        with pytest.raises(SingularCircuitError, match=str(error).split(";")[0][:20]):
            circuit.solve(x)
        return
    assert apart(circuit.solve(x), expected) < BOUND
    assert circuit.estimated_error() < ERROR_BOUND


def test_floating_row_and_column_are_named():
    topology = hl.Topology.crossbar(3, 4, inputs=[0, 2], wire_resistance=1.0)
    g = np.full((3, 4), 1e-5)
    g[1] = 0.0
    with pytest.raises(SingularCircuitError, match="row1"):
        hl.Kirchhoff(topology, g.ravel(), allow_open=True)
