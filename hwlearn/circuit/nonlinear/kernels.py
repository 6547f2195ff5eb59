"""Operating points of piecewise linear circuits, sample by sample, by a function that numba compiles.

Importing this module loads numba. Every nonlinear edge follows two straight lines and connects a free node to a
held one, as rectifiers do. For each sample the sides of the edges are found as in `sides`. Then a step with the
residual of the true laws shows the error.
"""

from __future__ import annotations

import math

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.compilation import compiled


def _factored(
    d: FloatArray, C: FloatArray, within: FloatArray, w: FloatArray, wC: FloatArray, L: FloatArray
) -> bool:
    """Factor the equations with diagonal d (n_free,): fill w (h,), wC (r, h) and the Cholesky factor L (r, r).

    The diagonal of L holds inverses. C (r, h) and within (r, r) are the other entries.
    """
    r, h = C.shape
    for k in range(h):
        if not 0.0 < d[k] < np.inf:
            return False
        w[k] = 1.0 / d[k]
    for i in range(r):
        for k in range(h):
            wC[i, k] = w[k] * C[i, k]
    for i in range(r):
        for j in range(i + 1):
            total = 0.0
            for k in range(h):
                total += wC[i, k] * C[j, k]
            total = within[i, j] - total
            if i == j:
                total += d[h + i]
            for k in range(j):
                total -= L[i, k] * L[j, k]
            if i == j:
                if not 0.0 < total < np.inf:
                    return False
                L[i, i] = 1.0 / math.sqrt(total)
            else:
                L[i, j] = total * L[j, j]
    return True


def _solved(b: FloatArray, w: FloatArray, wC: FloatArray, L: FloatArray) -> None:
    """Replace currents b (n_free,) by voltages."""
    r, h = wC.shape
    for i in range(r):
        total = 0.0
        for k in range(h):
            total += wC[i, k] * b[k]
        total = b[h + i] - total
        for k in range(i):
            total -= L[i, k] * b[h + k]
        b[h + i] = total * L[i, i]
    for k in range(h):
        b[k] *= w[k]
    for i in range(r - 1, -1, -1):
        total = b[h + i]
        for k in range(i + 1, r):
            total -= L[k, i] * b[h + k]
        b[h + i] = total * L[i, i]
        for k in range(h):
            b[k] -= wC[i, k] * b[h + i]


_factored = compiled(_factored, reorder=True)
_solved = compiled(_solved, reorder=True)


def _operating_points(
    V: FloatArray,
    into: FloatArray,
    sizes: FloatArray,
    matrix: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
    at: IntArray,
    far: IntArray,
    laws: FloatArray,
    most: int,
    found: FloatArray,
) -> None:
    """Find operating points.

    Parameters
    ----------
    V : ndarray, shape (S, N)
        Volts, free nodes first; the free ones are start values, and are replaced by the operating points.
    into, sizes : ndarray, shape (S, n_free)
        Amperes into the free nodes if they are at 0 V, without those of the nonlinear edges; sums of the absolute
        values of their terms.
    matrix : (ndarray, ndarray, ndarray, ndarray)
        Of the resistors: diagonal (n_free,), conductances to held nodes (n_free,), entries (r, h) and (r, r)
        between the r remaining nodes and the independent ones, and among the remaining ones.
    at, far : ndarray of int, shape (K,)
        Free and held node of each nonlinear edge.
    laws : ndarray, shape (4, K)
        1 if the drop is counted from the free node and -1 if from the held one; threshold; slopes below and above.
    most : int
        Largest number of changes of sides.
    found : ndarray, shape (S, 3)
        Filled with the last step, the sum of rounding errors, and the deviation from 1 V of a circuit whose held
        nodes are all at 1 V, each at the node where it is largest. Infinite if the sides did not settle.
    """
    diagonal, leak, C, within = matrix
    r, h = C.shape
    n = h + r
    sign, threshold, below, above = laws
    w, wC, L, d = np.empty(h), np.empty((r, h)), np.zeros((r, r)), np.empty(n)
    b, terms, one = np.empty(n), np.empty(n), np.empty(n)
    high = np.empty(at.size, dtype=np.bool_)
    for s in range(V.shape[0]):
        found[s] = np.inf
        for e in range(at.size):
            high[e] = sign[e] * (V[s, at[e]] - V[s, far[e]]) >= threshold[e]
        settled = False
        for _ in range(most):
            for k in range(n):
                d[k], b[k] = diagonal[k], into[s, k]
            for e in range(at.size):
                slope = above[e] if high[e] else below[e]
                d[at[e]] += slope
                b[at[e]] += slope * V[s, far[e]]
                if high[e]:
                    b[at[e]] += sign[e] * (above[e] - below[e]) * threshold[e]
            if not _factored(d, C, within, w, wC, L):
                break
            _solved(b, w, wC, L)
            settled = True
            for e in range(at.size):
                now = sign[e] * (b[at[e]] - V[s, far[e]]) >= threshold[e]
                if now != high[e]:
                    high[e], settled = now, False
            if settled:
                break
        if not settled:
            continue
        for k in range(n):
            V[s, k] = b[k]
        # the residual of the true laws, and its rounding error
        for k in range(h):
            b[k] = into[s, k] - diagonal[k] * V[s, k]
            terms[k] = sizes[s, k] + diagonal[k] * abs(V[s, k])
        for i in range(r):
            total, size = diagonal[h + i] * V[s, h + i], diagonal[h + i] * abs(V[s, h + i])
            for j in range(r):
                total += within[i, j] * V[s, h + j]
                size += abs(within[i, j] * V[s, h + j])
            for k in range(h):
                total += C[i, k] * V[s, k]
                size += abs(C[i, k] * V[s, k])
            b[h + i], terms[h + i] = into[s, h + i] - total, sizes[s, h + i] + size
            for k in range(h):
                b[k] -= C[i, k] * V[s, h + i]
                terms[k] += abs(C[i, k] * V[s, h + i])
        for k in range(n):
            one[k] = leak[k]
        for e in range(at.size):
            v = sign[e] * (V[s, at[e]] - V[s, far[e]])
            current = below[e] * v + (above[e] - below[e]) * max(v - threshold[e], 0.0)
            slope = above[e] if high[e] else below[e]
            b[at[e]] -= sign[e] * current
            terms[at[e]] += abs(current) + slope * abs(v)
            one[at[e]] += slope
        _solved(b, w, wC, L)
        _solved(terms, w, wC, L)
        _solved(one, w, wC, L)
        found[s] = 0.0
        for k in range(n):
            V[s, k] += b[k]
            found[s, 0] = max(found[s, 0], abs(b[k]))
            found[s, 1] = max(found[s, 1], abs(terms[k]))
            found[s, 2] = max(found[s, 2], abs(one[k] - 1.0))


operating_points = compiled(_operating_points, reorder=True)
