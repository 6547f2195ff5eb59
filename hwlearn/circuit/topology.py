"""The graph of a resistor network: nodes, edges, which nodes are driven, which are read."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.circuit.elements import OHMIC, Element, ElementTable
from hwlearn.circuit.graphs import crossbar_edges, lattice_edges, layer_edges, random_edges
from hwlearn.errors import CircuitError, TopologyError

_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Topology:
    """A graph with driven inputs and read outputs; the conductances live elsewhere.

    Parameters
    ----------
    n_nodes : int
        Number of nodes N.
    edges : array_like of int, shape (E, 2)
        Node pairs ``(a, b)``; a drop counts positive from ``a`` to ``b``. Parallel edges are allowed.
    inputs : sequence of int
        Nodes held by sources, in the column order of every input array. The ground node gets no column;
        it may be listed and is then left out.
    outputs : sequence of int
        Nodes that are read, in the column order of every output array.
    ground : int, optional
        Node held at 0 V. ``None``: every driven node is an input.
    names : sequence of str, optional
        A name for each node, used in messages and netlists; ``n0 ... n<N-1>`` unless given.
    fixed_edges : array_like of int, shape (F, 2), optional
        Wires and fixed resistors; they are part of the circuit but not of the E edges that learn.
    fixed_conductances : array_like of float, shape (F,), optional
        Their conductances in siemens, all positive; the theta of a fixed edge that is no resistor.
    elements : Element, or sequence of Element, shape (E,), optional
        What the edges are; resistors unless given. One element serves all edges.
    fixed_elements : Element, or sequence of Element, shape (F,), optional
        What the fixed edges are; resistors unless given. A diode conducts from ``a`` to ``b``.

    Raises
    ------
    TopologyError
        For an unknown node, a self-loop, an overlap of inputs and outputs, an isolated node, a duplicate
        name or listing, an output that no path ties to a driven node, or elements that are not one an edge;
        the message names the culprit.

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
    """What each edge, then each fixed edge is; None where all are resistors."""

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
        elements: Element | Iterable[Element] | None = None,
        fixed_elements: Element | Iterable[Element] | None = None,
    ) -> None:
        def put(field: str, value: object) -> None:
            object.__setattr__(self, field, value)

        if not _whole(n_nodes) or n_nodes < 2:
            raise TopologyError(f"a network needs at least 2 nodes, got n_nodes={n_nodes!r}")
        put("n_nodes", int(n_nodes))
        put("names", _names(names, self.n_nodes))
        put("edges", self._pairs(edges, "edge"))
        put("fixed_edges", self._pairs(fixed_edges, "fixed edge"))
        put("fixed_conductances", self._fixed(fixed_conductances))
        put("elements", self._table(elements, fixed_elements))
        put("ground", None if ground is None else int(self._nodes([ground], "ground")[0]))
        listed = self._nodes(inputs, "inputs")
        put("inputs", _frozen(listed[listed != (-1 if self.ground is None else self.ground)]))
        put("outputs", self._nodes(outputs, "outputs"))
        self._check_roles()
        self._check_paths()

    # --- what the graph consists of -----------------------------------------------------------------

    @property
    def n_edges(self) -> int:
        """Number of edges E that carry a programmable conductance."""
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
        return _frozen(np.concatenate([self.inputs, np.asarray(extra, dtype=np.int64)]))

    @cached_property
    def all_edges(self) -> IntArray:
        """Edges, then fixed edges, shape (E + F, 2)."""
        return _frozen(np.concatenate([self.edges, self.fixed_edges]))

    @cached_property
    def incidence(self) -> csr_array:
        """Oriented incidence B, sparse (E, N): +1 at ``a``, -1 at ``b``."""
        return incidence(self.edges, self.n_nodes)

    @cached_property
    def all_incidence(self) -> csr_array:
        """Oriented incidence of edges, then fixed edges, sparse (E + F, N)."""
        return incidence(self.all_edges, self.n_nodes)

    @cached_property
    def floating(self) -> IntArray:
        """Nodes that no path ties to a driven node (none of them an output)."""
        return self.floating_nodes()

    def component_labels(self, present: BoolArray | None = None) -> IntArray:
        """Label each node by its connected component; ``present`` (E,) tells which edges conduct at all."""
        edges = self.edges if present is None else self.edges[present]
        pairs = np.concatenate([edges, self.fixed_edges])
        graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(self.n_nodes, self.n_nodes))
        return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)

    def floating_nodes(self, present: BoolArray | None = None) -> IntArray:
        """Return the nodes that no conducting path ties to a driven node."""
        labels = self.component_labels(present)
        return np.flatnonzero(~np.isin(labels, labels[self.driven])).astype(np.int64)

    def edge_name(self, edge: int) -> str:
        """Return the edge as a person would say it, e.g. ``"edge 3 (row0-col3)"``."""
        a, b = self.edges[edge]
        return f"edge {edge} ({self.names[a]}-{self.names[b]})"

    @cached_property
    def fingerprint(self) -> str:
        """A short text that differs between graphs; kept in run folders and calibration files."""
        text = (
            f"{self.n_nodes}|{self.edges.tolist()}|{self.inputs.tolist()}|{self.outputs.tolist()}|{self.ground}|"
            f"{self.fixed_edges.tolist()}|{self.fixed_conductances.tolist()}"
        )
        if self.elements is not None:
            text += "|" + self.elements.text()
        return hashlib.sha256(text.encode()).hexdigest()[:16]

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

    # --- what the edges are ---------------------------------------------------------------------------

    def with_elements(self, elements: Element | Iterable[Element]) -> Topology:
        """Return the graph with other elements: one for all programmable edges, or one an edge (E,) or (E + F,).

        Fixed edges stay what they are unless E + F elements are given.
        """
        listed = None if isinstance(elements, Element) else _listed(elements)
        n = self.n_edges
        fixed: list[Element] = (
            [] if self.elements is None else [self.elements[k] for k in range(n, len(self.all_edges))]
        )
        if listed is not None and len(listed) == len(self.all_edges):
            listed, fixed = listed[:n], listed[n:]
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
            fixed_elements=fixed or None,
        )

    @property
    def edge_elements(self) -> tuple[Element, ...]:
        """The element of each programmable edge, (E,)."""
        return tuple(self._element_list()[: self.n_edges])

    @property
    def fixed_edge_elements(self) -> tuple[Element, ...]:
        """The element of each fixed edge, (F,)."""
        return tuple(self._element_list()[self.n_edges :])

    def require_ohmic(self, what: str) -> None:
        """Refuse what holds for resistors alone.

        Raises
        ------
        CircuitError
            If any edge is another element; ``what`` is what cannot be done.
        """
        if self.elements is not None:
            k = int(np.flatnonzero(~self.elements.ohmic)[0])
            kind = "edge" if k < self.n_edges else "fixed edge"
            number = k if k < self.n_edges else k - self.n_edges
            raise CircuitError(
                f"{what} is for resistors alone, but {kind} {number} is {self.elements[k]!r}; use Kirchhoff, or a "
                "circuit without elements"
            )

    def _element_list(self) -> list[Element]:
        if self.elements is None:
            return [OHMIC] * len(self.all_edges)
        return [self.elements[k] for k in range(len(self.all_edges))]

    def _table(
        self, elements: Element | Iterable[Element] | None, fixed: Element | Iterable[Element] | None
    ) -> ElementTable | None:
        every: list[Element] = []
        for given, count, kind in (
            (elements, len(self.edges), "edges"),
            (fixed, len(self.fixed_edges), "fixed edges"),
        ):
            if given is None or isinstance(given, Element):
                listed = [OHMIC if given is None else given] * count
            else:
                listed = _listed(given)
            wrong = [item for item in listed if not isinstance(item, Element)]
            if wrong:
                raise TopologyError(f"{wrong[0]!r} is no element; elements come from hwlearn.circuit.elements")
            if len(listed) != count:
                raise TopologyError(f"{count} {kind} need as many elements, or one for all; got {len(listed)}")
            every += listed
        table = ElementTable.of(every)
        return None if table.ohmic.all() else table

    # --- ways to make one ---------------------------------------------------------------------------

    @classmethod
    def crossbar(
        cls,
        rows: int,
        columns: int,
        inputs: Iterable[int] | None = None,
        outputs: Iterable[int] | None = None,
        ground: int | None = None,
    ) -> Self:
        """Make the bipartite graph of a crossbar with ideal lines: a device joins each row to each column.

        Nodes are the rows, then the columns; edge ``r * columns + c`` is the device at row r, column c.

        Parameters
        ----------
        rows, columns : int
            Size of the array.
        inputs : iterable of int, optional
            *Row* numbers that are driven; the others float. All rows unless given.
        outputs : iterable of int, optional
            *Column* numbers that are read at high impedance; the others float. All columns unless given.
        ground : int, optional
            A row held at 0 V.
        """
        _positive(rows=rows, columns=columns)
        driven = [r for r in range(rows) if r != ground] if inputs is None else list(inputs)
        read = list(range(columns)) if outputs is None else list(outputs)
        for kind, chosen, size in (("row", driven, rows), ("column", read, columns)):
            for line in chosen:
                if not 0 <= line < size:
                    raise TopologyError(
                        f"a crossbar with {size} {kind}s has no {kind} {line}; use 0 to {size - 1}"
                    )
        if ground is not None and not 0 <= ground < rows:
            raise TopologyError(f"a crossbar with {rows} rows has no row {ground} to ground; use 0 to {rows - 1}")
        return cls(
            rows + columns,
            crossbar_edges(rows, columns),
            driven,
            [rows + c for c in read],
            ground,
            names=[f"row{r}" for r in range(rows)] + [f"col{c}" for c in range(columns)],
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
        """Make a square lattice; node ``r * columns + c`` joins its right and lower neighbours.

        Inputs are the left column and outputs the right column of nodes unless given.
        """
        _positive(rows=rows, columns=columns)
        node = np.arange(rows * columns).reshape(rows, columns)
        return cls(
            rows * columns,
            lattice_edges(rows, columns),
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
        """Make layers of nodes, each joined completely to the next: first layer in, last layer out.

        With a rectifier, each hidden node hangs on one, of that theta, to ground; they conduct by turns from the
        node to ground and from ground to the node, so that one half of a layer is never positive and the other
        never negative, but for what drops across the diodes. Without a ground node one is added as the last node.
        """
        if len(sizes) < 2:
            raise TopologyError(f"a layered network needs at least 2 layers, got sizes={list(sizes)}")
        for size in sizes:
            _positive(layer_size=size)
        n = sum(sizes)
        names = [f"l{k}n{node}" for k, size in enumerate(sizes) for node in range(size)]
        driven = [node for node in range(sizes[0]) if node != ground]
        read = range(n - sizes[-1], n)
        if rectifier is None:
            return cls(n, layer_edges(sizes), driven, read, ground, names=names)
        if ground is None:
            ground, n, names = n, n + 1, [*names, "ground"]
        hidden = range(sizes[0], read[0])
        ends = [(node, ground) if k % 2 == 0 else (ground, node) for k, node in enumerate(hidden)]
        return cls(
            n,
            layer_edges(sizes),
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

        A number of inputs takes the first nodes (the ground node apart), a number of outputs the last ones;
        node numbers carry no other meaning in a random graph.

        Raises
        ------
        TopologyError
            If ``n_edges`` is less than a spanning tree has or more than a simple graph can have.
        """
        _positive(n_nodes=n_nodes, n_edges=n_edges)
        most = n_nodes * (n_nodes - 1) // 2
        if not n_nodes - 1 <= n_edges <= most:
            raise TopologyError(
                f"a connected simple graph of {n_nodes} nodes has {n_nodes - 1} to {most} edges, "
                f"asked for {n_edges}"
            )
        live = [n for n in range(n_nodes) if n != ground]
        for role, number in (("inputs", inputs), ("outputs", outputs)):
            if isinstance(number, int | np.integer) and not 0 < int(number) <= len(live):
                raise TopologyError(f"asked for {number} {role}; this graph can have 1 to {len(live)}")
        driven = live[: int(inputs)] if isinstance(inputs, int | np.integer) else inputs
        read = live[-int(outputs) :] if isinstance(outputs, int | np.integer) else outputs
        edges = random_edges(n_nodes, n_edges, np.random.default_rng(seed))
        return cls(n_nodes, edges, driven, read, ground)

    @classmethod
    def from_networkx(
        cls,
        graph: Any,
        inputs: Iterable[Hashable],
        outputs: Iterable[Hashable],
        ground: Hashable | None = None,
    ) -> Self:
        """Take a ``networkx`` graph (or multigraph); inputs, outputs and ground are its node labels.

        Nodes keep the graph's order and edges the order of ``graph.edges``; names are ``str(label)``.
        """
        index = {label: k for k, label in enumerate(graph.nodes)}

        def find(labels: Iterable[Hashable], role: str) -> list[int]:
            numbers = []
            for label in labels:
                if label not in index:
                    raise TopologyError(f"{role} names node {label!r}, which the graph does not have")
                numbers.append(index[label])
            return numbers

        return cls(
            len(index),
            [(index[a], index[b]) for a, b in graph.edges()],
            find(inputs, "inputs"),
            find(outputs, "outputs"),
            None if ground is None else find([ground], "ground")[0],
            names=[str(label) for label in index],
        )

    # --- checks -------------------------------------------------------------------------------------

    def _nodes(self, nodes: Iterable[int], role: str) -> IntArray:
        listed = list(nodes) if isinstance(nodes, Iterable) else nodes
        try:
            array = np.asarray(listed)
        except ValueError:  # ragged
            array = np.zeros((1, 1))
        if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
            raise TopologyError(f"{role} must be a list of node numbers, got {listed!r}")
        array = array.astype(np.int64).reshape(-1)
        seen: set[int] = set()
        for node in array.tolist():
            if not 0 <= node < self.n_nodes:
                raise TopologyError(f"{role} names node {node}, but the nodes are 0 to {self.n_nodes - 1}")
            if node in seen:
                raise TopologyError(f"{role} lists node {node} ({self.names[node]}) twice")
            seen.add(node)
        return _frozen(array)

    def _pairs(self, edges: ArrayLike | Iterable[Sequence[int]], kind: str) -> IntArray:
        try:
            array = np.asarray(list(edges) if isinstance(edges, Iterable) else edges)
        except ValueError as error:
            raise TopologyError(
                f"{kind}s must be pairs of node numbers, shape (E, 2); some are not pairs"
            ) from error
        if array.ndim and array.size == 0:
            return _frozen(np.zeros((0, 2), dtype=np.int64))
        if array.ndim != 2 or array.shape[1] != 2 or not np.issubdtype(array.dtype, np.integer):
            raise TopologyError(f"{kind}s must be pairs of node numbers, shape (E, 2), got shape {array.shape}")
        outside = np.flatnonzero(((array < 0) | (array >= self.n_nodes)).any(axis=1))
        if outside.size:
            k = int(outside[0])
            raise TopologyError(
                f"{kind} {k} joins nodes {array[k, 0]} and {array[k, 1]}, "
                f"but the nodes are 0 to {self.n_nodes - 1}"
            )
        loops = np.flatnonzero(array[:, 0] == array[:, 1])
        if loops.size:
            k = int(loops[0])
            raise TopologyError(f"{kind} {k} is a self-loop at node {array[k, 0]} ({self.names[array[k, 0]]})")
        return _frozen(array.astype(np.int64))

    def _fixed(self, conductances: ArrayLike) -> FloatArray:
        try:
            values = np.array(conductances, dtype=np.float64).reshape(-1)
        except (TypeError, ValueError) as error:
            raise TopologyError("fixed conductances must be numbers in siemens, one a fixed edge") from error
        if len(values) != len(self.fixed_edges):
            raise TopologyError(
                f"{len(self.fixed_edges)} fixed edges need as many conductances, got {len(values)}"
            )
        wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if wrong.size:
            k = int(wrong[0])
            raise TopologyError(f"fixed edge {k} has conductance {values[k]} S; it must be positive and finite")
        return _frozen(values)

    def _check_roles(self) -> None:
        if not len(self.inputs):
            raise TopologyError("no inputs: name at least one node that a source drives")
        if not len(self.outputs):
            raise TopologyError("no outputs: name at least one node that is read")
        if not len(self.edges):
            raise TopologyError("no edges: a network needs at least one programmable edge")
        for node in self.outputs.tolist():
            if node == self.ground:
                raise TopologyError(f"node {node} ({self.names[node]}) is both ground and output")
            if node in self.inputs:
                raise TopologyError(f"node {node} ({self.names[node]}) is both input and output")

    def _check_paths(self) -> None:
        degree = np.bincount(self.all_edges.ravel(), minlength=self.n_nodes)
        isolated = np.flatnonzero(degree == 0)
        if isolated.size:
            node = int(isolated[0])
            raise TopologyError(f"node {node} ({self.names[node]}) is isolated: no edge touches it")
        floating = set(self.floating.tolist())
        for node in self.outputs.tolist():
            if node in floating:
                raise TopologyError(f"output node {node} ({self.names[node]}) has no path to any input or ground")


def incidence(edges: IntArray, n_nodes: int) -> csr_array:
    """Return the oriented incidence matrix of ``edges`` (E, 2), sparse (E, n_nodes): +1 at a, -1 at b."""
    count = len(edges)
    rows = np.repeat(np.arange(count), 2)
    signs = np.tile([1.0, -1.0], count)
    return csr_array((signs, (rows, edges.ravel())), shape=(count, n_nodes))


def _listed(elements: Iterable[Element]) -> list[Element]:
    if not isinstance(elements, Iterable):
        raise TopologyError(f"{elements!r} is no element; elements come from hwlearn.circuit.elements")
    return list(elements)


def _names(names: Sequence[str] | None, n_nodes: int) -> tuple[str, ...]:
    if names is None:
        return tuple(f"n{k}" for k in range(n_nodes))
    if len(names) != n_nodes:
        raise TopologyError(f"{n_nodes} nodes need as many names, got {len(names)}")
    first: dict[str, int] = {}
    for k, name in enumerate(map(str, names)):
        if name in first:
            raise TopologyError(f"duplicate node name {name!r}: nodes {first[name]} and {k}")
        first[name] = k
    return tuple(first)


def _positive(**sizes: int) -> None:
    for name, size in sizes.items():
        if not _whole(size) or size < 1:
            raise TopologyError(f"{name} must be a whole number of at least 1, got {size!r}")


def _whole(number: object) -> bool:
    return not isinstance(number, bool) and isinstance(number, Real) and float(number).is_integer()


def _frozen(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    array = np.array(array)
    array.flags.writeable = False
    return array
