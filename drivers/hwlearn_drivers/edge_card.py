"""The edge card: digital potentiometers as edges, all set by one block.

Wire: ``EDGE:DATA #block`` and ``EDGE:DATA?``, the block as `hwlearn_drivers.blocks.encode_codes` makes it;
``*IDN?``, ``*RST``, ``*CLS`` and ``SYST:ERR?``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hwlearn.circuit.topology import FloatArray, Topology
from hwlearn.errors import SetupError
from hwlearn.limits import Limits
from hwlearn.network import Programmed
from hwlearn.units import format_quantity
from hwlearn_drivers.blocks import decode_codes, encode_block, encode_codes
from hwlearn_drivers.edges import Edges
from hwlearn_drivers.errors import GarbledReplyError
from hwlearn_drivers.fence import Fence
from hwlearn_drivers.instrument import Identity, Instrument
from hwlearn_drivers.transport import Transport

Codes = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Rheostat:
    """A digital potentiometer between wiper and one end: its resistance rises with the code in equal steps.

    Attributes
    ----------
    full_ohm : float
        End to end.
    wiper_ohm : float
        In series with the wiper; all that is left at code 0.
    positions : int
        Codes are 0 to positions - 1.

    Raises
    ------
    SetupError
        If a value is not positive, or there are fewer than two positions.
    """

    full_ohm: float
    wiper_ohm: float
    positions: int = 256

    def __post_init__(self) -> None:
        for name in ("full_ohm", "wiper_ohm"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise SetupError(f"{name} of the edge card is {value}; it must be positive")
        if not 2 <= self.positions <= 65536:
            raise SetupError(f"positions of the edge card is {self.positions}; it must lie in 2 to 65536")

    def siemens(self, codes: Codes) -> FloatArray:
        """Return the conductance at each code."""
        return np.asarray(1.0 / (self.wiper_ohm + self.full_ohm * codes.astype(np.float64) / self.positions))

    def nearest(self, siemens: FloatArray) -> Codes:
        """Return the code whose conductance lies nearest to each target."""
        exact = (1.0 / siemens - self.wiper_ohm) * self.positions / self.full_ohm
        below = np.clip(np.floor(exact), 0, self.positions - 1).astype(np.uint16)
        above = np.minimum(below + 1, self.positions - 1).astype(np.uint16)
        nearer = np.abs(self.siemens(above) - siemens) < np.abs(self.siemens(below) - siemens)
        return np.where(nearer, above, below)

    @property
    def span(self) -> tuple[float, float]:
        """The least and the most conductance, in siemens."""
        ends = self.siemens(np.array([self.positions - 1, 0], dtype=np.uint16))
        return float(ends[0]), float(ends[1])


class EdgeCard(Instrument):
    """An edge card at the end of a transport."""

    __slots__ = ()

    fence: ClassVar[Fence | None] = None  # the card has nothing to fence with: silence must do
    error_question: ClassVar[str] = "SYST:ERR?"

    @classmethod
    def open(cls, transport: Transport) -> EdgeCard:
        """Ask who it is and empty its error queue.

        Raises
        ------
        LinkError
            If it does not answer; the transport is then closed.
        """
        try:
            transport.fence = cls.fence
            card = cls(transport, Identity.parse(transport.query("*IDN?")))
            card.set_up()
        except BaseException:
            transport.close()
            raise
        return card

    def set_up(self) -> None:
        """Empty the error queue; the edges stay as they are."""
        self.tell("*CLS")

    def write_codes(self, codes: Codes) -> None:
        """Set every edge of the card.

        Raises
        ------
        InstrumentError
            If the card refuses; it then has changed nothing.
        """
        with self.transport.exchange():
            self.transport.write_block("EDGE:DATA", encode_codes(codes))
            self.check_errors("EDGE:DATA")

    def read_codes(self) -> Codes:
        """Return what every edge of the card is set to.

        Raises
        ------
        GarbledReplyError
            If the checksum is wrong.
        """
        question = "EDGE:DATA?"
        with self.transport.exchange():
            data = self.transport.query_block(question)
            try:
                return decode_codes(data)
            except GarbledReplyError:
                self.transport.garbled(question, data[:40])


class DryEdgeCard:
    """Answers what `EdgeCard` asks in a dry run: a card that does what it is told.

    Parameters
    ----------
    places : int
        Edges on the card.
    """

    __slots__ = ("_block",)

    def __init__(self, places: int) -> None:
        self._block = encode_block(encode_codes(np.zeros(places, dtype=np.uint16)))

    def __call__(self, message: bytes) -> bytes | None:
        """Return the answer to a message, None where none is due."""
        if message.startswith(b"EDGE:DATA #"):
            self._block = message.removeprefix(b"EDGE:DATA ")
        answers = {
            b"*IDN?": b"DRY RUN,EDGE CARD,0,0",
            b"SYST:ERR?": b'0,"No error"',
            b"EDGE:DATA?": self._block,
        }
        return answers.get(message)


class CardEdges(Edges):
    """The edges of a network on an edge card.

    Parameters
    ----------
    card : EdgeCard
    topology : Topology
    limits : Limits
    law : Rheostat
        What a code means.
    places : iterable of int, optional
        Place on the card of each edge, in edge order; 0, 1, 2, ... unless given.

    Raises
    ------
    SetupError
        If the card has too few places, a place is named twice, or the card cannot make every conductance
        that the limits allow.
    """

    def __init__(
        self,
        card: EdgeCard,
        topology: Topology,
        limits: Limits,
        law: Rheostat,
        places: Iterable[int] | None = None,
    ) -> None:
        least, most = law.span
        low, high = limits.conductance
        if low < least or high > most:
            raise SetupError(
                f"the edge card makes {format_quantity(least, 'S')} to {format_quantity(most, 'S')}, but "
                f"limits.conductance is {format_quantity(low, 'S')} to {format_quantity(high, 'S')}"
            )
        self._card, self._law = card, law
        present = card.read_codes()
        chosen = list(range(topology.n_edges)) if places is None else [int(place) for place in places]
        if len(chosen) != topology.n_edges or len(set(chosen)) != len(chosen):
            raise SetupError(
                f"{topology.n_edges} edges need as many different places on the card, got {chosen}"
            )
        if min(chosen) < 0 or max(chosen) >= len(present):
            raise SetupError(f"the card has places 0 to {len(present) - 1}, the edges ask for {chosen}")
        self._places = np.array(chosen, dtype=np.intp)

    def program(self, conductances: FloatArray) -> Programmed:
        """Set the edges, and read back what the card took."""
        wanted = self._law.nearest(conductances)
        codes = self._card.read_codes()
        codes[self._places] = wanted
        self._card.write_codes(codes)
        taken = self._card.read_codes()[self._places]
        return Programmed(conductances, self._law.siemens(taken), taken != wanted)

    def close(self) -> None:
        """Close the card; the potentiometers stay where they are."""
        self._card.close()
