"""Edge cards of a virtual bench."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hwlearn.circuit.topology import Topology
from hwlearn_drivers.bench.edge_card import EdgeCardInstrument
from hwlearn_sim.bench.kinds.kind import PlacedKind, Site, Surroundings
from hwlearn_sim.bench.kinds.law_keys import law_keys
from hwlearn_sim.instruments.edge_card import VirtualEdgeCard
from hwlearn_sim.placed import PlacedCard


class CardKind(PlacedKind):
    """Edge cards."""

    placed = PlacedCard
    settings = EdgeCardInstrument

    def place(self, settings: Any, site: Site) -> PlacedCard:
        """Return a card with the law of the bench file; see `PlacedKind.place`."""
        return PlacedCard(settings.name, settings.law, site.programmed.get(settings.name), wire=site.wire)

    def edges(self, placed: PlacedCard, topology: Topology) -> Sequence[int]:
        """Return its edges: all, if it lists none."""
        return range(topology.n_edges) if placed.edges is None else placed.edges

    def make(self, placed: PlacedCard, added: Any, around: Surroundings) -> VirtualEdgeCard:
        """Return the card; see `PlacedKind.make`."""
        return VirtualEdgeCard(around.plane, placed.law, around.devices, placed.edges, placed.codes)

    def model(self, placed: PlacedCard) -> str:
        """Return what it is."""
        return "edge card"

    def edge_law(self, placed: PlacedCard) -> str:
        """Return its law as keys of a bench file."""
        return law_keys(placed.law)
