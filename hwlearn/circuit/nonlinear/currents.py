"""Currents of a circuit at given node voltages: all resistors at once, other elements kind by kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.sparse import csr_array

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.elements import Element, ElementTable
from hwlearn.circuit.graphs import incidence
from hwlearn.circuit.topology import Topology

ROUNDING: Final = 4 * float(np.finfo(np.float64).eps)
"""Rounding error of a sum of products, relative to the sum of their absolute values."""

_DENSE_NODES: Final = 1500


class Circuit:
    """Currents and slopes of a circuit with known elements and thetas.

    K is the number of nonlinear edges.

    Parameters
    ----------
    topology : Topology
    thetas : ndarray, shape (E + F,)
        Siemens.
    table : ElementTable
        Elements of all edges.
    """

    def __init__(self, topology: Topology, thetas: FloatArray, table: ElementTable) -> None:
        self.topology, self.thetas, self.table = topology, thetas, table
        edges = topology.all_edges
        self.nonlinear = np.flatnonzero(~table.ohmic)
        self._a, self._b = edges[self.nonlinear].T
        ohmic = np.flatnonzero(table.ohmic)
        self.ohmic_siemens = self._g = thetas[ohmic]
        self._ohmic_incidence = incidence(edges[ohmic], topology.n_nodes)
        self._nonlinear_incidence = incidence(edges[self.nonlinear], topology.n_nodes)
        self._groups = [
            (kind, np.searchsorted(self.nonlinear, numbers), thetas[numbers]) for kind, numbers in table.groups
        ]
        laplacian = self._ohmic_incidence.T @ (self._ohmic_incidence * self._g[:, None])
        self._laplacian = laplacian.toarray() if topology.n_nodes <= _DENSE_NODES else laplacian.tocsr()

    def drops(self, V: FloatArray) -> FloatArray:
        """Return the drops (S, K) across the nonlinear edges."""
        return V[:, self._a] - V[:, self._b]

    def nonlinear_currents(self, v: FloatArray) -> FloatArray:
        """Return the currents (S, K) at drops (S, K)."""
        return self._by_kind(lambda kind, *at: kind.current(*at), v)

    def slopes(self, v: FloatArray) -> FloatArray:
        """Return the slopes (S, K) at drops (S, K)."""
        return self._by_kind(lambda kind, *at: kind.slope(*at), v)

    def linearised_at(self, v: FloatArray, before: FloatArray) -> FloatArray:
        """Return the drops (S, K) at which Newton's method linearises next; see `Element.linearised_at`."""
        out = np.empty_like(v)
        for kind, at, _ in self._groups:
            out[:, at] = kind.linearised_at(v[:, at], before[:, at])
        return out

    def in_range(self, v: FloatArray) -> BoolArray:
        """Return which samples (S,) have every nonlinear edge within the range of its law."""
        inside = np.ones(len(v), dtype=np.bool_)
        for kind, at, _ in self._groups:
            inside &= kind.in_range(v[:, at]).all(axis=1)
        return inside

    def node_currents(self, V: FloatArray, nonlinear: FloatArray) -> FloatArray:
        """Return the current (S, N) that leaves each node, for currents (S, K) in the nonlinear edges."""
        ohmic = self._ohmic_incidence.T @ (self._g[:, None] * (self._ohmic_incidence @ V.T))
        return np.asarray((ohmic + self._nonlinear_incidence.T @ nonlinear.T).T)

    def power(self, V: FloatArray) -> FloatArray:
        """Return the power (S,) in watts dissipated in all edges."""
        drops, v = self._ohmic_incidence @ V.T, self.drops(V)
        return np.asarray(self._g @ drops**2 + np.einsum("sk,sk->s", v, self.nonlinear_currents(v)))

    def rounding(self, V: FloatArray, nonlinear: FloatArray) -> FloatArray:
        """Return a bound (S, N) on the rounding error of `node_currents`.

        ``nonlinear`` (S, K) are the absolute values of the terms of the nonlinear currents.
        """
        ohmic = abs(self._ohmic_incidence).T @ (self._g[:, None] * np.abs(self._ohmic_incidence @ V.T))
        return np.asarray(ROUNDING * (ohmic + abs(self._nonlinear_incidence).T @ nonlinear.T).T)

    def rows(self, nodes: IntArray) -> Rows:
        """Return current sums at some nodes: faster, but less accurate for large conductances with small drops."""
        incident = self._nonlinear_incidence[:, nodes].T.tocsr()
        laplacian = self._laplacian[nodes]
        return Rows(laplacian, abs(laplacian), incident, abs(incident))

    def _by_kind(self, law: Callable[[Element, FloatArray, FloatArray], FloatArray], v: FloatArray) -> FloatArray:
        out = np.empty_like(v)
        for kind, at, theta in self._groups:
            out[:, at] = law(kind, v[:, at], theta)
        return out


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """Currents out of some nodes: conductances are summed first, then multiplied by voltages."""

    laplacian: FloatArray | csr_array
    sizes: FloatArray | csr_array
    nonlinear: csr_array
    nonlinear_sizes: csr_array

    def currents(self, V: FloatArray, nonlinear: FloatArray) -> FloatArray:
        """Return the current (S, n) that leaves each of the nodes."""
        return np.asarray((self.laplacian @ V.T + self.nonlinear @ nonlinear.T).T)

    def rounding(self, V: FloatArray, nonlinear: FloatArray) -> FloatArray:
        """Return a bound (S, n) on the rounding error of `currents`."""
        return np.asarray(ROUNDING * (self.sizes @ np.abs(V).T + self.nonlinear_sizes @ nonlinear.T).T)
