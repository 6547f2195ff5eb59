"""`LawEquations`: Kirchhoff's current law of a batch, linearised, for one set of held nodes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Final

import numpy as np
from scipy.sparse import csc_array, csr_array
from scipy.sparse.linalg import SuperLU, splu

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.elements.three_terminal import Stamp, ThreeTerminal
from hwlearn.circuit.nonreciprocal.pattern import LawPattern
from hwlearn.circuit.topology import Topology

_MOST_DENSE: Final = 96
"""Up to this number of free nodes, the equations of a batch are solved densely."""


class SingularJacobian(Exception):
    """The linearised equations of a sample have no solution in double precision."""

    def __init__(self, sample: int) -> None:
        self.sample = sample


class LawEdges:
    """The edges with one law.

    Attributes
    ----------
    law : ThreeTerminal
    edges : ndarray of int, shape (K,)
        Numbers of the edges, fixed ones after the programmable ones.
    nodes : ndarray of int, shape (2, K)
    """

    def __init__(self, law: ThreeTerminal, edges: IntArray, topology: Topology) -> None:
        self.law, self.edges = law, edges
        self.nodes = np.ascontiguousarray(topology.all_edges[edges].T)

    def terminals(self, V: FloatArray) -> FloatArray:
        """Return the voltages (2, S, K) of a and b at node voltages (S, N)."""
        return np.stack([np.take(V, self.nodes[0], axis=1), np.take(V, self.nodes[1], axis=1)])


class LawEquations:
    """Assembles the linearised equations of the free nodes.

    Parameters
    ----------
    topology : Topology
    groups : sequence of LawEdges
    held : ndarray of bool, shape (n_out,)
        Outputs at a given voltage.

    Attributes
    ----------
    pattern : LawPattern
    free : ndarray of int, shape (n_free,)
        The nodes whose voltages are unknown, in an order of elimination.
    open_outputs : ndarray of int
        Numbers of the outputs that are not held.
    at_outputs : ndarray of int
        Positions of these among the free nodes.
    """

    def __init__(self, topology: Topology, groups: Sequence[LawEdges], held: BoolArray) -> None:
        free = np.ones(topology.n_nodes, dtype=np.bool_)
        free[topology.driven] = False
        free[topology.outputs[held]] = False
        self.pattern = LawPattern(np.concatenate([group.nodes for group in groups], axis=1), free)
        self.free = self.pattern.free
        n = len(self.free)
        self.open_outputs: IntArray = np.flatnonzero(~held)
        self.at_outputs: IntArray = self.pattern.position[topology.outputs[self.open_outputs]]
        a, b = self.pattern.ends
        self._sums = _selection(np.concatenate([a, b]), n)
        rows, columns = np.concatenate([a, a, b, b]), np.concatenate([a, b, a, b])
        inside = np.flatnonzero((rows >= 0) & (columns >= 0))
        diagonal = np.arange(n) * (n + 1)
        # places of the matrix column by column, each diagonal place included
        self._places, where = np.unique(
            np.concatenate([columns[inside] * n + rows[inside], diagonal]), return_inverse=True
        )
        into, self._diagonal = where[: len(inside)], where[len(inside) :]
        self._entries = csr_array((np.ones(len(inside)), (into, inside)), shape=(len(self._places), len(rows)))
        self.is_dense = n <= _MOST_DENSE
        self._rows = (self._places % max(n, 1)).astype(np.int32)
        self._starts = np.searchsorted(self._places, np.arange(n + 1) * n).astype(np.int32)

    def at_nodes(self, currents: FloatArray) -> FloatArray:
        """Return the sums (S, n_free) over edges of what (2, S, edges) leaves a and b."""
        return np.asarray((self._sums @ _edges_first(currents)).T)

    def factor(self, jacobians: FloatArray, loads: FloatArray | None) -> Factor:
        """Return the equations for jacobians (2, 2, S, edges), and ``loads`` (S, n_open) in siemens at outputs.

        Raises
        ------
        SingularJacobian
        """
        data = self._entries @ _edges_first(jacobians.reshape(4, *jacobians.shape[2:]))
        if loads is not None:
            data[self._diagonal[self.at_outputs]] += loads.T
        if not np.isfinite(data).all():
            raise SingularJacobian(int(np.flatnonzero(~np.isfinite(data).all(axis=0))[0]))
        n, samples = len(self.free), data.shape[1]
        if self.is_dense:
            flat = np.zeros((samples, n * n))
            flat[:, self._places] = data.T
            return DenseJacobian(flat.reshape(samples, n, n).transpose(0, 2, 1))
        return SparseJacobians.of_entries(self._empty, np.ascontiguousarray(data.T))

    @cached_property
    def _empty(self) -> csc_array:
        """The matrix of the equations without its entries."""
        n = len(self.free)
        empty = csc_array((np.zeros(len(self._rows)), self._rows, self._starts), shape=(n, n))
        empty.sum_duplicates()  # finds none: SciPy does not look for them again at every factor
        return empty


class DenseJacobian:
    """LawEquations (S, n_free, n_free) of a batch, solved by LAPACK."""

    def __init__(self, matrices: FloatArray) -> None:
        self._matrices = matrices

    def of(self, rows: BoolArray) -> DenseJacobian:
        """Return those of some samples."""
        return DenseJacobian(self._matrices[rows])

    def solve(self, currents: FloatArray, *, transposed: bool = False) -> FloatArray:
        """Return the volts (S, n_free, m) for currents (S, n_free, m) into the free nodes.

        Raises
        ------
        SingularJacobian
        """
        A = self._matrices.transpose(0, 2, 1) if transposed else self._matrices
        try:
            return np.asarray(np.linalg.solve(A, currents))
        except np.linalg.LinAlgError:
            singular = [s for s, one in enumerate(A) if np.linalg.matrix_rank(one) < len(one)]
            raise SingularJacobian(singular[0] if singular else 0) from None


class SparseJacobians:
    """LawEquations of a batch, factored sample by sample by SuperLU.

    The matrices are weakly diagonally dominant but for the dependence on the gate and the body, so that an order
    for symmetric patterns with pivots on the diagonal keeps them sparse. Rows and columns have that order already.
    """

    def __init__(self, factors: list[SuperLU]) -> None:
        self._factors = factors

    @classmethod
    def of_entries(cls, matrix: csc_array, entries: FloatArray) -> SparseJacobians:
        """Return the factors of ``matrix`` with entries (S, places); those of the matrix are replaced.

        Raises
        ------
        SingularJacobian
        """
        factors: list[SuperLU] = []
        for s, one in enumerate(entries):
            matrix.data = one
            try:
                factor = splu(
                    matrix, permc_spec="NATURAL", diag_pivot_thresh=0.01, options={"SymmetricMode": True}
                )
            except RuntimeError:
                raise SingularJacobian(s) from None
            factors.append(factor)
        return cls(factors)

    def of(self, rows: BoolArray) -> SparseJacobians:
        """Return those of some samples."""
        return SparseJacobians([self._factors[s] for s in np.flatnonzero(rows)])

    def solve(self, currents: FloatArray, *, transposed: bool = False) -> FloatArray:
        """Return the volts (S, n_free, m); as `DenseJacobian.solve`."""
        trans = "T" if transposed else "N"
        pairs = zip(self._factors, currents, strict=True)
        return np.stack([factor.solve(one, trans) for factor, one in pairs])


Factor = DenseJacobian | SparseJacobians


def joined_jacobians(stamps: Sequence[Stamp]) -> FloatArray:
    """Return the jacobians (2, 2, S, edges) of a and b of all groups."""
    return stamps[0].jacobian if len(stamps) == 1 else np.concatenate([s.jacobian for s in stamps], axis=3)


def joined_currents(stamps: Sequence[Stamp]) -> FloatArray:
    """Return the currents (2, S, edges) that leave a and b of all groups."""
    return stamps[0].currents if len(stamps) == 1 else np.concatenate([s.currents for s in stamps], axis=2)


def _edges_first(arrays: FloatArray) -> FloatArray:
    """Return (m * edges, S) for arrays (m, S, edges)."""
    m, samples, edges = arrays.shape
    return np.ascontiguousarray(arrays.transpose(0, 2, 1)).reshape(m * edges, samples)


def _selection(at: IntArray, n: int) -> csr_array:
    """Return the matrix (n, len(at)) that sums entries at their positions; those at -1 are left out."""
    inside = np.flatnonzero(at >= 0)
    return csr_array((np.ones(len(inside)), (at[inside], inside)), shape=(n, len(at)))
