"""`Role`, `Crosspoint`, `ChannelUse`, `SourceRange`, `ChannelReadings`: what channels do, can do and report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.errors import LimitError
from hwlearn.units import ROUNDING, format_quantity


class Role(StrEnum):
    """What a channel of an instrument does on a bench."""

    SOURCE = "source"
    """Voltage source: at an input, or behind the resistor of a nudge."""

    READ = "read"
    """Reads the voltage of a terminal."""

    NUDGE = "nudge"
    """Drives an output itself: as current source, as clamp, or both."""

    SWITCH = "switch"
    """Connects and disconnects the resistor of a nudge."""

    EDGES = "edges"
    """Programs the edges; a role of a whole instrument."""


@dataclass(frozen=True, slots=True, order=True)
class Crosspoint:
    """The place in a switch matrix where a relay connects a row and a column.

    Attributes
    ----------
    row, column : str
        Names of row and column, as `ConnectsCrosspoints.rows` and `ConnectsCrosspoints.columns` list them.
    """

    row: str
    column: str

    def __str__(self) -> str:
        return f"row {self.row}, column {self.column}"


@dataclass(frozen=True, slots=True)
class ChannelUse:
    """The channels of one instrument that a bench uses, each with the terminal that it is connected to.

    Attributes
    ----------
    sources, reads, nudges, switches : mapping of str to str
        Channel -> name of the node. A channel may have several roles.
    edges : int
        Number of edges that it programs.
    rows : mapping of str to str
        Row of a switch matrix -> what is connected to it, such as ``"smu1:a"`` or ``"ground"``.
    columns : mapping of str to str
        Column of a switch matrix -> name of the node.
    on_rows : frozenset of str
        Channels that are connected to a row of a switch matrix, which is then their "node".
    """

    sources: Mapping[str, str] = field(default_factory=dict)
    reads: Mapping[str, str] = field(default_factory=dict)
    nudges: Mapping[str, str] = field(default_factory=dict)
    switches: Mapping[str, str] = field(default_factory=dict)
    edges: int = 0
    rows: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    on_rows: frozenset[str] = frozenset()

    def of(self, role: Role) -> Mapping[str, str]:
        """Return the channels that play a role."""
        return {
            Role.SOURCE: self.sources,
            Role.READ: self.reads,
            Role.NUDGE: self.nudges,
            Role.SWITCH: self.switches,
        }[role]

    @property
    def channels(self) -> tuple[str, ...]:
        """Every channel in use, once."""
        every = (self.sources, self.reads, self.nudges, self.switches)
        return tuple(dict.fromkeys(channel for one in every for channel in one))

    def node(self, channel: str) -> str:
        """Return the node that a channel is connected to, for messages; empty if it is not in use."""
        every = (self.sources, self.reads, self.nudges, self.switches)
        return next((one[channel] for one in every if channel in one), "")

    def place(self, channel: str) -> str:
        """Return ``node x0`` or ``row A``: what a channel is connected to, for messages."""
        return f"{'row' if channel in self.on_rows else 'node'} {self.node(channel)}"

    def joined(self, crosspoint: Crosspoint) -> str:
        """Return what a crosspoint connects, for messages: ``smu1:a to node x0``."""
        row = self.rows.get(crosspoint.row, "nothing")
        column = self.columns.get(crosspoint.column)
        return f"{row} to {'nothing' if column is None else f'node {column}'}"


@dataclass(frozen=True, slots=True)
class SourceRange:
    """What a voltage source can set.

    Attributes
    ----------
    low_V, high_V : float
        Lowest and highest voltage.
    step_V : float or None
        Step between two voltages; None if it is continuous or unknown.
    """

    low_V: float
    high_V: float
    step_V: float | None = None

    def check(self, where: str, volts: float) -> None:
        """Refuse a voltage that is not finite or that the source cannot set.

        Raises
        ------
        LimitError
            Naming source, value and range; nothing was sent.
        """
        room = ROUNDING * max(abs(self.low_V), abs(self.high_V))
        if not (math.isfinite(volts) and self.low_V - room <= volts <= self.high_V + room):
            raise LimitError(
                f"{format_quantity(volts, 'V', 7)} on {where} is outside its range of "
                f"{format_quantity(self.low_V, 'V')} to {format_quantity(self.high_V, 'V')}; nothing was sent"
            )


@dataclass(frozen=True, eq=False, slots=True)
class ChannelReadings:
    """ChannelReadings of several channels, in the order in which they were requested.

    Attributes
    ----------
    volts : ndarray, shape (n,)
        NaN where the instrument reported no number.
    amperes : ndarray, shape (n,), or None
        Current out of the channel into the node; NaN where it is not measured. None: of no channel.
    limited : ndarray of bool, shape (n,), or None
        Channels whose source was at its limit (in compliance).
    saturated : ndarray of bool, shape (n,), or None
        Channels whose converter was at an end of its range.
    """

    volts: FloatArray
    amperes: FloatArray | None = None
    limited: BoolArray | None = None
    saturated: BoolArray | None = None
