"""Abstract `Link` that carries bytes, and the buffered `StreamLink` for sockets and serial ports."""

from __future__ import annotations

import os
import time
import weakref
from abc import ABC, abstractmethod
from typing import Final

from hwlearn_drivers.errors import LinkTimeout

CHUNK = 65536
"""Maximum number of bytes read from a stream at once."""


class Link(ABC):
    """An open connection to one instrument; lines end in a newline in both directions.

    Attributes
    ----------
    has_clear : bool
        Whether `clear` sends a device clear, which empties the buffers of the instrument.
    """

    __slots__ = ("has_clear",)

    has_clear: bool

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send all of data; raise `LinkTimeout` or `LinkError` if that fails."""

    @abstractmethod
    def write_messages(self, messages: list[bytes]) -> None:
        """Send several complete messages with as little delay in between as possible."""

    @abstractmethod
    def read_line(self, timeout_s: float) -> bytes:
        """Return the next line without its end."""

    @abstractmethod
    def read_exactly(self, count: int, timeout_s: float) -> bytes:
        """Return the next count bytes; the time-out restarts with every piece that arrives."""

    @abstractmethod
    def unread(self) -> bool:
        """Whether received bytes are waiting to be read, as far as the link can detect."""

    @abstractmethod
    def drain(self, quiet_s: float, longest_s: float) -> bytes:
        """Read and return everything until nothing arrives for quiet_s, at most for longest_s."""

    @abstractmethod
    def clear(self) -> None:
        """Send a device clear; only if `has_clear`."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection; closing twice is harmless."""


class StreamLink(Link):
    """A stream of bytes without message boundaries, read in large pieces."""

    __slots__ = ("__weakref__", "_buffer")

    def __init__(self) -> None:
        self.has_clear = False
        self._buffer = bytearray()

    @abstractmethod
    def _receive(self, timeout_s: float) -> bytes:
        """Wait for the first byte and return what has arrived; empty if nothing arrives within timeout_s."""

    def receive(self, timeout_s: float) -> bytes:
        """Return what has arrived; wait for the first byte. Empty if nothing arrives within timeout_s."""
        found = bytes(self._buffer)
        self._buffer.clear()
        return found or self._receive(timeout_s)

    def write_messages(self, messages: list[bytes]) -> None:
        """Send all messages at once."""
        self.write(b"".join(messages))

    def read_line(self, timeout_s: float) -> bytes:
        """Return the next line without its end."""
        buffer = self._buffer
        left_s = timeout_s
        if not buffer:
            began = time.monotonic()
            piece = self._receive(timeout_s)
            # fast path: nearly every reply arrives in one piece
            if piece[-1:] == b"\n" and piece.count(b"\n") == 1:
                return piece[:-2] if piece[-2:-1] == b"\r" else piece[:-1]
            buffer += piece
            left_s -= time.monotonic() - began
        deadline = time.monotonic() + left_s
        end = buffer.find(b"\n")
        while end < 0:
            seen, left_s = len(buffer), deadline - time.monotonic()
            piece = self._receive(left_s) if left_s > 0 else b""
            if not piece:
                got = f", only {bytes(buffer[:40])!r}" if buffer else ""
                raise LinkTimeout(f"no answer within {timeout_s:g} s{got}")
            buffer += piece
            end = buffer.find(b"\n", seen)
        line = bytes(buffer[:end])
        del buffer[: end + 1]
        return line[:-1] if line[-1:] == b"\r" else line

    def read_exactly(self, count: int, timeout_s: float) -> bytes:
        """Return the next count bytes."""
        buffer = self._buffer
        while len(buffer) < count:
            piece = self._receive(timeout_s)
            if not piece:
                raise LinkTimeout(f"{len(buffer)} of {count} bytes arrived, then nothing for {timeout_s:g} s")
            buffer += piece
        data = bytes(buffer[:count])
        del buffer[:count]
        return data

    def drain(self, quiet_s: float, longest_s: float) -> bytes:
        """Read and return everything until nothing arrives for quiet_s, at most for longest_s."""
        deadline = time.monotonic() + longest_s
        found = bytearray(self._buffer)
        self._buffer.clear()
        while (left := deadline - time.monotonic()) > 0:
            piece = self._receive(min(quiet_s, left))
            if not piece:
                break
            found += piece
        return bytes(found)

    def abandon(self) -> None:
        """Close what a forked child has inherited; see `close_in_child`."""
        return

    def clear(self) -> None:
        """Raise NotImplementedError: a byte stream has no device clear."""
        raise NotImplementedError("a byte stream has no device clear")


_inherited: Final[weakref.WeakSet[StreamLink]] = weakref.WeakSet()


def close_in_child(link: StreamLink) -> None:
    """Close a link in every child that this process forks.

    A child that lives on would otherwise keep the connection of a parent that has ended: some instruments read no
    other one, and the lock of a serial port would stay.
    """
    _inherited.add(link)


def _close_inherited() -> None:
    for link in list(_inherited):
        link.abandon()
    _inherited.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited)
