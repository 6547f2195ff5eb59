"""Abstract base class of rules, which find the gradient of a cost from measurements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.learning.costs import Cost
from hwlearn.network.network import Network, Readout, TwoPhase


@dataclass(frozen=True, eq=False, slots=True)
class Gradient:
    """A measured gradient and the readings it was computed from.

    Attributes
    ----------
    values : ndarray, shape (E,)
        dC/dg, mean over the batch, up to the constant factor of the nudge.
    outputs : ndarray, shape (S, n_out)
        Measured free outputs in volts.
    costs : ndarray, shape (S,)
        Cost of each sample at these readings.
    skipped : int
        Samples that contributed nothing: error too small to resolve, no headroom, or saturated readings.
    readings : mapping of str to ndarray
        All readings by name, for the run store.
    free : Readout or None
        The free phase, if the rule gives it.
    phases : TwoPhase or None
        All phases of a rule that nudges.
    nodes : tuple of ndarray, shape (S', N), or None
        Node voltages of both phases of the contrast, of the samples that contributed to it.
    """

    values: FloatArray
    outputs: FloatArray
    costs: FloatArray
    skipped: int = 0
    readings: Mapping[str, FloatArray] = field(default_factory=dict)
    free: Readout | None = None
    phases: TwoPhase | None = None
    nodes: tuple[FloatArray, FloatArray] | None = None


@dataclass(frozen=True, eq=False, slots=True)
class GradientRequest:
    """Input of a rule.

    Attributes
    ----------
    network : Network
        Network to measure.
    model : Kirchhoff
        Model of the network, with conductances as programmed or as calibrated.
    inputs : ndarray, shape (S, n_in)
        Volts.
    targets : ndarray
        As the cost takes them.
    cost : Cost
    trainable : ndarray of bool, shape (E,), optional
        Edges that may change, all unless given; a rule that perturbs edges does not change the others.
    """

    network: Network
    model: Kirchhoff
    inputs: FloatArray
    targets: FloatArray | IntArray
    cost: Cost
    trainable: BoolArray | None = None


class Rule(ABC):
    """Method that finds the gradient of a cost from measurements."""

    @property
    def follows_cost(self) -> bool:
        """Whether its values are derivatives of the cost, not of another one with the same minimum."""
        return True

    @abstractmethod
    def gradient(self, request: GradientRequest) -> Gradient:
        """Measure and return dC/dg."""

    def resume(self, gradients: int) -> None:  # noqa: B027 - most rules draw no random numbers
        """Continue the sequence of random numbers after this many gradients."""


def named_readings(prefix: str, readout: Readout | None) -> dict[str, Any]:
    """Return the readings of a phase, with the phase as prefix of their names.

    ``saturated`` marks the readings at an end of the converter's range; it is left out where there are none.
    """
    if readout is None:
        return {}
    fields: dict[str, Any] = {
        "voltages": readout.voltages,
        "output_currents": readout.output_currents,
        "nodes": readout.nodes,
    }
    if readout.saturated is not None and readout.saturated.any():
        fields["saturated"] = readout.saturated
    return {f"{prefix}_{name}": array for name, array in fields.items() if array is not None}
