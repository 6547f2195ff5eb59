"""The trainer: learning, stopping, resuming, best-so-far, and what it may know."""

import os
import signal
import threading

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import CircuitError, DataError, LimitError, SetupError
from hwlearn_sim import Imperfections, KirchhoffTwin


class Recorder(hl.Callback):
    """Remembers every call."""

    def __init__(self):
        self.calls, self.steps, self.epochs, self.history = [], [], [], None

    def on_start(self, trainer, programmed):
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
    """Return a function that makes a trainer of the reference experiment on an ideal twin."""
    top, _, _ = reference(0)

    def make(imperfections=None, rule=None, **options):
        twin = KirchhoffTwin(top, bench_limits, imperfections, seed=3)
        return hl.Trainer(twin, rule or hl.GEP(), hl.MSE(), hl.Adam(0.05, scale="log"), **options)

    return make


def test_it_learns(reference, trainer):
    _, x, y = reference(0)
    t = trainer()
    before = t.evaluate(x, y)
    history = t.fit(x, y, 300, anneal=0.02)
    after = t.evaluate(x, y)
    assert after.rms_error_V < 0.03 * before.rms_error_V
    assert len(history.epochs) == 300
    assert history.stopped == "finished"
    np.testing.assert_allclose(history.conductances, t.model.conductances)


def test_order_of_calls(reference, trainer):
    _, x, y = reference(0)
    recorder = Recorder()
    trainer().fit(x, y, 2, batch_size=4, callbacks=[recorder])
    one = ["gradient", "step", "gradient", "step", "epoch"]
    assert recorder.calls == ["start", *one, *one, "end"]
    assert [s.number for s in recorder.steps] == [0, 1, 2, 3]
    seen = np.sort(np.concatenate([s.samples for s in recorder.steps[:2]]))
    np.testing.assert_array_equal(seen, np.arange(8))
    assert [e.measurements for e in recorder.epochs] == [24, 24]


def test_a_resumed_training_ends_where_an_uninterrupted_one_does(reference, trainer):
    _, x, y = reference(0)
    whole, part = Recorder(), Recorder()

    class State(hl.Callback):
        def on_step(self, step):
            if step.number == 12:
                self.kept = (13, first.optimizer.state())
                raise KeyboardInterrupt

    reference_run = trainer()
    end = reference_run.fit(x, y, 9, batch_size=3, callbacks=[whole], anneal=0.1)
    first, stop = trainer(), State()
    with pytest.raises(KeyboardInterrupt):
        first.fit(x, y, 9, batch_size=3, callbacks=[stop], anneal=0.1)
    again = trainer().fit(x, y, 9, batch_size=3, callbacks=[part], anneal=0.1, start=stop.kept)
    assert part.steps[0].number == 13
    np.testing.assert_array_equal(again.conductances, end.conductances)
    for mine, theirs in zip(part.steps, whole.steps[13:], strict=True):
        np.testing.assert_array_equal(mine.samples, theirs.samples)


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send SIGINT to one process")
def test_ctrl_c_ends_after_the_current_measurement(reference, trainer):
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
    assert t.network.measurements == 5 * 24 + 8  # one more free phase, then it stopped
    np.testing.assert_array_equal(history.conductances, press.steps[-1].requested)
    assert signal.getsignal(signal.SIGINT) is before
    assert t.network.on_measured is None
    t.evaluate(x, y)  # the network is still usable


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send SIGINT to one process")
def test_a_second_ctrl_c_acts_at_once(reference, trainer):
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


def test_early_stop_and_best(reference, trainer):
    _, x, y = reference(0)
    t = trainer(Imperfections(read_noise_V=5e-3))
    recorder = Recorder()
    history = t.fit(x, y, 400, validation=(x, y), patience=15, keep="best", callbacks=[recorder])
    assert history.stopped == "no improvement"
    costs = [e.validation.cost for e in history.epochs]
    assert history.best_epoch == int(np.argmin(costs)) == len(costs) - 16
    np.testing.assert_array_equal(history.conductances, recorder.steps[history.best_epoch].requested)
    np.testing.assert_array_equal(t.model.conductances, history.conductances)


def test_only_the_subset_moves(reference, trainer):
    _, x, y = reference(0)
    t = trainer(subset=[3, 8, 21])
    start = t.model.conductances
    history = t.fit(x, y, 5)
    moved = np.abs(history.conductances / start - 1) > 1e-12
    assert np.flatnonzero(moved).tolist() == [3, 8, 21]


def test_a_subset_learns_nearly_as_well(reference, trainer):
    _, x, y = reference(0)
    everything = trainer()
    everything.fit(x, y, 300, anneal=0.02)
    some = trainer(subset=hl.MostSensitive(0.6))
    start = some.evaluate(x, y).rms_error_V
    some.fit(x, y, 300, anneal=0.02)
    assert some.evaluate(x, y).rms_error_V < 0.1 * start


def test_failed_edges_are_taken_out(reference, trainer):
    _, x, y = reference(0)
    t = trainer(Imperfections(stuck={4: 2e-5, 17: 0.0}))
    recorder = Recorder()
    t.fit(x, y, 150, callbacks=[recorder], anneal=0.02)
    first, last = recorder.steps[0].requested, recorder.steps[-1].requested
    assert first[4] == last[4]
    assert first[17] == last[17]
    assert recorder.steps[0].programmed.failed.sum() == 2


class Blindfold(KirchhoffTwin):
    """A twin that forbids everyone to look at the truth."""

    @property
    def true_conductances(self):
        raise AssertionError("a rule looked at the hidden truth")

    def true_outputs(self, inputs):
        raise AssertionError("a rule looked at the hidden truth")


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
def test_no_rule_sees_the_truth(reference, bench_limits, lab_flaws, rule):
    top, x, y = reference(0)
    twin = Blindfold(top, bench_limits, lab_flaws, node_readout=True)
    t = hl.Trainer(twin, rule, hl.MSE(), hl.Adam(0.05, scale="log"))
    t.fit(x, y, 3)
    # and the model it works with is the programmed one, not the true one
    assert np.abs(t.model.conductances / twin._truth.conductances - 1).max() > 0.1


def test_bad_data_is_refused_before_anything_is_applied(reference, trainer, mocker):
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
        t.fit(x, y, 2, batch_size=0)
    assert measured.call_count == programmed.call_count == 0


def test_same_seeds_same_course(reference, trainer, lab_flaws):
    _, x, y = reference(0)
    runs = [trainer(lab_flaws).fit(x, y, 10, batch_size=3).conductances for _ in range(2)]
    np.testing.assert_array_equal(*runs)


def test_classification(bench_limits, lab_flaws):
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    feature = np.where(labels == 0, -0.2, 0.2) + 0.05 * rng.standard_normal(60)
    x = np.stack([feature, -feature, np.full(60, 0.4), np.full(60, -0.4)], axis=1)
    twin = KirchhoffTwin(hl.Topology.crossbar(6, 4, range(4), range(2)), bench_limits, lab_flaws)
    t = hl.Trainer(twin, hl.GEP(), hl.CrossEntropy(0.02), hl.Adam(0.05, scale="log"))
    history = t.fit(x[:40], labels[:40], 20, batch_size=10, validation=(x[40:], labels[40:]))
    assert history.epochs[-1].validation.accuracy == 1.0
    assert history.epochs[-1].validation.rms_error_V is None
