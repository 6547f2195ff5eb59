"""Scanning voltmeters of a virtual bench."""

from __future__ import annotations

from typing import Any

from hwlearn_drivers.roles.values import Role
from hwlearn_drivers.scanner.instrument import ScannerInstrument
from hwlearn_drivers.scanner.registry import family_of
from hwlearn_sim.bench.kinds.kind import PlacedKind, Site, Surroundings, in_order
from hwlearn_sim.instruments.instrument import VirtualInstrument
from hwlearn_sim.instruments.scanners import make_scanner
from hwlearn_sim.placed import PlacedScanner


class ScannerKind(PlacedKind):
    """Scanning voltmeters."""

    placed = PlacedScanner
    settings = ScannerInstrument

    def place(self, settings: Any, site: Site) -> PlacedScanner:
        """Return the scanner with its channels at the nodes of the terminals; see `PlacedKind.place`.

        In each slot in use is the first card of the model that has all channels in use there.
        """
        family = family_of(settings.model)
        sizes = family.capabilities[settings.model].cards
        nodes: dict[int, int | str] = {}
        most: dict[int, int] = {}
        for channel, node in site.nodes(settings.name, Role.READ).items():
            slot, number = family.place_of(settings.model, channel)
            nodes[int(channel)] = node
            most[slot] = max(number, most.get(slot, 0))
        cards = {slot: next(card for card, size in sizes.items() if size >= most[slot]) for slot in most}
        return PlacedScanner(settings.name, settings.model, nodes, cards, wire=site.wire)

    def make(self, placed: PlacedScanner, added: Any, around: Surroundings) -> VirtualInstrument:
        """Return the scanner; see `PlacedKind.make`."""
        return make_scanner(placed, around.plane, around.rng, around.meters, around.clock, around.unit)

    def model(self, placed: PlacedScanner) -> str:
        """Return the model number."""
        return placed.model

    def nodes(self, placed: PlacedScanner) -> list[int | str]:
        """Return the nodes of its channels."""
        return in_order(placed.nodes.values())
