"""`Replay`: a recorded wire log in the place of the instruments, so that a run can be repeated as a test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwlearn.errors import SetupError
from hwlearn.storage.text_file import read_text
from hwlearn_drivers.errors import LinkError, LinkTimeout
from hwlearn_drivers.transport.links.link import StreamLink


@dataclass(frozen=True, slots=True)
class LoggedMessage:
    """One line of a wire log: its number, whether it was sent to the instrument, and the bytes."""

    line: int
    sent: bool
    data: bytes


class Replay:
    """The messages of a wire log, instrument by instrument.

    Parameters
    ----------
    path : Path
        Written by `WireLog`.

    Raises
    ------
    SetupError
        If the file is missing or is no wire log.
    """

    __slots__ = ("_left", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._left: dict[str, list[LoggedMessage]] = {}
        for number, line in enumerate(read_text(path, "wire log", SetupError).splitlines(), 1):
            fields = line.split("\t")
            if len(fields) != 4 or fields[2] not in ("<", ">", "!"):
                raise SetupError(f"{path}, line {number}: this is no line of a wire log")
            _, name, direction, text = fields
            self._left.setdefault(name, [])
            if direction != "!":
                data = text.encode("ascii").decode("unicode_escape").encode("latin-1")
                self._left[name].append(LoggedMessage(number, direction == ">", data))

    def link(self, name: str) -> ReplayLink:
        """Return a link that goes on where the last one to this instrument ended.

        Raises
        ------
        LinkError
            If the log has no messages of this instrument.
        """
        if name not in self._left:
            known = ", ".join(self._left) or "none"
            raise LinkError(f"{self.path} has no messages of {name}; it has those of: {known}")
        return ReplayLink(self.path, self._left[name])


class ReplayLink(StreamLink):
    """Expects the messages of a log in their order, and gives the replies of the log.

    Parameters
    ----------
    path : Path
    left : list of LoggedMessage
        What is left of the log; shared between links to one instrument.
    """

    __slots__ = ("_left", "_path")

    def __init__(self, path: Path, left: list[LoggedMessage]) -> None:
        super().__init__()
        self._path, self._left = path, left

    def write(self, data: bytes) -> None:
        """Compare data with the log, and keep the replies that follow."""
        while data:
            logged = self._next(data)
            data = data[len(logged.data) :]
            while self._left and not self._left[0].sent:
                self._buffer += self._left.pop(0).data.rstrip(b"\r\n") + b"\n"

    def unread(self) -> bool:
        """Whether a reply has not been read."""
        return bool(self._buffer)

    def drain(self, quiet_s: float, longest_s: float) -> bytes:
        """Return nothing: the log has no replies that were dropped."""
        return b""

    def close(self) -> None:
        """Do nothing: no link is open."""

    def _next(self, data: bytes) -> LoggedMessage:
        if not self._left:
            raise LinkError(f"{self._path} ends, but {data[:60]!r} is to be sent")
        logged = self._left[0]
        if not data.startswith(logged.data):
            raise LinkError(
                f"{data[:60]!r} is to be sent, but the log has {logged.data[:60]!r} "
                f"({self._path}, line {logged.line})"
            )
        return self._left.pop(0)

    def _receive(self, timeout_s: float) -> bytes:
        raise LinkTimeout("the log has no reply to this message")
