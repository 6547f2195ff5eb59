"""Benches: objects built from the file, scores, and opening and closing of the network."""

from dataclasses import fields

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import DataError, NetworkError, SetupError
from hwlearn.lab.bench.bench import Bench
from hwlearn.learning.scoring import score_outputs
from hwlearn_sim import Imperfections, KirchhoffTwin
from hwlearn_sim.twin.backend import SimBackend, SimSettings

# --- from the file to objects -----------------------------------------------------------------------


def made(bench_path, *changes):
    with hl.open_bench(bench_path, changes) as bench:
        return bench.trainer()


def test_rule_and_nudge_follow_the_train_table(bench_path):
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


def test_cost_follows_the_train_table(bench_path):
    assert isinstance(made(bench_path).cost, hl.MSE)
    assert made("iris", "train.temperature=7 mV").cost == hl.CrossEntropy(0.007)
    assert isinstance(made("iris", "train.cost=auto").cost, hl.CrossEntropy)
    assert made("iris", "train.cost=hinge", "train.margin=9 mV").cost == hl.Hinge(0.009)
    assert isinstance(made("iris", "train.cost=mse").cost, hl.MSE)


def test_optimizer_and_subset_follow_the_train_table(bench_path):
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


def test_training_starts_at_the_middle_or_at_random_conductances(bench_path):
    low, high = 1e-6, 1e-4
    np.testing.assert_allclose(made(bench_path).model.conductances, 0.5 * (low + high))
    one, again, other = (
        made(bench_path, "train.initial=random", f"train.seed={s}").model.conductances for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).all()
    assert ((one > low) & (one < high)).all()


def test_mse_with_classes_has_target_volts(bench_path):
    class Targets(hl.Callback):
        def on_gradient(self, epoch, number, samples, gradient):
            self.readings = gradient.readings

    targets = Targets()
    with hl.open_bench("iris", ["train.cost=mse", "train.target=40 mV", "train.epochs=1"]) as bench:
        bench.train([targets])
    wanted = targets.readings["free_voltages"] - targets.readings["error"]
    np.testing.assert_allclose(np.sort(wanted, axis=1), np.tile([0, 0, 0.04], (len(wanted), 1)), atol=1e-12)


def test_more_classes_than_outputs_is_an_error():
    with pytest.raises(SetupError, match="3 classes"):
        hl.open_bench("iris", ["network.outputs=[0, 1]"])


def test_every_sim_setting_is_passed_to_the_twin(bench_path):
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
    # a file can set every imperfection of a twin except stuck edges by number
    in_file = {name.removesuffix("_V").removesuffix("_A").removesuffix("_s").removesuffix("_ohm") for name in
               (f.name for f in fields(Imperfections))} - {"stuck"}  # fmt: skip
    assert in_file <= set(SimSettings.model_fields)
    other = SimBackend().open(settings.model_copy(update={"seed": 8}), bench.topology, bench.limits)
    assert (twin.true_conductances != other.true_conductances).any()


# --- rows -------------------------------------------------------------------------------------------


def test_row_sets_are_disjoint_and_only_validation_rows_choose_the_epoch(bench_path):
    changes = ["data.validation_fraction=0.2", "data.test_fraction=0.3", "train.keep=best", "train.epochs=4"]
    with hl.open_bench("iris", changes) as bench:
        data = bench.data
        assert (len(data.train), len(data.validation), len(data.test)) == (75, 30, 45)
        assert len({*data.train, *data.validation, *data.test}) == 150
        for rows in (data.train, data.validation, data.test):
            assert len(set(np.bincount(data.targets[rows]))) == 1  # equal numbers of each species
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


@pytest.mark.slow
def test_measured_score_includes_noise_and_true_score_does_not(bench_path):
    with hl.open_bench("regression") as bench:
        bench.train()
        result = bench.evaluate()
        assert result.true.rms_error_V < 0.5e-3 < result.measured.rms_error_V < 2e-3
        true = bench.network.true_outputs(bench.data.inputs) - bench.data.targets
        assert result.true.rms_error_V == pytest.approx(np.sqrt((true**2).mean()))
        assert bench.true_scores()["train"] == result.true


def test_model_of_the_trainer_has_the_programmed_not_the_true_conductances(bench_path):
    with hl.open_bench(bench_path, ["backend.device_spread=0.2", "backend.conductance_bits=8"]) as bench:
        trainer = bench.trainer()
        trainer.fit(bench.data.inputs, bench.data.targets, 2)
        reached = bench.network.program(trainer.optimizer.shadow).reached
        np.testing.assert_array_equal(trainer.model.conductances, reached)
        assert np.abs(trainer.model.conductances / bench.network.true_conductances - 1).max() > 0.1


@pytest.mark.parametrize("name", ["iris", "small"])
def test_evaluate_scores_the_conductances_that_it_is_given(bench_path, name):
    with hl.open_bench(
        "iris" if name == "iris" else bench_path, ["train.epochs=3", "backend.read_noise=0.0"]
    ) as bench:
        history = bench.train()
        trained = bench.evaluate()
        start = bench.trainer().model.conductances
        assert bench.evaluate(start).measured.cost > trained.measured.cost
    # the same on a network that was opened again
    with bench:
        assert bench.evaluate(history) == trained
        assert bench.evaluate(history.conductances) == trained
        bench.network.program(start)
        assert bench.evaluate() != trained  # nothing is programmed unless conductances are given


def test_evaluate_programs_nothing_unless_conductances_are_given(bench_path, mocker):
    programmed = mocker.spy(KirchhoffTwin, "_program")
    with hl.open_bench(bench_path) as bench:
        bench.evaluate()
        assert programmed.call_count == 0
        bench.evaluate(bench.trainer().model.conductances)
        assert programmed.call_count == 1


def test_each_training_starts_from_the_same_conductances(bench_path):
    changes = ["train.rule=spsa", "train.subset=0.5", "train.subset_kind=random", "train.epochs=2"]
    with hl.open_bench(bench_path, changes) as bench:
        first, second = bench.train().conductances, bench.train().conductances
    np.testing.assert_array_equal(first, second)


def test_score_of_known_outputs(bench_path):
    bench = hl.open_bench(bench_path)
    found = score_outputs(hl.MSE(), bench.data.targets + 2e-3, bench.data.targets)
    assert found.rms_error_V == pytest.approx(2e-3)
    assert found.cost == pytest.approx(0.5 * 3 * 4e-6)
    assert found.accuracy is None
    volts, classes = np.array([[0.1, 0.0], [0.1, 0.2]]), np.array([0, 0])
    assert score_outputs(hl.CrossEntropy(0.1), volts, classes, classes).accuracy == 0.5
    both = score_outputs(hl.MSE(), volts, np.zeros((2, 2)), classes)
    assert (both.accuracy, both.rms_error_V) == (0.5, pytest.approx(np.sqrt(0.06 / 4)))


# --- open and closed --------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, SystemExit])
def test_network_is_closed_on_every_exit(bench_path, error):
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


def test_network_is_opened_once_at_first_use(bench_path, mocker):
    opened = mocker.spy(SimBackend, "open")
    bench = hl.open_bench(bench_path)
    other = bench.with_(train__epochs=2)
    assert opened.call_count == 0
    assert bench.network is bench.network
    assert opened.call_count == 1
    bench.close()
    bench.close()
    assert other.network is not None
    other.close()


USES = {
    "network": lambda bench: bench.network,
    "raw_network": lambda bench: bench.raw_network,
    "trainer": lambda bench: bench.trainer(),
    "train": lambda bench: bench.train(),
    "evaluate": lambda bench: bench.evaluate(),
    "true_scores": lambda bench: bench.true_scores(),
    "calibrate": lambda bench: bench.calibrate("noise"),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("ended", ["close", "with block", "close before use"])
def test_closed_bench_raises_instead_of_reopening_the_network(bench_path, mocker, use, ended):
    bench = hl.open_bench(bench_path)
    if ended == "with block":
        with bench:
            pass
    else:
        if ended == "close":
            _ = bench.network
        bench.close()
    assert bench.closed
    opened = mocker.spy(SimBackend, "open")
    with pytest.raises(
        NetworkError, match=r"bench small is closed; to open .* call open\(\) or begin a new `with`"
    ):
        use(bench)
    assert opened.call_count == 0


def test_closed_bench_still_describes_itself(bench_path):
    bench = hl.open_bench(bench_path)
    bench.close()
    assert bench.topology.n_edges == 30
    assert bench.data.inputs.shape == (6, 4)
    assert 'kind = "sim"' in bench.text()
    assert not bench.with_(train__epochs=2).closed


def test_closed_bench_is_opened_again_by_open_or_a_with_block(bench_path):
    bench = hl.open_bench(bench_path)
    with bench:
        first = bench.network
    assert bench.open() is bench
    assert not bench.closed
    assert bench.network is not first
    assert bench.open().network is bench.network  # an open network stays as it is
    bench.close()
    with bench:
        assert not bench.network.closed
    assert bench.closed


def test_unknown_calibration_option_is_named_before_anything_is_opened(bench_path, mocker):
    opened = mocker.spy(SimBackend, "open")
    bench = hl.open_bench(bench_path)
    with pytest.raises(
        SetupError, match=r"unknown option 'pattern', did you mean 'patterns'\?; the options are: "
    ):
        bench.calibrate("noise", pattern=3)
    assert opened.call_count == 0


def test_open_replaces_a_network_that_was_closed_directly(bench_path):
    bench = hl.open_bench(bench_path)
    bench.network.close()
    with bench:
        assert not bench.network.closed


def test_bench_stays_closed_if_opening_again_fails(bench_path, mocker):
    bench = hl.open_bench(bench_path)
    bench.close()
    mocker.patch.object(SimBackend, "open", side_effect=NetworkError("no reply"))
    with pytest.raises(NetworkError, match="no reply"):
        bench.open()
    with pytest.raises(NetworkError, match="is closed"):
        _ = bench.network


def test_network_without_the_nudge_of_train_is_refused_and_closed(bench_path, mocker):
    closed = mocker.spy(KirchhoffTwin, "_close")
    bench = hl.open_bench(bench_path, ["backend.nudges=['clamp', 'resistor']"])
    with pytest.raises(SetupError, match=r"train\.nudge = 'current'.*clamp, resistor"):
        _ = bench.network
    assert closed.call_count == 1
    # rules that nudge nothing need no nudge
    with bench.with_(["train.rule=analytic"]) as analytic:
        analytic.train()


def test_open_bench_returns_a_bench(bench_path):
    assert isinstance(hl.open_bench(bench_path), Bench)
    assert hl.Bench is Bench
