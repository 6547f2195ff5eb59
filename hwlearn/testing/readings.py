"""`ReadingsContract`: readings have the right shape, unit, sign and channel, and depend on nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hwlearn.errors import SetupError
from hwlearn.network.opened import check_opened
from hwlearn.testing.subject import Exercise, Subject, copied, model_outputs


class ReadingsContract(Subject):
    """Tests of `Network.measure` in the free phase."""

    def test_opened_network_has_valid_properties(self) -> None:
        network = self.opened()
        limits = self.limits()
        check_opened(network, network.topology, network.limits if limits is None else limits)
        if network.measurements != 0:
            pytest.fail(f"a new network has counted {network.measurements} measurements")

    def test_readings_have_one_row_per_sample(self) -> None:
        network, _, x, _ = self.exercise()
        for samples in (1, 2, len(x)):
            read = network.measure(x[:samples])  # its type, dtype, shape and finiteness are checked in `measure`
            if read.voltages.shape != (samples, network.topology.n_outputs):
                pytest.fail(f"{samples} samples give readings of shape {read.voltages.shape}")

    def test_empty_batch_gives_no_readings(self) -> None:
        network, _, x, _ = self.exercise()
        read = network.measure(x[:0])
        if read.voltages.shape != (0, network.topology.n_outputs):
            pytest.fail(f"no samples give readings of shape {read.voltages.shape}")

    def test_large_batch_reads_as_small_ones(self) -> None:
        network, _, x, tolerance_V = self.exercise()
        big = x[np.arange(self.big_batch) % len(x)]
        found = network.measure(big).voltages
        self.check_same(
            found, network.measure(x).voltages[np.arange(self.big_batch) % len(x)], tolerance_V, "large"
        )

    def test_reading_does_not_depend_on_the_other_samples(self) -> None:
        network, _, x, tolerance_V = self.exercise()
        whole = network.measure(x).voltages
        self.check_same(network.measure(x[::-1]).voltages[::-1], whole, tolerance_V, "in reversed order")
        order = np.random.default_rng(2).permutation(len(x))
        self.check_same(network.measure(x[order]).voltages, whole[order], tolerance_V, "in another order")
        alone = np.concatenate([network.measure(row).voltages for row in x[:, None]])
        self.check_same(alone, whole, tolerance_V, "one sample at a time")

    def test_earlier_readout_does_not_change(self) -> None:
        network, _, x, _ = self.exercise()
        read = network.measure(x)
        before = copied(read)
        network.measure(x[::-1])
        network.measure(x[:2])
        for name, array in copied(read).items():
            if not np.array_equal(array, before[name]):
                pytest.fail(f"a later measurement changed {name} of an earlier readout; return a copy")

    def test_inputs_are_not_changed(self) -> None:
        network, _, x, _ = self.exercise()
        given = x.copy()
        network.measure(given)
        if not np.array_equal(given, x):
            pytest.fail("measure() changed the array of inputs that it was given")

    def test_readings_agree_with_the_reported_conductances(self) -> None:
        network = self.opened()
        for seed in (0, 1):
            _, model, x, tolerance_V = self.exercise(network, seed)
            found = network.measure(x).voltages
            expected = model_outputs(model, network.topology, x, None)
            self.check_agrees(found, expected, tolerance_V, "outputs")

    def test_outputs_are_between_the_driven_voltages(self) -> None:
        network, _, x, tolerance_V = self.exercise()
        ends = x if network.topology.ground is None else np.concatenate([x, np.zeros((len(x), 1))], axis=1)
        low, high = ends.min(axis=1, keepdims=True), ends.max(axis=1, keepdims=True)
        margin = tolerance_V + self.accuracy * float(np.abs(x).max())
        found = network.measure(x).voltages
        beyond = np.maximum(low - found, found - high)
        if (beyond > margin).any():
            s, j = np.unravel_index(int(beyond.argmax()), beyond.shape)
            pytest.fail(
                f"output {j} of sample {s} reads {found[s, j]:.4g} V, outside the driven terminals "
                f"({low[s, 0]:.4g} to {high[s, 0]:.4g} V): a passive network cannot do that"
            )

    def test_ohmic_outputs_follow_sign_and_size_of_the_inputs(self) -> None:
        used = self.exercise()
        network, tolerance_V = used.network, used.tolerance_V
        if network.topology.elements is not None:
            pytest.skip("the elements of this network are not ohmic")
        full = _without_offset(used, 1.0)
        most = tolerance_V + 0.2 * self.accuracy * float(np.abs(full).max())
        self.check_same(_without_offset(used, -1.0), -full, 2 * most, "inputs of the other sign")
        self.check_same(2 * _without_offset(used, 0.5), full, 3 * most, "twice the readings at half of the inputs")

    def test_stated_noise_is_not_below_the_measured_noise(self) -> None:
        network, _, x, _ = self.exercise()
        read = network.measure(np.repeat(x[:1], self.repeats, axis=0))
        found = float(read.voltages.std(axis=0, ddof=1).max())
        stated = read.voltage_sigma
        # the standard deviation of few readings is uncertain itself
        most = stated * (1 + 5 / math.sqrt(2 * (self.repeats - 1))) + network.resolution
        if found > most + 1e-12 * network.limits.voltage:
            pytest.fail(
                f"readings of one state have {found:.3g} V rms, but voltage_sigma is {stated:.3g} V; "
                "training weights readings by it"
            )

    def test_source_currents_agree_with_the_reported_conductances(self) -> None:
        network, model, x, _ = self.exercise()
        found = network.measure(x).source_currents
        if found is None:
            pytest.skip("this network does not measure the currents of its sources")
        expected = model.source_currents(model.solve(x))
        repeated = network.measure(np.repeat(x[:1], self.repeats, axis=0)).source_currents
        noise = 0.0 if repeated is None else 6 * float(repeated.std(axis=0, ddof=1).max())
        self.check_agrees(found, expected, noise + 1e-12, "source currents")

    def test_true_outputs_have_one_row_per_sample(self) -> None:
        network, model, x, tolerance_V = self.exercise()
        true = network.true_outputs(x)  # shape and finiteness are checked there
        if true is not None:
            expected = model_outputs(model, network.topology, x, None)
            self.check_agrees(true, expected, tolerance_V, "true outputs")

    def test_network_can_reconnect_or_says_that_it_has_no_link(self) -> None:
        network, _, x, tolerance_V = self.exercise()
        before = network.measure(x).voltages
        try:
            network.reconnect()
        except SetupError:
            raise
        except Exception as error:
            if network.closed or "no link" not in str(error):
                pytest.fail(f"reconnect() failed on working hardware: {type(error).__name__}: {error}")
        else:
            self.check_off(network, "after reconnect()")
        self.check_same(network.measure(x).voltages, before, tolerance_V, "after reconnect()")


def _without_offset(used: Exercise, factor: float) -> np.ndarray:
    """Return the outputs (S, n_out) for inputs times a factor, less those of inputs at 0 V."""
    zero = used.network.measure(np.zeros((24, used.inputs.shape[1]))).voltages.mean(axis=0)
    return np.asarray(used.network.measure(factor * used.inputs).voltages - zero)
