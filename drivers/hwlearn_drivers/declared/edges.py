"""`DeclaredEdges`: the edges of a network on a board with a text protocol."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.circuit.elements.three_terminal import CONDUCTANCE
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.network.edge_codes import Codes
from hwlearn.network.limits import Limits
from hwlearn.network.network import Programmed
from hwlearn.units import ROUNDING, format_quantity
from hwlearn_drivers.declared.board import DeclaredBoard
from hwlearn_drivers.declared.sections import EdgeSection
from hwlearn_drivers.declared.template import Value, template
from hwlearn_drivers.edges.edges import Edges, parameters_of
from hwlearn_drivers.errors import OutputStateError

_FIELDS = ("edge", "code", "any")


def check_reach(section: EdgeSection, limits: Limits, where: str) -> None:
    """Refuse limits that allow conductances which the edges of a board cannot take.

    Raises
    ------
    SetupError
    """
    least, most = section.make_law().siemens_range
    low, high = limits.conductance
    if low < least * (1 - ROUNDING) or high > most * (1 + ROUNDING):
        raise SetupError(
            f"the edges of {where} cover {format_quantity(least, 'S')} to {format_quantity(most, 'S')}, but "
            f"limits.conductance is {format_quantity(low, 'S')} to {format_quantity(high, 'S')}"
        )


class DeclaredEdges(Edges):
    """Edges that commands of a board set, and that its queries read back where it has them.

    Parameters
    ----------
    board : DeclaredBoard
    section : EdgeSection
    topology : Topology
    limits : Limits
    places : sequence of int or None
        Number on the board of each edge, in edge order; default: from the first one.
    edges : ndarray of int, optional
        Numbers of the edges that the board sets; default: all.

    Raises
    ------
    SetupError
        If the board has too few edges, or cannot set every conductance that the limits allow.
    """

    def __init__(
        self,
        board: DeclaredBoard,
        section: EdgeSection,
        topology: Topology,
        limits: Limits,
        places: Sequence[int] | None = None,
        edges: IntArray | None = None,
    ) -> None:
        self._board, self._section, self._law = board, section, section.make_law()
        if parameters_of(topology, edges) != [CONDUCTANCE]:
            topology.require_two_terminals(f"the edges of {board.name}")
        count = topology.n_edges if edges is None else len(edges)
        check_reach(section, limits, board.name)
        present = range(section.first, section.first + section.count)
        chosen = list(present)[:count] if places is None else list(places)
        if len(chosen) != count or len(set(chosen)) != len(chosen) or not set(chosen) <= set(present):
            raise SetupError(
                f"{count} edges need as many different places of {board.name}, which has "
                f"{section.first} to {present[-1]}"
            )
        self._index = np.array(chosen, dtype=np.intp) - section.first
        self._codes: Codes | None = None  # of the whole board, as set; None before the first programming
        self._taken: Codes | None = None  # as read back after it

    def program(self, conductances: FloatArray) -> Programmed:
        """Set the edges that change, and read the codes back where the board can.

        Raises
        ------
        InstrumentError
            If the board rejects a code.
        """
        wanted = self._law.nearest(conductances)
        self._send(wanted)
        taken = self._read()
        self._taken = taken
        codes = wanted if taken is None else taken
        return Programmed(conductances, self._law.siemens(codes), codes != wanted)

    def check(self) -> None:
        """Read all codes, if one query does, and compare them with those that the edges took.

        Raises
        ------
        OutputStateError
        """
        if self._section.ask_all is None or self._taken is None:
            return
        found = self._read()
        if found is not None and (found != self._taken).any():
            edges = np.flatnonzero(found != self._taken)
            raise OutputStateError(
                f"somebody else changed {self._board.name}: edges {edges.tolist()} were set to codes "
                f"{self._taken[edges].tolist()} and have codes {found[edges].tolist()}"
            )

    def reconnect(self) -> None:
        """Set the codes again: the board may have been reset. Its link is opened by the bench."""
        if self._codes is not None:
            wanted = self._codes[self._index]
            self._codes = None
            self._send(wanted)

    def close(self) -> None:
        """Do nothing: the bench closes the board; the edges do not change."""

    def _send(self, wanted: Codes) -> None:
        section, board = self._section, self._board
        before = self._codes
        codes = np.zeros(section.count, dtype=np.uint16) if before is None else before.copy()
        codes[self._index] = wanted
        self._codes = None  # unknown while it is being sent
        changed = self._index if before is None else self._index[codes[self._index] != before[self._index]]
        accepted = board.declaration.acknowledgement(section.acknowledged)
        if section.set_all is not None and (section.set is None or len(changed) > 1):
            line = template(section.set_all, ("code",)).render({"number": codes.tolist()})
            board.command(line, accepted)
            board.check_group(line, accepted)
        elif section.set is not None:
            form = template(section.set, ("edge", "code"))
            line = ""
            for k in changed.tolist():
                values: dict[str, Value] = {"edge": str(k + section.first), "number": int(codes[k])}
                line = form.render(values)
                board.command(line, accepted, values)
            if line:
                board.check_group(line, accepted)
        self._codes = codes

    def _read(self) -> Codes | None:
        """Return the codes of the edges of the network as the board reports them; None if it cannot."""
        section = self._section
        if section.ask_all is not None and section.reply_all is not None:
            found = self._board.ask(section.ask_all, template(section.reply_all, _FIELDS))
            numbers = list(found["number"])
            if len(numbers) != section.count:
                self._board.transport.garbled(section.ask_all, f"{len(numbers)} codes")
            return np.array(numbers, dtype=np.float64).astype(np.uint16)[self._index]
        if section.ask is None or section.reply is None:
            return None
        reply, ask = template(section.reply, _FIELDS), template(section.ask, ("edge",))
        codes = []
        for k in self._index.tolist():
            line = ask.render({"edge": str(k + section.first)})
            found = self._board.ask(line, reply)
            if "edge" in found and found["edge"] != str(k + section.first):
                self._board.transport.garbled(line, f"edge {found['edge']}")
            codes.append(float(found["number"][0]))
        return np.array(codes, dtype=np.float64).astype(np.uint16)
