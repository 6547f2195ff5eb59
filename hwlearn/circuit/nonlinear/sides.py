"""Prediction of operating points where every nonlinear element follows two straight lines, such as ideal diodes.

If it is known on which side of its threshold each element is, the circuit is linear. The prediction solves this
circuit and looks on which side each element is then, until no side changes. It takes few operations for
each step, because nothing is checked: Newton's method starts from the prediction and shows whether it is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.nonlinear.currents import TwoLines
from hwlearn.circuit.nonlinear.linearised import Factor, Linearised

_MOST_STEPS: Final = 12


@dataclass(frozen=True, eq=False, slots=True)
class PredictedPoints:
    """Predicted voltages (S, n_free), the factor that gave them, and samples (S,) in which no side changed."""

    V: FloatArray
    factor: Factor
    settled: BoolArray


def predicted(
    linear: Linearised, lines: TwoLines, V: FloatArray, into: FloatArray, start: Factor | None
) -> PredictedPoints:
    """Predict the operating points of a batch.

    Parameters
    ----------
    linear : Linearised
        The resistors.
    lines : TwoLines
        Laws of the nonlinear edges.
    V : ndarray, shape (S, N)
        Volts in the order of ``NodeOrder.nodes``. The free nodes are at the start values.
    into : ndarray, shape (S, n_free)
        Amperes into the free nodes if they are at 0 V, without those of the nonlinear edges.
    start : Factor, optional
        Of the circuit linearised at V; it is changed.

    Raises
    ------
    SingularSample
        If the equations of a sample are singular; the number counts within the samples of one step.
    """
    edges, n_free, samples = linear.nonlinear, linear.size, len(V)
    held = V.copy()
    held[:, :n_free] = 0.0
    at_0V, offset = edges.drops(held), (lines.above - lines.below) * lines.threshold
    has_drops, has_offset = bool(at_0V.any()), bool(offset.any())

    def solved(factor: Factor, above: BoolArray, rows: IntArray | slice) -> tuple[FloatArray, BoolArray]:
        currents = into[rows]
        if has_drops or has_offset:
            currents = currents - edges.outflow(factor.slopes * at_0V[rows] - offset * above)
        held[rows, :n_free] = found = factor.solve(currents[None])[0]
        return found, edges.drops(held[rows]) >= lines.threshold

    def factored(above: BoolArray) -> Factor:
        return linear.factor(np.where(above, lines.above, lines.below))

    every: slice = slice(None)
    above = edges.drops(V) >= lines.threshold
    if start is not None:
        factor = start
        above = factor.slopes == lines.above
    elif samples > 1 and (above == above[0]).all():
        # the first step has the same sides in all samples
        _, above = solved(factored(above[:1]), above[:1], every)
        factor = factored(above)
    else:
        factor = factored(above)
    _, now = solved(factor, above, every)
    rows = np.flatnonzero((now != above).any(axis=1))
    for _ in range(_MOST_STEPS):
        if not rows.size:
            break
        sides = now[rows]
        new = factored(sides)
        factor.put(rows, new)
        now[rows] = then = solved(new, sides, rows)[1]
        rows = rows[(then != sides).any(axis=1)]
    settled = np.ones(samples, dtype=bool)
    settled[rows] = False
    return PredictedPoints(held[:, :n_free], factor, settled)
