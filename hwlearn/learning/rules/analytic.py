"""Analytical learning: measured outputs and the exact Jacobian of the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwlearn.arrays import BoolArray
from hwlearn.learning.rules.rule import Gradient, GradientRequest, Rule, named_readings


@dataclass(frozen=True)
class Analytic(Rule):
    """Gradient from one measured free phase and the model's exact adjoint.

    `Kirchhoff.observe` computes the drops from the measured voltages of inputs and outputs. The adjoint comes from
    the model. Source: arXiv:2602.03546, analytical learning with output-only readout.
    """

    def gradient(self, request: GradientRequest) -> Gradient:
        """Measure the free phase and return the gradient at the estimated node voltages; see `Rule.gradient`."""
        model, inputs, targets, cost = request.model, request.inputs, request.targets, request.cost
        free = request.network.measure(inputs)
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
            free=free,
        )
