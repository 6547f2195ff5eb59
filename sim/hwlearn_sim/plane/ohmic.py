"""A circuit of resistors on the analog plane, reduced to its terminals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csc_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SingularCircuitError
from hwlearn_sim.plane.compliance import SINGULAR, LoadLines, Solution, solve
from hwlearn_sim.plane.placement import Placement
from hwlearn_sim.plane.sources import LoadLine
from hwlearn_sim.plane.terminals import Terminals


class OhmicCircuit:
    """The circuit reduced to its terminals (Kron reduction), and the map back to all nodes.

    Parameters
    ----------
    topology : Topology
        A circuit of resistors.
    conductances : ndarray, shape (E,)
        Siemens; zero is an open edge.
    placement : Placement
        The terminals.

    Raises
    ------
    SingularCircuitError
        If double precision cannot solve the circuit.
    """

    def __init__(self, topology: Topology, conductances: FloatArray, placement: Placement) -> None:
        self._n, self._placement, kept = topology.n_nodes, placement, placement.kept
        g = np.concatenate([conductances, topology.fixed_conductances])
        B = topology.all_incidence
        laplacian = csc_array(B.T @ (B * g[:, None]))
        inner = self._inner = _connected(laplacian, kept)
        between = -laplacian[kept][:, kept].toarray()
        self._follow = np.zeros((inner.size, kept.size))
        if inner.size and kept.size:
            pull = -laplacian[inner][:, kept].toarray()
            try:
                self._follow = splu(csc_array(laplacian[inner][:, inner])).solve(pull)
            except RuntimeError as error:
                raise SingularCircuitError(SINGULAR) from error
            between += pull.T @ self._follow
        self._terminals = Terminals(*placement.split(between))

    def solve(self, load_lines: Sequence[LoadLine], guess: IntArray) -> Solution:
        """Return the solution with the load lines of the terminals; ``guess`` are states to start from."""
        return solve(self._terminals, LoadLines(load_lines), guess)

    def voltages(self, solution: Solution) -> FloatArray:
        """Return the voltages (N,) of all nodes; nodes without a path to a terminal are at 0 V."""
        V = np.zeros(self._n)
        V[self._placement.terminals] = solution.volts
        V[self._inner] = self._follow @ V[self._placement.kept]
        return V


def _connected(laplacian: csc_array, kept: IntArray) -> IntArray:
    """Return the nodes with a conducting path to one of the kept nodes, without the kept nodes."""
    part = connected_components(abs(laplacian) > 0, directed=False)[1]
    inner = np.isin(part, part[kept])
    inner[kept] = False
    return np.flatnonzero(inner).astype(np.int64)
