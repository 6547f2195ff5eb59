"""`Grid`: rows and columns of a switch matrix, made of cards of one size in the slots of a mainframe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hwlearn.errors import SetupError, closest
from hwlearn_drivers.roles.values import Crosspoint

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows and columns of a matrix.

    Columns are counted through the slots: with 12 columns on a card, column 13 is the first column of slot 2. The
    rows of all cards are one, so the mainframe or a cable must join them.

    Attributes
    ----------
    rows : tuple of str
        Names of the rows.
    width : int
        Columns on each card.
    slots : tuple of int
        Slots that have a card, rising.
    """

    rows: tuple[str, ...]
    width: int
    slots: tuple[int, ...] = (1,)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(str((slot - 1) * self.width + k) for slot in self.slots for k in range(1, self.width + 1))

    def check(self, crosspoint: Crosspoint, where: str) -> None:
        """Refuse a crosspoint that the matrix does not have.

        Raises
        ------
        SetupError
            Naming the rows and columns that there are.
        """
        for kind, name, known in (
            ("row", crosspoint.row, self.rows),
            ("column", crosspoint.column, self.columns),
        ):
            if name not in known:
                raise SetupError(
                    f"{where} has no {kind} {name!r}{closest(name, known)}; its {kind}s are {spans(known)}"
                )

    def place(self, crosspoint: Crosspoint) -> tuple[int, str, int]:
        """Return slot, row and column on the card of a crosspoint."""
        slot, column = divmod(int(crosspoint.column) - 1, self.width)
        return slot + 1, crosspoint.row, column + 1

    def at(self, slot: int, row: str, column: int) -> Crosspoint:
        """Return the crosspoint at a row and a column of the card in a slot."""
        return Crosspoint(row, str((slot - 1) * self.width + column))


def spans(names: Sequence[str]) -> str:
    """Return names in short: ``1 to 12, 25 to 36`` or ``A to H``."""
    ends: list[list[str]] = []
    for name in names:
        if ends and _follows(ends[-1][-1], name):
            ends[-1][1:] = [name]
        else:
            ends.append([name])
    return ", ".join(" to ".join(pair) for pair in ends)


def _follows(name: str, after: str) -> bool:
    if name.isdigit() and after.isdigit():
        return int(after) == int(name) + 1
    return name in LETTERS and after in LETTERS and LETTERS.index(after) == LETTERS.index(name) + 1
