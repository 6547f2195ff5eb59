"""`EdgeCard`: a card of digital potentiometers as edges, set by one block; `CardEdges`: a network's edges on it.

Messages: ``EDGE:DATA #block`` and ``EDGE:DATA?`` with blocks of `transport.blocks.encode_codes`, ``*IDN?``,
``*RST``, ``*CLS`` and ``SYST:ERR?``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import NetworkError, SetupError
from hwlearn.network.edge_codes import CodeLaw, Codes
from hwlearn.network.limits import Limits
from hwlearn.network.network import Programmed
from hwlearn.units import format_quantity
from hwlearn_drivers.edges.edges import Edges
from hwlearn_drivers.errors import GarbledReplyError, InstrumentError, OutputStateError
from hwlearn_drivers.instrument.instrument import Identity, Instrument
from hwlearn_drivers.transport.blocks import decode_codes, encode_block, encode_codes
from hwlearn_drivers.transport.fence import SCPI_FENCE, Fence
from hwlearn_drivers.transport.transport import Transport


class EdgeCard(Instrument):
    """An edge card at the end of a transport."""

    __slots__ = ()

    fence: ClassVar[Fence | None] = None  # until the card has accepted the command that the fence needs
    error_query: ClassVar[str] = "SYST:ERR?"

    @classmethod
    def open(cls, transport: Transport) -> EdgeCard:
        """Read the identity of the card and empty its error queue.

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
        """Empty the error queue and find out how to resynchronise; the edges do not change."""
        self.write("*CLS")
        try:
            self.write("*ESE 0")
        except InstrumentError:
            self.transport.fence = None  # resynchronise by silence instead
        else:
            self.transport.fence = SCPI_FENCE

    def write_codes(self, codes: Codes) -> None:
        """Set every edge of the card.

        Raises
        ------
        InstrumentError
            If the card rejects the block; no edge has changed then.
        """
        with self.transport.exchange():
            self.transport.write_block("EDGE:DATA", encode_codes(codes))
            self.check_errors("EDGE:DATA")

    def read_codes(self) -> Codes:
        """Return the code of every edge of the card.

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
    """Answers the queries of `EdgeCard` in a dry run, with the codes that were set.

    Parameters
    ----------
    places : int
        Number of edges on the card.
    """

    __slots__ = ("_block",)

    def __init__(self, places: int) -> None:
        self._block = encode_block(encode_codes(np.zeros(places, dtype=np.uint16)))

    def __call__(self, message: bytes) -> bytes | None:
        """Return the reply to a message; None if it has no reply."""
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
    law : CodeLaw
        Conductance of each code.
    places : iterable of int, optional
        Place on the card of each edge, in edge order; default 0, 1, 2, ...

    Raises
    ------
    SetupError
        If the card has too few places, a place is used twice, or the card cannot set every conductance that
        the limits allow.
    """

    def __init__(
        self,
        card: EdgeCard,
        topology: Topology,
        limits: Limits,
        law: CodeLaw,
        places: Iterable[int] | None = None,
    ) -> None:
        least, most = law.siemens_range
        low, high = limits.conductance
        if low < least or high > most:
            raise SetupError(
                f"the edge card covers {format_quantity(least, 'S')} to {format_quantity(most, 'S')}, but "
                f"limits.conductance is {format_quantity(low, 'S')} to {format_quantity(high, 'S')}"
            )
        self._card, self._law = card, law
        present = card.read_codes()
        chosen = list(range(topology.n_edges)) if places is None else [int(place) for place in places]
        if len(chosen) != topology.n_edges or len(set(chosen)) != len(chosen):
            count = topology.n_edges
            raise SetupError(f"{count} edges need {count} different places on the card, got {chosen}")
        if min(chosen) < 0 or max(chosen) >= len(present):
            raise SetupError(f"the card has places 0 to {len(present) - 1}, the edges need {chosen}")
        self._places = np.array(chosen, dtype=np.intp)
        self._wanted: Codes | None = None  # the codes that were set last
        self._taken = present[self._places]  # the codes that were read after it

    def program(self, conductances: FloatArray) -> Programmed:
        """Set the edges and read the codes back; unused places of the card do not change.

        Raises
        ------
        OutputStateError
            If somebody else has changed an edge since it was set; nothing is changed then.
        """
        wanted = self._law.nearest(conductances)
        codes = self._card.read_codes()
        self._compare(codes)
        taken = self._set(codes, wanted)
        return Programmed(conductances, self._law.siemens(taken), taken != wanted)

    def check(self) -> None:
        """Read the codes of the edges, and compare them with those that were read after they were set.

        Raises
        ------
        OutputStateError
            With edges, places, and the codes that were set and found.
        """
        self._compare(self._card.read_codes())

    def reconnect(self) -> None:
        """Open the link again if it is closed, and set the codes again if somebody else has changed them.

        Raises
        ------
        NetworkError
            If the edges do not take the same codes as before.
        """
        if self._card.transport.closed:
            self._card.reconnect()
        codes, before = self._card.read_codes(), self._taken
        if self._wanted is None:
            self._taken = codes[self._places]
        elif (codes[self._places] != before).any() and (self._set(codes, self._wanted) != before).any():
            self._taken = before
            raise NetworkError(
                f"{self._card.name}: its edges do not return to their previous codes; program them again"
            )

    def _set(self, codes: Codes, wanted: Codes) -> Codes:
        codes[self._places] = wanted
        self._wanted = wanted
        self._card.write_codes(codes)
        self._taken = self._card.read_codes()[self._places]
        return self._taken

    def _compare(self, codes: Codes) -> None:
        found = codes[self._places]
        changed = np.flatnonzero(found != self._taken)
        if changed.size:
            raise OutputStateError(
                f"somebody else changed {self._card.name}: edges {changed.tolist()} at its places "
                f"{self._places[changed].tolist()} were set to codes {self._taken[changed].tolist()} and have "
                f"codes {found[changed].tolist()}; find out who uses it"
            )

    def close(self) -> None:
        """Close the link; the edges do not change."""
        self._card.close()
