"""The backend ``smu``: a bench whose terminals hang on source-measure units."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.network.edge_codes import CodeLaw, EvenSteps, Rheostat
from hwlearn.network.limits import Limits
from hwlearn_drivers.edges.card import CardEdges, DryEdgeCard, EdgeCard
from hwlearn_drivers.edges.edges import Edges, FixedEdges
from hwlearn_drivers.errors import LinkError, OutputsMayBeOnError
from hwlearn_drivers.smu.channel import SmuChannel
from hwlearn_drivers.smu.network import SmuNetwork
from hwlearn_drivers.smu.operating_range import ChannelLimit
from hwlearn_drivers.smu.pace import Pace
from hwlearn_drivers.smu.registry import open_smu, write_off
from hwlearn_drivers.smu.settings import ChannelSettings, EdgeCardSettings, SmuSettings
from hwlearn_drivers.smu.wiring import check_terminals
from hwlearn_drivers.transport.addresses import LinkOptions, open_link
from hwlearn_drivers.transport.links.dry_run import DryLink
from hwlearn_drivers.transport.transport import Transport
from hwlearn_drivers.transport.wire_log import WireLog


class SmuBackend:
    """Opens the instruments that a ``[backend]`` table lists, and switches them off."""

    Settings = SmuSettings

    @staticmethod
    def open(settings: SmuSettings, topology: Topology, limits: Limits) -> SmuNetwork:
        """Open every instrument, outputs off, and return the network that hangs on them.

        Raises
        ------
        SetupError
            If the table does not fit the network.
        LinkError, UnknownInstrumentError, InstrumentError
            If an instrument is not there, is another one, or refuses a setting; all are off and closed then.
        """
        options = _options(settings)
        with ExitStack() as stack:
            wire_log = None if settings.wire_log is None else stack.enter_context(WireLog(settings.wire_log))
            channels = _open_channels(settings, topology, limits, options, wire_log, stack)
            edges = _open_edges(settings, topology, limits, options, wire_log)
            stack.callback(edges.close)
            network = SmuNetwork(topology, limits, channels, edges, _pace(settings), wire_log)
            stack.pop_all()  # from here on the network closes what it hangs on
            return network

    @staticmethod
    def off(settings: SmuSettings) -> None:
        """Send OFF to every instrument of the table, all at once, write-only and asking nothing first.

        Raises
        ------
        OutputsMayBeOnError
            Naming in capitals the instruments that OFF could not be sent to; the others have it.
        """
        options = _options(settings)
        places = {channel.address: channel.model for channel in settings.channels}

        def send(address: str) -> str | None:
            try:
                write_off(address, places[address], options, dry_run=settings.dry_run)
            except LinkError:
                try:  # a link that was just dropped may be back
                    write_off(address, places[address], options, dry_run=settings.dry_run)
                except LinkError as error:
                    return f"{address} ({error})"
            return None

        with ThreadPoolExecutor(len(places)) as pool:
            failed = [text for text in pool.map(send, places) if text is not None]
        if failed:
            raise OutputsMayBeOnError(
                f"OUTPUTS MAY BE ON: EVERY CHANNEL OF {', '.join(failed)}; switch them off by hand"
            )


def _options(settings: SmuSettings) -> LinkOptions:
    return LinkOptions(settings.baud, settings.visa_library, settings.timeout)


def _pace(settings: SmuSettings) -> Pace:
    return Pace(
        settings.slew_V_per_s,
        settings.ramp_step,
        settings.settle,
        settings.voltage_sigma,
        settings.current_sigma,
    )


def _open_channels(
    settings: SmuSettings,
    topology: Topology,
    limits: Limits,
    options: LinkOptions,
    wire_log: WireLog | None,
    stack: ExitStack,
) -> dict[int, SmuChannel]:
    """Open each instrument once and return its channels by node."""
    channel_limit = ChannelLimit(limits.voltage, limits.current)
    by_address: dict[str, list[ChannelSettings]] = {}
    nodes: dict[int, ChannelSettings] = {}
    for channel in settings.channels:
        by_address.setdefault(channel.address, []).append(channel)
        node = _node(topology, channel.node)
        if node in nodes:
            raise SetupError(f"node {topology.names[node]} has two SMU channels in the bench file; leave one")
        nodes[node] = channel
    check_terminals(topology, {node: f"channel {c.channel} at {c.address}" for node, c in nodes.items()})
    for address, here in by_address.items():
        if len({channel.channel for channel in here}) < len(here):
            raise SetupError(f"a channel of the SMU at {address} is listed twice in the bench file")
        if len({channel.model for channel in here}) > 1:
            raise SetupError(f"the channels of the SMU at {address} name different models")
    opened: dict[tuple[str, int], SmuChannel] = {}
    for address, here in by_address.items():
        channel_limits = {channel.channel: channel_limit for channel in here}
        smu = open_smu(
            address,
            channel_limits,
            model=here[0].model,
            options=options,
            wire_log=wire_log,
            dry_run=settings.dry_run,
        )
        stack.callback(smu.close)
        opened |= {(address, channel.number): channel for channel in smu.channels}
    for listed in settings.channels:
        channel_of = opened[listed.address, listed.channel]
        channel_of.nplc = settings.nplc
        if listed.four_wire:
            channel_of.four_wire = True
        channel_of.voltage_range = _fixed(settings.voltage_range, limits.voltage)
        channel_of.current_range = _fixed(settings.current_range, limits.current)
    return {node: opened[listed.address, listed.channel] for node, listed in nodes.items()}


def _open_edges(
    settings: SmuSettings,
    topology: Topology,
    limits: Limits,
    options: LinkOptions,
    wire_log: WireLog | None,
) -> Edges:
    asked = settings.edges
    if not isinstance(asked, EdgeCardSettings):
        return FixedEdges(topology, limits, asked)
    law: CodeLaw = Rheostat(asked.full, asked.wiper, asked.positions)
    if asked.linear is not None:
        law = EvenSteps(*asked.linear, asked.positions)
    address = asked.address
    places = 1 + (topology.n_edges - 1 if asked.places is None else max(asked.places, default=0))
    transport = Transport(
        address,
        (lambda: DryLink(address, DryEdgeCard(places)))
        if settings.dry_run
        else lambda: open_link(address, options),
        timeout_s=options.timeout_s,
        wire_log=wire_log,
    )
    card = EdgeCard.open(transport)
    try:
        return CardEdges(card, topology, limits, law, asked.places)
    except BaseException:
        card.close()
        raise


def _node(topology: Topology, asked: int | str) -> int:
    if isinstance(asked, str):
        if asked not in topology.names:
            raise SetupError(f"the bench file wires an SMU to node {asked!r}, which the network does not have")
        return topology.names.index(asked)
    if not 0 <= asked < topology.n_nodes:
        raise SetupError(f"the bench file wires an SMU to node {asked}, the nodes are 0 to {topology.n_nodes - 1}")
    return asked


def _fixed(asked: float | str, limit: float) -> float | None:
    """Return the range that settings ask for: a number, the limit's, or None for the instrument's choice."""
    return None if asked == "auto" else limit if isinstance(asked, str) else asked
