"""Instruments of a virtual bench that are behind GPIB adapters."""

from __future__ import annotations

from collections.abc import Mapping

from hwlearn.errors import SetupError
from hwlearn_sim.bench.kinds.kind import server_on
from hwlearn_sim.instruments.instrument import VirtualInstrument
from hwlearn_sim.placed import Placed
from hwlearn_sim.wire.gpib_adapter import BusInstrument, VirtualGpibAdapter
from hwlearn_sim.wire.serve import Server


def adapter_servers(
    placed: Mapping[str, Placed], instruments: Mapping[str, VirtualInstrument]
) -> dict[str, Server]:
    """Return the server of the adapter of each instrument that is behind one; the same one for all behind one.

    Parameters
    ----------
    placed, instruments : mapping of str
        By name.

    Raises
    ------
    SetupError
        If two instruments have the same address, or something else than an instrument is behind an adapter.
    """
    on_bus: dict[int, dict[int, BusInstrument]] = {}
    for name, one in placed.items():
        if one.gpib is None:
            continue
        if name not in instruments:
            raise SetupError(f"{name} is no instrument with GPIB; it cannot be behind an adapter")
        others = on_bus.setdefault(id(one.gpib.adapter), {})
        if one.gpib.address in others:
            raise SetupError(f"{name} has the GPIB address {one.gpib.address}, which another instrument has too")
        others[one.gpib.address] = BusInstrument(instruments[name], one.faults)
    servers: dict[int, Server] = {}
    found: dict[str, Server] = {}
    for name, one in placed.items():
        if one.gpib is not None:
            adapter = one.gpib.adapter
            if id(adapter) not in servers:
                served = VirtualGpibAdapter(on_bus[id(adapter)], adapter.kind)
                servers[id(adapter)] = server_on(adapter.wire, adapter.port, served, adapter.faults)
            found[name] = servers[id(adapter)]
    return found


def gpib_address(server: Server, number: int) -> str:
    """Return the address of an instrument behind the adapter that a server serves."""
    where = server.address.removeprefix("TCPIP::").removeprefix("ASRL")
    return f"PROLOGIX::{where.removesuffix('::SOCKET').removesuffix('::INSTR')}::GPIB::{number}::INSTR"
