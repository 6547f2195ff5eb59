"""`Place`, `Terminal`, `MatrixRow`, `Wiring`: which channel plays which role at which node or row of a matrix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hwlearn.network.nudges import DriveKind
from hwlearn_drivers.roles.values import ChannelUse, Role


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
    column : str or None
        Column of the matrix that it is connected to; the rows then play its roles.
    row : str or None
        MatrixRow of a matrix, instead of a node, that the source is connected to.
    """

    node: int
    name: str
    source: Place | None = None
    read: Place | None = None
    nudge: Place | Behind | None = None
    kinds: frozenset[DriveKind] = frozenset()
    column: str | None = None
    row: str | None = None

    @property
    def where(self) -> str:
        """Return ``node x0`` or ``row A``, for messages."""
        return f"node {self.name}" if self.row is None else f"row {self.row}"

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
class MatrixRow:
    """A row of a switch matrix and what is connected to it; nothing for a ground line.

    Attributes
    ----------
    name : str
        As the matrix calls it.
    source, read, nudge : Place or None
        Voltage source for inputs; reader; current source or clamp for an output.
    """

    name: str
    source: Place | None = None
    read: Place | None = None
    nudge: Place | None = None

    def places(self) -> Iterator[tuple[Role, Place]]:
        """Yield each role that is played here, with its channel."""
        for role, place in ((Role.SOURCE, self.source), (Role.READ, self.read), (Role.NUDGE, self.nudge)):
            if place is not None:
                yield role, place


@dataclass(frozen=True, slots=True)
class MatrixWiring:
    """The rows of a switch matrix, by what they do.

    Attributes
    ----------
    instrument : str
        Name of the matrix.
    rows : tuple of MatrixRow
        All of them.
    sources : tuple of MatrixRow
        Rows with a voltage source.
    readers : tuple of MatrixRow
        Rows with a reader that is not bound to one output.
    nudges : tuple of MatrixRow
        Rows that drive outputs: one for each output on a column, in order. Empty if there are fewer.
    ground : MatrixRow or None
    columns : mapping of int to str
        Node -> column, for every node that is connected to one.
    """

    instrument: str
    rows: tuple[MatrixRow, ...]
    sources: tuple[MatrixRow, ...]
    readers: tuple[MatrixRow, ...]
    nudges: tuple[MatrixRow, ...]
    ground: MatrixRow | None
    columns: Mapping[int, str]


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
    matrix : MatrixWiring or None
        Of the terminals that are columns of a switch matrix.
    """

    inputs: tuple[Terminal, ...]
    outputs: tuple[Terminal, ...]
    inner: tuple[Terminal, ...]
    uses: Mapping[str, ChannelUse]
    matrix: MatrixWiring | None = None
