"""Circuits of nonlinear elements: operating points, their errors, derivatives, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwlearn import Kirchhoff, Topology, loops
from hwlearn.circuit.elements import OHMIC, Custom, Element, IdealDiode, Shockley, Sinh
from hwlearn.circuit.linear.solver import OhmicSolver
from hwlearn.circuit.nonlinear import linearised
from hwlearn.circuit.nonlinear.newton import LARGEST_ERROR
from hwlearn.circuit.nonlinear.solver import NewtonSolver
from hwlearn.circuit.spice import spice_text
from hwlearn.errors import CircuitError, ConvergenceError, SingularCircuitError

CUBIC = Custom(
    lambda v, t: t * (v + v**3),
    lambda v, t: t * (1 + 3 * v**2),
    lambda v, t: v + v**3,
    name="cubic",
    scale=0.5,
    expression=lambda v, t: f"{t!r}*({v}+{v}*{v}*{v})",
)
BENT = [Sinh(0.1), Shockley(0.05), IdealDiode(0.05, 0.2), CUBIC]
MIXES: dict[str, Callable[[int], list[Element]]] = {
    "sinh": lambda n: [Sinh(0.1)] * n,
    "shockley and resistors": lambda n: [Shockley(0.05) if k % 2 else OHMIC for k in range(n)],
    "ideal diodes and resistors": lambda n: [IdealDiode(0.05, 0.2) if k % 3 else OHMIC for k in range(n)],
    "a user's": lambda n: [CUBIC] * n,
    "all": lambda n: [(OHMIC, *BENT)[k % 5] for k in range(n)],
}
DIVIDER = Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)


def random_circuit(seed: int, mix: str) -> tuple[Kirchhoff, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    base = Topology.random(12, 30, 3, 2, 0, seed=seed)
    fixed = [tuple(rng.choice(12, 2, replace=False)) for _ in range(4)]
    t = Topology(
        12,
        base.edges,
        base.inputs,
        base.outputs,
        0,
        fixed_edges=fixed,
        fixed_conductances=rng.uniform(1e-6, 1e-4, 4),
        elements=MIXES[mix](30),
        fixed_elements=[OHMIC, Sinh(0.2), Shockley(0.1), OHMIC],
    )
    k = Kirchhoff(t, np.exp(rng.uniform(np.log(1e-6), np.log(1e-4), 30)))
    return k, rng.uniform(-0.5, 0.5, (4, 3)), rng.normal(size=(4, 2))


# --- operating points -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("seed", range(3))
def test_currents_balance_and_the_cocontent_is_least(mix: str, seed: int):
    k, x, _ = random_circuit(seed, mix)
    t = k.topology
    V = k.solve(x)
    free = np.setdiff1d(np.arange(t.n_nodes), t.driven)
    assert np.abs(k.node_currents(V)[:, free]).max() < 1e-15
    np.testing.assert_array_equal(V[:, t.inputs], x)

    def content(V: np.ndarray) -> np.ndarray:
        drops = V[:, t.all_edges[:, 0]] - V[:, t.all_edges[:, 1]]
        thetas = np.concatenate([k.conductances, t.fixed_conductances])
        parts = [
            theta * e.cocontent(drops[:, j], np.array(theta))
            for j, (theta, e) in enumerate(zip(thetas, [*t.edge_elements, *t.fixed_edge_elements], strict=True))
        ]
        return np.sum(parts, axis=0)

    rng = np.random.default_rng(seed)
    least = content(V)
    for size in (1e-3, 0.1, 1.0):
        away, other = np.zeros_like(V), np.zeros_like(V)
        away[:, free] = size * rng.normal(size=(len(V), len(free)))
        other[:, free] = size * rng.normal(size=(len(V), len(free)))
        assert (content(V + away) > least).all()
        middle = content(V + 0.5 * (away + other))  # convex along every line
        assert (middle <= 0.5 * (content(V + away) + content(V + other)) * (1 + 1e-12)).all()


@pytest.mark.parametrize("V0", [0.01, 0.1, 10.0])
def test_a_sinh_divider_by_symmetry_and_by_bisection(V0: float):
    k = Kirchhoff(DIVIDER, [1e-3, 1e-3], elements=Sinh(V0))
    np.testing.assert_allclose(k.solve([[1.0], [-0.4]])[:, 1], [0.5, -0.2], rtol=1e-12)
    uneven = Kirchhoff(DIVIDER, [1e-3, 4e-3], elements=[OHMIC, Sinh(V0)])
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        if 4e-3 * V0 * math.sinh(middle / V0) > 1e-3 * (1 - middle):
            high = middle
        else:
            low = middle
    np.testing.assert_allclose(uneven.solve([[1.0]])[0, 1], low, rtol=1e-11)


def test_an_ideal_diode_conducts_one_way():
    t = Topology(
        3, [(0, 1)], [0], [1], 2, fixed_edges=[(1, 2)], fixed_conductances=[1e-2], fixed_elements=IdealDiode()
    )
    V = Kirchhoff(t, [1e-4]).solve([[1.0], [0.0], [-1.0]])[:, 1]
    np.testing.assert_allclose(V, [1e-4 / (1e-4 + 1e-2), 0, -1e-4 / (1e-4 + 1e-8)], rtol=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_newton_solver_agrees_with_ohmic_solver_on_resistors(seed: int, circuit_of):
    t, g, x, e = circuit_of(seed)
    plain = Kirchhoff(t, g)
    newton = NewtonSolver(t, plain.all_conductances)
    V = plain.solve(x)
    np.testing.assert_allclose(newton.solve(x, None, None), V, rtol=1e-9, atol=1e-12)
    scale = np.abs(plain.gradient(x, e)).max()
    np.testing.assert_allclose(newton.gradient(x, e), plain.gradient(x, e), atol=1e-9 * scale)
    np.testing.assert_allclose(newton.output_impedance(None), plain.output_impedance(), rtol=1e-8, atol=1e-6)
    power = plain.output_power(x)
    np.testing.assert_allclose(newton.output_power(x), power, rtol=1e-6, atol=1e-12 * power.max())
    np.testing.assert_allclose(newton.edge_currents(V), plain.edge_currents(V))
    np.testing.assert_allclose(newton.currents(V, "inputs"), plain.source_currents(V), rtol=1e-6, atol=1e-15)
    np.testing.assert_allclose(newton.power(V), plain.power(V), rtol=1e-9)


def test_resistors_given_as_elements_are_solved_as_resistors():
    assert isinstance(Kirchhoff(DIVIDER, [1e-3, 1e-3], elements=OHMIC).solver, OhmicSolver)
    assert isinstance(Kirchhoff(DIVIDER, [1e-3, 1e-3], elements=Sinh(0.1)).solver, NewtonSolver)


@pytest.mark.parametrize("mix", MIXES)
def test_power_of_nonlinear_elements_is_the_power_that_the_sources_deliver(mix: str):
    k, x, _ = random_circuit(3, mix)
    V = k.solve(x)
    delivered = (k.node_currents(V) * V).sum(axis=1)
    np.testing.assert_allclose(k.power(V), delivered, rtol=1e-6, atol=1e-15)


@pytest.mark.parametrize("mix", MIXES)
def test_dense_and_sparse_equations_have_one_solution(mix: str, monkeypatch: pytest.MonkeyPatch):
    k, x, e = random_circuit(4, mix)
    dense, slope = k.solve(x), k.gradient(x, e)
    monkeypatch.setattr(linearised, "DENSE_NODES", 0)
    t = Topology(  # another graph, whose layout is not kept yet
        12,
        k.topology.edges[::-1],
        k.topology.inputs,
        k.topology.outputs,
        0,
        fixed_edges=k.topology.fixed_edges,
        fixed_conductances=k.topology.fixed_conductances,
        elements=k.topology.edge_elements[::-1],
        fixed_elements=k.topology.fixed_edge_elements,
    )
    sparse = Kirchhoff(t, k.conductances[::-1])
    np.testing.assert_allclose(sparse.solve(x), dense, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(sparse.gradient(x, e)[::-1], slope, rtol=1e-7, atol=1e-9 * np.abs(slope).max())


def test_clamps_currents_and_resistors_at_outputs():
    k, x, _ = random_circuit(1, "all")
    outputs = k.topology.outputs
    held = k.solve(x, clamped=[[0.1, math.nan], [math.nan, math.nan], [0.2, -0.1], [0.1, math.nan]])
    assert held[[0, 2, 3], outputs[0]].tolist() == [0.1, 0.2, 0.1]
    assert held[2, outputs[1]] == -0.1
    np.testing.assert_allclose(held[1], k.solve(x[1:2])[0], rtol=1e-9)
    # pushing in what the clamp delivered leaves every node where it was
    pushed = k.solve(x, injected=k.output_currents(held))
    np.testing.assert_allclose(pushed, held, rtol=1e-8, atol=1e-10)
    # and so does a source behind a resistor that delivers it
    kappa = np.array([1e-4, 3e-5])
    volts = held[:, outputs] + k.output_currents(held) / kappa
    V, delivered = k.solve_behind(x, volts, kappa)
    np.testing.assert_allclose(V, held, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(delivered, k.output_currents(held), rtol=1e-6, atol=1e-14)
    np.testing.assert_allclose(k.solve_behind(x, np.full((4, 2), math.nan), kappa)[0], k.solve(x), rtol=1e-9)
    np.testing.assert_allclose(k.observe(x, held[:, outputs])[2], held[2], rtol=1e-9)


@pytest.mark.parametrize("samples", [0, 1, 300])
def test_batches_of_any_size(samples: int):
    k, x, _ = random_circuit(2, "all")
    many = np.resize(x, (samples, 3))
    V = k.solve(many)
    assert V.shape == (samples, 12)
    assert k.output_impedance(many).shape == (samples, 2, 2)
    if samples:
        np.testing.assert_allclose(V[-1], k.solve(many[-1])[0], rtol=1e-9)
        np.testing.assert_array_equal(V, k.solve(np.asfortranarray(many)))


def test_a_circuit_without_inner_nodes_and_one_of_whole_volts():
    k = Kirchhoff(DIVIDER, [1e-3, 1e-3], elements=Sinh(0.5))
    assert k.solve([[1]], clamped=[[0]]).tolist() == [[1.0, 0.0, 0.0]]
    assert k.solve([[0]]).tolist() == [[0.0, 0.0, 0.0]]


def test_open_edges_carry_nothing():
    t = Topology(3, [(0, 1), (1, 2), (0, 2)], [0], [1], ground=2)
    k = Kirchhoff(t, [1e-3, 1e-3, 0.0], elements=Sinh(0.3), allow_open=True)
    V = k.solve([[1.0]])
    np.testing.assert_allclose(V, [[1, 0.5, 0]], rtol=1e-12)
    assert k.edge_currents(V)[0, 2] == 0
    assert k.with_conductances([1e-3, 0.0, 1e-3]).solve([[1.0]])[0, 1] == pytest.approx(1.0)
    with pytest.raises(SingularCircuitError, match="no conducting path"):
        k.with_conductances([0.0, 0.0, 1e-3])


# --- how far the voltages can be trusted ----------------------------------------------------------------

_KINDS = st.sampled_from(["R", "R", "sinh", "diode", "diode", "ideal"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kinds=st.lists(_KINDS, min_size=15, max_size=15),
    seed=st.integers(0, 10_000),
    volts=st.floats(1e-3, 10) | st.floats(-10, -1e-3) | st.just(0.0),
    decades=st.floats(0, 6),
)
def test_stiff_circuits_meet_their_error_or_are_refused(kinds: list[str], seed: int, volts: float, decades: float):
    """Saturation currents down to 1e-15 A, 10 V, six decades: compared with Newton's steps in 50 digits."""
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


def test_stiff_circuits_are_refused_for_a_reason_only():
    """A junction straight across the sources, or a node that nothing but blocking junctions ties to them."""
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
    """Return node voltages after Newton's method went on from V in 50 digits."""
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
    raise AssertionError("the reference did not settle")


def eliminated(rows: list[list[Decimal]]) -> list[Decimal]:
    """Solve linear equations, the right-hand side being the last column."""
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


def test_a_node_between_blocking_diodes_is_refused():
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
def test_two_blocking_ideal_diodes_share_the_drop_however_little_they_leak(leak: float):
    k = Kirchhoff(DIVIDER, [1e-3, 1e-3], elements=IdealDiode(leak=leak))
    V = k.solve([[-1.0], [1.0], [0.0], [-1e-9]])[:, 1]
    np.testing.assert_allclose(V, [-0.5, 0.5, 0.0, -5e-10], rtol=1e-9)


def test_a_balanced_bridge_of_ideal_diodes_settles_on_the_kink():
    """Nothing flows across the bridge; its diode stands between blocking and conducting."""
    t = Topology(4, [(0, 1), (1, 3), (0, 2), (2, 3), (1, 2)], [0], [1, 2], ground=3)
    k = Kirchhoff(t, [1e-4, 3e-4, 2e-4, 6e-4, 1e-2], elements=[OHMIC] * 4 + [IdealDiode(leak=1e-6)])
    x = np.linspace(-3, 3, 101)[:, None]
    np.testing.assert_allclose(k.solve(x)[:, 1:3], np.broadcast_to(0.25 * x, (101, 2)), rtol=1e-12, atol=1e-15)


def test_an_exponential_beyond_its_range_is_refused():
    k = Kirchhoff(DIVIDER, [1e3, 1e-3], elements=[OHMIC, Sinh(1e-3)])
    k.solve([[0.01]])
    with pytest.raises(ConvergenceError, match=r"sample 2 .*driven beyond exp\(300\)"):
        Kirchhoff(Topology(3, [(0, 1), (1, 2), (0, 2)], [0], [1], 2), [1.0, 1.0, 1.0], elements=Sinh(1e-3)).solve(
            [[0.0], [0.1], [1.0]]
        )


def test_elements_that_newton_alone_would_bounce_between_settle():
    """A steep sigmoid: the tangent overshoots to and fro; damped steps come home."""
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


# --- derivatives ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_agrees_with_finite_differences(mix: str, seed: int):
    k, x, e = random_circuit(seed, mix)
    outputs = k.topology.outputs
    numeric = np.empty(k.topology.n_edges)
    for edge, g in enumerate(k.conductances):
        up, down = k.conductances.copy(), k.conductances.copy()
        up[edge], down[edge] = g * (1 + 1e-5), g * (1 - 1e-5)
        rise = k.with_conductances(up).solve(x) - k.with_conductances(down).solve(x)
        numeric[edge] = (rise[:, outputs] * e).sum() / len(x) / (2e-5 * g)
    np.testing.assert_allclose(k.gradient(x, e), numeric, rtol=1e-5, atol=1e-7 * np.abs(numeric).max())


@pytest.mark.parametrize("mix", MIXES)
def test_the_output_impedance_is_the_slope_of_volts_by_amperes(mix: str):
    k, x, _ = random_circuit(3, mix)
    outputs, Z = k.topology.outputs, k.output_impedance(x)
    for j in range(2):
        push = np.zeros((4, 2))
        push[:, j] = 1e-9
        rise = k.solve(x, injected=push) - k.solve(x, injected=-push)
        np.testing.assert_allclose(Z[:, :, j], rise[:, outputs] / 2e-9, rtol=1e-4)
    quiet = k.output_impedance(np.zeros((1, 3)))[0]
    np.testing.assert_array_equal(k.output_impedance(), quiet)
    np.testing.assert_allclose(k.output_admittance() @ quiet, np.eye(2), atol=1e-9)


@pytest.mark.parametrize("mix", ["sinh", "shockley and resistors", "a user's"])
def test_the_bias_of_a_symmetric_contrast_grows_with_the_square_of_the_nudge(mix: str):
    k, x, e = random_circuit(0, mix)
    exact, found = k.gradient(x, e), []
    betas = np.array([1e-7, 2e-7, 4e-7])
    for beta in betas:
        high, low = (k.solve(x, injected=-sign * beta * e) for sign in (1, -1))
        contrast = k.contrast(high, low, np.full(len(x), 1 / (2 * beta))) / len(x)
        found.append(np.abs(contrast - exact).max() / np.abs(exact).max())
        by_edges = (k.cocontent(k.drops(high)) - k.cocontent(k.drops(low))).sum(axis=0) / (2 * beta) / len(x)
        np.testing.assert_allclose(contrast, by_edges, rtol=1e-6, atol=1e-9 * np.abs(exact).max())
    slope = np.polyfit(np.log(betas), np.log(found), 1)[0]
    assert found[0] < 1e-3
    assert slope == pytest.approx(2.0, abs=0.1)


def test_a_contrast_of_squares_would_err_by_tens_of_percent():
    k, x, e = random_circuit(0, "sinh")
    exact = k.gradient(4 * x, e)
    high, low = (k.solve(4 * x, injected=-sign * 1e-8 * e) for sign in (1, -1))
    weights = np.full(len(x), 1 / (2e-8 * len(x)))
    squares = weights @ (0.5 * k.drops(high) ** 2 - 0.5 * k.drops(low) ** 2)
    assert np.abs(k.contrast(high, low, weights) - exact).max() < 1e-3 * np.abs(exact).max()
    assert np.abs(squares - exact).max() > 0.1 * np.abs(exact).max()


def test_only_resistors_have_loop_forms():
    t = DIVIDER.with_elements(Sinh(0.1))
    for call in (
        lambda: loops.gradient(t, [1e-3, 1e-3], [[1.0]], [[1.0]]),
        lambda: loops.projector(t, [1e-3, 1e-3]),
    ):
        with pytest.raises(
            CircuitError, match=r"the loop form is only for resistors, but edge 0 is Sinh\(V0=0.1\)"
        ):
            call()


# --- ngspice --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mix", MIXES)
def test_ngspice_finds_the_same_voltages(mix: str, ngspice):
    k, x, _ = random_circuit(6, mix)
    t = k.topology
    amperes = [1e-6, -2e-6]
    printed = ngspice(spice_text(t, k.conductances, x[0], amperes))
    V = k.solve(x[:1], injected=[amperes])[0]
    names = [name for node, name in enumerate(t.names) if node != t.ground]
    expected = np.delete(V, t.ground)
    np.testing.assert_allclose([printed[name] for name in names], expected, rtol=0, atol=1e-9 * np.abs(V).max())


def test_an_element_without_an_expression_cannot_be_written():
    silent = Custom(CUBIC.law, CUBIC.law_dv, CUBIC.law_dtheta, name="silent")
    with pytest.raises(CircuitError, match=r"Custom\('silent', scale=inf\) has no SPICE expression"):
        spice_text(DIVIDER.with_elements(silent), [1e-3, 1e-3])
