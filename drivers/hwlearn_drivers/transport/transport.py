"""`Transport`: exchanges messages with one instrument and never takes a late reply for the reply to a later query.

Without synchronisation, a late reply would be read as the reply to the next query, and every later reply would be
shifted too. So a time-out or a garbled reply marks the transport as out of sync. Before the next query it then
resynchronises, or closes the link: device clear where the link has one, drain until silence, then a `Fence`, a
query with a random number. Once the fence's reply is read, everything older has been read.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NoReturn, TypeVar

from hwlearn_drivers.claims.claim import Claim
from hwlearn_drivers.errors import GarbledReplyError, HaltedError, LinkError, LinkTimeout
from hwlearn_drivers.transport.blocks import encode_block
from hwlearn_drivers.transport.fence import SCPI_FENCE, Fence
from hwlearn_drivers.transport.haltable_link import HaltableLink
from hwlearn_drivers.transport.links.link import Link
from hwlearn_drivers.transport.messages import (
    decode_line,
    encode_line,
    read_block_or_reply,
    read_reply,
    without_acknowledgement,
)
from hwlearn_drivers.transport.wire_log import WireLog

_QUIET_S = 0.03  # silence that ends a drain; replies that come later are caught by the fence
_MAX_DRAIN_S = 2.0
_RETRY_S = 0.25  # between two fence queries to an instrument that is starting

_Read = TypeVar("_Read")

log = logging.getLogger("hwlearn_drivers")


class Transport(HaltableLink):
    """One message exchange at a time with one instrument; thread-safe.

    Parameters
    ----------
    name : str
        Name of the instrument in messages and in the wire log.
    open_link : callable
        Opens the link, now and again at `reopen`.
    timeout_s : float
        Maximum wait for a reply, unless a query specifies its own.
    fence : Fence or None
        None if the instrument has no suitable query. Resynchronising then waits for a whole time-out of silence.
    wire_log : WireLog, optional
    claim : Claim, optional
        Released by `close`.
    acknowledgement : str
        Line with which the instrument acknowledges commands, such as ``"OK"``; it is never taken for a reply.

    Raises
    ------
    LinkError
        If the link cannot be opened.
    """

    __slots__ = ("_acknowledgement", "_exchange", "_out_of_sync", "claim", "fence", "timeout_s")

    def __init__(
        self,
        name: str,
        open_link: Callable[[], Link],
        *,
        timeout_s: float = 3.0,
        fence: Fence | None = SCPI_FENCE,
        wire_log: WireLog | None = None,
        claim: Claim | None = None,
        acknowledgement: str = "",
    ) -> None:
        self._acknowledgement = acknowledgement.strip().encode("ascii", "replace")
        self.claim = Claim(name, None) if claim is None else claim
        self.timeout_s, self.fence = timeout_s, fence
        self._exchange = threading.RLock()  # held from a query to its reply
        self._out_of_sync = False
        super().__init__(name, open_link, wire_log)

    # --- queries and commands -----------------------------------------------------------------------

    def write(self, *commands: str) -> None:
        """Send commands that have no reply, each as a separate line.

        Raises
        ------
        HaltedError
            If the outputs were switched off by `halt` and `rearm` was not called since.
        LinkError
            If they cannot be sent.
        """
        with self._exchange:
            self._send([encode_line(command) for command in commands])

    def query(self, question: str, timeout_s: float | None = None) -> str:
        """Send a query and return the line that answers it.

        Raises
        ------
        LinkTimeout, GarbledReplyError
            If no line arrives in time, or it is not ASCII; the transport is then out of sync.
        LinkError, HaltedError
            As `write`.
        """
        with self._exchange:
            link = self._synchronised()
            self._out_of_sync = True  # until the reply is read, also after an interrupt
            self._send([encode_line(question)])
            data = self._read(self._line_of(link), question, self.timeout_s if timeout_s is None else timeout_s)
            if self._wire_log is not None:
                self._wire_log.received(self.name, data)
            try:
                return data.decode("ascii")
            except UnicodeDecodeError:
                self.garbled(question, data)

    def query_block(self, question: str, timeout_s: float | None = None) -> bytes:
        """Send a query and return the data of the IEEE 488.2 definite-length block that answers it.

        Raises
        ------
        LinkTimeout, GarbledReplyError, LinkError, HaltedError
            As `query`.
        """
        with self._exchange:
            self._synchronised()
            self._out_of_sync = True
            self._send([encode_line(question)])
            return self.read_block(question, timeout_s)

    def read_block(self, question: str = "", timeout_s: float | None = None) -> bytes:
        """Return the data of a block that was queried before; its header gives the number of bytes to read."""
        patience_s = self.timeout_s if timeout_s is None else timeout_s
        with self._exchange:
            link = self._open()
            own = self._acknowledgement
            data, line = self._read(lambda seconds: read_block_or_reply(link, seconds, own), question, patience_s)
            if data is None:
                self.garbled(question, line)
            if self._wire_log is not None:
                self._wire_log.received(self.name, encode_block(data))
            return data

    def query_with_block(
        self, question: str, data: bytes, then: str, timeout_s: float | None = None
    ) -> tuple[bytes | None, str]:
        """Send a query that ends in a block, directly followed by a second query that is always answered.

        If the instrument rejects the first query, the second reply says why, without waiting for a time-out.

        Parameters
        ----------
        question, data : str, bytes
            The first query without its block, and the data of the block.
        then : str
            The second query.
        timeout_s : float, optional
            For the first reply; restarts with every piece that arrives.

        Returns
        -------
        (bytes or None, str)
            The data of the block that answers the first query, None if it was rejected; and the second reply.

        Raises
        ------
        LinkTimeout, GarbledReplyError, LinkError, HaltedError
            As `query`.
        """
        patience_s = self.timeout_s if timeout_s is None else timeout_s
        with self._exchange:
            link = self._synchronised()
            self._out_of_sync = True
            self._send([question.encode("ascii") + encode_block(data) + b"\n" + encode_line(then)])

            def both(seconds: float) -> tuple[bytes | None, bytes]:
                block, line = read_block_or_reply(link, seconds, self._acknowledgement)
                return block, line if block is None else self._line_of(link)(seconds)

            block, line = self._read(both, question, patience_s)
            if self._wire_log is not None:
                if block is not None:
                    self._wire_log.received(self.name, encode_block(block))
                self._wire_log.received(self.name, line)
            return block, decode_line(line)

    def write_block(self, command: str, data: bytes) -> None:
        """Send a command followed by a definite-length block."""
        with self._exchange:
            self._send([command.encode("ascii") + b" " + encode_block(data) + b"\n"])

    @contextmanager
    def exchange(self) -> Iterator[None]:
        """Block other threads during a sequence of queries and commands."""
        with self._exchange:
            yield

    def garbled(self, question: str, reply: bytes | str) -> NoReturn:
        """Mark the transport as out of sync and raise `GarbledReplyError`: a reply cannot be interpreted."""
        self._out_of_sync = True
        self._note("garbled reply: out of sync")
        raise GarbledReplyError(f"{self.name} answers {question!r} with {reply!r}, which is not a valid reply")

    # --- synchronisation ----------------------------------------------------------------------------

    def resynchronise(self) -> None:
        """Read and drop every reply to an earlier query.

        Raises
        ------
        LinkError
            If the instrument does not answer any more; the link is then closed.
        """
        with self._exchange:
            link = self._open()
            try:
                if link.has_clear:
                    link.clear()
                quiet_s = _QUIET_S if self.fence is not None or link.has_clear else self.timeout_s
                dropped = link.drain(quiet_s, max(_MAX_DRAIN_S, 2 * quiet_s))
                if self.fence is not None:
                    dropped += self.fence.drain(self._logged_line_of(link), self.write, self.timeout_s)
            except HaltedError:
                raise
            except LinkError as error:
                self.drop()
                raise LinkError(
                    f"{self.name} cannot be resynchronised ({error}); the link is closed, reconnect"
                ) from error
            self._out_of_sync = False
            self._note(f"in sync again, {len(dropped)} bytes of older replies dropped: {dropped[:80]!r}")

    def wait_until_it_answers(self, longest_s: float) -> None:
        """Repeat the fence query until it is answered; for an instrument that ignores messages while it starts.

        Raises
        ------
        LinkTimeout
            If it has not answered after ``longest_s`` seconds.
        LinkError, HaltedError
            As `write`.
        """
        deadline = time.monotonic() + longest_s
        with self._exchange:
            if self.fence is None:
                raise LinkError(f"{self.name} has no query that can be used as a fence")
            while True:
                link = self._open()
                try:
                    self.fence.drain(self._line_of(link), self.write, min(_RETRY_S, self.timeout_s))
                except LinkTimeout as error:
                    self._out_of_sync = True
                    if time.monotonic() >= deadline:
                        raise LinkTimeout(f"{self.name} did not answer for {longest_s:g} s") from error
                else:
                    self._out_of_sync = False
                    return

    def _synchronised(self) -> Link:
        link = self._open()
        if self._out_of_sync or (link.unread() and not self._only_acknowledged(link)):
            if not self._out_of_sync:
                self._note("bytes that belong to no query: out of sync")
            self.resynchronise()
        return link

    def _line_of(self, link: Link) -> Callable[[float], bytes]:
        """Return a function that reads the next line which acknowledges nothing."""
        return partial(read_reply, link, own=self._acknowledgement)

    def _logged_line_of(self, link: Link) -> Callable[[float], bytes]:
        """Return a function as `_line_of` does, which records what it reads: a log can then be replayed."""
        read = self._line_of(link)

        def logged(seconds: float) -> bytes:
            line = read(seconds)
            if self._wire_log is not None:
                self._wire_log.received(self.name, line)
            return line

        return logged

    def _only_acknowledged(self, link: Link) -> bool:
        """Drop acknowledgements that are waiting to be read; return whether nothing else was."""
        while link.unread():
            try:
                line = link.read_line(_QUIET_S)
            except LinkTimeout:  # a part of a line
                return False
            if without_acknowledgement(line, self._acknowledgement) is not None:
                return False
        return True

    def _read(self, read: Callable[[float], _Read], question: str, seconds: float) -> _Read:
        try:
            data = read(seconds)
        except LinkError as error:
            self._out_of_sync = True
            self._note(f"{error}: out of sync")
            if self._halt_reason is not None:  # some instruments do not answer a reading once they are off
                raise self._halted_error() from error
            raise type(error)(f"{self.name}, query {question!r}: {error}") from error
        self._out_of_sync = False
        return data

    @property
    def out_of_sync(self) -> bool:
        """Whether the reply to an earlier query is missing, or may still arrive."""
        return self._out_of_sync

    # --- the link -----------------------------------------------------------------------------------

    def reopen(self) -> None:
        """Close the link and open it again; the caller checks the identity and sets a safe state.

        Raises
        ------
        LinkError
            If it cannot be opened.
        """
        self.drop()
        self._connect()
        self._out_of_sync = False
        self._note("opened again")
        log.warning("%s: connection opened again", self.name)

    def close(self) -> None:
        """Close the link and release the claim; closing twice is harmless."""
        self.drop()
        self.claim.release()
