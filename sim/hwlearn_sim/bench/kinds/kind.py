"""`PlacedKind`: what a virtual bench needs to know of one kind of instrument."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn_drivers.bench.terminals import Behind, Wiring
from hwlearn_drivers.roles.settings import InstrumentSettings
from hwlearn_drivers.roles.values import Role
from hwlearn_sim.board.board import VirtualBoard
from hwlearn_sim.devices.programmed import Devices
from hwlearn_sim.instruments.capability import Meters
from hwlearn_sim.instruments.instrument import Clock, VirtualInstrument
from hwlearn_sim.placed import Placed, PlacedMatrix, Wire
from hwlearn_sim.plane.plane import AnalogPlane
from hwlearn_sim.wire import serve
from hwlearn_sim.wire.faults import Faults
from hwlearn_sim.wire.session import Served


@dataclass(frozen=True, slots=True)
class Site:
    """Where the instruments of a bench file are placed.

    Attributes
    ----------
    topology : Topology
    wiring : Wiring
    programmed : mapping of str to tuple of int
        Edges that each instrument programs, by its name.
    wire : {"tcp", "pty"}
    gain, offset_V, noise_V : float
        Errors of the converters of boards.
    """

    topology: Topology
    wiring: Wiring
    programmed: Mapping[str, tuple[int, ...]]
    wire: Wire
    gain: float
    offset_V: float
    noise_V: float

    def nodes(self, instrument: str, role: Role) -> dict[str, int | str]:
        """Return the node of each channel that plays a role; sources behind resistors are left out.

        The row of a switch matrix is a node too, by name.
        """
        behind = {terminal.nudge.source for terminal in self.wiring.outputs if isinstance(terminal.nudge, Behind)}
        matrix = self.wiring.matrix
        found: dict[str, int | str] = {
            place.channel: PlacedMatrix.node_of(matrix.instrument, row.name)
            for row in (() if matrix is None else matrix.rows)
            for played, place in row.places()
            if matrix is not None and played == role and place.instrument == instrument
        }
        return found | {
            place.channel: terminal.node
            for terminal in (*self.wiring.inputs, *self.wiring.outputs, *self.wiring.inner)
            for played, place in terminal.places()
            if played == role and place.instrument == instrument and not (role == Role.SOURCE and place in behind)
        }


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an instrument of a virtual bench is made with.

    Attributes
    ----------
    plane : AnalogPlane
        The circuit, with what every instrument adds to it.
    devices : Devices
        Imperfections of the devices at the edges.
    meters : Meters or None
        Noise and converter errors of source-measure units.
    clock : Clock
    rng : numpy.random.Generator
        Random numbers of this instrument alone.
    seed : int
        Seed of the bench.
    unit : int
        Number of this instrument on the bench, from 1, for serial numbers.
    """

    plane: AnalogPlane
    devices: Devices
    meters: Meters | None
    clock: Clock
    rng: np.random.Generator
    seed: int
    unit: int


class PlacedKind(ABC):
    """One kind of virtual instrument.

    Attributes
    ----------
    placed : type
        Class of the instruments of this kind.
    settings : type or None
        Table of the bench file whose virtual counterpart this is; None if it is not in benches of terminals.
    """

    placed: ClassVar[type[Placed]]
    settings: ClassVar[type[InstrumentSettings] | None] = None

    def place(self, settings: Any, site: Site) -> Placed:
        """Return the counterpart of an instrument of a bench file.

        Raises
        ------
        SetupError
            If it is wired as no virtual instrument is.
        """
        raise SetupError(f"{settings.name}: there is no virtual {settings.model}; use it with kind = 'bench'")

    def extend(self, placed: Any, topology: Topology, seed: int) -> tuple[Topology, Any]:
        """Return the graph with what the instrument adds to it, and what `make` needs of that.

        Nodes and fixed edges are added at the end, so that those before keep their numbers.
        """
        return topology, None

    def edges(self, placed: Any, topology: Topology) -> Sequence[int]:
        """Return the edges that it programs."""
        return ()

    @abstractmethod
    def make(self, placed: Any, added: Any, around: Surroundings) -> VirtualInstrument | VirtualBoard:
        """Return the instrument; ``added`` is what `extend` returned with the graph.

        Raises
        ------
        SetupError
            If its model is unknown, or a channel does not exist.
        """

    def server(self, placed: Placed, served: Served) -> serve.Server:
        """Return the server of an instrument at its address.

        Raises
        ------
        SetupError
            If this computer does not have such a connection.
        """
        return server_on(placed.wire, placed.port, served, placed.faults)

    @abstractmethod
    def model(self, placed: Any) -> str:
        """Return its model, for lists."""

    def nodes(self, placed: Any) -> int | str | Sequence[int | str] | None:
        """Return the node that it is connected to, a list for several channels; None if it sets edges alone."""
        return None

    def edge_law(self, placed: Any) -> str:
        """Return the law of its edges as keys of a bench file; empty if it has none."""
        return ""


def server_on(wire: Wire, port: int, served: Served, faults: Faults) -> serve.Server:
    """Return a server on a TCP socket or a pseudo-terminal.

    Raises
    ------
    SetupError
        If this computer does not have such a connection.
    """
    if wire == "tcp":
        return serve.TcpServer(served, port, faults)
    if sys.platform != "win32":
        return serve.PtyServer(served, faults)
    raise SetupError("Windows has no pseudo-terminals; use wire 'tcp'")


def in_order(nodes: Iterable[int | str]) -> list[int | str]:
    """Return different nodes, numbers before names."""
    return sorted(set(nodes), key=lambda node: (isinstance(node, str), node))
