"""Costs of differences of outputs: their errors, and every rule and nudge with them."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.circuit.elements import OHMIC, IdealDiode, Shockley, Sinh
from hwlearn.errors import DataError, LimitError, SetupError
from hwlearn.learning.scoring import score_outputs
from hwlearn_sim import Imperfections, KirchhoffTwin

RNG = np.random.default_rng(3)
OUT = RNG.normal(0, 0.05, (7, 6))
SHAPES = {
    "disjoint": [(0, 1), (2, 3), (5, 4)],
    "common reference": [(0, 5), (1, 5), (4, 5)],
    "chain": [(0, 1), (1, 2), (2, 3)],
    "loop": [(0, 1), (1, 2), (2, 0)],
}
LABELS = np.array([0, 1, 2, 0, 1, 2, 0])
COSTS = {
    "mse": (hl.MSE(), RNG.normal(0, 0.05, (7, 3))),
    "cross-entropy": (hl.CrossEntropy(0.02), LABELS),
    "hinge": (hl.Hinge(0.03), LABELS),
}


@pytest.fixture(params=[[(0, 1)], [(2, 0)], [(0, 1), (2, 1)]], ids=["one pair", "reversed pair", "reference"])
def paired(request, small):
    """Return the ideal model of the small network, samples, a differential cost and its targets."""
    top, g, x, _ = small
    cost = hl.Differential(hl.MSE(), request.param)
    targets = np.random.default_rng(2).uniform(-0.2, 0.2, (len(x), len(request.param)))
    return hl.Kirchhoff(top, g), x, cost, targets


def relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def numeric_gradient(model, x, cost, targets):
    """Return dC/dg (E,), mean over samples, by central differences of solved circuits."""
    outputs, found = model.topology.outputs, np.empty(model.topology.n_edges)
    for k, g in enumerate(model.conductances):
        costs = []
        for sign in (1, -1):
            changed = model.conductances.copy()
            changed[k] = g * (1 + sign * 1e-5)
            volts = model.with_conductances(changed).solve(x)[:, outputs]
            costs.append(cost.values(volts, targets).mean())
        found[k] = (costs[0] - costs[1]) / (2e-5 * g)
    return found


# --- the cost ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("inner", COSTS)
def test_error_is_the_derivative_of_the_cost(inner, shape):
    cost, targets = COSTS[inner]
    cost = hl.Differential(cost, SHAPES[shape])
    step = 1e-7
    numeric = np.empty_like(OUT)
    for j in range(OUT.shape[1]):
        moved = np.zeros_like(OUT)
        moved[:, j] = step
        numeric[:, j] = (cost.values(OUT + moved, targets) - cost.values(OUT - moved, targets)) / (2 * step)
    np.testing.assert_allclose(cost.error(OUT, targets), numeric, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("inner", COSTS)
def test_cost_is_that_of_fictitious_outputs_at_the_differences(inner):
    """Values and scores equal those of a single-ended cost whose outputs are the differences."""
    single, targets = COSTS[inner]
    cost = hl.Differential(single, SHAPES["disjoint"])
    fictitious = np.stack([OUT[:, 0] - OUT[:, 1], OUT[:, 2] - OUT[:, 3], OUT[:, 5] - OUT[:, 4]], axis=1)
    np.testing.assert_array_equal(cost.values(OUT, targets), single.values(fictitious, targets))
    assert score_outputs(cost, OUT, targets) == score_outputs(single, fictitious, targets)
    common = RNG.normal(0, 0.3, (7, 3)).repeat(2, axis=1)  # moves both outputs of a pair alike
    np.testing.assert_allclose(cost.values(OUT + common, targets), cost.values(OUT, targets), rtol=1e-9)


def test_gradient_is_that_of_a_circuit_whose_output_is_the_difference(small):
    """A copy of the circuit with opposite inputs and two large resistors give half of the difference at one node.

    The circuit is ohmic, so output b of the copy is at -V_b; the middle of resistors from a and from there is at
    (V_a - V_b) / 2. The cost of this node is a quarter of that of the difference, up to the load of the resistors.
    """
    top, g, x, _ = small
    n, (a, b) = top.n_nodes, top.outputs[:2]
    both = hl.Topology(
        2 * n + 1,
        np.concatenate([top.edges, top.edges + n]),
        np.concatenate([top.inputs, top.inputs + n]),
        [2 * n],
        fixed_edges=[(a, 2 * n), (b + n, 2 * n)],
        fixed_conductances=[1e-12, 1e-12],
    )
    y = np.random.default_rng(1).uniform(-0.2, 0.2, (len(x), 1))
    doubled, x2 = hl.Kirchhoff(both, np.concatenate([g, g])), np.concatenate([x, -x], axis=1)
    single = doubled.gradient(x2, doubled.solve(x2)[:, both.outputs] - y / 2)
    model, cost = hl.Kirchhoff(top, g), hl.Differential(hl.MSE(), [(0, 1)])
    gradient = model.gradient(x, cost.error(model.solve(x)[:, top.outputs], y))
    assert relative(4 * (single[: len(g)] + single[len(g) :]), gradient) < 1e-5


def test_differences_of_differences_are_a_cost_too():
    inner = hl.Differential(hl.MSE(), [(0, 1)])
    cost = hl.Differential(inner, [(0, 1), (2, 3)])
    y = np.zeros((7, 1))
    second = OUT[:, 0] - OUT[:, 1] - OUT[:, 2] + OUT[:, 3]
    np.testing.assert_allclose(cost.values(OUT, cost.checked_targets(y, 7, 6)), 0.5 * second**2)
    assert score_outputs(cost, OUT, y).rms_error_V == pytest.approx(np.sqrt((second**2).mean()))


def test_hinge_margin_is_a_margin_of_differences():
    cost = hl.Differential(hl.Hinge(0.02), [(0, 1), (2, 3)])
    wins_by_15_mV = np.array([[0.10, 0.05, 0.20, 0.165]])
    assert cost.values(wins_by_15_mV, np.array([0])) == pytest.approx(0.005)
    np.testing.assert_array_equal(cost.error(wins_by_15_mV, np.array([0])), [[-1, 1, 1, -1]])
    wins_by_25_mV = np.array([[0.10, 0.05, 0.20, 0.175]])
    assert cost.values(wins_by_25_mV, np.array([0])) == 0
    assert not cost.error(wins_by_25_mV, np.array([0])).any()


@pytest.mark.parametrize(
    ("cost", "targets", "message"),
    [
        (hl.MSE(), np.zeros((7, 6)), r"targets must be volts of shape \(7, 3\).*those of 3 pairs of outputs"),
        (hl.MSE(), np.zeros(7), r"shape \(7, 3\)"),
        (hl.MSE(), np.full((7, 3), np.nan), "NaN"),
        (hl.CrossEntropy(), [0, 1, 2, 3, 0, 1, 2], "from 0 to 2.*those of 3 pairs of outputs"),
        (hl.CrossEntropy(), np.eye(6)[:, [0, 1, 2, 3, 4, 5]], "those of 3 pairs"),
        (hl.Hinge(), LABELS - 1, "from 0 to 2"),
        (hl.Hinge(), LABELS + 0.5, "from 0 to 2"),
    ],
)
def test_targets_are_those_of_the_pairs(cost, targets, message):
    with pytest.raises(DataError, match=message):
        hl.Differential(cost, SHAPES["disjoint"]).checked_targets(targets, 7, 6)


def test_one_hot_rows_have_a_column_for_each_pair():
    cost = hl.Differential(hl.CrossEntropy(), SHAPES["disjoint"])
    np.testing.assert_array_equal(cost.checked_targets(np.eye(3)[LABELS], 7, 6), LABELS)
    assert cost.classifies
    assert not hl.Differential(hl.MSE(), [(0, 1)]).classifies


def test_cost_must_be_an_object_and_pairs_must_fit(ideal_twin, small):
    with pytest.raises(SetupError, match="cost must be a Cost object, got the class MSE itself; call it"):
        hl.Differential(hl.MSE, [(0, 1)])
    with pytest.raises(DataError, match="pair 0 of outputs is output 1 with itself"):
        hl.Differential(hl.MSE(), [(1, 1)])
    trainer = hl.Trainer(ideal_twin, hl.Analytic(), hl.Differential(hl.MSE(), [(0, 3)]), hl.Adam())
    with pytest.raises(DataError, match=r"pair 0 of outputs is \[0, 3\], but the network has 3 outputs"):
        trainer.fit(small[2], np.zeros((6, 1)), 1)
    assert ideal_twin.measurements == 0


# --- rules ------------------------------------------------------------------------------------------


def test_exact_gradient_is_that_of_central_differences(paired):
    model, x, cost, targets = paired
    error = cost.error(model.solve(x)[:, model.topology.outputs], targets)
    assert relative(model.gradient(x, error), numeric_gradient(model, x, cost, targets)) < 1e-7


def test_each_nudge_gives_the_gradient_of_its_formula(paired, ideal_twin):
    model, x, cost, targets = paired
    Z, n = model.output_impedance(), model.topology.n_outputs
    e = cost.error(model.solve(x)[:, model.topology.outputs], targets)
    for nudge, error in [
        (hl.CurrentNudge(), e),
        (hl.ClampNudge(), np.linalg.solve(Z, e.T).T),
        (hl.ClampNudge(metric="impedance"), e),
        (hl.ResistorNudge(kappa=2e-5), np.linalg.solve(np.eye(n) / 2e-5 + Z, e.T).T),
    ]:
        for nudged in ("measured", "computed"):
            rule = hl.GEP(nudge, nudged=nudged)
            found = rule.gradient(hl.GradientRequest(ideal_twin, model, x, targets, cost))
            assert found.skipped == 0
            assert relative(found.values, model.gradient(x, error)) < 1e-9
            np.testing.assert_allclose(found.costs, cost.values(found.outputs, targets))


@pytest.mark.parametrize("nudge", ["clamp", "current", "resistor"])
def test_node_readout_equals_output_readout(paired, small, wide_limits, nudge):
    model, x, cost, targets = paired
    twin = KirchhoffTwin(small[0], wide_limits, node_readout=True)
    twin.program(small[1])
    found = [
        hl.GEP(nudge, readout=readout).gradient(hl.GradientRequest(twin, model, x, targets, cost)).values
        for readout in ("outputs", "nodes")
    ]
    assert relative(found[0], found[1]) < 1e-9


def test_analytic_gives_the_exact_gradient(paired, ideal_twin):
    model, x, cost, targets = paired
    found = hl.Analytic().gradient(hl.GradientRequest(ideal_twin, model, x, targets, cost))
    assert relative(found.values, numeric_gradient(model, x, cost, targets)) < 1e-7


def test_spsa_points_along_the_exact_gradient(paired, ideal_twin):
    model, x, cost, targets = paired
    request = hl.GradientRequest(ideal_twin, model, x, targets, cost)
    found = hl.SPSA(0.002, repeats=150, seed=1).gradient(request).values
    exact = numeric_gradient(model, x, cost, targets)
    # with 30 edges, a mean of 150 directions has a cosine of sqrt(150 / 180) = 0.91
    assert found @ exact / np.linalg.norm(found) / np.linalg.norm(exact) > 0.8


@pytest.mark.parametrize(
    "elements",
    [[Sinh(0.2)] * 30, [(OHMIC, Sinh(0.2), Shockley(0.15), IdealDiode(leak=0.1))[k % 4] for k in range(30)]],
    ids=["sinh", "mixed"],
)
def test_small_current_nudge_gives_the_gradient_of_nonlinear_elements(small, wide_limits, elements):
    top, g, x, _ = small
    cost = hl.Differential(hl.MSE(), [(0, 1), (2, 1)])
    targets = np.random.default_rng(2).uniform(-0.2, 0.2, (len(x), 2))
    model = hl.Kirchhoff(top.with_elements(elements), g)
    twin = KirchhoffTwin(model.topology, wide_limits)
    twin.program(model.conductances)
    exact = numeric_gradient(model, x, cost, targets)
    request = hl.GradientRequest(twin, model, x, targets, cost)
    assert relative(hl.Analytic().gradient(request).values, exact) < 1e-5
    assert relative(hl.EquilibriumPropagation(1e-8).gradient(request).values, exact) < 1e-3


# --- nudges on both outputs --------------------------------------------------------------------------


def test_clamp_of_half_strength_holds_the_difference_at_its_target(small, ideal_twin):
    """Each output moves by half of the error, in opposite directions; the third output is held where it was."""
    x = small[2]
    cost, y = hl.Differential(hl.MSE(), [(0, 2)]), np.full((len(x), 1), 0.05)
    phases = ideal_twin.two_phase(x, cost.signal(y), hl.ClampNudge(0.5))
    free, plus = phases.free.voltages, phases.plus.voltages
    np.testing.assert_allclose(plus[:, 0] - plus[:, 2], 0.05, atol=1e-12)
    np.testing.assert_allclose(plus[:, 0] + plus[:, 2], free[:, 0] + free[:, 2], atol=1e-12)
    np.testing.assert_allclose(plus[:, 1], free[:, 1], atol=1e-12)


@pytest.mark.parametrize("nudge", [hl.ClampNudge(), hl.CurrentNudge(), hl.ResistorNudge()], ids=lambda n: n.kind)
@pytest.mark.parametrize("pairs", [[(0, 2)], [(0, 2), (1, 2)]], ids=["pair", "reference"])
def test_automatic_strength_keeps_both_outputs_within_the_limits(small, nudge, pairs):
    """No output leaves the limits although both move, and one of them uses what the limits allow."""
    top, g, x, _ = small
    limits = hl.Limits(voltage=0.45, drop=0.8, nudge=0.03, current=1e-3, conductance=(1e-6, 1e-4))
    twin = KirchhoffTwin(top, limits)
    twin.program(g)
    cost, model = hl.Differential(hl.MSE(), pairs), hl.Kirchhoff(top, g)
    phases = twin.two_phase(
        x, cost.signal(np.full((len(x), len(pairs)), 0.1)), nudge.bound(model.output_impedance())
    )
    assert (phases.strength > 0).all()
    for side in (phases.plus, phases.minus):
        moved = np.abs(side.voltages - phases.free.voltages)
        assert moved.max() <= limits.nudge * (1 + 1e-9)
        assert (np.abs(side.voltages) <= limits.voltage).all()
    moved = np.abs(phases.plus.voltages - phases.free.voltages)
    assert (moved.max(axis=1) > 0.2 * limits.nudge).all()


def test_fixed_strength_that_moves_the_second_output_too_far_is_refused(small):
    top, g, x, _ = small
    limits = hl.Limits(voltage=1.0, drop=2.0, nudge=0.05, current=1e-3, conductance=(1e-6, 1e-4))
    twin = KirchhoffTwin(top, limits)
    twin.program(g)
    far = hl.Differential(hl.MSE(), [(0, 1), (2, 1)]).signal(np.full((len(x), 2), 0.3))
    with pytest.raises(LimitError, match="nudge"):
        twin.two_phase(x, far, hl.ClampNudge(0.5))


@pytest.mark.parametrize(("factor", "skipped"), [(1.3, True), (1.5, False)])
def test_difference_is_resolved_from_root_two_resolutions(small, wide_limits, factor, skipped):
    """Errors of a difference are skipped up to sqrt(2) times the resolution of one reading."""
    top, g, x, _ = small
    twin = KirchhoffTwin(top, wide_limits)
    twin.program(g)
    twin.resolution = 1e-3
    cost = hl.Differential(hl.MSE(), [(0, 1)])
    volts = twin.measure(x).voltages
    signal = cost.signal(volts[:, [0]] - volts[:, [1]] - factor * twin.resolution)
    phases = twin.two_phase(x, signal, hl.ClampNudge())
    assert phases.skipped.all() if skipped else not phases.skipped.any()
    assert cost.least_error(1e-3) == pytest.approx(1.41421356e-3)
    assert hl.Differential(hl.Hinge(), [(0, 1)]).least_error(1e-3) == 0


def test_read_noise_of_a_difference_is_root_two_times_larger(small, wide_limits):
    top, g, x, _ = small
    twin = KirchhoffTwin(top, wide_limits, Imperfections(read_noise_V=1e-3), seed=4)
    twin.program(g)
    many = np.tile(x, (400, 1))
    true = twin.true_outputs(many)
    cost = hl.Differential(hl.MSE(), [(0, 1)])
    score = score_outputs(cost, twin.measure(many).voltages, true[:, [0]] - true[:, [1]])
    assert score.rms_error_V == pytest.approx(np.sqrt(2) * 1e-3, rel=0.05)


def test_training_fits_differences_that_a_network_can_give(small, bench_limits):
    top, g, x, _ = small
    twin = KirchhoffTwin(top, bench_limits)
    teacher = hl.Kirchhoff(top, g).solve(x)[:, top.outputs]
    cost = hl.Differential(hl.MSE(), [(0, 1), (2, 1)])
    y = teacher[:, [0, 2]] - teacher[:, [1]]
    trainer = hl.Trainer(twin, hl.CoupledLearning(), cost, hl.Adam(0.08, scale="log"))
    before = trainer.evaluate(x, y).rms_error_V
    history = trainer.fit(x, y, hl.Schedule(150, anneal=0.02))
    assert history.epochs[-1].train.rms_error_V < 0.02 * before
