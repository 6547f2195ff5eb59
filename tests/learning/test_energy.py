"""Energy of a training against laws of circuits and central differences, and its account in records and runs."""

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.circuit.elements import IdealDiode, Ohmic, Sinh
from hwlearn.learning.energy import dissipated_power, power_gradient
from hwlearn.learning.health import HealthSettings
from hwlearn_sim import KirchhoffTwin
from hwlearn_sim.twin.memristive import MemristiveTwin, Memristors

LIMITS = hl.Limits("1 V", "2 V", "0.5 V", "10 mA", ("1 uS", "1 mS"))


def _circuit(kind):
    top = hl.Topology.random(10, 22, 3, 2, ground=0, seed=4)
    elements = {"resistors": None, "sinh": Sinh(0.2), "mixed": [Sinh(0.2)] * 11 + [Ohmic()] * 11}
    if kind == "fixed diode":
        edges = [(0, 1), (1, 2), (2, 3), (1, 4), (4, 3)]
        return hl.Topology(5, edges, [0], [2], 3, fixed_edges=[(2, 4)], fixed_conductances=[2e-4],
                           fixed_elements=IdealDiode())  # fmt: skip
    return top if elements[kind] is None else top.with_elements(elements[kind])


@pytest.mark.parametrize("kind", ["resistors", "sinh", "mixed", "fixed diode"])
def test_gradient_of_power_against_central_differences(kind):
    top, rng = _circuit(kind), np.random.default_rng(3)
    g = rng.uniform(2e-5, 5e-4, top.n_edges)
    x = rng.uniform(0.2, 0.9, (4, top.n_inputs))

    def power(values):
        model = hl.Kirchhoff(top, values)
        return dissipated_power(model, model.solve(x))

    model = hl.Kirchhoff(top, g)
    found = power_gradient(model, model.solve(x))
    expected = np.empty(top.n_edges)
    for k in range(top.n_edges):
        step = np.zeros(top.n_edges)
        step[k] = 1e-4 * g[k]
        expected[k] = (power(g + step) - power(g - step)) / (2 * step[k])
    assert np.linalg.norm(found - expected) < 1e-6 * np.linalg.norm(expected)


def test_power_weight_trades_error_for_power():
    top = hl.Topology.random(12, 26, 3, 2, ground=0, seed=1)
    x = np.random.default_rng(0).uniform(-0.8, 0.8, (6, 3))
    y = hl.Kirchhoff(top, np.geomspace(2e-5, 5e-4, 26)).solve(x)[:, top.outputs]
    powers, errors = [], []
    for weight in (0.0, 0.1, 10.0):
        with KirchhoffTwin(top, LIMITS) as twin:
            trainer = hl.Trainer(twin, hl.Analytic(), hl.MSE(power_weight=weight), hl.Adam(0.05))
            history = trainer.fit(x, y, 120)
        powers.append(history.epochs[-1].energy["inference_J"])
        errors.append(history.epochs[-1].train.rms_error_V)
    assert powers[2] < powers[1] < powers[0]
    assert errors[0] < errors[1] < errors[2]


def test_measured_and_modelled_energy_agree_and_name_their_source():
    top = hl.Topology.random(12, 26, 3, 2, seed=1)
    x = np.random.default_rng(0).uniform(-0.8, 0.8, (6, 3))
    found = {}
    for nudge in ("current", "clamp", "resistor"):
        for measured in (True, False):
            with KirchhoffTwin(top, LIMITS, current_readout=measured) as twin:
                rule = hl.GEP(nudge)
                history = hl.Trainer(twin, rule, hl.MSE(), hl.Adam(0.05)).fit(x, np.full((6, 2), 0.1), 3)
            found[measured] = history.energy
        assert found[True]["source"] == "measured"
        assert found[False]["source"] == "model"
        for name in ("free_J", "nudged_J", "training_J", "inference_J", "update_J"):
            assert found[True][name] == pytest.approx(found[False][name], rel=1e-9)


def test_account_of_a_known_circuit():
    """One volt across two resistors of 1 kohm in series for 60 us is 30 nJ."""
    divider = hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
    with KirchhoffTwin(divider, LIMITS, settle_s=50e-6, reading_s=10e-6) as twin:
        trainer = hl.Trainer(twin, hl.Analytic(), hl.MSE(), hl.SGD(1e-12), model=hl.Kirchhoff(divider, [1e-3] * 2))
        history = trainer.fit([[1.0]], [[0.5]], 4, validation=([[1.0]], [[0.5]]))
    energy = history.epochs[0].energy
    assert energy["inference_J"] == pytest.approx(1.0**2 * 0.5e-3 * 60e-6)
    assert energy["update_J"] == pytest.approx(3e-8)
    assert energy["free_J"] == pytest.approx(6e-8)  # the validation phase is in the total, not in the update
    assert (energy["inference_s"], energy["samples"], energy["updates"]) == (pytest.approx(60e-6), 2, 1)
    assert history.energy["training_J"] == pytest.approx(4 * 6e-8)
    assert (energy["durations"], energy["programming_J"]) == ("stated", None)


def test_pulses_are_counted_as_volts_amperes_and_seconds():
    top = hl.Topology.random(8, 14, 3, 2, seed=1)
    limits = hl.Limits(0.5, 1.0, 0.2, 1e-3, (5e-6, 5e-5))
    with MemristiveTwin(top, limits, Memristors()) as twin:
        siemens = twin.devices.read(3, 0.2)
        twin.devices.pulse(3, -1.3, 1e-4)
        first = 1.3**2 * siemens * 1e-4
        assert twin.pulse_totals == (pytest.approx(first), pytest.approx(1e-4))
        history = hl.Trainer(twin, hl.Analytic(), hl.MSE(), hl.Adam(0.05)).fit([[0.1, 0.2, 0.3]], [[0.1, 0.2]], 2)
        assert history.energy["programming_J"] == pytest.approx(twin.pulse_totals[0] - first)
        assert history.energy["programming_s"] > 0


def test_power_weight_is_refused_for_transistors_and_wrong_values():
    with pytest.raises(hl.HwlearnError, match="power_weight is -1"):
        hl.MSE(power_weight=-1)
    with hl.open_bench("xor-nmos") as bench, pytest.raises(hl.HwlearnError, match="without transistors"):
        hl.Trainer(bench.network, hl.Analytic(), hl.MSE(power_weight=1.0), hl.SGD(0.1))


FOLLOWING = {"EP": hl.GEP("current"), "impedance clamp": hl.GEP(hl.ClampNudge(metric="impedance")),
             "clamp of order 1": hl.GEP("clamp", order=1), "analytic": hl.Analytic()}  # fmt: skip
OTHERS = {"CL": hl.GEP("clamp"), "resistor": hl.GEP("resistor"), "order 1.5": hl.GEP(order=1.5)}


@pytest.mark.parametrize("rule", FOLLOWING.values(), ids=FOLLOWING)
def test_weighted_power_is_in_the_gradient_that_follows_the_cost(rule):
    top, weight = hl.Topology.random(10, 22, 3, 2, ground=0, seed=4), 40.0
    rng = np.random.default_rng(3)
    g, x, y = rng.uniform(2e-5, 5e-4, 22), rng.uniform(0.2, 0.9, (4, 3)), rng.uniform(0.1, 0.4, (4, 2))

    def cost(values):
        model = hl.Kirchhoff(top, values)
        V = model.solve(x)
        return hl.MSE().values(V[:, top.outputs], y).mean() + weight * dissipated_power(model, V)

    found = []

    class Note(hl.Callback):
        def on_gradient(self, epoch, number, samples, gradient):
            found.append(gradient.values)

    with KirchhoffTwin(top, LIMITS) as twin:
        trainer = hl.Trainer(twin, rule, hl.MSE(power_weight=weight), hl.SGD(1e-15), model=hl.Kirchhoff(top, g))
        trainer.fit(x, y, 1, callbacks=[Note()])
    steps = 1e-4 * np.diag(g)
    expected = [(cost(g + step) - cost(g - step)) / (2e-4 * g[k]) for k, step in enumerate(steps)]
    np.testing.assert_allclose(found[0], expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("rule", OTHERS.values(), ids=OTHERS)
def test_weighted_power_is_refused_where_the_contrast_has_other_units(rule):
    with KirchhoffTwin(hl.Topology.random(10, 22, 3, 2, seed=4), LIMITS) as twin:
        with pytest.raises(hl.HwlearnError, match="power_weight adds watts to the cost"):
            hl.Trainer(twin, rule, hl.MSE(power_weight=1.0), hl.SGD(0.1))
        hl.Trainer(twin, rule, hl.MSE(), hl.SGD(0.1))


def test_an_update_has_neither_the_initial_programming_nor_examinations_of_its_gradient():
    top, x, y = hl.Topology.random(8, 14, 3, 2, seed=1), [[0.1, 0.2, 0.3]], [[0.1, 0.2]]
    with MemristiveTwin(top, hl.Limits(0.5, 1.0, 0.2, 1e-3, (5e-6, 5e-5)), Memristors()) as twin:
        unchanged = hl.Trainer(twin, hl.Analytic(), hl.MSE(), hl.SGD(1e-15)).fit(x, y, 1).energy
    assert unchanged["programming_J"] > 5 * unchanged["update_J"]
    assert unchanged["training_J"] >= unchanged["programming_J"] + unchanged["free_J"]
    found = {}
    for action in ("off", "warn"):
        with KirchhoffTwin(top, LIMITS) as twin:
            rule, health = hl.GEP("current", symmetric=False), HealthSettings(action)
            trainer = hl.Trainer(twin, rule, hl.MSE(), hl.SGD(1e-15), health=health)
            found[action] = trainer.fit(x, y, 1).energy
    assert found["warn"]["update_J"] == pytest.approx(found["off"]["update_J"], rel=1e-9)
    assert found["warn"]["update_s"] == pytest.approx(found["off"]["update_s"], rel=1e-9)
    assert found["warn"]["training_J"] > 1.5 * found["off"]["training_J"]


@pytest.mark.parametrize("rule", [hl.Analytic(), hl.SPSA(0.2)], ids=["validation", "perturbed"])
def test_energy_of_the_model_is_that_of_the_values_which_were_measured(rule):
    top = hl.Topology.random(12, 26, 3, 2, seed=1)
    x = np.random.default_rng(0).uniform(-0.8, 0.8, (6, 3))
    found = []
    for measured in (True, False):
        with KirchhoffTwin(top, LIMITS, current_readout=measured) as twin:
            trainer = hl.Trainer(twin, rule, hl.MSE(), hl.Adam(0.5))
            found.append(trainer.fit(x, np.full((6, 2), 0.1), 2, validation=(x, np.full((6, 2), 0.1))).energy)
    for name in ("free_J", "training_J", "update_J"):
        assert found[1][name] == pytest.approx(found[0][name], rel=1e-9)


def test_pulses_at_both_copies_of_a_pair_are_counted():
    top, limits = hl.Topology.random(8, 14, 3, 2, seed=1), hl.Limits(0.5, 1.0, 0.2, 1e-3, (5e-6, 5e-5))
    copies = [MemristiveTwin(top, limits, Memristors(), seed=seed) for seed in (0, 1)]
    with hl.PairedNetwork(*copies) as pair:
        trainer = hl.Trainer(pair, hl.CoupledLearning(symmetric=False), hl.MSE(), hl.Adam(0.05))
        energy = trainer.fit([[0.1, 0.2, 0.3]], [[0.1, 0.2]], 2).energy
        joules, seconds = (sum(copy.pulse_totals[k] for copy in copies) for k in (0, 1))
    assert energy["programming_J"] == pytest.approx(joules)
    assert energy["programming_s"] == pytest.approx(seconds)
    with hl.PairedNetwork(KirchhoffTwin(top, limits), MemristiveTwin(top, limits, Memristors())) as mixed:
        assert mixed.pulse_totals is None
