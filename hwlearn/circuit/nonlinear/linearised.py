"""Node equations of a batch of linearised circuits: one graph, with different slopes in every sample.

An independent set of nodes (no two share an edge) is eliminated first, such as the hidden layer of a layered
network or the rows of a crossbar. Its part of the equations is diagonal. The equations of the remaining nodes are
solved densely for all samples at once, or sparsely, sample by sample, if many nodes remain.
"""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Final, Self

import numpy as np
from scipy.sparse import csc_array, csr_array
from scipy.sparse.linalg import splu

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.nonlinear.node_order import NodeOrder

_TABLE_NUMBERS: Final = 4_000_000
_CHUNK_NUMBERS: Final = 4_000_000
_INVERTED: Final = 64  # up to this many remaining nodes matrices are inverted: each is used several times


class SingularSample(Exception):
    """The linearised equations of a sample have no solution in double precision."""

    def __init__(self, sample: int) -> None:
        self.sample = sample


class Linearised:
    """The part of the linearised equations that all samples share: the resistors.

    Parameters
    ----------
    nodes : NodeOrder
    conductances : ndarray
        Siemens, of the resistors alone.
    """

    def __init__(self, nodes: NodeOrder, conductances: FloatArray) -> None:
        self.nodes = nodes
        self.nonlinear = nodes.nonlinear
        self.size = nodes.free.size
        self.coupling = nodes.ohmic.coupling(conductances)
        """Conductances (n_pinned, n_free) between held and free nodes."""
        self.leak = np.asarray(self.coupling.sum(axis=0)).ravel()
        self.diagonal = self.leak + nodes.ohmic.inner_sums(conductances)
        self.inner_siemens = conductances[nodes.ohmic.inner_edges]
        h, r = nodes.n_independent, nodes.n_remaining
        self.shares_products = not self.nonlinear.has_across and h * r * r <= _TABLE_NUMBERS
        """Whether products of couplings are the same for all samples, and few enough to keep."""
        if nodes.dense:
            self.across = -nodes.ohmic.across(self.inner_siemens).reshape(h, r)
            self.within = -nodes.ohmic.within(self.inner_siemens).reshape(r, r)
        if self.shares_products and nodes.dense:
            C = self.across
            self.products = (C[:, :, None] * C[:, None, :]).reshape(h, r * r)

    @property
    def chunk(self) -> int:
        """Number of samples to solve at a time."""
        if not self.nodes.dense:
            return max(1, min(64, 1_000_000 // max(1, self.size)))
        h, r = self.nodes.n_independent, self.nodes.n_remaining
        numbers = r**2 + self.size + (0 if self.shares_products else 2 * h * r) + self.nonlinear.count
        return max(1, _CHUNK_NUMBERS // max(1, numbers))

    def from_held(self, V: FloatArray) -> FloatArray:
        """Return the currents (S, n_free) from held nodes at V (S, n_pinned) into free nodes at 0 V."""
        return np.asarray(V @ self.coupling)

    def between_free(self, V: FloatArray) -> FloatArray:
        """Return the product (S, n_free) of the resistors' matrix and the voltages (S, n_free) of free nodes."""
        if not self.nodes.dense:
            return np.asarray(V * self.diagonal + (self._off_diagonal @ V.T).T)
        h = self.nodes.n_independent
        out = V * self.diagonal
        out[:, :h] += V[:, h:] @ self.across.T
        out[:, h:] += V[:, :h] @ self.across
        if self.nodes.ohmic.has_within:
            out[:, h:] += V[:, h:] @ self.within
        return out

    def sizes_between_free(self, V: FloatArray) -> FloatArray:
        """Return the sum (S, n_free) of the absolute terms of `between_free`."""
        size = np.abs(V)
        # the matrix is negative off its diagonal
        return 2 * size * self.diagonal - self.between_free(size)

    @cached_property
    def _off_diagonal(self) -> csr_array:
        return _symmetric(self.nodes.ohmic.inner, -self.inner_siemens, self.size)

    def factor(self, slopes: FloatArray, loads: FloatArray | None = None) -> Factor:
        """Return the equations of samples with slopes (S, K) of nonlinear edges and load conductances (S, n_out).

        Raises
        ------
        SingularSample
            If a sample's equations are singular.
        """
        diagonal = self.diagonal + self.nonlinear.diagonal(slopes)
        if loads is not None:
            at = self.nodes.output_position
            diagonal[:, at[at >= 0]] += loads[:, at >= 0]
        if diagonal.size and not (diagonal.min() > 0 and diagonal.max() < np.inf):
            singular = ~((diagonal > 0) & np.isfinite(diagonal)).all(axis=1)
            raise SingularSample(int(np.flatnonzero(singular)[0]))
        return (_DenseFactor if self.nodes.dense else _SparseFactor)(self, slopes, diagonal, loads)


class Factor:
    """Solver of the equations of a batch; vectors are (m, S, n_free) in the order of ``NodeOrder.free``.

    A factor of one sample solves a batch of any size: all samples have these slopes.

    Attributes
    ----------
    slopes : ndarray, shape (S, K)
        Slopes of the nonlinear edges, in siemens.
    """

    def __init__(
        self, system: Linearised, slopes: FloatArray, diagonal: FloatArray, loads: FloatArray | None
    ) -> None:
        self._system, self.slopes, self._loads = system, slopes, loads

    @property
    def leak(self) -> FloatArray:
        """Conductances (S, n_free) of the free nodes to held nodes and loads."""
        leak = self._system.leak + self._system.nonlinear.leak(self.slopes)
        if self._loads is not None:
            at = self._system.nodes.output_position
            leak[:, at[at >= 0]] += self._loads[:, at >= 0]
        return leak

    def solve(self, currents: FloatArray) -> FloatArray:
        """Return voltages (m, S, n_free) for currents (m, S, n_free) into the free nodes."""
        raise NotImplementedError

    def responses(self, currents: FloatArray) -> FloatArray:
        """Return the voltages (m, S, n_out) at outputs for currents (m, S, n_out) into them; all are free."""
        at = self._system.nodes.output_position
        into = np.zeros((*currents.shape[:2], self._system.size))
        into[:, :, at] = currents
        return self.solve(into)[:, :, at]

    def rows(self, chosen: BoolArray | IntArray) -> Self:
        """Return the factor of chosen samples; numbers may repeat."""
        other = copy.copy(self)
        other.slopes = self.slopes[chosen]
        other._loads = None if self._loads is None else self._loads[chosen]
        return other

    def put(self, rows: IntArray, other: Self) -> None:
        """Replace the samples with numbers ``rows`` by the samples of another factor, in their order."""
        self.slopes[rows] = other.slopes


class _DenseFactor(Factor):
    def __init__(
        self, system: Linearised, slopes: FloatArray, diagonal: FloatArray, loads: FloatArray | None
    ) -> None:
        super().__init__(system, slopes, diagonal, loads)
        self._h, r = system.nodes.n_independent, system.nodes.n_remaining
        samples, h = len(slopes), self._h
        self._weight = 1.0 / diagonal[:, :h]
        self._C = system.across
        if system.nonlinear.has_across:
            self._C = system.across - system.nonlinear.across(slopes).reshape(samples, h, r)
        if system.shares_products:
            S = system.within - (self._weight @ system.products).reshape(samples, r, r)
        else:
            C = np.broadcast_to(self._C, (samples, h, r))
            S = system.within - C.transpose(0, 2, 1) @ (self._weight[:, :, None] * C)
        if system.nonlinear.has_within:
            S -= system.nonlinear.within(slopes).reshape(samples, r, r)
        k = np.arange(r)
        S[:, k, k] += diagonal[:, h:]
        self._inverted = r <= _INVERTED
        self._S = self._inverse(S) if self._inverted else S

    def solve(self, currents: FloatArray) -> FloatArray:
        h = self._h
        out = np.empty_like(currents)
        top = np.multiply(currents[:, :, :h], self._weight, out=out[:, :, :h])
        if h == currents.shape[2]:
            return out
        out[:, :, h:] = y = self._remaining(currents[:, :, h:] - self._down(top))
        top -= self._weight * self._up(y)
        return out

    def responses(self, currents: FloatArray) -> FloatArray:
        at, h = self._system.nodes.output_position, self._h
        if (at < h).any():
            return super().responses(currents)
        into = np.zeros((*currents.shape[:2], self._S.shape[1]))
        into[:, :, at - h] = currents
        return self._remaining(into)[:, :, at - h]

    def rows(self, chosen: BoolArray | IntArray) -> Self:
        other = super().rows(chosen)
        other._weight, other._S = self._weight[chosen], self._S[chosen]
        other._C = self._C if self._C.ndim == 2 else self._C[chosen]
        return other

    def put(self, rows: IntArray, other: Self) -> None:
        super().put(rows, other)
        self._weight[rows], self._S[rows] = other._weight, other._S
        if self._C.ndim == 3:
            self._C[rows] = other._C

    def _remaining(self, currents: FloatArray) -> FloatArray:
        if self._inverted:
            if len(self._S) == 1:  # symmetric
                return np.asarray(currents @ self._S[0])
            return np.asarray((self._S @ currents.transpose(1, 2, 0)).transpose(2, 0, 1))
        try:
            if len(self._S) == 1:
                m, samples, r = currents.shape
                return np.asarray(np.linalg.solve(self._S[0], currents.reshape(-1, r).T).T.reshape(m, samples, r))
            y = np.linalg.solve(self._S, currents.transpose(1, 2, 0))
        except np.linalg.LinAlgError:
            raise SingularSample(_first_singular(self._S)) from None
        return np.asarray(y.transpose(2, 0, 1))

    def _down(self, top: FloatArray) -> FloatArray:
        if self._C.ndim == 2:
            return np.asarray(top @ self._C)
        return np.asarray((top.transpose(1, 0, 2) @ self._C).transpose(1, 0, 2))

    def _up(self, y: FloatArray) -> FloatArray:
        if self._C.ndim == 2:
            return np.asarray(y @ self._C.T)
        return np.asarray((y.transpose(1, 0, 2) @ self._C.transpose(0, 2, 1)).transpose(1, 0, 2))

    @staticmethod
    def _inverse(S: FloatArray) -> FloatArray:
        try:
            return np.asarray(np.linalg.inv(S))
        except np.linalg.LinAlgError:
            raise SingularSample(_first_singular(S)) from None


class _SparseFactor(Factor):
    def __init__(
        self, system: Linearised, slopes: FloatArray, diagonal: FloatArray, loads: FloatArray | None
    ) -> None:
        super().__init__(system, slopes, diagonal, loads)
        n, k = system.size, np.arange(system.size)
        ohmic, nonlinear = system.nodes.ohmic, system.nonlinear
        a, b = np.concatenate([ohmic.inner, nonlinear.inner]).T
        rows, columns = np.concatenate([k, a, b]), np.concatenate([k, b, a])
        g = -system.inner_siemens
        self._lu = []
        for sample, own in enumerate(-slopes[:, nonlinear.inner_edges]):
            values = np.concatenate([diagonal[sample], g, own, g, own])
            matrix = csc_array((values, (rows, columns)), shape=(n, n))
            try:
                self._lu.append(
                    splu(
                        matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
                    )
                )
            except RuntimeError:
                raise SingularSample(sample) from None

    def solve(self, currents: FloatArray) -> FloatArray:
        m, samples, n = currents.shape
        if len(self._lu) == 1:
            solved = self._lu[0].solve(np.ascontiguousarray(currents.reshape(-1, n).T))
            return np.ascontiguousarray(solved.T).reshape(m, samples, n)
        each = [lu.solve(np.ascontiguousarray(currents[:, k].T)).T for k, lu in enumerate(self._lu)]
        return np.stack(each, axis=1) if each else np.zeros_like(currents)

    def rows(self, chosen: BoolArray | IntArray) -> Self:
        other = super().rows(chosen)
        numbers = np.arange(len(self._lu))[chosen].tolist()
        other._lu = [self._lu[k] for k in numbers]
        return other

    def put(self, rows: IntArray, other: Self) -> None:
        super().put(rows, other)
        for k, lu in zip(rows.tolist(), other._lu, strict=True):
            self._lu[k] = lu


def _first_singular(matrices: FloatArray) -> int:
    """Return the number of the first singular matrix of a batch (S, r, r)."""
    for sample, S in enumerate(matrices):
        try:
            np.linalg.inv(S)
        except np.linalg.LinAlgError:
            return sample
    return 0


def _symmetric(pairs: IntArray, values: FloatArray, size: int) -> csr_array:
    a, b = pairs.T
    both = np.concatenate([values, values])
    return csr_array((both, (np.concatenate([a, b]), np.concatenate([b, a]))), shape=(size, size))
