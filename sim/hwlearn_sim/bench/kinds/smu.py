"""Source-measure units of a virtual bench."""

from __future__ import annotations

from typing import Any

from hwlearn.errors import SetupError
from hwlearn_drivers.bench.smu import SmuInstrument
from hwlearn_drivers.roles.values import Role
from hwlearn_sim.bench.kinds.kind import PlacedKind, Site, Surroundings
from hwlearn_sim.instruments.instrument import VirtualInstrument
from hwlearn_sim.instruments.models import make_smu
from hwlearn_sim.placed import PlacedSmu


class SmuKind(PlacedKind):
    """Source-measure units."""

    placed = PlacedSmu
    settings = SmuInstrument

    def place(self, settings: Any, site: Site) -> PlacedSmu:
        """Return the unit with its channels at the nodes of the terminals; see `PlacedKind.place`."""
        nodes: dict[int, int | str] = {}
        for role in (Role.SOURCE, Role.READ, Role.NUDGE):
            for channel, node in site.nodes(settings.name, role).items():
                nodes[int(settings.pin(role, channel))] = node
        if sorted(nodes) != list(range(1, len(nodes) + 1)):
            raise SetupError(f"the virtual {settings.model} {settings.name} needs its first channel in use")
        return PlacedSmu(settings.name, settings.model, tuple(nodes[k] for k in sorted(nodes)), wire=site.wire)

    def make(self, placed: PlacedSmu, added: Any, around: Surroundings) -> VirtualInstrument:
        """Return the unit; see `PlacedKind.make`."""
        return make_smu(
            placed, around.plane, around.rng, meters=around.meters, clock=around.clock, unit=around.unit
        )

    def model(self, placed: PlacedSmu) -> str:
        """Return the model number."""
        return placed.model

    def nodes(self, placed: PlacedSmu) -> int | str | list[int | str]:
        """Return the node of its only channel, or the nodes of its channels."""
        return placed.nodes[0] if len(placed.nodes) == 1 else list(placed.nodes)
