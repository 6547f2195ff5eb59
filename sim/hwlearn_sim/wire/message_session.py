"""One client of one virtual instrument: whole messages out of its bytes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from hwlearn_sim.wire.faults import Faults
from hwlearn_sim.wire.framing import Framer
from hwlearn_sim.wire.session import Line, Session

if TYPE_CHECKING:
    from hwlearn_sim.instruments.instrument import Instrument

LONGEST_MESSAGE: Final = 1 << 20
"""Bytes of one message that an instrument takes; beyond, it drops them and queues -363."""

_BLOCK_PATIENCE_S: Final = 0.1
"""A byte missing inside a block costs that one message, not the connection."""


class MessageSession(Session):
    """One client of one instrument."""

    def __init__(self, line: Line, instrument: Instrument, faults: Faults) -> None:
        super().__init__(line, faults)
        self._instrument = instrument
        self._framer = Framer(instrument.takes_blocks, LONGEST_MESSAGE)
        self._block_since = 0.0

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

    def flush(self) -> None:
        """Send what is due, and give up a block that does not go on."""
        super().flush()
        if self._framer.in_block and time.monotonic() - self._block_since > _BLOCK_PATIENCE_S:
            self._framer.abandon()
            self._instrument.complain(-161)

    def wakes_at(self) -> float | None:
        """Return when `flush` has something to do, None if never."""
        sends = super().wakes_at()
        if not self._framer.in_block:
            return sends
        gives_up = self._block_since + _BLOCK_PATIENCE_S + 1e-3
        return gives_up if sends is None else min(sends, gives_up)

    @property
    def busy(self) -> bool:
        """Whether `flush` may have something to do."""
        return super().busy or self._framer.in_block
