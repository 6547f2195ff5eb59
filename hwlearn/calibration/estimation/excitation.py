"""Excitation of a network in one configuration and its readings, as plain values that can be stored."""

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
    """Patterns with the same kind of output drive.

    Attributes
    ----------
    kind : "free", "clamp", "current" or "resistor"
    inputs : ndarray, shape (S, n_in)
        Volts.
    values : ndarray, shape (S, n_out)
        Volts or amperes of the output drive; NaN: the output floats.
    siemens : ndarray, shape (n_out,), or None
        Known conductances of resistor drives.
    """

    kind: PhaseKind
    inputs: FloatArray
    values: FloatArray
    siemens: FloatArray | None = None

    @property
    def drive(self) -> OutputDrive | None:
        """Drive of the outputs; None in the free phase."""
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
            "siemens": None if self.siemens is None else self.siemens.tolist(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return the phase that `state` described."""
        siemens = None if state["siemens"] is None else np.array(state["siemens"], dtype=float)
        return cls(state["kind"], np.array(state["inputs"], dtype=float), _array(state["values"]), siemens)


@dataclass(frozen=True, eq=False)
class Excitation:
    """One configuration to program and the patterns to measure in it.

    Attributes
    ----------
    conductances : ndarray, shape (E,)
        Targets in siemens.
    phases : tuple of Phase
    expected_information : float
        Expected information in nats; NaN if it was not computed.
    """

    conductances: FloatArray
    phases: tuple[Phase, ...]
    expected_information: float = float("nan")

    @property
    def samples(self) -> int:
        """Number of patterns."""
        return sum(len(phase.inputs) for phase in self.phases)

    def measure(self, network: Network) -> Readings:
        """Program and measure; the network is left in this configuration.

        Raises
        ------
        LimitError, ComplianceError, NetworkError
            From the network; no readings are kept. A driven phase in which a source reached its limit is left out
            and counted instead, if at least one phase remains.
        """
        programmed = network.program(self.conductances)
        phases, readouts, void = [], [], 0
        for phase in self.phases:
            try:
                readouts.append(network.measure(phase.inputs, phase.drive))
            except ComplianceError:
                # a source reached its limit: the readings of this phase are void, those of others are not
                if phase.kind == "free":
                    raise
                void += len(phase.inputs)
                continue
            phases.append(phase)
        if not phases:
            raise ComplianceError("a source reached its limit in every phase; lower limits.nudge")
        return Readings(
            tuple(phases), programmed.reached.copy(), programmed.failed.copy(), tuple(readouts), void=void
        )


@dataclass(frozen=True, eq=False)
class Readings:
    """Readings of one configuration.

    Attributes
    ----------
    phases : tuple of Phase
        Measured patterns.
    reached : ndarray, shape (E,)
        Conductances in siemens that the programmer reports.
    failed : ndarray of bool, shape (E,)
        Edges that failed to reach their target.
    readouts : tuple of Readout
        One for each phase.
    void : int
        Patterns left out because a source reached its limit.
    """

    phases: tuple[Phase, ...]
    reached: FloatArray
    failed: BoolArray
    readouts: tuple[Readout, ...]
    void: int = 0

    def is_repeated_by(self, other: Readings) -> bool:
        """Return whether the other readings are of the same patterns; patterns are drawn anew, never twice."""
        return len(self.phases) == len(other.phases) and all(
            mine.kind == theirs.kind
            and np.array_equal(mine.inputs, theirs.inputs)
            and np.array_equal(mine.values, theirs.values, equal_nan=True)
            for mine, theirs in zip(self.phases, other.phases, strict=True)
        )

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
            If the data does not come from `state`.
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


def _known(siemens: FloatArray | None) -> FloatArray:
    if siemens is None:
        raise SetupError("a resistor drive needs its known conductances in siemens")
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
