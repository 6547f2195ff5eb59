"""Analytical learning: measured outputs, exact Jacobian of the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.learning.costs import Cost
from hwlearn.learning.rules.rule import Gradient, Rule, named_readings
from hwlearn.network.network import Network


@dataclass(frozen=True)
class Analytic(Rule):
    """The error from one measured free phase, carried back by the model's exact adjoint.

    The drops come from the observer (both ends pinned to measurements), the adjoint from the model.
    Source: arXiv:2602.03546, analytical learning with output-only readout.
    """

    def gradient(
        self,
        network: Network,
        model: Kirchhoff,
        inputs: FloatArray,
        targets: FloatArray | IntArray,
        cost: Cost,
        trainable: BoolArray | None = None,
    ) -> Gradient:
        """Measure the free phase and return its gradient at what was observed; see `Rule.gradient`."""
        free = network.measure(inputs)
        error = cost.error(free.voltages, targets)
        good: BoolArray = np.ones(len(inputs), dtype=np.bool_)
        if free.saturated is not None:
            good &= ~free.saturated.any(axis=1)
        values = np.zeros(model.topology.n_edges)
        if good.any():
            V = model.observe(inputs[good], free.voltages[good])
            values = model.gradient_at(V, error[good]) * (good.sum() / len(inputs))
        return Gradient(
            values,
            free.voltages,
            cost.values(free.voltages, targets),
            skipped=int((~good).sum()),
            readings=named_readings("free", free) | {"error": error},
        )
