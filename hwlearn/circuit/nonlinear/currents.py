"""Currents of a circuit at given node voltages: all resistors at once, other elements kind by kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.drops import edge_drops
from hwlearn.circuit.edge_blocks import EdgeBlocks
from hwlearn.circuit.elements import OHMIC, Element, ElementTable
from hwlearn.circuit.graphs import incidence
from hwlearn.circuit.outflow import GatheredOutflow, Outflow, power
from hwlearn.circuit.solver import Where
from hwlearn.circuit.topology import Topology

ROUNDING: Final = 4 * float(np.finfo(np.float64).eps)
"""Rounding error of a sum of products, relative to the sum of their absolute values."""

_KEPT: Final = 32


class Structure:
    """Resistors and other elements of a graph; circuits with different thetas share it.

    K is the number of nonlinear edges.

    Parameters
    ----------
    topology : Topology

    Attributes
    ----------
    table : ElementTable
        Elements of all edges.
    ohmic, nonlinear : ndarray of int
        Numbers of the resistors, and of the other edges (K,).
    edges_ohmic : bool
        Whether all programmable edges are resistors.
    """

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        every = ElementTable.repeated(OHMIC, len(topology.all_edges))
        self.table = every if topology.elements is None else topology.elements
        self.ohmic: IntArray = np.flatnonzero(self.table.ohmic)
        self.nonlinear: IntArray = np.flatnonzero(~self.table.ohmic)
        self.nonlinear_edges = topology.all_edges[self.nonlinear]
        self.edges_ohmic = bool(self.table.ohmic[: topology.n_edges].all())
        only = len(self.table.groups) == 1
        self.groups: list[tuple[Element, slice | IntArray, IntArray]] = [
            (kind, slice(None) if only else np.searchsorted(self.nonlinear, numbers), numbers)
            for kind, numbers in self.table.groups
        ]
        self._outflows: dict[Where, NodeCurrents] = {}

    @cached_property
    def ohmic_edges(self) -> EdgeBlocks:
        """The resistors."""
        top = self.topology
        if len(self.ohmic) == len(top.all_edges):
            return top.all_edge_blocks
        if self.edges_ohmic and len(self.ohmic) == top.n_edges:
            return top.edge_blocks
        return EdgeBlocks(top.all_edges[self.ohmic], top.n_nodes, top.driven)

    def _nodes(self, where: Where) -> IntArray:
        top = self.topology
        return {"everywhere": np.arange(top.n_nodes), "inputs": top.inputs, "outputs": top.outputs}[where]

    def outflow(self, where: Where) -> NodeCurrents:
        """Return the current sums at some nodes."""
        if where not in self._outflows:
            self._outflows[where] = NodeCurrents(self, self._nodes(where))
        return self._outflows[where]

    @cached_property
    def from_drops(self) -> GatheredOutflow:
        """Currents of the resistors out of all nodes, from drops."""
        return GatheredOutflow(self.topology.all_edges[self.ohmic], np.arange(self.topology.n_nodes))


class NodeCurrents:
    """Kirchhoff's current law at some nodes (n,) of a structure, over all elements."""

    def __init__(self, structure: Structure, nodes: IntArray) -> None:
        self._ohmic = Outflow(structure.ohmic_edges, nodes)
        n_nodes = structure.topology.n_nodes
        self._nonlinear = incidence(structure.nonlinear_edges, n_nodes)[:, nodes].T.tocsr()

    def currents(self, V: FloatArray, siemens: FloatArray, nonlinear: FloatArray) -> FloatArray:
        """Return the current (S, n) that leaves each node at V (S, N).

        ``siemens`` are those of the resistors, ``nonlinear`` (S, K) the currents of the other elements.
        """
        return np.asarray(self._ohmic.currents(V, siemens) + (self._nonlinear @ nonlinear.T).T)


@dataclass(frozen=True, eq=False, slots=True)
class TwoLines:
    """Laws of two straight lines: thresholds (K,) in volts, slopes (K,) in siemens below and above them."""

    threshold: FloatArray
    below: FloatArray
    above: FloatArray


class Circuit:
    """Currents and slopes of a circuit with known elements and thetas.

    Parameters
    ----------
    topology : Topology
    thetas : ndarray, shape (E + F,)
        Siemens.
    """

    def __init__(self, topology: Topology, thetas: FloatArray) -> None:
        self.structure = structure(topology)
        self.thetas = thetas
        self.nonlinear = self.structure.nonlinear
        ohmic = self.structure.ohmic
        # a prefix needs no copy
        whole = len(ohmic) > 0 and ohmic[-1] == len(ohmic) - 1
        self.ohmic_siemens = thetas[: len(ohmic)] if whole else thetas[ohmic]
        self._groups = [(kind, at, thetas[numbers]) for kind, at, numbers in self.structure.groups]

    @cached_property
    def lines(self) -> TwoLines | None:
        """The laws of the nonlinear edges, if each consists of two straight lines."""
        parts = [(at, kind.kink, theta) for kind, at, theta in self._groups]
        threshold, below, above = np.empty((3, len(self.nonlinear)))
        for at, kink, theta in parts:
            if kink is None:
                return None
            threshold[at], below[at], above[at] = kink.threshold_V, theta * kink.below, theta * kink.above
        return TwoLines(threshold, below, above)

    def drops(self, V: FloatArray) -> FloatArray:
        """Return the drops (S, K) across the nonlinear edges."""
        return edge_drops(self.structure.nonlinear_edges, V)

    def nonlinear_currents(self, v: FloatArray) -> FloatArray:
        """Return the currents (S, K) at drops (S, K)."""
        return self._by_kind(lambda kind, *at: kind.current(*at), v)

    def slopes(self, v: FloatArray) -> FloatArray:
        """Return the slopes (S, K) at drops (S, K)."""
        return self._by_kind(lambda kind, *at: kind.slope(*at), v)

    def linearised_at(self, v: FloatArray, before: FloatArray) -> FloatArray:
        """Return the drops (S, K) at which Newton's method linearises next; see `Element.linearised_at`.

        The array ``v`` itself is returned if no element changes it.
        """
        parts = [(at, v[:, at], before[:, at], kind) for kind, at, _ in self._groups]
        moved = [(at, part, kind.linearised_at(part, old)) for at, part, old, kind in parts]
        if all(new is part for _, part, new in moved):
            return v
        out = np.empty_like(v)
        for at, _, new in moved:
            out[:, at] = new
        return out

    def in_range(self, v: FloatArray) -> BoolArray:
        """Return which samples (S,) have every nonlinear edge within the range of its law."""
        inside = np.ones(len(v), dtype=np.bool_)
        for kind, at, _ in self._groups:
            inside &= kind.in_range(v[:, at]).all(axis=1)
        return inside

    def currents(self, V: FloatArray, where: Where) -> FloatArray:
        """Return the current (S, n) that leaves some nodes at voltages V (S, N)."""
        nonlinear = self.nonlinear_currents(self.drops(V))
        return self.structure.outflow(where).currents(V, self.ohmic_siemens, nonlinear)

    def power(self, V: FloatArray) -> FloatArray:
        """Return the power (S,) in watts dissipated in all edges."""
        v = self.drops(V)
        of_nonlinear = np.einsum("sk,sk->s", v, self.nonlinear_currents(v))
        return np.asarray(power(self.structure.ohmic_edges, V, self.ohmic_siemens) + of_nonlinear)

    def _by_kind(self, law: Callable[[Element, FloatArray, FloatArray], FloatArray], v: FloatArray) -> FloatArray:
        if len(self._groups) == 1:
            kind, _, theta = self._groups[0]
            return law(kind, v, theta)
        out = np.empty_like(v)
        for kind, at, theta in self._groups:
            out[:, at] = law(kind, v[:, at], theta)
        return out


@lru_cache(maxsize=_KEPT)
def structure(topology: Topology) -> Structure:
    """Return the structure of a graph; circuits share it."""
    return Structure(topology)
