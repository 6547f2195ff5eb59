"""Convergence of Newton's method: estimated errors, stiff circuits, and circuits that are refused."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shares import examples

from hwlearn import Kirchhoff, Topology
from hwlearn.circuit.elements import OHMIC, Custom, Element, IdealDiode, Shockley, Sinh
from hwlearn.circuit.nonlinear.newton import LARGEST_ERROR
from hwlearn.errors import ConvergenceError

DIVIDER = Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
_KINDS = st.sampled_from(["R", "R", "sinh", "diode", "diode", "ideal"])


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kinds=st.lists(_KINDS, min_size=15, max_size=15),
    seed=st.integers(0, 10_000),
    volts=st.floats(1e-3, 10) | st.floats(-10, -1e-3) | st.just(0.0),
    decades=st.floats(0, 6),
)
def test_stiff_circuit_is_within_its_error_or_refused(kinds: list[str], seed: int, volts: float, decades: float):
    """Saturation currents down to 1e-15 A, 10 V, six decades, against Newton's method with 50 digits."""
    edges, elements, g, driven = stiff_circuit(kinds, seed, decades)
    circuit = Kirchhoff(
        Topology(int(edges.max()) + 1, edges, driven[:1], [driven[2]], driven[1]), g, elements=elements
    )
    try:
        point = circuit.operating_point([[volts]])
    except ConvergenceError:
        return
    size = np.abs(point.V).max()
    assert point.error_V[0] <= LARGEST_ERROR * size
    true = refined(edges, elements, g, point.V[0], driven[:2])
    error = max(abs(float(a - Decimal(float(b)))) for a, b in zip(true, point.V[0], strict=True))
    assert error <= point.error_V[0] + 1e-15 * size


def test_stiff_circuits_are_refused_only_for_named_reasons():
    """A junction directly across the sources, or a node connected to them only by blocking junctions."""
    refused = []
    rng = np.random.default_rng(0)
    for seed in range(100):
        kinds = rng.choice(["R", "R", "sinh", "diode", "diode", "ideal"], 15).tolist()
        edges, elements, g, driven = stiff_circuit(kinds, seed, 6.0)
        t = Topology(int(edges.max()) + 1, edges, driven[:1], [driven[2]], driven[1])
        try:
            Kirchhoff(t, g, elements=elements).solve([[10.0], [-10.0]])
        except ConvergenceError as error:
            refused.append(str(error))
    assert all("beyond exp(300)" in reason or "only blocking elements" in reason for reason in refused)
    assert len(refused) < 20


def stiff_circuit(
    kinds: list[str], seed: int, decades: float
) -> tuple[np.ndarray, list[Element], np.ndarray, list[int]]:
    """Return edges, elements, thetas, and input, ground and output of a small random circuit."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 7))
    base = Topology.random(n, int(rng.integers(n - 1, n * (n - 1) // 2 + 1)), 1, 1, 0, seed=seed)
    g = 10.0 ** (-3 - decades * rng.random(base.n_edges))
    elements: list[Element] = []
    for k, kind in enumerate(kinds[: base.n_edges]):
        diode, leak, V0 = Shockley(rng.uniform(0.02, 0.06)), 10.0 ** rng.uniform(-9, 0), 10 ** rng.uniform(-1.5, 0)
        elements.append({"R": OHMIC, "sinh": Sinh(V0), "diode": diode, "ideal": IdealDiode(0.0, leak)}[kind])
        if kind == "diode":
            g[k] = diode.theta(10.0 ** rng.uniform(-15, -6))
    turned = rng.random(base.n_edges) < 0.5
    edges = np.where(turned[:, None], base.edges[:, ::-1], base.edges)
    return edges, elements, g, [int(base.inputs[0]), 0, int(base.outputs[0])]


def refined(
    edges: np.ndarray, elements: list[Element], g: np.ndarray, V: np.ndarray, driven: list[int]
) -> list[Decimal]:
    """Return node voltages after more steps of Newton's method from V, with 50 digits."""
    with localcontext(prec=50):
        x = [Decimal(float(v)) for v in V]
        free = [k for k in range(len(x)) if k not in driven]
        place = {node: k for k, node in enumerate(free)}
        for _ in range(80):
            rows = [[Decimal(0)] * (len(free) + 1) for _ in free]
            for (a, b), element, siemens in zip(edges.tolist(), elements, g.tolist(), strict=True):
                theta = Decimal(siemens)
                current, slope = (theta * part for part in law(element, x[a] - x[b]))
                for here, there, sign in ((a, b, 1), (b, a, -1)):
                    if here in place:
                        rows[place[here]][-1] -= sign * current
                        rows[place[here]][place[here]] += slope
                        if there in place:
                            rows[place[here]][place[there]] -= slope
            step = eliminated(rows)
            for node, k in place.items():
                x[node] += step[k]
            if max(map(abs, step), default=Decimal(0)) < Decimal("1e-35"):
                return x
    raise AssertionError("the reference did not converge")


def eliminated(rows: list[list[Decimal]]) -> list[Decimal]:
    """Solve linear equations; the last column is the right-hand side."""
    n = len(rows)
    for k in range(n):
        best = max(range(k, n), key=lambda j: abs(rows[j][k]))
        rows[k], rows[best] = rows[best], rows[k]
        for j in range(n):
            if j != k and rows[j][k]:
                ratio = rows[j][k] / rows[k][k]
                rows[j] = [p - ratio * q for p, q in zip(rows[j], rows[k], strict=True)]
    return [rows[k][-1] / rows[k][k] for k in range(n)]


def law(element: Element, v: Decimal) -> tuple[Decimal, Decimal]:
    """Return current and slope per theta."""
    if isinstance(element, Sinh):
        V0 = Decimal(element.V0)
        up, down = (v / V0).exp(), (-v / V0).exp()
        return V0 * (up - down) / 2, (up + down) / 2
    if isinstance(element, Shockley):
        nVt = Decimal(element.nVt)
        return nVt * ((v / nVt).exp() - 1), (v / nVt).exp()
    if isinstance(element, IdealDiode):
        slope = Decimal(1) if v > 0 else Decimal(element.leak)
        return slope * v, slope
    return v, Decimal(1)


def test_node_between_blocking_diodes_is_refused():
    t = Topology(4, [(1, 0), (1, 2), (3, 2)], [0], [3], ground=2)
    diode = Shockley()
    k = Kirchhoff(t, [diode.theta(1e-15), diode.theta(1e-15), 1e-3], elements=[diode, diode, OHMIC])
    k.solve([[0.0]])
    u = Topology(3, [(1, 0), (2, 1)], [0], [1], ground=2)
    blocked = Kirchhoff(u, [diode.theta(1e-15)] * 2, elements=diode)
    with pytest.raises(
        ConvergenceError, match=r"sample 1 to 1e-09 of its largest voltage: .*shunt blocking elements"
    ):
        blocked.solve([[0.0], [100.0]])


@pytest.mark.parametrize("leak", [1e-3, 1e-9, 1e-13, 1e-200])
def test_blocking_ideal_diodes_share_the_drop_for_any_leak(leak: float):
    k = Kirchhoff(DIVIDER, [1e-3, 1e-3], elements=IdealDiode(leak=leak))
    V = k.solve([[-1.0], [1.0], [0.0], [-1e-9]])[:, 1]
    np.testing.assert_allclose(V, [-0.5, 0.5, 0.0, -5e-10], rtol=1e-9)


def test_balanced_bridge_with_ideal_diode_converges_at_the_kink():
    """No current flows across the bridge: its diode is between blocking and conducting."""
    t = Topology(4, [(0, 1), (1, 3), (0, 2), (2, 3), (1, 2)], [0], [1, 2], ground=3)
    k = Kirchhoff(t, [1e-4, 3e-4, 2e-4, 6e-4, 1e-2], elements=[OHMIC] * 4 + [IdealDiode(leak=1e-6)])
    x = np.linspace(-3, 3, 101)[:, None]
    np.testing.assert_allclose(k.solve(x)[:, 1:3], np.broadcast_to(0.25 * x, (101, 2)), rtol=1e-12, atol=1e-15)


def test_exponential_beyond_its_range_is_refused():
    k = Kirchhoff(DIVIDER, [1e3, 1e-3], elements=[OHMIC, Sinh(1e-3)])
    k.solve([[0.01]])
    with pytest.raises(ConvergenceError, match=r"sample 2 .*driven beyond exp\(300\)"):
        Kirchhoff(Topology(3, [(0, 1), (1, 2), (0, 2)], [0], [1], 2), [1.0, 1.0, 1.0], elements=Sinh(1e-3)).solve(
            [[0.0], [0.1], [1.0]]
        )


def test_damped_steps_converge_where_undamped_newton_oscillates():
    """A steep sigmoid, whose tangents overshoot in both directions."""
    steep = Custom(
        lambda v, t: t * np.arctan(1e3 * v),
        lambda v, t: t * 1e3 / (1 + (1e3 * v) ** 2),
        lambda v, t: np.arctan(1e3 * v),
        name="steep",
    )
    k = Kirchhoff(DIVIDER, [1.0, 1e-9], elements=[steep, OHMIC])
    V = k.solve([[1.0], [-0.3], [0.0]])
    np.testing.assert_allclose(V[:, 1], [1.0, -0.3, 0.0], atol=1e-10)
    two = Kirchhoff(Topology(3, [(0, 1), (1, 2)], [0], [1], 2), [1.0, 1.1], elements=steep).solve([[1.0]])
    drops = np.array([1.0 - two[0, 1], two[0, 1]])
    np.testing.assert_allclose(np.arctan(1e3 * drops[0]), 1.1 * np.arctan(1e3 * drops[1]), rtol=1e-6)
