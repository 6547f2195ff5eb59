"""`BenchBackend`: the backend ``bench``, whose terminals are connected to any instruments."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress

from hwlearn.arrays import IntArray
from hwlearn.circuit.topology import Topology
from hwlearn.device_access import PulseLimits
from hwlearn.errors import HwlearnError, InUseError
from hwlearn.network.limits import Limits
from hwlearn.network.nudges import DriveKind
from hwlearn.network.reports import InstrumentReport
from hwlearn.network.switched_off import SwitchedOff
from hwlearn_drivers.address import normal_address
from hwlearn_drivers.bench.matrix.devices import DeviceScheme, MatrixDevices
from hwlearn_drivers.bench.matrix.network import MatrixNetwork
from hwlearn_drivers.bench.matrix.reading import MatrixReading
from hwlearn_drivers.bench.matrix.superposition_record import SuperpositionRecord
from hwlearn_drivers.bench.network import TerminalNetwork
from hwlearn_drivers.bench.opened import OpenedBench
from hwlearn_drivers.bench.settings import (
    BenchSettings,
    DeviceSettings,
    ProgrammerSettings,
    ResistorSettings,
    RowSettings,
)
from hwlearn_drivers.bench.terminals import Place
from hwlearn_drivers.bench.wiring import check_drive, make_wiring, programmed_edges
from hwlearn_drivers.claims.claim import check_unclaimed
from hwlearn_drivers.claims.shutdown import OffTarget, off_in_stages, off_target
from hwlearn_drivers.edges.device_edges import DEVICE_TOLERANCE, DeviceEdges
from hwlearn_drivers.edges.edges import Edges, FixedEdges
from hwlearn_drivers.edges.joined import JoinedEdges
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.instrument.inspection import Inspection, inspect_all, inspection
from hwlearn_drivers.instrument.pace import Pace
from hwlearn_drivers.roles.instrument import BenchInstrument, ProgramsEdges
from hwlearn_drivers.roles.settings import InstrumentSettings
from hwlearn_drivers.transport.addresses import LinkOptions
from hwlearn_drivers.transport.connector import Connector
from hwlearn_drivers.transport.links.replay import Replay
from hwlearn_drivers.transport.wire_log import WireLog, optional_log


class BenchBackend:
    """Opens the instruments of a ``[backend]`` table, and switches them off."""

    Settings = BenchSettings

    @staticmethod
    def check_wiring(settings: BenchSettings, topology: Topology, limits: Limits, nudge: DriveKind | None) -> None:
        """Refuse a wiring that misses a role or doubles one; nothing is contacted.

        Raises
        ------
        SetupError
            Naming every problem, with what it rules out.
        """
        wiring = make_wiring(settings, topology, limits)
        if nudge is not None:
            check_drive(wiring, nudge)

    @staticmethod
    def open(settings: BenchSettings, topology: Topology, limits: Limits) -> OpenedBench:
        """Open every instrument with its outputs off, and return the network connected to them.

        Raises
        ------
        SetupError
            If the table does not fit the network.
        InUseError
            If another process, or another network of this one, uses one of the instruments.
        LinkError, UnknownInstrumentError, InstrumentError
            If an instrument is missing, is a different one, or rejects a setting. All instruments that were
            opened are then off and closed, and OFF was sent to the others: a program that was killed may have left
            their outputs on.
        """
        wiring = make_wiring(settings, topology, limits)
        with ExitStack() as stack:
            wire_log = None if settings.wire_log is None else stack.enter_context(WireLog(settings.wire_log))
            replay = None if settings.replay is None else Replay(settings.replay)
            connector = Connector(_options(settings), wire_log, settings.dry_run, replay=replay)
            addresses = [normal_address(text) for one in settings.instruments for text in one.addresses]
            if not connector.is_rehearsal:
                check_unclaimed(addresses)
            opened: dict[str, BenchInstrument] = {}
            if not connector.is_rehearsal:
                stack.push(lambda kind, error, trace: _off_unopened(settings, opened, error))
            for one in _matrices_last(settings):
                opened[one.name] = one.open(wiring.uses[one.name], limits, connector)
                stack.callback(opened[one.name].close)
            edges = _open_edges(settings, topology, limits, opened)
            stack.callback(edges.close)
            pace = Pace(settings.slew_V_per_s, settings.ramp_step, settings.settle)
            tolerance = math.inf if settings.dry_run else settings.input_tolerance
            network: OpenedBench
            if settings.matrix is None:
                network = TerminalNetwork(topology, limits, wiring, opened, edges, pace, tolerance, wire_log)
            else:
                record = SuperpositionRecord(settings.superposition) if settings.superpose else None
                how = MatrixReading(settings.matrix.read_inputs, record, tolerance)
                network = MatrixNetwork(topology, limits, wiring, opened, edges, pace, how, wire_log)
                if settings.devices is not None and isinstance(edges, DeviceEdges):
                    edges.access = _devices(settings.devices, network, limits)
                    network.reach_devices(edges.access)
            stack.pop_all()  # from here on the network closes its instruments
            return network

    @staticmethod
    def prepare_off(settings: BenchSettings) -> None:
        """Import and look up what `off` needs; no instrument is contacted.

        Raises
        ------
        SetupError, LinkError
            If an address has no known form or its host is unknown.
        """
        connector = Connector(_options(settings), dry_run=settings.dry_run)
        for one in settings.instruments:
            one.prepare_off(connector)

    @staticmethod
    def halt_open(reason: str) -> None:
        """Switch off every instrument that this process has open; see `open_outputs.halt_open`."""
        open_outputs.halt_open(reason)

    @staticmethod
    def off(settings: BenchSettings) -> list[SwitchedOff]:
        """Send OFF to every instrument with outputs in parallel, without a query before it, whoever uses them.

        A switch matrix opens its relays after the sources are off, or could not be reached.

        Returns
        -------
        list of SwitchedOff
            How OFF reached each instrument.

        Raises
        ------
        OutputsMayBeOnError
            Naming, in capitals, the instruments to which OFF could not be sent. All others have received it.
        """
        return _off(settings, settings.instruments)

    @staticmethod
    def status(settings: BenchSettings) -> list[InstrumentReport]:
        """Return the state of every instrument that can be read with queries that change nothing.

        None is sent to an instrument that another process uses; that process is asked.
        """
        if settings.dry_run:
            return []
        with optional_log(settings.wire_log) as wire_log:
            connector = Connector(_options(settings), wire_log)
            return inspect_all([_inspection(one, settings, connector) for one in settings.instruments])


def _off_unopened(
    settings: BenchSettings, opened: Mapping[str, BenchInstrument], error: BaseException | None
) -> None:
    """Send OFF to the instruments that a failed opening did not reach, unless another process uses one meanwhile.

    A refused request applies nothing. What fails here is not reported: the error of the opening is, and says that
    the bench is not open.
    """
    if error is not None and not isinstance(error, InUseError | ValueError):
        left = [one for one in settings.instruments if one.name not in opened]
        with suppress(HwlearnError):
            check_unclaimed([normal_address(text) for one in left for text in one.addresses])
            _off(settings, left, ask_owners=False)


def _off(
    settings: BenchSettings, instruments: Sequence[InstrumentSettings], ask_owners: bool = True
) -> list[SwitchedOff]:
    """Send OFF to some instruments of a bench, to a matrix last; see `off_in_stages`."""
    connector = Connector(_options(settings), dry_run=settings.dry_run)
    outputs = [one for one in instruments if one.has_outputs]
    stages = [
        [_off_target(one, connector, ask_owners) for one in outputs if one.connects_crosspoints is last]
        for last in (False, True)
    ]
    return off_in_stages(stages, "EVERY OUTPUT", "switch them off by hand")


def _inspection(one: InstrumentSettings, settings: BenchSettings, connector: Connector) -> Inspection:
    """Return how the state of an instrument is read."""
    nodes: dict[str, str] = {}
    matrix = settings.matrix
    if matrix is not None and matrix.instrument == one.name:
        rows = {f"row {name}": _connected(row) for name, row in matrix.rows.items()}
        nodes |= rows | {f"column {column}": node for node, column in matrix.columns.items()}
    for name, row in {} if matrix is None else matrix.rows.items():
        for text in () if isinstance(row, str) else (row.source, row.read, row.nudge):
            if text is not None and Place.parse(text).instrument == one.name:
                nodes[Place.parse(text).channel] = f"row {name}"
    for terminal in settings.terminals:
        behind = terminal.nudge.source if isinstance(terminal.nudge, ResistorSettings) else terminal.nudge
        for text in (terminal.source, terminal.read, behind):
            if text is not None and Place.parse(text).instrument == one.name:
                nodes[Place.parse(text).channel] = str(terminal.node)
    address = one.addresses[0] if one.addresses else one.name
    return inspection(address, lambda: one.inspect(nodes, connector))


def _connected(row: RowSettings | str) -> str:
    """Return what a row is connected to."""
    if isinstance(row, str):
        return row
    return " and ".join(dict.fromkeys(text for text in (row.source, row.read, row.nudge) if text is not None))


def _matrices_last(settings: BenchSettings) -> list[InstrumentSettings]:
    """Return the instruments in the order in which they are switched off: a matrix opens when sources are off."""
    return sorted(settings.instruments, key=lambda one: one.connects_crosspoints)


def _off_target(one: InstrumentSettings, connector: Connector, ask_owner: bool) -> OffTarget:
    address = one.addresses[0] if one.addresses else ""
    return off_target(address, lambda check: one.write_off(connector, check), connector.dry_run or not ask_owner)


def _options(settings: BenchSettings) -> LinkOptions:
    return LinkOptions(settings.baud, settings.visa_library, settings.timeout)


def _devices(settings: DeviceSettings, network: MatrixNetwork, limits: Limits) -> MatrixDevices:
    """Return the access to single devices through a matrix; without pulses, none is ever allowed."""
    pulses = settings.pulses
    high = limits.conductance[1]
    unknown = high if settings.unknown_conductance is None else settings.unknown_conductance
    allowed = PulseLimits(
        voltage=settings.read_voltage if pulses is None else pulses.voltage,
        current=limits.current if pulses is None else pulses.current,
        width=(1e-3, 1e-3) if pulses is None else pulses.width,
        pulses=1 if pulses is None else pulses.most,
        read_voltage=settings.read_voltage,
    )
    how = DeviceScheme(
        settings.scheme,
        settings.positive == "first",
        network.rows.sources,
        settings.headroom,
        unknown,
        pulses is not None,
    )
    return MatrixDevices(network, network.topology, allowed, limits, how)


def _open_edges(
    settings: BenchSettings, topology: Topology, limits: Limits, opened: dict[str, BenchInstrument]
) -> Edges:
    wanted = settings.edges
    if wanted == "devices":
        assert settings.devices is not None, "the wiring was checked"
        topology.require_two_terminals("a network of single devices")
        devices = settings.devices
        tolerance = DEVICE_TOLERANCE if devices.pulses is None else devices.pulses.tolerance
        return DeviceEdges(tolerance, devices.read_voltage, pulsed=devices.pulses is not None)
    if not isinstance(wanted, ProgrammerSettings):
        return FixedEdges(topology, limits, wanted)
    parts: list[tuple[IntArray, Edges]] = []
    for name, edges in programmed_edges(settings, topology).items():
        programmer = opened[name]
        assert isinstance(programmer, ProgramsEdges), (
            f"{programmer.name} says that it programs edges, and does not"
        )
        parts.append((edges, programmer.open_edges(topology, limits, edges)))
    return parts[0][1] if len(parts) == 1 else JoinedEdges(parts)
