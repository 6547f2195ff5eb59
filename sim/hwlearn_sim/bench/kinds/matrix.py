"""Switch matrices of a virtual bench."""

from __future__ import annotations

from typing import Any, Final

from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn_drivers.matrix.instrument import MatrixInstrument
from hwlearn_sim.bench.kinds.kind import PlacedKind, Site, Surroundings
from hwlearn_sim.instruments.instrument import VirtualInstrument
from hwlearn_sim.instruments.matrix.models import make_matrix
from hwlearn_sim.placed import PlacedMatrix
from hwlearn_sim.plane.contacts import Contact, with_contacts

_CABLE_S: Final = 1.0


class MatrixKind(PlacedKind):
    """Switch matrices."""

    placed = PlacedMatrix
    settings = MatrixInstrument

    def place(self, settings: Any, site: Site) -> PlacedMatrix:
        """Return the matrix with the rows and columns of the bench file; see `PlacedKind.place`."""
        lines = site.wiring.matrix
        if lines is None or lines.instrument != settings.name:
            raise SetupError(f"{settings.name} connects nothing; name it in [backend.matrix]")
        return PlacedMatrix(
            settings.name,
            settings.model,
            settings.cards,
            tuple(row.name for row in lines.rows),
            {column: node for node, column in lines.columns.items()},
            () if lines.ground is None else (lines.ground.name,),
            wire=site.wire,
        )

    def extend(self, placed: PlacedMatrix, topology: Topology, seed: int) -> tuple[Topology, None]:
        """Return the graph with each row and the end of a cable at it: no node may be isolated."""
        if not placed.rows or not placed.columns:
            raise SetupError(f"{placed.name} needs a row and a column that something is connected to")
        first = topology.n_nodes
        cables = [Contact(first + k, first + k + 1, _CABLE_S) for k in range(0, 2 * len(placed.rows), 2)]
        names = [name for row in placed.rows for name in (placed.row_node(row), f"{placed.row_node(row)} cable")]
        return with_contacts(topology, cables, names), None

    def make(self, placed: PlacedMatrix, added: Any, around: Surroundings) -> VirtualInstrument:
        """Return the matrix; see `PlacedKind.make`."""
        return make_matrix(placed, around.plane, around.rng, around.clock, around.unit)

    def model(self, placed: PlacedMatrix) -> str:
        """Return the model."""
        return placed.model

    def nodes(self, placed: PlacedMatrix) -> list[int | str]:
        """Return the nodes of its columns."""
        return list(placed.columns.values())
