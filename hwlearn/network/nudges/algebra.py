"""Linear algebra of nudges: bounds by sample, and products and powers of output impedances."""

from __future__ import annotations

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.errors import NetworkError


def smallest(*bounds: FloatArray) -> FloatArray:
    """Return the smallest value (S,) over all outputs and all bounds (S, n_out)."""
    return np.asarray(np.min([bound.min(axis=1) for bound in bounds], axis=0))


def ratio(limit: FloatArray | float, per_unit: FloatArray) -> FloatArray:
    """Return limit / per_unit, infinite where per_unit is zero."""
    out = np.full(per_unit.shape, np.inf)
    with np.errstate(over="ignore"):
        return np.asarray(np.divide(limit, per_unit, out=out, where=per_unit > 0))


def known(impedance: FloatArray | None) -> FloatArray:
    """Return the impedance; raises NetworkError if there is none."""
    if impedance is None:
        raise NetworkError("this nudge needs the output impedance of a model: call nudge.bound(Z)")
    return impedance


def times(matrix: FloatArray, vectors: FloatArray) -> FloatArray:
    """Return the product of matrices, one for all samples or one for each, and vectors (S, n)."""
    return vectors @ matrix.T if matrix.ndim == 2 else np.einsum("sij,sj->si", matrix, vectors)


def solved(matrix: FloatArray, vectors: FloatArray) -> FloatArray:
    """Return x (S, n) with matrix x = vector; the matrix is one for all samples or one for each."""
    if matrix.ndim == 2:
        return np.asarray(np.linalg.solve(matrix, vectors.T).T)
    return np.asarray(np.linalg.solve(matrix, vectors[:, :, None])[:, :, 0])


def impedance_power(impedance: FloatArray | None, exponent: float, vectors: FloatArray) -> FloatArray:
    """Return ``Z^exponent v`` (S, n) for vectors (S, n), with the output impedance of a model.

    A power that is no whole number is that of the eigenvalues, for which Z must be symmetric and positive.

    Raises
    ------
    NetworkError
        If there is no impedance, or it has no such power.
    """
    Z = known(impedance)
    if exponent == 0:
        return vectors
    if exponent == 1:
        return times(Z, vectors)
    if exponent == -1:
        return solved(Z, vectors)
    if not _is_symmetric(Z):
        raise NetworkError(
            "a nudge of this order needs a power of the output impedance, which is not symmetric here: the "
            "network is not reciprocal (transistors); use order 1 or 2"
        )
    z, Q = np.linalg.eigh(Z)
    if not (z > 0).all():
        raise NetworkError(
            "a nudge of this order needs a power of the output impedance, which is not positive here: an output "
            "is held by a source, or has no path to one; use order 1 or 2"
        )
    turned = vectors @ Q if Q.ndim == 2 else np.einsum("sji,sj->si", Q, vectors)
    scaled = turned * z**exponent
    return np.asarray(scaled @ Q.T if Q.ndim == 2 else np.einsum("sij,sj->si", Q, scaled))


def _is_symmetric(Z: FloatArray) -> bool:
    return bool(np.abs(Z - Z.swapaxes(-1, -2)).max(initial=0.0) <= 1e-9 * np.abs(Z).max(initial=0.0))
