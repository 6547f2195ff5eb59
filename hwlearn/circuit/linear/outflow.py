"""Currents from nodes into the edges that meet there."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.solver import Where
from hwlearn.circuit.topology import Topology

_KEPT: Final = 64


class Outflow:
    """Kirchhoff's current law at some nodes of a graph, over the edges that meet there.

    Parameters
    ----------
    topology : Topology
    nodes : ndarray of int, shape (n,)
    """

    def __init__(self, topology: Topology, nodes: IntArray) -> None:
        rows = topology.all_incidence[:, nodes].T.tocsr()
        self._edges = np.unique(rows.indices)
        self._ends = np.ascontiguousarray(topology.all_edges[self._edges].T)
        self._rows = rows[:, self._edges].tocsr()

    def currents(self, V: FloatArray, conductances: FloatArray) -> FloatArray:
        """Return the current (S, n) in amperes out of the nodes at volts V (S, N), for conductances (E + F,)."""
        volts = np.ascontiguousarray(V.T)  # contiguous samples of each node: rows are gathered fastest
        flow = volts[self._ends[0]]
        flow -= volts[self._ends[1]]
        flow *= conductances[self._edges, None]
        return np.asarray(self._rows @ flow).T


@lru_cache(maxsize=_KEPT)
def outflow(topology: Topology, where: Where) -> Outflow:
    """Return the currents from all nodes, or from the inputs or outputs in their order; graphs share them."""
    if where == "inputs":
        return Outflow(topology, topology.inputs)
    if where == "outputs":
        return Outflow(topology, topology.outputs)
    return Outflow(topology, np.arange(topology.n_nodes))
