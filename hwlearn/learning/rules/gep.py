"""Generalized Equilibrium Propagation: the gradient as a contrast of measured phases.

Source: arXiv:2602.03546. With drops D in the phases nudged against (+) and along (-) the error, strength t and
co-content F (``D^2/2`` for ohmic edges), ``dC/dg = [F(D+) - F(D-)] / (2 t)``; one-sided, against the free phase,
``[F(D+) - F(D0)] / t``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.errors import NetworkError, SetupError
from hwlearn.learning.costs import Cost
from hwlearn.learning.observer import nudged_outputs, shifted
from hwlearn.learning.rules.rule import Gradient, Rule, named_readings
from hwlearn.network.headroom import Headroom
from hwlearn.network.network import Network, Readout, TwoPhase
from hwlearn.network.nudges import ClampNudge, CurrentNudge, Nudge, OutputDrive, Strength


@dataclass(frozen=True, eq=False)
class GEP(Rule):
    """Contrast of a free and one or two nudged phases.

    Parameters
    ----------
    nudge : Nudge
        How outputs are pushed; `CurrentNudge` makes it EP, `ClampNudge` CL, `ResistorNudge` what lies between.
    symmetric : bool
        Use both signs; on ohmic hardware this has no bias at any strength.
    readout : "outputs" or "nodes"
        Read the output nodes alone and let the model fill in the others, or read every node.
    nudged : "measured" or "computed"
        "computed" measures the free phase only and computes the nudged ones in the model: the control that
        tells what measuring them is worth.
    model_error : float
        Relative error of the model's output impedance, as the observer weighs it against readings.

    Raises
    ------
    SetupError
        For another word, or for nodes read in phases that are computed.
    """

    nudge: Nudge = field(default_factory=ClampNudge)
    symmetric: bool = True
    readout: Literal["outputs", "nodes"] = "outputs"
    nudged: Literal["measured", "computed"] = "measured"
    model_error: float = 0.2

    def __post_init__(self) -> None:
        if self.readout not in ("outputs", "nodes"):
            raise SetupError(f"readout must be 'outputs' or 'nodes', got {self.readout!r}")
        if self.nudged not in ("measured", "computed"):
            raise SetupError(f"nudged must be 'measured' or 'computed', got {self.nudged!r}")
        if self.nudged == "computed" and self.readout == "nodes":
            raise SetupError("computed phases have no node readings; use readout='outputs'")

    def gradient(
        self,
        network: Network,
        model: Kirchhoff,
        inputs: FloatArray,
        targets: FloatArray | IntArray,
        cost: Cost,
        trainable: BoolArray | None = None,
    ) -> Gradient:
        """Measure the phases and return their contrast; see `Rule.gradient`."""
        nudge = self.nudge.bound(model.output_impedance(inputs), model.scale_V)
        seen: Network | _ComputedNudges = network
        if self.nudged == "computed":
            seen = _ComputedNudges(network, model)
        phases = seen.two_phase(inputs, cost.signal(targets), nudge, self.symmetric)
        usable = _usable(phases)
        values = np.zeros(model.topology.n_edges)
        if usable.any():
            values = self._contrast(model, inputs, phases, usable) / len(inputs)
        outputs = phases.free.voltages
        return Gradient(
            values,
            outputs,
            cost.values(outputs, targets),
            skipped=int((~usable).sum()),
            readings=named_readings("free", phases.free)
            | named_readings("plus", phases.plus)
            | named_readings("minus", phases.minus)
            | {"error": phases.error, "strength": phases.strength},
        )

    def _contrast(self, model: Kirchhoff, inputs: FloatArray, phases: TwoPhase, usable: BoolArray) -> FloatArray:
        """Return the sum over usable samples of the contrast (E,)."""
        free, plus = phases.free.rows(usable), phases.plus.rows(usable)
        minus = None if phases.minus is None else phases.minus.rows(usable)
        x, t = inputs[usable], phases.strength[usable]
        if self.readout == "nodes":
            high, low = _nodes(plus), _nodes(free if minus is None else minus)
        else:
            volts_high, volts_low = nudged_outputs(model, free, plus, minus, self.model_error, x)
            both = model.observe(np.concatenate([x, x]), np.concatenate([volts_high, volts_low]))
            high, low = both[: len(x)], both[len(x) :]
        return model.contrast(high, low, 1.0 / (t if minus is None else 2 * t))


def EquilibriumPropagation(beta: Strength = "auto", **options: Any) -> GEP:
    """Return `GEP` with a current nudge of strength beta (siemens, for an error in volts)."""
    return GEP(CurrentNudge(beta), **options)


def CoupledLearning(eta: Strength = "auto", **options: Any) -> GEP:
    """Return `GEP` with an ideal clamp of strength eta."""
    return GEP(ClampNudge(eta), **options)


class _ComputedNudges:
    """A network whose free phase is measured and whose nudged phases are computed in a model."""

    def __init__(self, network: Network, model: Kirchhoff) -> None:
        self._network, self._model = network, model

    def two_phase(self, inputs: FloatArray, error: Any, nudge: Nudge, symmetric: bool) -> TwoPhase:
        network = self._network
        free = network.measure(inputs)
        e = error(free.voltages)
        strength = nudge.strengths(
            Headroom(network.topology, network.limits, inputs),
            free.voltages,
            e,
            error.least_error(network.resolution),
            network.resolution,
        )
        plus = self._shifted(inputs, free, nudge.drive(free.voltages, e, strength))
        minus = self._shifted(inputs, free, nudge.drive(free.voltages, e, -strength)) if symmetric else None
        return TwoPhase(free, plus, minus, e, strength)

    def _shifted(self, inputs: FloatArray, free: Readout, drive: OutputDrive) -> Readout:
        moved = shifted(self._model, free.voltages, drive, inputs)
        return replace(free, voltages=moved, output_currents=None)


def _usable(phases: TwoPhase) -> BoolArray:
    """Return the samples (S,) that were nudged and whose readings all lie inside the converter's range."""
    usable = ~phases.skipped
    for readout in (phases.free, phases.plus, phases.minus):
        if readout is not None and readout.saturated is not None:
            usable &= ~readout.saturated.any(axis=1)
    return usable


def _nodes(readout: Readout) -> FloatArray:
    if readout.nodes is None:
        raise NetworkError("this network reads its outputs only; use readout='outputs'")
    return readout.nodes
