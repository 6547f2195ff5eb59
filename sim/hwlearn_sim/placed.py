"""Instruments of a virtual bench, and how each is connected to the circuit and to the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from hwlearn.network.edge_codes import CodeLaw
from hwlearn_drivers.declared.declaration import Declaration
from hwlearn_sim.wire.faults import Faults
from hwlearn_sim.wire.gpib_adapter import AdapterKind

Wire = Literal["tcp", "pty"]
Emulation = Literal["native", "avr"]


@dataclass(frozen=True)
class PlacedAdapter:
    """A GPIB adapter of a bench, to which several instruments are connected.

    Attributes
    ----------
    kind : {"prologix", "ar488"}
    wire, port, faults
        As of `Placed`; the faults are those of the connection between host and adapter.
    """

    kind: AdapterKind = "prologix"
    wire: Wire = "tcp"
    port: int = 0
    faults: Faults = field(default_factory=Faults)


@dataclass(frozen=True)
class GpibPlace:
    """Place of an instrument on the bus behind an adapter.

    Attributes
    ----------
    adapter : PlacedAdapter
        The same one for all instruments behind it.
    address : int
        Primary address.
    """

    adapter: PlacedAdapter
    address: int


@dataclass(frozen=True)
class Placed:
    """An instrument of a virtual bench; `hwlearn_sim.bench.kinds` has one kind for each class.

    Attributes
    ----------
    name : str
        Name of the instrument on the bench.
    wire : {"tcp", "pty"}
        Connection to the host: a TCP socket, or a pseudo-terminal (Linux and macOS only).
    port : int
        TCP port; 0 selects a free one.
    faults : Faults
        Faults of the connection to the host; behind an adapter, of the instrument's replies on the bus.
    gpib : GpibPlace or None
        Where it is if it is behind an adapter, which then has the connection to the host.
    """

    name: str
    wire: Wire = field(default="tcp", kw_only=True)
    port: int = field(default=0, kw_only=True)
    faults: Faults = field(default_factory=Faults, kw_only=True)
    gpib: GpibPlace | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class PlacedSmu(Placed):
    """A source-measure unit of a bench.

    Attributes
    ----------
    model : str
        Model number, such as ``"2400"``, ``"2450"``, ``"2612B"`` or ``"B2902A"``; the others are listed in
        `hwlearn_sim.instruments.MODELS`.
    nodes : tuple of int or str
        Node of each channel, in order, by number or name. A second channel may be left unconnected. The row of a
        switch matrix is a node too: ``"mat1:A"``.
    """

    model: str
    nodes: tuple[int | str, ...]


@dataclass(frozen=True)
class PlacedScanner(Placed):
    """A scanning voltmeter of a bench.

    Attributes
    ----------
    model : str
        Model number, such as ``"34970A"``.
    nodes : mapping of int to int or str
        Node at each channel that is connected, such as ``{101: 3}``.
    cards : mapping of int to str
        Card in each slot, such as ``{1: "34901A"}``.
    """

    model: str
    nodes: Mapping[int, int | str]
    cards: Mapping[int, str]


@dataclass(frozen=True)
class PlacedCard(Placed):
    """An edge card of a bench.

    Attributes
    ----------
    law : CodeLaw
        Conductance of each code.
    edges : tuple of int, optional
        The edge at each position of the card. Default: all edges, in order.
    codes : tuple of int, optional
        Initial codes. Default: the middle code.
    """

    law: CodeLaw
    edges: tuple[int, ...] | None = None
    codes: tuple[int, ...] | None = None


@dataclass(frozen=True)
class PlacedBoard(Placed):
    """A reference board of a bench: DAC k at input k, ADC j and a nudge resistor at output j, edge k at place k.

    Attributes
    ----------
    gain, offset_V : float
        Standard deviations of the gain errors and of the offsets (V) of its converters.
    noise_V : float
        Standard deviation of one conversion.
    calibrated : bool
        Whether its calibration record contains the true errors of converters and nudge resistors, or nominal
        values. The edges are nominal in both cases.
    emulation : {"native", "avr"}
        The firmware compiled for this computer, or the product's binary on an emulated ATmega2560.
    """

    gain: float = 0.0
    offset_V: float = 0.0
    noise_V: float = 0.0
    calibrated: bool = True
    emulation: Emulation = "native"


@dataclass(frozen=True)
class PlacedResistor:
    """A nudge resistor of a declared board, between one of its source channels and an output.

    Attributes
    ----------
    source, switch : str
        Channel, and the switch in series.
    node : int
        Output node.
    siemens : float
    """

    source: str
    switch: str
    node: int
    siemens: float


@dataclass(frozen=True)
class PlacedDeclared(Placed):
    """A board with a declared text protocol.

    Attributes
    ----------
    declaration : Declaration
    sources, reads : mapping of str to int or str
        Node of each channel in use, by number or name.
    nudges : tuple of PlacedResistor
    edges : tuple of int, optional
        Edge of the circuit at each place of the board; None if it programs none.
    gain, offset_V, noise_V : float
        Standard deviations of gain errors and offsets of its converters, and of one reading.
    """

    declaration: Declaration
    sources: Mapping[str, int | str] = field(default_factory=dict)
    reads: Mapping[str, int | str] = field(default_factory=dict)
    nudges: tuple[PlacedResistor, ...] = ()
    edges: tuple[int, ...] | None = None
    gain: float = 0.0
    offset_V: float = 0.0
    noise_V: float = 0.0


@dataclass(frozen=True, slots=True)
class RelayParts:
    """What the relays of a virtual matrix are like.

    Attributes
    ----------
    contact_ohm, spread : float
        Mean resistance of a closed contact, and relative standard deviation from relay to relay.
    emf_V : float
        Largest thermal voltage of a closed contact, of either sign. The default is the offset voltage of a B2200A
        (Agilent B2200 User's Guide, Edition 2, p. 29, input of an SMU).
    operate_s, bounce_s, release_s : float
        Time until a contact closes, time for which it bounces then, and time until it opens.
    """

    contact_ohm: float = 1.0
    spread: float = 0.3
    emf_V: float = 50e-6
    operate_s: float = 2e-3
    bounce_s: float = 2e-3
    release_s: float = 1e-3


@dataclass(frozen=True)
class PlacedMatrix(Placed):
    """A switch matrix of a bench. Each of its rows is a node, named ``"<name>:<row>"``.

    Attributes
    ----------
    model : str
        Model, such as ``"707B"``.
    cards : mapping of int to str
        Card in each slot.
    rows : tuple of str
        Rows that something is connected to.
    columns : mapping of str to int or str
        Node of each column in use.
    grounded : tuple of str
        Those of the rows that the ground line is connected to.
    relays : RelayParts
    """

    model: str
    cards: Mapping[int, str]
    rows: tuple[str, ...]
    columns: Mapping[str, int | str]
    grounded: tuple[str, ...] = ()
    relays: RelayParts = field(default_factory=RelayParts)

    def row_node(self, row: str) -> str:
        """Return the name of the node of a row."""
        return self.node_of(self.name, row)

    @staticmethod
    def node_of(matrix: str, row: str) -> str:
        """Return the name of the node of a row of a matrix with this name."""
        return f"{matrix}:{row}"
