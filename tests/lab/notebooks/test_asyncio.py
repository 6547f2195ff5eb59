"""Event loops and threads: how a training is stopped, and what Ctrl-C reaches."""

import asyncio
import os
import signal
import threading
import time

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import NetworkError
from hwlearn.learning.interrupt import request_stop
from hwlearn.network.wrapped import WrappedNetwork
from hwlearn_sim import KirchhoffTwin

posix = pytest.mark.skipif(os.name == "nt", reason="Windows cannot send SIGINT to one process")

ENDLESS = {"train.epochs": 100_000}


class Steps(hl.Callback):
    """Counts steps; calls a function at the third."""

    def __init__(self, third=lambda: None):
        self.count, self.third, self.running = 0, third, threading.Event()

    def on_step(self, step):
        self.count += 1
        if self.count == 3:
            self.running.set()
            self.third()


@pytest.fixture
def bench(bench_path, monkeypatch):
    """A bench that would train for hours, and that counts how often its outputs are switched off."""
    monkeypatch.setattr(KirchhoffTwin, "offs", 0, raising=False)

    def switch_off(self):
        self.offs += 1

    monkeypatch.setattr(KirchhoffTwin, "_switch_off", switch_off)
    with hl.open_bench(bench_path, ENDLESS) as bench:
        yield bench


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


async def until(event):
    """Wait for an event of another thread while the loop runs."""
    while not event.is_set():
        await asyncio.sleep(0.001)


def works(bench):
    """Whether the network measures."""
    return np.isfinite(bench.network.measure(bench.data.inputs).voltages).all()


# --- a call in a running loop -----------------------------------------------------------------------


def test_training_runs_inside_a_running_loop(bench):
    async def main():
        return bench.with_(train__epochs=2).train()

    assert asyncio.run(main()).stopped == "finished"


@posix
def test_ctrl_c_during_a_training_inside_a_loop_keeps_the_result(bench):
    async def main():
        history = bench.train([Steps(press_ctrl_c)])
        await asyncio.sleep(0)  # the loop goes on
        return history

    assert asyncio.run(main()).stopped == "interrupted"
    assert bench.network.offs == 1
    assert works(bench)


# --- a training in a thread while the loop runs -----------------------------------------------------


def test_stop_ends_a_training_in_a_thread_and_keeps_the_result(bench):
    async def main():
        steps = Steps()
        training = asyncio.create_task(asyncio.to_thread(bench.train, [steps]))
        await until(steps.running)
        for _ in range(20):  # also between two measurements of the training
            with pytest.raises(NetworkError, match="in use by another thread"):
                bench.network.measure(bench.data.inputs)
            await asyncio.sleep(0.001)
        assert bench.stop()
        return await training, steps

    history, steps = asyncio.run(main())
    assert history.stopped == "interrupted"
    assert steps.count >= 3
    assert bench.network.offs == 1
    assert works(bench)
    assert not bench.stop(), "nothing is running"


def test_cancelled_task_stops_the_training_and_keeps_the_result(bench):
    """The recipe of docs/notebooks.md."""
    kept = []

    async def train(steps):
        training = asyncio.create_task(asyncio.to_thread(bench.train, [steps]))
        try:
            return await asyncio.shield(training)
        except asyncio.CancelledError:
            bench.stop()
            kept.append(await training)
            raise

    async def main():
        steps = Steps()
        task = asyncio.create_task(train(steps))
        await until(steps.running)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert kept[0].stopped == "interrupted"
    assert works(bench)


@posix
def test_ctrl_c_leaves_a_loop_through_the_with_block_and_ends_the_thread(bench_path, mocker):
    closed = mocker.spy(KirchhoffTwin, "_close")
    ended = []

    def train(bench, steps):
        try:
            bench.train([steps])
        except NetworkError as error:
            ended.append(str(error))

    async def main():
        steps = Steps(press_ctrl_c)
        with hl.open_bench(bench_path, ENDLESS) as bench:
            await asyncio.to_thread(train, bench, steps)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())
    assert closed.call_count == 1
    # at which of the two the training is stopped depends on where in a step the bench was closed
    [message] = ended
    assert message in (
        "the network is closed; open it again to measure or program",
        "bench small is closed; to open its network again, call open() or begin a new `with` block",
    )


def test_second_task_is_refused_by_name(bench, monkeypatch):
    measure, inside, go_on = KirchhoffTwin._measure, threading.Event(), threading.Event()

    def slow(self, inputs, drive):
        inside.set()
        assert go_on.wait(10)
        return measure(self, inputs, drive)

    monkeypatch.setattr(KirchhoffTwin, "_measure", slow)
    x = bench.data.inputs

    async def main():
        first = asyncio.create_task(asyncio.to_thread(bench.network.measure, x))
        await until(inside)
        with pytest.raises(NetworkError, match="in use by another thread; nothing was applied"):
            await asyncio.to_thread(bench.network.measure, -x)
        go_on.set()
        return await first

    bench.network  # noqa: B018 - opened before two threads use it
    assert asyncio.run(main()).voltages.shape[0] == len(x)


# --- stopping ---------------------------------------------------------------------------------------


def test_stop_reaches_a_training_through_wrapped_networks(bench):
    network = WrappedNetwork(bench.raw_network)
    cost, rule = hl.MSE(), hl.EquilibriumPropagation()
    trainer = hl.Trainer(network, rule, cost, hl.Adam(0.01, scale="log"))
    steps = Steps(lambda: request_stop(bench.raw_network))
    x = bench.data.inputs[:2]
    history = trainer.fit(x, np.zeros((2, bench.topology.n_outputs)), 100_000, callbacks=[steps])
    assert history.stopped == "interrupted"
    assert network.on_measured is None
    assert bench.network.offs == 1


def test_error_of_the_caller_during_a_training_switches_off(bench):
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        bench.train([Steps(fail)])
    assert bench.network.offs == 1
    assert works(bench)


@posix
def test_ignored_ctrl_c_stays_ignored(bench):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        steps = Steps(press_ctrl_c)
        assert bench.with_(train__epochs=5).train([steps]).stopped == "finished"
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert steps.count >= 3


def test_calibration_in_a_thread_stops_and_continues(bench):
    raised, began = [], threading.Event()
    measure = KirchhoffTwin._measure

    def noted(self, inputs, drive):
        began.set()
        if not raised:
            time.sleep(0.002)
        return measure(self, inputs, drive)

    bench.raw_network._measure = noted.__get__(bench.raw_network)

    def calibrate():
        try:
            bench.calibrate("noise")
        except KeyboardInterrupt as error:
            raised.append(error)

    thread = threading.Thread(target=calibrate)
    thread.start()
    assert began.wait(30)
    while thread.is_alive() and not bench.stop():
        time.sleep(0.001)
    thread.join()
    assert len(raised) == 1
    assert bench.raw_network.offs == 1
    kept = bench.raw_network.measurements
    assert kept > 0
    assert bench.calibrate("noise").noise is not None
