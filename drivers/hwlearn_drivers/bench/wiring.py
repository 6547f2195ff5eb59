"""`make_wiring`: which channel plays which role at which node, checked before any instrument is opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from hwlearn.arrays import IntArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError, closest
from hwlearn.network.limits import Limits
from hwlearn.network.nudges import DriveKind
from hwlearn_drivers.bench.matrix.device_wiring import device_problems
from hwlearn_drivers.bench.matrix.wiring import MatrixTable
from hwlearn_drivers.bench.settings import BenchSettings, ProgrammerSettings, ResistorSettings, TerminalSettings
from hwlearn_drivers.bench.terminals import Behind, MatrixRow, Place, Terminal, Wiring
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


def make_wiring(settings: BenchSettings, topology: Topology, limits: Limits) -> Wiring:
    """Return the wiring of a bench file; nothing is contacted.

    Raises
    ------
    SetupError
        Naming everything that is missing, doubled or impossible, with what it rules out.
    """
    instruments = {one.name: one for one in settings.instruments}
    problems = list(_doubled("instruments", "name", [one.name for one in settings.instruments]))
    matrix = MatrixTable.of(settings, topology)
    columns = {} if matrix is None else matrix.columns
    terminals: dict[int, Terminal] = {}
    for k, listed in enumerate(settings.terminals):
        where = f"backend.terminals[{k}]"
        node = _node(listed.node, topology)
        if node is None:
            known = f"{closest(str(listed.node), topology.names)}" if isinstance(listed.node, str) else ""
            problems.append(f"{where}.node = {listed.node!r}: the network has no such node{known}")
        elif node in columns:
            problems.append(
                f"node {topology.names[node]} is on column {columns[node]} of the matrix and in {where}; the rows "
                "of the matrix play its roles, so remove one of the two"
            )
        elif node in terminals:
            problems.append(
                f"node {topology.names[node]} is listed twice ({where}); give all its roles in one table"
            )
        else:
            terminals[node] = _terminal(listed, node, topology, instruments)
            place = f"node {topology.names[node]}"
            problems += _wrong_channels(where, place, terminals[node].places(), instruments)
    if matrix is not None:
        terminals |= {node: matrix.terminal(node, instruments) for node in columns}
        problems += matrix.problems(
            instruments, lambda key, row: _wrong_channels(key, f"row {row.name}", row.places(), instruments)
        )
        problems += _beside_matrix(terminals, topology)
    problems += _superposed(settings, matrix, topology)
    if settings.superpose:  # only free phases are composed
        terminals = {node: replace(one, kinds=frozenset()) for node, one in terminals.items()}
    rows = () if matrix is None else matrix.rows
    problems += _missing(terminals, topology)
    problems += _shorted([*terminals.values(), *rows], instruments)
    problems += _programmer(settings, instruments, topology)
    problems += device_problems(settings, matrix, topology, limits)
    if problems:
        raise SetupError(_listed(problems))
    wiring = Wiring(
        tuple(terminals[node] for node in topology.inputs.tolist()),
        tuple(terminals[node] for node in topology.outputs.tolist()),
        tuple(
            one
            for node, one in sorted(terminals.items())
            if node not in (*topology.inputs, *topology.outputs) and one.column is None
        ),
        _uses(settings, terminals.values(), matrix, topology),
        None if matrix is None else matrix.wiring(),
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
        if not terminal.kinds:
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
    where: str, at: str, places: Iterable[tuple[Role, Place]], instruments: Mapping[str, InstrumentSettings]
) -> Iterator[str]:
    """Yield what no instrument of the bench can do at a node or row."""
    for role, place in places:
        if place.instrument not in instruments:
            hint = closest(place.instrument, list(instruments))
            yield (
                f"{where}: {place} at {at}: there is no instrument {place.instrument!r}{hint}; "
                f"backend.instruments has: {', '.join(instruments)}"
            )
            continue
        try:
            roles = instruments[place.instrument].channel_roles(place.channel)
        except SetupError as error:
            yield f"{where}: {place} at {at}: {error}"
            continue
        if role not in roles:
            able = " and ".join(_DOES[one] for one in Role if one in roles and one in _DOES) or "nothing of this"
            yield f"{where}: {place} at {at} cannot {_DOES[role]}; it can {able}"


def _missing(terminals: Mapping[int, Terminal], topology: Topology) -> Iterator[str]:
    """Yield each role that is missing or out of place, with what it rules out."""
    inputs, outputs = set(topology.inputs.tolist()), set(topology.outputs.tolist())
    for node in topology.inputs.tolist():
        found, name = terminals.get(node), topology.names[node]
        if found is None or (found.source is None and found.column is None):
            yield f"input {name} has no source: it cannot be driven; give it source = 'instrument:channel'"
        if found is not None and found.nudge is not None:
            yield f"input {name} has a nudge, which only outputs have; remove it"
    for node in topology.outputs.tolist():
        found, name = terminals.get(node), topology.names[node]
        if found is None or (found.read is None and found.column is None):
            yield f"output {name} has no reader: nothing can be measured; give it read = 'instrument:channel'"
        if found is not None and found.source is not None:
            yield f"output {name} has a source, but outputs float in the free phase; make it a nudge"
    for node in sorted(set(terminals) - inputs - outputs):
        if terminals[node].source is not None or terminals[node].nudge is not None:
            yield f"node {topology.names[node]} is neither input nor output: it can only be read"
    inner = sorted(node for node in set(terminals) - inputs - outputs if terminals[node].column is None)
    if inner:
        read = {node for node, one in terminals.items() if one.read is not None}
        unread = [topology.names[n] for n in range(topology.n_nodes) if n not in read and n != topology.ground]
        if unread:
            yield (
                f"node {topology.names[inner[0]]} is read, but {', '.join(unread[:4])} "
                f"{'is' if len(unread) == 1 else 'are'} not: internal nodes are used only if all nodes are read"
            )


def _superposed(settings: BenchSettings, matrix: MatrixTable | None, topology: Topology) -> Iterator[str]:
    """Yield why samples cannot be composed from measurements of single inputs."""
    if not settings.superpose:
        return
    if matrix is None:
        yield "backend.superpose is for a bench with [backend.matrix]; without one, every sample is measured"
    elif not matrix.holds_at_zero:
        yield (
            "backend.superpose = true holds all inputs but one at 0 V, so it needs a row that is 'ground' or a "
            "second row with a source"
        )
    if topology.elements is not None:
        yield "backend.superpose = true is for resistors, and this network has other elements"


def _beside_matrix(terminals: Mapping[int, Terminal], topology: Topology) -> Iterator[str]:
    """Yield what a terminal that is not on a column cannot have on a bench with a matrix."""
    ends = {*topology.inputs.tolist(), *topology.outputs.tolist()}
    for node, terminal in sorted(terminals.items()):
        if terminal.column is None and node not in ends:
            yield f"node {terminal.name} is neither input nor output, and a bench with a matrix does not read it"
        if isinstance(terminal.nudge, Behind):
            yield (
                f"output {terminal.name} has a nudge behind a resistor, which a bench with a matrix does not "
                f"drive; give it a channel that is a current source or a clamp, or {_WITHOUT_NUDGE}"
            )


def _shorted(ends: Iterable[Terminal | MatrixRow], instruments: Mapping[str, InstrumentSettings]) -> Iterator[str]:
    """Yield each connector that is wired to two nodes or rows; several nudges may share a switch."""
    found: dict[tuple[str, str], tuple[str, Role]] = {}
    for end in ends:
        at = f"row {end.name}" if isinstance(end, MatrixRow) else end.name
        here: dict[tuple[str, str], Role] = {}
        for role, place in end.places():
            if place.instrument not in instruments:
                continue
            pin = (place.instrument, instruments[place.instrument].pin(role, place.channel))
            is_behind = isinstance(end.nudge, Behind) and place == end.nudge.source
            if is_behind and (pin in here or end.source == place):
                yield f"{place} is on both sides of the nudge resistor of {at}"
            here[pin] = role
            node, other = found.setdefault(pin, (at, role))
            if node != at and not role == other == Role.SWITCH:
                yield f"{place} is connected to two nodes, {node} and {at}; use two channels"


def programmed_edges(settings: BenchSettings, topology: Topology) -> dict[str, IntArray]:
    """Return for each instrument that programs edges their numbers, of a bench file that has been checked.

    One instrument programs all edges. Of several, each programs those whose values have its unit.
    """
    if not isinstance(settings.edges, ProgrammerSettings):
        return {}
    names = settings.edges.names
    if len(names) == 1:
        return {names[0]: np.arange(topology.n_edges)}
    units = {one.name: one.edge_unit for one in settings.instruments}
    found: dict[str, IntArray] = {}
    for name in names:
        own = [edges for parameter, edges in topology.parameters if parameter.unit == units.get(name)]
        found[name] = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *own]))
    return found


def _programmer(
    settings: BenchSettings, instruments: Mapping[str, InstrumentSettings], topology: Topology
) -> Iterator[str]:
    if not isinstance(settings.edges, ProgrammerSettings):
        return
    names, units = settings.edges.names, [parameter.unit for parameter, _ in topology.parameters]
    by_unit: dict[str, str] = {}
    for wanted in names:
        key = f"backend.edges.programmer = {wanted!r}"
        one = instruments.get(wanted)
        if one is None:
            hint = closest(wanted, list(instruments))
            yield f"{key}: there is no such instrument{hint}; no edge can be set"
        elif one.edge_unit is None:
            yield (
                f"{key}: a {one.model} cannot set conductances; name another instrument, or give the conductance "
                "of fixed edges"
            )
        elif one.edge_unit in by_unit:
            yield f"{key}: {by_unit[one.edge_unit]} sets the values in {one.edge_unit} already; name one of them"
        elif len(names) > 1 and one.edge_unit not in units:
            yield f"{key}: it sets values in {one.edge_unit}, which no edge has; remove it"
        else:
            by_unit[one.edge_unit] = wanted
    if len(names) > 1 and instruments.keys() >= set(names):
        for parameter, _ in topology.parameters:
            if parameter.unit not in by_unit:
                yield (
                    f"backend.edges.programmer: none of {', '.join(names)} sets a {parameter.name} in "
                    f"{parameter.unit}; name an instrument that does"
                )


def _doubled(table: str, key: str, names: Sequence[str]) -> Iterator[str]:
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield f"two of backend.{table} have {key} = {name!r}"


def _uses(
    settings: BenchSettings, terminals: Iterable[Terminal], matrix: MatrixTable | None, topology: Topology
) -> dict[str, ChannelUse]:
    found: dict[str, dict[Role, dict[str, str]]] = {
        one.name: {role: {} for role in Role} for one in settings.instruments
    }
    rows = () if matrix is None else matrix.rows
    ends: list[Terminal | MatrixRow] = [*terminals, *rows]
    for end in ends:
        for role, place in end.places():
            found[place.instrument][role].setdefault(place.channel, end.name)
    on_rows = [place for row in rows for _, place in row.places()]
    programmed = programmed_edges(settings, topology)
    return {
        name: ChannelUse(
            roles[Role.SOURCE],
            roles[Role.READ],
            roles[Role.NUDGE],
            roles[Role.SWITCH],
            len(programmed.get(name, ())),
            *_lines(name, matrix, topology),
            frozenset(place.channel for place in on_rows if place.instrument == name),
        )
        for name, roles in found.items()
    }


def _lines(name: str, matrix: MatrixTable | None, topology: Topology) -> tuple[dict[str, str], dict[str, str]]:
    """Return rows and columns in use of an instrument, each with what it is connected to."""
    if matrix is None or matrix.instrument != name:
        return {}, {}
    return matrix.connected, {column: topology.names[node] for node, column in matrix.columns.items()}


def _listed(problems: Sequence[str]) -> str:
    return problems[0] if len(problems) == 1 else f"{len(problems)} problems: {'; '.join(problems)}"
