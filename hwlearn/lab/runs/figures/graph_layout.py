"""Where the nodes and edges of a network are drawn: lattices, layers and small graphs are recognised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.graphs import lattice_edges, layer_edges
from hwlearn.circuit.topology import Topology

MOST_NODES: Final = 40
"""Nodes up to which a graph is drawn as nodes and edges; larger ones become unreadable."""

MOST_EDGES: Final = 150


def grid_shape(topology: Topology) -> tuple[int, int] | None:
    """Return (rows, columns) if the edges are those of a square lattice in order, else None."""
    nodes = topology.n_nodes
    for rows in (r for r in range(2, nodes // 2 + 1) if nodes % r == 0):
        columns = nodes // rows
        if rows * (columns - 1) + columns * (rows - 1) == topology.n_edges and np.array_equal(
            topology.edges, lattice_edges(rows, columns)
        ):
            return rows, columns
    return None


def layer_sizes(topology: Topology) -> list[int] | None:
    """Return the sizes of the layers if each is connected completely to the next, else None.

    A last node that no trainable edge reaches, such as the ground of rectifiers, is in no layer.
    """
    edges = topology.edges
    last = int(edges.max())
    sizes, first = [], 0
    while first <= last:
        after = edges[edges[:, 0] == first, 1]  # the next layer
        if not len(after):
            sizes.append(last + 1 - first)
            break
        sizes.append(int(after.min()) - first)
        first = int(after.min())
        if sizes[-1] < 1:
            return None
    fits = last >= topology.n_nodes - 2 and np.array_equal(edges, layer_edges(sizes)) if len(sizes) > 1 else False
    return sizes if fits else None


def is_drawn_as_graph(topology: Topology) -> bool:
    """Return whether `conductance_map.draw_values` draws nodes and edges, not a map."""
    small = topology.n_nodes <= MOST_NODES and topology.n_edges <= MOST_EDGES
    few_layers = layer_sizes(topology) is not None and topology.n_edges <= MOST_EDGES
    return topology.crossbar_size is None and grid_shape(topology) is None and (small or few_layers)


def _layer_layout(topology: Topology, sizes: Sequence[int]) -> FloatArray:
    """Return places (N, 2) for the nodes: a column for each layer; a node in no layer lies below."""
    places = np.zeros((topology.n_nodes, 2))
    start = 0
    for k, size in enumerate(sizes):
        places[start : start + size] = np.stack(
            [np.full(size, float(k)), np.linspace(0.5 / size, 1 - 0.5 / size, size)[::-1]], axis=1
        )
        start += size
    places[start:] = ((len(sizes) - 1) / 2, -0.2)
    return places


def _spring_layout(topology: Topology) -> FloatArray:
    """Return places (N, 2) for the nodes: spectral coordinates, then spring steps that spread them."""
    n = topology.n_nodes
    a, b = topology.all_edges.T
    laplacian = np.zeros((n, n))
    np.add.at(laplacian, (a, a), 1.0)
    np.add.at(laplacian, (b, b), 1.0)
    np.add.at(laplacian, (a, b), -1.0)
    np.add.at(laplacian, (b, a), -1.0)
    place = np.linalg.eigh(laplacian)[1][:, 1:3]
    if place.shape[1] < 2:
        place = np.stack([np.arange(n), np.zeros(n)], axis=1)
    largest = np.abs(place).argmax(axis=0)
    place = place * np.sign(place[largest, [0, 1]])  # the sign of an eigenvector is arbitrary
    place = place / np.abs(place).max() + 0.01 * np.random.default_rng(0).standard_normal((n, 2))
    connected = (laplacian < 0).astype(float)
    k = 1.0 / np.sqrt(n)
    for step in np.linspace(0.1, 0.005, 120):
        apart = place[:, None] - place[None]
        distance = np.maximum(np.linalg.norm(apart, axis=2), 1e-3)
        push = (apart * (k**2 / distance**2 - connected * distance / k)[:, :, None]).sum(axis=1)
        length = np.maximum(np.linalg.norm(push, axis=1, keepdims=True), 1e-9)
        place = place + push / length * np.minimum(length, step)
    return np.asarray(place)


def graph_places(topology: Topology) -> FloatArray:
    """Return places (N, 2) for the nodes of a small graph: a column for each layer, else where springs settle."""
    sizes = layer_sizes(topology)
    return _spring_layout(topology) if sizes is None else _layer_layout(topology, sizes)
