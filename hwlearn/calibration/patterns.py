"""Input patterns that stay within the current limit."""

from __future__ import annotations

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.network.limits import Limits
from hwlearn.network.nudges import MODEL_HEADROOM


def within_current(limits: Limits, model: Kirchhoff, inputs: FloatArray) -> FloatArray:
    """Scale inputs (S, n_in) so that the predicted source currents keep headroom to the current limit.

    The headroom is a factor `MODEL_HEADROOM`, for devices that differ from their nominal values.
    """
    most = float(np.abs(model.source_currents(model.solve(inputs))).max(initial=0.0))
    allowed = limits.current / MODEL_HEADROOM
    return inputs if most <= allowed else inputs * (allowed / most)
