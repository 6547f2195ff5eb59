"""`RefusalsContract`: what is wrong or beyond a limit is refused before anything is applied, not clipped."""

from __future__ import annotations

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.errors import CircuitError, HwlearnError, LimitError, NetworkError
from hwlearn.network.network import Network
from hwlearn.network.nudges import OutputDrive
from hwlearn.testing.subject import Subject

_SLIGHTLY, _FAR = 1.001, 1e6


class RefusalsContract(Subject):
    """Tests of requests that must not reach the hardware."""

    def test_inputs_beyond_the_voltage_limit_are_refused(self) -> None:
        network, _, x, _ = self.exercise()
        for k in {0, network.topology.n_inputs - 1}:
            for factor in (_SLIGHTLY, -_SLIGHTLY, _FAR):
                wrong = x.copy()
                wrong[-1, k] = factor * network.limits.voltage
                with self.refused(network, LimitError, f"input {k} at {factor:g} times limits.voltage"):
                    network.measure(wrong)
        self._still_measures(network, x)

    def test_inputs_beyond_the_drop_limit_are_refused(self) -> None:
        network, _, x, _ = self.exercise()
        limits, n = network.limits, network.topology.n_inputs
        half = 0.5 * limits.drop * _SLIGHTLY
        if n > 1 and half <= limits.voltage:
            wrong = np.zeros((1, n))
            wrong[0, :2] = half, -half
            with self.refused(network, LimitError, "a spread of the inputs beyond limits.drop"):
                network.measure(wrong)
            self._still_measures(network, x)

    def test_inputs_that_are_no_voltages_are_refused(self) -> None:
        network, _, x, _ = self.exercise()
        for value in (np.nan, np.inf, -np.inf):
            wrong = x.copy()
            wrong[0, -1] = value
            with self.refused(network, LimitError, f"an input of {value} V"):
                network.measure(wrong)
        for shaped in (x[:, :-1], np.concatenate([x, x[:, :1]], axis=1), x[None]):
            with self.refused(network, CircuitError, f"inputs of shape {shaped.shape}"):
                network.measure(shaped)
        self._still_measures(network, x)

    def test_drives_beyond_a_limit_are_refused(self) -> None:
        network, _, x, _ = self.exercise()
        limits, n = network.limits, network.topology.n_outputs
        for factor in (_SLIGHTLY, -_SLIGHTLY, _FAR, np.inf):
            drives = {
                "clamp": OutputDrive.clamp(_one(len(x), n, factor * limits.voltage)),
                "current": OutputDrive.current(_one(len(x), n, factor * limits.current)),
                "resistor": OutputDrive.resistor(_one(len(x), n, factor * limits.voltage), self.kappa(network)),
            }
            for kind in network.nudges:
                with self.refused(network, LimitError, f"a {kind} drive at {factor:g} times its limit"):
                    network.measure(x, drives[kind])
        self._still_measures(network, x)

    def test_drives_that_are_not_declared_are_refused(self) -> None:
        network, _, x, _ = self.exercise()
        shape = (len(x), network.topology.n_outputs)
        drives = {
            "clamp": OutputDrive.clamp(np.zeros(shape)),
            "current": OutputDrive.current(np.zeros(shape)),
            "resistor": OutputDrive.resistor(np.zeros(shape), self.kappa(network)),
        }
        for kind, drive in drives.items():
            if kind not in network.nudges:
                with self.refused(network, NetworkError, f"a {kind} drive, which is not in nudges,"):
                    network.measure(x, drive)
        self._still_measures(network, x)

    def test_drives_of_a_wrong_shape_are_refused(self) -> None:
        network, _, x, _ = self.exercise()
        n = network.topology.n_outputs
        for kind in network.nudges:
            for shape in ((len(x) - 1, n), (len(x), n + 1)):
                values = np.zeros(shape)
                siemens = np.full(shape[1], self.kappa(network)) if kind == "resistor" else None
                with self.refused(network, NetworkError, f"a {kind} drive of shape {shape}"):
                    network.measure(x, OutputDrive(kind, values, siemens))
        self._still_measures(network, x)

    def test_values_beyond_the_limits_are_refused(self) -> None:
        network, _, x, _ = self.exercise()
        low, high = (float(end[-1]) for end in network.limits.ranges(network.topology).ends)
        unit = network.topology.parameter(network.topology.n_edges - 1).unit
        before = network.measure(x).voltages
        for value in (low / _SLIGHTLY, high * _SLIGHTLY, 0.0 if low > 0 else -1.0, -high, np.nan, np.inf):
            wrong = self.random_values(network, 3)
            wrong[-1] = value
            with self.refused(network, LimitError, f"a target of {value:g} {unit}"):
                network.program(wrong)
        for shaped in (self.random_values(network, 3)[:-1], np.full((2, network.topology.n_edges), high)):
            with self.refused(network, NetworkError, f"targets of shape {shaped.shape}"):
                network.program(shaped)
        with self.refused(network, HwlearnError, "targets that are text"):
            network.program(["high"] * network.topology.n_edges)
        after = network.measure(x).voltages
        self.check_same(after, before, self.tolerance_V(network, x), "after refused programming")

    def kappa(self, network: Network) -> float:
        """Return the conductance in siemens of nudge resistors: those of the hardware, or one like the edges."""
        own = network.nudge_siemens
        if own is not None:
            return float(own.mean())
        if network.topology.has_three_terminals:
            impedance = self.model(network, network.limits.ranges(network.topology).middle()).output_impedance()
            return float(1 / impedance.diagonal().mean())
        return network.limits.conductance[1]

    def _still_measures(self, network: Network, x: FloatArray) -> None:
        network.measure(x)


def _one(samples: int, outputs: int, value: float) -> FloatArray:
    """Return values (S, n_out), NaN (floating) except one."""
    values = np.full((samples, outputs), np.nan)
    values[-1, -1] = value
    return values
