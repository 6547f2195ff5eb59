"""What is done to a network in one configuration, and what was read: plain values that can be stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.errors import ComplianceError, SetupError
from hwlearn.network.network import Network, Readout
from hwlearn.network.nudges import OutputDrive

PhaseKind = Literal["free", "clamp", "current", "resistor"]


@dataclass(frozen=True, eq=False)
class Phase:
    """Patterns of one kind.

    Attributes
    ----------
    kind : "free", "clamp", "current" or "resistor"
    inputs : ndarray, shape (S, n_in)
        Volts.
    values : ndarray, shape (S, n_out)
        Volts or amperes of the output drive; NaN floats.
    siemens : float or None
        The known conductance behind a resistor drive.
    """

    kind: PhaseKind
    inputs: FloatArray
    values: FloatArray
    siemens: float | None = None

    @property
    def drive(self) -> OutputDrive | None:
        """What the outputs are driven with."""
        if self.kind == "free":
            return None
        if self.kind == "clamp":
            return OutputDrive.clamp(self.values)
        if self.kind == "current":
            return OutputDrive.current(self.values)
        return OutputDrive.resistor(self.values, _known(self.siemens))

    def rows(self, chosen: IntArray) -> Self:
        """Return the chosen patterns."""
        return type(self)(self.kind, self.inputs[chosen], self.values[chosen], self.siemens)

    def state(self) -> dict[str, Any]:
        """Return the phase as plain data."""
        return {
            "kind": self.kind,
            "inputs": self.inputs.tolist(),
            "values": _listed(self.values),
            "siemens": self.siemens,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return the phase that `state` described."""
        return cls(
            state["kind"], np.array(state["inputs"], dtype=float), _array(state["values"]), state["siemens"]
        )


@dataclass(frozen=True, eq=False)
class Excitation:
    """One configuration to program and the patterns to measure in it.

    Attributes
    ----------
    conductances : ndarray, shape (E,)
        Targets in siemens.
    phases : tuple of Phase
    expected_information : float
        Nats that it was expected to bring; NaN if that was not asked.
    """

    conductances: FloatArray
    phases: tuple[Phase, ...]
    expected_information: float = float("nan")

    @property
    def samples(self) -> int:
        """How many patterns are measured."""
        return sum(len(phase.inputs) for phase in self.phases)

    def measure(self, network: Network) -> Readings:
        """Program and measure; the network is left in this configuration.

        Raises
        ------
        LimitError, ComplianceError, NetworkError
            From the network; nothing is kept then. A driven phase that met a source's limit is left out and
            counted instead, as long as another phase is left.
        """
        programmed = network.program(self.conductances)
        phases, readouts, void = [], [], 0
        for phase in self.phases:
            try:
                readouts.append(network.measure(phase.inputs, phase.drive))
            except ComplianceError:
                # a source stopped at its limit: what was read there is void, the other phases are not
                if phase.kind == "free":
                    raise
                void += len(phase.inputs)
                continue
            phases.append(phase)
        if not phases:
            raise ComplianceError("every phase met a limit of its sources; lower limits.nudge")
        return Readings(
            tuple(phases), programmed.reached.copy(), programmed.failed.copy(), tuple(readouts), void=void
        )


@dataclass(frozen=True, eq=False)
class Readings:
    """What was read in one configuration.

    Attributes
    ----------
    phases : tuple of Phase
        The patterns.
    reached : ndarray, shape (E,)
        What the programmer says the edges took, in siemens.
    failed : ndarray of bool, shape (E,)
        Edges known not to have moved.
    readouts : tuple of Readout
        One a phase.
    void : int
        Patterns that were left out because a source met its limit.
    """

    phases: tuple[Phase, ...]
    reached: FloatArray
    failed: BoolArray
    readouts: tuple[Readout, ...]
    void: int = 0

    def state(self) -> dict[str, Any]:
        """Return the readings as plain data, for JSON or TOML."""
        return {
            "phases": [phase.state() for phase in self.phases],
            "reached": self.reached.tolist(),
            "failed": self.failed.tolist(),
            "readouts": [_readout_state(readout) for readout in self.readouts],
            "void": self.void,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return the readings that `state` described.

        Raises
        ------
        SetupError
            If the data is not what `state` gives.
        """
        try:
            return cls(
                tuple(Phase.from_state(phase) for phase in state["phases"]),
                np.array(state["reached"], dtype=float),
                np.array(state["failed"], dtype=bool),
                tuple(_readout(readout) for readout in state["readouts"]),
                int(state["void"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SetupError(f"stored readings are damaged ({error}); measure this configuration again") from error


def _known(siemens: float | None) -> float:
    if siemens is None:
        raise SetupError("a resistor drive needs its known conductance in siemens")
    return siemens


def _listed(array: FloatArray) -> list[list[float | None]]:
    return [[None if np.isnan(v) else float(v) for v in row] for row in array]


def _array(rows: Sequence[Sequence[float | None]]) -> FloatArray:
    return np.array([[np.nan if v is None else v for v in row] for row in rows], dtype=float)


def _readout_state(readout: Readout) -> dict[str, Any]:
    def listed(array: NDArray[Any] | None) -> list[Any] | None:
        return None if array is None else array.tolist()

    return {
        "voltages": readout.voltages.tolist(),
        "output_currents": listed(readout.output_currents),
        "source_currents": listed(readout.source_currents),
        "saturated": listed(readout.saturated),
        "voltage_sigma": readout.voltage_sigma,
        "current_sigma": readout.current_sigma,
    }


def _readout(state: Mapping[str, Any]) -> Readout:
    def array(name: str, kind: type = float) -> NDArray[Any] | None:
        return None if state[name] is None else np.array(state[name], dtype=kind)

    return Readout(
        np.array(state["voltages"], dtype=float),
        output_currents=array("output_currents"),
        source_currents=array("source_currents"),
        saturated=array("saturated", bool),
        voltage_sigma=float(state["voltage_sigma"]),
        current_sigma=float(state["current_sigma"]),
    )
