"""Rules against the exact gradient of Kirchhoff's laws."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import NetworkError, SetupError
from hwlearn_sim import Imperfections, KirchhoffTwin


def relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


@pytest.fixture
def exact(small):
    """Return the model and the exact gradient of the mean-square cost."""
    top, g, x, y = small
    model = hl.Kirchhoff(top, g)
    return model, model.gradient(x, model.solve(x)[:, top.outputs] - y)


@pytest.fixture
def unlimited(small):
    """Return a twin of the small network whose limits allow even the strongest nudge."""
    limits = hl.Limits(voltage=1e5, drop=1e6, nudge=1e5, current=1e3, conductance=(1e-6, 1e-4))
    twin = KirchhoffTwin(small[0], limits)
    twin.program(small[1])
    return twin


def test_symmetric_ep_is_exact_at_every_strength(small, exact, unlimited, figure):
    _, _, x, y = small
    model, gradient = exact
    errors = []
    for beta in np.logspace(-8, -2, 25):
        found = hl.EquilibriumPropagation(beta).gradient(hl.GradientRequest(unlimited, model, x, y, hl.MSE()))
        errors.append(relative(found.values, gradient))
    figure(f"symmetric EP against the exact gradient, 1e-8 to 1e-2 S: at most {max(errors):.1e} (required 1e-8)")
    assert max(errors) <= 1e-8


def test_bias_of_one_sided_ep_grows_linearly(small, exact, unlimited, figure):
    _, _, x, y = small
    model, gradient = exact
    betas = np.logspace(-8, -5, 7)
    bias = [
        relative(
            hl.EquilibriumPropagation(b, symmetric=False)
            .gradient(hl.GradientRequest(unlimited, model, x, y, hl.MSE()))
            .values,
            gradient,
        )
        for b in betas
    ]
    slope = np.polyfit(np.log(betas), np.log(bias), 1)[0]
    figure(f"one-sided EP bias grows with slope {slope:.4f} (required 1 +- 0.05)")
    assert slope == pytest.approx(1.0, abs=0.05)
    assert bias[0] < 1e-3 < bias[-1]


def test_each_nudge_gives_the_gradient_of_its_formula(small, exact, ideal_twin):
    top, _, x, y = small
    model, gradient = exact
    Z = model.output_impedance()
    e = model.solve(x)[:, top.outputs] - y
    for nudge, error in [
        (hl.CurrentNudge(), e),
        (hl.ClampNudge(), np.linalg.solve(Z, e.T).T),
        (hl.ClampNudge(metric="impedance"), e),
        (hl.ResistorNudge(kappa=2e-5), np.linalg.solve(np.eye(3) / 2e-5 + Z, e.T).T),
    ]:
        found = hl.GEP(nudge).gradient(hl.GradientRequest(ideal_twin, model, x, y, hl.MSE()))
        assert found.skipped == 0
        expected = model.gradient(x, error)
        if nudge.kind == "current" or getattr(nudge, "metric", "") == "impedance":
            np.testing.assert_allclose(expected, gradient)
        assert relative(found.values, expected) < 1e-9


def test_ep_and_cl_are_gep_with_their_nudges():
    ep, cl = hl.EquilibriumPropagation(1e-6, symmetric=False), hl.CoupledLearning(0.1, readout="nodes")
    assert isinstance(ep, hl.GEP)
    assert isinstance(ep.nudge, hl.CurrentNudge)
    assert ep.nudge.strength == 1e-6
    assert not ep.symmetric
    assert isinstance(cl.nudge, hl.ClampNudge)
    assert cl.nudge.strength == 0.1
    assert cl.readout == "nodes"


@pytest.mark.parametrize("nudge", [hl.ClampNudge(), hl.CurrentNudge(), hl.ResistorNudge()], ids=lambda n: n.kind)
def test_gep_accepts_a_nudge_by_name(small, exact, ideal_twin, nudge):
    _, _, x, y = small
    request = hl.GradientRequest(ideal_twin, exact[0], x, y, hl.MSE())
    assert type(hl.GEP(nudge.kind).nudge) is type(nudge)
    np.testing.assert_array_equal(
        hl.GEP(nudge.kind).gradient(request).values, hl.GEP(nudge).gradient(request).values
    )


@pytest.mark.parametrize(
    ("nudge", "message"),
    [
        ("clampp", "nudge must be 'clamp', 'current', 'resistor' or a Nudge object, got 'clampp'"),
        (hl.ClampNudge, "nudge must be a Nudge object, got the class ClampNudge itself; call it"),
        (0.1, "nudge must be a Nudge object, got 0.1"),
    ],
)
def test_gep_rejects_other_nudges_at_once(nudge, message):
    with pytest.raises(SetupError) as caught:
        hl.GEP(nudge)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [{"symmetric": "yes"}, {"symmetric": None}]
    + [{"model_error": value} for value in (True, "0.2", -1.0, np.nan, np.inf, None)],
)
def test_gep_rejects_flags_and_errors_of_the_wrong_type(changes):
    with pytest.raises(SetupError, match=next(iter(changes))):
        hl.GEP("clamp", **changes)


@pytest.mark.parametrize(
    "changes", [{"perturbation": "auto"}, {"perturbation": True}, {"repeats": 1.5}, {"seed": -1}]
)
def test_spsa_rejects_values_of_the_wrong_type(changes):
    with pytest.raises(SetupError, match=f"SPSA {next(iter(changes))}"):
        hl.SPSA(**changes)


def test_contrast_conserves_the_scale_sum(small, exact, ideal_twin):
    """The sum over edges of g_k G_k is zero for the symmetric contrast with voltage-driven inputs."""
    _, g, x, y = small
    for nudge in (hl.CurrentNudge(), hl.ClampNudge()):
        values = hl.GEP(nudge).gradient(hl.GradientRequest(ideal_twin, exact[0], x, y, hl.MSE())).values
        assert abs(g @ values) <= 1e-12 * np.abs(g * values).sum()


def test_node_readout_equals_output_readout_with_an_exact_model(small, exact, wide_limits):
    top, g, x, y = small
    twin = KirchhoffTwin(top, wide_limits, node_readout=True)
    twin.program(g)
    for nudge in (hl.CurrentNudge(), hl.ClampNudge(), hl.ResistorNudge(kappa=1e-4)):
        outputs = hl.GEP(nudge).gradient(hl.GradientRequest(twin, exact[0], x, y, hl.MSE())).values
        nodes = hl.GEP(nudge, readout="nodes").gradient(hl.GradientRequest(twin, exact[0], x, y, hl.MSE())).values
        assert relative(outputs, nodes) < 1e-9


def test_computed_nudges_equal_measured_nudges_with_an_exact_model(small, exact, ideal_twin):
    _, _, x, y = small
    for nudge in (hl.CurrentNudge(), hl.ClampNudge(), hl.ResistorNudge(kappa=1e-4)):
        measured = hl.GEP(nudge).gradient(hl.GradientRequest(ideal_twin, exact[0], x, y, hl.MSE())).values
        before = ideal_twin.measurements
        computed = (
            hl.GEP(nudge, nudged="computed")
            .gradient(hl.GradientRequest(ideal_twin, exact[0], x, y, hl.MSE()))
            .values
        )
        assert ideal_twin.measurements - before == len(x)  # the free phase alone
        assert relative(computed, measured) < 1e-9


def test_analytic_rule_is_exact_with_an_exact_model(small, exact, ideal_twin):
    _, _, x, y = small
    found = hl.Analytic().gradient(hl.GradientRequest(ideal_twin, exact[0], x, y, hl.MSE()))
    assert relative(found.values, exact[1]) < 1e-10


@pytest.mark.parametrize("cost", [hl.CrossEntropy(0.05), hl.Hinge(0.1)])
def test_classification_costs_give_the_exact_gradient(small, exact, ideal_twin, cost):
    top, _, x, _ = small
    labels = np.arange(len(x)) % 3
    model = exact[0]
    expected = model.gradient(x, cost.error(model.solve(x)[:, top.outputs], labels))
    found = hl.EquilibriumPropagation().gradient(hl.GradientRequest(ideal_twin, model, x, labels, cost))
    assert relative(found.values, expected) < 1e-8


def test_spsa_approximates_the_gradient_and_restores_conductances(small, exact, ideal_twin):
    _, g, x, y = small
    rule = hl.SPSA(perturbation=0.002, repeats=400, seed=1)
    found = rule.gradient(hl.GradientRequest(ideal_twin, exact[0], x, y, hl.MSE()))
    assert cosine(found.values, exact[1]) > 0.9
    np.testing.assert_array_equal(ideal_twin.true_conductances, g)  # restored


def test_spsa_changes_only_trainable_edges_within_the_range(small, exact, ideal_twin, mocker):
    _, g, x, y = small
    model = exact[0].with_conductances(np.clip(g, 1e-6, 1e-4))
    trainable = np.zeros(30, dtype=bool)
    trainable[[3, 7]] = True
    programmed = mocker.spy(ideal_twin, "_program")
    found = hl.SPSA(0.5, repeats=3).gradient(hl.GradientRequest(ideal_twin, model, x, y, hl.MSE(), trainable))
    assert set(np.flatnonzero(found.values)) == {3, 7}
    for call in programmed.call_args_list:
        np.testing.assert_array_equal(call.args[0][~trainable], g[~trainable])
        assert ((call.args[0] >= 1e-6) & (call.args[0] <= 1e-4)).all()


def test_measured_current_helps_with_nudges_below_the_read_noise(reference, wide_limits):
    """A nudge below the read noise is not visible in the voltages, but its current is known."""
    top, x, y = reference(1)
    g = np.full(top.n_edges, 3e-5)
    model = hl.Kirchhoff(top, g)
    exact = model.gradient(x, model.solve(x)[:, top.outputs] - y)
    twin = KirchhoffTwin(top, wide_limits, Imperfections(device_spread=0.1, read_noise_V=1e-3), seed=2)
    twin.program(g)
    weak = hl.CurrentNudge(1e-8)  # moves the outputs by tens of microvolts

    def mean_cosine(model_error):
        rule = hl.GEP(weak, model_error=model_error)
        return np.mean(
            [
                cosine(rule.gradient(hl.GradientRequest(twin, model, x, y, hl.MSE())).values, exact)
                for _ in range(10)
            ]
        )

    assert mean_cosine(0.2) > 0.95
    assert mean_cosine(1e9) < 0.5  # the current is ignored


def test_saturated_samples_are_excluded_and_counted(small, exact, wide_limits):
    top, g, x, y = small
    free = hl.Kirchhoff(top, g).solve(x)[:, top.outputs]
    low, high = free - 0.1 * (free - y), free + 0.1 * (free - y)
    largest = np.abs(np.stack([free, low, high])).max(axis=(0, 2))
    adc_range = float(np.median(largest))  # half of the samples exceed it in some phase
    inside = largest < adc_range
    assert 0 < inside.sum() < len(x)
    twin = KirchhoffTwin(top, wide_limits, Imperfections(adc_range_V=adc_range))
    twin.program(g)
    result = hl.CoupledLearning(0.1).gradient(hl.GradientRequest(twin, exact[0], x, y, hl.MSE()))
    assert result.skipped == (~inside).sum()
    alone = hl.CoupledLearning(0.1).gradient(hl.GradientRequest(twin, exact[0], x[inside], y[inside], hl.MSE()))
    np.testing.assert_allclose(result.values * len(x), alone.values * inside.sum())


def test_unsupported_rule_options_are_rejected(small, exact, ideal_twin):
    _, _, x, y = small
    with pytest.raises(NetworkError, match="reads only its outputs"):
        hl.GEP(readout="nodes").gradient(hl.GradientRequest(ideal_twin, exact[0], x, y, hl.MSE()))
    for options in ({"readout": "inputs"}, {"nudged": "guessed"}, {"nudged": "computed", "readout": "nodes"}):
        with pytest.raises(SetupError):
            hl.GEP(**options)
    with pytest.raises(SetupError):
        hl.SPSA(perturbation=0)


def test_gradient_contains_all_readings(small, exact, ideal_twin):
    _, _, x, y = small
    readings = hl.GEP().gradient(hl.GradientRequest(ideal_twin, exact[0], x, y, hl.MSE())).readings
    assert {"free_voltages", "plus_voltages", "minus_voltages", "error", "strength"} <= set(readings)
    assert readings["plus_voltages"].shape == (6, 3)
