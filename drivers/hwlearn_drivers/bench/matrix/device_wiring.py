"""Whether single devices can be reached through a matrix, checked before any instrument is opened."""

from __future__ import annotations

from collections.abc import Iterator

from hwlearn.circuit.topology import Topology
from hwlearn.network.limits import Limits
from hwlearn.units import format_quantity
from hwlearn_drivers.bench.matrix.devices import SOURCES
from hwlearn_drivers.bench.matrix.wiring import MatrixTable
from hwlearn_drivers.bench.settings import BenchSettings, DeviceSettings


def device_problems(
    settings: BenchSettings, matrix: MatrixTable | None, topology: Topology, limits: Limits
) -> Iterator[str]:
    """Yield why ``edges = "devices"`` cannot work, with what would.

    Parameters
    ----------
    settings : BenchSettings
    matrix : MatrixTable or None
    topology : Topology
    limits : Limits
    """
    if settings.edges != "devices":
        if settings.devices is not None:
            yield "[backend.devices] is for edges = 'devices'; remove the table, or set edges"
        return
    devices = settings.devices
    if matrix is None or devices is None:
        missing = "[backend.matrix]" if matrix is None else "[backend.devices]"
        yield f"edges = 'devices' needs {missing}: single devices are reached through a switch matrix"
        return
    yield from _lines(matrix, topology)
    yield from _rows(matrix, devices)
    if devices.pulses is not None:
        size = devices.pulses.voltage * (0.5 if devices.scheme == "half" else 1.0)
        if size > limits.voltage:
            yield (
                f"pulses of {format_quantity(devices.pulses.voltage, 'V')} with scheme = {devices.scheme!r} bring "
                f"a line to {format_quantity(size, 'V')}, more than limits.voltage = "
                f"{format_quantity(limits.voltage, 'V')}"
            )
        firsts, seconds = (set(topology.edges[:, k].tolist()) for k in range(2))
        if devices.scheme == "third" and firsts & seconds:
            yield "scheme = 'third' is for crossbars, whose lines are rows or columns; use 'half'"


def _lines(matrix: MatrixTable, topology: Topology) -> Iterator[str]:
    nodes = sorted(set(topology.edges.ravel().tolist()))
    off = [topology.names[node] for node in nodes if node not in matrix.columns]
    if off:
        yield (
            f"edges = 'devices' needs both ends of every edge on a column of the matrix; not on one: "
            f"{', '.join(off[:6])}"
        )
    if len(topology.fixed_edges):
        yield "edges = 'devices' is not for networks with fixed edges, whose currents add to those of devices"


def _rows(matrix: MatrixTable, devices: DeviceSettings) -> Iterator[str]:
    there = sum(row.source is not None for row in matrix.rows)
    if not matrix.is_grounded:
        yield "edges = 'devices' holds the other lines at 0 V, so it needs a row that is 'ground'"
    needed = SOURCES[devices.scheme]
    if devices.pulses is not None and there < needed:
        possible = [scheme for scheme, rows in SOURCES.items() if rows <= there]
        yield (
            f"scheme = {devices.scheme!r} needs {needed} rows with a source, and there "
            f"{'is' if there == 1 else 'are'} {there}; possible: {', '.join(map(repr, possible)) or 'none'}"
            "; with 'ground', the other devices of a line see the whole pulse"
        )
