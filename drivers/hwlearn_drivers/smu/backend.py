"""`SmuBackend`: the backend ``smu``, a bench whose terminals are connected to source-measure units."""

from __future__ import annotations

from contextlib import ExitStack

from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.network.limits import Limits
from hwlearn.network.reports import InstrumentReport
from hwlearn.network.switched_off import SwitchedOff
from hwlearn_drivers.address import normal_address
from hwlearn_drivers.claims.claim import check_unclaimed
from hwlearn_drivers.claims.shutdown import OffTarget, off_or_raise, off_target
from hwlearn_drivers.edges.card import CardEdges
from hwlearn_drivers.edges.edges import Edges, FixedEdges
from hwlearn_drivers.edges.inspection import inspect_card
from hwlearn_drivers.edges.settings import EdgeCardSettings
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.instrument.inspection import Inspection, inspect_all, inspection
from hwlearn_drivers.instrument.pace import Pace
from hwlearn_drivers.instrument.voltage_noise import largest_sigma
from hwlearn_drivers.smu.channel import SmuChannel
from hwlearn_drivers.smu.network import SmuNetwork
from hwlearn_drivers.smu.operating_range import ChannelLimit
from hwlearn_drivers.smu.registry import channel_count, open_smu, serial_connector, write_off_and_check
from hwlearn_drivers.smu.settings import ChannelSettings, SmuSettings
from hwlearn_drivers.smu.smu import Smu
from hwlearn_drivers.smu.status.inspection import inspect_smu
from hwlearn_drivers.smu.wiring import check_terminals
from hwlearn_drivers.transport.addresses import LinkOptions, prepare_link
from hwlearn_drivers.transport.connector import Connector
from hwlearn_drivers.transport.wire_log import WireLog, optional_log


class SmuBackend:
    """Opens the instruments of a ``[backend]`` table, and switches them off."""

    Settings = SmuSettings

    @staticmethod
    def open(settings: SmuSettings, topology: Topology, limits: Limits) -> SmuNetwork:
        """Open every instrument with its outputs off, and return the network connected to them.

        Raises
        ------
        SetupError
            If the table does not fit the network.
        InUseError
            If another process, or another network of this one, uses one of the instruments.
        LinkError, UnknownInstrumentError, InstrumentError
            If an instrument is missing, is a different one, or rejects a setting. All instruments that were
            opened are then off and closed.
        """
        with ExitStack() as stack:
            wire_log = None if settings.wire_log is None else stack.enter_context(WireLog(settings.wire_log))
            connector = Connector(_options(settings), wire_log, settings.dry_run)
            listed = _by_node(settings, topology)
            addresses = [normal_address(address) for address in _addresses(settings)]  # all, before one is opened
            if not settings.dry_run:
                check_unclaimed(addresses)
            for channel in settings.channels:  # a wrong baud rate is refused before anything is opened
                serial_connector(channel.address, channel.model, _with_baud(connector, settings, channel))
            smus = _open_smus(settings, limits, connector, stack)
            for channel in settings.channels:
                _set_up(smus[channel.address].channel(channel.channel), channel, settings, limits)
            edges = _open_edges(settings, topology, limits, connector)
            stack.callback(edges.close)
            wired = {node: (smus[channel.address], channel.channel) for node, channel in listed.items()}
            read = [wired[node][0] for node in topology.outputs.tolist()]
            network = SmuNetwork(topology, limits, wired, edges, _pace(settings, limits, read), wire_log)
            stack.pop_all()  # from here on the network closes its instruments
            return network

    @staticmethod
    def prepare_off(settings: SmuSettings) -> None:
        """Import and look up what `off` needs; no instrument is contacted.

        Raises
        ------
        SetupError, LinkError
            If an address has no known form or its host is unknown.
        """
        for channel in settings.channels:
            prepare_link(channel.address, _options(settings))

    @staticmethod
    def halt_open(reason: str) -> None:
        """Switch off every instrument that this process has open; see `open_outputs.halt_open`."""
        open_outputs.halt_open(reason)

    @staticmethod
    def off(settings: SmuSettings) -> list[SwitchedOff]:
        """Send OFF to every instrument of the table in parallel, without a query before it, whoever uses them.

        Returns
        -------
        list of SwitchedOff
            How OFF reached each instrument.

        Raises
        ------
        OutputsMayBeOnError
            Naming, in capitals, the instruments to which OFF could not be sent. All others have received it.
        """
        connector = Connector(_options(settings), dry_run=settings.dry_run)
        listed = {channel.address: channel for channel in settings.channels}

        def target(address: str) -> OffTarget:
            model = listed[address].model
            return off_target(
                address,
                lambda check: write_off_and_check(
                    address, model, _with_baud(connector, settings, listed[address]), check
                ),
                settings.dry_run,
                _output_names(settings, address),
            )

        return off_or_raise([target(address) for address in listed], "EVERY CHANNEL", "switch them off by hand")

    @staticmethod
    def status(settings: SmuSettings) -> list[InstrumentReport]:
        """Return outputs, levels, limits and interlocks of every instrument, and the codes of the edge card.

        Only queries that change nothing are sent, and none to an instrument that another process uses.
        """
        if settings.dry_run:
            return []
        with optional_log(settings.wire_log) as wire_log:
            connector = Connector(_options(settings), wire_log)

            def read(address: str, here: list[ChannelSettings]) -> Inspection:
                nodes = {channel.channel: str(channel.node) for channel in here}
                how = _with_baud(connector, settings, here[0])
                return inspection(address, lambda: inspect_smu(address, here[0].model, nodes, how))

            inspections = [read(address, here) for address, here in _by_address(settings).items()]
            card = settings.edges
            if isinstance(card, EdgeCardSettings):
                inspections.append(inspection(card.address, lambda: inspect_card(card.address, connector)))
            return inspect_all(inspections)


def _output_names(settings: SmuSettings, address: str) -> tuple[str, ...]:
    """Return the names of all outputs that OFF is sent to, with the nodes of those in use."""
    here = {channel.channel: channel for channel in settings.channels if channel.address == address}
    most = max(channel_count(next(iter(here.values())).model), *here)
    return tuple(
        f"channel {number} (node {here[number].node})" if number in here else f"channel {number}"
        for number in range(1, most + 1)
    )


def _options(settings: SmuSettings) -> LinkOptions:
    return LinkOptions(
        settings.baud, settings.visa_library, settings.timeout, acknowledgement=settings.acknowledgement
    )


def _with_baud(connector: Connector, settings: SmuSettings, channel: ChannelSettings) -> Connector:
    return connector.with_baud(settings.baud if channel.baud is None else channel.baud)


def _pace(settings: SmuSettings, limits: Limits, read: list[Smu]) -> Pace:
    """Return the pace; without a stated uncertainty, with that of the data sheets of the SMUs at the outputs."""
    sigma_V, stated = settings.voltage_sigma, settings.voltage_sigma is not None
    if sigma_V is None:
        reach_V = _fixed(settings.voltage_range, limits.voltage) or limits.voltage
        sigma_V = largest_sigma([smu.operating_range.voltage_sigma(reach_V, settings.nplc) for smu in read])
    return Pace(
        settings.slew_V_per_s,
        settings.ramp_step,
        settings.settle,
        sigma_V,
        settings.current_sigma,
        noise_is_from_data_sheet=not stated and sigma_V > 0,
    )


def _by_node(settings: SmuSettings, topology: Topology) -> dict[int, ChannelSettings]:
    """Return the listed channels by node; reject what does not fit before any instrument is contacted."""
    nodes: dict[int, ChannelSettings] = {}
    for channel in settings.channels:
        node = _node(topology, channel.node)
        if node in nodes:
            raise SetupError(f"node {topology.names[node]} has two SMU channels in the bench file; remove one")
        nodes[node] = channel
    check_terminals(topology, {node: f"channel {c.channel} at {c.address}" for node, c in nodes.items()})
    for address, here in _by_address(settings).items():
        if len({channel.channel for channel in here}) < len(here):
            raise SetupError(f"a channel of the SMU at {address} is listed twice in the bench file")
        if len({channel.model for channel in here}) > 1:
            raise SetupError(f"the channels of the SMU at {address} have different models in the bench file")
        if len({channel.baud for channel in here}) > 1:
            raise SetupError(f"the channels of the SMU at {address} have different baud rates in the bench file")
    return nodes


def _by_address(settings: SmuSettings) -> dict[str, list[ChannelSettings]]:
    by_address: dict[str, list[ChannelSettings]] = {}
    for channel in settings.channels:
        by_address.setdefault(channel.address, []).append(channel)
    return by_address


def _addresses(settings: SmuSettings) -> list[str]:
    card = [settings.edges.address] if isinstance(settings.edges, EdgeCardSettings) else []
    return [*_by_address(settings), *card]


def _open_smus(settings: SmuSettings, limits: Limits, connector: Connector, stack: ExitStack) -> dict[str, Smu]:
    """Open each instrument once and return them by address."""
    allowed = ChannelLimit(limits.voltage, limits.current)
    smus: dict[str, Smu] = {}
    for address, here in _by_address(settings).items():
        smus[address] = open_smu(
            address,
            {channel.channel: allowed for channel in here},
            model=here[0].model,
            connector=_with_baud(connector, settings, here[0]),
        )
        stack.callback(smus[address].close)
    return smus


def _set_up(channel: SmuChannel, listed: ChannelSettings, settings: SmuSettings, limits: Limits) -> None:
    channel.nplc = settings.nplc
    if listed.four_wire:
        channel.four_wire = True
    channel.voltage_range = _fixed(settings.voltage_range, limits.voltage)
    channel.current_range = _fixed(settings.current_range, limits.current)


def _open_edges(settings: SmuSettings, topology: Topology, limits: Limits, connector: Connector) -> Edges:
    wanted = settings.edges
    if not isinstance(wanted, EdgeCardSettings):
        return FixedEdges(topology, limits, wanted)
    card = wanted.open_card(connector, topology.n_edges)
    try:
        return CardEdges(card, topology, limits, wanted.law, wanted.places)
    except BaseException:
        card.close()
        raise


def _node(topology: Topology, wanted: int | str) -> int:
    if isinstance(wanted, str):
        if wanted not in topology.names:
            raise SetupError(f"the bench file connects an SMU to node {wanted!r}, which the network does not have")
        return topology.names.index(wanted)
    if not 0 <= wanted < topology.n_nodes:
        raise SetupError(
            f"the bench file connects an SMU to node {wanted}, the nodes are 0 to {topology.n_nodes - 1}"
        )
    return wanted


def _fixed(wanted: float | str, limit: float) -> float | None:
    """Return the range to set: a fixed range, the limit as range, or None for the instrument's choice."""
    return None if wanted == "auto" else limit if isinstance(wanted, str) else wanted
