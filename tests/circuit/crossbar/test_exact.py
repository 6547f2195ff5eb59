"""Random crossbars against rational arithmetic: correct within the estimated error, or rejected."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from shares import examples

import hwlearn as hl
from hwlearn.errors import SingularCircuitError

NAN = float("nan")


def exactly(g, left, ohms, right, top, bottom, injected):
    """Return node volts, currents out of the bottoms and bottom volts of one sample, in rational numbers.

    Everything is a list; NaN floats. Ideal lines are one node each. None if the equations are singular.
    """
    M, N = g.shape
    row_ohms, column_ohms = map(Fraction, ohms)
    row = {(m, n): ("r", m, n if row_ohms else 0) for m in range(M) for n in range(N)}
    column = {(m, n): ("c", m if column_ohms else 0, n) for m in range(M) for n in range(N)}
    held: dict[tuple, Fraction] = {}
    edges: list[tuple[tuple, tuple, Fraction]] = []
    pushed: dict[tuple, Fraction] = {}

    def hold(name, node, volts, segment):
        if np.isnan(volts):
            return
        if segment:
            held[name] = Fraction(float(volts))
            edges.append((name, node, 1 / segment))
        else:
            held[node] = Fraction(float(volts))

    for m in range(M):
        hold(("left", m), row[m, 0], left[m], row_ohms)
        hold(("right", m), row[m, N - 1], right[m], row_ohms)
        if row_ohms:
            edges += [(row[m, n], row[m, n + 1], 1 / row_ohms) for n in range(N - 1)]
    for n in range(N):
        hold(("top", n), column[0, n], top[n], column_ohms)
        hold(("bottom", n), column[M - 1, n], bottom[n], column_ohms)
        if column_ohms:
            edges += [(column[m, n], column[m + 1, n], 1 / column_ohms) for m in range(M - 1)]
        if np.isnan(bottom[n]):
            pushed[column[M - 1, n]] = Fraction(float(injected[n]))
    edges += [(row[m, n], column[m, n], Fraction(float(g[m, n]))) for m in range(M) for n in range(N) if g[m, n]]
    free = sorted(({*row.values()} | {*column.values()}) - set(held))
    at = {node: k for k, node in enumerate(free)}
    A = [[Fraction(0)] * (len(free) + 1) for _ in free]
    for node, amperes in pushed.items():
        if node in at:
            A[at[node]][-1] += amperes
    for a, b, siemens in edges:
        for one, other in ((a, b), (b, a)):
            if one in at:
                A[at[one]][at[one]] += siemens
                if other in at:
                    A[at[one]][at[other]] -= siemens
                else:
                    A[at[one]][-1] += siemens * held[other]
    for k in range(len(free)):
        if A[k][k] == 0:
            return None
        for i in range(k + 1, len(free)):
            if A[i][k]:
                ratio = A[i][k] / A[k][k]
                A[i] = [x - ratio * y if y else x for x, y in zip(A[i], A[k], strict=True)]
    x = [Fraction(0)] * len(free)
    for k in reversed(range(len(free))):
        x[k] = (A[k][-1] - sum(A[k][j] * x[j] for j in range(k + 1, len(free)))) / A[k][k]
    volts = {**held, **dict(zip(free, x, strict=True))}
    currents, ends = [], []
    for n in range(N):
        if np.isnan(bottom[n]):
            push = pushed[column[M - 1, n]]
            currents.append(-push)
            ends.append(volts[column[M - 1, n]] + column_ohms * push)
            continue
        ends.append(Fraction(float(bottom[n])))
        if column_ohms:
            currents.append((volts[column[M - 1, n]] - ends[-1]) / column_ohms)
        else:
            currents.append(
                sum(Fraction(float(g[m, n])) * (volts[row[m, n]] - volts[column[m, n]]) for m in range(M))
            )
    rows = [[volts[row[m, n]] for n in range(N)] for m in range(M)]
    columns = [[volts[column[m, n]] for n in range(N)] for m in range(M)]
    return rows, columns, currents, ends


OHMS = st.sampled_from([0.0, 1e-6, 1e-3, 1.0, 30.0, 1e3, 1e6])


@st.composite
def crossbars(draw):
    M, N = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    low = draw(st.sampled_from([-12, -9, -6]))
    high = draw(st.sampled_from([-4, -2, 0]))
    device = st.one_of(st.floats(low, high).map(lambda x: 10.0**x), st.just(0.0))
    g = np.array(draw(st.lists(device, min_size=M * N, max_size=M * N))).reshape(M, N)
    if draw(st.booleans()):
        g[draw(st.integers(0, M - 1))] = 0.0
    if draw(st.booleans()):
        g[:, draw(st.integers(0, N - 1))] = 0.0
    ohms = draw(OHMS), draw(OHMS)
    volt = st.floats(-1, 1, allow_subnormal=False)

    def ends(size, chance):
        values = draw(st.lists(volt, min_size=size, max_size=size))
        loose = draw(st.lists(st.integers(1, 10), min_size=size, max_size=size))
        return np.array([NAN if k <= chance else v for v, k in zip(values, loose, strict=True)])

    left, bottom = ends(M, draw(st.sampled_from([0, 3]))), ends(N, draw(st.sampled_from([0, 3])))
    right, top = ends(M, draw(st.sampled_from([10, 8]))), ends(N, draw(st.sampled_from([10, 8])))
    if ohms[0] == 0:
        right[~np.isnan(left)] = NAN
    if ohms[1] == 0:
        top[~np.isnan(bottom)] = NAN
    if draw(st.booleans()):
        bottom = np.where(np.isnan(bottom), NAN, 0.0)
    injected = np.array(draw(st.lists(st.sampled_from([0.0, 1e-6, -1e-3]), min_size=N, max_size=N)))
    return g, left, ohms, right, top, bottom, injected


def solved(g, left, ohms, right, top, bottom, injected):
    return hl.solve_crossbar(
        g,
        left[None],
        ohms,
        right_voltages=right,
        top_voltages=top,
        bottom_voltages=bottom,
        floating_rows=np.isnan(left),
        injected=injected,
    )


def check_against_exact(problem) -> bool:
    """Return whether it was answered; what is answered is right."""
    g, left, ohms, right, top, bottom, injected = problem
    try:
        got = solved(*problem)
    except SingularCircuitError:
        return False
    exact = exactly(*problem)
    assert exact is not None
    currents, ends = (np.array([float(x) for x in values]) for values in exact[2:])
    assert got.estimated_error <= 1e-10
    held = ~np.isnan(bottom)
    error = np.abs(got.column_currents[0] - currents)
    scale = np.abs(currents[held]).max(initial=0.0)
    # where signs cancel, what all volts would give without their signs
    absolute = exactly(g, np.abs(left), ohms, np.abs(right), 0 * top, 0 * bottom, np.abs(injected))
    scale = max(scale, *(abs(float(x)) for x in absolute[2]))
    others = exactly(g, 0 * left, ohms, 0 * right, np.abs(top), np.abs(bottom), 0 * injected)
    scale = max(scale, *(abs(float(x)) for x in others[2]))
    assert error[held].max(initial=0.0) <= max(got.estimated_error, 1e-15) * scale + 1e-300
    np.testing.assert_array_equal(got.column_currents[0, ~held], -injected[~held])
    if not held.all():
        off = np.abs(got.column_voltages[0] - ends)[~held].max()
        largest = np.abs(ends[~held]).max()
        largest = max(largest, *(float(abs(x)) for x in np.array(absolute[3])[~held]))
        largest += max(float(abs(x)) for x in np.array(others[3])[~held])
        assert off <= max(got.estimated_error, 1e-15) * largest + 1e-300
    return True


@settings(max_examples=examples(60), deadline=None)
@given(crossbars())
def test_random_crossbar_is_solved_correctly_or_rejected(problem):
    check_against_exact(problem)


@pytest.mark.slow
def test_random_crossbar_is_solved_correctly_or_rejected_many_examples(seeds):
    @seed(seeds.commit)
    @settings(max_examples=len(seeds(1500, 400)), deadline=None)
    @given(crossbars())
    def search(problem):
        check_against_exact(problem)

    search()
