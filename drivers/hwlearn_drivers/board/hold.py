"""`Hold`: whether the board is as this program left it, or somebody else has used it.

A board that is held counts every command that changes it, and an OFF by anybody is final. The driver counts the
changes that it makes itself. So the two numbers differ once somebody else has changed or switched off anything,
also if a value was changed and changed back. Source: firmware/README.md, "Holding the board".
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from hwlearn_drivers.board.protocol import Codes
from hwlearn_drivers.board.session import BoardSession
from hwlearn_drivers.errors import GarbledReplyError, LinkError, OutputStateError
from hwlearn_drivers.transport.blocks import crc16, encode_codes

STATE: Final = "SYST:STAT?"

_MOST: Final = 65535


class BoardRestartedError(OutputStateError, LinkError):
    """The board has restarted on its own; it must be reconnected."""


@dataclass(frozen=True, slots=True)
class BoardState:
    """State that a board reports (reply to ``SYST:STAT?``).

    Attributes
    ----------
    number : int
        Number of changes; 0 if no host holds the board.
    off : bool
        Whether it was switched off and not allowed again since.
    checksum : int
        CRC of the codes that were read from the edges.
    """

    number: int
    off: bool
    checksum: int

    @classmethod
    def parse(cls, line: str) -> Self:
        """Return the state from a reply.

        Raises
        ------
        GarbledReplyError
            If it is not a valid reply.

        Examples
        --------
        >>> BoardState.parse("-501,4711")
        BoardState(number=501, off=True, checksum=4711)
        """
        number, _, checksum = line.partition(",")
        if not number.removeprefix("-").isdigit() or not checksum.isdigit():
            raise GarbledReplyError(f"{line!r} is not a valid reply to {STATE}, two integers")
        return cls(abs(int(number)), number.startswith("-"), int(checksum))


def changes(message: str) -> int:
    """Return how many commands of a message the board counts as changes.

    Examples
    --------
    >>> changes("SEQ:SETT 50;AVER 4;:SYST:ERR?"), changes("*CLS"), changes("OUTP:ARM 1,2"), changes("*RST")
    (2, 0, 0, 1)
    """
    return sum(_is_change(unit.strip().split(" ")[0].upper()) for unit in message.split(";"))


def _is_change(header: str) -> bool:
    if header.startswith("*"):
        return header == "*RST"
    return bool(header) and not header.endswith(("?", "ARM"))


class Hold:
    """Number and edge codes that the board must report if nobody but this program has changed it.

    Attributes
    ----------
    number : int
        Number of changes that the board reports now; 0: it is not held.
    slack : int
        Commands of this program of which it is not known whether the board has executed them.
    codes : ndarray of uint16 or None
        Codes of the edges as they were read back after the last change; None: not known.
    """

    __slots__ = ("_checksum", "_next", "codes", "number", "slack")

    def __init__(self) -> None:
        self.number = self.slack = 0
        self._next = 0  # number of a `take` that is not confirmed
        self.codes: Codes | None = None
        self._checksum: int | None = None

    def take(self, state: BoardState) -> str:
        """Return the command with which this program holds a board in this state; call `taken` after it."""
        self.number, self.slack, self._checksum = state.number, 0, state.checksum
        self._next = state.number
        while self._next == state.number:
            self._next = 1 + secrets.randbelow(_MOST)
        return f"OUTP:ARM {state.number},{self._next}"

    def taken(self) -> None:
        """Note that the board has executed the command of `take`."""
        self.number, self._next = self._next, 0

    @property
    def check(self) -> str:
        """Command in front of a sequence: the board refuses the sequence if it is not as this program left it."""
        return f"OUTP:ARM {self.number},{self.number};:" if self.number else ""

    def count(self, executed: int) -> None:
        """Count changes that the board has executed."""
        if self.number:
            self.number = (self.number - 1 + executed) % _MOST + 1

    def set_codes(self, codes: Codes | None) -> None:
        """Set the codes that were read from the edges; None: they are being changed."""
        self.codes = codes
        self._checksum = None if codes is None else crc16(encode_codes(codes)[:-2])

    def agrees(self, state: BoardState) -> bool:
        """Whether a state is that in which this program left the board, apart from OFF."""
        if self._checksum is None:
            self._checksum = state.checksum
        return state.checksum == self._checksum and (
            self._reached(self.number, state.number)
            or (self._next > 0 and self._reached(self._next, state.number))
        )

    def _reached(self, number: int, present: int) -> bool:
        if not number or not present:
            return number == present
        return (present - number) % _MOST <= self.slack

    # --- what somebody else has changed -------------------------------------------------------------

    def findings(
        self, state: BoardState, session: BoardSession | None, read_back: str, driven: bool, codes: Codes
    ) -> str:
        """Return what somebody else has changed.

        Parameters
        ----------
        state : BoardState
            State in which the board was found.
        session : BoardSession or None
            Limits and settings that were set.
        read_back : str
            Limits and settings that were found.
        driven : bool
            Whether an output was driven.
        codes : ndarray of uint16
            Edge codes that were found.
        """
        found = ["it was switched off (OFF or CAN)"] if state.off else []
        if state.number == 0:
            found.append("it was restarted or released")
        if driven:
            found.append("an output was driven")
        if session is not None:
            found += session.differences(read_back)
        if self.codes is not None and (places := np.flatnonzero(codes != self.codes)).size:
            found.append(
                f"edges at places {places.tolist()} were set to codes {self.codes[places].tolist()} and have "
                f"codes {codes[places].tolist()}"
            )
        if not found:
            number = (state.number - self.number) % _MOST
            found.append(
                f"{number} commands of another program changed it" if number else "another program sent a command"
            )
        return "; ".join(found)
