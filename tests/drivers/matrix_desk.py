"""A desk of simulated instruments for a matrix bench, without drivers: sources, readers and a matrix on a circuit.

The circuit is solved by its node equations from what is really connected, so that a wrong relay gives a wrong
reading. Every relay move is refused, by an AssertionError, if a source is not at 0.
"""

from __future__ import annotations

import time
from typing import ClassVar

import numpy as np

from hwlearn.errors import SetupError
from hwlearn_drivers.bench.settings import BenchSettings
from hwlearn_drivers.bench.wiring import make_wiring
from hwlearn_drivers.edges.edges import FixedEdges
from hwlearn_drivers.errors import OutputStateError
from hwlearn_drivers.roles.instrument import (
    BenchInstrument,
    ConnectsCrosspoints,
    DrivesOutputs,
    ReadsVoltages,
    SetsVoltages,
)
from hwlearn_drivers.roles.settings import InstrumentSettings
from hwlearn_drivers.roles.values import ChannelReadings, Crosspoint, Role, SourceRange

ROLES = {"smu": {Role.SOURCE, Role.READ, Role.NUDGE}, "dac": {Role.SOURCE}, "dmm": {Role.READ}, "mat": set()}


class DeskInstrument(InstrumentSettings):
    """Table of an instrument of the desk; its kind is the first three letters of its name."""

    kind: ClassVar[str] = "desk"
    model: str = "desk"

    @classmethod
    def models(cls):
        return ["desk"]

    @property
    def addresses(self):
        return ()

    def channel_roles(self, channel):
        if channel not in "abcdefgh":
            raise SetupError(f"{self.name} has no channel {channel!r}")
        return frozenset(ROLES[self.name[:3]])

    @property
    def drive_kinds(self):
        return frozenset(("clamp", "current")) if self.name.startswith("smu") else frozenset()

    @property
    def connects_crosspoints(self):
        return self.name.startswith("mat")

    def open(self, use, limits, connector):
        raise NotImplementedError

    def write_off(self, connector, check):
        return False


class Circuit:
    """Conductances between nodes, and what each row of the matrix and each node is connected to.

    Attributes
    ----------
    sources : dict
        (instrument, channel) -> [kind, level], kind "voltage" or "current", of outputs that are on.
    log : list of str
        What happened: ``"move"``, ``"off NAME"``.
    """

    def __init__(self, topology, conductances, rows, columns, wires):
        self.topology, self.conductances = topology, np.asarray(conductances, dtype=float)
        self.rows, self.columns, self.wires = rows, columns, wires
        self.closed: set[Crosspoint] = set()
        self.stuck: set[Crosspoint] = set()  # open although reported as closed
        self.sources: dict[tuple[str, str], list] = {}
        self.log: list[str] = []
        self.largest = 0.0
        self.devices = None  # a DeviceModel whose conductances these are
        self.worst_drop = np.zeros(len(self.conductances))
        self._since = time.monotonic()

    def elapse(self):
        """Let the devices answer the voltages since the last change of a source."""
        now = time.monotonic()
        seconds, self._since = now - self._since, now
        if self.devices is None or not any(level for _, level in self.sources.values()):
            return
        V, _ = self.solve()
        drops = V[self.topology.edges[:, 0]] - V[self.topology.edges[:, 1]]
        self.worst_drop = np.maximum(self.worst_drop, np.abs(drops))
        self.devices.pulse(np.arange(len(drops)), drops, seconds)
        self.conductances = self.devices.conductance.copy()

    def _at(self, channel):
        """Return the nodes that a channel is connected to."""
        if channel in self.wires:
            return [self.wires[channel]]
        rows = [row for row, what in self.rows.items() if what == channel]
        return [self.columns[one.column] for one in self.closed - self.stuck if one.row in rows]

    def solve(self):
        """Return the voltage of each node, and the current of each source."""
        n = self.topology.n_nodes
        L = np.eye(n) * 1e-15
        for (a, b), g in zip(self.topology.edges, self.conductances, strict=True):
            L[[a, b], [a, b]] += g
            L[[a, b], [b, a]] -= g
        held, pushed = {}, np.zeros(n)
        for node in self._at("ground"):
            held[node] = 0.0
        if self.topology.ground is not None:
            held[self.topology.ground] = 0.0
        for channel, (kind, level) in self.sources.items():
            for node in self._at(channel):
                if kind == "voltage":
                    assert held.get(node, level) == level, f"two sources at node {node}"
                    held[node] = level
                else:
                    pushed[node] += level
        free = [k for k in range(n) if k not in held]
        V = np.zeros(n)
        V[list(held)] = list(held.values())
        if free:
            V[free] = np.linalg.solve(
                L[np.ix_(free, free)], pushed[free] - L[np.ix_(free, list(held))] @ V[list(held)]
            )
        self.largest = max(self.largest, float(np.abs(V).max()))
        into = L @ V
        amperes = {}
        for channel, (kind, level) in self.sources.items():
            amperes[channel] = sum(into[k] for k in self._at(channel)) if kind == "voltage" else level
        return V, amperes


class _Desk(BenchInstrument):
    def __init__(self, called, circuit, use):
        self.called, self.circuit, self.use = called, circuit, use
        self.halted = True

    name = property(lambda self: f"{self.called} (desk)")
    provenance = property(lambda self: self.called)
    halted_because = None
    needs_reconnect = False

    def halt(self, reopen=True):
        self.halted = True
        self.circuit.log.append(f"off {self.called}")
        self.circuit.sources = {at: one for at, one in self.circuit.sources.items() if at[0] != self.called}

    def rearm(self):
        self.halted = False

    def allow_again(self):
        pass

    def reconnect(self):
        pass

    def start_again(self):
        self.halt()

    def close(self):
        self.halt()


class DeskSource(_Desk, SetsVoltages):
    def source_range(self, channel):
        return SourceRange(-20, 20)

    def prepare_sources(self):
        assert not self.halted
        for channel in self.use.sources:
            self.circuit.sources[self.called, channel] = ["voltage", 0.0]

    def switch_sources_on(self):
        pass

    def set_voltages(self, volts, check):
        self.circuit.elapse()
        for channel, level in volts.items():
            self.circuit.sources[self.called, channel] = ["voltage", level]


class DeskReader(_Desk, ReadsVoltages):
    voltage_sigma = 1e-6

    def measures_current(self, channel):
        return False

    def read(self, channels):
        V, amperes = self.circuit.solve()
        volts = []
        for channel in channels:
            nodes = self.circuit._at((self.called, channel))
            kind, level = self.circuit.sources.get((self.called, channel), ("current", 0.0))
            volts.append(V[nodes[0]] if nodes else level if kind == "voltage" else 0.0)
        currents = [amperes.get((self.called, channel), 0.0) for channel in channels]
        return ChannelReadings(np.array(volts), np.array(currents))


class DeskSmu(DeskSource, DeskReader, DrivesOutputs):
    def measures_current(self, channel):
        return True

    def prepare_outputs(self):
        for channel in {*self.use.reads, *self.use.nudges} - set(self.use.sources):
            self.circuit.sources[self.called, channel] = ["current", 0.0]

    def switch_outputs_on(self):
        pass

    def change_drives(self, clamps):
        found = {}
        for channel, clamp in clamps.items():
            now = self.read([channel])
            kind = "voltage" if clamp else "current"
            found[channel] = float((now.volts if clamp else now.amperes)[0])
            self.circuit.sources[self.called, channel] = [kind, found[channel]]
        return found

    def set_outputs(self, levels, check):
        for channel, level in levels.items():
            self.circuit.sources[self.called, channel][1] = level


class DeskMatrix(_Desk, ConnectsCrosspoints):
    relay_moves = 0
    sticks: Crosspoint | None = None  # a relay that does not close
    rows = columns = ()

    def channel(self, crosspoint):
        return f"{crosspoint.row}{crosspoint.column}"

    def change(self, opening, closing):
        circuit = self.circuit
        live = {at: one for at, one in circuit.sources.items() if abs(one[1]) > 1e-9}
        assert not live, f"relays moved under voltage: {live}"
        assert not set(opening) & set(closing)
        assert set(opening) <= circuit.closed
        circuit.log.append("move")
        circuit.closed -= set(opening)
        circuit.closed |= set(closing)
        self.relay_moves += len(opening) + len(closing)
        if self.sticks in circuit.closed:
            circuit.closed.discard(self.sticks)
            raise OutputStateError(f"{self.name}: {self.sticks} was closed and is open")

    def closed(self):
        return frozenset(self.circuit.closed)

    def halt(self, reopen=True):
        super().halt(reopen)
        self.circuit.closed.clear()


KINDS = {"smu": DeskSmu, "dac": DeskSource, "dmm": DeskReader, "mat": DeskMatrix}


def settings(names, matrix, terminals=(), **more):
    """Return the settings of a desk, past the registry of models."""
    table = {"edges": "47 uS", "matrix": matrix, "terminals": list(terminals), **more}
    checked = BenchSettings.model_validate(
        {**table, "instruments": [{"name": "x", "model": "2450", "address": "x"}]}
    )
    listed = tuple(DeskInstrument(name=name) for name in names)
    return checked.model_copy(update={"instruments": listed})


def desk(topology, limits, names, matrix, terminals=(), conductances=1e-4, make=None, **more):
    """Return the network on a desk, and its circuit."""
    wiring = make_wiring(settings(names, matrix, terminals), topology, limits)
    g = np.broadcast_to(conductances, (topology.n_edges,))
    rows = {}
    for row, what in matrix["rows"].items():
        rows[row] = what if isinstance(what, str) else tuple(next(iter(what.values())).split(":"))
    columns = {str(column): topology.names.index(node) for node, column in matrix["columns"].items()}
    wires = {}
    for one in (*wiring.inputs, *wiring.outputs):
        for _, place in one.places() if one.column is None else ():
            wires[place.instrument, place.channel] = one.node
    circuit = Circuit(topology, g, rows, columns, wires)
    ordered = sorted(names, key=lambda name: name.startswith("mat"))
    opened = {name: KINDS[name[:3]](name, circuit, wiring.uses[name]) for name in ordered}
    edges = more.pop("edges", None)
    network = make(topology, limits, wiring, opened, edges or FixedEdges(topology, limits, g), **more)
    return network, circuit
