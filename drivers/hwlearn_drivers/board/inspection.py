"""Reads the state of a reference board that is not in use, without changing it.

Each query restarts the watchdog of the board, as every command does (firmware/README.md).
"""

from __future__ import annotations

from typing import Final

from hwlearn.network.reports import InstrumentReport, OutputReport
from hwlearn.units import format_quantity
from hwlearn_drivers.board.protocol import N_INPUTS, N_OUTPUTS
from hwlearn_drivers.edges.inspection import codes_text
from hwlearn_drivers.errors import UnknownInstrumentError
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.transport.connector import Connector
from hwlearn_drivers.transport.query_only import QueryOnly

_ZERO_V: Final = 1e-3
"""An input DAC within this is at 0 V: its corrections are smaller, and it has no switch."""


def inspect_board(address: str, nodes: dict[str, str], connector: Connector) -> InstrumentReport:
    """Return DACs, nudge switches, limits, watchdog and edges of a board, with queries only.

    Parameters
    ----------
    address : str
    nodes : dict of str to str
        Node at each output of the board, by the name of the output, such as ``"input 0"``.
    connector : Connector

    Raises
    ------
    InUseError
        If another process uses the board.
    LinkError, UnknownInstrumentError
        If it does not answer, or is another instrument.
    """
    with connector.query_only(address) as link:
        identity = Identity.parse(link.query("*IDN?"))
        if (identity.maker, identity.model) != ("hwlearn", "REFBOARD"):
            raise UnknownInstrumentError(f"at {link.name} a reference board is expected, not {identity}")
        switches = _whole(link, "ROUT:CLOS?")
        levels = [link.number(f"SOUR:VOLT? {channel}") for channel in range(N_INPUTS + N_OUTPUTS)]
        driven = _whole(link, "OUTP?") != 0
        outputs = [
            OutputReport(name, driven and abs(level) > _ZERO_V, "voltage", level, node=nodes.get(name, ""))
            for name, level in zip(input_names(), levels, strict=False)
        ]
        outputs += [
            OutputReport(name, bool(switches >> j & 1), "voltage", levels[N_INPUTS + j], node=nodes.get(name, ""))
            for j, name in enumerate(nudge_names())
        ]
        facts = {
            "any output driven": "yes" if driven else "no",
            "largest DAC voltage": format_quantity(link.number("SOUR:LIM:VOLT?"), "V"),
            "largest nudge": format_quantity(link.number("SOUR:LIM:NUDG?"), "V"),
            "watchdog": f"{_whole(link, 'SYST:WDOG?')} ms",
            "watchdog tripped": "yes" if _whole(link, "SYST:WDOG:TRIP?") else "no",
            "edges": codes_text(link),
        }
        return InstrumentReport(link.name, "instrument", str(identity), tuple(outputs), facts)


def input_names() -> list[str]:
    """Return the names of the input DACs."""
    return [f"input {channel}" for channel in range(N_INPUTS)]


def nudge_names() -> list[str]:
    """Return the names of the nudge DACs, each of which has a switch."""
    return [f"nudge {channel}" for channel in range(N_OUTPUTS)]


def _whole(link: QueryOnly, question: str) -> int:
    value = link.number(question)
    if not value.is_integer():
        link.garbled(question, f"{value:g}")
    return int(value)
