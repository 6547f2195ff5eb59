"""Switch matrices of a virtual bench."""

from __future__ import annotations

from typing import Any

from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn_sim.bench.kinds.kind import PlacedKind, Surroundings
from hwlearn_sim.instruments.instrument import VirtualInstrument
from hwlearn_sim.instruments.matrix.models import make_matrix
from hwlearn_sim.placed import PlacedMatrix
from hwlearn_sim.plane.contacts import Contact, node_number, with_contacts


class MatrixKind(PlacedKind):
    """Switch matrices."""

    placed = PlacedMatrix

    def extend(self, placed: PlacedMatrix, topology: Topology, seed: int) -> tuple[Topology, None]:
        """Return the graph with a node for each row, and with what leaks across the open relays."""
        if not placed.rows or not placed.columns:
            raise SetupError(f"{placed.name} needs a row and a column that something is connected to")
        leak = 1 / placed.relays.isolation_ohm
        leaks = [
            Contact(topology.n_nodes + k, node_number(topology, node), leak)
            for k in range(len(placed.rows))
            for node in placed.columns.values()
        ]
        return with_contacts(topology, leaks, [placed.row_node(row) for row in placed.rows]), None

    def make(self, placed: PlacedMatrix, added: Any, around: Surroundings) -> VirtualInstrument:
        """Return the matrix; see `PlacedKind.make`."""
        return make_matrix(placed, around.plane, around.rng, around.clock, around.unit)

    def model(self, placed: PlacedMatrix) -> str:
        """Return the model."""
        return placed.model

    def nodes(self, placed: PlacedMatrix) -> list[int | str]:
        """Return the nodes of its columns."""
        return list(placed.columns.values())
