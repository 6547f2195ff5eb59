"""Class `Topology`: the graph of a network, its inputs and outputs, and the elements of its edges.

One file because the constructors of common networks are class methods, which a reader looks for in the class.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit import graph_checks, graphs
from hwlearn.circuit.edge_blocks import EdgeBlocks
from hwlearn.circuit.elements import OHMIC, AnyElement, Element, ElementTable, Parameter, ThreeTerminal
from hwlearn.circuit.elements.three_terminal import CONDUCTANCE, require_conductances
from hwlearn.circuit.fingerprint import fingerprint
from hwlearn.circuit.wires import Wires, find_wires
from hwlearn.errors import CircuitError, TopologyError
from hwlearn.html_text import object_box

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True, eq=False)
class Topology:
    """A graph with driven inputs and read outputs, without conductances.

    Parameters
    ----------
    n_nodes : int
        Number of nodes N.
    edges : array_like of int, shape (E, 2)
        Node pairs ``(a, b)``; a drop counts positive from ``a`` to ``b``. Parallel edges are allowed.
    inputs : sequence of int
        Nodes held by sources, in the column order of every input array. The ground node has no column; it
        is left out if it is listed.
    outputs : sequence of int
        Nodes that are read, in the column order of every output array.
    ground : int, optional
        Node held at 0 V. ``None``: every driven node is an input.
    names : sequence of str, optional
        A name for each node, used in messages and netlists; ``n0 ... n<N-1>`` unless given.
    fixed_edges : array_like of int, shape (F, 2), optional
        Wires and fixed resistors: part of the circuit, but not programmable.
    fixed_conductances : array_like of float, shape (F,), optional
        Their conductances in siemens, all positive; the theta of a fixed edge that is not a resistor.
    elements : Element, or sequence of Element, shape (E,), optional
        Elements of the edges, one for all or one for each; resistors unless given.
    fixed_elements : Element, or sequence of Element, shape (F,), optional
        Elements of the fixed edges; resistors unless given. A diode conducts from ``a`` to ``b``.

    Raises
    ------
    TopologyError
        For an unknown node, a self-loop, an overlap of inputs and outputs, an isolated node, a duplicate
        name or node, an output without a path to a driven node, a wrong number of elements, or elements whose
        parameters have one name and different units. The message names the node or edge.

    Examples
    --------
    >>> divider = Topology(3, [(0, 1), (1, 2)], inputs=[0], outputs=[1], ground=2)
    >>> divider.n_edges, divider.driven.tolist()
    (2, [0, 2])
    """

    n_nodes: int
    edges: IntArray
    inputs: IntArray
    outputs: IntArray
    ground: int | None
    names: tuple[str, ...]
    fixed_edges: IntArray
    fixed_conductances: FloatArray
    elements: ElementTable | None
    """Elements of the edges, then of the fixed edges; None if all are resistors."""

    def __init__(
        self,
        n_nodes: int,
        edges: ArrayLike | Iterable[Sequence[int]],
        inputs: Iterable[int],
        outputs: Iterable[int],
        ground: int | None = None,
        *,
        names: Sequence[str] | None = None,
        fixed_edges: ArrayLike | Iterable[Sequence[int]] = (),
        fixed_conductances: ArrayLike = (),
        elements: AnyElement | Iterable[AnyElement] | None = None,
        fixed_elements: AnyElement | Iterable[AnyElement] | None = None,
    ) -> None:
        count = graph_checks.checked_node_count(n_nodes)
        labels = graph_checks.checked_names(names, count)
        programmable = graph_checks.checked_edges(edges, "edge", labels)
        fixed = graph_checks.checked_edges(fixed_edges, "fixed edge", labels)
        siemens = graph_checks.checked_fixed_conductances(fixed_conductances, len(fixed))
        table = graph_checks.checked_elements(elements, fixed_elements, len(programmable), len(fixed))
        graph_checks.check_fixed_values(siemens, table, len(programmable))
        grounded = None if ground is None else int(graph_checks.checked_nodes([ground], "ground", labels)[0])
        listed = graph_checks.checked_nodes(inputs, "inputs", labels)
        driven = graph_checks.read_only(listed[listed != (-1 if grounded is None else grounded)])
        read = graph_checks.checked_nodes(outputs, "outputs", labels)
        graph_checks.check_roles(driven, read, programmable, grounded, labels)
        # the dataclass is frozen: fields are set only here
        vars(self).update(
            n_nodes=count,
            edges=programmable,
            inputs=driven,
            outputs=read,
            ground=grounded,
            names=labels,
            fixed_edges=fixed,
            fixed_conductances=siemens,
            elements=table,
        )
        graph_checks.check_paths(self.all_edges, read, self.floating, labels)

    # --- nodes and edges ----------------------------------------------------------------------------

    @property
    def n_edges(self) -> int:
        """Number E of programmable edges."""
        return len(self.edges)

    @property
    def n_inputs(self) -> int:
        """Number of input columns."""
        return len(self.inputs)

    @property
    def n_outputs(self) -> int:
        """Number of output columns."""
        return len(self.outputs)

    @cached_property
    def driven(self) -> IntArray:
        """Nodes held by a source: the inputs, then the ground node if there is one."""
        extra = [] if self.ground is None else [self.ground]
        return graph_checks.read_only(np.concatenate([self.inputs, np.asarray(extra, dtype=np.int64)]))

    @cached_property
    def all_edges(self) -> IntArray:
        """Edges, then fixed edges, shape (E + F, 2)."""
        return graph_checks.read_only(np.concatenate([self.edges, self.fixed_edges]))

    @cached_property
    def incidence(self) -> csr_array:
        """Oriented incidence B, sparse (E, N): +1 at ``a``, -1 at ``b``."""
        return graphs.incidence(self.edges, self.n_nodes)

    @cached_property
    def all_incidence(self) -> csr_array:
        """Oriented incidence of edges, then fixed edges, sparse (E + F, N)."""
        return graphs.incidence(self.all_edges, self.n_nodes)

    @cached_property
    def edge_blocks(self) -> EdgeBlocks:
        """The edges as dense blocks between groups of nodes, for sums over edges."""
        return EdgeBlocks(self.edges, self.n_nodes, self.driven)

    @cached_property
    def all_edge_blocks(self) -> EdgeBlocks:
        """Edges, then fixed edges, as dense blocks between groups of nodes."""
        return EdgeBlocks(self.all_edges, self.n_nodes, self.driven) if len(self.fixed_edges) else self.edge_blocks

    @cached_property
    def floating(self) -> IntArray:
        """Floating nodes: nodes without a path to a driven node. Outputs never float."""
        return self.floating_nodes()

    def floating_nodes(self, present: BoolArray | None = None) -> IntArray:
        """Return the nodes without a conducting path to a driven node; ``present`` (E,) masks conducting edges."""
        edges = self.edges if present is None else self.edges[present]
        labels = graphs.component_labels(np.concatenate([edges, self.fixed_edges]), self.n_nodes)
        return np.flatnonzero(~np.isin(labels, labels[self.driven])).astype(np.int64)

    def edge_name(self, edge: int) -> str:
        """Return the name of an edge for messages, e.g. ``"edge 3 (row0-col3)"``."""
        a, b = self.edges[edge]
        return f"edge {edge} ({self.names[a]}-{self.names[b]})"

    @cached_property
    def fingerprint(self) -> str:
        """Short hash of the graph, without names; stored in run folders and calibration files."""
        return fingerprint(
            self.n_nodes,
            self.edges,
            self.inputs,
            self.outputs,
            self.ground,
            self.fixed_edges,
            self.fixed_conductances,
            None if self.elements is None else self.elements.text(),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Topology):
            return NotImplemented
        return self.fingerprint == other.fingerprint and self.names == other.names

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        ground = "" if self.ground is None else f", ground {self.names[self.ground]}"
        return (
            f"<Topology of {self.n_nodes} nodes, {self.n_edges} edges, "
            f"{self.n_inputs} inputs, {self.n_outputs} outputs{ground}>"
        )

    def _repr_html_(self) -> str:
        shape = "" if self.crossbar_size is None else " (crossbar of {} x {})".format(*self.crossbar_size)
        fixed = f", {len(self.fixed_edges):,} fixed" if len(self.fixed_edges) else ""
        facts = [
            ("nodes", f"{self.n_nodes:,}"),
            ("edges", f"{self.n_edges:,}{fixed}{shape}"),
            ("values", ", ".join(f"{one.name} ({one.unit}), {len(edges):,}" for one, edges in self.parameters)),
            ("inputs", _named(self.names, self.inputs)),
            ("outputs", _named(self.names, self.outputs)),
            ("ground", "none" if self.ground is None else self.names[self.ground]),
            ("fingerprint", self.fingerprint),
        ]
        return object_box("Topology", facts)

    # --- wires ----------------------------------------------------------------------------------------

    @cached_property
    def wires(self) -> Wires | None:
        """Wires of a crossbar made by `crossbar` with ``wire_resistance``, or an equal graph; None for others."""
        if self.elements is not None and not self.elements.ohmic[self.n_edges :].all():
            return None
        wires = find_wires(self.n_nodes, self.edges, self.fixed_edges, self.fixed_conductances)
        if wires is None or self.driven.max() >= wires.rows:
            return None
        read_ends = (self.outputs >= wires.rows) & (self.outputs < wires.rows + wires.columns)
        return wires if read_ends.all() else None

    @cached_property
    def crossbar_size(self) -> tuple[int, int] | None:
        """Rows and columns of a crossbar, with or without wires, numbered row by row; None for other graphs."""
        if self.wires is not None:
            return self.wires.rows, self.wires.columns
        rows = int(self.edges[-1, 0]) + 1
        columns = self.n_nodes - rows
        if rows * columns != self.n_edges or not np.array_equal(self.edges, graphs.crossbar_edges(rows, columns)):
            return None
        return rows, columns

    def without_wires(self) -> Topology:
        """Return the same crossbar with ideal lines: the model of a person who does not know of the wires.

        Edges, inputs and outputs keep their order.

        Raises
        ------
        TopologyError
            If this is no crossbar with wire resistance.
        """
        wires = self.wires
        if wires is None:
            raise TopologyError("only a crossbar with wire_resistance has wires to leave out")
        ideal = Wires(wires.rows, wires.columns, 0.0, 0.0)
        return Topology(
            ideal.n_nodes,
            ideal.devices(),
            self.inputs,
            self.outputs,
            self.ground,
            names=self.names[: ideal.n_nodes],
            elements=None if self.elements is None else self.edge_elements,
        )

    # --- elements -------------------------------------------------------------------------------------

    def with_elements(self, elements: AnyElement | Iterable[AnyElement]) -> Topology:
        """Return the graph with other elements: one for all programmable edges, or a list (E,) or (E + F,).

        Fixed edges keep their elements unless E + F elements are given.
        """
        listed = None if isinstance(elements, Element | ThreeTerminal) else graph_checks.element_list(elements)
        fixed: Sequence[AnyElement] = self.fixed_edge_elements
        if listed is not None and len(listed) == len(self.all_edges):
            listed, fixed = listed[: self.n_edges], listed[self.n_edges :]
        return Topology(
            self.n_nodes,
            self.edges,
            self.inputs,
            self.outputs,
            self.ground,
            names=self.names,
            fixed_edges=self.fixed_edges,
            fixed_conductances=self.fixed_conductances,
            elements=elements if listed is None else listed,
            fixed_elements=fixed,
        )

    @property
    def edge_elements(self) -> tuple[AnyElement, ...]:
        """Element of each programmable edge, (E,)."""
        return self._elements_of(slice(self.n_edges))

    @property
    def fixed_edge_elements(self) -> tuple[AnyElement, ...]:
        """Element of each fixed edge, (F,)."""
        return self._elements_of(slice(self.n_edges, None))

    def require_ohmic(self, what: str) -> None:
        """Refuse a circuit with nonlinear elements; ``what`` names the operation that needs resistors.

        Raises
        ------
        CircuitError
            If any edge is not a resistor; the first one is named.
        """
        if self.elements is not None:
            k = int(np.flatnonzero(~self.elements.ohmic)[0])
            kind = "edge" if k < self.n_edges else "fixed edge"
            number = k if k < self.n_edges else k - self.n_edges
            raise CircuitError(
                f"{what} is only for resistors, but {kind} {number} is {self.elements[k]!r}; use Kirchhoff, or a "
                "circuit of resistors"
            )

    def require_two_terminals(self, what: str) -> None:
        """Refuse a circuit with elements of three terminals; ``what`` names the operation that needs two.

        Raises
        ------
        CircuitError
            Naming the first edge.
        """
        if self.elements is not None and self.elements.has_three_terminals:
            kinds = self.elements.kinds
            k = next(k for k, n in enumerate(self.elements.which.tolist()) if isinstance(kinds[n], ThreeTerminal))
            raise CircuitError(
                f"{what} cannot have elements of three terminals, but edge {k} is {self.elements[k]!r}; "
                "the twin and Kirchhoff can"
            )

    @property
    def has_three_terminals(self) -> bool:
        """Whether any edge, fixed ones included, has an element of three terminals."""
        return self.elements is not None and self.elements.has_three_terminals

    @cached_property
    def parameters(self) -> tuple[tuple[Parameter, IntArray], ...]:
        """Each parameter that is programmed and learned, with the numbers of its edges in order."""
        if self.elements is None:
            return ((CONDUCTANCE, np.arange(self.n_edges)),)
        return self.elements.parameters(self.n_edges)

    def parameter(self, edge: int) -> Parameter:
        """Return what is programmed and learned at a programmable edge."""
        return CONDUCTANCE if self.elements is None else self.elements.parameter(edge)

    def require_conductances(self) -> None:
        """Refuse a circuit in which the value of an edge is no conductance.

        Raises
        ------
        CircuitError
            Naming the first such edge.
        """
        if self.has_three_terminals:
            for parameter, edges in self.parameters:
                require_conductances([parameter], self.edge_name(int(edges[0])))

    def _elements_of(self, some: slice) -> tuple[AnyElement, ...]:
        if self.elements is None:
            return (OHMIC,) * len(range(len(self.all_edges))[some])
        kinds = self.elements.kinds
        return tuple(kinds[k] for k in self.elements.which[some].tolist())

    def with_fixed_conductances(self, siemens: ArrayLike) -> Topology:
        """Return the graph with other conductances (F,) in siemens of its fixed edges; all positive."""
        return Topology(
            self.n_nodes,
            self.edges,
            self.inputs,
            self.outputs,
            self.ground,
            names=self.names,
            fixed_edges=self.fixed_edges,
            fixed_conductances=siemens,
            elements=None if self.elements is None else self.edge_elements,
            fixed_elements=None if self.elements is None else self.fixed_edge_elements,
        )

    # --- constructors -------------------------------------------------------------------------------

    @classmethod
    def crossbar(
        cls,
        rows: int,
        columns: int,
        inputs: Iterable[int] | None = None,
        outputs: Iterable[int] | None = None,
        ground: int | None = None,
        *,
        wire_resistance: float | Sequence[float] = 0.0,
    ) -> Self:
        """Make a crossbar: a device connects each row to each column.

        The first nodes are the left ends of the rows, then the bottom ends of the columns. Edge
        ``r * columns + c`` is the device at row r, column c. With ``wire_resistance`` the lines consist of wire
        segments, which are fixed edges between further nodes; see `hwlearn.circuit.wires`.

        Parameters
        ----------
        rows, columns : int
            Size of the array.
        inputs : iterable of int, optional
            *Row* numbers that are driven at their left ends; the others float. All rows unless given.
        outputs : iterable of int, optional
            *Column* numbers that are read at their bottom ends at high impedance; the others float. All columns
            unless given.
        ground : int, optional
            A row held at 0 V.
        wire_resistance : float or (float, float)
            Ohms of one segment of wire, or of one row segment and one column segment; zero means an ideal line.

        Raises
        ------
        TopologyError
            If a size, a line or a resistance is wrong.
        """
        graph_checks.check_sizes(rows=rows, columns=columns)
        driven = [r for r in range(rows) if r != ground] if inputs is None else list(inputs)
        read = list(range(columns)) if outputs is None else list(outputs)
        graph_checks.check_crossbar_lines(rows, columns, driven, read, ground)
        wires = Wires(rows, columns, *graph_checks.checked_wire_resistance(wire_resistance))
        return cls(
            wires.n_nodes,
            wires.devices(),
            driven,
            [rows + c for c in read],
            ground,
            names=wires.names(),
            fixed_edges=wires.segments(),
            fixed_conductances=wires.siemens(),
        )

    @classmethod
    def grid(
        cls,
        rows: int,
        columns: int,
        inputs: Iterable[int] | None = None,
        outputs: Iterable[int] | None = None,
        ground: int | None = None,
    ) -> Self:
        """Make a square lattice; node ``r * columns + c`` is connected to its right and lower neighbours.

        Inputs are the left column and outputs the right column of nodes unless given.
        """
        graph_checks.check_sizes(rows=rows, columns=columns)
        node = np.arange(rows * columns).reshape(rows, columns)
        return cls(
            rows * columns,
            graphs.lattice_edges(rows, columns),
            [n for n in node[:, 0] if n != ground] if inputs is None else inputs,
            [n for n in node[:, -1] if n != ground] if outputs is None else outputs,
            ground,
            names=[f"r{r}c{c}" for r in range(rows) for c in range(columns)],
        )

    @classmethod
    def layered(
        cls,
        sizes: Sequence[int],
        ground: int | None = None,
        rectifier: Element | None = None,
        rectifier_siemens: float = 1e-2,
    ) -> Self:
        """Make layers of nodes, each fully connected to the next; inputs are the first layer, outputs the last.

        With a ``rectifier``, each hidden node is connected to ground by such an element with theta
        ``rectifier_siemens``. Its direction alternates from node to node: except for the drop across the diodes,
        one half of a layer is never positive, the other half never negative. A ground node is added as the last
        node if there is none.
        """
        graph_checks.check_layers(sizes)
        n = sum(sizes)
        names = [f"l{k}n{node}" for k, size in enumerate(sizes) for node in range(size)]
        driven = [node for node in range(sizes[0]) if node != ground]
        read = range(n - sizes[-1], n)
        if rectifier is None:
            return cls(n, graphs.layer_edges(sizes), driven, read, ground, names=names)
        if ground is None:
            ground, n, names = n, n + 1, [*names, "ground"]
        hidden = range(sizes[0], read[0])
        ends = [(node, ground) if k % 2 == 0 else (ground, node) for k, node in enumerate(hidden)]
        return cls(
            n,
            graphs.layer_edges(sizes),
            driven,
            read,
            ground,
            names=names,
            fixed_edges=ends,
            fixed_conductances=[rectifier_siemens] * len(ends),
            fixed_elements=rectifier,
        )

    @classmethod
    def random(
        cls,
        n_nodes: int,
        n_edges: int,
        inputs: int | Iterable[int],
        outputs: int | Iterable[int],
        ground: int | None = None,
        *,
        seed: int | np.random.Generator = 0,
    ) -> Self:
        """Make a random connected simple graph: a random spanning tree, then random further edges.

        If ``inputs`` is a number, the first nodes other than ground are inputs; if ``outputs`` is a number, the
        last ones are outputs.

        Raises
        ------
        TopologyError
            If ``n_edges`` is too small for a spanning tree or too large for a simple graph.
        """
        graph_checks.check_random_graph(n_nodes, n_edges, {"inputs": inputs, "outputs": outputs}, ground)
        live = [n for n in range(n_nodes) if n != ground]
        driven = live[: int(inputs)] if isinstance(inputs, int | np.integer) else inputs
        read = live[-int(outputs) :] if isinstance(outputs, int | np.integer) else outputs
        edges = graphs.random_edges(n_nodes, n_edges, np.random.default_rng(seed))
        return cls(n_nodes, edges, driven, read, ground)

    @classmethod
    def from_networkx(
        cls,
        graph: Any,
        inputs: Iterable[Hashable],
        outputs: Iterable[Hashable],
        ground: Hashable | None = None,
    ) -> Self:
        """Make the topology of a ``networkx`` graph or multigraph; inputs, outputs and ground are node labels.

        Nodes and edges keep the graph's order; names are ``str(label)``. Each edge is one resistor. Edges of a
        directed graph in both directions may mean one resistor or two, and are refused."""
        index, pairs = graph_checks.labelled_graph(graph)
        return cls(
            len(index),
            pairs,
            graph_checks.labelled_nodes(inputs, "inputs", index),
            graph_checks.labelled_nodes(outputs, "outputs", index),
            None if ground is None else graph_checks.labelled_nodes([ground], "ground", index)[0],
            names=[str(label) for label in index],
        )


def _named(names: Sequence[str], nodes: IntArray, most: int = 12) -> str:
    """Return the number of nodes, and the names of the first ones."""
    shown = ", ".join(names[node] for node in nodes[:most])
    return f"{len(nodes):,}: {shown}{', ...' if len(nodes) > most else ''}"
