"""One client of one virtual instrument: messages out of its bytes, replies to it, faults on the way."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from itertools import pairwise
from typing import Final

from hwlearn_sim.faults import Fault, Faults
from hwlearn_sim.framing import Framer
from hwlearn_sim.instruments.instrument import LONGEST_MESSAGE, Instrument

_BLOCK_PATIENCE_S: Final = 0.1
"""A byte missing inside a block costs that one message, not the connection."""


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


class Session:
    """One client of one instrument."""

    def __init__(self, line: Line, instrument: Instrument, faults: Faults) -> None:
        self.line = line
        self._instrument, self._faults = instrument, faults
        self._framer = Framer(instrument.takes_blocks, LONGEST_MESSAGE)
        self._block_since = 0.0
        self._due: deque[tuple[float, bytes]] = deque()

    def receive(self, data: bytes) -> bool:
        """Work on what has come; tell whether the connection is to live on."""
        messages, lost = self._framer.feed(data)
        self._block_since = time.monotonic()
        if lost:
            self._instrument.complain(-363)
        for message in messages:
            reply = self._instrument.execute(message)
            if reply and not self._answer(reply):
                return False
        return True

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
        """Send what is due, and give up a block that does not go on."""
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            when, data = self._due.popleft()
            sent = self.line.write(data)
            if sent < len(data):
                self._due.appendleft((when, data[sent:]))
                return
        if self._framer.in_block and now - self._block_since > _BLOCK_PATIENCE_S:
            self._framer.abandon()
            self._instrument.complain(-161)

    def wakes_at(self) -> float | None:
        """Return when `flush` has something to do, None if never."""
        times = [self._due[0][0]] if self._due and not self.clogged else []
        if self._framer.in_block:
            times.append(self._block_since + _BLOCK_PATIENCE_S + 1e-3)
        return min(times, default=None)

    @property
    def busy(self) -> bool:
        """Whether `flush` may have something to do."""
        return bool(self._due) or self._framer.in_block

    @property
    def clogged(self) -> bool:
        """Whether bytes wait that the peer does not take."""
        return bool(self._due) and self._due[0][0] <= time.monotonic()


def _pieces(reply: bytes, fault: Fault) -> list[bytes]:
    """Return a reply in as many pieces as the fault says, or as it has bytes."""
    count = min(fault.pieces, len(reply))
    ends = [len(reply) * k // count for k in range(count + 1)]
    return [reply[start:end] for start, end in pairwise(ends)]
