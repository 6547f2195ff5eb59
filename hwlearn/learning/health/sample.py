"""`HealthSample`: a few samples of one batch, with all that the figures of health need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.learning.health.figure import OF_CURRENTS, Figure
from hwlearn.learning.observer import shifted
from hwlearn.learning.rules.gep import GEP, contrast_weights
from hwlearn.learning.subsets import units_of_change
from hwlearn.network.network import Network, Readout, TwoPhase
from hwlearn.network.nudges import Nudge
from hwlearn.network.paired import PairedNetwork
from hwlearn.network.wrapped import WrappedNetwork

SAMPLES: Final = 16
"""Number of samples of the first batch of an epoch whose phases are examined."""

_STEP_V: Final = 1e-3
"""Volts by which an output is moved to find the response of the inner nodes."""


@dataclass(frozen=True, eq=False)
class StatedErrors:
    """What a network states of itself.

    Attributes
    ----------
    device_error : float
        Relative, one standard deviation.
    dac_V : float
        Standard deviation in volts of the rounding of its converters.
    is_pair : bool
        Whether free and nudged phases are held on two copies.
    has_model : bool
        Whether the model has the nodes and edges of the network, wires included.
    is_simulated : bool
        A simulation states all its noise; an instrument that states none may have some.
    """

    device_error: float
    dac_V: float
    is_pair: bool
    has_model: bool
    is_simulated: bool

    @classmethod
    def of(cls, network: Network, model: Kirchhoff, device_error: float) -> StatedErrors:
        """Return what a network states."""
        inner = network
        while isinstance(inner, WrappedNetwork):
            inner = inner.network
        top = network.topology
        same = top.n_nodes == model.topology.n_nodes and len(top.all_edges) == len(model.topology.all_edges)
        step = (network.dac_step_V or 0.0) / np.sqrt(12)
        return cls(
            device_error, float(step), isinstance(inner, PairedNetwork), same, network.simulation is not None
        )

    def with_known_limits(self, found: Iterable[Figure], readout: Readout) -> list[Figure]:
        """Return figures without the limits that depend on noise which is not stated."""
        known = self.is_simulated or readout.voltage_sigma > 0
        currents = self.is_simulated or readout.current_sigma > 0
        return [
            one if known and (currents or one.name not in OF_CURRENTS) else replace(one, limit=None)
            for one in found
        ]


@dataclass(frozen=True, eq=False)
class HealthSample:
    """Nudged samples of one batch, and the model.

    Attributes
    ----------
    rule : GEP
    model : Kirchhoff
    inputs : ndarray, shape (S, n_in)
        Volts.
    phases : TwoPhase
        All of them nudged, none saturated.
    bench : StatedErrors
    nodes : tuple of ndarray, shape (S, N), optional
        Node voltages of both phases of the contrast, if the gradient has them.
    """

    rule: GEP
    model: Kirchhoff
    inputs: FloatArray
    phases: TwoPhase
    bench: StatedErrors
    nodes: tuple[FloatArray, FloatArray] | None = None

    @property
    def is_ohmic(self) -> bool:
        """Whether all elements are resistors."""
        return self.model.topology.elements is None

    @property
    def top(self) -> Topology:
        """Graph of the model."""
        return self.model.topology

    @cached_property
    def sigma_V(self) -> float:
        """Standard deviation in volts of a reading, with the rounding of setpoints."""
        return float(np.hypot(self.phases.plus.voltage_sigma, self.bench.dac_V))

    @cached_property
    def weights(self) -> FloatArray:
        """Factor (S,) of the contrast of each sample."""
        return contrast_weights(self.phases)

    @cached_property
    def nudge(self) -> Nudge:
        """Nudge of the rule at these inputs."""
        return self.rule.bound_nudge(self.model, self.inputs)[0]

    @cached_property
    def voltages(self) -> tuple[FloatArray, FloatArray]:
        """Node voltages (S, N) of both phases of the contrast; the rule reads nodes or estimates them."""
        if self.nodes is not None:
            return self.nodes
        return self.rule.node_voltages(self.model, self.inputs, self.phases)

    @cached_property
    def contrast(self) -> FloatArray:
        """Contrast (E,), sum over the samples."""
        return self.model.contrast(*self.voltages, self.weights)

    @cached_property
    def predicted(self) -> FloatArray:
        """Contrast (E,) that the model predicts for the same drives, from the measured free outputs."""
        phases, model, x, nudge = self.phases, self.model, self.inputs, self.nudge
        free, t = phases.free.voltages, phases.strength
        above = shifted(model, free, nudge.drive(free, phases.error, t), x)
        below = free
        if phases.minus is not None:
            below = shifted(model, free, nudge.drive(free, phases.error, -t), x)
        both = model.observe(np.concatenate([x, x]), np.concatenate([above, below]))
        return model.contrast(both[: len(x)], both[len(x) :], self.weights)

    @cached_property
    def units(self) -> FloatArray:
        """Change (E,) of each value that counts as one; contrasts are compared in these units."""
        return units_of_change(self.model)

    @cached_property
    def responses(self) -> FloatArray:
        """Squared drops (E,) that independent displacements of all outputs by 1 V cause, summed."""
        if self.rule.readout == "nodes":
            return np.full(self.top.n_edges, 2.0)
        n = self.top.n_outputs
        outputs = np.concatenate([np.zeros((1, n)), _STEP_V * np.eye(n)]) + self.phases.free.voltages[:1]
        V = self.model.observe(np.broadcast_to(self.inputs[:1], (n + 1, self.inputs.shape[1])), outputs)
        return np.asarray((self.model.drops((V[1:] - V[0]) / _STEP_V) ** 2).sum(axis=0))

    def one_sided(self) -> HealthSample:
        """Return the same sample with the sign against the error alone."""
        return HealthSample(self.rule, self.model, self.inputs, replace(self.phases, minus=None), self.bench)

    def noise(self, high: FloatArray, low: FloatArray, weights: FloatArray) -> float:
        """Return the expected length of the noise of a contrast of two phases, in its units.

        Each read voltage moves a contrast by its drop times the response of the edge to that reading.
        """
        squares = (weights**2) @ (self.model.drops(high) ** 2 + self.model.drops(low) ** 2)
        return float(self.sigma_V * np.sqrt((self.units**2 * self.responses * squares).sum()))


def both_sides(phases: TwoPhase) -> tuple[Readout, Readout] | None:
    """Return the phases of both signs; None if one sign was measured."""
    return None if phases.minus is None else (phases.plus, phases.minus)
