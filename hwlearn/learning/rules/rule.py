"""What every rule is: measurements in, a gradient on the edges out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.learning.costs import Cost
from hwlearn.network.network import Network, Readout


@dataclass(frozen=True, eq=False, slots=True)
class Gradient:
    """A measured gradient and what it was made from.

    Attributes
    ----------
    values : ndarray, shape (E,)
        dC/dg, mean over the batch, up to the constant factor of the nudge.
    outputs : ndarray, shape (S, n_out)
        Measured free outputs in volts.
    costs : ndarray, shape (S,)
        Cost of each sample at these readings.
    skipped : int
        Samples that contributed nothing: not worth nudging, without headroom, or saturated.
    readings : mapping of str to ndarray
        Everything that was read, by name, for the run store.
    """

    values: FloatArray
    outputs: FloatArray
    costs: FloatArray
    skipped: int = 0
    readings: Mapping[str, FloatArray] = field(default_factory=dict)


class Rule(ABC):
    """A way to find the gradient of a cost with what a lab can measure."""

    @abstractmethod
    def gradient(
        self,
        network: Network,
        model: Kirchhoff,
        inputs: FloatArray,
        targets: FloatArray | IntArray,
        cost: Cost,
        trainable: BoolArray | None = None,
    ) -> Gradient:
        """Measure and return dC/dg.

        Parameters
        ----------
        network : Network
            What is measured.
        model : Kirchhoff
            What is known of it: conductances as programmed, or as calibrated.
        inputs : ndarray, shape (S, n_in)
            Volts.
        targets : ndarray
            As the cost takes them.
        cost : Cost
        trainable : ndarray of bool, shape (E,), optional
            Edges that may be changed; a rule that perturbs edges leaves the others alone.
        """

    def resume(self, gradients: int) -> None:  # noqa: B027 - most rules draw none
        """Go on as if so many gradients had been asked before; for rules that draw random numbers."""


def named_readings(prefix: str, readout: Readout | None) -> dict[str, FloatArray]:
    """Return what was read in a phase under names that begin with the phase."""
    if readout is None:
        return {}
    fields = {
        "voltages": readout.voltages,
        "output_currents": readout.output_currents,
        "nodes": readout.nodes,
    }
    return {f"{prefix}_{name}": array for name, array in fields.items() if array is not None}
