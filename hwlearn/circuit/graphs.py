"""Graphs as arrays of edges: common networks, incidence matrices, connected components.

scipy is imported where it is used: ``hwlearn off`` loads this module and must not wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def crossbar_edges(rows: int, columns: int) -> IntArray:
    """Return the devices (rows * columns, 2) of a crossbar, row by row: row node r to column node rows + c."""
    row, column = np.divmod(np.arange(rows * columns), columns)
    return np.stack([row, rows + column], axis=1)


def lattice_edges(rows: int, columns: int) -> IntArray:
    """Return the edges of a square lattice with node r * columns + c: to the right, then downward."""
    node = np.arange(rows * columns).reshape(rows, columns)
    right = np.stack([node[:, :-1].ravel(), node[:, 1:].ravel()], axis=1)
    down = np.stack([node[:-1].ravel(), node[1:].ravel()], axis=1)
    return np.concatenate([right, down])


def layer_edges(sizes: Sequence[int]) -> IntArray:
    """Return the edges from every node of each layer to every node of the next."""
    start = np.concatenate([[0], np.cumsum(sizes)])
    layers = [np.arange(start[k], start[k + 1]) for k in range(len(sizes))]
    pairs = [np.stack(np.meshgrid(a, b, indexing="ij"), axis=-1).reshape(-1, 2) for a, b in pairwise(layers)]
    return np.concatenate(pairs)


def random_edges(n_nodes: int, n_edges: int, rng: np.random.Generator) -> IntArray:
    """Return a random connected simple graph: a random spanning tree, then random further edges."""
    # draws come in this order whatever the size of a batch of them: stored seeds stand for graphs
    order = rng.permutation(n_nodes)
    earlier = rng.integers(np.arange(1, n_nodes))
    chosen = dict.fromkeys(_ordered_pairs(np.stack([order[1:], order[earlier]], axis=1)))
    if n_edges <= n_nodes * (n_nodes - 1) // 4:
        while len(chosen) < n_edges:
            pairs = rng.integers(n_nodes, size=(n_edges - len(chosen), 2))
            chosen.update(dict.fromkeys(_ordered_pairs(pairs[pairs[:, 0] != pairs[:, 1]])))
    else:  # a dense graph: draw from the remaining pairs instead of rejecting samples
        upper = zip(*(half.tolist() for half in np.triu_indices(n_nodes, 1)), strict=True)
        left = [pair for pair in upper if pair not in chosen]
        for k in rng.choice(len(left), n_edges - len(chosen), replace=False):
            chosen[left[k]] = None
    return np.array(list(chosen), dtype=np.int64)


def incidence(edges: IntArray, n_nodes: int) -> csr_array:
    """Return the oriented incidence matrix of ``edges`` (E, 2), sparse (E, n_nodes): +1 at a, -1 at b."""
    from scipy.sparse import csr_array

    count = len(edges)
    rows = np.repeat(np.arange(count), 2)
    signs = np.tile([1.0, -1.0], count)
    return csr_array((signs, (rows, edges.ravel())), shape=(count, n_nodes))


def independent_set(adjacency: csr_array) -> BoolArray:
    """Return a mask (n,) of nodes no two of which are adjacent, chosen greedily by ascending degree."""
    degree = np.diff(adjacency.indptr)
    chosen, blocked = np.zeros(len(degree), dtype=bool), np.zeros(len(degree), dtype=bool)
    for node in np.argsort(degree, kind="stable").tolist():
        if not blocked[node]:
            chosen[node] = True
            blocked[adjacency.indices[adjacency.indptr[node] : adjacency.indptr[node + 1]]] = True
    return chosen


def component_labels(edges: IntArray, n_nodes: int) -> IntArray:
    """Return the number (n_nodes,) of the connected component of each node."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(n_nodes, n_nodes))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _ordered_pairs(pairs: IntArray) -> list[tuple[int, int]]:
    """Return pairs of nodes (n, 2) with the smaller number first."""
    return list(zip(pairs.min(axis=1).tolist(), pairs.max(axis=1).tolist(), strict=True))


def summed(places: IntArray, values: FloatArray, size: int) -> FloatArray:
    """Return an array (size,) with the values summed at their places."""
    return np.asarray(np.bincount(places, weights=values, minlength=size), dtype=np.float64)
