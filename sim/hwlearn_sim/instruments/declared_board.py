"""`VirtualDeclaredBoard`: a board that obeys a declared text protocol, on the circuit of a virtual bench."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from hwlearn.circuit.topology import Topology
from hwlearn_drivers.declared.declaration import Declaration
from hwlearn_drivers.declared.interpreter import BoardHardware, Interpreter
from hwlearn_sim.devices.programmed import Devices
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock, VirtualInstrument
from hwlearn_sim.placed import PlacedDeclared, PlacedResistor
from hwlearn_sim.plane.contacts import Contact, with_contacts
from hwlearn_sim.plane.plane import AnalogPlane
from hwlearn_sim.plane.sources import Open, VoltageSource
from hwlearn_sim.wire.faults import Faults
from hwlearn_sim.wire.session import Line, Session

_LONGEST_LINE = 1 << 16

DAC_LIMIT_A = 25e-3
"""Short-circuit current of a DAC output."""


class PlaneHardware(BoardHardware):
    """Converters, switches and potentiometers of a board on a plane.

    Parameters
    ----------
    declaration : Declaration
    plane : AnalogPlane
    label : str
        Prefix of the channels' names.
    sources, reads : mapping of str to int or str
        Node of each source channel and of each reading channel.
    behind : mapping of str to str
        Source channel -> switch that connects it.
    edges : sequence of int
        Edge of the circuit at each place of the board.
    devices : Devices or None
    gain, offset_V, noise_V : float
        Standard deviations of gain errors, offsets, and of one reading.
    rng : numpy.random.Generator
    """

    def __init__(
        self,
        declaration: Declaration,
        plane: AnalogPlane,
        label: str,
        sources: Mapping[str, int | str],
        reads: Mapping[str, int | str],
        behind: Mapping[str, str],
        edges: Sequence[int],
        devices: Devices | None,
        errors: tuple[float, float, float],
        rng: np.random.Generator,
    ) -> None:
        gain, offset_V, self._noise_V = errors
        self._plane, self._devices, self._rng = plane, devices, rng
        self._channels = {name: plane.attach(node, f"{label} DAC {name}") for name, node in sources.items()}
        self._reads = {name: plane.attach(node, f"{label} ADC {name}") for name, node in reads.items()}
        self._behind, self._edges = dict(behind), np.array(edges, dtype=np.int64)
        self._levels: dict[str, float] = {}
        self._closed: set[str] = set()
        names = [*sources, *(f"ADC {name}" for name in reads)]
        self._gains = dict(zip(names, 1 + gain * rng.standard_normal(len(names)), strict=True))
        self._offsets = dict(zip(names, offset_V * rng.standard_normal(len(names)), strict=True))
        self._law = None if declaration.edge is None else declaration.edge.make_law()
        count = 0 if declaration.edge is None else declaration.edge.count
        self._codes = np.full(
            count, 0 if declaration.edge is None else declaration.edge.codes // 2, dtype=np.int64
        )
        self._nominal = np.array(plane.conductances)
        self.off()
        self._move()

    def set_source(self, channel: str, volts: float) -> None:
        """Set a DAC; one behind an open switch drives nothing."""
        self._levels[channel] = volts
        self._drive(channel)

    def source_level(self, channel: str) -> float:
        """Return the level as the firmware remembers it."""
        return self._levels.get(channel, 0.0)

    def read(self, channel: str) -> float:
        """Return the voltage of a node with gain error, offset and noise; an open ADC input reads 0 V."""
        if channel not in self._reads:
            return 0.0
        name = f"ADC {channel}"
        volts = self._plane.read(self._reads[channel]).volts
        noise = self._noise_V * self._rng.standard_normal() if self._noise_V else 0.0
        return float(volts * self._gains[name] + self._offsets[name] + noise)

    def set_switch(self, channel: str, closed: bool) -> None:
        """Open or close a switch."""
        (self._closed.add if closed else self._closed.discard)(channel)
        for source, switch in self._behind.items():
            if switch == channel:
                self._drive(source)

    def set_edges(self, first: int, codes: Sequence[int]) -> None:
        """Set potentiometers."""
        self._codes[first : first + len(codes)] = codes
        self._move()

    def edge_codes(self) -> Sequence[int]:
        """Return the codes."""
        return [int(code) for code in self._codes]

    def off(self) -> None:
        """Set every DAC to 0 V and open every switch."""
        self._closed.clear()
        for channel in self._channels:
            self.set_source(channel, 0.0)
        self._levels.clear()

    @property
    def is_off(self) -> bool:
        """Whether every DAC is at 0 V and every switch is open; for tests."""
        return not self._closed and not any(self._levels.values())

    def _drive(self, channel: str) -> None:
        if channel not in self._channels:
            return
        switch = self._behind.get(channel)
        if switch is not None and switch not in self._closed:
            self._plane.drive(self._channels[channel], Open())
            return
        volts = self._levels.get(channel, 0.0) * self._gains[channel] + self._offsets[channel]
        self._plane.drive(self._channels[channel], VoltageSource(float(volts), DAC_LIMIT_A))

    def _move(self) -> None:
        if self._law is None or self._devices is None:
            return
        count = min(len(self._edges), len(self._codes))
        self._nominal[self._edges[:count]] = self._law.siemens(self._codes[:count])
        true = np.array(self._plane.conductances)
        own = self._edges[:count]
        true[own] = self._devices.written(self._nominal)[own]
        self._plane.set_conductances(true)


class _LineSession(Session):
    """A client of a board: lines may end in CR, LF or both."""

    def __init__(self, line: Line, board: VirtualDeclaredBoard, faults: Faults) -> None:
        super().__init__(line, faults)
        self._board, self._pending = board, b""

    def receive(self, data: bytes) -> bool:
        """Obey the lines that are complete; return whether to keep the connection."""
        *lines, self._pending = re.split(rb"[\r\n]", (self._pending + data)[-_LONGEST_LINE:])
        for line in lines:
            reply = self._board.execute(line) if line else b""
            if reply and not self._reply(reply):
                return False
        return True


class VirtualDeclaredBoard(VirtualInstrument):
    """A board with a declared text protocol.

    Parameters
    ----------
    declaration : Declaration
    hardware : PlaneHardware
    rng : numpy.random.Generator
        The noise of its readings.
    clock : Clock, optional
    """

    takes_blocks = False

    def __init__(
        self,
        declaration: Declaration,
        hardware: PlaneHardware,
        rng: np.random.Generator,
        clock: Clock | None = None,
    ) -> None:
        super().__init__("" if declaration.identity is None else declaration.identity.made_up, 16, clock)
        self.hardware, self._rng = hardware, rng
        self._interpreter = Interpreter(declaration, hardware)

    @property
    def generators(self) -> list[np.random.Generator]:
        """The noise of its readings."""
        return [self._rng]

    def reset(self) -> None:
        """Set every DAC to 0 V and open every switch, as after power-up; the edges keep their codes."""
        self.hardware.off()

    def session(self, line: Line, faults: Faults) -> Session:  # type: ignore[override]
        """Start the session of a client."""
        return _LineSession(line, self, faults)

    def _execute(self, message: bytes) -> bytes:
        reply = self._interpreter.answer(message.decode("ascii", "replace"))
        return b"" if reply is None else reply.encode("ascii") + b"\r\n"

    def _record_error(self, error: VirtualInstrumentError) -> None:
        """Do nothing: a board reports errors as its protocol says, in its replies."""


def with_resistors(
    topology: Topology, resistors: Sequence[PlacedResistor], label: str = "nudge of"
) -> tuple[Topology, dict[str, int]]:
    """Return the graph with one more node for each resistor: its end at the source.

    The name of the new node is the label, and the name of the node at the other end.

    Returns
    -------
    (Topology, dict)
        The graph, and the node of each source channel behind a resistor.
    """
    n = topology.n_nodes
    ends = {resistor.source: n + k for k, resistor in enumerate(resistors)}
    contacts = [Contact(n + k, resistor.node, resistor.siemens) for k, resistor in enumerate(resistors)]
    names = [f"{label} {topology.names[resistor.node]}" for resistor in resistors]
    return with_contacts(topology, contacts, names), ends


def make_declared_board(
    placed: PlacedDeclared,
    ends: Mapping[str, int],
    plane: AnalogPlane,
    devices: Devices,
    rng: np.random.Generator,
    clock: Clock,
) -> VirtualDeclaredBoard:
    """Return the board of a virtual bench.

    Parameters
    ----------
    placed : PlacedDeclared
    ends : mapping of str to int
        Node of each source channel behind a resistor.
    plane, devices, rng, clock
        See `PlaneHardware` and `VirtualDeclaredBoard`.
    """
    hardware = PlaneHardware(
        placed.declaration,
        plane,
        placed.name,
        {**placed.sources, **ends},
        placed.reads,
        {resistor.source: resistor.switch for resistor in placed.nudges},
        () if placed.edges is None else placed.edges,
        None if placed.edges is None else devices,
        (placed.gain, placed.offset_V, placed.noise_V),
        rng,
    )
    return VirtualDeclaredBoard(placed.declaration, hardware, rng, clock)
