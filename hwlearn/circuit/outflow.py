"""Currents of resistors out of nodes, and their power: by matrix products where edges form dense blocks."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.drops import centred
from hwlearn.circuit.edge_blocks import DenseBlock, EdgeBlocks
from hwlearn.circuit.graphs import incidence
from hwlearn.circuit.solver import Where
from hwlearn.circuit.topology import Topology

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_KEPT: Final = 64
_NUMBERS_AT_ONCE: Final = 1 << 20
_EPSILON: Final = float(np.finfo(np.float64).eps)
_LEAST_ACCURACY: Final = 1e-12


class Outflow:
    """Kirchhoff's current law at some nodes of a graph of resistors.

    Parameters
    ----------
    edges : EdgeBlocks
        The graph.
    nodes : ndarray of int, shape (n,)

    Notes
    -----
    A current is a sum of conductance times drop. In a block it is computed as a product of the conductances and
    the voltages, whose terms are larger. Samples for which the bound on the rounding error exceeds 1e-12 of the
    largest current are computed from drops instead, as are edges outside the blocks.
    """

    def __init__(self, edges: EdgeBlocks, nodes: IntArray) -> None:
        self._edges, self._nodes = edges, nodes
        self._wanted: BoolArray = np.zeros(edges.n_nodes, dtype=bool)
        self._wanted[nodes] = True
        self._sides = [
            (block, bool(self._wanted[block.first].any()), bool(self._wanted[block.second].any()))
            for block in edges.blocks
        ]
        self._rest = GatheredOutflow(edges.rest_edges, nodes)

    def currents(self, V: FloatArray, conductances: FloatArray) -> FloatArray:
        """Return the current (S, n) in amperes out of the nodes at volts V (S, N), for conductances (E,)."""
        rest = self._edges.rest
        out = self._rest.currents(V, conductances if len(rest) == len(conductances) else conductances[rest])
        if not any(first or second for _, first, second in self._sides):
            return out
        of_blocks, rounding = np.zeros(V.shape), np.zeros(len(V))
        for block, first, second in self._sides:
            if first or second:
                rounding += _add_block(of_blocks, block, V, conductances, first, second)
        out += of_blocks[:, self._nodes]
        inaccurate = ~(rounding <= _LEAST_ACCURACY * np.abs(out).max(axis=1, initial=0.0))
        if inaccurate.any():
            out[inaccurate] = self._every.currents(V[inaccurate], conductances)
        return out

    @cached_property
    def _every(self) -> GatheredOutflow:
        return GatheredOutflow(self._edges.edges, self._nodes)


def _add_block(
    out: FloatArray, block: DenseBlock, V: FloatArray, conductances: FloatArray, first: bool, second: bool
) -> FloatArray:
    """Add the currents of a block to ``out`` (S, N); return a bound (S,) on the rounding error of any of them."""
    G = block.matrix(conductances)
    A, B = centred(block, V)
    rounding = np.zeros(len(V))
    largest = np.abs(A).max(axis=1, initial=0.0) + np.abs(B).max(axis=1, initial=0.0)
    if first:
        siemens = G.sum(axis=1)
        out[:, block.first] += A * siemens - B @ G.T
        rounding = np.maximum(rounding, siemens.max() * largest)
    if second:
        siemens = G.sum(axis=0)
        out[:, block.second] += B * siemens - A @ G
        rounding = np.maximum(rounding, siemens.max() * largest)
    return 4 * _EPSILON * rounding


class GatheredOutflow:
    """Kirchhoff's current law at some nodes over the edges that meet there, from drops.

    Parameters
    ----------
    edges : ndarray of int, shape (E, 2)
    nodes : ndarray of int, shape (n,)
    """

    def __init__(self, edges: IntArray, nodes: IntArray) -> None:
        at = np.zeros(max(edges.max(initial=0), nodes.max(initial=0)) + 1, dtype=bool)
        at[nodes] = True
        self._touching = np.flatnonzero(at[edges].any(axis=1))
        touching = edges[self._touching]
        self._ends = np.ascontiguousarray(touching.T)
        self._rows: csr_array = incidence(touching, len(at))[:, nodes].T.tocsr()

    def currents(self, V: FloatArray, conductances: FloatArray) -> FloatArray:
        """Return the current (S, n) in amperes out of the nodes at volts V (S, N), for conductances (E,)."""
        return self._summed(self._rows, V, conductances, absolute=False)

    def sizes(self, V: FloatArray, conductances: FloatArray) -> FloatArray:
        """Return the sum (S, n) of the absolute currents in the edges at each node."""
        return self._summed(abs(self._rows), V, conductances, absolute=True)

    def _summed(self, rows: csr_array, V: FloatArray, conductances: FloatArray, absolute: bool) -> FloatArray:
        if not self._touching.size:
            return np.zeros((len(V), rows.shape[0]))
        siemens = conductances[self._touching, None]
        # contiguous samples of each node: rows are gathered fastest
        volts, step = np.ascontiguousarray(V.T), max(1, _NUMBERS_AT_ONCE // len(self._touching))
        out = np.empty((rows.shape[0], len(V)))
        for k in range(0, len(V), step):
            some = slice(k, k + step)
            flow = volts[self._ends[0], some]
            flow -= volts[self._ends[1], some]
            flow *= siemens
            out[:, some] = rows @ (np.abs(flow) if absolute else flow)
        return out.T


def power(edges: EdgeBlocks, V: FloatArray, conductances: FloatArray) -> FloatArray:
    """Return the power (S,) in watts of resistors with conductances (E,) at node voltages V (S, N).

    As in `Outflow`, samples of a block for which the rounding error of matrix products may exceed 1e-12 of the
    block's power are computed from drops.
    """
    out = _gathered_power(edges.rest_edges, V, conductances[edges.rest])
    for block in edges.blocks:
        G, (A, B) = block.matrix(conductances), centred(block, V)
        own = A**2 @ G.sum(axis=1) + B**2 @ G.sum(axis=0)
        watts = own - 2 * np.einsum("sn,sn->s", A @ G, B)
        inaccurate = ~(4 * _EPSILON * own <= _LEAST_ACCURACY * watts)
        if inaccurate.any():
            siemens = conductances[block.edges]
            watts[inaccurate] = _gathered_power(edges.edges[block.edges], V[inaccurate], siemens)
        out += watts
    return out


def _gathered_power(edges: IntArray, V: FloatArray, conductances: FloatArray) -> FloatArray:
    out = np.zeros(len(V))
    if not len(edges):
        return out
    volts, (a, b) = np.ascontiguousarray(V.T), np.ascontiguousarray(edges.T)
    step = max(1, _NUMBERS_AT_ONCE // max(1, len(V)))
    for k in range(0, len(edges), step):
        some = slice(k, k + step)
        drops = volts.take(a[some], axis=0)
        drops -= volts.take(b[some], axis=0)
        out += conductances[some] @ drops**2
    return out


@lru_cache(maxsize=_KEPT)
def outflow(topology: Topology, where: Where) -> Outflow:
    """Return the currents from all nodes, or from the inputs or outputs in their order; graphs share them."""
    edges = topology.all_edge_blocks
    if where == "inputs":
        return Outflow(edges, topology.inputs)
    if where == "outputs":
        return Outflow(edges, topology.outputs)
    return Outflow(edges, np.arange(topology.n_nodes))
