"""Circuits of nonlinear elements: operating points, derivatives, netlists."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from combinations import pairwise

from hwlearn import Kirchhoff, Topology, loops
from hwlearn.circuit.elements import OHMIC, Custom, Element, IdealDiode, Shockley, Sinh
from hwlearn.circuit.linear.solver import OhmicSolver
from hwlearn.circuit.nonlinear import node_order
from hwlearn.circuit.nonlinear.solver import NewtonSolver
from hwlearn.circuit.spice import spice_text
from hwlearn.errors import CircuitError, SingularCircuitError

CUBIC = Custom(
    lambda v, t: t * (v + v**3),
    lambda v, t: t * (1 + 3 * v**2),
    lambda v, t: v + v**3,
    name="cubic",
    scale=0.5,
    expression=lambda v, t: f"{t!r}*({v}+{v}*{v}*{v})",
)
NONLINEAR = [Sinh(0.1), Shockley(0.05), IdealDiode(0.05, 0.2), CUBIC]
MIXES: dict[str, Callable[[int], list[Element]]] = {
    "sinh": lambda n: [Sinh(0.1)] * n,
    "shockley and resistors": lambda n: [Shockley(0.05) if k % 2 else OHMIC for k in range(n)],
    "ideal diodes and resistors": lambda n: [IdealDiode(0.05, 0.2) if k % 3 else OHMIC for k in range(n)],
    "custom": lambda n: [CUBIC] * n,
    "all": lambda n: [(OHMIC, *NONLINEAR)[k % 5] for k in range(n)],
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


@pytest.mark.share(2)
@pairwise(1, mix=list(MIXES), seed=range(3))
def test_currents_balance_and_cocontent_is_minimal(mix: str, seed: int):
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
def test_sinh_divider_agrees_with_symmetry_and_bisection(V0: float):
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


def test_ideal_diode_conducts_in_one_direction():
    t = Topology(
        3, [(0, 1)], [0], [1], 2, fixed_edges=[(1, 2)], fixed_conductances=[1e-2], fixed_elements=IdealDiode()
    )
    V = Kirchhoff(t, [1e-4]).solve([[1.0], [0.0], [-1.0]])[:, 1]
    np.testing.assert_allclose(V, [1e-4 / (1e-4 + 1e-2), 0, -1e-4 / (1e-4 + 1e-8)], rtol=1e-12)


@pytest.mark.share(10)
@pytest.mark.parametrize("seed", range(20))
def test_newton_solver_agrees_with_ohmic_solver_on_resistors(seed: int, circuit_of):
    t, g, x, e = circuit_of(seed)
    plain = Kirchhoff(t, g)
    newton = NewtonSolver(t, plain.all_values)
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
def test_dense_and_sparse_equations_have_the_same_solution(mix: str, monkeypatch: pytest.MonkeyPatch):
    k, x, e = random_circuit(4, mix)
    dense, slope = k.solve(x), k.gradient(x, e)
    monkeypatch.setattr(node_order, "DENSE_NODES", 0)
    t = Topology(  # another graph: the node order of the first one is cached
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
    # injecting the current of the clamp does not change any voltage
    pushed = k.solve(x, injected=k.output_currents(held))
    np.testing.assert_allclose(pushed, held, rtol=1e-8, atol=1e-10)
    # nor does a source behind a resistor that delivers the same current
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


def test_circuit_without_inner_nodes_and_integer_volts():
    k = Kirchhoff(DIVIDER, [1e-3, 1e-3], elements=Sinh(0.5))
    assert k.solve([[1]], clamped=[[0]]).tolist() == [[1.0, 0.0, 0.0]]
    assert k.solve([[0]]).tolist() == [[0.0, 0.0, 0.0]]


def test_open_edges_carry_no_current():
    t = Topology(3, [(0, 1), (1, 2), (0, 2)], [0], [1], ground=2)
    k = Kirchhoff(t, [1e-3, 1e-3, 0.0], elements=Sinh(0.3), allow_open=True)
    V = k.solve([[1.0]])
    np.testing.assert_allclose(V, [[1, 0.5, 0]], rtol=1e-12)
    assert k.edge_currents(V)[0, 2] == 0
    assert k.with_conductances([1e-3, 0.0, 1e-3]).solve([[1.0]])[0, 1] == pytest.approx(1.0)
    with pytest.raises(SingularCircuitError, match="no conducting path"):
        k.with_conductances([0.0, 0.0, 1e-3])


# --- derivatives ----------------------------------------------------------------------------------------


@pytest.mark.share(2)
@pairwise(1, mix=list(MIXES), seed=range(3))
def test_gradient_agrees_with_finite_differences(mix: str, seed: int):
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
def test_output_impedance_is_the_derivative_of_volts_by_amperes(mix: str):
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


@pytest.mark.parametrize("mix", ["sinh", "shockley and resistors", "custom"])
def test_bias_of_a_symmetric_contrast_grows_with_the_square_of_the_nudge(mix: str):
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


def test_contrast_of_squares_is_wrong_by_more_than_ten_percent():
    k, x, e = random_circuit(0, "sinh")
    exact = k.gradient(4 * x, e)
    high, low = (k.solve(4 * x, injected=-sign * 1e-8 * e) for sign in (1, -1))
    weights = np.full(len(x), 1 / (2e-8 * len(x)))
    squares = weights @ (0.5 * k.drops(high) ** 2 - 0.5 * k.drops(low) ** 2)
    assert np.abs(k.contrast(high, low, weights) - exact).max() < 1e-3 * np.abs(exact).max()
    assert np.abs(squares - exact).max() > 0.1 * np.abs(exact).max()


def test_loop_form_refuses_nonlinear_elements():
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
def test_voltages_agree_with_ngspice_for_all_elements(mix: str, ngspice):
    k, x, _ = random_circuit(6, mix)
    t = k.topology
    amperes = [1e-6, -2e-6]
    printed = ngspice(spice_text(t, k.conductances, x[0], amperes))
    V = k.solve(x[:1], injected=[amperes])[0]
    names = [name for node, name in enumerate(t.names) if node != t.ground]
    expected = np.delete(V, t.ground)
    np.testing.assert_allclose([printed[name] for name in names], expected, rtol=0, atol=1e-9 * np.abs(V).max())


def test_element_without_expression_is_not_written():
    silent = Custom(CUBIC.law, CUBIC.law_dv, CUBIC.law_dtheta, name="silent")
    with pytest.raises(CircuitError, match=r"Custom\('silent', scale=inf\) has no SPICE expression"):
        spice_text(DIVIDER.with_elements(silent), [1e-3, 1e-3])
