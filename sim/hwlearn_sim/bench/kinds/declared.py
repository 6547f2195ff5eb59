"""Boards with a declared text protocol on a virtual bench."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn_drivers.bench.terminals import Behind
from hwlearn_drivers.declared.instrument import DeclaredInstrument
from hwlearn_drivers.roles.values import Role
from hwlearn_sim.bench.kinds.kind import PlacedKind, Site, Surroundings, in_order
from hwlearn_sim.instruments.declared_board import VirtualDeclaredBoard, make_declared_board, with_resistors
from hwlearn_sim.placed import PlacedDeclared, PlacedResistor


class DeclaredKind(PlacedKind):
    """Boards with a declared text protocol."""

    placed = PlacedDeclared
    settings = DeclaredInstrument

    def place(self, settings: Any, site: Site) -> PlacedDeclared:
        """Return the board with its channels at the nodes of the terminals; see `PlacedKind.place`."""
        nudges = tuple(
            PlacedResistor(
                terminal.nudge.source.channel,
                terminal.nudge.switch.channel,
                terminal.node,
                1 / terminal.nudge.ohm,
            )
            for terminal in site.wiring.outputs
            if isinstance(terminal.nudge, Behind) and terminal.nudge.source.instrument == settings.name
        )
        for terminal in site.wiring.outputs:
            nudge = terminal.nudge
            if isinstance(nudge, Behind) and nudge.source.instrument != nudge.switch.instrument:
                raise SetupError(
                    f"the nudge of {terminal.name} has source and switch on two boards, which no virtual bench has"
                )
        return PlacedDeclared(
            settings.name,
            settings.declaration,
            site.nodes(settings.name, Role.SOURCE),
            site.nodes(settings.name, Role.READ),
            nudges,
            _places(settings, site),
            site.gain,
            site.offset_V,
            site.noise_V,
            wire=site.wire,
        )

    def extend(self, placed: PlacedDeclared, topology: Topology, seed: int) -> tuple[Topology, Mapping[str, int]]:
        """Return the graph with its nudge resistors, and the node of each source behind one."""
        return with_resistors(topology, placed.nudges)

    def edges(self, placed: PlacedDeclared, topology: Topology) -> Sequence[int]:
        """Return its edges, if it programs them."""
        return () if placed.edges is None else placed.edges

    def make(self, placed: PlacedDeclared, added: Mapping[str, int], around: Surroundings) -> VirtualDeclaredBoard:
        """Return the board; see `PlacedKind.make`."""
        return make_declared_board(placed, added, around.plane, around.devices, around.rng, around.clock)

    def model(self, placed: PlacedDeclared) -> str:
        """Return what it is."""
        return "declared"

    def nodes(self, placed: PlacedDeclared) -> list[int | str]:
        """Return the nodes of its channels."""
        return in_order([*placed.sources.values(), *placed.reads.values()])


def _places(settings: Any, site: Site) -> tuple[int, ...] | None:
    """Return the edge of the circuit at each place of a board that programs them."""
    edges = site.programmed.get(settings.name)
    if edges is None:
        return None
    if settings.places is not None:
        raise SetupError("a virtual bench has its edges at the first places of the board; leave places out")
    return edges
