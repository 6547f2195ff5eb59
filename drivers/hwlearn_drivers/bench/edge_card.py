"""An edge card on a mixed bench: the table `EdgeCardInstrument`, and `CardOnBench`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar

from hwlearn.arrays import IntArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.network.edge_codes import CodeLaw
from hwlearn.network.limits import Limits
from hwlearn.network.reports import InstrumentReport
from hwlearn.quantities import Count
from hwlearn_drivers.edges.card import CardEdges, EdgeCard
from hwlearn_drivers.edges.inspection import inspect_card
from hwlearn_drivers.edges.settings import EdgeCardSettings
from hwlearn_drivers.roles.instrument import ProgramsEdges
from hwlearn_drivers.roles.settings import InstrumentSettings
from hwlearn_drivers.roles.values import ChannelUse, Role
from hwlearn_drivers.transport.connector import Connector

_MODEL = "edge-card"


class CardOnBench(ProgramsEdges):
    """An edge card: it has no outputs, so OFF leaves it as it is.

    Parameters
    ----------
    called : str
        Name in the bench file.
    card : EdgeCard
    law : CodeLaw
    places : tuple of int, optional
        Place on the card of each edge.
    """

    def __init__(self, called: str, card: EdgeCard, law: CodeLaw, places: tuple[int, ...] | None) -> None:
        self._called, self._card, self._law, self._places = called, card, law, places

    @property
    def name(self) -> str:
        """Name in the bench file, with model and address, for messages."""
        return f"{self._called} ({self._card.name})"

    @property
    def provenance(self) -> str:
        """Maker, model, serial number, firmware and address, as the card reports them."""
        return self._card.identity.text(self._card.transport.name)

    def open_edges(self, topology: Topology, limits: Limits, edges: IntArray | None = None) -> CardEdges:
        """Return the edges of the network on the card."""
        return CardEdges(self._card, topology, limits, self._law, self._places, edges)

    def halt(self, reopen: bool = True) -> None:
        """Do nothing: no code of a potentiometer is safer than another."""

    def rearm(self) -> None:
        """Do nothing."""

    @property
    def halted_because(self) -> str | None:
        """None: it has no outputs."""
        return None

    def allow_again(self) -> None:
        """Do nothing."""

    @property
    def needs_reconnect(self) -> bool:
        """False: its edges open the link again."""
        return False

    def reconnect(self) -> None:
        """Do nothing: its edges open the link again."""

    def start_again(self) -> None:
        """Do nothing: its edges set the codes again."""

    def close(self) -> None:
        """Close the link; the edges do not change."""
        self._card.close()


class EdgeCardInstrument(EdgeCardSettings, InstrumentSettings):
    """Keys of an edge card in ``[[backend.instruments]]``, with ``model = "edge-card"``.

    Attributes
    ----------
    address, full, wiper, linear, positions, places
        See `EdgeCardSettings`.
    baud : int, optional
    """

    kind: ClassVar[str] = "edge-card"

    baud: Count | None = None

    @classmethod
    def models(cls) -> Collection[str]:
        """Return ``edge-card``."""
        return (_MODEL,)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The address."""
        return (self.address,)

    @property
    def edge_unit(self) -> str:
        """S, or V for a card of DACs at gates."""
        return self.law.unit

    @property
    def has_outputs(self) -> bool:
        """False."""
        return False

    def channel_roles(self, channel: str) -> frozenset[Role]:
        """Refuse every channel: a card has edges only."""
        raise SetupError(f"{self.name} is an edge card, which has no channels; name it in edges.programmer")

    def open(self, use: ChannelUse, limits: Limits, connector: Connector) -> CardOnBench:
        """Open the card; its edges do not change."""
        own = connector if self.baud is None else connector.with_baud(self.baud)
        return CardOnBench(self.name, self.open_card(own, use.edges), self.law, self.places)

    def inspect(self, nodes: Mapping[str, str], connector: Connector) -> InstrumentReport:
        """Return the codes of the edges, with queries only; see `inspect_card`."""
        return inspect_card(self.address, connector if self.baud is None else connector.with_baud(self.baud))

    def write_off(self, connector: Connector, check: bool) -> bool:
        """Do nothing: it has no outputs."""
        return False
