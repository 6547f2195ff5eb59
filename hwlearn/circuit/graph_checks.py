"""Checks of the arguments of `Topology`: they return a valid, read-only value or raise TopologyError."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.elements import OHMIC, AnyElement, Element, ElementTable, ThreeTerminal
from hwlearn.circuit.elements.three_terminal import CONDUCTANCE
from hwlearn.errors import TopologyError

_Scalar = TypeVar("_Scalar", bound=np.generic)


def checked_node_count(n_nodes: int) -> int:
    """Return the number of nodes: a whole number of at least 2."""
    if not _is_whole(n_nodes) or n_nodes < 2:
        raise TopologyError(f"a network needs at least 2 nodes, got n_nodes={n_nodes!r}")
    return int(n_nodes)


def checked_names(names: Sequence[str] | None, n_nodes: int) -> tuple[str, ...]:
    """Return a unique name for each node; ``n0 ... n<N-1>`` for None."""
    if names is None:
        return tuple(f"n{k}" for k in range(n_nodes))
    if len(names) != n_nodes:
        raise TopologyError(f"{n_nodes} nodes need {n_nodes} names, got {len(names)}")
    listed = tuple(map(str, names))
    if len(set(listed)) < n_nodes:
        first: dict[str, int] = {}
        for k, name in enumerate(listed):
            if name in first:
                raise TopologyError(f"duplicate node name {name!r}: nodes {first[name]} and {k}")
            first[name] = k
    return listed


def checked_nodes(nodes: Iterable[int], role: str, names: Sequence[str]) -> IntArray:
    """Return distinct node numbers (n,) in a role such as ``"inputs"``."""
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
        if not 0 <= node < len(names):
            raise TopologyError(f"{role} names node {node}, but the nodes are 0 to {len(names) - 1}")
        if node in seen:
            raise TopologyError(f"{role} lists node {node} ({names[node]}) twice")
        seen.add(node)
    return read_only(array)


def labelled_graph(graph: Any) -> tuple[dict[Hashable, int], list[tuple[int, int]]]:
    """Return the numbers of the labels of a ``networkx`` graph, and its edges as pairs of numbers."""
    try:
        index: dict[Hashable, int] = {label: k for k, label in enumerate(graph.nodes)}
        edges = [(index[a], index[b]) for a, b in graph.edges()]
        directed = graph.is_directed()
    except (AttributeError, TypeError, ValueError, KeyError):
        raise TopologyError(
            f"{type(graph).__name__} is no networkx graph; give one, or use Topology(...)"
        ) from None
    if directed:
        known = set(edges)
        labels = list(index)
        for a, b in edges:
            if a != b and (b, a) in known:
                raise TopologyError(
                    f"the directed graph has edges from {labels[a]!r} to {labels[b]!r} and back, which may mean "
                    "one resistor or two; use graph.to_undirected() for one, a MultiGraph for two"
                )
    return index, edges


def labelled_nodes(labels: Iterable[Hashable], role: str, index: Mapping[Hashable, int]) -> list[int]:
    """Return the node numbers of labels in a role; ``index`` maps the labels of all nodes to their numbers."""
    if not isinstance(labels, Iterable) or (isinstance(labels, str) and labels in index):
        raise TopologyError(f"{role} must be a list of nodes, got {labels!r}; write [{labels!r}]")
    numbers = []
    for label in labels:
        if not isinstance(label, Hashable) or label not in index:
            raise TopologyError(f"{role} names node {label!r}, which the graph does not have")
        numbers.append(index[label])
    return numbers


def checked_edges(edges: ArrayLike | Iterable[Sequence[int]], kind: str, names: Sequence[str]) -> IntArray:
    """Return node pairs (E, 2) without self-loops; ``kind`` is ``"edge"`` or ``"fixed edge"``."""
    try:
        # a list of the rows of an array takes a second for a million edges
        array = np.asarray(
            edges if isinstance(edges, np.ndarray) or not isinstance(edges, Iterable) else list(edges)
        )
    except ValueError as error:
        raise TopologyError(f"{kind}s must be pairs of node numbers, shape (E, 2); some are not pairs") from error
    if array.ndim and array.size == 0:
        return read_only(np.zeros((0, 2), dtype=np.int64))
    if array.ndim != 2 or array.shape[1] != 2 or not np.issubdtype(array.dtype, np.integer):
        raise TopologyError(f"{kind}s must be pairs of node numbers, shape (E, 2), got shape {array.shape}")
    outside = np.flatnonzero(((array < 0) | (array >= len(names))).any(axis=1))
    if outside.size:
        k = int(outside[0])
        raise TopologyError(
            f"{kind} {k} joins nodes {array[k, 0]} and {array[k, 1]}, but the nodes are 0 to {len(names) - 1}"
        )
    loops = np.flatnonzero(array[:, 0] == array[:, 1])
    if loops.size:
        k = int(loops[0])
        raise TopologyError(f"{kind} {k} is a self-loop at node {array[k, 0]} ({names[array[k, 0]]})")
    return read_only(array.astype(np.int64))


def checked_fixed_conductances(conductances: ArrayLike, count: int) -> FloatArray:
    """Return the values (F,) of the fixed edges, which are finite; see `check_fixed_values`."""
    try:
        values = np.array(conductances, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise TopologyError("fixed conductances must be numbers in siemens, one for each fixed edge") from error
    if len(values) != count:
        raise TopologyError(f"{count} fixed edges need {count} conductances, got {len(values)}")
    return read_only(values)


def check_fixed_values(values: FloatArray, table: ElementTable | None, n_edges: int) -> None:
    """Refuse values (F,) of fixed edges that their elements do not accept."""
    if table is None:
        wrong = np.flatnonzero(~CONDUCTANCE.accepts(values))
    else:
        wrong = np.flatnonzero(table.refused(np.concatenate([np.full(n_edges, np.nan), values]))[n_edges:])
    if wrong.size:
        k = int(wrong[0])
        asked = CONDUCTANCE if table is None else table.parameter(n_edges + k)
        raise TopologyError(
            f"fixed edge {k} has {asked.name} {values[k]} {asked.unit}; it must be {asked.allowed}"
        )


def checked_elements(
    elements: AnyElement | Iterable[AnyElement] | None,
    fixed: AnyElement | Iterable[AnyElement] | None,
    n_edges: int,
    n_fixed: int,
) -> ElementTable | None:
    """Return the table of the elements of edges and fixed edges; None if all are resistors."""
    edges = _element_table(elements, n_edges, "edges")
    table = edges.followed_by(_element_table(fixed, n_fixed, "fixed edges"))
    _check_units(table)
    return None if table.ohmic.all() else table


def _check_units(table: ElementTable) -> None:
    """Refuse parameters of one name in different units: their limits would be the same numbers."""
    units: dict[str, str] = {}
    for kind in table.kinds:
        parameter = kind.parameter if isinstance(kind, ThreeTerminal) else CONDUCTANCE
        known = units.setdefault(parameter.name, parameter.unit)
        if known != parameter.unit:
            raise TopologyError(
                f"the elements have a {parameter.name} in {known} and one in {parameter.unit}, which would share "
                "their limits; give one of them another name"
            )


def _element_table(given: AnyElement | Iterable[AnyElement] | None, count: int, kind: str) -> ElementTable:
    if given is None or isinstance(given, Element | ThreeTerminal):
        return ElementTable.repeated(OHMIC if given is None else given, count)
    listed = element_list(given)
    wrong = [item for item in listed if not isinstance(item, Element | ThreeTerminal)]
    if wrong:
        raise TopologyError(f"{wrong[0]!r} is not an element; elements come from hwlearn.circuit.elements")
    if len(listed) != count:
        raise TopologyError(f"{count} {kind} need {count} elements, or one for all; got {len(listed)}")
    return ElementTable.of(listed)


def element_list(elements: Iterable[AnyElement]) -> list[AnyElement]:
    """Return elements as a list."""
    if isinstance(elements, str | dict) or not isinstance(elements, Iterable):
        raise TopologyError(f"{elements!r} is not an element; elements come from hwlearn.circuit.elements")
    return list(elements)


def check_roles(
    inputs: IntArray, outputs: IntArray, edges: IntArray, ground: int | None, names: Sequence[str]
) -> None:
    """Refuse a network without inputs, outputs or edges, and outputs that are inputs or ground."""
    if not len(inputs):
        raise TopologyError("no inputs: name at least one node that a source drives")
    if not len(outputs):
        raise TopologyError("no outputs: name at least one node that is read")
    if not len(edges):
        raise TopologyError("no edges: a network needs at least one programmable edge")
    driven = set(inputs.tolist())
    for node in outputs.tolist():
        if node == ground:
            raise TopologyError(f"node {node} ({names[node]}) is both ground and output")
        if node in driven:
            raise TopologyError(f"node {node} ({names[node]}) is both input and output")


def check_paths(all_edges: IntArray, outputs: IntArray, floating: IntArray, names: Sequence[str]) -> None:
    """Refuse isolated nodes (without any edge) and floating outputs."""
    isolated = np.flatnonzero(np.bincount(all_edges.ravel(), minlength=len(names)) == 0)
    if isolated.size:
        node = int(isolated[0])
        raise TopologyError(f"node {node} ({names[node]}) is isolated: it has no edge")
    for node in outputs[np.isin(outputs, floating)].tolist():
        raise TopologyError(f"output node {node} ({names[node]}) has no path to any input or ground")


def check_sizes(**sizes: int) -> None:
    """Refuse sizes that are not whole numbers of at least 1; the keyword names the size."""
    for name, size in sizes.items():
        if not _is_whole(size) or size < 1:
            raise TopologyError(f"{name} must be a whole number of at least 1, got {size!r}")


def check_layers(sizes: Sequence[int]) -> None:
    """Refuse fewer than 2 layers, and layers without nodes."""
    if len(sizes) < 2:
        raise TopologyError(f"a layered network needs at least 2 layers, got sizes={list(sizes)}")
    for size in sizes:
        check_sizes(layer_size=size)


def check_crossbar_lines(
    rows: int, columns: int, driven: Sequence[int], read: Sequence[int], ground: int | None
) -> None:
    """Refuse row and column numbers that a crossbar does not have."""
    for kind, chosen, size in (("row", driven, rows), ("column", read, columns)):
        for line in chosen:
            if not 0 <= line < size:
                raise TopologyError(f"a crossbar with {size} {kind}s has no {kind} {line}; use 0 to {size - 1}")
    if ground is not None and not 0 <= ground < rows:
        raise TopologyError(f"a crossbar with {rows} rows has no row {ground} to ground; use 0 to {rows - 1}")


def checked_wire_resistance(wire_resistance: float | Sequence[float]) -> tuple[float, float]:
    """Return the ohms of one row segment and one column segment, given as one number or two."""
    try:
        ohms = np.asarray(wire_resistance, dtype=np.float64)
    except (TypeError, ValueError):
        ohms = np.zeros(0)
    if ohms.shape not in ((), (2,)) or isinstance(wire_resistance, str | bool):
        raise TopologyError(f"wire_resistance must be ohm or (row, column) in ohm, got {wire_resistance!r}")
    row, column = np.broadcast_to(ohms, 2).tolist()
    for line, value in (("row", row), ("column", column)):
        if not (math.isfinite(value) and value >= 0 and (value == 0 or math.isfinite(1 / value))):
            raise TopologyError(
                f"wire_resistance of a {line} segment is {value:g} ohm; it must be finite and positive, or 0 for "
                "an ideal line"
            )
    return row, column


def check_random_graph(n_nodes: int, n_edges: int, counts: dict[str, object], ground: int | None) -> None:
    """Refuse sizes that no connected simple graph has.

    Parameters
    ----------
    n_nodes, n_edges : int
    counts : dict
        ``"inputs"`` and ``"outputs"``: a number of nodes, or a list of nodes, which is not checked here.
    ground : int, optional
        It is neither input nor output.
    """
    check_sizes(n_nodes=n_nodes, n_edges=n_edges)
    most = n_nodes * (n_nodes - 1) // 2
    if not n_nodes - 1 <= n_edges <= most:
        raise TopologyError(
            f"a connected simple graph of {n_nodes} nodes has {n_nodes - 1} to {most} edges, requested: {n_edges}"
        )
    n_live = n_nodes if ground is None else n_nodes - 1
    for role, number in counts.items():
        if isinstance(number, int | np.integer) and not 0 < int(number) <= n_live:
            raise TopologyError(f"{number} {role} requested; this graph can have 1 to {n_live}")


def read_only(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    """Return a copy that cannot be written."""
    array = np.array(array)
    array.flags.writeable = False
    return array


def _is_whole(number: object) -> bool:
    return not isinstance(number, bool) and isinstance(number, Real) and float(number).is_integer()
