"""`UseContract`: counts, one thread at a time, no use in a forked child, resumption of simulations."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from hwlearn.errors import HwlearnError, NetworkError
from hwlearn.network.network import Network
from hwlearn.network.simulation import restore_simulation
from hwlearn.testing.subject import Subject


class UseContract(Subject):
    """Tests of the calls around a measurement."""

    def test_measurements_are_counted(self) -> None:
        network, _, x, _ = self.exercise()
        counted: list[int] = []
        network.on_measured = counted.append
        before = network.measurements
        for samples in (1, len(x)):
            network.measure(x[:samples])
        network.program(self.random_values(network, 0))
        network.on_measured = None
        if network.measurements - before != 1 + len(x) or counted != [1, len(x)]:
            pytest.fail(
                f"1 and {len(x)} samples were measured; measurements rose by {network.measurements - before} and "
                f"on_measured was called with {counted}"
            )

    def test_second_thread_is_refused(self) -> None:
        network, _, x, _ = self.exercise()
        state = self.hardware_state(network)
        targets = self.random_values(network, 1)
        for what, act in self._requests(network, x, targets).items():
            errors: list[BaseException | None] = []
            with network.reserved():
                thread = threading.Thread(target=lambda call=act, found=errors: found.append(_raised(call)))
                thread.start()
                thread.join()
            if not isinstance(errors[0], NetworkError):
                pytest.fail(f"{what} in a second thread must raise NetworkError, not {errors[0]!r}")
        if state is not None and self.hardware_state(network) != state:
            pytest.fail("a refused request of a second thread changed the hardware")
        network.measure(x)

    def test_forked_child_neither_uses_nor_switches_off_the_network(self) -> None:
        if not hasattr(os, "fork"):
            pytest.skip("this system has no fork")
        network, _, x, tolerance_V = self.exercise()
        before = network.measure(x).voltages
        state, was_on = self.hardware_state(network), self.outputs_on(network)
        for what, act in self._requests(network, x, self.random_values(network, 1)).items():
            if not _in_child(partial(_is_refused, act)):
                pytest.fail(f"{what} in a forked child must raise NetworkError")
        if not _in_child(lambda: _raised(network.close) is None):
            pytest.fail("close() in a forked child must do nothing")
        if state is not None and self.hardware_state(network) != state:
            pytest.fail("a forked child changed the hardware of its parent")
        if self.outputs_on(network) != was_on:
            pytest.fail("a forked child switched the outputs of its parent")
        self.check_same(network.measure(x).voltages, before, tolerance_V, "after a forked child")

    def test_revoked_network_refuses_requests(self) -> None:
        network, _, x, _ = self.exercise()
        network.revoke("somebody switched off")
        for what, act in self._requests(network, x, self.random_values(network, 1)).items():
            error = _raised(act)
            if not isinstance(error, NetworkError) or "somebody switched off" not in str(error):
                pytest.fail(f"{what} of a revoked network must raise NetworkError with the reason, not {error!r}")
        network.close()
        self.check_off(network, "after close() of a revoked network")

    def test_simulation_continues_from_its_state(self) -> None:
        network, _, x, _ = self.exercise()
        if network.simulation is None:
            pytest.skip("this network is no simulation")
        network.measure(x)
        state = {name: np.array(array) for name, array in network.simulation.state().items()}
        expected = self._continued(network, x)
        network = self.opened()
        assert network.simulation is not None
        network.measure(x[:1])  # the state does not depend on what was measured before
        restore_simulation(network.simulation, state)
        found = self._continued(network, x)
        for name, a, b in zip(("readings", "conductances", "later readings"), expected, found, strict=True):
            if not np.array_equal(a, b):
                pytest.fail(f"{name} after restoring a state differ from those of the uninterrupted network")

    def _continued(self, network: Network, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        first = network.measure(x).voltages
        done = network.program(self.random_values(network, 7))
        return first, done.reached, network.measure(x[::-1]).voltages

    def _requests(self, network: Network, x: np.ndarray, targets: np.ndarray) -> dict[str, Callable[[], object]]:
        return {
            "measure()": lambda: network.measure(x),
            "program()": lambda: network.program(targets),
            "switch_off()": network.switch_off,
            "reconnect()": network.reconnect,
            "true_outputs()": lambda: network.true_outputs(x),
        }


def _raised(act: Callable[[], object]) -> BaseException | None:
    """Return what a call raises, None if it returns."""
    try:
        act()
    except HwlearnError as error:
        return error
    except BaseException as error:
        return error
    return None


def _is_refused(act: Callable[[], object]) -> bool:
    return isinstance(_raised(act), NetworkError)


def _in_child(holds: Callable[[], bool]) -> bool:
    """Return whether a function returns True in a forked child, which then ends at once, without clean-up."""
    answers, answer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the backend may have threads
        child = os.fork()
    if child == 0:
        try:
            os.write(answer, b"1" if holds() else b"0")
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(answer)
    os.waitpid(child, 0)
    with os.fdopen(answers, "rb") as reader:
        return reader.read() == b"1"
