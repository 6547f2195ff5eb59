"""Ill-conditioned circuits against exact arithmetic: solutions are within their error bound, or refused."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from shares import examples

from hwlearn import Kirchhoff, Topology
from hwlearn.circuit.elements import Sinh
from hwlearn.circuit.linear import cholmod, factor, lineage
from hwlearn.errors import CircuitError, SingularCircuitError

LIBRARIES = ["dense", "superlu", "cholmod"] if cholmod.is_installed() else ["dense", "superlu", "superlu"]
SEARCH = settings(max_examples=examples(150), deadline=None)


class Case(NamedTuple):
    t: Topology
    g: np.ndarray
    x: np.ndarray
    current: float
    library: str


@st.composite
def ill_conditioned(draw: st.DrawFn) -> Case:
    """Draw a small circuit with conductances over up to eighteen decades, some open, some powers of two."""
    n = draw(st.integers(3, 8))
    node = st.integers(0, n - 1)
    edges = [(draw(st.integers(0, k - 1)), k) for k in range(1, n)]
    edges += draw(st.lists(st.tuples(node, node).filter(lambda pair: pair[0] != pair[1]), max_size=8))
    order = draw(st.permutations(range(n)))
    held = draw(st.integers(1, n - 2))
    decades = draw(st.sampled_from([2, 6, 12, 15, 18]))
    siemens = st.one_of(
        st.floats(-decades, 0).map(lambda power: 10.0**power),
        st.integers(int(-decades / 0.30103), 0).map(lambda power: 2.0**power),
        st.sampled_from([1.0, 10.0**-decades]).flatmap(lambda s: st.integers(1, 9).map(lambda k: k * s)),
        st.just(0.0),
    )
    g = draw(st.lists(siemens, min_size=len(edges), max_size=len(edges)))
    x = draw(st.lists(st.floats(-1, 1).filter(lambda v: v == 0 or abs(v) > 1e-6), min_size=held, max_size=held))
    t = Topology(n, edges, order[:held], order[-1:])
    return Case(
        t, np.array(g), np.array(x), draw(st.sampled_from([0.0, 1e-6, -1.0])), draw(st.sampled_from(LIBRARIES))
    )


def exact(case: Case) -> np.ndarray:
    """Return node voltages from rational arithmetic, rounded once."""
    t = case.t
    free = [k for k in range(t.n_nodes) if k not in set(t.inputs.tolist())]
    held = {int(k): Fraction(v) for k, v in zip(t.inputs, case.x, strict=True)}
    at = {k: i for i, k in enumerate(free)}
    rows = [[Fraction(0)] * (len(free) + 1) for _ in free]
    rows[at[int(t.outputs[0])]][-1] += Fraction(case.current)
    for (a, b), s in zip(t.edges.tolist(), case.g.tolist(), strict=True):
        for one, other in ((a, b), (b, a)):
            if one in at:
                rows[at[one]][at[one]] += Fraction(s)
                if other in at:
                    rows[at[one]][at[other]] -= Fraction(s)
                else:
                    rows[at[one]][-1] += Fraction(s) * held[other]
    for k, row in enumerate(rows):
        for other in rows[k + 1 :]:
            if other[k]:
                share = other[k] / row[k]
                other[k:] = [v - share * w for v, w in zip(other[k:], row[k:], strict=True)]
    V = held
    for k in reversed(range(len(free))):
        known = sum((rows[k][j] * V[free[j]] for j in range(k + 1, len(free))), Fraction(0))
        V[free[k]] = (rows[k][-1] - known) / rows[k][k]
    return np.array([float(V[k]) for k in range(t.n_nodes)])


def check(case: Case, starts: list[np.ndarray] | None = None) -> None:
    """Check the solution of a case, after a series of circuits with the conductances ``starts`` if given."""
    with pytest.MonkeyPatch.context() as patch:
        if case.library != "dense":
            patch.setattr(factor, "DENSE_NODES", 0)
            patch.setattr(lineage, "_MOST_SHARE", 1.0)
        if case.library == "cholmod":
            patch.setattr(factor, "CHOLMOD_NODES", 0)
        factor.plan_for.cache_clear()
        try:
            first, *others = [*(starts or []), case.g]
            k = Kirchhoff(case.t, first, allow_open=True)
            for g in others:
                k = k.with_conductances(g)
            V = k.solve(case.x, injected=[case.current])[0]
        except SingularCircuitError:
            return  # refusing is allowed
        finally:
            factor.plan_for.cache_clear()
        estimated = k.estimated_error()
    expected = exact(case)
    wrong, largest = np.abs(V - expected).max(), np.abs(expected).max()
    assert estimated <= factor.ERROR_BOUND
    assert wrong <= factor.ERROR_BOUND * largest
    # the estimate is an order of magnitude; the solution itself is rounded
    assert wrong <= 10 * max(estimated, 1e-15) * largest


@SEARCH
@given(ill_conditioned())
def test_solution_is_within_its_error_bound_or_refused(case: Case):
    check(case)


def changed(case: Case, seed: int) -> list[np.ndarray]:
    """Return conductances of two earlier circuits that differ from the case at some of the edges."""
    rng = np.random.default_rng(seed)
    some = rng.random(len(case.g)) < rng.choice([0.2, 0.5, 1.0])
    return [np.where(some, 10 ** rng.uniform(-6, 0, len(some)), case.g) for _ in range(2)]


@SEARCH
@given(ill_conditioned(), st.integers(0, 2**32 - 1))
def test_reduced_solution_is_within_its_error_bound_or_refused(case: Case, seed: int):
    check(case._replace(library=LIBRARIES[-1 - seed % 2]), changed(case, seed))


@pytest.mark.slow
def test_error_bound_holds_in_a_longer_search(seeds):
    @seeded(seeds.commit)
    @settings(max_examples=len(seeds(1000, 300)), deadline=None)
    @given(ill_conditioned(), st.integers(0, 2**32 - 1))
    def search(case: Case, seed: int):
        check(case)
        check(case._replace(library=LIBRARIES[-1 - seed % 2]), changed(case, seed))

    search()


@pytest.mark.parametrize("siemens", [5e-324, 1e-310, 1e-300, 1e300, 1.7e308])
@pytest.mark.parametrize("small", [0, 320])
def test_extreme_conductances_are_solved_correctly_or_refused(
    siemens: float, small: int, monkeypatch, sparse_library
):
    monkeypatch.setattr(factor, "DENSE_NODES", small)
    factor.plan_for.cache_clear()
    t = Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
    try:
        V = Kirchhoff(t, [siemens, siemens]).solve([[1.0]])
    except SingularCircuitError:
        assert not 1e-307 < siemens < 1e307
    else:
        np.testing.assert_allclose(V[0, 1], 0.5, rtol=1e-10)
    finally:
        factor.plan_for.cache_clear()


def test_estimated_error_grows_with_the_range_of_conductances():
    t = Topology.grid(6, 6)
    rng = np.random.default_rng(0)
    alike = Kirchhoff(t, rng.uniform(1, 2, t.n_edges))
    apart = Kirchhoff(t, 10 ** rng.uniform(-9, 0, t.n_edges))
    assert 0 < alike.estimated_error() < 1e-12
    assert alike.estimated_error() < apart.estimated_error() < factor.ERROR_BOUND
    held = np.full(t.n_outputs, np.nan)
    held[0] = 0.1
    assert 0 < alike.estimated_error(held) < alike.estimated_error()


def test_circuit_without_free_nodes_has_no_error():
    t = Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
    assert Kirchhoff(t, [1.0, 1.0]).estimated_error(clamped=[0.2]) == 0


def test_estimated_error_of_a_nonlinear_circuit_refers_to_operating_point():
    t = Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
    k = Kirchhoff(t, [1e-3, 1e-3], elements=Sinh(0.1))
    with pytest.raises(CircuitError, match=r"operating_point\(inputs\)\.error_V"):
        k.estimated_error()
    assert k.operating_point([[0.1]]).error_V < 1e-10
