"""`DryLink`: prints commands instead of sending them, and answers queries like an idle instrument."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TextIO

from hwlearn_drivers.errors import LinkTimeout
from hwlearn_drivers.transport.links.link import StreamLink

Answer = Callable[[bytes], bytes | None]
"""Maps a message without its newline to the reply of an idle instrument; None if there is no reply."""


_PRINTING = threading.RLock()
"""Held while a line is printed; reentrant, because a signal may switch off in the middle of one."""


class DryLink(StreamLink):
    """A link without an instrument.

    Parameters
    ----------
    name : str
        Printed before each command.
    answer : callable
        Answers queries, so that a program runs to its end.
    out : text stream, optional
        Where to print; default: standard output.
    """

    __slots__ = ("_answer", "_name", "_out")

    def __init__(self, name: str, answer: Answer, out: TextIO | None = None) -> None:
        super().__init__()
        self._name, self._answer, self._out = name, answer, out

    def write(self, data: bytes) -> None:
        """Print data, and keep the reply for the next read."""
        out = sys.stdout if self._out is None else self._out
        for message in _messages(data):
            print_line(f"{self._name} > {repr(message)[2:-1]}", out)
            reply = self._answer(message)
            if reply is not None:
                self._buffer += reply + b"\n"

    def unread(self) -> bool:
        """Whether a reply has not been read."""
        return bool(self._buffer)

    def drain(self, quiet_s: float, longest_s: float) -> bytes:
        """Return the replies that were not read; nothing else arrives."""
        found = bytes(self._buffer)
        self._buffer.clear()
        return found

    def close(self) -> None:
        """Do nothing: no link is open."""

    def _receive(self, timeout_s: float) -> bytes:
        raise LinkTimeout(f"{self._name}: a dry run has no reply to this query")


def print_line(text: str, out: TextIO) -> None:
    """Print a whole line, also while other threads print lines for other instruments."""
    with _PRINTING:
        out.write(f"{text}\n")
        out.flush()


def _messages(data: bytes) -> list[bytes]:
    """Split data into lines, but do not split a block."""
    return [data.rstrip(b"\n")] if b" #" in data or b",#" in data else data.rstrip(b"\n").split(b"\n")
