"""`GpibAdapter`: a Prologix GPIB-USB or GPIB-ETHERNET controller, or an AR488, which several instruments share.

An adapter has one current address and one stream of bytes, in which nothing says from which instrument they come.
So every message is preceded by its address in the same write. Before another instrument is read, the adapter is
queried for a random number: it answers only when it has ended what it did before, so whatever arrives before that
number belongs to the instrument that was read last.

The number is the read time-out: it is not kept in the memory of the adapter, as the other settings of a Prologix
are. A read is repeated as long as the program waits; one read keeps the adapter for at most `READ_MS`, so that an
OFF to another instrument is not delayed by more. Serial polls and service requests are not used.

Commands: Prologix GPIB-USB Controller User Manual, version 6.107 (2013), sections 7 and 8; Prologix
GPIB-ETHERNET Controller User Manual, version 1.6.6.0 (2013), sections 8 and 9; AR488 GPIB Controller User Manual,
version 0.53.03 (2025), "Command Reference", and its firmware 0.53.04 (order of execution, 64-byte serial buffer of
Arduinos).
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from hwlearn_drivers.errors import LinkError, LinkTimeout
from hwlearn_drivers.transport.links.link import StreamLink

READ_MS: Final = 250
"""Time in ms for which the adapter waits for each byte of a reply, before it returns with nothing."""

_MOST_MS: Final = 3000  # the largest read time-out of a Prologix
_SPARE_S: Final = 0.15  # the adapter and its link may be this late
_SETTLED_S: Final = 0.6  # in which the adapter answers, if it is busy with a read
_TRY_S: Final = 0.4
_ROUNDS: Final = 8
_SERIAL_BUFFER: Final = 60  # bytes that an AR488 takes while it is busy

_INVALID: Final = b"~~\n"  # ends a message that was cut short: no instrument and no adapter understands it
_CONTROLLER: Final = b"++mode 1\n"
_SETTINGS: Final = b"++auto 0\n++eoi 1\n++eos 2\n++eot_enable 0\n++read_tmo_ms %d\n" % READ_MS

_Result = TypeVar("_Result")

GpibNumbers = tuple[int, ...]
"""Primary and perhaps secondary address."""


class GpibAdapter:
    """An open adapter; thread-safe. Messages are sent at any time, replies are read one after the other.

    Parameters
    ----------
    address : str
    stream : StreamLink
        The open serial port or socket.
    patience_s : float
        Time in which it begins to answer: an Arduino restarts when its port is opened.

    Attributes
    ----------
    users : int
        Number of links that use it.
    version : str
        What it reports itself to be; empty if it does not answer.
    """

    def __init__(self, address: str, stream: StreamLink, patience_s: float) -> None:
        self.address, self._stream = address, stream
        self.users, self.version = 0, ""
        self._pid = os.getpid()
        self._writing = threading.RLock()  # held while bytes are sent; OFF needs only this lock
        self._depth, self._cut, self._urgent = 0, False, b""
        self._ahead = 0  # bytes sent since the adapter was known to be idle
        self._reading = threading.RLock()  # held from the request of a reply to its end
        self._talking: GpibNumbers | None = None  # the instrument whose reply is not complete
        self._last: GpibNumbers | None = None  # the instrument that was read last
        self._doubt = True  # bytes may arrive that belong to nothing known
        self._mute = False  # it did not answer when it was queried last
        self._replies: dict[GpibNumbers, bytearray] = {}
        self._lost = ""
        try:
            self._start(patience_s)
        except BaseException:
            stream.close()
            raise

    @property
    def usable(self) -> bool:
        """Whether it is connected, and not the adapter of a parent process."""
        return not self._lost and self._pid == os.getpid()

    # --- messages to instruments --------------------------------------------------------------------

    def write(self, numbers: GpibNumbers, messages: list[bytes]) -> None:
        """Send messages to an instrument; each is preceded by its address.

        Parameters
        ----------
        numbers : tuple of int
        messages : list of bytes
            Already escaped, without the newline.

        Raises
        ------
        LinkError, LinkTimeout
            If they cannot be sent.
        """
        to = _select(numbers)
        for message in messages:
            self._wait_for_room(len(to) + len(message) + 1)
            self._send(to + message + b"\n")

    def clear(self, numbers: GpibNumbers) -> None:
        """Send a Selected Device Clear, which empties the buffers of one instrument; raises as `write`."""
        self._send(_select(numbers) + b"++clr\n")

    # --- replies ------------------------------------------------------------------------------------

    def read(self, numbers: GpibNumbers, enough: Callable[[bytearray], bool], timeout_s: float) -> bytearray:
        """Read an instrument until there is enough; return everything of it that was not taken yet.

        Parameters
        ----------
        numbers : tuple of int
        enough : callable
            Whether the bytes are a whole reply.
        timeout_s : float
            Restarts with every piece that arrives.

        Returns
        -------
        bytearray
            The caller removes what it takes.

        Raises
        ------
        LinkTimeout
            If there is not enough in time. What arrives later is not given to another instrument.
        LinkError
            If the adapter is gone, or does not answer.
        """
        with self._reading:
            found = self._replies.setdefault(numbers, bytearray())
            if enough(found):
                return found
            self._turn_to(numbers)
            deadline = time.monotonic() + timeout_s
            while True:
                self._talking = numbers
                self._send(_select(numbers) + b"++read eoi\n")
                while piece := self._receive(min(READ_MS / 1e3 + _SPARE_S, deadline - time.monotonic())):
                    found += piece
                    if enough(found):
                        self._talking, self._last, self._ahead = None, numbers, 0
                        return found
                    deadline = time.monotonic() + timeout_s
                if time.monotonic() >= deadline:
                    got = f", only {bytes(found[:40])!r}" if found else ""
                    raise LinkTimeout(f"no answer within {timeout_s:g} s{got}")
                if late := self._settle(2):
                    raise LinkTimeout(f"{late[:40]!r} came after the adapter had ended its read")

    def unread(self, numbers: GpibNumbers) -> bool:
        """Whether bytes of an instrument are waiting that were not requested."""
        if self._replies.get(numbers):
            return True
        if not self._reading.acquire(blocking=False):
            return False
        try:
            return self._talking is None and self._last == numbers and self._guarded(self._stream.unread)
        finally:
            self._reading.release()

    def drop_replies(self, numbers: GpibNumbers) -> bytes:
        """Return and forget everything that an instrument has sent.

        Raises
        ------
        LinkError
            If the adapter is gone, or does not answer.
        """
        with self._reading:
            self._settle(2)
            found = self._replies.pop(numbers, bytearray())
            return bytes(found)

    def close(self) -> None:
        """Close the link; closing twice is harmless."""
        self._lost = self._lost or "it was closed"
        self._stream.close()

    # --- the adapter itself -------------------------------------------------------------------------

    def _start(self, patience_s: float) -> None:
        """Make it a controller. One that does not answer may still execute what is sent, so it is no error."""
        try:
            self._meet(patience_s)
        except LinkError:
            if not self.usable:
                raise
        self._send(_SETTINGS)
        self._doubt = True  # until the first reply is read

    def _meet(self, patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while True:
            self._send(_CONTROLLER)
            try:
                self._settle(2, _TRY_S)
                break
            except LinkTimeout:
                if time.monotonic() >= deadline:
                    raise
        self._send(b"++ver\n")
        self.version = self._line(time.monotonic() + _SETTLED_S).decode("ascii", "replace")
        if "AR488" not in self.version:
            # a Prologix would write every address into its memory; an AR488 writes it when it receives this
            self._send(b"++savecfg 0\n")

    def _turn_to(self, numbers: GpibNumbers) -> None:
        """Make sure that what arrives from now on belongs to this instrument."""
        unknown = self._doubt or self._talking is not None
        if unknown or (self._last not in (None, numbers) and self._settle(1)):
            self._settle(2)

    def _settle(self, rounds: int, seconds: float = _SETTLED_S) -> bytes:
        """Query random numbers until ``rounds`` of them are answered by the next line; return all other lines.

        Those are kept for the instrument that was read last.
        """
        found, clean = b"", 0
        for n in random.SystemRandom().sample(range(1, _MOST_MS + 1), _ROUNDS):
            self._send(b"++read_tmo_ms %d\n++read_tmo_ms\n" % n)
            clean, before = clean + 1, len(found)
            deadline = time.monotonic() + (min(seconds, _TRY_S) if self._mute else seconds)
            try:
                while (line := self._line(deadline)).strip() != b"%d" % n:
                    found, clean = found + line + b"\n", 0
            except LinkTimeout:
                if len(found) == before:  # else the answer was damaged; the next one may not be
                    raise
            if clean == rounds:
                break
        else:
            raise LinkError(f"the adapter at {self.address} keeps sending lines that belong to no query")
        self._send(b"++read_tmo_ms %d\n" % READ_MS)
        who = self._talking or self._last
        if found and who is not None:
            self._replies.setdefault(who, bytearray()).extend(found)
        self._talking, self._last, self._doubt, self._ahead = None, None, False, 0
        return found

    def _line(self, deadline: float) -> bytes:
        try:
            line = self._guarded(lambda: self._stream.read_line(max(0.0, deadline - time.monotonic())))
            self._mute = False
            return line
        except LinkTimeout as error:
            self._doubt = self._mute = True
            raise LinkTimeout(f"the adapter at {self.address} does not answer") from error

    def _wait_for_room(self, count: int) -> None:
        """On an AR488, which has no flow control: wait until it has executed what it was sent."""
        full = self._ahead and self._ahead + count > _SERIAL_BUFFER
        paced = full and "AR488" in self.version and not self._mute  # OFF does not wait for it twice
        if not paced or not self._reading.acquire(blocking=False):
            return
        try:
            with contextlib.suppress(LinkTimeout):
                self._settle(1, _TRY_S)
        finally:
            self._reading.release()

    # --- bytes --------------------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        with self._writing:
            out = _INVALID + data if self._cut else data
            self._doubt = self._doubt or self._cut  # the adapter may complain
            self._depth += 1
            self._cut = True
            try:
                self._urgent = self._urgent + data if self._depth > 1 else b""
                self._write(out)
                if self._depth == 1 and self._urgent:
                    # a signal handler has sent OFF within this message: OFF must be the last one
                    self._write(_INVALID + self._urgent)
            finally:
                self._depth -= 1
            self._cut = self._depth > 0
            self._ahead += len(out)

    def _write(self, data: bytes) -> None:
        self._guarded(lambda: self._stream.write(data))

    def _receive(self, seconds: float) -> bytes:
        return self._guarded(lambda: self._stream.receive(max(0.0, seconds)))

    def _guarded(self, act: Callable[[], _Result]) -> _Result:
        """Use the stream; remember that it is gone."""
        if not self.usable:
            raise LinkError(f"the adapter at {self.address} is not connected: {self._lost}; reconnect")
        try:
            return act()
        except LinkTimeout:
            raise
        except LinkError as error:
            self._lost = str(error)
            self._stream.close()
            raise


def _select(numbers: GpibNumbers) -> bytes:
    """Return the command that selects an address; a secondary one is sent as 96 to 126."""
    primary, *secondary = numbers
    return b"++addr " + b" ".join([b"%d" % primary, *(b"%d" % (96 + number) for number in secondary)]) + b"\n"


_guard = threading.RLock()  # reentrant: a signal handler may open a link again to send OFF
_adapters: dict[str, GpibAdapter] = {}


def join_adapter(address: str, opened: Callable[[], GpibAdapter]) -> GpibAdapter:
    """Return the adapter that this process has open at an address, or open it.

    Raises
    ------
    LinkError
        If it cannot be opened.
    """
    with _guard:
        adapter = _adapters.get(address)
        if adapter is None or not adapter.usable:
            adapter = _adapters[address] = opened()
        adapter.users += 1
        return adapter


def leave_adapter(adapter: GpibAdapter) -> None:
    """End one use of an adapter; the last one closes it."""
    with _guard:
        adapter.users -= 1
        if adapter.users <= 0:
            adapter.close()
            if _adapters.get(adapter.address) is adapter:
                del _adapters[adapter.address]


def _in_child() -> None:
    global _guard
    _guard = threading.RLock()
    _adapters.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
