"""What every virtual instrument is to the wire: messages in, replies out, and a clock of its own."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod

from hwlearn_sim.instruments.errors import ErrorQueue, InstrumentError
from hwlearn_sim.wire.faults import Faults
from hwlearn_sim.wire.message_session import MessageSession
from hwlearn_sim.wire.session import Line


class Clock:
    """An instrument's time: it passes only as the instrument works, unless real time is asked for.

    Parameters
    ----------
    real : bool
        Really wait as long as the instrument would.
    """

    def __init__(self, real: bool = False) -> None:
        self.real = real
        self.seconds = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds
        if self.real:
            time.sleep(seconds)


class Instrument(ABC):
    """A virtual instrument.

    Parameters
    ----------
    identity : str
        What ``*IDN?`` answers.
    error_capacity : int
        Errors that its queue holds.
    clock : Clock, optional
        Its time.

    Attributes
    ----------
    errors : ErrorQueue
        What it found wrong so far.
    lock : threading.RLock
        Held while a message is worked on: several connections may reach one instrument.
    """

    #: Whether a message may carry binary blocks, in which an end of line is only a byte.
    takes_blocks: bool = True

    def __init__(self, identity: str, error_capacity: int, clock: Clock | None = None) -> None:
        self.identity = identity
        self.errors = ErrorQueue(error_capacity)
        self.clock = Clock() if clock is None else clock
        self.lock = threading.RLock()

    def execute(self, message: bytes) -> bytes:
        """Work on one message, without its end of line; return the whole reply, or nothing.

        Messages that make no sense leave their error in the queue and raise nothing.
        """
        with self.lock:
            return self._execute(message)

    def complain(self, code: int) -> None:
        """Queue an error that shows only on the wire: a bad block, an overrun, a query left unread."""
        with self.lock:
            self._noted(InstrumentError(code))

    def session(self, line: Line, faults: Faults) -> MessageSession:
        """Begin to talk to a client."""
        return MessageSession(line, self, faults)

    def idle(self) -> float | None:
        """Do nothing: an instrument only does what it is told."""
        return None

    @abstractmethod
    def reset(self) -> None:
        """Go back to power-on settings; outputs off."""

    @abstractmethod
    def _execute(self, message: bytes) -> bytes: ...

    def _noted(self, error: InstrumentError) -> None:
        self.errors.push(error)


class Exchange:
    """The message exchange of IEEE 488.2 for a bus on which reading is an act of its own (GPIB, USB-TMC).

    A byte stream cannot show a read with nothing asked: there replies are sent as soon as they are made.
    """

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._output = b""

    def write(self, message: bytes) -> None:
        """Send a message; a reply left unread is lost, and -410 queued."""
        if self._output:
            self._instrument.complain(-410)
        self._output = self._instrument.execute(message)

    def read(self) -> bytes:
        """Return the reply; nothing, and -420 queued, when nothing was asked."""
        if not self._output:
            self._instrument.complain(-420)
        reply, self._output = self._output, b""
        return reply
