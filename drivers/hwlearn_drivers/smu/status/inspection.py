"""Reads the state of an SMU that is not in use, without changing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hwlearn.network.reports import InstrumentReport, OutputReport
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.smu.operating_range import Quantity, other
from hwlearn_drivers.smu.reading import StatusQueries
from hwlearn_drivers.smu.registry import AUTO, check_model, family_by_identity, serial_connector
from hwlearn_drivers.transport.connector import Connector
from hwlearn_drivers.transport.query_only import QueryOnly

_FUNCTIONS: Final[Mapping[str, Quantity]] = {"VOLT": "voltage", "CURR": "current"}
_LANGUAGES: Final = ("2450",)
"""Series whose command set is chosen on the front panel."""


def inspect_smu(address: str, model: str, nodes: Mapping[int, str], connector: Connector) -> InstrumentReport:
    """Return the state of every channel of an SMU, with queries only.

    Parameters
    ----------
    address, model : str
        As `open_smu` takes them. If another model answers, nothing more is sent to it.
    nodes : mapping of int to str
        Node at each channel in use.
    connector : Connector

    Raises
    ------
    InUseError
        If another process uses the instrument.
    LinkError, UnknownInstrumentError
        If it does not answer, or is another instrument.
    """
    with serial_connector(address, model, connector).query_only(address) as link:
        line = link.query("*IDN?")
        identity = Identity.parse(line)
        family = family_by_identity(identity)
        if model != AUTO:
            check_model(link.name, model, identity)
        if family.series in _LANGUAGES and (language := link.query("*LANG?")) != "SCPI":
            note = f"its command set is {language}; only SCPI is read"
            return InstrumentReport(link.name, "none", str(identity), note=note)
        count = family.operating_ranges[family.model_of(identity)].channels
        queries = {number: family.status_queries(number) for number in range(1, count + 1)}
        outputs = tuple(_channel(link, number, own, nodes.get(number, "")) for number, own in queries.items())
        facts = {name: _flag(link, query) for name, query in queries[1].flags.items()}
        if link.query("*IDN?") != line:  # a late reply to somebody else was taken for ours
            link.garbled("*IDN?", "another reply than before")
        return InstrumentReport(link.name, "instrument", str(identity), outputs, facts)


def _channel(link: QueryOnly, number: int, queries: StatusQueries, node: str) -> OutputReport:
    source = _function(link, queries.function)
    return OutputReport(
        f"channel {number}",
        _is_one(link, queries.output),
        source,
        link.number(queries.levels[source]),
        link.number(queries.limits[other(source)]),
        node,
    )


def _function(link: QueryOnly, query: str) -> Quantity:
    reply = link.query(query)
    word = reply.strip("\"'")[:4].upper()
    if word in _FUNCTIONS:
        return _FUNCTIONS[word]
    try:
        return "voltage" if {0.0: False, 1.0: True}[float(reply)] else "current"
    except (ValueError, KeyError):
        link.garbled(query, reply)


def _is_one(link: QueryOnly, query: str) -> bool:
    value = link.number(query)
    if value not in (0.0, 1.0):
        link.garbled(query, f"{value:g}")
    return value == 1.0


def _flag(link: QueryOnly, query: str) -> str:
    return "yes" if _is_one(link, query) else "no"
