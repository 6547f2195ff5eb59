"""`WireLog`: writes every message to and from the instruments to a file, with time and direction."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self


class WireLog:
    """A text file that several transports write to; each line is passed to the system before the next message.

    A line contains time (UTC), instrument, direction and bytes, separated by tabs. The direction is ``>`` to
    the instrument, ``<`` from the instrument and ``!`` for an event of the link. Bytes are escaped as in Python.

    Parameters
    ----------
    path : str or Path
        New lines are appended; the folder must exist.
    """

    __slots__ = ("_file", "_lock", "path")

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = self.path.open("a", buffering=1, encoding="ascii", newline="\n")
        self._lock = threading.Lock()

    def sent(self, name: str, data: bytes) -> None:
        """Record bytes that are about to be sent to the instrument."""
        self._line(name, ">", data)

    def received(self, name: str, data: bytes) -> None:
        """Record bytes received from the instrument."""
        self._line(name, "<", data)

    def event(self, name: str, text: str) -> None:
        """Record an event of the link."""
        self._line(name, "!", text.encode("ascii", "backslashreplace"))

    def close(self) -> None:
        """Close the file; further lines raise an error."""
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
        # a port name may contain other characters than ASCII; the log must not fail then
        who = name.encode("ascii", "backslashreplace").decode()
        with self._lock:
            self._file.write(f"{now}\t{who}\t{direction}\t{repr(data)[2:-1]}\n")
