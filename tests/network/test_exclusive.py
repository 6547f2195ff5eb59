"""One thread at a time, and only the process that opened a network."""

import os
import signal
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

import hwlearn as hl
from hwlearn.errors import NetworkError
from hwlearn.network.wrapped import WrappedNetwork
from hwlearn_sim import KirchhoffTwin
from hwlearn_sim.twin.memristive import Memristors

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


class Slow(KirchhoffTwin):
    """A twin whose measurement waits until it may go on."""

    def __init__(self, *args):
        super().__init__(*args)
        self.started, self.go_on = threading.Event(), threading.Event()
        self.was_closed = 0
        self.array = Memristors().array(self.topology, 0)

    def _device_access(self):
        return self.array

    def _measure(self, inputs, drive):
        self.started.set()
        assert self.go_on.wait(10)
        return super()._measure(inputs, drive)

    def _close(self):
        self.was_closed += 1


@pytest.fixture
def busy(small, wide_limits):
    """A network on which another thread is measuring, and what that thread found."""
    network, found = Slow(small[0], wide_limits), SimpleNamespace(readout=None)

    def measure():
        found.readout = network.measure(small[2])

    thread = threading.Thread(target=measure)
    thread.start()
    assert network.started.wait(10)
    yield network, found, thread
    network.go_on.set()
    thread.join()


@pytest.mark.parametrize("wrap", [lambda network: network, WrappedNetwork], ids=["plain", "wrapped"])
def test_second_thread_is_refused_while_a_call_is_running(busy, small, wrap):
    network, found, thread = busy
    seen = wrap(network)
    for call in (
        lambda: seen.measure(small[2]),
        lambda: seen.program(small[1]),
        lambda: seen.two_phase(small[2], hl.TargetError(small[3]), hl.ClampNudge(0.1)),
        lambda: seen.true_outputs(small[2]),
        seen.reconnect,
        lambda: seen.devices.read(0, 0.1),
        lambda: seen.devices.readings(0, 0.1, 2),
        lambda: seen.devices.read_all(0.1),
        lambda: seen.devices.pulse(0, 0.1, 1e-5),
        lambda: seen.devices.rest(0.0),
    ):
        with pytest.raises(NetworkError, match="in use by another thread"):
            call()
    assert network.array.pulses.sum() == 0
    network.go_on.set()
    thread.join()
    assert found.readout.voltages.shape == (6, 3)
    assert seen.measure(small[2]).voltages.shape == (6, 3), "free again after the call"


def test_network_is_refused_while_another_thread_uses_its_devices(small, wide_limits):
    network, reading, go_on = Slow(small[0], wide_limits), threading.Event(), threading.Event()

    def read(edge, voltage):
        reading.set()
        assert go_on.wait(10)
        return 1e-5

    network.array._read = read
    thread = threading.Thread(target=lambda: network.devices.read(0, 0.1))
    thread.start()
    assert reading.wait(10)
    with pytest.raises(NetworkError, match="in use by another thread"):
        network.measure(small[2])
    go_on.set()
    thread.join()


def test_devices_of_a_closed_network_are_refused(small, wide_limits):
    network = Slow(small[0], wide_limits)
    devices = WrappedNetwork(network).devices
    devices.read(0, 0.1)
    network.close()
    for call in (lambda: devices.read(0, 0.1), lambda: devices.read_all(0.1), lambda: devices.pulse(0, 0.1, 1e-5)):
        with pytest.raises(NetworkError, match="closed"):
            call()


def test_network_without_a_link_says_that_it_cannot_reconnect(ideal_twin):
    with pytest.raises(NetworkError, match="no link that could be reconnected"):
        WrappedNetwork(ideal_twin).reconnect()
    ideal_twin.close()
    with pytest.raises(NetworkError, match="is closed"):
        ideal_twin.reconnect()


def test_close_from_another_thread_is_never_blocked(busy):
    network = busy[0]
    network.close()
    assert network.was_closed == 1


@pytest.mark.parametrize("wrap", [lambda network: network, WrappedNetwork], ids=["plain", "wrapped"])
def test_revoked_network_refuses_every_call_but_closing(small, ideal_twin, wrap):
    seen = wrap(ideal_twin)
    ideal_twin.revoke("somebody switched off")
    ideal_twin.revoke("and again")
    for call in (lambda: seen.measure(small[2]), lambda: seen.program(small[1])):
        with pytest.raises(NetworkError, match=r"^outputs were switched off: somebody switched off$"):
            call()
    seen.close()
    assert ideal_twin.closed


@pytest.mark.parametrize("raised", [None, NetworkError("no answer")])
def test_call_in_progress_of_a_revoked_network_ends_with_the_reason(small, ideal_twin, mocker, raised):
    measure = ideal_twin._measure

    def revoked_meanwhile(inputs, drive):
        ideal_twin.revoke("the guardian switched off")
        if raised is not None:
            raise raised
        return measure(inputs, drive)

    mocker.patch.object(ideal_twin, "_measure", revoked_meanwhile)
    with pytest.raises(NetworkError, match="outputs were switched off: the guardian") as caught:
        ideal_twin.measure(small[2])
    assert caught.value.__cause__ is raised


def test_network_is_free_after_a_refused_request(small, ideal_twin):
    with pytest.raises(hl.errors.CircuitError):
        ideal_twin.measure(np.zeros((1, 99)))
    found = []
    thread = threading.Thread(target=lambda: found.append(ideal_twin.measure(small[2])))
    thread.start()
    thread.join()
    assert len(found) == 1


def run_in_fork(act):
    """Run a function in a forked child that exits as usual; return its exit code."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            act()
            code = 0
        finally:
            import atexit

            atexit._run_exitfuncs()
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@forks
def test_terminated_child_does_not_switch_off_the_outputs_of_its_parent():
    with hl.open_bench("virtual-smu") as bench:
        network = bench.network
        x = np.full((1, network.topology.n_inputs), 0.1)
        before = network.measure(x).voltages
        child = os.fork()
        if child == 0:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(10)
            finally:
                os._exit(0)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM
        np.testing.assert_allclose(network.measure(x).voltages, before, atol=5e-3)


@forks
@pytest.mark.parametrize("kind", ["virtual-smu", "virtual-board"])
def test_forked_child_neither_uses_nor_switches_off_the_network(kind):
    with hl.open_bench(kind) as bench:
        network = bench.network
        x = np.full((1, network.topology.n_inputs), 0.1)
        before = network.measure(x).voltages

        def child():
            for call in (
                lambda: network.measure(x),
                lambda: network.program(np.full(network.topology.n_edges, 1e-5)),
                network.reconnect,
                lambda: network.true_outputs(x),
            ):
                with pytest.raises(NetworkError, match="forked child"):
                    call()
            network.close()

        assert run_in_fork(child) == 0
        after = network.measure(x).voltages
        np.testing.assert_allclose(after, before, atol=5e-3)
