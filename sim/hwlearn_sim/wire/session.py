"""One client of whatever is served on a wire: its bytes, replies to it, faults on the way."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from itertools import pairwise
from typing import Protocol

from hwlearn_sim.wire.faults import Fault, Faults


class Line(ABC):
    """One open connection: bytes in, bytes out."""

    @abstractmethod
    def fileno(self) -> int:
        """What a selector watches."""

    @abstractmethod
    def read(self) -> bytes:
        """Return the bytes that have come; none means that the peer has gone."""

    @abstractmethod
    def write(self, data: bytes) -> int:
        """Send what can be sent at once; return how many bytes that was."""

    @abstractmethod
    def reset(self) -> bool:
        """Drop the connection as a failing peer does; tell whether this kind of line can."""

    @abstractmethod
    def close(self) -> None:
        """Close it."""


class Session(ABC):
    """One client of one instrument or board.

    Parameters
    ----------
    line : Line
        Its connection.
    faults : Faults
        What goes wrong on it.
    """

    def __init__(self, line: Line, faults: Faults) -> None:
        self.line = line
        self._faults = faults
        self._due: deque[tuple[float, bytes]] = deque()

    @abstractmethod
    def receive(self, data: bytes) -> bool:
        """Work on what has come; tell whether the connection is to live on."""

    def _answer(self, reply: bytes) -> bool:
        if self._faults.muted:
            return True
        fault = self._faults.next()
        if fault is None:
            self._post(0.0, reply)
        elif fault.kind == "garbled":
            self._post(0.0, self._faults.garbled(reply))
        elif fault.kind == "late":
            self._post(fault.seconds, reply)
        elif fault.kind == "fragmented":
            for k, piece in enumerate(_pieces(reply, fault)):
                self._post(fault.seconds if k else 0.0, piece)
        elif fault.kind == "unplugged":
            self._post(0.0, reply[: len(reply) // 2])
            return False
        elif fault.kind == "reset":
            return not self.line.reset()
        return True

    def _post(self, after_s: float, data: bytes) -> None:
        """Send data, that long after everything before it."""
        if after_s == 0 and not self._due:
            sent = self.line.write(data)
            if sent == len(data):
                return
            data = data[sent:]
        before = self._due[-1][0] if self._due else time.monotonic()
        self._due.append((max(before, time.monotonic()) + after_s, data))

    def flush(self) -> None:
        """Send what is due."""
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            when, data = self._due.popleft()
            sent = self.line.write(data)
            if sent < len(data):
                self._due.appendleft((when, data[sent:]))
                return

    def wakes_at(self) -> float | None:
        """Return when `flush` has something to do, None if never."""
        return self._due[0][0] if self._due and not self.clogged else None

    @property
    def busy(self) -> bool:
        """Whether `flush` may have something to do."""
        return bool(self._due)

    @property
    def clogged(self) -> bool:
        """Whether bytes wait that the peer does not take."""
        return bool(self._due) and self._due[0][0] <= time.monotonic()


class Served(Protocol):
    """What a server can put on a wire."""

    def session(self, line: Line, faults: Faults) -> Session:
        """Begin to talk to a client."""

    def idle(self) -> float | None:
        """Do what it does of its own accord; return in how many seconds it wants to again, None for never.

        Called whenever its clients have been attended to.
        """


def _pieces(reply: bytes, fault: Fault) -> list[bytes]:
    """Return a reply in as many pieces as the fault says, or as it has bytes."""
    count = min(fault.pieces, len(reply))
    ends = [len(reply) * k // count for k in range(count + 1)]
    return [reply[start:end] for start, end in pairwise(ends)]
