"""Servers that connect virtual instruments and boards to TCP sockets and pseudo-terminals."""

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
from types import TracebackType
from typing import Final, Self

from hwlearn.errors import HwlearnError, SetupError
from hwlearn_sim.wire.faults import Faults
from hwlearn_sim.wire.session import Line, Served, Session

_CHUNK: Final = 1 << 16
_LOOPBACK: Final = "127.0.0.1"
_LISTENER: Final = "listener"
_WAKER: Final = "waker"


class Server(ABC):
    """Serves one instrument or board in a thread of its own; a context manager.

    Several clients can be connected at the same time. The instrument keeps its state between connections.

    Parameters
    ----------
    served : Served
        The instrument or board.
    faults : Faults, optional
        Faults of the connection.

    Attributes
    ----------
    address : str
        VISA address.
    """

    address: str

    def __init__(self, served: Served, faults: Faults | None = None) -> None:
        self.served = served
        self.faults: Faults = Faults() if faults is None else faults
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = socket.socketpair()
        self._selector.register(self._wake, selectors.EVENT_READ, _WAKER)
        self._settling: deque[threading.Event] = deque()
        self._sessions: list[Session] = []
        self._failure: BaseException | None = None
        self._stopping = False
        self._idles_at: float | None = None
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    def start(self) -> Self:
        """Start serving."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Disconnect all clients and stop; closing twice is allowed.

        Raises
        ------
        HwlearnError
            If the instrument raised an exception while it was served; the exception is the cause.
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
        self.check()

    def settle(self, longest_s: float = 5.0) -> None:
        """Wait until everything that clients have sent so far is executed, or the server has ended."""
        done = threading.Event()
        self._settling.append(done)
        with contextlib.suppress(OSError):  # closed
            self._waker.send(b"\0")
        ends = time.monotonic() + longest_s
        while self._thread.is_alive() and time.monotonic() < ends and not done.wait(0.05):
            pass

    def check(self) -> None:
        """Check that the instrument did not stop because of an exception.

        Raises
        ------
        HwlearnError
            If it raised one while it was served; the exception is the cause.
        """
        failure = self._failure
        if failure is not None:
            reason = str(failure) or type(failure).__name__
            raise HwlearnError(f"the virtual instrument at {self.address} failed: {reason}") from failure

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
                self._serve_once()
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

    def _serve_once(self) -> None:
        settling = [self._settling.popleft() for _ in range(len(self._settling))]
        for key, _ in self._selector.select(0.0 if settling else self._timeout_s()):
            if isinstance(key.data, Session):
                self._receive_from(key.data)
            elif key.data == _WAKER:
                self._wake.recv(_CHUNK)
            elif key.data == _LISTENER:
                self._add_session(self._accept())
        for session in list(self._sessions):
            if session.busy:
                try:
                    session.flush()
                except OSError:
                    self._drop(session)
                else:
                    self._watch(session)
        again_s = self.served.idle()
        self._idles_at = None if again_s is None else time.monotonic() + again_s
        for done in settling:
            done.set()

    def _receive_from(self, session: Session) -> None:
        try:
            data = session.line.read()
            alive = bool(data) and session.receive(data)
        except BlockingIOError:
            return
        except OSError:
            alive = False
        if not alive:
            self._drop(session)

    def _add_session(self, line: Line) -> None:
        session = self.served.session(line, self.faults)
        self._sessions.append(session)
        self._selector.register(line.fileno(), selectors.EVENT_READ, session)

    def _drop(self, session: Session) -> None:
        self._sessions.remove(session)
        self._selector.unregister(session.line.fileno())
        session.line.close()

    def _watch(self, session: Session) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if session.blocked else 0)
        if self._selector.get_key(session.line.fileno()).events != events:
            self._selector.modify(session.line.fileno(), events, session)

    def _timeout_s(self) -> float | None:
        times = [when for session in self._sessions if (when := session.wakes_at()) is not None]
        if self._idles_at is not None:
            times.append(self._idles_at)
        return max(0.0, min(times) - time.monotonic()) if times else None

    # --- for the subclasses -------------------------------------------------------------------------

    @abstractmethod
    def _accept(self) -> Line:
        """Return the next connection."""

    @abstractmethod
    def _close_wire(self) -> None:
        """Release the socket or pseudo-terminal."""


class TcpServer(Server):
    """Serves on a TCP port of the loopback interface.

    Parameters
    ----------
    served : Served
        The instrument or board.
    port : int
        TCP port; 0 selects a free one.
    faults : Faults, optional
        Faults of the connection.

    Raises
    ------
    SetupError
        If the port is in use.
    """

    def __init__(self, served: Served, port: int = 0, faults: Faults | None = None) -> None:
        try:
            self._listener = socket.create_server((_LOOPBACK, port), backlog=8)
        except (OSError, OverflowError) as error:
            raise SetupError(f"TCP port {port} cannot be served: {error}; use 0 for a free one") from error
        super().__init__(served, faults)
        self._selector.register(self._listener, selectors.EVENT_READ, _LISTENER)
        self.port: int = int(self._listener.getsockname()[1])
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
        data = self._socket.recv(_CHUNK)
        if sys.platform == "linux":
            # Acknowledged at once: a client that sends two short messages, as pyvisa-py does, holds the second
            # back until the first is acknowledged (RFC 896), else after 40 ms. Linux forgets the option.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data

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
        """Serves on a pseudo-terminal, which clients use like a serial port (Linux and macOS).

        Parameters
        ----------
        served : Served
            The instrument or board.
        faults : Faults, optional
            Faults of the connection.
        """

        def __init__(self, served: Served, faults: Faults | None = None) -> None:
            super().__init__(served, faults)
            master, self._slave = os.openpty()
            tty.setraw(self._slave)  # kept open: the line must survive when a client closes it
            self.path: str = os.ttyname(self._slave)
            self.address = f"ASRL{self.path}::INSTR"
            self._add_session(_PtyLine(master))

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
