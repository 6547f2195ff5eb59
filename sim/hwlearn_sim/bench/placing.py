"""Places the virtual counterpart of each instrument of a mixed bench at the nodes that it is wired to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.network.edge_codes import CodeLaw, EvenSteps, Rheostat
from hwlearn_drivers.bench.edge_card import EdgeCardInstrument
from hwlearn_drivers.bench.smu import SmuInstrument
from hwlearn_drivers.bench.wiring import Behind, Wiring
from hwlearn_drivers.declared.instrument import DeclaredInstrument
from hwlearn_drivers.roles.settings import InstrumentSettings
from hwlearn_drivers.roles.values import Role
from hwlearn_sim.placed import Placed, PlacedCard, PlacedDeclared, PlacedResistor, PlacedSmu, Wire


@dataclass(frozen=True, slots=True)
class Site:
    """Where instruments are placed.

    Attributes
    ----------
    topology : Topology
    wiring : Wiring
    programmer : str or None
        Name of the instrument that programs the edges.
    wire : {"tcp", "pty"}
    gain, offset_V, noise_V : float
        Errors of the converters of boards.
    """

    topology: Topology
    wiring: Wiring
    programmer: str | None
    wire: Wire
    gain: float
    offset_V: float
    noise_V: float

    def nodes(self, instrument: str, role: Role) -> dict[str, int]:
        """Return the node of each channel that plays a role; sources behind resistors are left out."""
        behind = {terminal.nudge.source for terminal in self.wiring.outputs if isinstance(terminal.nudge, Behind)}
        return {
            place.channel: terminal.node
            for terminal in (*self.wiring.inputs, *self.wiring.outputs, *self.wiring.inner)
            for played, place in terminal.places()
            if played == role and place.instrument == instrument and not (role == Role.SOURCE and place in behind)
        }


def place(settings: InstrumentSettings, site: Site) -> Placed:
    """Return the virtual counterpart of an instrument.

    Raises
    ------
    SetupError
        If there is none.
    """
    for kind, make in _PLACES.items():
        if isinstance(settings, kind):
            return make(settings, site)
    raise SetupError(f"{settings.name}: there is no virtual {settings.model}; use it with kind = 'bench'")


def _smu(settings: Any, site: Site) -> PlacedSmu:
    nodes: dict[int, int] = {}
    for role in (Role.SOURCE, Role.READ, Role.NUDGE):
        for channel, node in site.nodes(settings.name, role).items():
            nodes[int(settings.pin(role, channel))] = node
    if sorted(nodes) != list(range(1, len(nodes) + 1)):
        raise SetupError(f"the virtual {settings.model} {settings.name} needs its first channel in use")
    return PlacedSmu(settings.name, settings.model, tuple(nodes[k] for k in sorted(nodes)), wire=site.wire)


def _card(settings: Any, site: Site) -> PlacedCard:
    law: CodeLaw = Rheostat(settings.full, settings.wiper, settings.positions)
    if settings.linear is not None:
        low, high = settings.linear
        law = EvenSteps(low, high, settings.positions)
    return PlacedCard(settings.name, law, wire=site.wire)


def _declared(settings: Any, site: Site) -> PlacedDeclared:
    nudges = tuple(
        PlacedResistor(
            terminal.nudge.source.channel, terminal.nudge.switch.channel, terminal.node, 1 / terminal.nudge.ohm
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
        _edges_of(settings, site),
        site.gain,
        site.offset_V,
        site.noise_V,
        wire=site.wire,
    )


def _edges_of(settings: Any, site: Site) -> tuple[int, ...] | None:
    """Return the edge of the circuit at each place of a board that programs them."""
    if settings.name != site.programmer:
        return None
    if settings.places is not None:
        raise SetupError("a virtual bench has its edges at the first places of the board; leave places out")
    return tuple(range(site.topology.n_edges))


_PLACES: Final[Mapping[type[InstrumentSettings], Callable[[Any, Site], Placed]]] = {
    SmuInstrument: _smu,
    EdgeCardInstrument: _card,
    DeclaredInstrument: _declared,
}
"""How each kind of instrument is placed; a kind that has no virtual counterpart is not listed."""
