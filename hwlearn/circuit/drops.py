"""Drops across edges, and sums over samples of products of drops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.edge_blocks import DenseBlock, EdgeBlocks

_NUMBERS_AT_ONCE: Final = 1 << 14
_EPSILON: Final = float(np.finfo(np.float64).eps)
_LEAST_ACCURACY: Final = 1e-10


def edge_drops(edges: IntArray, V: FloatArray) -> FloatArray:
    """Return the drops (S, E) in volts, a minus b, across edges (E, 2) at node voltages (S, N)."""
    drops = V[:, edges[:, 0]]
    drops -= V[:, edges[:, 1]]
    return drops


def drop_products(edges: EdgeBlocks, U: FloatArray, V: FloatArray) -> FloatArray:
    """Return the sum over samples (E,) of the products of the drops of U and V (S, N).

    Notes
    -----
    In a block, ``(u_a - u_b)(v_a - v_b)`` is summed over samples by one matrix product. That subtracts products of
    voltages, which are larger than products of drops: the result is inaccurate where both ends of an edge have
    nearly equal voltages. Sums whose bound on the rounding error exceeds 1e-10 of their value are computed again
    from drops.
    """
    out = np.empty(len(edges.edges))
    if edges.rest.size:
        out[edges.rest] = _gathered(edges.rest_edges, U, V)
    for block in edges.blocks:
        inaccurate = _block_products(block, U, V, out)
        if inaccurate.size:
            out[inaccurate] = _gathered(edges.edges[inaccurate], U, V)
    return out


def sum_by_edge(edges: IntArray, voltages: tuple[FloatArray, ...], term: SumOfEdges) -> FloatArray:
    """Return a sum over samples (E,) of nonlinear functions of drops, few edges at a time.

    Parameters
    ----------
    edges : ndarray of int, shape (E, 2)
    voltages : tuple of ndarray, shape (S, N) each
        Sets of node voltages.
    term : callable
        ``(some, drops) -> sums``: a slice of the edges and their drops (S, n) in each set give the sums (n,).
    """
    turned = [np.ascontiguousarray(V.T) for V in voltages]
    a, b = np.ascontiguousarray(edges.T)
    samples = sum(len(V) for V in voltages)
    out, step = np.empty(len(edges)), max(1, 4 * _NUMBERS_AT_ONCE // max(1, samples))
    for k in range(0, len(edges), step):
        some = slice(k, min(k + step, len(edges)))
        out[some] = term(some, [(V.take(a[some], axis=0) - V.take(b[some], axis=0)).T for V in turned])
    return out


SumOfEdges = Callable[[slice, list[FloatArray]], FloatArray]
"""A slice of edges and their drops (S, n), one array for each set of node voltages -> sums (n,) over samples."""


def _gathered(edges: IntArray, U: FloatArray, V: FloatArray) -> FloatArray:
    """Return the sums of products (E,), edge by edge."""
    S = len(U)
    # samples innermost, and few edges at a time, so that the gathered values stay in the cache
    both, (a, b) = np.ascontiguousarray(np.concatenate([U, V]).T), np.ascontiguousarray(edges.T)
    out, step = np.empty(len(edges)), max(1, _NUMBERS_AT_ONCE // max(1, 2 * S))
    for k in range(0, len(edges), step):
        some = slice(k, k + step)
        drops = both.take(a[some], axis=0)
        drops -= both.take(b[some], axis=0)
        out[some] = np.einsum("es,es->e", drops[:, :S], drops[:, S:])
    return out


def _block_products(block: DenseBlock, U: FloatArray, V: FloatArray, out: FloatArray) -> IntArray:
    """Write the sums of products of a block to ``out`` (E,); return the numbers of edges that are inaccurate."""
    (Ua, Ub), (Va, Vb) = centred(block, U), centred(block, V)
    if not Ua.any():
        # held nodes: nothing moves there, so that half of the terms are zero
        left, right = np.concatenate([-Va, np.ones((1, Va.shape[1]))]), np.concatenate([Ub, _sums(Ub, Vb)])
    else:
        left = np.concatenate([-Ua, -Va, _sums(Ua, Va), np.ones((1, Ua.shape[1]))])
        right = np.concatenate([Vb, Ub, np.ones((1, Ub.shape[1])), _sums(Ub, Vb)])
    ua, ub, va, vb = (np.sqrt(_sums(one, one)[0]) for one in (Ua, Ub, Va, Vb))
    least = 4 * _EPSILON / _LEAST_ACCURACY
    largest_u, largest_v = ub.max(), vb.max()
    inaccurate: list[IntArray] = []
    place: slice | IntArray
    for rows, some in block.panels():
        numbers = block.edges[some]
        if not numbers.size:
            continue
        if block.places is None:
            place = slice(None)
            sums = out[numbers[0] : numbers[-1] + 1].reshape(-1, block.second.size)
            np.matmul(left[:, rows].T, right, out=sums)
        else:
            place = block.places[some] - rows.start * block.second.size
            sums = left[:, rows].T @ right
            out[numbers] = sums.ravel()[place]
        suspect = np.abs(sums) < (least * (ua[rows] + largest_u) * (va[rows] + largest_v))[:, None]
        if suspect.any():
            few = np.flatnonzero(suspect)  # many times faster than nonzero of a matrix
            i, j = np.divmod(few, suspect.shape[1])
            bound = least * (ua[rows][i] + ub[j]) * (va[rows][i] + vb[j])
            wrong = np.abs(sums[i, j]) < bound
            if wrong.any():
                suspect.ravel()[few] = wrong
                inaccurate.append(numbers[suspect.ravel()[place]])
    return np.concatenate([block.edges[:0], *inaccurate])


def centred(block: DenseBlock, V: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the voltages (S, n_first), (S, n_second) of a block against the mean of each sample.

    Drops are the same, and sums of products of voltages lose fewer digits. Voltages of a block with a group at 0 V
    are returned as they are.
    """
    first, second = V[:, block.first], V[:, block.second]
    if not (first.any() and second.any()):
        return first, second
    mean = 0.5 * (first.mean(axis=1, keepdims=True) + second.mean(axis=1, keepdims=True))
    return first - mean, second - mean


def _sums(U: FloatArray, V: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("sn,sn->n", U, V))[None, :]
