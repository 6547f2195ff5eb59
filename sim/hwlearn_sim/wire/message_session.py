"""Session of one client of a virtual instrument: splits the received bytes into messages."""

from __future__ import annotations

import time
from typing import Final, Protocol

from hwlearn_sim.wire.faults import Faults
from hwlearn_sim.wire.framing import Framer
from hwlearn_sim.wire.session import Line, Session

LONGEST_MESSAGE: Final = 1 << 20
"""Maximum length of a message in bytes. A longer one is discarded and queues error -363."""

_BLOCK_TIMEOUT_S: Final = 0.1
"""A byte that is lost inside a block costs that one message, not the connection."""


class MessageTarget(Protocol):
    """Interface of an instrument for a message session."""

    @property
    def takes_blocks(self) -> bool:
        """Whether a message may contain binary blocks, inside which a newline is data."""

    def execute(self, message: bytes) -> bytes:
        """Execute one message without its terminator; return the complete reply, or nothing."""

    def queue_error(self, code: int) -> None:
        """Queue an error that only the session can detect: an invalid block, an input overrun."""


class MessageSession(Session):
    """Session of one client of an instrument.

    Parameters
    ----------
    line : Line
        The connection.
    target : MessageTarget
        The instrument that executes the messages.
    faults : Faults
        Faults of the connection.
    """

    def __init__(self, line: Line, target: MessageTarget, faults: Faults) -> None:
        super().__init__(line, faults)
        self._target = target
        self._framer = Framer(target.takes_blocks, LONGEST_MESSAGE)
        self._block_since = 0.0

    def receive(self, data: bytes) -> bool:
        """Execute the messages that are complete; return whether to keep the connection."""
        messages, lost = self._framer.feed(data)
        self._block_since = time.monotonic()
        if lost:
            self._target.queue_error(-363)
        for message in messages:
            reply = self._target.execute(message)
            if reply and not self._reply(reply):
                return False
        return True

    def flush(self) -> None:
        """Send replies that are due; discard a block whose bytes stopped arriving."""
        super().flush()
        if self._framer.in_block and time.monotonic() - self._block_since > _BLOCK_TIMEOUT_S:
            self._framer.discard()
            self._target.queue_error(-161)

    def wakes_at(self) -> float | None:
        """Return the time at which `flush` has work to do, or None."""
        sends = super().wakes_at()
        if not self._framer.in_block:
            return sends
        times_out = self._block_since + _BLOCK_TIMEOUT_S + 1e-3
        return times_out if sends is None else min(sends, times_out)

    @property
    def busy(self) -> bool:
        """Whether `flush` may have work to do."""
        return super().busy or self._framer.in_block
