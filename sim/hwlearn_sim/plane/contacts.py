"""Contacts between nodes of an analog plane: resistors that come and go, such as relays; and nodes for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hwlearn.circuit.elements import OHMIC
from hwlearn.circuit.topology import Topology
from hwlearn.errors import CircuitError, closest


class Contact(NamedTuple):
    """A closed contact between two nodes.

    Attributes
    ----------
    one, other : int
        Nodes.
    siemens : float
    """

    one: int
    other: int
    siemens: float


def node_number(topology: Topology, node: int | str) -> int:
    """Return the number of a node that is given by number or name.

    Raises
    ------
    CircuitError
        If there is no node of this name.
    """
    if isinstance(node, int):
        return node
    if node not in topology.names:
        raise CircuitError(f"there is no node {node!r}{closest(node, topology.names)}")
    return topology.names.index(node)


def with_contacts(topology: Topology, contacts: Sequence[Contact], nodes: Sequence[str] = ()) -> Topology:
    """Return the graph with more nodes, by name, and with contacts as fixed edges; all at the end."""
    if not contacts and not nodes:
        return topology
    pairs = np.array([contact[:2] for contact in contacts], dtype=np.int64).reshape(-1, 2)
    linear = topology.elements is None
    return Topology(
        topology.n_nodes + len(nodes),
        topology.edges,
        topology.inputs,
        topology.outputs,
        topology.ground,
        names=[*topology.names, *nodes],
        fixed_edges=np.concatenate([topology.fixed_edges, pairs]),
        fixed_conductances=[*topology.fixed_conductances.tolist(), *(contact.siemens for contact in contacts)],
        elements=None if linear else topology.edge_elements,
        fixed_elements=None if linear else [*topology.fixed_edge_elements, *([OHMIC] * len(contacts))],
    )
