"""Health of the gradient: laws of its figures, what its limits allow, and what a training does at an alarm."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest

import hwlearn as hl
from hwlearn import CurrentNudge
from hwlearn.circuit.elements import Custom, Sinh
from hwlearn.learning.health import HealthSettings, alarm_text
from hwlearn.learning.records import Callback, Schedule
from hwlearn_sim import Imperfections, KirchhoffTwin

LIMITS = hl.Limits("1 V", "2 V", "0.5 V", "10 mA", ("1 uS", "1 mS"))
CUBIC = Custom(lambda v, t: t * v + 1e-4 * v**3, lambda v, t: t + 3e-4 * v**2, lambda v, t: v, name="cubic")


def task(top, seed=0, samples=6):
    rng = np.random.default_rng([seed, 8])
    x = rng.uniform(-0.8, 0.8, (samples, top.n_inputs))
    g = np.exp(rng.uniform(np.log(2e-5), np.log(5e-4), top.n_edges))
    return x, hl.Kirchhoff(top, g).solve(x)[:, top.outputs]


def train(top, rule, epochs=1, flaws=None, seed=0, callbacks=(), schedule=None, start=None, **keys):
    x, y = task(top, seed)
    options = {name: keys.pop(name) for name in ("node_readout", "current_readout") if name in keys}
    with KirchhoffTwin(top, LIMITS, flaws or Imperfections(), seed=seed, **options) as twin:
        trainer = hl.Trainer(twin, rule, hl.MSE(), hl.Adam(0.05), **keys)
        return trainer.fit(x, y, schedule or epochs, callbacks=callbacks, start=start)


def health(*args, **keys):
    return train(*args, **keys).epochs[0].health


GRAPHS = {
    "resistors": hl.Topology.random(12, 26, 3, 2, seed=1),
    "grounded": hl.Topology.random(12, 26, 3, 2, ground=0, seed=1),
    "sinh": hl.Topology.random(12, 26, 3, 2, seed=1).with_elements(Sinh(0.3)),
    "wires": hl.Topology.crossbar(5, 4, inputs=[0, 1, 2], outputs=[0, 1], wire_resistance=50.0),
}


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("nudge", ["current", "clamp", "resistor"])
def test_scaling_all_conductances_moves_no_output(name, nudge):
    strength = {"current": 1e-7, "clamp": 1e-3, "resistor": 1e-3}[nudge]  # the bias of sinh grows with its square
    kinds = {"current": hl.CurrentNudge, "clamp": hl.ClampNudge, "resistor": hl.ResistorNudge}
    found = health(GRAPHS[name], hl.GEP(kinds[nudge](strength)))
    assert found["scale_invariance"] < 1e-5
    assert not found["alarms"]


def test_sum_without_the_wires_is_not_zero():
    top = GRAPHS["wires"]
    x, y = task(top)
    g = np.full(top.n_edges, 3e-4)
    G = hl.Kirchhoff(top, g).gradient(x, hl.Kirchhoff(top, g).solve(x)[:, top.outputs] - y)
    assert abs(g @ G) > 1e-3 * np.linalg.norm(g) * np.linalg.norm(G)


@pytest.mark.parametrize("rule", [hl.Analytic(), hl.SPSA(), hl.GEP()], ids=["analytic", "spsa", "gep"])
def test_scale_invariance_is_not_applicable_where_it_says_nothing(rule):
    top = GRAPHS["resistors"]
    if isinstance(rule, hl.GEP):  # an element with a current that does not scale with its value
        top = top.with_elements(CUBIC)
    assert health(top, rule)["scale_invariance"] == "not applicable"


def test_transistors_have_no_scale_invariance_but_agree_with_their_model():
    with hl.open_bench("xor-nmos", ["train.rule=gep", "train.nudge=clamp", "train.epochs=1"]) as bench:
        found = bench.train(record=False, progress=False).epochs[0].health
    assert found["scale_invariance"] == "not applicable"
    assert found["contrast_agreement"] > 0.99


@pytest.mark.parametrize("readout", ["outputs", "nodes"])
def test_errors_of_devices_move_the_sum_as_the_limit_says(readout):
    """The standard deviation over 150 chips is that of sum e g G, for independent relative errors e."""
    top, spread = hl.Topology.random(12, 26, 3, 2, seed=3), 0.02
    x, y = task(top)
    sums, sizes = [], []
    for chip in range(150):
        with KirchhoffTwin(top, LIMITS, Imperfections(device_spread=spread), seed=chip, node_readout=True) as twin:
            model = hl.Kirchhoff(top, twin.program(np.full(top.n_edges, 1e-4)).reached)
            rule = hl.GEP(hl.CurrentNudge(1e-6), readout=readout)
            G = rule.gradient(hl.GradientRequest(twin, model, x, y, hl.MSE())).values
        sums.append(float(model.values @ G))
        sizes.append(spread * float(np.linalg.norm(model.values * G)))
    assert np.std(sums) == pytest.approx(np.mean(sizes), rel=0.25)


def test_one_sided_nudge_of_large_strength_warns_once_and_can_stop(caplog):
    rule = hl.GEP("clamp", symmetric=False, model_error=0.02)
    with caplog.at_level(logging.WARNING, "hwlearn"):
        history = train(GRAPHS["resistors"], rule, epochs=12)
    assert "one_sided_error" in history.epochs[0].health["alarms"]
    assert history.epochs[1].health["one_sided_error"] == "not measured"  # again after 10 epochs
    assert isinstance(history.epochs[10].health["one_sided_error"], float)
    assert [record.message for record in caplog.records] == [alarm_text(0, history.epochs[0].health)]
    stopped = train(GRAPHS["resistors"], rule, epochs=12, health=HealthSettings("stop", device_error=0.02))
    assert (stopped.stopped, len(stopped.epochs)) == ("unhealthy", 1)
    off = train(GRAPHS["resistors"], rule, epochs=2, health=HealthSettings("off"))
    assert [epoch.health for epoch in off.epochs] == [{}, {}]


@pytest.mark.parametrize(("gain", "stops"), [(-1.0, True), (2.5, True), (1.0, False)])
def test_bias_longer_than_the_gradient_is_an_alarm_whatever_devices_explain(gain, stops, mocker):
    top = hl.Topology(3, [(0, 1), (1, 2)], [0], [1], ground=2)
    model = hl.Kirchhoff(top, [3e-4, 2e-4])
    with KirchhoffTwin(top, LIMITS) as twin:
        measure = type(twin)._measure

        def wrong(self, inputs, drive=None):
            if drive is not None:
                drive = replace(drive, values=gain * drive.values)
            return measure(self, inputs, drive)

        mocker.patch.object(type(twin), "_measure", wrong)
        rule = hl.GEP(CurrentNudge(2e-5), model_error=0.5)
        trainer = hl.Trainer(twin, rule, hl.MSE(), hl.SGD(1e-15), model=model, health=HealthSettings("stop", 0.5))
        history = trainer.fit([[1.0]], [[0.3]], 3)
    assert (history.stopped == "unhealthy") is stops
    assert ("bias" in history.epochs[0].health["alarms"]) is stops
    assert history.epochs[0].health["limits"]["bias"] == 1.0


def test_small_one_sided_nudge_of_the_same_bench_is_healthy():
    rule = hl.GEP(hl.ClampNudge(1e-4), symmetric=False, model_error=0.02)
    assert not health(GRAPHS["resistors"], rule)["alarms"]


def test_health_and_energy_of_a_resumed_training_are_those_of_one_that_did_not_stop():
    kept = []

    class Keep(Callback):
        def on_progress(self, progress):
            kept.append(progress)

    flaws = Imperfections(device_spread=0.1, read_noise_V=1e-3)
    schedule = Schedule(4, batch_size=2)
    whole = train(GRAPHS["resistors"], hl.GEP("current"), flaws=flaws, schedule=schedule, callbacks=[Keep()])
    for at in (0, 1, 4, 5, 8):
        again = train(GRAPHS["resistors"], hl.GEP("current"), flaws=flaws, schedule=schedule, start=kept[at])
        assert [json.dumps(one.health) for one in again.epochs] == [json.dumps(one.health) for one in whole.epochs]
        assert [one.energy for one in again.epochs] == [one.energy for one in whole.epochs]
        assert again.energy["training_J"] == pytest.approx(whole.energy["training_J"], rel=1e-12)


def test_records_are_json_and_every_alarm_has_a_limit():
    history = train(
        GRAPHS["resistors"], hl.GEP("clamp"), epochs=3, flaws=Imperfections(adc_offset_V=0.05, read_noise_V=1e-3)
    )
    for epoch in history.epochs:
        text = json.loads(json.dumps(epoch.health, allow_nan=False))
        assert text["alarms"]
        assert all(text[name] > text["limits"][name] for name in text["alarms"])
        assert alarm_text(epoch.number, text)
        json.dumps(epoch.energy, allow_nan=False)


@pytest.mark.parametrize(
    "wrong",
    [{"action": "warm"}, {"device_error": -0.1}, {"device_error": float("nan")}, {"every": -1}, {"every": 0.5}],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(hl.HwlearnError):
        HealthSettings(**wrong)
