"""Benches: what is made of the file, that the network is always closed, and who knows what."""

from dataclasses import fields

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import DataError, SetupError
from hwlearn.lab.bench import backends
from hwlearn.lab.bench.bench import Bench
from hwlearn_sim import Imperfections, KirchhoffTwin
from hwlearn_sim.twin.backend import SimBackend, SimSettings

# --- from the file to objects -----------------------------------------------------------------------


def made(bench_path, *changes):
    with hl.open_bench(bench_path, changes) as bench:
        return bench.trainer()


def test_rules_and_nudges(bench_path):
    rule = made(bench_path, "train.strength=1e-5").rule
    assert isinstance(rule, hl.GEP)
    assert isinstance(rule.nudge, hl.CurrentNudge)
    assert rule.nudge.strength == 1e-5
    assert rule.symmetric
    clamp = made(bench_path, "train.nudge=clamp", "train.metric=impedance", "train.symmetric=false").rule
    assert isinstance(clamp.nudge, hl.ClampNudge)
    assert (clamp.nudge.metric, clamp.nudge.strength, clamp.symmetric) == ("impedance", "auto", False)
    resistor = made(bench_path, "train.nudge=resistor", "train.kappa=20 uS", "train.nudged=computed").rule
    assert isinstance(resistor.nudge, hl.ResistorNudge)
    assert (resistor.nudge.kappa, resistor.nudged) == (2e-5, "computed")
    nodes = made(bench_path, "train.readout=nodes", "train.model_error=0.1").rule
    assert (nodes.readout, nodes.model_error) == ("nodes", 0.1)
    assert isinstance(made(bench_path, "train.rule=analytic").rule, hl.Analytic)
    spsa = made(bench_path, "train.rule=spsa", "train.perturbation=0.1", "train.repeats=3", "train.seed=4").rule
    assert isinstance(spsa, hl.SPSA)
    assert (spsa.perturbation, spsa.repeats, spsa.seed) == (0.1, 3, 4)


def test_costs(bench_path):
    assert isinstance(made(bench_path).cost, hl.MSE)
    assert made("iris", "train.temperature=7 mV").cost == hl.CrossEntropy(0.007)
    assert isinstance(made("iris", "train.cost=auto").cost, hl.CrossEntropy)
    assert made("iris", "train.cost=hinge", "train.margin=9 mV").cost == hl.Hinge(0.009)
    assert isinstance(made("iris", "train.cost=mse").cost, hl.MSE)


def test_optimizers_and_subsets(bench_path):
    for name, kind in {"adam": hl.Adam, "sgd": hl.SGD, "momentum": hl.Momentum, "sign": hl.Sign}.items():
        optimizer = made(bench_path, f"train.optimizer={name}", "train.rate=0.03", "train.scale=linear").optimizer
        assert type(optimizer) is kind
        assert (optimizer.rate, optimizer.scale) == (0.03, "linear")
    assert made(bench_path, "train.optimizer=momentum", "train.momentum=0.5").optimizer.momentum == 0.5
    assert made(bench_path).subset is None
    assert made(bench_path, "train.subset=0.5").subset == hl.MostSensitive(0.5)
    random = made(bench_path, "train.subset=0.5", "train.subset_kind=random", "train.seed=2").subset
    assert random == hl.RandomEdges(0.5, 2)
    assert made(bench_path, "train.subset=[4, 2]").subset.edges == (4, 2)


def test_where_training_starts(bench_path):
    low, high = 1e-6, 1e-4
    np.testing.assert_allclose(made(bench_path).model.conductances, 0.5 * (low + high))
    one, again, other = (
        made(bench_path, "train.initial=random", f"train.seed={s}").model.conductances for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).all()
    assert ((one > low) & (one < high)).all()


def test_class_targets_in_volts(bench_path):
    class Targets(hl.Callback):
        def on_gradient(self, epoch, number, samples, gradient):
            self.readings = gradient.readings

    told = Targets()
    with hl.open_bench("iris", ["train.cost=mse", "train.target=40 mV", "train.epochs=1"]) as bench:
        bench.train([told])
    wanted = told.readings["free_voltages"] - told.readings["error"]
    np.testing.assert_allclose(np.sort(wanted, axis=1), np.tile([0, 0, 0.04], (len(wanted), 1)), atol=1e-12)


def test_more_classes_than_outputs_are_refused():
    with pytest.raises(SetupError, match="3 classes"):
        hl.open_bench("iris", ["network.outputs=[0, 1]"])


def test_every_setting_reaches_the_twin(bench_path):
    settings = SimSettings.model_validate(
        {
            "device_spread": 0.2, "conductance_bits": 10, "write_noise": 0.01, "stuck_fraction": 0.05,
            "read_noise": "1 mV", "current_noise": "10 nA", "adc_bits": 12, "adc_range": "1 V", "adc_gain": 0.01,
            "adc_offset": "2 mV", "dac_bits": 14, "dac_range": "2 V", "dac_gain": 0.02, "dac_offset": "3 mV",
            "drift_per_sqrt_hour": 0.03, "settle_tau": "5 us", "source_resistance": "100 ohm", "settle": "20 us",
            "averages": 4, "nudges": ["clamp"], "node_readout": True, "current_readout": False, "seed": 7,
        }
    )  # fmt: skip
    bench = hl.open_bench(bench_path)
    twin = SimBackend().open(settings, bench.topology, bench.limits)
    wanted = Imperfections(
        device_spread=0.2, conductance_bits=10, write_noise=0.01, stuck_fraction=0.05, read_noise_V=1e-3,
        current_noise_A=1e-8, adc_bits=12, adc_range_V=1.0, adc_gain=0.01, adc_offset_V=2e-3, dac_bits=14,
        dac_range_V=2.0, dac_gain=0.02, dac_offset_V=3e-3, drift_per_sqrt_hour=0.03, settle_tau_s=5e-6,
        source_resistance_ohm=100.0,
    )  # fmt: skip
    assert twin.imperfections == wanted
    assert (twin.settle_s, twin.averages, twin.nudges) == (20e-6, 4, {"clamp"})
    read = twin.measure(bench.data.inputs)
    assert read.nodes is not None
    assert read.source_currents is None
    # every imperfection that a twin has can be set in a file, but for edges stuck by number
    in_file = {name.removesuffix("_V").removesuffix("_A").removesuffix("_s").removesuffix("_ohm") for name in
               (f.name for f in fields(Imperfections))} - {"stuck"}  # fmt: skip
    assert in_file <= set(SimSettings.model_fields)
    other = SimBackend().open(settings.model_copy(update={"seed": 8}), bench.topology, bench.limits)
    assert (twin.true_conductances != other.true_conductances).any()


# --- rows -------------------------------------------------------------------------------------------


def test_rows_are_apart_and_only_validation_judges(bench_path):
    changes = ["data.validation_fraction=0.2", "data.test_fraction=0.3", "train.keep=best", "train.epochs=4"]
    with hl.open_bench("iris", changes) as bench:
        data = bench.data
        assert (len(data.train), len(data.validation), len(data.test)) == (75, 30, 45)
        assert len({*data.train, *data.validation, *data.test}) == 150
        for rows in (data.train, data.validation, data.test):
            assert len(set(np.bincount(data.targets[rows]))) == 1  # each species alike
        measured = []
        bench.network.on_measured = measured.append
        history = bench.train()
        assert history.best_epoch == int(np.argmax([e.validation.merit for e in history.epochs]))
        assert 45 not in measured
        assert measured.count(30) >= 4
        result = bench.evaluate()
        assert (result.rows, result.held_out) == (45, True)
        assert measured[-1] == 45
        assert set(bench.true_scores()) == {"train", "validation", "test"}
    with pytest.raises(DataError, match="leave"):
        hl.open_bench("iris", ["data.validation_fraction=0.6", "data.test_fraction=0.4"])


def test_the_measured_score_is_noisier_than_the_true_one(bench_path):
    with hl.open_bench("regression") as bench:
        bench.train()
        result = bench.evaluate()
        assert result.true.rms_error_V < 0.5e-3 < result.measured.rms_error_V < 2e-3
        true = bench.network.true_outputs(bench.data.inputs) - bench.data.targets
        assert result.true.rms_error_V == pytest.approx(np.sqrt((true**2).mean()))
        assert bench.true_scores()["train"] == result.true


def test_who_knows_what(bench_path):
    """The trainer's model is what was programmed, never what is really there."""
    with hl.open_bench(bench_path, ["backend.device_spread=0.2", "backend.conductance_bits=8"]) as bench:
        trainer = bench.trainer()
        trainer.fit(bench.data.inputs, bench.data.targets, 2)
        reached = bench.network.program(trainer.optimizer.shadow).reached
        np.testing.assert_array_equal(trainer.model.conductances, reached)
        assert np.abs(trainer.model.conductances / bench.network.true_conductances - 1).max() > 0.1


# --- open and closed --------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, SystemExit])
def test_the_network_is_closed_on_every_exit(bench_path, error):
    bench = hl.open_bench(bench_path)

    def use():
        with bench:
            use.network = bench.network
            assert not use.network.closed
            if error is not None:
                raise error

    if error is None:
        use()
    else:
        with pytest.raises(error):
            use()
    assert use.network.closed


def test_nothing_is_opened_before_it_is_needed(bench_path, mocker):
    opened = mocker.spy(SimBackend, "open")
    bench = hl.open_bench(bench_path)
    other = bench.with_(train__epochs=2)
    bench.close()
    assert opened.call_count == 0
    assert bench.network is bench.network
    assert opened.call_count == 1
    bench.close()
    bench.close()
    assert other.network is not None
    other.close()


def test_a_nudge_that_the_hardware_lacks_closes_it_again(bench_path, mocker):
    closed = mocker.spy(KirchhoffTwin, "_close")
    bench = hl.open_bench(bench_path, ["backend.nudges=['clamp', 'resistor']"])
    with pytest.raises(SetupError, match=r"train\.nudge = 'current'.*clamp, resistor"):
        _ = bench.network
    assert closed.call_count == 1
    # the other rules and computed phases nudge nothing
    with bench.with_(["train.rule=analytic"]) as analytic:
        analytic.train()


# --- plugins ----------------------------------------------------------------------------------------


class Point:
    """An installed entry point."""

    def __init__(self, name, thing):
        self.name, self._thing = name, thing

    def load(self):
        if isinstance(self._thing, Exception):
            raise self._thing
        return self._thing


@pytest.fixture
def installed(monkeypatch):
    """Return a function that installs backends for the test."""

    def install(**things):
        points = [Point(name, thing) for name, thing in things.items()]
        monkeypatch.setattr(backends, "entry_points", lambda group: points if group == "hwlearn.backends" else [])

    return install


def test_a_lab_brings_its_own_backend(bench_path, installed):
    class Board(SimBackend):
        def open(self, settings, topology, limits):
            self.network = super().open(settings, topology, limits)
            return self.network

    installed(sim=SimBackend, myboard=Board)
    assert backends.backend_names() == ["myboard", "sim"]
    with hl.open_bench(bench_path, ["backend.kind=myboard", "backend.read_noise=1 mV"]) as bench:
        assert bench.network.imperfections.read_noise_V == 1e-3
        bench.train()


def test_backends_that_cannot_be_used(bench_path, installed):
    installed(sim=SimBackend, myboard=ImportError("No module named 'myboard_driver'"))
    with pytest.raises(SetupError, match="cannot be loaded: No module named 'myboard_driver'"):
        hl.open_bench(bench_path, ["backend.kind=myboard"])
    with pytest.raises(SetupError, match=r"'board', did you mean 'myboard'\?; installed are: myboard, sim"):
        hl.open_bench(bench_path, ["backend.kind=board"])
    installed()
    with pytest.raises(SetupError, match="unknown backend"):
        hl.open_bench(bench_path)


def test_a_bench_is_what_open_bench_returns(bench_path):
    assert isinstance(hl.open_bench(bench_path), Bench)
    assert hl.Bench is Bench
