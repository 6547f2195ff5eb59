"""Reads the codes of an edge card that is not in use, without changing it."""

from __future__ import annotations

from hwlearn.network.reports import InstrumentReport
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.transport.blocks import decode_codes
from hwlearn_drivers.transport.connector import Connector
from hwlearn_drivers.transport.query_only import QueryOnly


def inspect_card(address: str, connector: Connector) -> InstrumentReport:
    """Return the codes of every edge of a card, with queries only.

    Raises
    ------
    InUseError
        If another process uses the card.
    LinkError, UnknownInstrumentError
        If it does not answer as an edge card.
    """
    with connector.query_only(address) as link:
        identity = Identity.parse(link.query("*IDN?"))
        return InstrumentReport(link.name, "instrument", str(identity), facts={"edges": codes_text(link)})


def codes_text(link: QueryOnly) -> str:
    """Return the codes of all edges in one line; raises as `QueryOnly.query`."""
    codes = decode_codes(link.query_block("EDGE:DATA?")).tolist()
    return f"{len(codes)} edges with codes {', '.join(map(str, codes))}"
