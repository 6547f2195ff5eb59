"""Input patterns that stay within the current limit, and that a bench with few sources can measure."""

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


def few_levels(inputs: FloatArray, levels: int | None) -> FloatArray:
    """Return input patterns (S, n_in) changed so that each has few different voltages besides 0 V.

    Neighbouring voltages become one, the one that is farthest from 0 V; those near 0 V become 0 V. Cuts are made
    at the largest gaps. So no pattern grows, and those that have few voltages already stay as they are.

    Parameters
    ----------
    inputs : ndarray, shape (S, n_in)
        Volts.
    levels : int or None
        `Network.direct_levels`; None: nothing is changed. 0: all inputs get one voltage.
    """
    if levels is None:
        return inputs
    if levels == 0:
        return np.repeat(inputs[:, :1], inputs.shape[1], axis=1)
    changed = inputs.copy()
    for x in changed:
        different = np.unique(np.append(x, 0.0))
        if len(different) <= levels + 1:
            continue
        cuts = np.sort(np.argsort(-np.diff(different), kind="stable")[:levels])
        group = np.searchsorted(cuts, np.arange(len(different)), side="left")
        at = group[np.searchsorted(different, x)]
        zero = group[np.searchsorted(different, 0.0)]
        for number in np.unique(at):
            members = x[at == number]
            x[at == number] = 0.0 if number == zero else members[np.abs(members).argmax()]
    return changed
