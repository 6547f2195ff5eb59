"""Keithley 7001 switch system with 4 x 10 matrix cards 7012 (SCPI).

Sources: Model 7012 Instruction Manual (4 rows, 10 columns); two public programs that control such a system by
``:CLOS (@1!2!3)`` (slot, row, column), ``:OPEN (@...)``, ``:OPEN ALL`` and ``:CLOS? (@1!1!1:1!1!10)``. The answer
is 0 or 1 for each crosspoint, as in the manuals of Keithley's 2001 and 6517A.

No public source confirmed how it reports its cards and its connection rule. So the crosspoints themselves are
asked, the driver opens before it closes, and the settling time has to be stated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from hwlearn_drivers.matrix.matrix import SwitchMatrix
from hwlearn_drivers.roles.values import Crosspoint
from hwlearn_drivers.transport.query_only import QueryOnly

_ROWS: Final = tuple("1234")
_WIDTH: Final = 10


class Keithley7001(SwitchMatrix):
    """Keithley 7001 with one or two matrix cards."""

    __slots__ = ()

    series: ClassVar[str] = "7001"
    mainframes: ClassVar[Mapping[str, int]] = {"7001": 2}
    card_rows: ClassVar[Mapping[str, tuple[tuple[str, ...], int]]] = {
        "7012-S": (_ROWS, _WIDTH),
        "7012-C": (_ROWS, _WIDTH),
    }
    says_settled: ClassVar[bool] = False

    @classmethod
    def open_all(cls) -> list[str]:
        """Return the command that opens every relay."""
        return [":ROUT:OPEN ALL"]

    @classmethod
    def abort_commands(cls) -> list[str]:
        """Return nothing: no command was confirmed."""
        return []

    @classmethod
    def read_status(cls, link: QueryOnly, cards: Mapping[int, str]) -> list[str]:
        """Return the closed channels of the cards of the bench, read with queries that change nothing."""
        found = []
        for slot in sorted(cards):
            question = _question(slot)
            reply = link.query(question)
            flags = _flags(reply)
            if flags is None:
                link.garbled(question, reply)
            found += [
                f"{slot}!{row}!{column}" for (row, column), closed in zip(_PLACES, flags, strict=True) if closed
            ]
        return found

    def channel(self, crosspoint: Crosspoint) -> str:
        """Return slot, row and column: ``1!2!3``."""
        return "!".join(map(str, self.grid.place(crosspoint)))

    def set_up(self) -> None:
        """Reset it, and check that every crosspoint of the cards is there and open."""
        self.transport.write("*CLS")
        self.write("*RST", *self.open_all())
        self._expected = None
        self.check_state()

    def _list_closed(self, patience_s: float) -> frozenset[Crosspoint]:
        points = []
        for slot in self.grid.slots:
            question = _question(slot)
            reply = self.query(question, patience_s)
            flags = _flags(reply)
            if flags is None:
                self.transport.garbled(question, reply)
            points += [self.grid.at(slot, *place) for place, closed in zip(_PLACES, flags, strict=True) if closed]
        return frozenset(points)


_PLACES: Final = tuple((row, column) for row in _ROWS for column in range(1, _WIDTH + 1))


def _question(slot: int) -> str:
    """Return the query of every crosspoint of a card."""
    spans = ",".join(f"{slot}!{row}!1:{slot}!{row}!{_WIDTH}" for row in _ROWS)
    return f":ROUT:CLOS? (@{spans})"


def _flags(reply: str) -> list[bool] | None:
    """Return 0 or 1 for each crosspoint of a card; None for anything else."""
    parts = [part.strip() for part in reply.split(",")]
    if len(parts) != len(_PLACES) or not set(parts) <= {"0", "1"}:
        return None
    return [part == "1" for part in parts]
