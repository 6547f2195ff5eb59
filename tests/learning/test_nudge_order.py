"""Nudges of any real order: their ends are EP and CL, and the direction found is that of ``Z^-(k-1) e``."""

import numpy as np
import pytest
from scipy.linalg import fractional_matrix_power

import hwlearn as hl
from hwlearn.circuit.elements import Sinh
from hwlearn.network.nudges.algebra import impedance_power
from hwlearn_sim import KirchhoffTwin

LIMITS = hl.Limits("1 V", "2 V", "0.5 V", "10 mA", ("1 uS", "1 mS"))
TOP = hl.Topology.random(12, 26, 3, 3, ground=0, seed=1)
RNG = np.random.default_rng(0)
G = np.exp(RNG.uniform(np.log(2e-5), np.log(5e-4), 26))
X, Y = RNG.uniform(-0.8, 0.8, (5, 3)), RNG.uniform(-0.2, 0.2, (5, 3))


def gradient(rule, top=TOP, values=G):
    model = hl.Kirchhoff(top, values)
    with KirchhoffTwin(top, LIMITS) as twin:
        twin.program(values)
        return rule.gradient(hl.GradientRequest(twin, model, X, Y, hl.MSE())).values


@pytest.mark.parametrize("strength", [1e-6, "auto"])
def test_order_1_is_equilibrium_propagation_bit_for_bit(strength):
    same = gradient(hl.GEP(hl.CurrentNudge(strength), order=1))
    assert (same == gradient(hl.EquilibriumPropagation(strength))).all()
    clamped = gradient(hl.GEP(hl.ClampNudge(1e-6), order=1))
    np.testing.assert_allclose(clamped, gradient(hl.EquilibriumPropagation(1e-6)), rtol=1e-6)


def test_order_2_is_coupled_learning():
    clamped = gradient(hl.CoupledLearning(1e-3))
    assert (gradient(hl.GEP(hl.ClampNudge(1e-3), order=2)) == clamped).all()
    np.testing.assert_allclose(gradient(hl.GEP(hl.CurrentNudge(1e-3), order=2)), clamped, rtol=1e-9)


@pytest.mark.parametrize("order", [-0.7, 0.5, 1.0, 1.37, 2.0, 3.2])
@pytest.mark.parametrize("nudge", [hl.CurrentNudge, hl.ClampNudge])
def test_direction_is_the_gradient_of_the_turned_error(order, nudge):
    model = hl.Kirchhoff(TOP, G)
    V = model.solve(X)
    # an independent power of a matrix, by Schur decomposition and Pade approximation
    power = fractional_matrix_power(model.output_impedance(), 1 - order).real
    exact = model.gradient_at(V, (V[:, TOP.outputs] - Y) @ power)
    found = gradient(hl.GEP(nudge("auto"), order=order))
    cosine = found @ exact / np.linalg.norm(found) / np.linalg.norm(exact)
    # a strength of its own for each sample, but the same divisor: the direction and the length agree
    assert cosine == pytest.approx(1, abs=1e-9)
    assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(exact), rel=1e-6)


def test_resistor_nudge_lies_between_the_orders_1_and_2():
    model = hl.Kirchhoff(TOP, G)
    Z, e = model.output_impedance(), RNG.normal(size=(4, 3))
    for kappa in (1e-7, 1e-4, 1.0):
        drive = hl.ResistorNudge(1.0, kappa).drive(np.zeros_like(e), e, np.ones(4))
        current = np.linalg.solve(np.eye(3) / kappa + Z, drive.values.T).T
        first, second = (hl.CurrentNudge(1.0, order=k).bound(Z).drive(e, e, np.ones(4)).values for k in (1, 2))
        parts = np.linalg.eigh(Z)[1]
        a, b, c = (each @ parts for each in (first, current, second))
        ratio = np.abs(b / a), np.abs(c / a)
        # relative to EP, modes of small impedance gain, by less than with a clamp
        spread = [float(np.ptp(np.log(each), axis=1).max()) for each in ratio]
        assert 0 <= spread[0] <= spread[1] * (1 + 1e-9)


def test_auto_strength_and_a_fixed_one_stay_within_the_limits():
    tight = hl.Limits("1 V", "2 V", "20 mV", "50 uA", ("1 uS", "1 mS"))
    model = hl.Kirchhoff(TOP, G)
    for order in (0.5, 1.5, 2.5):
        with KirchhoffTwin(TOP, tight) as twin:
            twin.program(G)
            rule = hl.GEP(order=order)
            phases = rule.gradient(hl.GradientRequest(twin, model, X * 0.02, Y * 0.02, hl.MSE())).phases
            moved = phases.plus.voltages - phases.free.voltages
            assert 0 < np.abs(moved).max() <= 20e-3
            assert np.abs(phases.plus.output_currents).max() <= 50e-6
            strong = hl.GEP(hl.CurrentNudge(1e3), order=order)
            with pytest.raises(hl.HwlearnError, match="current"):
                strong.gradient(hl.GradientRequest(twin, model, X * 0.02, Y, hl.MSE()))


def test_nonlinear_elements_use_the_impedance_of_each_sample():
    top = TOP.with_elements(Sinh(0.3))
    model = hl.Kirchhoff(top, G)
    V, Z = model.solve(X), model.output_impedance(X)
    turned = np.array(
        [fractional_matrix_power(z, -0.5).real @ e for z, e in zip(Z, V[:, top.outputs] - Y, strict=True)]
    )
    found = gradient(hl.GEP(hl.CurrentNudge(1e-8), order=1.5), top)
    np.testing.assert_allclose(found, model.gradient_at(V, turned), rtol=1e-3, atol=1e-6 * np.abs(found).max())


@pytest.mark.parametrize("order", ["2", float("nan"), float("inf"), True, [1]])
def test_wrong_orders_are_refused(order):
    with pytest.raises(hl.HwlearnError, match="order"):
        hl.GEP(order=order)
    with pytest.raises(hl.HwlearnError, match="order"):
        hl.CurrentNudge(order=order)


def test_orders_that_do_not_exist_are_refused_with_a_reason():
    with pytest.raises(hl.HwlearnError, match="ResistorNudge has no order"):
        hl.GEP("resistor", order=1.5)
    with pytest.raises(hl.HwlearnError, match="give one"):
        hl.GEP(hl.ClampNudge(metric="impedance"), order=1.5)
    with pytest.raises(hl.HwlearnError, match="metric='impedance' is order 1, and order=2 is given too"):
        hl.GEP(hl.ClampNudge(metric="impedance"), order=2)
    assert hl.GEP(hl.ClampNudge(metric="impedance"), order=1).nudge.order == 1
    assert (hl.ClampNudge().order, hl.ClampNudge(metric="impedance").order) == (2, 1)
    keys = ["train.rule=gep", "train.nudge=current", "train.epochs=2"]
    odd = hl.open_bench("xor-nmos", [*keys, "train.order=1.5"])
    with odd, pytest.raises(hl.HwlearnError, match="not reciprocal"):
        odd.train(record=False, progress=False)
    with hl.open_bench("xor-nmos", [*keys, "train.order=2"]) as bench:
        assert len(bench.train(record=False, progress=False).epochs) == 2


@pytest.mark.parametrize("of_each_sample", [False, True])
def test_products_with_impedances_that_are_not_symmetric(of_each_sample):
    """Those of transistors; one row of the product is the sum over the columns of the matrix."""
    Z = RNG.normal(size=(4, 3, 3) if of_each_sample else (3, 3))
    vectors = RNG.normal(size=(4, 3))
    expected = [(Z[s] if of_each_sample else Z) @ vectors[s] for s in range(4)]
    np.testing.assert_allclose(impedance_power(Z, 1, vectors), expected)
    np.testing.assert_allclose(impedance_power(Z, -1, impedance_power(Z, 1, vectors)), vectors)


@pytest.mark.parametrize(("nudge", "order"), [("clamp", 1), ("current", 0), ("clamp", 2), ("current", 1)])
def test_whole_orders_on_transistors_of_several_outputs(nudge, order):
    keys = {"train.rule": "gep", "train.nudge": nudge, "train.order": order, "train.epochs": 1, "train.batch": 8}
    with hl.open_bench("digits-hidden-nmos", {**keys, "data.test_fraction": 0.99}) as bench:
        assert bench.train(record=False, progress=False).stopped == "finished"
