"""`Wiring`: which channel plays which role at which node, checked before any instrument is opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError, closest
from hwlearn.network.limits import Limits
from hwlearn.network.nudges import DriveKind
from hwlearn_drivers.bench.settings import BenchSettings, ProgrammerSettings, ResistorSettings, TerminalSettings
from hwlearn_drivers.roles.settings import InstrumentSettings
from hwlearn_drivers.roles.values import ChannelUse, Role

_RESISTOR: frozenset[DriveKind] = frozenset(("resistor",))
_WITHOUT_NUDGE = "train with rule = 'analytic' or 'spsa'"
_DOES = {
    Role.SOURCE: "be a voltage source",
    Role.READ: "read",
    Role.NUDGE: "drive an output",
    Role.SWITCH: "be a switch",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A channel of an instrument."""

    instrument: str
    channel: str

    @classmethod
    def parse(cls, text: str) -> Place:
        """Return the place of ``"instrument:channel"``."""
        return cls(*text.split(":", 1))

    def __str__(self) -> str:
        return f"{self.instrument}:{self.channel}"


@dataclass(frozen=True, slots=True)
class Behind:
    """A nudge by a voltage source behind a resistor and a switch."""

    source: Place
    ohm: float
    switch: Place


@dataclass(frozen=True, slots=True)
class Terminal:
    """One node and what is connected to it.

    Attributes
    ----------
    node : int
    name : str
        Of the node.
    source, read : Place or None
    nudge : Place, Behind or None
    kinds : frozenset of str
        Drives that the nudge can make: ``"clamp"``, ``"current"``, ``"resistor"``.
    """

    node: int
    name: str
    source: Place | None = None
    read: Place | None = None
    nudge: Place | Behind | None = None
    kinds: frozenset[DriveKind] = frozenset()

    def places(self) -> Iterator[tuple[Role, Place]]:
        """Yield each role that is played here, with its channel."""
        if self.source is not None:
            yield Role.SOURCE, self.source
        if self.read is not None:
            yield Role.READ, self.read
        if isinstance(self.nudge, Place):
            yield Role.NUDGE, self.nudge
        elif self.nudge is not None:
            yield Role.SOURCE, self.nudge.source
            yield Role.SWITCH, self.nudge.switch


@dataclass(frozen=True, slots=True)
class Wiring:
    """Every terminal of a bench.

    Attributes
    ----------
    inputs, outputs : tuple of Terminal
        In the order of the topology.
    inner : tuple of Terminal
        Other nodes that are read.
    uses : mapping of str to ChannelUse
        By name of the instrument, in the order of the bench file.
    """

    inputs: tuple[Terminal, ...]
    outputs: tuple[Terminal, ...]
    inner: tuple[Terminal, ...]
    uses: Mapping[str, ChannelUse]


def make_wiring(settings: BenchSettings, topology: Topology, limits: Limits) -> Wiring:
    """Return the wiring of a bench file; nothing is contacted.

    Raises
    ------
    SetupError
        Naming everything that is missing, doubled or impossible, with what it rules out.
    """
    instruments = {one.name: one for one in settings.instruments}
    problems = list(_doubled("instruments", "name", [one.name for one in settings.instruments]))
    terminals: dict[int, Terminal] = {}
    for k, listed in enumerate(settings.terminals):
        where = f"backend.terminals[{k}]"
        node = _node(listed.node, topology)
        if node is None:
            known = f"{closest(str(listed.node), topology.names)}" if isinstance(listed.node, str) else ""
            problems.append(f"{where}.node = {listed.node!r}: the network has no such node{known}")
        elif node in terminals:
            problems.append(
                f"node {topology.names[node]} is listed twice ({where}); give all its roles in one table"
            )
        else:
            terminals[node] = _terminal(listed, node, topology, instruments)
            problems += _wrong_channels(where, terminals[node], instruments)
    problems += _missing(terminals, topology)
    problems += _shorted(terminals.values(), instruments)
    problems += _programmer(settings, instruments)
    if problems:
        raise SetupError(_listed(problems))
    wiring = Wiring(
        tuple(terminals[node] for node in topology.inputs.tolist()),
        tuple(terminals[node] for node in topology.outputs.tolist()),
        tuple(one for node, one in sorted(terminals.items()) if node not in (*topology.inputs, *topology.outputs)),
        _uses(settings, terminals.values(), topology),
    )
    for name, use in wiring.uses.items():
        instruments[name].check_use(use, limits)
    return wiring


def check_drive(wiring: Wiring, wanted: DriveKind) -> None:
    """Refuse a training whose nudge some output cannot make.

    Parameters
    ----------
    wiring : Wiring
    wanted : str
        The nudge of ``[train]``.

    Raises
    ------
    SetupError
        Naming every output that cannot make it, and what is possible.
    """
    problems = []
    for terminal in wiring.outputs:
        if terminal.nudge is None:
            problems.append(f"output {terminal.name} has no nudge")
        elif wanted not in terminal.kinds:
            problems.append(f"output {terminal.name} can only be nudged by {', '.join(sorted(terminal.kinds))}")
    if problems:
        common = sorted(frozenset.intersection(*(terminal.kinds for terminal in wiring.outputs)))
        instead = f", or set train.nudge = {' or '.join(map(repr, common))}" if common else ""
        raise SetupError(f"train.nudge = {wanted!r}: {_listed(problems)}: {_WITHOUT_NUDGE}{instead}")


def _node(wanted: int | str, topology: Topology) -> int | None:
    if isinstance(wanted, str):
        return topology.names.index(wanted) if wanted in topology.names else None
    return wanted if wanted < topology.n_nodes else None


def _terminal(
    listed: TerminalSettings, node: int, topology: Topology, instruments: Mapping[str, InstrumentSettings]
) -> Terminal:
    nudge: Place | Behind | None = None
    kinds: frozenset[DriveKind] = frozenset()
    if isinstance(listed.nudge, ResistorSettings):
        given = listed.nudge
        nudge, kinds = Behind(Place.parse(given.source), given.resistance, Place.parse(given.switch)), _RESISTOR
    elif listed.nudge is not None:
        nudge = Place.parse(listed.nudge)
        if nudge.instrument in instruments:
            kinds = instruments[nudge.instrument].drive_kinds
    return Terminal(
        node,
        topology.names[node],
        None if listed.source is None else Place.parse(listed.source),
        None if listed.read is None else Place.parse(listed.read),
        nudge,
        kinds,
    )


def _wrong_channels(
    where: str, terminal: Terminal, instruments: Mapping[str, InstrumentSettings]
) -> Iterator[str]:
    """Yield what no instrument of the bench can do."""
    for role, place in terminal.places():
        if place.instrument not in instruments:
            hint = closest(place.instrument, list(instruments))
            yield (
                f"{where}: {place} at node {terminal.name}: there is no instrument {place.instrument!r}{hint}; "
                f"backend.instruments has: {', '.join(instruments)}"
            )
            continue
        try:
            roles = instruments[place.instrument].channel_roles(place.channel)
        except SetupError as error:
            yield f"{where}: {place} at node {terminal.name}: {error}"
            continue
        if role not in roles:
            able = " and ".join(_DOES[one] for one in Role if one in roles and one in _DOES) or "nothing of this"
            yield f"{where}: {place} at node {terminal.name} cannot {_DOES[role]}; it can {able}"


def _missing(terminals: Mapping[int, Terminal], topology: Topology) -> Iterator[str]:
    """Yield each role that is missing or out of place, with what it rules out."""
    inputs, outputs = set(topology.inputs.tolist()), set(topology.outputs.tolist())
    for node in topology.inputs.tolist():
        found, name = terminals.get(node), topology.names[node]
        if found is None or found.source is None:
            yield f"input {name} has no source: it cannot be driven; give it source = 'instrument:channel'"
        if found is not None and found.nudge is not None:
            yield f"input {name} has a nudge, which only outputs have; remove it"
    for node in topology.outputs.tolist():
        found, name = terminals.get(node), topology.names[node]
        if found is None or found.read is None:
            yield f"output {name} has no reader: nothing can be measured; give it read = 'instrument:channel'"
        if found is not None and found.source is not None:
            yield f"output {name} has a source, but outputs float in the free phase; make it a nudge"
    for node in sorted(set(terminals) - inputs - outputs):
        if terminals[node].source is not None or terminals[node].nudge is not None:
            yield f"node {topology.names[node]} is neither input nor output: it can only be read"
    inner = sorted(set(terminals) - inputs - outputs)
    if inner:
        read = {node for node, one in terminals.items() if one.read is not None}
        unread = [topology.names[n] for n in range(topology.n_nodes) if n not in read and n != topology.ground]
        if unread:
            yield (
                f"node {topology.names[inner[0]]} is read, but {', '.join(unread[:4])} "
                f"{'is' if len(unread) == 1 else 'are'} not: internal nodes are used only if all nodes are read"
            )


def _shorted(terminals: Iterable[Terminal], instruments: Mapping[str, InstrumentSettings]) -> Iterator[str]:
    """Yield each connector that is wired to two nodes; several nudges may share a switch."""
    found: dict[tuple[str, str], tuple[str, Role]] = {}
    for terminal in terminals:
        here: dict[tuple[str, str], Role] = {}
        for role, place in terminal.places():
            if place.instrument not in instruments:
                continue
            pin = (place.instrument, instruments[place.instrument].pin(role, place.channel))
            is_behind = isinstance(terminal.nudge, Behind) and place == terminal.nudge.source
            if is_behind and (pin in here or terminal.source == place):
                yield f"{place} is on both sides of the nudge resistor of {terminal.name}"
            here[pin] = role
            node, other = found.setdefault(pin, (terminal.name, role))
            if node != terminal.name and not role == other == Role.SWITCH:
                yield f"{place} is connected to two nodes, {node} and {terminal.name}; use two channels"


def _programmer(settings: BenchSettings, instruments: Mapping[str, InstrumentSettings]) -> Iterator[str]:
    if not isinstance(settings.edges, ProgrammerSettings):
        return
    wanted = settings.edges.programmer
    if wanted not in instruments:
        hint = closest(wanted, list(instruments))
        yield f"backend.edges.programmer = {wanted!r}: there is no such instrument{hint}; no edge can be set"
    elif not instruments[wanted].programs_edges:
        yield (
            f"backend.edges.programmer = {wanted!r}: a {instruments[wanted].model} cannot set conductances; name "
            "another instrument, or give the conductance of fixed edges"
        )


def _doubled(table: str, key: str, names: Sequence[str]) -> Iterator[str]:
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield f"two of backend.{table} have {key} = {name!r}"


def _uses(settings: BenchSettings, terminals: Iterable[Terminal], topology: Topology) -> dict[str, ChannelUse]:
    found: dict[str, dict[Role, dict[str, str]]] = {
        one.name: {role: {} for role in Role} for one in settings.instruments
    }
    for terminal in terminals:
        for role, place in terminal.places():
            found[place.instrument][role].setdefault(place.channel, terminal.name)
    programmer = settings.edges.programmer if isinstance(settings.edges, ProgrammerSettings) else None
    return {
        name: ChannelUse(
            roles[Role.SOURCE],
            roles[Role.READ],
            roles[Role.NUDGE],
            roles[Role.SWITCH],
            topology.n_edges if name == programmer else 0,
        )
        for name, roles in found.items()
    }


def _listed(problems: Sequence[str]) -> str:
    return problems[0] if len(problems) == 1 else f"{len(problems)} problems: {'; '.join(problems)}"
