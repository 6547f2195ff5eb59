"""The analog plane: one circuit on whose nodes the channels of several instruments hang."""

from __future__ import annotations

import threading
from collections.abc import Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csc_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import CircuitError, SingularCircuitError
from hwlearn_sim.plane.compliance import Settled, Terminals, settle
from hwlearn_sim.plane.sources import LoadLine, Open, Source, SourceOperatingPoint, VoltageSource, shared


@dataclass(frozen=True, slots=True)
class AttachedChannel:
    """One channel as a spectator sees it.

    Attributes
    ----------
    label : str
        The channel's name.
    node : int
        Where it hangs.
    source : Source
        What it does there.
    operating_point : SourceOperatingPoint
        Where it came to rest.
    """

    label: str
    node: int
    source: Source
    operating_point: SourceOperatingPoint


class AnalogPlane:
    """A resistor network solved together with every source attached to it, their limits included.

    Any node can take any number of channels, each against board ground. A part of the circuit that nothing
    ties to a potential rests as near to 0 V as its sources let it: every real circuit leaks a little.

    Parameters
    ----------
    topology : Topology
        The graph; its inputs and outputs play no part, its ground node is held at 0 V.
    conductances : array_like, shape (E,)
        True conductances in siemens; zero is an open edge.

    Raises
    ------
    CircuitError
        If a conductance is negative or not finite.

    Notes
    -----
    Every method may be called from any thread.
    """

    def __init__(self, topology: Topology, conductances: ArrayLike) -> None:
        self.topology = topology
        self._lock = threading.RLock()
        self._conductances = _checked(topology, conductances)
        self._nodes: list[int] = []
        self._labels: list[str] = []
        self._sources: list[Source] = []
        self._reduced: _Reduced | None = None
        self._at_rest: Settled | None = None
        self._read_off: dict[int, SourceOperatingPoint] = {}
        self._stairs: dict[int, LoadLine] = {}
        self._states: dict[int, tuple[int, int]] = {}

    # --- channels -----------------------------------------------------------------------------------

    def attach(self, node: int, label: str = "") -> int:
        """Hang a channel, open at first, on a node and return its number.

        Raises
        ------
        CircuitError
            If there is no such node.
        """
        if not 0 <= node < self.topology.n_nodes:
            raise CircuitError(
                f"{label or 'a channel'} is to hang on node {node}; the nodes are 0 to {self.topology.n_nodes - 1}"
            )
        with self._lock:
            self._nodes.append(int(node))
            self._labels.append(label or f"channel {len(self._nodes) - 1}")
            self._sources.append(Open())
            self._stairs.pop(int(node), None)
            self._reduced = self._at_rest = None
            return len(self._nodes) - 1

    def drive(self, channel: int, source: Source) -> None:
        """Let a channel drive its node, or let go of it."""
        with self._lock:
            if self._sources[channel] != source:
                self._sources[channel] = source
                self._stairs.pop(self._nodes[channel], None)
                self._at_rest = None

    def read(self, channel: int) -> SourceOperatingPoint:
        """Return where a channel has come to rest, exactly."""
        with self._lock:
            return self._operating(channel)

    def driven_beside(self, channels: Set[int]) -> tuple[tuple[int, Source], ...]:
        """Return every other channel that drives something, with what it drives."""
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
            As for the plane itself; nothing changes then.
        """
        checked = _checked(self.topology, conductances)
        with self._lock:
            self._conductances = checked
            self._reduced = self._at_rest = None

    def node_voltages(self) -> FloatArray:
        """Return the volts (N,) at every node as they are now."""
        with self._lock:
            settled, circuit = self._rest()
            return circuit.voltages(settled)

    def channels(self) -> list[AttachedChannel]:
        """Return every channel as it is now."""
        with self._lock:
            operating = [self._operating(channel) for channel in range(len(self._nodes))]
            return [
                AttachedChannel(*row)
                for row in zip(self._labels, self._nodes, self._sources, operating, strict=True)
            ]

    # --- solving ------------------------------------------------------------------------------------

    def _rest(self) -> tuple[Settled, _Reduced]:
        if self._reduced is None:
            self._reduced = _Reduced(self.topology, self._conductances, self._nodes)
        if self._at_rest is None:
            self._at_rest = self._solve(self._reduced)
        return self._at_rest, self._reduced

    def _solve(self, circuit: _Reduced) -> Settled:
        for node in circuit.terminals:
            if node not in self._stairs:
                self._stairs[node] = LoadLine.of([self._sources[channel] for channel in circuit.hanging[node]])
        stairs = [self._stairs[node] for node in circuit.terminals]
        guess = [self._guess(node, stair) for node, stair in zip(circuit.terminals, stairs, strict=True)]
        self._read_off.clear()
        settled = settle(circuit.seen, stairs, np.array(guess, dtype=np.int64))
        for node, stair, state in zip(circuit.terminals, stairs, settled.states.tolist(), strict=True):
            self._states[node] = (len(stair.kinks), state)
        return settled

    def _operating(self, channel: int) -> SourceOperatingPoint:
        settled, circuit = self._rest()
        if channel in self._read_off:
            return self._read_off[channel]
        node = self._nodes[channel]
        if node == self.topology.ground:
            return _shorted(self._sources[channel])
        k, here = circuit.place[node], circuit.hanging[node]
        at = shared(
            [self._sources[other] for other in here],
            self._stairs[node],
            int(settled.states[k]),
            float(settled.volts[k]),
            float(settled.amperes[k]),
        )
        self._read_off.update(zip(here, at, strict=True))
        return self._read_off[channel]

    def _guess(self, node: int, stair: LoadLine) -> int:
        kinks, state = self._states.get(node, (-1, 0))
        return state if kinks == len(stair.kinks) else stair.likely


class _Reduced:
    """The circuit reduced to its terminals (Kron), and the way back to all nodes."""

    def __init__(self, topology: Topology, conductances: FloatArray, nodes: list[int]) -> None:
        topology.require_ohmic("a circuit of virtual instruments")
        ground, n = topology.ground, topology.n_nodes
        self._n = n
        self.hanging: dict[int, list[int]] = {}
        for channel, node in enumerate(nodes):
            self.hanging.setdefault(node, []).append(channel)
        self.terminals = sorted(set(nodes) - {ground})
        self.place = {node: k for k, node in enumerate(self.terminals)}
        kept = np.array([*self.terminals, *([] if ground is None else [ground])], dtype=np.int64)
        g = np.concatenate([conductances, topology.fixed_conductances])
        B = topology.all_incidence
        laplacian = csc_array(B.T @ (B * g[:, None]))
        inner = _tied(laplacian, kept)
        self._kept, self._inner = kept, inner
        between = -laplacian[kept][:, kept].toarray()
        self._follow = np.zeros((inner.size, kept.size))
        if inner.size and kept.size:
            pull = -laplacian[inner][:, kept].toarray()
            try:
                self._follow = splu(csc_array(laplacian[inner][:, inner])).solve(pull)
            except RuntimeError as error:
                raise SingularCircuitError(
                    "singular circuit: the conductances differ by so much that double precision cannot "
                    "solve it; narrow their range"
                ) from error
            between += pull.T @ self._follow
        np.fill_diagonal(between, 0.0)
        between = np.maximum(0.5 * (between + between.T), 0.0)
        m = len(self.terminals)
        to_ground = between[:m, m] if ground is not None else np.zeros(m)
        self.seen = Terminals(between[:m, :m], to_ground)

    def voltages(self, settled: Settled) -> FloatArray:
        """Return the volts (N,) at all nodes; one that nothing ties to a terminal rests at 0 V."""
        V = np.zeros(self._n)
        V[self.terminals] = settled.volts
        V[self._inner] = self._follow @ V[self._kept]
        return V


def _tied(laplacian: csc_array, kept: IntArray) -> IntArray:
    """Return the nodes, none of the kept ones, that a conducting path ties to one of them."""
    part = connected_components(abs(laplacian) > 0, directed=False)[1]
    inner = np.isin(part, part[kept])
    inner[kept] = False
    return np.flatnonzero(inner).astype(np.int64)


def _shorted(source: Source) -> SourceOperatingPoint:
    """Return how a channel fares that hangs on ground itself."""
    if isinstance(source, VoltageSource):
        limited = source.volts != 0
        return SourceOperatingPoint(0.0, float(np.sign(source.volts)) * source.limit_A, limited)
    return SourceOperatingPoint(0.0, 0.0 if isinstance(source, Open) else source.amperes, False)


def _checked(topology: Topology, conductances: ArrayLike) -> FloatArray:
    g = np.array(conductances, dtype=np.float64)
    if g.shape != (topology.n_edges,):
        raise CircuitError(f"conductances must have shape ({topology.n_edges},), one an edge, got {g.shape}")
    wrong = ~((g >= 0) & np.isfinite(g))
    if wrong.any():
        k = int(np.flatnonzero(wrong)[0])
        raise CircuitError(f"conductance {g[k]:g} S at {topology.edge_name(k)} is not zero or positive and finite")
    g.flags.writeable = False
    return g
