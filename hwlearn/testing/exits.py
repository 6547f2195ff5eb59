"""`ExitsContract`: outputs are off on every exit path, and the network works again where it stays open."""

from __future__ import annotations

import contextlib
import threading

import numpy as np
import pytest

from hwlearn.arrays import FloatArray
from hwlearn.errors import BackendError, HwlearnError, NetworkError
from hwlearn.network.network import Network
from hwlearn.testing.interruption import InterruptedMeasurement
from hwlearn.testing.nudging import NudgingContract


class ForeignError(RuntimeError):
    """An error that is none of hwlearn, as a library raises it."""


class ExitsContract(NudgingContract):
    """Tests of every way in which a measurement or the use of a network can end."""

    def test_state_of_the_outputs_is_known(self) -> None:
        network, _, x, _ = self.exercise()
        network.measure(x)
        if network.drives_outputs not in (None, self.outputs_on(network), self.outputs_on(network) or False):
            pytest.fail(f"drives_outputs is {network.drives_outputs}, which the hardware contradicts")
        if self.outputs_on(network) is None:
            pytest.skip("outputs_on(self, network) is not implemented: OFF is not checked at the hardware")

    def test_outputs_are_off_after_opening(self) -> None:
        self.check_off(self.opened(), "after opening; the first measurement switches it on")

    def test_outputs_are_off_after_close(self) -> None:
        network, _, x, _ = self.exercise()
        network.measure(x)
        network.close()
        self.check_off(network, "after close()")
        network.close()
        self.check_off(network, "after a second close()")

    def test_outputs_are_off_after_the_block(self) -> None:
        network, _, x, _ = self.exercise()
        with network:
            network.measure(x)
        self.check_off(network, "after the with block")
        if not network.closed:
            pytest.fail("the network is open after its with block")

    def test_outputs_are_off_after_an_exception_in_the_block(self) -> None:
        for error in (ForeignError("the analysis failed"), KeyboardInterrupt(), SystemExit(1)):
            network, _, x, _ = self.exercise()
            with pytest.raises(type(error)), network:
                network.measure(x)
                raise error
            self.check_off(network, f"after a {type(error).__name__} in the with block")

    def test_outputs_are_off_after_an_interrupt_between_measurements(self) -> None:
        network, _, x, _ = self.exercise()

        def interrupt(samples: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt), network:
            network.on_measured = interrupt
            network.measure(x)
        self.check_off(network, "after Ctrl-C between two measurements")

    def test_outputs_are_off_after_an_interrupt_during_a_measurement(self) -> None:
        network, _, x, tolerance_V = self.exercise()
        before = network.measure(x).voltages
        for at in self._places(network, x):
            with InterruptedMeasurement(network, KeyboardInterrupt(), at) as interrupted:
                try:
                    network.measure(x)
                except KeyboardInterrupt:
                    pass
                except HwlearnError as error:
                    pytest.fail(
                        f"Ctrl-C during a measurement (call {at}) ended as {type(error).__name__}: {error}"
                    )
                else:
                    if interrupted.raised:
                        pytest.fail(f"Ctrl-C during a measurement (call {at}) was swallowed")
            if not interrupted.raised:  # it took fewer calls than the one that was counted
                continue
            self.check_off(network, f"after Ctrl-C during a measurement (call {at} inside it)")
            if network.closed:
                pytest.fail("Ctrl-C during a measurement closed the network")
            after = network.measure(x).voltages
            self.check_same(after, before, tolerance_V, f"after Ctrl-C during a measurement (call {at})")

    def test_outputs_are_off_after_an_interrupt_while_programming(self) -> None:
        network, _, x, _ = self.exercise()
        network.measure(x)
        targets = self.random_values(network, 1)
        with InterruptedMeasurement(network, None, operation="_program") as counted:
            network.program(targets)
        for at in _spread(counted.calls, self.interrupts):
            with InterruptedMeasurement(network, KeyboardInterrupt(), at, "_program"):
                try:
                    network.program(targets)
                except KeyboardInterrupt:
                    network.close()
                    self.check_off(network, f"after Ctrl-C while programming (call {at} inside it)")
                    network, _, x, _ = self.exercise()
        network.measure(x)

    def test_outputs_are_off_after_a_foreign_error_during_a_measurement(self) -> None:
        network, _, x, _ = self.exercise()
        for at in self._places(network, x):
            with InterruptedMeasurement(network, ForeignError("the library failed"), at) as interrupted:
                try:
                    network.measure(x)
                except BackendError:
                    if not network.closed:
                        pytest.fail("a backend that failed with a foreign error must be closed")
                except HwlearnError:
                    pass  # the backend reports it as an error of its own
            if interrupted.raised:
                self.check_off(network, f"after an error in the middle of a measurement (call {at} inside it)")
                network, _, x, _ = self.exercise()

    def test_outputs_are_off_after_an_error_of_the_error_signal(self) -> None:
        network, _, x, _ = self.exercise()

        def wrong(outputs: FloatArray) -> FloatArray:
            raise ForeignError("the cost failed")

        kinds = sorted(network.nudges)
        if not kinds:
            pytest.skip("this network has no nudges")
        used = self.exercise(network)
        nudge = self._bound(used, kinds[0])
        with pytest.raises(ForeignError), network:
            network.two_phase(x, wrong, nudge)
        self.check_off(network, "after an error of the caller between two phases")

    def test_outputs_can_be_switched_off_and_on_again(self) -> None:
        network, _, x, tolerance_V = self.exercise()
        before = network.measure(x).voltages
        for _ in range(2):
            network.switch_off()
            self.check_off(network, "after switch_off()")
        if network.closed:
            pytest.fail("switch_off() closed the network")
        self.check_same(network.measure(x).voltages, before, tolerance_V, "after switch_off()")
        network.close()
        network.switch_off()

    def test_outputs_are_off_if_the_hardware_answers_nothing(self) -> None:
        network, _, x, _ = self.exercise()
        network.measure(x)
        if not self.stop_answering(network):
            pytest.skip("stop_answering(self, network) is not implemented")
        with contextlib.suppress(HwlearnError):  # it cannot confirm OFF, and says so
            network.close()
        self.check_off(
            network, "after close() of hardware that answers nothing: OFF must be sent before any query"
        )

    def test_outputs_are_off_if_the_hardware_stops_answering_during_a_measurement(self) -> None:
        network, _, x, _ = self.exercise()
        network.measure(x)
        if not self.stop_answering(network):
            pytest.skip("stop_answering(self, network) is not implemented")
        try:
            with pytest.raises(HwlearnError):
                network.measure(x)
            self.check_off(network, "after a measurement that failed because the hardware answers nothing")
        finally:
            with contextlib.suppress(HwlearnError):  # it cannot confirm OFF, and says so
                network.close()

    def test_another_thread_can_close(self) -> None:
        network, _, x, _ = self.exercise()
        network.measure(x)
        failed: list[BaseException] = []

        def close() -> None:
            try:
                network.close()
            except BaseException as error:
                failed.append(error)

        with network.reserved():
            thread = threading.Thread(target=close)
            thread.start()
            thread.join()
        if failed:
            pytest.fail(f"close() in another thread failed: {failed[0]!r}")
        self.check_off(network, "after close() in another thread")

    def test_closed_network_refuses_requests(self) -> None:
        network, _, x, _ = self.exercise()
        called: list[bool] = []
        network.on_closed = called.append
        network.close()
        network.close()
        if called != [True]:
            pytest.fail(f"on_closed must be called once, with True; it was called with {called}")
        for act in (
            lambda: network.measure(x),
            lambda: network.program(self.random_values(network, 0)),
            network.reconnect,
        ):
            with pytest.raises(NetworkError):
                act()
        self.check_off(network, "after requests to a closed network")
        if not network.closed:
            pytest.fail("a closed network says that it is open")

    def _places(self, network: Network, x: FloatArray) -> list[int]:
        """Return places inside a measurement, from its first to its last call."""
        network.switch_off()
        with InterruptedMeasurement(network, None) as cold:  # it also switches the outputs on
            network.measure(x)
        return _spread(cold.calls, self.interrupts)


def _spread(calls: int, places: int) -> list[int]:
    """Return at most so many numbers from 0 to ``calls`` - 1, with both ends."""
    if not calls:
        return []
    return sorted({int(k) for k in np.linspace(0, calls - 1, min(calls, places)).round()})
