"""Estimate of the work of a sparse factor from the shape of its graph."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from hwlearn.arrays import BoolArray, IntArray

_HUB_DEGREE: Final = 10  # times the square root of the number of nodes
_MOST_ROUNDS: Final = 50
_MOST_LEVELS: Final = 5_000


def front_estimate(ends: IntArray, n: int) -> int:
    """Return about how many rows the largest dense block of a factor has.

    Nodes are sorted into levels by their distance from a node at the rim of the graph. The nodes of a level
    separate those before it from those after it, so that they meet in one dense block once all others are
    eliminated. Dead ends and hubs, which cause no fill-in and one row each, are left out before. The estimate is
    too large for graphs that branch and join again; it only helps to choose between two ways to solve equations.

    Parameters
    ----------
    ends : ndarray of int, shape (K, 2)
        Positions of the nodes that edges connect.
    n : int
        Number of nodes.
    """
    kept, hubs = _core(ends, n)
    inner = ends[kept[ends].all(axis=1)]
    if not len(inner):
        return hubs
    graph = coo_array((np.ones(len(inner), dtype=np.int8), (inner[:, 0], inner[:, 1])), shape=(n, n)).tocsr()
    order = breadth_first_order(graph, inner[0, 0], directed=False, return_predecessors=False)
    if len(order) < 0.5 * kept.sum():
        labels = connected_components(graph, directed=False)[1]
        largest = np.argmax(np.bincount(labels))
        first = np.flatnonzero(labels == largest)[0]
        order = breadth_first_order(graph, first, directed=False, return_predecessors=False)
    return hubs + _widest_level(graph, int(order[-1]))


def _core(ends: IntArray, n: int) -> tuple[BoolArray, int]:
    """Return a mask (n,) of nodes that are neither hubs nor in dead ends, and the number of hubs."""
    kept = np.bincount(ends.ravel(), minlength=n) <= _HUB_DEGREE * np.sqrt(n)
    hubs = n - int(kept.sum())
    for _ in range(_MOST_ROUNDS):
        inner = ends[kept[ends].all(axis=1)]
        still = kept & (np.bincount(inner.ravel(), minlength=n) > 1)
        if still.sum() == kept.sum():
            break
        kept = still
    return kept, hubs


def _widest_level(graph: csr_array, start: int) -> int:
    order, before = breadth_first_order(graph, start, directed=False)
    place = np.empty(graph.shape[0], dtype=np.int64)
    place[order] = np.arange(len(order))
    parents = place[before[order[1:]]]  # ascending, as nodes are visited level by level
    first, last, widest = 0, 1, 1
    for _ in range(_MOST_LEVELS):
        first, last = last, 1 + int(np.searchsorted(parents, last))
        if first == last:
            break
        widest = max(widest, last - first)
    return widest
