"""What flows out of nodes into the edges that meet there."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.topology import Topology

Where = Literal["everywhere", "inputs", "outputs"]
_KEPT: Final = 64


class Outflow:
    """Kirchhoff's current law at some nodes of a graph: only the edges that meet there are looked at.

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
        """Return the amperes (S, n) out of the nodes, of volts V (S, N) and conductances (E + F,)."""
        volts = np.ascontiguousarray(V.T)  # an edge's samples side by side: rows are gathered fastest
        flow = volts[self._ends[0]]
        flow -= volts[self._ends[1]]
        flow *= conductances[self._edges, None]
        return np.asarray(self._rows @ flow).T


@lru_cache(maxsize=_KEPT)
def outflow(topology: Topology, where: Where) -> Outflow:
    """Return the law at every node, or at the inputs or outputs in their order."""
    if where == "inputs":
        return Outflow(topology, topology.inputs)
    if where == "outputs":
        return Outflow(topology, topology.outputs)
    return Outflow(topology, np.arange(topology.n_nodes))
