"""``[network]`` of a bench file: kinds of graphs, and the elements on their edges."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from hwlearn.circuit.elements import AnyElement
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError, TopologyError
from hwlearn.lab.bench_file.elements import DiodeTable, ElementTable, PlacedElement
from hwlearn.lab.bench_file.groups import GroupConnection, GroupedNodes
from hwlearn.quantities import Count, NonNegativeOhms, Section, Seed

if TYPE_CHECKING:
    from hwlearn.circuit.spice import Netlist

MOST_EDGES = 10_000_000
"""Largest number of nodes or edges of a graph; more fit into no memory."""


class NetworkSection(Section, ABC):
    """``[network]``: the graph, and the elements of its programmable edges."""

    kind: str
    element: ElementTable | None = None
    elements: list[PlacedElement] = Field(default_factory=list)

    def build(self, folder: Path) -> Topology:
        """Return the topology with its elements; relative file names start at ``folder``."""
        self._check_size()
        graph = self.graph(folder)
        if self.elements:
            return graph.with_elements(self._placed_elements(graph))
        return graph if self.element is None else graph.with_elements(self.element.build())

    def _placed_elements(self, graph: Topology) -> list[AnyElement]:
        """Return the element of each edge: that of ``elements``, and ``element`` on the others."""
        found: list[AnyElement] = list(graph.edge_elements)
        if self.element is not None:
            found = [self.element.build()] * graph.n_edges
        placed: set[int] = set()
        for one in self.elements:
            element = one.element.build()
            for k in one.edges:
                if k >= graph.n_edges:
                    raise SetupError(
                        f"network.elements names edge {k}, but the edges are 0 to {graph.n_edges - 1}"
                    )
                if k in placed:
                    raise SetupError(f"network.elements gives edge {k} two elements; give one")
                placed.add(k)
                found[k] = element
        return found

    @abstractmethod
    def graph(self, folder: Path) -> Topology:
        """Return the topology with resistors as programmable edges."""

    def notes(self, folder: Path) -> tuple[str, ...]:
        """Return what a person should know about how the graph was read, in a few lines."""
        return ()

    def _check_size(self) -> None:
        """Refuse a graph that fits into no memory, before it is built."""
        sizes = self._sizes()
        for what, number in sizes.items():
            if number > MOST_EDGES:
                raise TopologyError(f"{what}: {number:.3g} nodes or edges; at most {MOST_EDGES} are allowed")

    def _sizes(self) -> dict[str, float]:
        """Return numbers of nodes or edges that follow from the keys, with what to name in an error."""
        return {}


class CrossbarNetwork(NetworkSection):
    """A crossbar. Inputs and ground are rows, outputs are columns.

    ``wire_resistance`` is that of one segment of wire, or of one row segment and one column segment.
    """

    kind: Literal["crossbar"]
    rows: Count
    columns: Count
    inputs: list[int] | None = None
    outputs: list[int] | None = None
    ground: int | None = None
    wire_resistance: NonNegativeOhms | Annotated[list[NonNegativeOhms], Field(min_length=2, max_length=2)] = 0.0

    def _sizes(self) -> dict[str, float]:
        return {f"rows = {self.rows:g} and columns = {self.columns:g}": self.rows * self.columns}

    def graph(self, folder: Path) -> Topology:
        """Return the crossbar."""
        ohms = self.wire_resistance
        return Topology.crossbar(
            self.rows, self.columns, self.inputs, self.outputs, self.ground, wire_resistance=ohms
        )


class GridNetwork(NetworkSection):
    """A square lattice. The node in row r and column c has the number ``r * columns + c``."""

    kind: Literal["grid"]
    rows: Count
    columns: Count
    inputs: list[int] | None = None
    outputs: list[int] | None = None
    ground: int | None = None

    def _sizes(self) -> dict[str, float]:
        return {f"rows = {self.rows:g} and columns = {self.columns:g}": 2 * self.rows * self.columns}

    def graph(self, folder: Path) -> Topology:
        """Return the lattice."""
        return Topology.grid(self.rows, self.columns, self.inputs, self.outputs, self.ground)


class LayeredNetwork(NetworkSection):
    """Layers of nodes; each node is connected to every node of the next layer."""

    kind: Literal["layered"]
    sizes: list[int]
    ground: int | None = None
    rectifiers: DiodeTable | None = None

    def _sizes(self) -> dict[str, float]:
        return {f"sizes = {self.sizes}": max(sum(self.sizes), sum(a * b for a, b in pairwise(self.sizes)))}

    def graph(self, folder: Path) -> Topology:
        """Return the layers."""
        diode = self.rectifiers
        if diode is None:
            return Topology.layered(self.sizes, self.ground)
        return Topology.layered(self.sizes, self.ground, diode.build(), diode.conductance)


class RandomNetwork(NetworkSection):
    """A random connected graph. A number of inputs means the first nodes, a number of outputs the last."""

    kind: Literal["random"]
    nodes: Count
    edges: Count
    inputs: int | list[int]
    outputs: int | list[int]
    ground: int | None = None
    seed: Seed = 0

    def _sizes(self) -> dict[str, float]:
        return {f"nodes = {self.nodes:g}": self.nodes, f"edges = {self.edges:g}": self.edges}

    def graph(self, folder: Path) -> Topology:
        """Return the random graph; equal seeds give equal graphs."""
        return Topology.random(self.nodes, self.edges, self.inputs, self.outputs, self.ground, seed=self.seed)


class EdgesNetwork(NetworkSection):
    """A graph given by its edges."""

    kind: Literal["edges"]
    nodes: Count
    edges: list[list[int]]
    inputs: list[int]
    outputs: list[int]
    ground: int | None = None
    names: list[str] | None = None
    diodes: list[list[int]] = Field(default_factory=list)
    diode: DiodeTable | None = None

    def _sizes(self) -> dict[str, float]:
        return {f"nodes = {self.nodes:g}": self.nodes}

    def graph(self, folder: Path) -> Topology:
        """Return the graph."""
        if bool(self.diodes) != (self.diode is not None):
            raise SetupError(
                "network.diodes (pairs of nodes) and network.diode (their element): give both or neither"
            )
        return Topology(
            self.nodes,
            self.edges,
            self.inputs,
            self.outputs,
            self.ground,
            names=self.names,
            fixed_edges=self.diodes,
            fixed_conductances=[] if self.diode is None else [self.diode.conductance] * len(self.diodes),
            fixed_elements=None if self.diode is None else self.diode.build(),
        )


class GroupsNetwork(NetworkSection):
    """Named groups of nodes, and connections between groups; see `hwlearn.lab.bench_file.groups`."""

    kind: Literal["groups"]
    groups: Annotated[dict[str, Count], Field(min_length=1)]
    connections: Annotated[list[GroupConnection], Field(min_length=1)]
    inputs: list[str]
    outputs: list[str]
    ground: str | None = None

    def _sizes(self) -> dict[str, float]:
        size = self.groups
        edges = sum(one.most_edges(size.get(one.from_, 0), size.get(one.to, 0)) for one in self.connections)
        return {"groups": sum(size.values()), "connections": edges}

    def graph(self, folder: Path) -> Topology:
        """Return the graph; nodes are numbered group after group."""
        grouped = GroupedNodes(self.groups)
        ground = None if self.ground is None else grouped.nodes(self.ground, "network.ground")
        if ground is not None and len(ground) > 1:
            raise SetupError(f"network.ground = {self.ground!r} has {len(ground)} nodes; ground is one node")
        return Topology(
            sum(self.groups.values()),
            grouped.edges(self.connections),
            [node for group in self.inputs for node in grouped.nodes(group, "network.inputs")],
            [node for group in self.outputs for node in grouped.nodes(group, "network.outputs")],
            None if ground is None else ground[0],
            names=grouped.names,
        )


class SpiceNetwork(NetworkSection):
    """The graph of a SPICE netlist."""

    kind: Literal["spice"]
    file: str
    inputs: list[str] | None = None
    outputs: list[str] | None = None

    def graph(self, folder: Path) -> Topology:
        """Read the netlist."""
        return self._read(folder).topology

    def notes(self, folder: Path) -> tuple[str, ...]:
        """Return what of the netlist is ignored, or is read in another way by other programs."""
        return self._read(folder).notes

    def _read(self, folder: Path) -> Netlist:
        from hwlearn.circuit.spice import read_spice  # takes long to import; ``hwlearn off`` does not need it

        return read_spice(folder / self.file, inputs=self.inputs, outputs=self.outputs)


NETWORKS: dict[str, type[NetworkSection]] = {
    "crossbar": CrossbarNetwork,
    "grid": GridNetwork,
    "layered": LayeredNetwork,
    "random": RandomNetwork,
    "edges": EdgesNetwork,
    "groups": GroupsNetwork,
    "spice": SpiceNetwork,
}
