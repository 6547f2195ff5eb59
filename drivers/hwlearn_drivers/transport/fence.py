"""`Fence`: a query with a random number that the instrument returns, to separate old replies from new ones."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from hwlearn_drivers.errors import LinkError
from hwlearn_drivers.transport.messages import decode_line

_MAX_QUERIES = 8


@dataclass(frozen=True, slots=True)
class Fence:
    """A query whose reply contains the number that was sent, so that no earlier reply can be mistaken for it.

    Attributes
    ----------
    template : str
        The query; ``{n}`` is replaced by a random number below ``below``.
    below : int
    after : str
        Command sent after synchronisation, to restore what the query changed.
    before : str
        Command sent before synchronisation, so that the instrument sends only replies.
    """

    template: str
    below: int
    after: str = ""
    before: str = ""

    def question(self, n: int) -> str:
        """Return the query for the number n."""
        return self.template.replace("{n}", str(n))

    def answered(self, line: str, n: int) -> bool:
        """Whether a line is the reply for n."""
        try:
            return float(line) == n
        except ValueError:
            return False

    def drain(self, read: Callable[[float], bytes], send: Callable[[str], None], timeout_s: float) -> bytes:
        """Query until two successive queries are each answered by the very next line; return all other lines.

        Two queries, because a stale reply may equal the first random number, but hardly the second one too.

        Parameters
        ----------
        read : callable
            Maximum wait in seconds -> the next line that acknowledges nothing.
        send : callable
            Sends a command.
        timeout_s : float
            For each line.

        Raises
        ------
        LinkError
            If unrelated lines keep arriving, or no line arrives in time (`LinkTimeout`).
        """
        dropped = b""
        clean = 0
        if self.before:
            send(self.before)
        for n in random.SystemRandom().sample(range(1, self.below), _MAX_QUERIES):
            send(self.question(n))
            clean += 1
            while not self.answered(decode_line(line := read(timeout_s)), n):
                dropped += line + b"\n"
                clean = 0
            if clean == 2:
                if self.after:
                    send(self.after)
                return dropped
        raise LinkError("it keeps sending lines that do not belong to any query")


SCPI_FENCE = Fence("*ESE {n};*ESE?", 256, after="*ESE 0")
"""For instruments with an IEEE 488.2 event enable register. ``*OPC?`` is unsuitable: it always replies ``1``."""

TSP_FENCE = Fence('print("{n}")', 10**9, before="localnode.prompts=0 localnode.showerrors=0")
"""For instruments that run Lua."""
