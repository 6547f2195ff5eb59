"""Orders of elimination: the solution does not depend on them, and each saves work."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from hwlearn import Kirchhoff, Topology
from hwlearn.circuit.linear import factor, lineage, superlu
from hwlearn.circuit.linear.factor import FactoredSystem, plan_for
from hwlearn.circuit.linear.plan import Plan, dense_order

GRAPHS = {
    "crossbar": Topology.crossbar(60, 40, inputs=range(8), outputs=range(5)),
    "one floating row": Topology.crossbar(9, 400, inputs=range(8)),
    "one column": Topology.crossbar(60, 1, inputs=range(3)),
    "layered": Topology.layered([10, 60, 30, 5]),
    "grid": Topology.grid(14, 14),
    "complete": Topology(60, np.argwhere(np.triu(np.ones((60, 60)), 1)), [0, 1], [58, 59]),
    "star": Topology(80, [(0, k) for k in range(1, 80)], [1, 2], [3]),
    "long crossbar": Topology.crossbar(300, 300, inputs=range(4)),
}


@pytest.fixture(params=GRAPHS.values(), ids=GRAPHS.keys())
def circuit(request) -> tuple[Topology, np.ndarray, np.ndarray, np.ndarray]:
    t = request.param
    rng = np.random.default_rng(0)
    g = 10 ** rng.uniform(-6, -4, t.n_edges)
    return t, g, rng.uniform(-1, 1, (3, t.n_inputs)), rng.normal(size=(3, t.n_outputs))


@pytest.mark.share(6)
def test_all_orders_of_elimination_give_the_same_voltages_and_gradients(circuit, monkeypatch, sparse_library):
    t, g, x, e = circuit
    found = []
    for small in (320, 0):
        monkeypatch.setattr(factor, "DENSE_NODES", small)
        plan_for.cache_clear()
        for _ in range(2):  # plans are kept
            k = Kirchhoff(t, g)
            found.append((k.solve(x), k.gradient(x, e), k.output_impedance(), k.solve(x, clamped=0.1 * e)))
    plan_for.cache_clear()
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-11 * np.abs(a).max())


def test_independent_nodes_share_no_edge():
    for t in GRAPHS.values():
        free = np.setdiff1d(np.arange(t.n_nodes), t.driven)
        order = dense_order(free, t.all_edges, t.n_nodes, factor.DENSE_NODES)
        assert order is not None
        nodes, apart = order
        np.testing.assert_array_equal(np.sort(nodes), free)
        assert not np.isin(t.all_edges, nodes[:apart]).all(axis=1).any()


def test_larger_side_of_a_crossbar_is_eliminated_first_and_large_grids_are_sparse():
    t = Topology.crossbar(500, 300, inputs=range(460))  # 40 floating rows and 300 columns
    _, apart = dense_order(np.arange(460, 800), t.all_edges, t.n_nodes, 320)
    assert apart == 300
    wide = Topology.crossbar(900, 900, inputs=range(500))
    assert dense_order(np.arange(500, 1800), wide.all_edges, 1800, 320)[1] == 900
    grid = Topology.grid(30, 30)
    assert dense_order(np.arange(900), grid.all_edges, 900, 320) is None


def test_sparse_plan_is_ordered_once(mocker, monkeypatch):
    t = Topology.grid(30, 30)
    monkeypatch.setattr(lineage, "is_installed", lambda: False)
    plan_for.cache_clear()
    ordered, made = mocker.spy(superlu, "spilu"), mocker.spy(superlu, "splu")
    for scale in (1.0, 2.0, 3.0):
        Kirchhoff(t, np.full(t.n_edges, scale)).solve(np.ones((1, t.n_inputs)))
    assert ordered.call_count == 1
    assert made.call_count == 3
    # as many entries as if SuperLU had ordered the matrix itself
    plan = plan_for(t, bytes(t.n_outputs))
    matrix = plan.pattern.matrix(np.ones(len(plan.inner)), plan.diagonal(np.ones(t.n_edges)))
    own = superlu.splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    assert made.spy_return_list[0].nnz <= own.nnz


def test_solution_does_not_depend_on_circuits_solved_before(sparse_library):
    t = Topology.grid(30, 30)
    rng = np.random.default_rng(0)
    g, x = 10 ** rng.uniform(-6, -4, (3, t.n_edges)), rng.uniform(-1, 1, (2, t.n_inputs))
    plan_for.cache_clear()
    first = Kirchhoff(t, g[0]).solve(x)
    for other in g[1:]:
        Kirchhoff(t, other).solve(x)
    np.testing.assert_array_equal(Kirchhoff(t, g[0]).solve(x), first)


def test_plan_with_self_loops_and_parallel_edges_is_factored():
    """The plan also has a node that is neither free nor held."""
    edges = np.array([(0, 1), (1, 1), (1, 2), (1, 2), (2, 4), (0, 3)])
    g = np.array([1.0, 9.0, 2.0, 3.0, 4.0, 7.0])
    for apart in (None, 0, 1):
        system = FactoredSystem(Plan(edges, np.array([0, 4]), np.array([2, 1]), 5, n_independent=apart), g)
        np.testing.assert_array_equal(np.sort(system.free), [1, 2])
        volts = np.array([[1.0, 0.0, 0.0, 0.0, -1.0]])
        V = volts.copy()
        V[:, system.free] = system.solve(system.from_held(volts))
        np.testing.assert_allclose(V[0, 1:3], 1 - 2 * np.cumsum([1, 1 / 5]) / (1 + 1 / 5 + 1 / 4), rtol=1e-14)
        assert 0 < system.estimated_error < 1e-13


def test_broadcast_integer_and_strided_batches_are_accepted():
    t = Topology.grid(8, 8)
    k = Kirchhoff(t, np.arange(1, 2 * t.n_edges + 1)[::2])
    x, e = np.arange(3 * t.n_inputs).reshape(t.n_inputs, 3).T, np.ones((1, t.n_outputs), dtype=int)
    np.testing.assert_array_equal(k.solve(x), k.solve(np.ascontiguousarray(x, dtype=float)))
    np.testing.assert_allclose(k.gradient(x, e), k.gradient(x * 1.0, np.repeat(e, 3, axis=0)), rtol=1e-12)
    one = [k.gradient(x[s], e) for s in range(3)]
    np.testing.assert_allclose(k.gradient(x, e), np.mean(one, axis=0), rtol=0, atol=1e-12 * np.abs(one).max())


MILLION = """
import json, resource, sys, time
if sys.argv[1] == "superlu":
    sys.modules["cvxopt"] = None  # makes its import fail
import numpy as np
from hwlearn import Kirchhoff, Topology

seconds = []
for side in (23, 71, 225, 708):
    t = Topology.grid(side, side)
    rng = np.random.default_rng(0)
    g, x = 10 ** rng.uniform(-6, -4, t.n_edges), rng.uniform(-1, 1, (1, t.n_inputs))
    Kirchhoff(t, g).solve(x)  # the order of elimination is kept from now on
    best = np.inf
    for _ in range(5 if side < 700 else 1):
        began = time.process_time()
        k = Kirchhoff(t, g)
        V = k.solve(x)
        best = min(best, time.process_time() - began)
    seconds.append(best)
inner = np.delete(k.node_currents(V), np.concatenate([t.inputs]), axis=1)
print(json.dumps({
    "edges": t.n_edges,
    "seconds": seconds,
    "peak_MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "unbalanced": float(np.abs(inner).max() / (np.abs(V).max() * g.max())),
    "estimated": k.estimated_error(),
}))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is in kilobytes on Linux only")
@pytest.mark.parametrize(("library", "most"), [("superlu", 1.35), ("cholmod", 1.25)])
def test_grid_of_a_million_edges(figure, library, most):
    if library == "cholmod":
        pytest.importorskip("cvxopt", reason="the extra `fast` (cvxopt) is not installed")
    done = subprocess.run([sys.executable, "-c", MILLION, library], capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout)
    assert seen["edges"] > 1_000_000
    exponent = np.log10(seen["seconds"][-1] / seen["seconds"][0]) / np.log10(1_001_112 / 1012)
    figure(
        f"grid, 10^6 edges, {library}: {seen['seconds'][-1]:.2f} s fresh, exponent {exponent:.2f} from 10^3 "
        f"(required {most}), peak {seen['peak_MB']:.0f} MB, estimated error {seen['estimated']:.0e}"
    )
    assert seen["unbalanced"] < 1e-12
    assert seen["estimated"] <= factor.ERROR_BOUND
    assert exponent <= most
    assert seen["peak_MB"] < 2000
