"""`Transport`: one conversation with one instrument, in which an answer always belongs to its question.

A reply that is late answers the *next* question of a careless program, and every one after it. So a time-out
or a garbled reply puts the transport out of step; before the next question it resynchronises (device clear
where there is one, drain to silence, then a fence: a question with a random number in it, whose answer proves
that everything older has been read) or closes the link.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn, TypeVar

from hwlearn_drivers.errors import GarbledReplyError, HaltedError, LinkError, LinkTimeout
from hwlearn_drivers.transport.blocks import block_length, encode_block
from hwlearn_drivers.transport.fence import SCPI_FENCE, Fence
from hwlearn_drivers.transport.links.link import Link
from hwlearn_drivers.transport.wire_log import WireLog

_QUIET_S = 0.03  # silence that ends a drain; what comes later stops at the fence
_LONGEST_BABBLE_S = 2.0
_ROUNDS = 8
_KNOCK_S = 0.25  # between two questions to an instrument that is starting
_SPOIL = b"~~\n"  # no language knows it: a command that was cut short dies with it instead of being obeyed

_Read = TypeVar("_Read")

log = logging.getLogger("hwlearn_drivers")


class Transport:
    """A conversation: one exchange at a time, safe to use from several threads.

    Parameters
    ----------
    name : str
        The instrument, as messages and the wire log call it.
    open_link : callable
        Opens the link, now and again at `reconnect`.
    timeout_s : float
        Longest wait for a reply, unless a question says otherwise.
    fence : Fence or None
        None: the instrument has no question to fence with; then silence for a whole time-out must do.
    wire_log : WireLog, optional

    Raises
    ------
    LinkError
        If the link cannot be opened.
    """

    __slots__ = (
        "_exchange",
        "_halt",
        "_link",
        "_open_link",
        "_out_of_step",
        "_sending",
        "_wire_log",
        "_writing",
        "fence",
        "name",
        "timeout_s",
    )

    def __init__(
        self,
        name: str,
        open_link: Callable[[], Link],
        *,
        timeout_s: float = 3.0,
        fence: Fence | None = SCPI_FENCE,
        wire_log: WireLog | None = None,
    ) -> None:
        self.name, self.timeout_s, self.fence = name, timeout_s, fence
        self._open_link, self._wire_log = open_link, wire_log
        self._exchange = threading.RLock()  # question and answer belong together
        self._writing = threading.RLock()  # held while bytes go out; OFF needs no more than this
        self._out_of_step = self._sending = False
        self._halt: list[bytes] | None = None
        self._link: Link | None = open_link()
        self._note("opened")

    # --- questions and commands ---------------------------------------------------------------------

    def write(self, *commands: str) -> None:
        """Send commands that have no answer, each as a line of its own.

        Raises
        ------
        HaltedError
            If the outputs were switched off by `halt` and nobody called `rearm`.
        LinkError
            If they cannot be sent.
        """
        with self._exchange:
            self._send([_line(command) for command in commands])

    def query(self, question: str, timeout_s: float | None = None) -> str:
        """Ask, and return the line that answers.

        Raises
        ------
        LinkTimeout
            If no line comes in time; the transport is then out of step until it has resynchronised.
        GarbledReplyError
            If the line is not ASCII.
        LinkError, HaltedError
            As `write`.
        """
        with self._exchange:
            link = self._in_step()
            self._out_of_step = True  # until the answer is here, whatever may interrupt
            self._send([_line(question)])
            data = self._read(link.read_line, question, self.timeout_s if timeout_s is None else timeout_s)
            if self._wire_log is not None:
                self._wire_log.received(self.name, data)
            try:
                return data.decode("ascii")
            except UnicodeDecodeError:
                self.garbled(question, data)

    def query_block(self, question: str, timeout_s: float | None = None) -> bytes:
        """Ask, and return the data of the IEEE 488.2 definite-length block that answers.

        Raises
        ------
        LinkTimeout, GarbledReplyError, LinkError, HaltedError
            As `query`.
        """
        with self._exchange:
            self._in_step()
            self._out_of_step = True
            self._send([_line(question)])
            return self.read_block(question, timeout_s)

    def read_block(self, question: str = "", timeout_s: float | None = None) -> bytes:
        """Return the data of a block that is on its way; its stated length says how much to read."""
        patience_s = self.timeout_s if timeout_s is None else timeout_s
        with self._exchange:
            link = self._open()
            data = self._read(
                lambda seconds: _block(link, link.read_exactly(1, seconds), seconds), question, patience_s
            )
            if self._wire_log is not None:
                self._wire_log.received(self.name, encode_block(data))
            return data

    def query_with_block(
        self, question: str, data: bytes, then: str, timeout_s: float | None = None
    ) -> tuple[bytes | None, str]:
        """Ask a question that ends in a block, and at once another whose answer comes in any case.

        An instrument that refuses the first question so says why, instead of nothing until the time-out.

        Parameters
        ----------
        question : str
            Everything up to where its block follows.
        data : bytes
            Of the block.
        then : str
            The other question.
        timeout_s : float, optional
            For the first; it starts anew with every piece that arrives.

        Returns
        -------
        (bytes or None, str)
            The data of the block that answers the first, None if it was refused; the line that answers the other.

        Raises
        ------
        LinkTimeout, GarbledReplyError, LinkError, HaltedError
            As `query`.
        """
        patience_s = self.timeout_s if timeout_s is None else timeout_s
        with self._exchange:
            link = self._in_step()
            self._out_of_step = True
            self._send([question.encode("ascii") + encode_block(data) + b"\n" + _line(then)])

            def both(seconds: float) -> tuple[bytes | None, bytes]:
                first = link.read_exactly(1, seconds)
                if first != b"#":
                    return None, first + link.read_line(seconds)
                block = _block(link, first, seconds)
                return block, link.read_line(seconds)

            block, line = self._read(both, question, patience_s)
            if self._wire_log is not None:
                if block is not None:
                    self._wire_log.received(self.name, encode_block(block))
                self._wire_log.received(self.name, line)
            return block, _text(line)

    def write_block(self, command: str, data: bytes) -> None:
        """Send a command followed by a definite-length block."""
        with self._exchange:
            self._send([command.encode("ascii") + b" " + encode_block(data) + b"\n"])

    @contextmanager
    def exchange(self) -> Iterator[None]:
        """Keep other threads out for a sequence of questions and commands."""
        with self._exchange:
            yield

    def garbled(self, question: str, reply: bytes | str) -> NoReturn:
        """Put the transport out of step and raise: the caller cannot make sense of a reply.

        Raises
        ------
        GarbledReplyError
            Always.
        """
        self._out_of_step = True
        self._note("garbled reply: out of step")
        raise GarbledReplyError(f"{self.name} answers {question!r} with {reply!r}, which makes no sense")

    # --- staying in step ----------------------------------------------------------------------------

    @property
    def out_of_step(self) -> bool:
        """Whether a reply may still be on its way to no question."""
        return self._out_of_step

    def resynchronise(self) -> None:
        """Get rid of every reply that was asked for before.

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
                dropped = link.drain(quiet_s, max(_LONGEST_BABBLE_S, 2 * quiet_s))
                if self.fence is not None:
                    dropped += self._pass(self.fence, link, self.timeout_s)
            except HaltedError:
                raise
            except LinkError as error:
                self.close()
                raise LinkError(
                    f"{self.name} does not come back into step ({error}); the link is closed, reconnect"
                ) from error
            self._out_of_step = False
            self._note(f"in step again, {len(dropped)} bytes of older replies dropped: {dropped[:80]!r}")

    def wait_until_it_answers(self, longest_s: float) -> None:
        """Ask the fence again and again: for an instrument that is starting, and hears nothing until then.

        Raises
        ------
        LinkTimeout
            If it has not answered after so many seconds.
        LinkError, HaltedError
            As `write`.
        """
        deadline = time.monotonic() + longest_s
        with self._exchange:
            if self.fence is None:
                raise LinkError(f"{self.name} has no question to fence with")
            while True:
                link = self._open()
                try:
                    self._pass(self.fence, link, min(_KNOCK_S, self.timeout_s))
                except LinkTimeout as error:
                    self._out_of_step = True
                    if time.monotonic() >= deadline:
                        raise LinkTimeout(f"{self.name} did not answer for {longest_s:g} s") from error
                else:
                    self._out_of_step = False
                    return

    def _pass(self, fence: Fence, link: Link, patience_s: float) -> bytes:
        """Ask the fence until the very next line is the answer twice in a row; return what came instead."""
        dropped = b""
        clean = 0
        for n in random.SystemRandom().sample(range(1, fence.below), _ROUNDS):
            self._send([_line(fence.question(n))])
            # a stale line may happen to be one number, hardly the next one as well
            clean += 1
            while not fence.answered(_text(line := link.read_line(patience_s)), n):
                dropped += line + b"\n"
                clean = 0
            if clean == 2:
                if fence.after:
                    self._send([_line(fence.after)])
                return dropped
        raise LinkError("it keeps answering questions that nobody asked")

    def _in_step(self) -> Link:
        link = self._open()
        if self._out_of_step or link.unread():
            if not self._out_of_step:
                self._note("bytes that nobody asked for: out of step")
            self.resynchronise()
        return link

    def _read(self, read: Callable[[float], _Read], question: str, seconds: float) -> _Read:
        try:
            data = read(seconds)
        except LinkError as error:
            self._out_of_step = True
            self._note(f"{error}: out of step")
            raise type(error)(f"{self.name}, asked {question!r}: {error}") from error
        self._out_of_step = False
        return data

    # --- off ----------------------------------------------------------------------------------------

    def halt(self, *commands: str) -> None:
        """Send commands at once, asking nothing and waiting for no exchange, and let nothing else out.

        This is how outputs go OFF. Until `rearm` every other command is refused, so that a thread that was
        about to switch something on cannot.

        Raises
        ------
        LinkError
            If they cannot be sent.
        """
        self._halt = [_line(command) for command in commands]
        self._send(self._halt, halting=True)

    def rearm(self) -> None:
        """Let commands out again after `halt`."""
        self._halt = None

    @property
    def cut_short(self) -> bool:
        """Whether the last message was interrupted while it left, so that half of it may have arrived."""
        return self._sending

    @property
    def halted(self) -> bool:
        """Whether `halt` holds everything else back."""
        return self._halt is not None

    # --- the link -----------------------------------------------------------------------------------

    def reopen(self) -> None:
        """Close the link and open it again; the caller says who it expects and what is safe.

        Raises
        ------
        LinkError
            If it cannot be opened.
        """
        self.close()
        self._link = self._open_link()
        self._out_of_step = self._sending = False
        self._note("opened again")
        log.warning("%s: connection opened again", self.name)

    def close(self) -> None:
        """Close the link; closing twice is harmless."""
        link, self._link = self._link, None
        if link is not None:
            link.close()
            self._note("closed")

    @property
    def closed(self) -> bool:
        """Whether there is no link."""
        return self._link is None

    def _open(self) -> Link:
        link = self._link
        if link is None:
            raise LinkError(f"the link to {self.name} is closed; reconnect")
        return link

    def _send(self, messages: Sequence[bytes], halting: bool = False) -> None:
        with self._writing:
            if self._halt is not None and not halting:
                raise HaltedError(f"{self.name} was switched off; nothing else is sent before it is armed again")
            link = self._open()
            # an interrupted write may have left half a command, whose number would then be another one
            out = [_SPOIL, *messages] if self._sending else list(messages)
            if self._wire_log is not None:
                for message in out:
                    self._wire_log.sent(self.name, message)
            self._sending = True
            if len(out) == 1:
                link.write(out[0])
            else:
                link.write_messages(out)
            self._sending = False
            if self._halt is not None and not halting:
                # halted by a signal while these bytes were leaving: OFF has the last word
                self._send(self._halt, halting=True)

    def _note(self, text: str) -> None:
        if self._wire_log is not None:
            self._wire_log.event(self.name, text)


def _line(command: str) -> bytes:
    try:
        return command.encode("ascii") + b"\n"
    except UnicodeEncodeError as error:
        raise ValueError(f"{command!r} is not ASCII; nothing was sent") from error


def _block(link: Link, first: bytes, seconds: float) -> bytes:
    """Read the rest of a block whose first byte is here, and the end of its line."""
    header = first + link.read_exactly(1, seconds)
    if header[:1] != b"#" or header[1:] not in b"123456789":
        raise GarbledReplyError(f"{header!r} begins no block")
    header += link.read_exactly(int(header[1:]), seconds)
    data = link.read_exactly(block_length(header), seconds)
    rest = link.read_line(seconds)
    if rest:
        raise GarbledReplyError(f"{rest[:20]!r} follows a block of {len(data)} bytes")
    return data


def _text(line: bytes) -> str:
    return line.decode("ascii", "replace")
