"""How far the contrasts of nudged phases are from the exact gradient, computed in a model.

On resistors, symmetric contrasts have no bias; on other elements of two terminals it vanishes with the nudge. On
transistors a bias remains at every nudge: their equations are not reciprocal, and what is compared there is no
derivative of a co-content.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.learning.subsets import units_of_change
from hwlearn.units import format_quantity


@dataclass(frozen=True, slots=True)
class NudgeBias:
    """A contrast compared with the exact gradient.

    Attributes
    ----------
    nudge : "current" or "clamp"
        Equilibrium propagation or coupled learning.
    move_V : float
        Largest displacement of an output in each sample.
    cosine : float
        Cosine of the angle between the contrast and the exact gradient of the cost.
    length : float
        Length of the contrast relative to what it estimates: the gradient of the cost for a current nudge, the one
        with the error e replaced by ``Z^-1 e`` for a clamp, where Z is the output impedance.
    """

    nudge: Literal["current", "clamp"]
    move_V: float
    cosine: float
    length: float


def nudge_bias(
    model: Kirchhoff, inputs: FloatArray, error: FloatArray, moves: Sequence[float], *, symmetric: bool = True
) -> list[NudgeBias]:
    """Compare the contrasts of both nudges with the exact gradient, with every node known and no noise.

    Compared are derivatives by the logarithm of conductances, and by other values in their unit, such as volts: a
    mixed network has no common unit else.

    Parameters
    ----------
    model : Kirchhoff
        The network is taken to be equal to it.
    inputs : ndarray, shape (S, n_in)
        Volts.
    error : ndarray, shape (S, n_out)
        dC/dV_out at the free outputs; samples without error are left out.
    moves : sequence of float
        Displacements in volts; each sample is nudged so that its most displaced output moves by this much, as the
        linearised model predicts.
    symmetric : bool
        Nudge with both signs, or only against the error.

    Returns
    -------
    list of NudgeBias
        For each move, first the current nudge, then the clamp.

    Raises
    ------
    CircuitError, ConvergenceError
        From the model.
    ValueError
        If no sample has an error.
    """
    some = np.abs(error).max(axis=1) > 0
    if not some.any():
        raise ValueError("no sample has an error")
    x, e, out = inputs[some], error[some], model.topology.outputs
    V = model.solve(x)
    Z = np.broadcast_to(model.output_impedance(x), (len(x), *2 * (e.shape[1],)))
    into = np.linalg.solve(Z, e[:, :, None])[:, :, 0]
    unit = units_of_change(model)
    exact, clamped = unit * model.gradient_at(V, e), unit * model.gradient_at(V, into)
    largest = np.abs(np.einsum("sij,sj->si", Z, e)).max(axis=1)
    found = []
    for move in moves:
        beta, eta = move / largest, move / np.abs(e).max(axis=1)
        current, step = beta[:, None] * e, eta[:, None] * e
        high, low = model.solve(x, injected=-current), V
        if symmetric:
            low = model.solve(x, injected=current)
        G = unit * model.contrast(high, low, 1 / (beta * (2 if symmetric else 1))) / len(x)
        found.append(NudgeBias("current", move, _cosine(G, exact), _length(G, exact)))
        high, low = model.solve(x, clamped=V[:, out] - step), V
        if symmetric:
            low = model.solve(x, clamped=V[:, out] + step)
        G = unit * model.contrast(high, low, 1 / (eta * (2 if symmetric else 1))) / len(x)
        found.append(NudgeBias("clamp", move, _cosine(G, exact), _length(G, clamped)))
    return found


def bias_text(found: Iterable[NudgeBias]) -> str:
    """Return the cosines and lengths in one line."""
    names = {"current": "equilibrium propagation", "clamp": "coupled learning"}
    parts = []
    for kind, name in names.items():
        rows = [
            f"{one.cosine:.3f} ({one.length:.2f}) at {format_quantity(one.move_V, 'V')}"
            for one in found
            if one.nudge == kind
        ]
        parts.append(f"{name} {', '.join(rows)}")
    return f"cosine to the exact gradient (relative length) in the model: {'; '.join(parts)}"


def _cosine(a: FloatArray, b: FloatArray) -> float:
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 0 else 0.0


def _length(a: FloatArray, b: FloatArray) -> float:
    size = float(np.linalg.norm(b))
    return float(np.linalg.norm(a)) / size if size > 0 else 0.0
