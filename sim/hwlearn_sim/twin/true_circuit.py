"""True circuit of a twin: its topology with the wires and source resistances that the hardware really has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.elements import OHMIC, ThreeTerminal
from hwlearn.circuit.graphs import crossbar_edges
from hwlearn.circuit.topology import Topology
from hwlearn.circuit.wires import Wires
from hwlearn.errors import SetupError
from hwlearn_sim.devices.imperfections import Imperfections


def true_circuit(
    topology: Topology, imperfections: Imperfections, rng: np.random.Generator
) -> tuple[Topology, IntArray]:
    """Return the graph of the true circuit, and the place (N,) of each node of the topology in it.

    Inputs are the terminals of the sources. Edges and outputs keep their order.

    Parameters
    ----------
    topology : Topology
        The declared circuit.
    imperfections : Imperfections
    rng : numpy.random.Generator
        Source of the spread of the wires.

    Raises
    ------
    SetupError
        If true wires are given for a network that is no crossbar, or an ideal line where segments are declared.
    """
    real, nodes = _with_true_wires(topology, imperfections, rng)
    return _with_source_resistance(real, imperfections.source_resistance_ohm), nodes


def with_spread_parameters(topology: Topology, spreads: Mapping[str, float], rng: np.random.Generator) -> Topology:
    """Return the graph with elements of three terminals whose parameters differ from device to device.

    Parameters
    ----------
    topology : Topology
        The declared circuit.
    spreads : mapping of str to float
        Standard deviations by the names in `ThreeTerminal.spreads`: volts, or relative (log-normal).
    rng : numpy.random.Generator

    Raises
    ------
    SetupError
        If no element has a parameter of such a name.
    """
    elements, used = list(topology.edge_elements) if spreads else [], set[str]()
    for kind in dict.fromkeys(elements):
        if not isinstance(kind, ThreeTerminal):
            continue
        edges = [k for k, element in enumerate(elements) if element is kind or element == kind]
        columns = {}
        for name, unit in kind.spreads.items():
            # always drawn, so that one spread does not change the values of the other
            draws = rng.standard_normal(len(edges))
            if name in spreads:
                columns[name] = spreads[name] * draws if unit == "V" else np.exp(spreads[name] * draws)
        used |= set(columns)
        for row, k in enumerate(edges):
            elements[k] = kind.varied({name: float(column[row]) for name, column in columns.items()})
    unknown = next((name for name in spreads if name not in used), None)
    if unknown is not None:
        raise SetupError(
            f"device_spread has a spread of {unknown!r}, but no element of this network has such a parameter"
        )
    return topology.with_elements(elements) if spreads else topology


@dataclass(frozen=True, slots=True)
class InputEdges:
    """Edges at the input sources of a true circuit, for a quick bound on the currents of the sources.

    Attributes
    ----------
    most : int
        Largest number of programmable edges at one input.
    fixed_S : float
        Largest sum of fixed conductances at one input, in siemens.
    ohmic : bool
        Whether all of these edges are resistors.
    """

    most: int
    fixed_S: float
    ohmic: bool

    @classmethod
    def of(cls, circuit: Topology) -> Self:
        """Return the edges at the inputs of a circuit."""
        n, at = circuit.n_nodes, circuit.inputs
        edges = np.bincount(circuit.edges.ravel(), minlength=n)[at]
        fixed = np.bincount(circuit.fixed_edges.ravel(), np.repeat(circuit.fixed_conductances, 2), n)[at]
        touching = np.isin(circuit.all_edges, at).any(axis=1)
        ohmic = circuit.elements is None or bool(circuit.elements.ohmic[touching].all())
        return cls(int(edges.max()), float(fixed.max()), ohmic)

    def most_siemens(self, conductances: FloatArray) -> float:
        """Return a bound on the conductance at any input for conductances (E,); infinite if it has none."""
        return self.most * float(conductances.max()) + self.fixed_S if self.ohmic else math.inf


def _with_true_wires(
    topology: Topology, flaws: Imperfections, rng: np.random.Generator
) -> tuple[Topology, IntArray]:
    same = np.arange(topology.n_nodes)
    if flaws.wire_resistance_ohm is None and flaws.wire_spread == 0:
        return topology, same
    declared = _declared(topology)
    ohms = flaws.wire_resistance_ohm or (declared.row_ohms, declared.column_ohms)
    real = Wires(declared.rows, declared.columns, *ohms)
    for line, known, true in (
        ("row", declared.row_ohms, real.row_ohms),
        ("column", declared.column_ohms, real.column_ohms),
    ):
        if known and not true:
            raise SetupError(
                f"the true wire resistance of a {line} segment is 0, but the network declares {known:g} ohm; "
                "a true segment needs a positive resistance"
            )
    siemens = real.siemens() * np.exp(flaws.wire_spread * rng.standard_normal(len(real.siemens())))
    wired = Topology(
        real.n_nodes,
        real.devices(),
        topology.inputs,
        topology.outputs,
        topology.ground,
        names=real.names(),
        fixed_edges=real.segments(),
        fixed_conductances=siemens,
        elements=topology.edge_elements,
    )
    parts = [np.arange(declared.rows + declared.columns)]
    parts += [real.row_nodes.ravel()] if declared.row_ohms else []
    parts += [real.column_nodes.ravel()] if declared.column_ohms else []
    return wired, np.concatenate(parts)


def _declared(topology: Topology) -> Wires:
    """Return size and declared wires of a crossbar; ideal lines have 0 ohm."""
    if topology.wires is not None:
        return topology.wires
    ends, devices = topology.n_nodes, topology.n_edges
    root = math.isqrt(max(0, ends**2 - 4 * devices))
    for rows in {(ends - root) // 2, (ends + root) // 2}:
        columns = ends - rows
        if (
            not len(topology.fixed_edges)
            and rows * columns == devices
            and np.array_equal(topology.edges, crossbar_edges(rows, columns))
            and topology.driven.max() < rows <= topology.outputs.min()
        ):
            return Wires(rows, columns, 0.0, 0.0)
    raise SetupError("wire_resistance and wire_spread of a twin need a crossbar; this network is none")


def _with_source_resistance(topology: Topology, ohm: float) -> Topology:
    """Return the graph with a series resistance at each input source, or the topology itself for 0 ohm."""
    if ohm == 0:
        return topology
    n, k = topology.n_nodes, topology.n_inputs
    terminals = n + np.arange(k)
    return Topology(
        n + k,
        topology.edges,
        terminals,
        topology.outputs,
        topology.ground,
        names=[*topology.names, *(f"source of {topology.names[i]}" for i in topology.inputs)],
        fixed_edges=np.concatenate([topology.fixed_edges, np.stack([terminals, topology.inputs], axis=1)]),
        fixed_conductances=np.concatenate([topology.fixed_conductances, np.full(k, 1.0 / ohm)]),
        elements=topology.edge_elements,
        fixed_elements=[*topology.fixed_edge_elements, *[OHMIC] * k],
    )
