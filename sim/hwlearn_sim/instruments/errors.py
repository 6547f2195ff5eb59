"""Instrument errors with the codes of SCPI 1999, and the error queue."""

from __future__ import annotations

from collections import deque
from typing import Final

STANDARD: Final = {
    0: "No error",
    -100: "Command error",
    -101: "Invalid character",
    -102: "Syntax error",
    -103: "Invalid separator",
    -104: "Data type error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -113: "Undefined header",
    -114: "Header suffix out of range",
    -131: "Invalid suffix",
    -141: "Invalid character data",
    -151: "Invalid string data",
    -161: "Invalid block data",
    -171: "Invalid expression",
    -200: "Execution error",
    -201: "Invalid while in local",
    -211: "Trigger ignored",
    -213: "Init ignored",
    -214: "Trigger deadlock",
    -220: "Parameter error",
    -221: "Settings conflict",
    -222: "Parameter data out of range",
    -223: "Too much data",
    -224: "Illegal parameter value",
    -225: "Out of memory",
    -230: "Data corrupt or stale",
    -241: "Hardware missing",
    -285: "TSP Syntax Error",
    -286: "TSP Runtime Error",
    -350: "Queue overflow",
    -363: "Input buffer overrun",
    -410: "Query INTERRUPTED",
    -420: "Query UNTERMINATED",
}
"""Texts of the standard codes and of two codes of Keithley's script language."""


class VirtualInstrumentError(Exception):
    """Error of a message to a virtual instrument. It is put in the error queue and never raised to the host.

    Parameters
    ----------
    code : int
        SCPI error code.
    text : str, optional
        Error text. Default: the standard text.
    """

    def __init__(self, code: int, text: str | None = None) -> None:
        self.code = code
        self.text: str = STANDARD[code] if text is None else text
        super().__init__(f"{code}: {self.text}")


class ErrorQueue:
    """First-in, first-out error queue. When it is full, the last entry becomes -350, and new errors are lost."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: deque[tuple[int, str]] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def push(self, error: VirtualInstrumentError) -> None:
        """Add an error."""
        if len(self._entries) < self._capacity:
            self._entries.append((error.code, error.text))
        else:
            self._entries[-1] = (-350, STANDARD[-350])

    def next(self) -> tuple[int, str]:
        """Remove and return the oldest error; ``(0, "No error")`` if the queue is empty."""
        return self._entries.popleft() if self._entries else (0, STANDARD[0])

    def clear(self) -> None:
        """Remove all errors."""
        self._entries.clear()
