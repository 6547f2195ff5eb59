"""`EdgeCardSettings`: the keys of an edge card in a bench file, its law of codes, and how it is opened."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from hwlearn.network.edge_codes import CodeLaw, EvenSteps, Rheostat
from hwlearn.quantities import FROM_LIST, PositiveOhms, PositiveSiemens, Section, Volts
from hwlearn_drivers.address import spelled_once
from hwlearn_drivers.edges.card import DryEdgeCard, EdgeCard
from hwlearn_drivers.transport.connector import Connector


class EdgeCardSettings(Section):
    """The edge card that sets the conductances, or the gate voltages.

    Attributes
    ----------
    address : str
    full, wiper : quantity
        End-to-end resistance of a potentiometer, and resistance of its wiper.
    linear : two quantities, optional
        Conductances at the first and the last code, for a card whose conductance increases in equal steps.
    gate : two quantities, optional
        Gate voltages at the first and the last code, for a card of DACs at the gates of transistors.
    positions : int
    places : tuple of int, optional
        Place on the card of each edge, in edge order.
    """

    address: Annotated[str, AfterValidator(spelled_once)]
    full: PositiveOhms = 100e3
    wiper: PositiveOhms = 100.0
    linear: Annotated[tuple[PositiveSiemens, PositiveSiemens], FROM_LIST] | None = None
    gate: Annotated[tuple[Volts, Volts], FROM_LIST] | None = None
    positions: Annotated[int, Field(ge=2)] = 256
    places: Annotated[tuple[Annotated[int, Field(ge=0)], ...], FROM_LIST] | None = None

    @property
    def law(self) -> CodeLaw:
        """Conductance, or gate voltage, of each code."""
        if self.gate is not None:
            return EvenSteps(*self.gate, self.positions, "V")
        if self.linear is not None:
            return EvenSteps(*self.linear, self.positions)
        return Rheostat(self.full, self.wiper, self.positions)

    def open_card(self, connector: Connector, edges: int) -> EdgeCard:
        """Open the card of a network with this many edges; its edges do not change.

        Raises
        ------
        InUseError, LinkError, UnknownInstrumentError
            If another process uses it, or no edge card answers.
        """
        places = edges if self.places is None else 1 + max(self.places, default=0)
        return EdgeCard.open(connector.transport(self.address, lambda: DryEdgeCard(places)))
