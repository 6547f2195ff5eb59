"""`WireLog`: writes every message to and from the instruments to a file, with time and direction."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from hwlearn_drivers.errors import LinkError


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

    def sent(self, name: str, data: bytes, *, off: bool = False) -> None:
        """Record bytes that are about to be sent to the instrument.

        Parameters
        ----------
        name : str
            Name of the instrument.
        data : bytes
        off : bool
            The bytes switch outputs off: they must be sent, even if they cannot be recorded.

        Raises
        ------
        LinkError
            If the disk is full or the file cannot be written for another reason.
        """
        with suppress(LinkError) if off else nullcontext():
            self._line(name, ">", data)

    def received(self, name: str, data: bytes) -> None:
        """Record bytes received from the instrument. Raises as `sent`."""
        self._line(name, "<", data)

    def event(self, name: str, text: str) -> None:
        """Record an event of the link, if the file can be written."""
        with suppress(LinkError):
            self._line(name, "!", text.encode("ascii", "backslashreplace"))

    def close(self) -> None:
        """Close the file; further lines raise an error. A last line that cannot be written is lost."""
        with self._lock, suppress(OSError):
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
            try:
                self._file.write(f"{now}\t{who}\t{direction}\t{repr(data)[2:-1]}\n")
            except (OSError, ValueError) as error:  # full disk, or closed
                raise LinkError(f"the wire log {self.path} cannot be written: {error}") from error


@contextmanager
def optional_log(path: str | Path | None) -> Iterator[WireLog | None]:
    """Open a log for the duration of a block; None without a path."""
    if path is None:
        yield None
        return
    with WireLog(path) as log:
        yield log
