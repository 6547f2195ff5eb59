"""Currents of a circuit at any node voltages: resistors all at once, other elements kind by kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.sparse import csr_array

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.elements.kinds import ElementTable
from hwlearn.circuit.topology import Topology, incidence

ROUNDING: Final = 4 * float(np.finfo(np.float64).eps)
"""What a sum of products can lose, as a fraction of the sum of their sizes."""

_DENSE_NODES: Final = 1500


class Circuit:
    """The currents of a circuit whose elements and thetas are known, for any node voltages.

    Parameters
    ----------
    topology : Topology
        With elements.
    thetas : ndarray, shape (E + F,)
        Siemens.
    """

    def __init__(self, topology: Topology, thetas: FloatArray, table: ElementTable) -> None:
        self.topology, self.thetas, self.table = topology, thetas, table
        edges = topology.all_edges
        ohmic = table.ohmic
        self.bent = np.flatnonzero(~ohmic)
        self._a, self._b = edges[self.bent].T
        straight = np.flatnonzero(ohmic)
        self.ohmic_siemens = self._g = thetas[straight]
        self._straight = incidence(edges[straight], topology.n_nodes)
        self._bent_incidence = incidence(edges[self.bent], topology.n_nodes)
        self._groups = [
            (kind, np.searchsorted(self.bent, numbers), thetas[numbers]) for kind, numbers in table.groups
        ]
        laplacian = self._straight.T @ (self._straight * self._g[:, None])
        self._laplacian = laplacian.toarray() if topology.n_nodes <= _DENSE_NODES else laplacian.tocsr()

    def drops(self, V: FloatArray) -> FloatArray:
        """Return the drops (S, K) across the bent edges."""
        return V[:, self._a] - V[:, self._b]

    def bent_currents(self, v: FloatArray) -> FloatArray:
        """Return the currents (S, K) at drops (S, K)."""
        return self._each("current", v)

    def slopes(self, v: FloatArray) -> FloatArray:
        """Return the slopes (S, K) at drops (S, K)."""
        return self._each("slope", v)

    def linearised_at(self, v: FloatArray, before: FloatArray) -> FloatArray:
        """Return where to linearise next, (S, K)."""
        out = np.empty_like(v)
        for kind, at, _ in self._groups:
            out[:, at] = kind.linearised_at(v[:, at], before[:, at])
        return out

    def in_range(self, v: FloatArray) -> BoolArray:
        """Return which samples (S,) have every bent edge in the range of its law."""
        inside = np.ones(len(v), dtype=np.bool_)
        for kind, at, _ in self._groups:
            inside &= kind.in_range(v[:, at]).all(axis=1)
        return inside

    def node_currents(self, V: FloatArray, bent: FloatArray) -> FloatArray:
        """Return the current (S, N) that leaves each node, for currents (S, K) in the bent edges."""
        straight = self._straight.T @ (self._g[:, None] * (self._straight @ V.T))
        return np.asarray((straight + self._bent_incidence.T @ bent.T).T)

    def rounding(self, V: FloatArray, bent: FloatArray) -> FloatArray:
        """Return a bound (S, N) of what rounding makes of `node_currents`; ``bent`` (S, K): sizes of its parts."""
        straight = abs(self._straight).T @ (self._g[:, None] * np.abs(self._straight @ V.T))
        return np.asarray(ROUNDING * (straight + abs(self._bent_incidence).T @ bent.T).T)

    def rows(self, nodes: IntArray) -> Rows:
        """Return the quicker sums at some nodes; they lose digits where large conductances meet small drops."""
        incident = self._bent_incidence[:, nodes].T.tocsr()
        laplacian = self._laplacian[nodes]
        return Rows(laplacian, abs(laplacian), incident, abs(incident))

    def _each(self, what: str, v: FloatArray) -> FloatArray:
        out = np.empty_like(v)
        for kind, at, theta in self._groups:
            out[:, at] = getattr(kind, what)(v[:, at], theta)
        return out


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """Currents out of some nodes, summed over conductances before they meet the voltages."""

    laplacian: FloatArray | csr_array
    sizes: FloatArray | csr_array
    bent: csr_array
    bent_sizes: csr_array

    def currents(self, V: FloatArray, bent: FloatArray) -> FloatArray:
        """Return the current (S, n) that leaves each of the nodes."""
        return np.asarray((self.laplacian @ V.T + self.bent @ bent.T).T)

    def rounding(self, V: FloatArray, bent: FloatArray) -> FloatArray:
        """Return a bound of what rounding makes of `currents`, (S, n)."""
        return np.asarray(ROUNDING * (self.sizes @ np.abs(V).T + self.bent_sizes @ bent.T).T)
