"""Generalized Equilibrium Propagation (GEP): the gradient as a contrast of measured phases.

Source: arXiv:2602.03546. With drops D in the phases nudged against (+) and along (-) the error, strength t and
co-content F (``D^2/2`` for ohmic edges), ``dC/dg = [F(D+) - F(D-)] / (2 t)``; one-sided, against the free phase,
``[F(D+) - F(D0)] / t``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.errors import NetworkError, SetupError
from hwlearn.learning.instances import check_instance
from hwlearn.learning.observer import nudged_outputs, shifted
from hwlearn.learning.rules.rule import Gradient, GradientRequest, Rule, named_readings
from hwlearn.network.headroom import Headroom
from hwlearn.network.network import Network, Readout, TwoPhase
from hwlearn.network.nudges import (
    ClampNudge,
    CurrentNudge,
    DriveKind,
    Nudge,
    OutputDrive,
    ResistorNudge,
    Strength,
)
from hwlearn.units import is_number

_NUDGES: Final[dict[str, type[Nudge]]] = {kind.kind: kind for kind in (ClampNudge, CurrentNudge, ResistorNudge)}


@dataclass(frozen=True, eq=False, init=False)
class GEP(Rule):
    """Contrast of a free and one or two nudged phases.

    Parameters
    ----------
    nudge : Nudge, "clamp", "current" or "resistor", optional
        How outputs are nudged. `CurrentNudge` gives EP, `ClampNudge` CL, and `ResistorNudge` lies between them.
        A name gives the nudge with its default settings. Unless given, a clamp, or with ``order`` a current.
    symmetric : bool
        Nudge with both signs; on ohmic hardware this has no bias at any strength.
    readout : "outputs", "nodes" or "edges"
        Read only the outputs and estimate the other nodes with the model, or read every node, or take the contrast
        that circuits at the edges measure themselves (`TwoPhase.contrast`), with their offsets.
    nudged : "measured" or "computed"
        "computed" measures the free phase only and computes the nudged phases in the model. It is a control
        experiment for the value of measured nudged phases.
    model_error : float
        Relative error of the model's output impedance. It sets the weight of the model against the readings when
        the voltages of other nodes are estimated.
    order : float, optional
        Order k of the nudge: the current into the outputs is proportional to ``Z^-(k-1) e`` with the model's
        output impedance Z. 1 is EP, 2 is CL, any real number is possible on networks that are reciprocal. A clamp
        sets the voltages that this current reaches. Unless given, that of the nudge. A resistor nudge has none.

    Raises
    ------
    SetupError
        If an argument is none of the values above, or if nodes are to be read in computed phases.

    Examples
    --------
    >>> GEP("current").nudge
    CurrentNudge(strength='auto', order=1.0)
    >>> GEP(order=1.5).nudge
    CurrentNudge(strength='auto', order=1.5)
    """

    nudge: Nudge
    symmetric: bool
    readout: Literal["outputs", "nodes", "edges"]
    nudged: Literal["measured", "computed"]
    model_error: float

    def __init__(
        self,
        nudge: Nudge | DriveKind | None = None,
        symmetric: bool = True,
        readout: Literal["outputs", "nodes", "edges"] = "outputs",
        nudged: Literal["measured", "computed"] = "measured",
        model_error: float = 0.2,
        order: float | None = None,
    ) -> None:
        values = {"symmetric": symmetric, "readout": readout, "nudged": nudged, "model_error": model_error}
        for name, value in {"nudge": _nudge(nudge, order), **values}.items():
            object.__setattr__(self, name, value)
        if self.readout not in ("outputs", "nodes", "edges"):
            raise SetupError(f"readout must be 'outputs', 'nodes' or 'edges', got {self.readout!r}")
        if self.nudged not in ("measured", "computed"):
            raise SetupError(f"nudged must be 'measured' or 'computed', got {self.nudged!r}")
        given: object = symmetric
        if not isinstance(given, bool | np.bool_):
            raise SetupError(f"symmetric must be True or False, got {symmetric!r}")
        if not (is_number(model_error) and model_error >= 0):
            raise SetupError(f"model_error is {model_error!r}; it must be zero or a positive number")
        if self.nudged == "computed" and self.readout != "outputs":
            raise SetupError(f"computed phases have no readings of {self.readout}; use readout='outputs'")

    @property
    def follows_cost(self) -> bool:
        """Whether the contrast is the gradient of the cost: of nudges of order 1."""
        return isinstance(self.nudge, CurrentNudge | ClampNudge) and self.nudge.order == 1

    def gradient(self, request: GradientRequest) -> Gradient:
        """Measure the phases and return their contrast; see `Rule.gradient`."""
        network, model, inputs = request.network, request.model, request.inputs
        targets, cost = request.targets, request.cost
        nudge, impedance = self.bound_nudge(model, inputs)
        measured: Network | _ComputedNudges = network
        if self.nudged == "computed":
            measured = _ComputedNudges(network, model)
        phases = measured.two_phase(inputs, cost.signal(targets), nudge, self.symmetric)
        usable = usable_samples(phases)
        values, nodes = np.zeros(model.topology.n_edges), None
        if usable.any():
            contrast, nodes = self._contrast(model, inputs, phases, usable, impedance)
            values = contrast / len(inputs)
        outputs = phases.free.voltages
        return Gradient(
            values,
            outputs,
            cost.values(outputs, targets),
            skipped=int((~usable).sum()),
            readings=named_readings("free", phases.free)
            | named_readings("plus", phases.plus)
            | named_readings("minus", phases.minus)
            | {"error": phases.error, "strength": phases.strength}
            | ({} if phases.contrast is None else {"contrast": phases.contrast}),
            free=phases.free,
            phases=phases,
            nodes=nodes,
        )

    def bound_nudge(self, model: Kirchhoff, inputs: FloatArray) -> tuple[Nudge, FloatArray | None]:
        """Return the nudge at these inputs (S, n_in), and the model's output impedance if it is needed."""
        if self.nudge.strength != "auto" and not self.nudge.needs_impedance:
            return self.nudge, None
        impedance = model.output_impedance(inputs)
        return self.nudge.bound(impedance, model.scale_V), impedance

    def node_voltages(
        self, model: Kirchhoff, inputs: FloatArray, phases: TwoPhase, impedance: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return the voltages (S, N) of all nodes in both phases of the contrast, read or estimated.

        All samples must be nudged. ``impedance`` is the model's output impedance, if it is known already.

        Raises
        ------
        NetworkError
            If every node is to be read, and the network reads only its outputs.
        """
        plus, minus = phases.plus, phases.minus
        low = phases.free if minus is None else minus
        if self.readout == "nodes":
            return _nodes(plus, model.topology.n_nodes), _nodes(low, model.topology.n_nodes)
        above, below = nudged_outputs(model, inputs, phases.free, plus, minus, self.model_error, impedance)
        both = model.observe(np.concatenate([inputs, inputs]), np.concatenate([above, below]))
        return both[: len(inputs)], both[len(inputs) :]

    def _contrast(
        self,
        model: Kirchhoff,
        inputs: FloatArray,
        phases: TwoPhase,
        usable: BoolArray,
        impedance: FloatArray | None,
    ) -> tuple[FloatArray, tuple[FloatArray, FloatArray] | None]:
        """Return the sum over usable samples of the contrast (E,), and the node voltages it was computed from."""
        used = phases.rows(usable)
        weights = contrast_weights(used)
        if self.readout == "edges":
            return np.asarray(weights @ contrast_of_edges(used, model.topology.n_edges)), None
        Z = impedance if impedance is None or impedance.ndim == 2 else impedance[usable]
        high, low = self.node_voltages(model, inputs[usable], used, Z)
        return model.contrast(high, low, weights), (high, low)


def contrast_weights(phases: TwoPhase) -> FloatArray:
    """Return the factor (S,) by which the contrast of each sample becomes a derivative of the cost."""
    return np.asarray(1.0 / (phases.strength if phases.minus is None else 2 * phases.strength))


def EquilibriumPropagation(beta: Strength = "auto", **options: Any) -> GEP:
    """Return `GEP` with a current nudge of strength beta, in siemens for an error in volts."""
    return GEP(CurrentNudge(beta), **options)


def CoupledLearning(eta: Strength = "auto", *, overclamp: float = 1.0, **options: Any) -> GEP:
    """Return `GEP` with an ideal clamp of strength eta.

    With ``overclamp`` above 1, the clamp is placed that many times as far from the free output as eta asks: the
    contrast grows, and what is added to it without a nudge weighs less (arXiv:2505.22887).

    Raises
    ------
    SetupError
        If ``overclamp`` is below 1, or is given together with the strength ``"auto"``.
    """
    return GEP(ClampNudge(overclamped(eta, overclamp)), **options)


def overclamped(eta: Strength, overclamp: float) -> Strength:
    """Return the strength of a clamp that is placed ``overclamp`` times as far as eta asks.

    Raises
    ------
    SetupError
        If ``overclamp`` is below 1, or is given together with the strength ``"auto"``.
    """
    if not (is_number(overclamp) and overclamp >= 1):
        raise SetupError(f"overclamp is {overclamp!r}; it must be a number of at least 1")
    if overclamp == 1:
        return eta
    if isinstance(eta, str):
        raise SetupError("overclamp needs a strength that is a number; 'auto' is the largest one already")
    return eta * overclamp


def _nudge(nudge: Nudge | str | None, order: float | None) -> Nudge:
    """Return a nudge, given itself or by name, of the given order."""
    if nudge is None:
        nudge = "clamp" if order is None else "current"
    if isinstance(nudge, str):
        if nudge not in _NUDGES:
            raise SetupError(f"nudge must be {', '.join(map(repr, _NUDGES))} or a Nudge object, got {nudge!r}")
        nudge = _NUDGES[nudge]()
    check_instance(nudge, Nudge, "nudge")
    if order is None:
        return nudge
    if not isinstance(nudge, CurrentNudge | ClampNudge):
        raise SetupError(
            f"order = {order!r} needs a current nudge or a clamp; {type(nudge).__name__} has no order"
        )
    if not is_number(order):
        raise SetupError(f"order is {order!r}; it must be a finite number, such as 1 (EP) or 2 (CL)")
    return replace(nudge, order=float(order))


class _ComputedNudges:
    """Measures the free phase on a network and computes the nudged phases in a model."""

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


def usable_samples(phases: TwoPhase) -> BoolArray:
    """Return the samples (S,) that were nudged without saturating a reading."""
    usable = ~phases.skipped
    for readout in (phases.free, phases.plus, phases.minus):
        if readout is not None and readout.saturated is not None:
            usable &= ~readout.saturated.any(axis=1)
    return usable


def contrast_of_edges(phases: TwoPhase, n_edges: int) -> FloatArray:
    """Return the contrast (S, E) that circuits at the edges have measured."""
    contrast = phases.contrast
    if contrast is None:
        raise NetworkError(
            "no circuits at the edges measure the contrast of this network; use readout='outputs', or a "
            "PairedNetwork whose copies read every node"
        )
    if contrast.shape != (len(phases.strength), n_edges):
        raise SetupError(f"the network measures contrasts of {contrast.shape[1]} edges, its model has {n_edges}")
    return contrast


def _nodes(readout: Readout, count: int) -> FloatArray:
    if readout.nodes is None:
        raise NetworkError("this network reads only its outputs; use readout='outputs'")
    if readout.nodes.shape[1] != count:
        raise SetupError(
            f"the network reads {readout.nodes.shape[1]} nodes, its model has {count}; use readout='outputs', or "
            "a model of the same graph"
        )
    return readout.nodes
