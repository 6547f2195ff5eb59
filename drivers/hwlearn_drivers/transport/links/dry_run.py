"""The dry run: commands are printed instead of sent, and questions get the answers of an idle instrument."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO

from hwlearn_drivers.errors import LinkTimeout
from hwlearn_drivers.transport.links.link import StreamLink

Answer = Callable[[bytes], bytes | None]
"""A message that was sent, without its end -> what an idle instrument would answer, or None for nothing."""


class DryLink(StreamLink):
    """A link to no instrument.

    Parameters
    ----------
    name : str
        Printed before each command.
    answer : callable
        Answers questions, so that a program runs to its end.
    out : text stream, optional
        Where to print; standard output unless given.
    """

    __slots__ = ("_answer", "_name", "_out")

    def __init__(self, name: str, answer: Answer, out: TextIO | None = None) -> None:
        super().__init__()
        self._name, self._answer, self._out = name, answer, out

    def write(self, data: bytes) -> None:
        """Print data, and keep the answer for the next read."""
        out = sys.stdout if self._out is None else self._out
        for message in _messages(data):
            print(f"{self._name} > {repr(message)[2:-1]}", file=out, flush=True)
            reply = self._answer(message)
            if reply is not None:
                self._buffer += reply + b"\n"

    def unread(self) -> bool:
        """Whether an answer was never read."""
        return bool(self._buffer)

    def close(self) -> None:
        """Nothing is open."""

    def _receive(self, timeout_s: float) -> bytes:
        raise LinkTimeout(f"{self._name}: in a dry run this question has no answer")


def _messages(data: bytes) -> list[bytes]:
    """Split into lines, but leave a block in one piece."""
    return [data.rstrip(b"\n")] if b" #" in data or b",#" in data else data.rstrip(b"\n").split(b"\n")
