"""Edges of a graph as dense blocks between groups of nodes, for sums over edges by matrix products.

The layers of a layered network, the rows and columns of a crossbar, or all nodes of a dense graph are such groups.
The edges between two groups are entries of a matrix, so that a sum over them is a product. Edges that would
fill a matrix too sparsely stay outside the blocks; no matrix has more than `1 / LEAST_DENSITY` entries per edge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray, IntArray

LEAST_DENSITY: Final = 1 / 16
"""Smallest share of the entries of a block that are edges. A product of drops costs 3 ns an edge and sample edge
by edge, and 0.1 ns an entry and sample by a matrix product; the entries must also be picked from the matrix."""

_FEWEST_EDGES: Final = 256  # fewer edges are summed one by one in the time of a few calls
_LEAST_DEGREE: Final = 8  # a graph without a node of so many edges has no block: grids are not searched
_MOST_LEVELS: Final = 64
_MOST_CLASSES: Final = 0.25
_PANEL_NUMBERS: Final = 1 << 17  # entries of a matrix that are computed together, so that they stay in the cache
_SEED: Final = 14


@dataclass(frozen=True, eq=False, slots=True)
class DenseBlock:
    """Edges between two groups of nodes as entries of a matrix (n_first, n_second).

    Attributes
    ----------
    first, second : ndarray of int
        The nodes of each group, without repetition; both groups are equal for edges within one group.
    edges : ndarray of int, shape (K,)
        Numbers of the edges, by ascending place.
    places : ndarray of int, shape (K,), or None
        Flat place of each edge in the matrix. None if the edges are consecutive and fill the matrix row by row.
    """

    first: IntArray
    second: IntArray
    edges: IntArray
    places: IntArray | None

    def matrix(self, values: FloatArray) -> FloatArray:
        """Return values (E,) of all edges as a matrix (n_first, n_second); values of parallel edges are added."""
        shape = self.first.size, self.second.size
        if self.places is None:
            return values[self.edges[0] : self.edges[-1] + 1].reshape(shape)
        size = shape[0] * shape[1]
        added = np.bincount(self.places, weights=values[self.edges], minlength=size)
        return np.asarray(added, dtype=np.float64).reshape(shape)

    def panels(self) -> Iterator[tuple[slice, slice]]:
        """Yield slices of rows of the matrix, and the slices of `edges` in these rows."""
        step = max(1, _PANEL_NUMBERS // self.second.size)
        for row in range(0, self.first.size, step):
            ends = np.array([row, min(row + step, self.first.size)]) * self.second.size
            if self.places is not None:
                ends = np.searchsorted(self.places, ends)
            yield slice(row, row + step), slice(int(ends[0]), int(ends[1]))


class EdgeBlocks:
    """The edges of a graph, divided into blocks and remaining edges.

    Nodes are grouped by their distance from the sources, or by equal neighbours, whichever leaves less work.

    Parameters
    ----------
    edges : ndarray of int, shape (E, 2)
    n_nodes : int
    sources : ndarray of int
        Nodes from which distances are counted, such as the inputs of a layered network.

    Attributes
    ----------
    blocks : tuple of DenseBlock
    rest : ndarray of int
        Numbers of the edges outside the blocks, ascending.
    """

    def __init__(self, edges: IntArray, n_nodes: int, sources: IntArray) -> None:
        self.edges: IntArray = edges
        self.n_nodes: int = n_nodes
        self.blocks, self.rest = _divided(edges, n_nodes, sources)

    @cached_property
    def rest_edges(self) -> IntArray:
        """Ends (n_rest, 2) of the edges outside the blocks."""
        return self.edges if len(self.rest) == len(self.edges) else self.edges[self.rest]


def _divided(edges: IntArray, n_nodes: int, sources: IntArray) -> tuple[tuple[DenseBlock, ...], IntArray]:
    """Return the blocks and the numbers of the edges outside them."""
    every = np.arange(len(edges))
    if len(edges) < _FEWEST_EDGES or np.bincount(edges.ravel(), minlength=n_nodes).max() < _LEAST_DEGREE:
        return (), every
    best = None
    for groups in (_levels(edges, n_nodes, sources), _equal_neighbours(edges, n_nodes)):
        if groups is not None:
            division = _Division(edges, groups)
            if best is None or division.cost < best.cost:
                best = division
    return ((), every) if best is None else (best.blocks(), np.flatnonzero(~best.inside))


class _Division:
    """Edges divided by a grouping (N,) of the nodes; the cost counts edges that are summed one by one."""

    def __init__(self, edges: IntArray, groups: IntArray) -> None:
        # a held node without an edge, such as a ground of rectifiers, would leave a row of the matrix empty
        self._edges, self._groups = edges, np.where(np.bincount(edges.ravel(), minlength=len(groups)), groups, -1)
        sizes = np.bincount(self._groups[self._groups >= 0])
        low, high = np.sort(groups[edges], axis=1).T
        codes, self._pair, counts = np.unique(low * len(sizes) + high, return_inverse=True, return_counts=True)
        self._pair = self._pair.ravel()
        entries = sizes[codes // len(sizes)] * sizes[codes % len(sizes)]
        accepted = (counts >= _FEWEST_EDGES) & (counts >= LEAST_DENSITY * entries)
        self._accepted = [(k, *divmod(int(codes[k]), len(sizes))) for k in np.flatnonzero(accepted).tolist()]
        self.inside = accepted[self._pair]
        self.cost = float(counts[~accepted].sum() + LEAST_DENSITY * entries[accepted].sum())

    def blocks(self) -> tuple[DenseBlock, ...]:
        return tuple(self._block(*pair) for pair in self._accepted)

    def _block(self, pair: int, low: int, high: int) -> DenseBlock:
        first, second = np.flatnonzero(self._groups == low), np.flatnonzero(self._groups == high)
        numbers = np.flatnonzero(self._pair == pair)
        ends = self._edges[numbers]
        # the first column of the pairs is the node of the lower group
        ends = np.where((self._groups[ends[:, 0]] == low)[:, None], ends, ends[:, ::-1])
        places = np.searchsorted(first, ends[:, 0]) * second.size + np.searchsorted(second, ends[:, 1])
        order = np.argsort(places, kind="stable")
        numbers, places = numbers[order], places[order]
        whole = len(places) == first.size * second.size
        if whole and (np.diff(places) == 1).all() and (np.diff(numbers) == 1).all():
            return DenseBlock(first, second, numbers, None)
        return DenseBlock(first, second, numbers, places)


def _levels(edges: IntArray, n_nodes: int, sources: IntArray) -> IntArray | None:
    """Return the distance (N,) of each node from the sources, unreachable ones last; None if it is large."""
    a, b = edges.T
    level = np.full(n_nodes, -1, dtype=np.int64)
    level[sources] = 0
    for number in range(1, _MOST_LEVELS):
        reached = level >= 0
        a_reached, b_reached = reached[a], reached[b]
        new = np.concatenate([b[a_reached & ~b_reached], a[b_reached & ~a_reached]])
        if not new.size:
            level[~reached] = number
            return level
        level[new] = number
    return None


def _equal_neighbours(edges: IntArray, n_nodes: int) -> IntArray | None:
    """Return a group number (N,) shared by nodes with equal neighbours; None if hardly any nodes share one."""
    # whole numbers below 2^30: sums of up to 2^23 of them are exact in any order
    labels = np.random.default_rng(_SEED).integers(1, 1 << 30, (2, n_nodes)).astype(np.float64)
    a, b = edges.T
    first, second = (
        np.bincount(a, weights=label[b], minlength=n_nodes) + np.bincount(b, weights=label[a], minlength=n_nodes)
        for label in labels
    )
    groups = np.unique(first + 1j * second, return_inverse=True)[1].ravel()
    return None if groups.max() + 1 > _MOST_CLASSES * n_nodes else groups
