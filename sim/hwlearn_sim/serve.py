"""Virtual instruments on real wires: TCP sockets of this machine, and pseudo-terminals where it has any."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import struct
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from itertools import pairwise
from types import TracebackType
from typing import Final, Self

from hwlearn.errors import HwlearnError, SetupError
from hwlearn_sim.faults import Fault, Faults
from hwlearn_sim.framing import Framer
from hwlearn_sim.instruments.instrument import LONGEST_MESSAGE, Instrument

_BLOCK_PATIENCE_S: Final = 0.1
"""A byte missing inside a block costs that one message, not the connection."""

_CHUNK: Final = 1 << 16
_LOOPBACK: Final = "127.0.0.1"
_LISTENER: Final = "listener"


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


class _Session:
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


class Server(ABC):
    """One instrument on one wire, served by a thread of its own; a context manager.

    Clients may come and go, and several may be there at once; the instrument keeps its state throughout.

    Parameters
    ----------
    instrument : Instrument
        Who answers.
    faults : Faults, optional
        What goes wrong on the wire.

    Attributes
    ----------
    address : str
        VISA address of the wire.
    """

    address: str

    def __init__(self, instrument: Instrument, faults: Faults | None = None) -> None:
        self.instrument = instrument
        self.faults = Faults() if faults is None else faults
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = socket.socketpair()
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._sessions: list[_Session] = []
        self._failure: BaseException | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    def start(self) -> Self:
        """Begin to serve."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Drop all clients and stop; closing twice is harmless.

        Raises
        ------
        HwlearnError
            If the instrument broke down while it was served; the cause is attached.
        """
        if self._stopping:
            return
        self._stopping = True
        if self._thread.ident is None:
            self._release()
        else:
            with contextlib.suppress(OSError):  # the thread may have ended by itself
                self._waker.send(b"\0")
            self._thread.join()
        self._waker.close()
        if self._failure is not None:
            raise HwlearnError(f"the virtual instrument at {self.address} broke down") from self._failure

    def __enter__(self) -> Self:
        return self if self._thread.is_alive() else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- the serving thread -------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        except BaseException as error:
            self._failure = error
        finally:
            self._release()

    def _release(self) -> None:
        for session in list(self._sessions):
            self._drop(session)
        self._selector.close()
        self._wake.close()
        self._close_wire()

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._patience_s()):
            if isinstance(key.data, _Session):
                self._attend(key.data)
            elif key.data == _LISTENER:
                self._admit(self._accept())
        for session in list(self._sessions):
            if session.busy:
                try:
                    session.flush()
                except OSError:
                    self._drop(session)
                else:
                    self._watch(session)

    def _attend(self, session: _Session) -> None:
        try:
            data = session.line.read()
            alive = bool(data) and session.receive(data)
        except BlockingIOError:
            return
        except OSError:
            alive = False
        if not alive:
            self._drop(session)

    def _admit(self, line: Line) -> None:
        session = _Session(line, self.instrument, self.faults)
        self._sessions.append(session)
        self._selector.register(line.fileno(), selectors.EVENT_READ, session)

    def _drop(self, session: _Session) -> None:
        self._sessions.remove(session)
        self._selector.unregister(session.line.fileno())
        session.line.close()

    def _watch(self, session: _Session) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if session.clogged else 0)
        if self._selector.get_key(session.line.fileno()).events != events:
            self._selector.modify(session.line.fileno(), events, session)

    def _patience_s(self) -> float | None:
        times = [when for session in self._sessions if (when := session.wakes_at()) is not None]
        return max(0.0, min(times) - time.monotonic()) if times else None

    # --- what kinds of wires differ in --------------------------------------------------------------

    @abstractmethod
    def _accept(self) -> Line:
        """Return the next connection."""

    @abstractmethod
    def _close_wire(self) -> None:
        """Give the wire back."""


class TcpServer(Server):
    """Serves an instrument on a TCP port of this machine, for this machine alone.

    Parameters
    ----------
    instrument : Instrument
        Who answers.
    port : int
        0 takes a free one.
    faults : Faults, optional
        What goes wrong on the wire.

    Raises
    ------
    SetupError
        If the port is taken.
    """

    def __init__(self, instrument: Instrument, port: int = 0, faults: Faults | None = None) -> None:
        try:
            self._listener = socket.create_server((_LOOPBACK, port), backlog=8)
        except (OSError, OverflowError) as error:
            raise SetupError(f"TCP port {port} cannot be served: {error}; use 0 for a free one") from error
        super().__init__(instrument, faults)
        self._selector.register(self._listener, selectors.EVENT_READ, _LISTENER)
        self.port = int(self._listener.getsockname()[1])
        self.address = f"TCPIP::{_LOOPBACK}::{self.port}::SOCKET"

    def _accept(self) -> Line:
        connection, _ = self._listener.accept()
        return _TcpLine(connection)

    def _close_wire(self) -> None:
        self._listener.close()


class _TcpLine(Line):
    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket, self._number = connection, connection.fileno()

    def fileno(self) -> int:
        return self._number

    def read(self) -> bytes:
        return self._socket.recv(_CHUNK)

    def write(self, data: bytes) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    def reset(self) -> bool:
        # closing with a linger time of zero sends RST instead of FIN
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return True

    def close(self) -> None:
        self._socket.close()


if sys.platform != "win32":
    import tty

    class PtyServer(Server):
        """Serves an instrument on a pseudo-terminal, as a serial port would (Linux and macOS).

        Parameters
        ----------
        instrument : Instrument
            Who answers.
        faults : Faults, optional
            What goes wrong on the wire.
        """

        def __init__(self, instrument: Instrument, faults: Faults | None = None) -> None:
            super().__init__(instrument, faults)
            master, self._slave = os.openpty()
            tty.setraw(self._slave)  # kept open: otherwise the wire would break when a client leaves
            self.path = os.ttyname(self._slave)
            self.address = f"ASRL{self.path}::INSTR"
            self._admit(_PtyLine(master))

        def _accept(self) -> Line:
            raise AssertionError("a pseudo-terminal has no listener")

        def _close_wire(self) -> None:
            os.close(self._slave)

    class _PtyLine(Line):
        def __init__(self, master: int) -> None:
            os.set_blocking(master, False)
            self._master = master

        def fileno(self) -> int:
            return self._master

        def read(self) -> bytes:
            return os.read(self._master, _CHUNK)

        def write(self, data: bytes) -> int:
            try:
                return os.write(self._master, data)
            except BlockingIOError:
                return 0

        def reset(self) -> bool:
            return False

        def close(self) -> None:
            os.close(self._master)


def _pieces(reply: bytes, fault: Fault) -> list[bytes]:
    """Return a reply in as many pieces as the fault says, or as it has bytes."""
    count = min(fault.pieces, len(reply))
    ends = [len(reply) * k // count for k in range(count + 1)]
    return [reply[start:end] for start, end in pairwise(ends)]
