"""Base class of the virtual instruments, and their clock."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from hwlearn_sim.instruments.errors import ErrorQueue, VirtualInstrumentError
from hwlearn_sim.wire.faults import Faults
from hwlearn_sim.wire.message_session import MessageSession
from hwlearn_sim.wire.session import Line


class Clock:
    """Clock of an instrument. It advances with the instrument's operations, not with real time.

    Parameters
    ----------
    real : bool
        Sleep for as long as the real instrument would need.
    """

    def __init__(self, real: bool = False) -> None:
        self.real: bool = real
        self.seconds: float = 0.0

    def reset(self) -> None:
        """Set the time to zero."""
        self.seconds = 0.0

    def advance(self, seconds: float) -> None:
        """Advance the clock."""
        self.seconds += seconds
        if self.real:
            time.sleep(seconds)

    @contextmanager
    def ahead(self) -> Iterator[None]:
        """Let operations take their time without sleeping, and set the clock back after them.

        Several operations that overlap in time start at the same reading of the clock.
        """
        seconds, real = self.seconds, self.real
        self.real = False
        try:
            yield
        finally:
            self.seconds, self.real = seconds, real


class VirtualInstrument(ABC):
    """A virtual instrument that executes messages.

    Parameters
    ----------
    identity : str
        Reply to ``*IDN?``.
    error_capacity : int
        Capacity of the error queue.
    clock : Clock, optional
        The instrument's clock.

    Attributes
    ----------
    errors : ErrorQueue
        The error queue.
    lock : threading.RLock
        Held while a message is executed: several connections may reach one instrument.
    """

    #: Whether a message may contain binary blocks, inside which a newline is data.
    takes_blocks: bool = True

    def __init__(self, identity: str, error_capacity: int, clock: Clock | None = None) -> None:
        self.identity = identity
        self.errors: ErrorQueue = ErrorQueue(error_capacity)
        self.clock: Clock = Clock() if clock is None else clock
        self.lock: threading.RLock = threading.RLock()

    def execute(self, message: bytes) -> bytes:
        """Execute one message without its terminator; return the complete reply, or nothing.

        A message that cannot be executed puts an error in the queue and raises nothing.
        """
        with self.lock:
            return self._execute(message)

    def queue_error(self, code: int) -> None:
        """Queue an error that only the session can detect: an invalid block, an input overrun."""
        with self.lock:
            self._record_error(VirtualInstrumentError(code))

    def session(self, line: Line, faults: Faults) -> MessageSession:
        """Start the session of a client."""
        return MessageSession(line, self, faults)

    @property
    def generators(self) -> list[np.random.Generator]:
        """Sources of the noise of its channels."""
        return []

    def idle(self) -> float | None:
        """Do nothing: an instrument acts on messages only."""
        return None

    @abstractmethod
    def reset(self) -> None:
        """Restore the power-on settings, with the outputs off."""

    @abstractmethod
    def _execute(self, message: bytes) -> bytes: ...

    def _record_error(self, error: VirtualInstrumentError) -> None:
        self.errors.push(error)
