"""The elements of a circuit on the analog plane: currents and slopes at given node voltages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from scipy.sparse import csc_array

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.elements import OHMIC, Element, ElementTable
from hwlearn.circuit.graphs import component_labels
from hwlearn.circuit.topology import Topology
from hwlearn_sim.plane.node_equations import DENSE_NODES, DenseEquations, Equations, SparseEquations

_ROUNDING: Final = 4 * float(np.finfo(np.float64).eps)
"""Rounding error of a sum of products, relative to the sum of their absolute values."""


class Elements:
    """Resistors and nonlinear elements between the nodes that current can reach.

    The n nodes with a conducting path to a kept node are numbered: the kept nodes first, then the inner ones. K is
    the number of nonlinear edges.

    Parameters
    ----------
    topology : Topology
        The graph and its elements.
    conductances : ndarray, shape (E,)
        Siemens; zero is an open edge.
    kept : ndarray of int
        Terminals, then ground.

    Attributes
    ----------
    inner : ndarray of int
        Node numbers in the topology of the inner nodes.
    n_nodes, n_nonlinear : int
        The numbers n and K.
    """

    def __init__(self, topology: Topology, conductances: FloatArray, kept: IntArray) -> None:
        theta = np.concatenate([conductances, topology.fixed_conductances])
        present = np.flatnonzero(theta > 0)
        part = component_labels(topology.all_edges[present], topology.n_nodes)
        reached = np.isin(part, part[kept])
        reached[kept] = False
        self.inner: IntArray = np.flatnonzero(reached).astype(np.int64)
        numbered = np.concatenate([kept, self.inner])
        self.n_nodes = numbered.size
        place = np.full(topology.n_nodes, -1, dtype=np.int64)
        place[numbered] = np.arange(numbered.size)
        present = present[place[topology.all_edges[present, 0]] >= 0]
        self._edges = place[topology.all_edges[present]]
        table = topology.elements or ElementTable.of([OHMIC] * len(topology.all_edges))
        ohmic = table.ohmic[present]
        self._g, (self._c, self._d) = theta[present[ohmic]], self._edges[ohmic].T
        self._a, self._b = self._edges[~ohmic].T
        self.n_nonlinear = len(self._a)
        which, thetas = table.which[present[~ohmic]], theta[present[~ohmic]]
        self._groups = [
            (table.two_terminal(k), at, thetas[at])
            for k in range(len(table.kinds))
            if (at := np.flatnonzero(which == k)).size
        ]
        self._ends = np.concatenate([self._c, self._a, self._d, self._b])
        first, second = np.stack([self._a, self._b]), np.stack([self._c, self._d])
        self._places = _matrix_places(first, self.n_nodes)
        self._fixed = _matrix(_matrix_places(second, self.n_nodes), self._g, self.n_nodes)

    def floating_parts(self, terminals: int) -> list[IntArray]:
        """Return the terminals of each part without a connection to ground, for the number of terminals.

        The ground node, if there is one, follows the terminals.
        """
        ground = (self._edges == terminals) if terminals < self.n_nodes - self.inner.size else self._edges < 0
        grounded = ground.any(axis=1)
        part = component_labels(self._edges[~grounded], self.n_nodes)
        at_ground = set(part[self._edges[grounded]].ravel().tolist())
        parts = (np.flatnonzero(part[:terminals] == k) for k in np.unique(part[:terminals]) if k not in at_ground)
        return [members.astype(np.int64) for members in parts]

    def drops(self, V: FloatArray) -> FloatArray:
        """Return the drops (K,) across the nonlinear edges."""
        return np.asarray(V[self._a] - V[self._b])

    def nonlinear_currents(self, v: FloatArray) -> FloatArray:
        """Return the currents (K,) of the nonlinear edges at drops (K,)."""
        return self._by_kind(lambda kind, at, theta: kind.current(v[at], theta))

    def slopes(self, v: FloatArray) -> FloatArray:
        """Return the slopes (K,) at drops (K,)."""
        return self._by_kind(lambda kind, at, theta: kind.slope(v[at], theta))

    def linearised_at(self, v: FloatArray, before: FloatArray) -> FloatArray:
        """Return the drops (K,) at which Newton's method linearises next; see `Element.linearised_at`."""
        return self._by_kind(lambda kind, at, theta: kind.linearised_at(v[at], before[at]))

    def in_range(self, v: FloatArray) -> bool:
        """Return whether every nonlinear edge is within the range of its law."""
        return all(bool(kind.in_range(v[at]).all()) for kind, at, _ in self._groups)

    def node_currents(self, V: FloatArray, nonlinear: FloatArray) -> FloatArray:
        """Return the current (n,) that leaves each node, for currents (K,) in the nonlinear edges."""
        ohmic = self._g * (V[self._c] - V[self._d])
        both = np.concatenate([ohmic, nonlinear, -ohmic, -nonlinear])
        return np.asarray(np.bincount(self._ends, both, self.n_nodes), dtype=np.float64)

    def rounding(self, V: FloatArray, nonlinear: FloatArray) -> FloatArray:
        """Return a bound (n,) on the rounding error of `node_currents`.

        ``nonlinear`` (K,) are the absolute values of the terms of the nonlinear currents.
        """
        ohmic = self._g * np.abs(V[self._c] - V[self._d])
        sizes = np.concatenate([ohmic, nonlinear, ohmic, nonlinear])
        return np.asarray(_ROUNDING * np.bincount(self._ends, sizes, self.n_nodes))

    def equations(self, slopes: FloatArray) -> Equations:
        """Return the node equations for slopes (K,) of the nonlinear edges."""
        laplacian = self._fixed + _matrix(self._places, slopes, self.n_nodes)
        return DenseEquations(laplacian) if isinstance(laplacian, np.ndarray) else SparseEquations(laplacian)

    def _by_kind(self, law: Callable[[Element, IntArray, FloatArray], FloatArray]) -> FloatArray:
        out = np.empty(self.n_nonlinear)
        for kind, at, theta in self._groups:
            out[at] = law(kind, at, theta)
        return out


def _matrix_places(ends: IntArray, n: int) -> IntArray:
    """Return the flat places (4 k,) of edges (2, k) in an (n, n) matrix: both diagonal ones, then both others."""
    a, b = ends
    return np.concatenate([a * n + a, b * n + b, a * n + b, b * n + a])


def _matrix(places: IntArray, siemens: FloatArray, n: int) -> FloatArray | csc_array:
    """Return the Laplacian (n, n) of edges with these places, dense for small n."""
    values = np.concatenate([siemens, siemens, -siemens, -siemens])
    if n <= DENSE_NODES:
        return np.bincount(places, values, n * n).reshape(n, n)
    return csc_array((values, (places // n, places % n)), shape=(n, n))
