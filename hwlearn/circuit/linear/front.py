"""Estimate of the work of a sparse factor from the shape of its graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from hwlearn.arrays import BoolArray, IntArray

LARGEST_FRONT: Final = 2_000
"""Up to so many rows of its largest dense block, a factor is always made."""

_HUB_DEGREE: Final = 10  # times the square root of the number of nodes
_MOST_ROUNDS: Final = 50
_MOST_LEVELS: Final = 5_000


@dataclass(frozen=True, slots=True)
class GraphShape:
    """What the cost of solving equations on a graph depends on.

    Attributes
    ----------
    front : int
        Rows of the largest dense block of a factor, about.
    levels : int
        Distance in edges across the graph, about.
    edges : int
    """

    front: int
    levels: int
    edges: int

    @property
    def suits_iteration(self) -> bool:
        """Whether conjugate gradients are likely to be faster than a factor: a wide graph with short distances."""
        # operations of a factor, and of iterations that cross the graph several times
        return self.front > LARGEST_FRONT and 10 * self.front**3 > 100 * self.levels * self.edges


def shape_of(ends: IntArray, n: int) -> GraphShape:
    """Return the shape of a graph.

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
        return GraphShape(hubs, 0, len(ends))
    graph = coo_array((np.ones(len(inner), dtype=np.int8), (inner[:, 0], inner[:, 1])), shape=(n, n)).tocsr()
    order = breadth_first_order(graph, inner[0, 0], directed=False, return_predecessors=False)
    if len(order) < 0.5 * kept.sum():
        labels = connected_components(graph, directed=False)[1]
        largest = np.argmax(np.bincount(labels))
        first = np.flatnonzero(labels == largest)[0]
        order = breadth_first_order(graph, first, directed=False, return_predecessors=False)
    widest, levels = _levels(graph, int(order[-1]))
    return GraphShape(hubs + widest, levels, len(ends))


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


def _levels(graph: csr_array, start: int) -> tuple[int, int]:
    """Return the number of nodes of the widest level, and the number of levels."""
    order, before = breadth_first_order(graph, start, directed=False)
    place = np.empty(graph.shape[0], dtype=np.int64)
    place[order] = np.arange(len(order))
    parents = place[before[order[1:]]]  # ascending, as nodes are visited level by level
    first, last, widest = 0, 1, 1
    for level in range(_MOST_LEVELS):
        first, last = last, 1 + int(np.searchsorted(parents, last))
        if first == last:
            return widest, level
        widest = max(widest, last - first)
    return widest, _MOST_LEVELS
