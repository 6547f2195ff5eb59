"""`CutEdges`: the true circuit of a twin without open edges, and the parts that nothing holds then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.elements import OHMIC, ThreeTerminal
from hwlearn.circuit.graphs import component_labels
from hwlearn.circuit.kirchhoff import Kirchhoff
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SingularCircuitError

_TIE_S: Final = 1e-3


@dataclass(frozen=True, slots=True)
class CutEdges:
    """Open edges of a circuit, and what they isolate.

    Attributes
    ----------
    has_open : bool
        Whether any value is 0.
    replaced : tuple of int
        Edges of three terminals that are cut; each is a resistor of 0 S instead.
    isolated : tuple of int
        One node of each part without a path to a source.
    """

    has_open: bool
    replaced: tuple[int, ...] = ()
    isolated: tuple[int, ...] = ()

    @classmethod
    def of(cls, circuit: Topology, values: FloatArray, cut: BoolArray, read: IntArray) -> Self:
        """Return the open edges of a circuit.

        Parameters
        ----------
        circuit : Topology
            The true circuit.
        values : ndarray, shape (E,)
            True values, 0 where an edge is cut.
        cut : ndarray of bool, shape (E,)
            Edges that are cut.
        read : ndarray of int
            Nodes that the twin reads.

        Raises
        ------
        SingularCircuitError
            If a node that is read has no path to a source: it has no voltage.
        """
        if values.all() and not cut.any():
            return cls(False)
        replaced, conducts = np.flatnonzero(cut), values != 0
        if circuit.has_three_terminals:
            three = np.array([isinstance(one, ThreeTerminal) for one in circuit.edge_elements], dtype=np.bool_)
            replaced, conducts = np.flatnonzero(cut & three), ~cut & (conducts | three)
        else:
            replaced = replaced[:0]
        parts = component_labels(np.concatenate([circuit.edges[conducts], circuit.fixed_edges]), circuit.n_nodes)
        floats = ~np.isin(parts, parts[circuit.driven])
        lost = read[floats[read]]
        if len(lost):
            names = ", ".join(circuit.names[node] for node in lost[:5])
            raise SingularCircuitError(
                f"open edges leave {len(lost)} node(s) that are read without a path to a source: {names}; a "
                "floating node has no voltage: cut other edges, or read only the outputs (node_readout = false)"
            )
        _, first = np.unique(np.where(floats, parts, -1), return_index=True)
        isolated = sorted(node for node in first.tolist() if floats[node])
        return cls(bool((values == 0).any()), tuple(replaced.tolist()), tuple(isolated))

    def circuit(self, whole: Topology, values: FloatArray) -> Kirchhoff:
        """Return the circuit at values (E,).

        Isolated parts carry no current. Each is connected to a driven node by one resistor, which gives it a
        voltage and changes no other.
        """
        return Kirchhoff(self._topology(whole), values, allow_open=self.has_open)

    def _topology(self, whole: Topology) -> Topology:
        if not (self.replaced or self.isolated):
            return whole
        elements = [*whole.edge_elements, *whole.fixed_edge_elements, *[OHMIC] * len(self.isolated)]
        for edge in self.replaced:
            elements[edge] = OHMIC
        ties = np.array([(node, whole.driven[-1]) for node in self.isolated], dtype=np.int64).reshape(-1, 2)
        return Topology(
            whole.n_nodes,
            whole.edges,
            whole.inputs,
            whole.outputs,
            whole.ground,
            names=whole.names,
            fixed_edges=np.concatenate([whole.fixed_edges, ties]),
            fixed_conductances=np.concatenate([whole.fixed_conductances, np.full(len(ties), _TIE_S)]),
            elements=elements[: whole.n_edges],
            fixed_elements=elements[whole.n_edges :],
        )
