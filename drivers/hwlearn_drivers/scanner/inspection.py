"""Reads the state of a scanner that is not in use, without changing it."""

from __future__ import annotations

from collections.abc import Mapping

from hwlearn.network.reports import InstrumentReport
from hwlearn_drivers.errors import UnknownInstrumentError
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.scanner.registry import family_of
from hwlearn_drivers.scanner.scanner import reported_model
from hwlearn_drivers.transport.connector import Connector


def inspect_scanner(address: str, model: str, nodes: Mapping[str, str], connector: Connector) -> InstrumentReport:
    """Return the cards of a scanner and which channels of the bench are closed, with queries only.

    Parameters
    ----------
    address, model : str
        If another model answers, nothing more is sent to it.
    nodes : mapping of str to str
        Node at each channel in use.
    connector : Connector

    Raises
    ------
    InUseError
        If another process uses the scanner.
    LinkError, UnknownInstrumentError
        If it does not answer, or is another instrument.
    """
    with connector.query_only(address) as link:
        line = link.query("*IDN?")
        identity = Identity.parse(line)
        if reported_model(identity) != model:
            raise UnknownInstrumentError(f"at {link.name} the bench expects a {model}, but {identity} answers")
        family = family_of(model)
        cards = family.read_cards(link, model)
        there = ", ".join(f"slot {slot}: {card or 'empty'}" for slot, card in cards.items())
        usable = {slot: family.capabilities[model].cards.get(card, 0) for slot, card in cards.items()}
        present = [channel for channel in sorted(nodes) if _is_present(family.place_of(model, channel), usable)]
        closed = family.read_closed(link, present) if present else []
        names = ", ".join(f"{channel} (node {nodes[channel]})" for channel in closed)
        facts = {"cards": there, "closed channels of the bench": names or "none"}
        missing = [channel for channel in nodes if channel not in present]
        if missing:
            facts["channels without a card"] = ", ".join(missing)
        if link.query("*IDN?") != line:  # a late reply to somebody else was taken for ours
            link.garbled("*IDN?", "another reply than before")
        return InstrumentReport(link.name, "instrument", str(identity), facts=facts)


def _is_present(place: tuple[int, int], usable: Mapping[int, int]) -> bool:
    slot, number = place
    return number <= usable.get(slot, 0)
