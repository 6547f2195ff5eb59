"""Where nodes and edges are drawn: places in a plane, or cells of a heat map for large networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.topology import Topology
from hwlearn.lab.runs.figures.graph_layout import graph_places, grid_shape

MOST_EDGES_DRAWN: Final = 300
"""Edges of the largest network that is drawn as nodes and edges."""
_MOST_NODES_DRAWN: Final = 160
_MOST_CELLS: Final = 4000
"""Cells of the largest heat map; those of larger ones are blocks of edges."""


@dataclass(frozen=True, eq=False)
class NetworkPlaces:
    """A small network in a plane.

    Attributes
    ----------
    nodes : ndarray, shape (N, 2)
        x and y of each node, y downward; of a crossbar, the ends of its lines.
    crossbar : tuple of (int, int) or None
        Rows and columns of a crossbar, whose edges are at the crossings.
    """

    nodes: FloatArray
    crossbar: tuple[int, int] | None


@dataclass(frozen=True, eq=False)
class EdgeCells:
    """Edges as cells of a heat map.

    Attributes
    ----------
    cells : ndarray of int, shape (E, 2)
        Row and column of each edge.
    rows, columns : int
    row_label, column_label : str
    block : int
        Rows and columns of the network in a cell; 1 unless the network is large.
    """

    cells: IntArray
    rows: int
    columns: int
    row_label: str
    column_label: str
    block: int

    def mean(self, numbers: FloatArray) -> list[tuple[int, int, float, int]]:
        """Return row, column, mean of the numbers (E,) and the first edge of each cell that has edges."""
        place = self.cells[:, 0] * self.columns + self.cells[:, 1]
        used, first, which = np.unique(place, return_index=True, return_inverse=True)
        means = np.bincount(which, weights=numbers) / np.bincount(which)
        rows, columns = np.divmod(used, self.columns)
        return list(zip(rows.tolist(), columns.tolist(), means.tolist(), first.tolist(), strict=True))


def network_places(topology: Topology) -> NetworkPlaces | None:
    """Return where the nodes of a small network are drawn; None for a large one."""
    if topology.n_edges > MOST_EDGES_DRAWN or topology.n_nodes > _MOST_NODES_DRAWN:
        return None
    size = topology.crossbar_size
    if size is not None:
        rows, columns = size
        places = [(-1.0, float(row)) for row in range(rows)] + [(float(k), float(rows)) for k in range(columns)]
        return NetworkPlaces(np.array(places), size)
    grid = grid_shape(topology)
    if grid is not None:
        row, column = np.divmod(np.arange(topology.n_nodes), grid[1])
        return NetworkPlaces(np.stack([column, row], axis=1).astype(np.float64), None)
    return NetworkPlaces(graph_places(topology) * [1.0, -1.0], None)


def edge_cells(topology: Topology) -> EdgeCells:
    """Return the edges as cells: of the crossbar, of the lattice, or first node by second node."""
    size, grid = topology.crossbar_size, grid_shape(topology)
    if size is not None:
        rows, columns = size
        cells = np.stack(np.divmod(np.arange(rows * columns), columns), axis=1)
        return _blocked(cells, rows, columns, ("row", "column"))
    if grid is not None:
        rows, columns = grid
        ends = np.stack(np.divmod(topology.edges, columns), axis=2)  # (E, end, row or column)
        return _blocked(ends.sum(axis=1), 2 * rows - 1, 2 * columns - 1, ("twice the row", "twice the column"))
    first, row = np.unique(topology.edges[:, 0], return_inverse=True)
    second, column = np.unique(topology.edges[:, 1], return_inverse=True)
    labels = (f"first node, {_listed(first)}", f"second node, {_listed(second)}")
    return _blocked(np.stack([row, column], axis=1), len(first), len(second), labels)


def _blocked(cells: IntArray, rows: int, columns: int, labels: tuple[str, str]) -> EdgeCells:
    block = 1
    while -(-rows // block) * -(-columns // block) > _MOST_CELLS:
        block += 1
    return EdgeCells(cells // block, -(-rows // block), -(-columns // block), *labels, block)


def _listed(nodes: Sequence[int] | IntArray) -> str:
    """Return which nodes the lines of a heat map are."""
    first, last = int(nodes[0]), int(nodes[-1])
    return f"n{first} to n{last}" if last - first + 1 == len(nodes) else f"{len(nodes)} of n{first} to n{last}"
