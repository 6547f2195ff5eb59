"""Integrals from zero to many ends at once, with a checked error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.polynomial.legendre import leggauss

from hwlearn.arrays import FloatArray
from hwlearn.errors import CircuitError

_POINTS: Final = 16
_TOLERANCE: Final = 1e-10
_MOST_PANELS: Final = 1024


def integral_from_zero(
    function: Callable[[FloatArray, FloatArray], FloatArray], ends: FloatArray, theta: FloatArray, name: str
) -> FloatArray:
    """Return the integral of ``function(v, theta)`` over v from 0 to each end.

    Gauss-Legendre panels are halved until two results agree to 1e-10 of the largest integrand times the length.

    Raises
    ------
    CircuitError
        If 1024 panels are not enough; ``name`` is the name of the element.
    """
    shape = ends.shape
    v = np.asarray(ends, dtype=np.float64).ravel()
    t = np.broadcast_to(theta, shape).ravel()
    whole, _ = _panels(function, v, t, 1)
    left = np.arange(len(v))
    panels = 1
    while left.size:
        panels *= 2
        if panels > _MOST_PANELS:
            raise CircuitError(
                f"the co-content of the element {name!r} did not converge at {v[left[0]]:g} V by quadrature; "
                "give its law_cocontent"
            )
        finer, size = _panels(function, v[left], t[left], panels)
        settled = np.abs(finer - whole[left]) <= _TOLERANCE * size * np.abs(v[left])
        whole[left] = finer
        left = left[~settled]
    return whole.reshape(shape)


def _panels(
    function: Callable[[FloatArray, FloatArray], FloatArray], v: FloatArray, theta: FloatArray, panels: int
) -> tuple[FloatArray, FloatArray]:
    """Return the integrals, and the largest absolute integrands, with a number of equal panels."""
    nodes, weights = leggauss(_POINTS)
    total, size = np.zeros_like(v), np.zeros_like(v)
    for k in range(panels):
        for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True):
            value = function(v * ((k + 0.5 * (node + 1)) / panels), theta)
            total += (0.5 * weight / panels) * value
            np.maximum(size, np.abs(value), out=size)
    return total * v, size
