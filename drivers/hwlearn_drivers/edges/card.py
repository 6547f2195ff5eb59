"""`EdgeCard`: a card of digital potentiometers as edges, set by one block; `CardEdges`: a network's edges on it.

Messages: ``EDGE:DATA #block`` and ``EDGE:DATA?`` with blocks of `transport.blocks.encode_codes`, both in one
message as ``EDGE:DATA?;:EDGE:DATA #block``, and ``*IDN?``, ``*RST``, ``*CLS`` and ``SYST:ERR?``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import NetworkError, SetupError
from hwlearn.network.edge_codes import CodeLaw, Codes
from hwlearn.network.limits import Limits
from hwlearn.network.network import Programmed
from hwlearn.units import format_quantity
from hwlearn_drivers.edges.edges import Edges, parameters_of
from hwlearn_drivers.errors import GarbledReplyError, InstrumentError, LinkError, OutputStateError
from hwlearn_drivers.instrument.instrument import Identity, Instrument
from hwlearn_drivers.transport.blocks import decode_codes, encode_block, encode_codes
from hwlearn_drivers.transport.fence import SCPI_FENCE, Fence
from hwlearn_drivers.transport.transport import Transport

_EXCHANGE = "EDGE:DATA?;:EDGE:DATA "
"""The reply has the codes before the command in the same message."""


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

    def exchange_codes(self, codes: Codes) -> Codes:
        """Set every edge of the card, and return the codes that it had directly before, in one message.

        Raises
        ------
        InstrumentError
            If the card rejects the block; no edge has changed then.
        GarbledReplyError
            If a reply is invalid.
        """
        with self.transport.exchange():
            before, errors = self.transport.query_with_block(_EXCHANGE, encode_codes(codes), self.error_query)
            self._raise_errors("EDGE:DATA", self._error_in(errors))
            if before is None:
                self.transport.garbled(_EXCHANGE, errors)
            return self._decoded(_EXCHANGE, before)

    def read_codes(self) -> Codes:
        """Return the code of every edge of the card.

        Raises
        ------
        GarbledReplyError
            If the checksum is wrong.
        """
        question = "EDGE:DATA?"
        with self.transport.exchange():
            return self._decoded(question, self.transport.query_block(question))

    def _decoded(self, question: str, data: bytes) -> Codes:
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
        command, separator, block = message.partition(_EXCHANGE.encode())
        if separator and not command:
            before, self._block = self._block, block.removesuffix(b"\nSYST:ERR?")
            return before + b'\n0,"No error"'
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
        Conductance, or gate voltage, of each code.
    places : iterable of int, optional
        Place on the card of each edge, in edge order; default 0, 1, 2, ...
    edges : ndarray of int, optional
        Numbers of the edges that the card sets; default: all.

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
        edges: IntArray | None = None,
    ) -> None:
        parameter, *others = parameters_of(topology, edges)
        if others or parameter.unit != law.unit:
            names = " and ".join(one.name for one in (parameter, *others))
            raise SetupError(
                f"the edge card sets values in {law.unit} by its keys (full and wiper, linear, or gate), but the "
                f"edges have a {names}; a card sets values of one kind"
                + ("; on a bench of terminals, name a card for each kind in edges.programmer" if others else "")
            )
        count = topology.n_edges if edges is None else len(edges)
        least, most = law.siemens_range
        low, high = limits.range_of(parameter)
        if low < least or high > most:
            key = parameter.name.replace(" ", "_")
            raise SetupError(
                f"the edge card covers {format_quantity(least, law.unit)} to {format_quantity(most, law.unit)}, "
                f"but limits.{key} is {format_quantity(low, law.unit)} to {format_quantity(high, law.unit)}"
            )
        self._card, self._law = card, law
        present = card.read_codes()
        chosen = list(range(count)) if places is None else [int(place) for place in places]
        if len(chosen) != count or len(set(chosen)) != len(chosen):
            raise SetupError(f"{count} edges need {count} different places on the card, got {chosen}")
        if min(chosen) < 0 or max(chosen) >= len(present):
            raise SetupError(f"the card has places 0 to {len(present) - 1}, the edges need {chosen}")
        self._places = np.array(chosen, dtype=np.intp)
        self._check_codes(present)
        self._wanted: Codes | None = None  # the codes that were set last
        self._taken = present[self._places]  # the codes that were read after it

    def program(self, conductances: FloatArray) -> Programmed:
        """Set the edges and read the codes back; unused places of the card do not change.

        Raises
        ------
        OutputStateError
            If somebody else has changed an edge since it was set.
        """
        wanted = self._law.nearest(conductances)
        codes = self._card.read_codes()
        self._compare(codes, self._expected(codes))
        taken = self._set(codes, wanted)
        return Programmed(conductances, self._law.siemens(taken), taken != wanted)

    def check(self) -> None:
        """Read the codes of the edges, and compare them with those that were read after they were set.

        Raises
        ------
        OutputStateError
            With edges, places, and the codes that were set and found.
        """
        codes = self._card.read_codes()
        self._compare(codes, self._expected(codes))

    def reconnect(self) -> None:
        """Open the link again if it is closed, and set the codes again if somebody else has changed them.

        Raises
        ------
        NetworkError
            If the edges do not take the same codes as before.
        """
        if self._card.transport.closed:
            self._card.reconnect()
        before = self._taken
        try:
            codes = self._card.read_codes()
        except LinkError:  # the link dropped, and nothing was read since
            self._card.reconnect()
            codes = self._card.read_codes()
        if self._wanted is None:
            self._taken = codes[self._places]
        elif (codes[self._places] != before).any() and (self._set(codes, self._wanted) != before).any():
            self._taken = before
            raise NetworkError(
                f"{self._card.name}: its edges do not return to their previous codes; program them again"
            )

    def _set(self, codes: Codes, wanted: Codes) -> Codes:
        """Set the edges of a card that has these codes; return the codes that the edges took."""
        new = codes.copy()
        new[self._places] = wanted
        self._compare(self._card.exchange_codes(new), codes)
        read = self._card.read_codes()
        if (read != new).any():
            # an edge that refuses a code does so again; a change by another user is gone when it is set again
            self._compare(self._card.exchange_codes(new), read)
            self._compare(self._card.read_codes(), read)
        self._check_codes(read)
        self._wanted, self._taken = wanted, read[self._places]
        return self._taken

    def _check_codes(self, codes: Codes) -> None:
        """Refuse codes that no edge can have: they have no conductance."""
        wrong = self._places[codes[self._places] >= self._law.positions]
        if wrong.size:
            raise NetworkError(
                f"{self._card.name} reports code {codes[wrong[0]]} at place {wrong[0]}; with "
                f"{self._law.positions} positions the largest is {self._law.positions - 1}; "
                "correct edges.positions"
            )

    def _expected(self, codes: Codes) -> Codes:
        """Return the codes with those that the edges took; the other places are free to change."""
        expected = codes.copy()
        expected[self._places] = self._taken
        return expected

    def _compare(self, found: Codes, expected: Codes) -> None:
        """Raise if the codes of the card are not as expected."""
        changed = np.flatnonzero(found != expected)
        if not changed.size:
            return
        edges = np.flatnonzero(np.isin(self._places, changed))
        places = self._places[edges] if edges.size else changed
        raise OutputStateError(
            f"somebody else changed {self._card.name}: edges {edges.tolist()} at its places {places.tolist()} "
            f"were set to codes {expected[places].tolist()} and have codes {found[places].tolist()}; find out who "
            "uses it"
        )

    def close(self) -> None:
        """Close the link; the edges do not change."""
        self._card.close()
