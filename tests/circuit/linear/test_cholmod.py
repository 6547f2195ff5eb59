"""Sparse factors by CHOLMOD (extra ``fast``) against SuperLU and independent solutions, and what they share."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.sparse import diags_array
from scipy.sparse.linalg import cg, spsolve
from shares import examples

import hwlearn as hl
from hwlearn import Kirchhoff, Topology
from hwlearn.circuit.linear import cholmod, factor, lineage
from hwlearn.circuit.linear.factor import FactoredSystem, plan_for
from hwlearn.circuit.linear.plan import Plan
from hwlearn.errors import CircuitError, SingularCircuitError

networkx = pytest.importorskip("networkx")
GRID = Topology.grid(30, 30)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use CHOLMOD for sparse factors of any size."""
    pytest.importorskip("cvxopt", reason="the extra `fast` (cvxopt) is not installed")
    monkeypatch.setattr(factor, "CHOLMOD_NODES", 0)
    plan_for.cache_clear()


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch):
    """Return a function after which CHOLMOD is not installed."""
    return lambda: monkeypatch.setattr(lineage, "is_installed", lambda: False)


def drawn(seed: int, t: Topology = GRID, low: float = -6, high: float = -4) -> tuple[np.ndarray, np.ndarray]:
    """Return conductances and two input vectors."""
    rng = np.random.default_rng(seed)
    return 10 ** rng.uniform(low, high, t.n_edges), rng.uniform(-1, 1, (2, t.n_inputs))


def laplacian(t: Topology, g: np.ndarray):
    B = t.all_incidence
    siemens = np.concatenate([g, t.fixed_conductances])
    return (B.T @ (siemens[:, None] * B)).tocsr()


# --- agreement with independent solutions -------------------------------------------------------------------


@st.composite
def graphs(draw: st.DrawFn):
    """Draw a connected multigraph and conductances of up to eight decades."""
    n = draw(st.integers(3, 40))
    node = st.integers(0, n - 1)
    edges = [(draw(st.integers(0, k - 1)), k) for k in range(1, n)]
    edges += draw(st.lists(st.tuples(node, node).filter(lambda pair: pair[0] != pair[1]), max_size=2 * n))
    held = draw(st.integers(1, n - 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    decades = draw(st.sampled_from([0, 2, 8]))
    return n, np.array(edges), rng.permutation(n)[:held], 10 ** rng.uniform(-9, decades - 9, len(edges)), rng


@settings(max_examples=examples(120), deadline=None)
@given(graphs())
def test_both_libraries_agree_to_their_estimated_errors(case):
    if not cholmod.is_installed():
        pytest.skip("the extra `fast` (cvxopt) is not installed")
    n, edges, held, g, rng = case
    free = np.setdiff1d(np.arange(n), held)
    volts = np.zeros((2, n))
    volts[:, held] = rng.uniform(-1, 1, (2, len(held)))
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(factor, "CHOLMOD_NODES", 0)
        for library in (False, True):
            try:
                system = FactoredSystem(Plan(edges, held, free, n), g, cholmod=library)
            except factor.IllConditioned:
                assume(False)
            V = volts.copy()
            V[:, system.free] = system.solve(system.from_held(volts))
            found.append((V, max(system.estimated_error, 1e-15)))
    (one, its), (other, others) = found
    assert np.abs(one - other).max() <= 10 * (its + others)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("seed", range(3))
def test_voltages_agree_with_sparse_solution_and_conjugate_gradients(seed):
    t = [GRID, Topology.random(700, 2100, 4, 3, seed=1), Topology.grid(4, 150, ground=7)][seed]
    g, x = drawn(seed, t)
    L = laplacian(t, g)
    free = np.setdiff1d(np.arange(t.n_nodes), t.driven)
    V = Kirchhoff(t, g).solve(x)
    for sample, given_volts in zip(V, x, strict=True):
        held = np.zeros(t.n_nodes)
        held[t.inputs] = given_volts
        right, A = -(L @ held)[free], L[free][:, free].tocsc()
        np.testing.assert_allclose(sample[free], spsolve(A, right), rtol=0, atol=1e-11)
        iterated, info = cg(A, right, rtol=1e-14, maxiter=20_000, M=diags_array(1 / A.diagonal()))
        assert info == 0
        np.testing.assert_allclose(sample[free], iterated, rtol=0, atol=1e-9)


@pytest.mark.usefixtures("always")
def test_output_impedance_is_the_resistance_distance():
    t = Topology.grid(20, 20, inputs=[0], outputs=[5, 77, 399])
    g, _ = drawn(4, t)
    graph = networkx.Graph()
    graph.add_weighted_edges_from([(a, b, s) for (a, b), s in zip(t.edges.tolist(), g.tolist(), strict=True)])
    Z = Kirchhoff(t, g).output_impedance()
    for k, node in enumerate(t.outputs.tolist()):
        distance = networkx.resistance_distance(graph, 0, node, weight="weight", invert_weight=False)
        assert Z[k, k] == pytest.approx(distance, rel=1e-9)


# --- circuits share an analysis, not their factors --------------------------------------------------------------


@pytest.mark.usefixtures("always")
def test_graph_is_analysed_once_and_every_circuit_in_use_keeps_its_factor(mocker):
    analysed = mocker.spy(cholmod._cvxopt()[1], "symbolic")
    g, x = drawn(0)
    first, second = Kirchhoff(GRID, g), Kirchhoff(GRID, 3 * g[::-1])
    one, other = first.solve(x), second.solve(x)
    assert analysed.call_count == 2  # both factors exist
    np.testing.assert_array_equal(first.solve(x), one)
    np.testing.assert_array_equal(second.solve(x), other)
    del first
    third = Kirchhoff(GRID, g)
    np.testing.assert_array_equal(third.solve(x), one)
    assert analysed.call_count == 2  # a factor that is not in use is overwritten
    np.testing.assert_array_equal(second.solve(x), other)


@pytest.mark.usefixtures("always")
def test_circuits_in_threads_have_the_voltages_of_circuits_in_turn():
    sets = np.array([drawn(seed)[0] for seed in range(24)])
    x = drawn(0)[1]
    in_turn = [Kirchhoff(GRID, g).solve(x) for g in sets]
    plan_for.cache_clear()
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda g: Kirchhoff(GRID, g).solve(x), sets))
    np.testing.assert_array_equal(found, in_turn)


@pytest.mark.usefixtures("always")
def test_options_of_other_code_do_not_matter_and_are_kept():
    options = cholmod._cvxopt()[1].options
    g, x = drawn(0)
    expected = Kirchhoff(GRID, g).solve(x)
    plan_for.cache_clear()
    options.update(supernodal=0, postorder=False)
    try:
        np.testing.assert_array_equal(Kirchhoff(GRID, g).solve(x), expected)
        assert options == {"supernodal": 0, "postorder": False}
    finally:
        options.clear()


@pytest.mark.usefixtures("always")
def test_singular_matrix_raises_the_same_error_and_later_circuits_are_solved(missing):
    names = [f"r{r}c{c}" for r in range(30) for c in range(30)]
    t = Topology(
        900, GRID.edges[:-1], [0], [899], names=names, fixed_edges=GRID.edges[-1:], fixed_conductances=[1.0]
    )
    good, x = np.ones(t.n_edges), [[1.0]]
    expected = Kirchhoff(t, good).solve(x)
    bad = np.where((t.edges == 0).any(axis=1), 1e-300, 1.0)
    with pytest.raises(SingularCircuitError, match="too weakly") as here:
        Kirchhoff(t, bad).solve(x)
    np.testing.assert_array_equal(Kirchhoff(t, good).solve(x), expected)
    missing()
    with pytest.raises(SingularCircuitError, match="too weakly") as there:
        Kirchhoff(t, bad).solve(x)
    assert type(here.value) is type(there.value)


@pytest.mark.usefixtures("always")
def test_solved_circuit_can_be_pickled_and_copied():
    g, x = drawn(0)
    k = Kirchhoff(GRID, g)
    V = k.solve(x)
    for again in (pickle.loads(pickle.dumps(k)), copy.deepcopy(k), copy.copy(k)):
        np.testing.assert_array_equal(again.solve(x), V)


# --- choice of the library ---------------------------------------------------------------------------------------


def test_small_circuits_do_not_import_cvxopt():
    program = (
        "import sys, numpy as np, hwlearn as hl; t = hl.Topology.grid(9, 9); "
        "hl.Kirchhoff(t, np.ones(t.n_edges)); print('cvxopt' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_circuit_is_solved_without_cvxopt(monkeypatch):
    monkeypatch.setitem(sys.modules, "cvxopt", None)
    monkeypatch.setattr(factor, "CHOLMOD_NODES", 0)
    for cached in (cholmod.is_installed, cholmod._cvxopt):
        cached.cache_clear()
    try:
        assert not cholmod.is_installed()
        g, x = drawn(0)
        k = Kirchhoff(GRID, g)
        assert k.solve(x).shape == (2, GRID.n_nodes)
        assert k.history == {}
    finally:
        for cached in (cholmod.is_installed, cholmod._cvxopt):
            cached.cache_clear()


@pytest.mark.usefixtures("always")
def test_library_depends_on_the_number_of_unknown_nodes(monkeypatch, mocker):
    made = mocker.spy(cholmod.Analysis, "factor")
    unknown = GRID.n_nodes - GRID.n_inputs
    for least, calls in ((unknown + 1, 0), (unknown, 1)):
        monkeypatch.setattr(factor, "CHOLMOD_NODES", least)
        k = Kirchhoff(GRID, np.ones(GRID.n_edges))
        k.solve(np.ones((1, GRID.n_inputs)))
        assert made.call_count == calls
        assert ("cholmod" in k.history) == bool(calls)


# --- stored series --------------------------------------------------------------------------------------------


def series(t: Topology, steps: int) -> tuple[Kirchhoff, np.ndarray]:
    g, x = drawn(7, t)
    k = Kirchhoff(t, g)
    for step in range(steps):
        g = g.copy()
        g[[3, 100, 401]] *= 1.1 + step
        k = k.with_conductances(g)
        k.solve(x)
    return k, x


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("steps", [0, 1, 4])
def test_series_begun_without_cvxopt_goes_on_without_it_and_the_other_way_round(steps, missing, monkeypatch):
    with_it, x = series(GRID, steps)
    V = with_it.solve(x)
    with monkeypatch.context() as patch:
        patch.setattr(lineage, "is_installed", lambda: False)
        without, _ = series(GRID, steps)
        W = without.solve(x)
    assert not np.array_equal(V, W)  # they round differently: equality below means the same library
    for original, volts in ((with_it, V), (without, W)):
        again = Kirchhoff(GRID, original.conductances).with_history(original.history)
        np.testing.assert_array_equal(again.solve(x), volts)
        later = again.with_conductances(0.7 * original.conductances)
        expected = original.with_conductances(0.7 * original.conductances)
        np.testing.assert_array_equal(later.solve(x), expected.solve(x))
        assert ("cholmod" in later.history) == (original is with_it)
    missing()
    with pytest.raises(CircuitError, match="solved by CHOLMOD, which is not installed"):
        Kirchhoff(GRID, with_it.conductances).with_history(with_it.history)


@pytest.mark.usefixtures("always")
def test_resumed_training_continues_with_the_library_of_the_first_part(wide_limits, monkeypatch):
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (2, GRID.n_inputs))
    y = np.zeros((2, GRID.n_outputs))

    def trainer() -> hl.Trainer:
        from hwlearn_sim import KirchhoffTwin

        return hl.Trainer(KirchhoffTwin(GRID, wide_limits), hl.Analytic(), hl.MSE(), hl.Adam(0.05))

    class Keep(hl.Callback):
        def on_progress(self, progress):
            seen.append(progress)

    seen: list = []
    with monkeypatch.context() as patch:
        patch.setattr(lineage, "is_installed", lambda: False)
        whole = trainer().fit(x, y, 4, callbacks=[Keep()])
    middle = next(progress for progress in seen if progress.steps == 2)
    resumed = trainer().fit(x, y, 4, start=middle)  # CHOLMOD is installed now
    np.testing.assert_array_equal(resumed.conductances, whole.conductances)
