"""Instruments for the driver tests: a scripted link, a responder on a TCP socket, and one on a pty."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import pytest
from board_rig import BoardRig, graph

from hwlearn.errors import SetupError
from hwlearn_drivers.errors import LinkTimeout
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.transport.links.link import StreamLink
from hwlearn_drivers.transport.transport import Transport
from hwlearn_sim.board.build import host_library

DEADLINE_S = 10.0


class ScriptedLink(StreamLink):
    """Expects exactly the given messages in the given order, and gives the replies of the script."""

    __slots__ = ("closed", "expected", "sent")

    def __init__(self, exchanges: Iterable[tuple[str, str | None]]) -> None:
        super().__init__()
        self.expected = list(exchanges)
        self.sent: list[str] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        for message in data.decode("ascii").removesuffix("\n").split("\n"):
            assert self.expected, f"{message!r} was sent, nothing more was expected"
            wanted, reply = self.expected.pop(0)
            assert message == wanted
            self.sent.append(message)
            if reply is not None:
                self._buffer += reply.encode("ascii") + b"\n"

    def unread(self) -> bool:
        return bool(self._buffer)

    def close(self) -> None:
        self.closed = True

    def _receive(self, timeout_s: float) -> bytes:
        raise LinkTimeout("the script has no reply")


@pytest.fixture
def scripted() -> Iterator[Callable[..., tuple[Transport, ScriptedLink]]]:
    """Make transports over scripts; at the end every script must be complete."""
    links: list[ScriptedLink] = []

    def make(exchanges: Iterable[tuple[str, str | None]]) -> tuple[Transport, ScriptedLink]:
        link = ScriptedLink(exchanges)
        links.append(link)
        return Transport("script", lambda: link, timeout_s=1.0), link

    yield make
    for link in links:
        assert not link.expected, f"never sent: {link.expected}"


@dataclass
class Responder:
    """A TCP instrument in a thread; ``answer`` maps a received line to bytes to send, None to stay silent.

    A reply may be a callable that runs in the responder's thread and returns the bytes, with any delay.
    """

    answer: Callable[[str], bytes | Callable[[], bytes] | None]
    lines: queue.Queue[str] = field(default_factory=queue.Queue)
    connections: int = 0

    def __post_init__(self) -> None:
        self.heard: list[str] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._clients: list[socket.socket] = []
        self._talks: list[threading.Thread] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"socket://127.0.0.1:{self.port}"

    @property
    def visa(self) -> str:
        return f"TCPIP::127.0.0.1::{self.port}::SOCKET"

    def drop(self) -> None:
        """Reset every connection, as a crashed instrument does."""
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
                client.close()
        self._clients.clear()

    def refuse(self) -> None:
        """Accept no more connections, and reset the open ones."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # closing alone would not end a waiting accept
        self._server.close()
        self.drop()

    def wait_for(self, line: str) -> None:
        """Wait until the line has been received."""
        deadline = time.monotonic() + DEADLINE_S
        while line not in self.heard:
            with contextlib.suppress(queue.Empty):
                self.lines.get(timeout=0.05)
            assert time.monotonic() < deadline, f"{line!r} was not received, only {self.heard}"

    def wait_for_the_end(self) -> None:
        """Wait until everything that the peers sent has been received and they have disconnected."""
        for talk in self._talks:
            talk.join(DEADLINE_S)
            assert not talk.is_alive(), "a peer is still connected"

    def close(self) -> None:
        self._ended.set()
        self.refuse()

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            self._clients.append(client)
            self._talks.append(threading.Thread(target=self._talk, args=(client,), daemon=True))
            self._talks[-1].start()

    def _talk(self, client: socket.socket) -> None:
        pending = b""
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                pending += data
                while (size := _message_size(pending)) is not None:
                    text, pending = pending[:size].decode("latin-1"), pending[size + 1 :]
                    self.heard.append(text)
                    reply = self.answer(text)
                    if callable(reply):
                        reply = reply()
                    if reply:
                        with contextlib.suppress(OSError):  # the peer may have disconnected
                            client.sendall(reply)
                    self.lines.put(text)


def _message_size(pending: bytes) -> int | None:
    """Return the size of the first complete message without its end; a block may contain newlines."""
    start = 0
    if block := re.match(rb"[^\n]*[ ,]#([1-9])", pending):
        length = pending[block.end() : block.end() + int(block[1])]
        start = block.end() + len(length) + int(length or b"0")
    end = pending.find(b"\n", start)
    return None if end < 0 else end


@pytest.fixture
def responder() -> Iterator[Callable[..., Responder]]:
    """Make TCP responders; they are closed after the test."""
    made: list[Responder] = []

    def make(answer: Callable[[str], bytes | Callable[[], bytes] | None]) -> Responder:
        made.append(Responder(answer))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def pty_responder() -> Iterator[Callable[[Callable[[bytes], bytes | None]], str]]:
    """Make a responder on a pty and return its device name; Linux and macOS."""
    if sys.platform == "win32":
        pytest.skip("Windows has no ptys")
    import pty
    import tty

    masters: list[int] = []
    slaves: list[int] = []
    threads: list[threading.Thread] = []

    def make(answer: Callable[[bytes], bytes | None]) -> str:
        master, slave = pty.openpty()
        tty.setraw(master)
        tty.setraw(slave)
        masters.append(master)
        slaves.append(slave)

        def talk() -> None:
            pending = b""
            with contextlib.suppress(OSError):
                while data := os.read(master, 65536):
                    pending += data
                    while b"\n" in pending:
                        line, _, pending = pending.partition(b"\n")
                        reply = answer(line)
                        while reply:
                            reply = reply[os.write(master, reply) :]

        threads.append(threading.Thread(target=talk, daemon=True))
        threads[-1].start()
        return os.ttyname(slave)

    yield make
    for fd in slaves:
        os.close(fd)  # ends the reads of the threads
    for thread in threads:
        thread.join(DEADLINE_S)  # before the next test reuses the number of a master
    for fd in masters:
        os.close(fd)


@pytest.fixture(scope="session")
def _firmware() -> None:
    """The firmware, compiled for this computer."""
    try:
        host_library()
    except SetupError as error:
        pytest.skip(str(error))


@pytest.fixture
def board_rig(_firmware: None) -> Iterator[Callable[..., BoardRig]]:
    """Make reference boards, with their firmware, on a network; they are closed after the test."""
    made: list[BoardRig] = []

    def make(**options: object) -> BoardRig:
        made.append(BoardRig(graph(), **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(autouse=True)
def _no_outputs_left_open() -> Iterator[None]:
    """Fail a test that leaves an instrument registered in `open_outputs`."""
    yield
    left = list(open_outputs._open.values())
    for instrument in left:
        open_outputs.unwatch(instrument)
    assert not left
