"""Input patterns that stay within the current limit."""

from __future__ import annotations

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.network.limits import Limits
from hwlearn.network.nudges import MODEL_HEADROOM


def within_current(limits: Limits, model: Kirchhoff, inputs: FloatArray) -> FloatArray:
    """Scale inputs (S, n_in) so that no source comes near its current limit as the model sees it.

    The model may be off by what separates devices from their nominal values: a factor `MODEL_HEADROOM` is kept.
    """
    most = float(np.abs(model.source_currents(model.solve(inputs))).max(initial=0.0))
    allowed = limits.current / MODEL_HEADROOM
    return inputs if most <= allowed else inputs * (allowed / most)
