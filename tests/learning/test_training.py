"""The trainer: training, stopping, resuming, keeping the best epoch, and rejected arguments."""

import os
import signal
import threading

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import CircuitError, DataError, LimitError, NetworkError, SetupError
from hwlearn_sim import Imperfections, KirchhoffTwin


class Recorder(hl.Callback):
    """Callback that records every call."""

    def __init__(self):
        self.calls, self.steps, self.epochs, self.history = [], [], [], None

    def on_start(self, programmed):
        self.calls.append("start")

    def on_gradient(self, epoch, number, samples, gradient):
        self.calls.append("gradient")

    def on_step(self, step):
        self.calls.append("step")
        self.steps.append(step)

    def on_epoch(self, epoch):
        self.calls.append("epoch")
        self.epochs.append(epoch)

    def on_end(self, history):
        self.calls.append("end")
        self.history = history


@pytest.fixture
def trainer(reference, bench_limits):
    """Return a function that returns a trainer of the reference experiment on an ideal twin."""
    top, _, _ = reference(0)

    def make(imperfections=None, rule=None, **options):
        twin = KirchhoffTwin(top, bench_limits, imperfections, seed=3)
        return hl.Trainer(twin, rule or hl.GEP(), hl.MSE(), hl.Adam(0.05, scale="log"), **options)

    return make


def test_training_reduces_the_error(reference, trainer):
    _, x, y = reference(0)
    t = trainer()
    before = t.evaluate(x, y)
    history = t.fit(x, y, hl.Schedule(300, anneal=0.02))
    after = t.evaluate(x, y)
    assert after.rms_error_V < 0.03 * before.rms_error_V
    assert len(history.epochs) == 300
    assert history.stopped == "finished"
    np.testing.assert_allclose(history.conductances, t.model.conductances)


def test_callbacks_are_called_in_order(reference, trainer):
    _, x, y = reference(0)
    recorder = Recorder()
    trainer().fit(x, y, hl.Schedule(2, batch_size=4), callbacks=[recorder])
    one = ["gradient", "step", "gradient", "step", "epoch"]
    assert recorder.calls == ["start", *one, *one, "end"]
    assert [s.number for s in recorder.steps] == [0, 1, 2, 3]
    seen = np.sort(np.concatenate([s.samples for s in recorder.steps[:2]]))
    np.testing.assert_array_equal(seen, np.arange(8))
    assert [e.measurements for e in recorder.epochs] == [24, 24]


def test_resumed_training_equals_uninterrupted_training(reference, trainer):
    _, x, y = reference(0)
    whole, part = Recorder(), Recorder()

    class State(hl.Callback):
        def on_step(self, step):
            if step.number == 12:
                self.kept = hl.Progress(13, first.optimizer.state())
                raise KeyboardInterrupt

    schedule = hl.Schedule(9, batch_size=3, anneal=0.1)
    reference_run = trainer()
    end = reference_run.fit(x, y, schedule, callbacks=[whole])
    first, stop = trainer(), State()
    with pytest.raises(KeyboardInterrupt):
        first.fit(x, y, schedule, callbacks=[stop])
    again = trainer().fit(x, y, schedule, callbacks=[part], start=stop.kept)
    assert part.steps[0].number == 13
    np.testing.assert_array_equal(again.conductances, end.conductances)
    for mine, theirs in zip(part.steps, whole.steps[13:], strict=True):
        np.testing.assert_array_equal(mine.samples, theirs.samples)


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send SIGINT to one process")
def test_ctrl_c_stops_after_the_current_measurement(reference, trainer):
    _, x, y = reference(0)
    t = trainer()
    before = signal.getsignal(signal.SIGINT)

    class Press(Recorder):
        def on_step(self, step):
            super().on_step(step)
            if step.number == 4:
                os.kill(os.getpid(), signal.SIGINT)

    press = Press()
    history = t.fit(x, y, 1000, callbacks=[press])
    assert history.stopped == "interrupted"
    assert press.calls[-1] == "end"
    assert len(press.steps) == 5
    assert t.network.measurements == 5 * 24 + 8  # one more free phase before the stop
    np.testing.assert_array_equal(history.conductances, press.steps[-1].requested)
    assert signal.getsignal(signal.SIGINT) is before
    assert t.network.on_measured is None
    t.evaluate(x, y)  # the network is still usable


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send SIGINT to one process")
def test_second_ctrl_c_stops_immediately(reference, trainer):
    _, x, y = reference(0)

    class Twice(hl.Callback):
        def on_step(self, step):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trainer().fit(x, y, 10, callbacks=[Twice()])


def test_training_works_outside_the_main_thread(reference, trainer):
    _, x, y = reference(0)
    done = []
    thread = threading.Thread(target=lambda: done.append(trainer().fit(x, y, 2).stopped))
    thread.start()
    thread.join(30)
    assert done == ["finished"]


def test_patience_stops_and_best_epoch_is_kept(reference, trainer):
    _, x, y = reference(0)
    t = trainer(Imperfections(read_noise_V=5e-3))
    recorder = Recorder()
    history = t.fit(x, y, hl.Schedule(400, patience=15, keep="best"), validation=(x, y), callbacks=[recorder])
    assert history.stopped == "no improvement"
    costs = [e.validation.cost for e in history.epochs]
    assert history.best_epoch == int(np.argmin(costs)) == len(costs) - 16
    np.testing.assert_array_equal(history.conductances, recorder.steps[history.best_epoch].requested)
    np.testing.assert_array_equal(t.model.conductances, history.conductances)


def test_only_edges_of_the_subset_change(reference, trainer):
    _, x, y = reference(0)
    t = trainer(subset=[3, 8, 21])
    start = t.model.conductances
    history = t.fit(x, y, 5)
    moved = np.abs(history.conductances / start - 1) > 1e-12
    assert np.flatnonzero(moved).tolist() == [3, 8, 21]


def test_training_a_subset_reduces_the_error(reference, trainer):
    _, x, y = reference(0)
    some = trainer(subset=hl.MostSensitive(0.6))
    start = some.evaluate(x, y).rms_error_V
    some.fit(x, y, hl.Schedule(200, anneal=0.02))
    assert some.evaluate(x, y).rms_error_V < 0.1 * start


def test_failed_edges_are_excluded_from_updates(reference, trainer):
    _, x, y = reference(0)
    t = trainer(Imperfections(stuck={4: 2e-5, 17: 0.0}))
    recorder = Recorder()
    t.fit(x, y, hl.Schedule(30, anneal=0.02), callbacks=[recorder])
    first, last = recorder.steps[0].requested, recorder.steps[-1].requested
    assert first[4] == last[4]
    assert first[17] == last[17]
    assert recorder.steps[0].programmed.failed.sum() == 2


class Blindfold(KirchhoffTwin):
    """Twin that raises an error when its true values are read."""

    @property
    def true_conductances(self):
        raise AssertionError("a rule read a true value")

    def _true_outputs(self, inputs):
        raise AssertionError("a rule read a true value")


@pytest.mark.parametrize(
    "rule",
    [
        hl.GEP(),
        hl.EquilibriumPropagation(),
        hl.GEP(hl.ResistorNudge(kappa=1e-4)),
        hl.GEP(hl.ClampNudge(metric="impedance")),
        hl.GEP(nudged="computed"),
        hl.GEP(readout="nodes"),
        hl.Analytic(),
        hl.SPSA(),
    ],
    ids=lambda rule: type(rule).__name__,
)
def test_rules_do_not_use_true_values(reference, bench_limits, lab_flaws, rule):
    top, x, y = reference(0)
    twin = Blindfold(top, bench_limits, lab_flaws, node_readout=True)
    t = hl.Trainer(twin, rule, hl.MSE(), hl.Adam(0.05, scale="log"))
    t.fit(x, y, 3)
    # the model has the programmed conductances, not the true ones
    assert np.abs(t.model.conductances / twin._truth.conductances - 1).max() > 0.1


def test_invalid_data_is_rejected_before_output_changes(reference, trainer, mocker):
    _, x, y = reference(0)
    t = trainer()
    measured, programmed = mocker.spy(t.network, "_measure"), mocker.spy(t.network, "_program")
    broken = x.copy()
    broken[2, 1] = np.nan
    for inputs, targets, error in [
        (broken, y, LimitError),
        (2 * x, y, LimitError),
        (x[:, :3], y, CircuitError),
        (x, y[:, :2], DataError),
        (x[:0], y[:0], DataError),
    ]:
        with pytest.raises(error):
            t.fit(inputs, targets, 2)
    with pytest.raises(SetupError):
        t.fit(x, y, hl.Schedule(2, batch_size=0))
    assert measured.call_count == programmed.call_count == 0


def test_training_is_reproducible_with_the_same_seeds(reference, trainer, lab_flaws):
    _, x, y = reference(0)
    runs = [trainer(lab_flaws).fit(x, y, hl.Schedule(10, batch_size=3)).conductances for _ in range(2)]
    np.testing.assert_array_equal(*runs)


def test_classification_reaches_high_accuracy(bench_limits, lab_flaws):
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    feature = np.where(labels == 0, -0.2, 0.2) + 0.05 * rng.standard_normal(60)
    x = np.stack([feature, -feature, np.full(60, 0.4), np.full(60, -0.4)], axis=1)
    twin = KirchhoffTwin(hl.Topology.crossbar(6, 4, range(4), range(2)), bench_limits, lab_flaws)
    t = hl.Trainer(twin, hl.GEP(), hl.CrossEntropy(0.02), hl.Adam(0.05, scale="log"))
    history = t.fit(x[:40], labels[:40], hl.Schedule(20, batch_size=10), validation=(x[40:], labels[40:]))
    assert history.epochs[-1].validation.accuracy == 1.0
    assert history.epochs[-1].validation.rms_error_V is None


# --- wrong arguments ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rule": hl.GEP}, "rule must be a Rule object, got the class GEP itself; call it, as in GEP(...)"),
        (
            {"rule": hl.EquilibriumPropagation},
            "rule must be a Rule object, got the function EquilibriumPropagation itself; call it, as in "
            "EquilibriumPropagation(...)",
        ),
        ({"rule": "clamp"}, "rule must be a Rule object, got 'clamp'"),
        ({"cost": hl.MSE}, "cost must be a Cost object, got the class MSE itself; call it, as in MSE(...)"),
        ({"optimizer": hl.Adam}, "optimizer must be an Optimizer object, got the class Adam itself"),
        ({"optimizer": 0.05}, "optimizer must be an Optimizer object, got 0.05"),
        ({"subset": hl.RandomEdges}, "subset must be a Subset object, got the class RandomEdges itself"),
        ({"subset": 3}, "subset must be a Subset object, got 3"),
        ({"model": [1e-5]}, "model must be a Kirchhoff object, got [1e-05]"),
        ({"seed": -1}, "seed is -1; it must be a whole number"),
        ({"seed": "0"}, "seed is '0'; it must be a whole number"),
        ({"vary": 0.1}, "vary must be a function of inputs and a random generator, got 0.1"),
        ({"network": KirchhoffTwin}, "network must be a Network object, got the class KirchhoffTwin itself"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_trainer_rejects_classes_and_names_at_once(reference, bench_limits, changes, message):
    top, _, _ = reference(0)
    arguments = {
        "network": KirchhoffTwin(top, bench_limits),
        "rule": hl.GEP(),
        "cost": hl.MSE(),
        "optimizer": hl.Adam(0.05),
    }
    with pytest.raises(SetupError) as caught:
        hl.Trainer(**arguments | changes)
    assert message in str(caught.value)


def test_fit_rejects_wrong_schedules_callbacks_and_progress(reference, trainer):
    _, x, y = reference(0)
    for arguments, message in [
        ({"schedule": 1.5}, "epochs is 1.5; it must be a whole number of at least 0"),
        ({"schedule": 2, "callbacks": hl.Callback()}, "callbacks must be a list of Callback objects, got "),
        ({"schedule": True}, "epochs is True; it must be a whole number of at least 0"),
        (
            {"schedule": 2, "callbacks": [Recorder]},
            "each callback must be a Callback object, got the class Recorder",
        ),
        ({"schedule": 2, "start": (3, {})}, "start must be a Progress object, got (3, {})"),
    ]:
        with pytest.raises(SetupError) as caught:
            trainer().fit(x, y, **arguments)
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": -1}, "epochs is -1"),
        ({"epochs": 2, "batch_size": 0}, "batch_size is 0; it must be a whole number of at least 1"),
        ({"epochs": 2, "patience": 0}, "patience is 0; it must be a whole number of at least 1"),
        ({"epochs": 2, "anneal": 1.5}, "anneal is 1.5; it must lie in [0, 1]"),
        ({"epochs": 2, "keep": "first"}, "keep must be 'best' or 'last', got 'first'"),
    ],
)
def test_schedule_rejects_values_out_of_range(values, message):
    with pytest.raises(SetupError) as caught:
        hl.Schedule(**values)
    assert message in str(caught.value)


class Failing(KirchhoffTwin):
    """A network whose programming fails, at the beginning or from one programming on."""

    fixed, works_until = False, 0

    @property
    def has_fixed_edges(self):
        return self.fixed

    def _program(self, conductances):
        done = super()._program(conductances)
        self.works_until -= 1
        failed = np.full(self.topology.n_edges, self.works_until < 0)
        return hl.Programmed(done.requested, done.reached, failed)


@pytest.mark.parametrize("works_until", [0, 3])
def test_training_ends_with_an_error_when_every_edge_has_failed(reference, bench_limits, works_until):
    top, x, y = reference(0)
    twin, seen = Failing(top, bench_limits), Recorder()
    twin.works_until = works_until
    with pytest.raises(NetworkError, match="every edge that may be trained has failed"):
        hl.Trainer(twin, hl.GEP(), hl.MSE(), hl.Adam(0.05)).fit(x, y, 9, callbacks=[seen])
    assert len(seen.steps) == works_until


def test_network_with_fixed_edges_is_measured_without_training(reference, bench_limits, caplog):
    top, x, y = reference(0)
    twin = Failing(top, bench_limits)
    twin.fixed = True
    history = hl.Trainer(twin, hl.GEP(), hl.MSE(), hl.Adam(0.05)).fit(x, y, 2)
    assert len(history.epochs) == 2
    assert "fixed" in caplog.text
