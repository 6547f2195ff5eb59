"""Edges of the graphs that networks are commonly built as; `Topology` gives them inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from hwlearn.arrays import IntArray


def crossbar_edges(rows: int, columns: int) -> IntArray:
    """Return the devices (rows * columns, 2) of an array: row node r to column node rows + c, row by row."""
    row, column = np.divmod(np.arange(rows * columns), columns)
    return np.stack([row, rows + column], axis=1)


def lattice_edges(rows: int, columns: int) -> IntArray:
    """Return the bonds of a square lattice with node r * columns + c: rightward ones, then downward ones."""
    node = np.arange(rows * columns).reshape(rows, columns)
    right = np.stack([node[:, :-1].ravel(), node[:, 1:].ravel()], axis=1)
    down = np.stack([node[:-1].ravel(), node[1:].ravel()], axis=1)
    return np.concatenate([right, down])


def layer_edges(sizes: Sequence[int]) -> IntArray:
    """Return the edges that join each layer of nodes completely to the next."""
    start = np.concatenate([[0], np.cumsum(sizes)])
    layers = [np.arange(start[k], start[k + 1]) for k in range(len(sizes))]
    pairs = [np.stack(np.meshgrid(a, b, indexing="ij"), axis=-1).reshape(-1, 2) for a, b in pairwise(layers)]
    return np.concatenate(pairs)


def random_edges(n_nodes: int, n_edges: int, rng: np.random.Generator) -> IntArray:
    """Return a random connected simple graph: a random spanning tree, then random further edges."""
    order = rng.permutation(n_nodes)
    chosen: dict[tuple[int, int], None] = {}
    for k in range(1, n_nodes):
        chosen[_ordered(int(order[k]), int(order[rng.integers(k)]))] = None
    if n_edges <= n_nodes * (n_nodes - 1) // 4:
        while len(chosen) < n_edges:
            a, b = rng.integers(n_nodes, size=2).tolist()
            if a != b:
                chosen[_ordered(a, b)] = None
    else:  # a dense graph: draw from what is left instead of trying again and again
        upper = zip(*(half.tolist() for half in np.triu_indices(n_nodes, 1)), strict=True)
        left = [pair for pair in upper if pair not in chosen]
        for k in rng.choice(len(left), n_edges - len(chosen), replace=False):
            chosen[left[k]] = None
    return np.array(list(chosen), dtype=np.int64)


def _ordered(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)
