"""`MemristiveTwin`: a simulated network whose edges are memristive devices, programmed with write-verify."""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.topology import Topology
from hwlearn.device_access import DeviceAccess
from hwlearn.errors import SetupError
from hwlearn.network.limits import Limits
from hwlearn.network.network import Programmed, Readout
from hwlearn.network.nudges import OutputDrive
from hwlearn.network.simulation import State, part, prefixed
from hwlearn.write_verify import WriteReport, WriteSettings, write_verify
from hwlearn_sim.devices.faults import EdgeFault
from hwlearn_sim.devices.imperfections import Imperfections
from hwlearn_sim.twin.memristive.devices import Memristors
from hwlearn_sim.twin.twin import KirchhoffTwin, TwinOptions

_DEVICE_FLAWS = (
    "device_spread",
    "conductance_bits",
    "write_noise",
    "stuck_fraction",
    "stuck",
    "faults",
    "drift_per_sqrt_hour",
)


class MemristiveTwin(KirchhoffTwin):
    """A simulated network whose edges are memristive devices.

    Parameters
    ----------
    topology : Topology
        The graph.
    limits : Limits
        Hard limits of the bench; pulses have limits of their own.
    memristors : Memristors
        Parameters of the devices.
    imperfections : Imperfections
        Imperfections of everything except the devices.
    seed : int
        Seed of all random numbers.
    **options
        Further keywords of `KirchhoffTwin`.

    Raises
    ------
    SetupError
        If the imperfections include device errors, or half-selection is requested without a crossbar.

    Notes
    -----
    The devices are pristine until the first programming. Programming runs `write_verify`; devices that are stuck,
    worn or did not reach their target are `Programmed.failed`. The response that was estimated for each device is
    kept for the next programming. Measuring the network changes no device: it assumes select transistors, or
    voltages far below the thresholds.
    """

    has_any_values = False

    def __init__(
        self,
        topology: Topology,
        limits: Limits,
        memristors: Memristors,
        imperfections: Imperfections | None = None,
        *,
        seed: int = 0,
        **options: Unpack[TwinOptions],
    ) -> None:
        flaws = Imperfections() if imperfections is None else imperfections
        for name in _DEVICE_FLAWS:
            if getattr(flaws, name):
                raise SetupError(f"imperfection {name} does not apply to memristors; use the fields of Memristors")
        if options.get("edge_law") is not None:
            raise SetupError("edge_law does not apply to memristors; use one or the other, not both")
        self.memristors = memristors
        self._array = memristors.array(topology, seed)
        self._report: WriteReport | None = None
        super().__init__(topology, limits, flaws, seed=seed, **options)

    @property
    def write_report(self) -> WriteReport | None:
        """Report of the last programming; None before the first."""
        return self._report

    @property
    def true_values(self) -> FloatArray:
        """True conductances (E,) in siemens, for reports and tests only."""
        return self._array.true_conductances

    def fail_edges(self, fault: EdgeFault, *, now: bool = False) -> None:
        """Refuse: memristive devices fail as `MemristorSettings` says.

        Raises
        ------
        SetupError
            Always.
        """
        raise SetupError(
            "edges of a memristive twin cannot be made to fail; choose stuck_fraction or endurance of its devices"
        )

    def _device_access(self) -> DeviceAccess:
        return self._array

    def _true_outputs(self, inputs: FloatArray) -> FloatArray:
        self._follow_devices()
        return super()._true_outputs(inputs)

    def state(self) -> dict[str, np.ndarray]:
        """Return noise, devices and what was learnt about each device by programming; see `Simulation`."""
        text = "" if self._report is None else self._report.to_text()
        report = np.frombuffer(text.encode(), dtype=np.uint8)
        return {**super().state(), **prefixed("array", self._array.state()), "report": report}

    def restore(self, state: State) -> None:
        """Continue from a state; raises KeyError or ValueError if it is of another bench."""
        self._array.restore(part("array", state))
        text = state["report"].tobytes().decode()
        self._report = WriteReport.from_text(text) if text else None
        super().restore(state)

    def _measure(self, inputs: FloatArray, drive: OutputDrive | None) -> Readout:
        self._follow_devices()
        return super()._measure(inputs, drive)

    def _program(self, values: FloatArray) -> Programmed:
        known = self._report
        self._report = write_verify(
            self._array,
            values,
            WriteSettings(self.memristors.tolerance, self.memristors.most_pulses),
            # the pulse budget applies to each programming, also towards the same targets
            resume=None if known is None else replace(known, pulses=np.zeros_like(known.pulses)),
        )
        return self._report.programmed

    def _age(self, samples: int) -> None:
        self._array.rest(samples * self.settle_s * self.averages)
        self._follow_devices()

    def _follow_devices(self) -> None:
        """Update the circuit to the present conductances of the devices."""
        true = self._array.true_conductances
        if not np.array_equal(true, self._truth.conductances):
            self._set_true_values(true)

    def _written(self, nominal: FloatArray) -> FloatArray:
        return self._array.true_conductances
