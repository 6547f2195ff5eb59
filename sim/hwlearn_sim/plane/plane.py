"""The analog plane: one simulated circuit that the channels of several instruments are connected to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Set
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.arrays import FloatArray
from hwlearn.circuit.elements.three_terminal import CONDUCTANCE
from hwlearn.circuit.topology import Topology
from hwlearn.errors import CircuitError
from hwlearn_sim.plane.compliance import Solution
from hwlearn_sim.plane.contacts import Contact, node_number, with_contacts
from hwlearn_sim.plane.nonlinear import NonlinearCircuit
from hwlearn_sim.plane.nonreciprocal import NonreciprocalCircuit
from hwlearn_sim.plane.ohmic import OhmicCircuit
from hwlearn_sim.plane.placement import Placement
from hwlearn_sim.plane.sources import (
    CurrentSource,
    LoadLine,
    Open,
    Source,
    SourceOperatingPoint,
    VoltageSource,
    share_current,
)

_MOST_KEPT: Final = 256
_PROBE_A: Final = 1e-9
_PROBE_LIMIT_V: Final = 1e3
_Kept = TypeVar("_Kept")

AnyCircuit = OhmicCircuit | NonlinearCircuit | NonreciprocalCircuit
"""A circuit by what its elements are."""


@dataclass(frozen=True, slots=True)
class AttachedChannel:
    """State of one channel of the plane.

    Attributes
    ----------
    label : str
        Name of the channel.
    node : int
        Node that it is connected to.
    source : Source
        What it sources.
    operating_point : SourceOperatingPoint
        Its voltage and current in the solved circuit.
    """

    label: str
    node: int
    source: Source
    operating_point: SourceOperatingPoint


class AnalogPlane:
    """A circuit solved together with all sources attached to it and their limits.

    Any node can take any number of channels, each connected between the node and board ground. A floating part of
    the circuit is solved as close to 0 V as its sources allow, because every real circuit has some leakage.

    Parameters
    ----------
    topology : Topology
        The graph and its elements, of any kind. Its inputs and outputs are not used; its ground node is held at
        0 V.
    conductances : array_like, shape (E,)
        True conductances in siemens, the thetas of elements that are not resistors, zero is an open edge; gate
        voltages in volts of transistors.

    Raises
    ------
    CircuitError
        If a conductance is negative or not finite.

    Notes
    -----
    All methods are thread-safe. A reading of a circuit with nonlinear elements depends on conductances and sources
    alone, to the last bit. A reading of a circuit of resistors may depend on earlier ones by rounding, if a source
    is exactly at its limit.
    """

    def __init__(self, topology: Topology, conductances: ArrayLike) -> None:
        self.topology = topology
        self._lock = threading.RLock()
        self._conductances = _checked(topology, conductances)
        self._nodes: list[int] = []
        self._labels: list[str] = []
        self._sources: list[Source] = []
        self._placement = Placement((), topology.ground)
        self._circuit: AnyCircuit | None = None
        self._solution: Solution | None = None
        self._operating_points: dict[int, SourceOperatingPoint] = {}
        self._load_lines: dict[int, LoadLine] = {}
        self._states: dict[int, tuple[int, int]] = {}
        self._contacts: dict[str, tuple[Contact, ...]] = {}
        self._closed: tuple[Contact, ...] = ()
        self._graphs: dict[tuple[Contact, ...], Topology] = {}
        self._circuits: dict[tuple[Contact, ...], AnyCircuit] = {}
        self._moving: dict[str, Callable[[], None]] = {}
        self._before: Callable[[], None] | None = None

    @property
    def exclusive(self) -> AbstractContextManager[bool]:
        """A lock that blocks the other threads; who changes several things of the plane holds it meanwhile."""
        return self._lock

    # --- channels -----------------------------------------------------------------------------------

    def attach(self, node: int | str, label: str = "") -> int:
        """Connect a channel, with its relay open, to a node, by number or name, and return its number.

        Raises
        ------
        CircuitError
            If there is no such node.
        """
        node = node_number(self.topology, node)
        if not 0 <= node < self.topology.n_nodes:
            raise CircuitError(
                f"{label or 'a channel'} cannot be connected to node {node}; the nodes are 0 to "
                f"{self.topology.n_nodes - 1}"
            )
        with self._lock:
            self._nodes.append(int(node))
            self._labels.append(label or f"channel {len(self._nodes) - 1}")
            self._sources.append(Open())
            self._load_lines.pop(int(node), None)
            self._circuits.clear()
            self._circuit = self._solution = None
            return len(self._nodes) - 1

    def drive(self, channel: int, source: Source) -> None:
        """Set the source of a channel."""
        with self._lock:
            if self._sources[channel] != source:
                self._pass()
                self._sources[channel] = source
                self._load_lines.pop(self._nodes[channel], None)
                self._solution = None

    def read(self, channel: int) -> SourceOperatingPoint:
        """Return the exact operating point of a channel."""
        with self._lock:
            self._move()
            self._pass()
            return self._operating_point(channel)

    def resistance(self, channel: int) -> float:
        """Return the resistance in ohm from the node of an open channel to ground, with all sources as they are.

        It is the change of voltage by a small current, at the present operating point.
        """
        with self._lock:
            before, source = self._operating_point(channel).volts, self._sources[channel]
            self.drive(channel, CurrentSource(_PROBE_A, _PROBE_LIMIT_V))
            try:
                return abs(self._operating_point(channel).volts - before) / _PROBE_A
            finally:
                self.drive(channel, source)

    def other_sources(self, channels: Set[int]) -> tuple[tuple[int, Source], ...]:
        """Return the number and the source of every other channel that is not open."""
        with self._lock:
            return tuple(
                (channel, source)
                for channel, source in enumerate(self._sources)
                if channel not in channels and not isinstance(source, Open)
            )

    # --- circuit ------------------------------------------------------------------------------------

    @property
    def conductances(self) -> FloatArray:
        """True conductances (E,) in siemens."""
        return self._conductances

    def set_conductances(self, conductances: ArrayLike) -> None:
        """Change the true conductances (E,) in siemens.

        Raises
        ------
        CircuitError
            If a conductance is negative or not finite; nothing changes then.
        """
        checked = _checked(self.topology, conductances)
        with self._lock:
            self._conductances = checked
            self._circuits.clear()
            self._circuit = self._solution = None

    def set_contacts(self, owner: str, contacts: tuple[Contact, ...]) -> None:
        """Replace the contacts of one owner, such as the closed relays of a matrix."""
        with self._lock:
            if self._contacts.get(owner, ()) != contacts:
                self._pass()
                self._contacts[owner] = contacts
                self._closed = tuple(contact for own in self._contacts.values() for contact in own)
                self._circuit = self._solution = None

    def while_moving(self, owner: str, move: Callable[[], None] | None) -> None:
        """Call ``move`` before each reading, for contacts that have not settled; None: they have."""
        with self._lock:
            if move is None:
                self._moving.pop(owner, None)
            else:
                self._moving[owner] = move

    def before_changes(self, act: Callable[[], None]) -> None:
        """Call ``act`` before each change of sources and contacts, and before each reading."""
        with self._lock:
            self._before = act

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Change several things at one instant."""
        with self._lock:
            self._pass()
            act, self._before = self._before, None
            try:
                yield
            finally:
                self._before = act

    def _pass(self) -> None:
        if self._before is not None:
            self._before()

    def _move(self) -> None:
        for move in list(self._moving.values()):
            move()

    def node_voltages(self) -> FloatArray:
        """Return the present voltages (N,) of all nodes."""
        with self._lock:
            solution, circuit = self._solved()
            return circuit.voltages(solution)

    def channels(self) -> list[AttachedChannel]:
        """Return the present state of every channel."""
        with self._lock:
            points = [self._operating_point(channel) for channel in range(len(self._nodes))]
            rows = zip(self._labels, self._nodes, self._sources, points, strict=True)
            return [AttachedChannel(*row) for row in rows]

    # --- solving ------------------------------------------------------------------------------------

    def _solved(self) -> tuple[Solution, AnyCircuit]:
        if self._circuit is None:
            self._placement = Placement(self._nodes, self.topology.ground)
            wired = _recalled(self._graphs, self._closed, lambda: with_contacts(self.topology, self._closed))
            kind = _kind_of(self.topology)
            self._circuit = _recalled(
                self._circuits, self._closed, lambda: kind(wired, self._conductances, self._placement)
            )
        if self._solution is None:
            self._solution = self._solve(self._circuit)
        return self._solution, self._circuit

    def _solve(self, circuit: AnyCircuit) -> Solution:
        terminals = self._placement.terminals
        for node in terminals:
            if node not in self._load_lines:
                self._load_lines[node] = LoadLine.of(
                    [self._sources[channel] for channel in self._placement.channels_at[node]]
                )
        load_lines = [self._load_lines[node] for node in terminals]
        self._operating_points.clear()
        if not isinstance(circuit, OhmicCircuit):
            return circuit.solve(load_lines)
        guess = [self._guess(node, line) for node, line in zip(terminals, load_lines, strict=True)]
        solution = circuit.solve(load_lines, np.array(guess, dtype=np.int64))
        for node, line, state in zip(terminals, load_lines, solution.states.tolist(), strict=True):
            self._states[node] = (len(line.kinks), state)
        return solution

    def _operating_point(self, channel: int) -> SourceOperatingPoint:
        solution, _ = self._solved()
        if channel in self._operating_points:
            return self._operating_points[channel]
        node = self._nodes[channel]
        if node == self.topology.ground:
            return _shorted(self._sources[channel])
        k, here = self._placement.place[node], self._placement.channels_at[node]
        points = share_current(
            [self._sources[other] for other in here],
            self._load_lines[node],
            int(solution.states[k]),
            float(solution.volts[k]),
            float(solution.amperes[k]),
        )
        self._operating_points.update(zip(here, points, strict=True))
        return self._operating_points[channel]

    def _guess(self, node: int, load_line: LoadLine) -> int:
        kinks, state = self._states.get(node, (-1, 0))
        return state if kinks == len(load_line.kinks) else load_line.likely


def _kind_of(topology: Topology) -> type[AnyCircuit]:
    """Return the class that solves circuits of these elements."""
    if topology.elements is None:
        return OhmicCircuit
    return NonreciprocalCircuit if topology.has_three_terminals else NonlinearCircuit


def _recalled(
    known: dict[tuple[Contact, ...], _Kept], closed: tuple[Contact, ...], make: Callable[[], _Kept]
) -> _Kept:
    """Return what was kept for these contacts, or make it; the entry that was not used for longest is dropped."""
    found = known.pop(closed, None)
    known[closed] = make() if found is None else found
    if len(known) > _MOST_KEPT:
        del known[next(iter(known))]
    return known[closed]


def _shorted(source: Source) -> SourceOperatingPoint:
    """Return the operating point of a channel that is connected to ground."""
    if isinstance(source, VoltageSource):
        limited = source.volts != 0
        return SourceOperatingPoint(0.0, float(np.sign(source.volts)) * source.limit_A, limited)
    return SourceOperatingPoint(0.0, 0.0 if isinstance(source, Open) else source.amperes, False)


def _checked(topology: Topology, conductances: ArrayLike) -> FloatArray:
    g = np.array(conductances, dtype=np.float64)
    if g.shape != (topology.n_edges,):
        raise CircuitError(f"conductances must have shape ({topology.n_edges},), one per edge, got {g.shape}")
    wrong = ~((g >= 0) & np.isfinite(g))
    for parameter, edges in topology.parameters:
        if parameter != CONDUCTANCE:
            wrong[edges] = ~parameter.accepts(g[edges])
    if wrong.any():
        k = int(np.flatnonzero(wrong)[0])
        parameter = topology.parameter(k)
        allowed = "zero or positive and finite" if parameter == CONDUCTANCE else parameter.allowed
        what = f"{parameter.name} {g[k]:g} {parameter.unit} at {topology.edge_name(k)}"
        raise CircuitError(f"{what} is not {allowed}")
    g.flags.writeable = False
    return g
