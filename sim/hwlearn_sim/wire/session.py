"""Session of one client of a virtual instrument or board: received bytes, replies and their faults."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from itertools import pairwise
from typing import Protocol

from hwlearn_sim.wire.faults import Fault, Faults


class Line(ABC):
    """An open connection to a client."""

    @abstractmethod
    def fileno(self) -> int:
        """Return the file descriptor for a selector."""

    @abstractmethod
    def read(self) -> bytes:
        """Return the received bytes; an empty result means that the client disconnected."""

    @abstractmethod
    def write(self, data: bytes) -> int:
        """Send as much as possible without waiting; return the number of bytes sent."""

    @abstractmethod
    def reset(self) -> bool:
        """Prepare to drop the connection with a reset; return whether this kind of line supports it."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


class Session(ABC):
    """Session of one client of an instrument or board.

    Parameters
    ----------
    line : Line
        The connection.
    faults : Faults
        Faults of the connection.
    """

    def __init__(self, line: Line, faults: Faults) -> None:
        self.line = line
        self._faults = faults
        self._due: deque[tuple[float, bytes]] = deque()

    @abstractmethod
    def receive(self, data: bytes) -> bool:
        """Process received bytes; return whether to keep the connection."""

    def _reply(self, reply: bytes) -> bool:
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
        """Send data this long after all earlier data."""
        if after_s == 0 and not self._due:
            sent = self.line.write(data)
            if sent == len(data):
                return
            data = data[sent:]
        before = self._due[-1][0] if self._due else time.monotonic()
        self._due.append((max(before, time.monotonic()) + after_s, data))

    def flush(self) -> None:
        """Send replies that are due."""
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            when, data = self._due.popleft()
            sent = self.line.write(data)
            if sent < len(data):
                self._due.appendleft((when, data[sent:]))
                return

    def wakes_at(self) -> float | None:
        """Return the time at which `flush` has work to do, or None."""
        return self._due[0][0] if self._due and not self.blocked else None

    @property
    def busy(self) -> bool:
        """Whether `flush` may have work to do."""
        return bool(self._due)

    @property
    def blocked(self) -> bool:
        """Whether bytes are due that the client does not accept."""
        return bool(self._due) and self._due[0][0] <= time.monotonic()


class Served(Protocol):
    """An instrument or board that a `Server` can serve."""

    def session(self, line: Line, faults: Faults) -> Session:
        """Start the session of a client."""

    def idle(self) -> float | None:
        """Do periodic work; return the seconds until the next call, or None if there is no periodic work.

        The server also calls this after it has processed its clients.
        """


def _pieces(reply: bytes, fault: Fault) -> list[bytes]:
    """Return the pieces of a fragmented reply; each has at least one byte."""
    count = min(fault.pieces, len(reply))
    ends = [len(reply) * k // count for k in range(count + 1)]
    return [reply[start:end] for start, end in pairwise(ends)]
