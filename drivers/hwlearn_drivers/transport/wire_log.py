"""The wire log: every byte to and from the instruments, with time and direction, one line each."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self


class WireLog:
    """A text file that several transports write to; each line is on disk's way before the next byte moves.

    A line holds time (UTC), instrument, direction and bytes, separated by tabs. The direction is ``>`` to
    the instrument, ``<`` from it and ``!`` for what happened to the link; bytes are escaped as in Python.

    Parameters
    ----------
    path : str or Path
        Appended to; its folder must exist.
    """

    __slots__ = ("_file", "_lock", "path")

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = self.path.open("a", buffering=1, encoding="ascii", newline="\n")
        self._lock = threading.Lock()

    def sent(self, name: str, data: bytes) -> None:
        """Write down bytes on their way to the instrument."""
        self._line(name, ">", data)

    def received(self, name: str, data: bytes) -> None:
        """Write down bytes that came from the instrument."""
        self._line(name, "<", data)

    def event(self, name: str, text: str) -> None:
        """Write down what happened to the link."""
        self._line(name, "!", text.encode("ascii", "backslashreplace"))

    def close(self) -> None:
        """Close the file; further lines are refused."""
        with self._lock:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _line(self, name: str, direction: str, data: bytes) -> None:
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        # an address is ASCII but for odd port names; the log must not fail on one
        who = name.encode("ascii", "backslashreplace").decode()
        with self._lock:
            self._file.write(f"{now}\t{who}\t{direction}\t{repr(data)[2:-1]}\n")
