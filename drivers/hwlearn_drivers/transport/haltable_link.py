"""`HaltableLink`: sends messages to one instrument, and OFF at any time, also while a reply is awaited."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from hwlearn_drivers.errors import HaltedError, LinkError
from hwlearn_drivers.transport.links.link import Link
from hwlearn_drivers.transport.messages import encode_line
from hwlearn_drivers.transport.wire_log import WireLog

_INVALID = b"~~\n"  # invalid in every command language: a truncated command plus this is rejected, not executed


class HaltableLink:
    """The link to one instrument, whose messages are sent whole, one thread at a time, and not after OFF.

    Parameters
    ----------
    name : str
        Name of the instrument in messages and in the wire log.
    open_link : callable
        Opens the link.
    wire_log : WireLog, optional

    Raises
    ------
    LinkError
        If the link cannot be opened.
    """

    __slots__ = (
        "_halt",
        "_halt_reason",
        "_link",
        "_open_link",
        "_sending",
        "_wire_log",
        "_writing",
        "before_sending",
        "name",
        "offs_sent",
    )

    def __init__(self, name: str, open_link: Callable[[], Link], wire_log: WireLog | None = None) -> None:
        self.name, self._open_link, self._wire_log = name, open_link, wire_log
        self._writing = threading.RLock()  # held while bytes are sent; OFF needs only this lock
        self._sending = False
        self.before_sending: Callable[[], None] | None = None  # called without a lock; may call `halt`
        self._halt: list[bytes] | None = None
        self._halt_reason: str | None = None
        self.offs_sent = 0  # messages that `halt` has sent completely
        self._link: Link | None = None
        self._connect()
        self._note("opened")

    # --- off ----------------------------------------------------------------------------------------

    def halt(self, *commands: str, reason: str | None = None) -> None:
        """Send commands immediately, without a query or waiting for other threads; block everything else.

        Outputs are switched OFF with it. Until `rearm` every other command raises HaltedError with the reason, so
        that a thread that was about to switch an output on cannot do so.

        Raises
        ------
        LinkError
            If they cannot be sent.
        """
        self._halt_reason = reason
        self._halt = [encode_line(command) for command in commands]
        self._send(self._halt, halting=True)

    def rearm(self) -> None:
        """Allow commands again after `halt`."""
        self._halt = self._halt_reason = None

    @property
    def cut_short(self) -> bool:
        """Whether sending the last message was interrupted, so that only a part of it may have arrived."""
        return self._sending

    @property
    def halted(self) -> bool:
        """Whether everything but `halt` is blocked."""
        return self._halt is not None

    def _halted_error(self) -> HaltedError:
        if self._halt_reason is not None:
            return HaltedError(f"outputs were switched off: {self._halt_reason}; {self.name} stays off")
        return HaltedError(f"{self.name} was switched off; nothing else is sent before it is armed again")

    # --- the link -----------------------------------------------------------------------------------

    def _connect(self) -> None:
        """Open the link; of a message that was cut short before, nothing is left."""
        self._link = self._open_link()
        self._sending = False

    def drop(self) -> None:
        """Close the link; the claim stays, because the outputs may be on."""
        link, self._link = self._link, None
        if link is not None:
            link.close()
            self._note("closed")

    @property
    def closed(self) -> bool:
        """Whether the link is closed."""
        return self._link is None

    def _open(self) -> Link:
        link = self._link
        if link is None:
            raise LinkError(f"the link to {self.name} is closed; reconnect")
        return link

    def _send(self, messages: Sequence[bytes], halting: bool = False) -> None:
        if self.before_sending is not None and not halting:
            self.before_sending()
        with self._writing:
            if self._halt is not None and not halting:
                raise self._halted_error()
            link = self._open()
            # an interrupted write may have sent a part of a command, with a truncated number
            out = [_INVALID, *messages] if self._sending else list(messages)
            if self._wire_log is not None:
                for message in out:
                    self._wire_log.sent(self.name, message, off=halting)
            self._sending = True
            link.write(out[0]) if len(out) == 1 else link.write_messages(out)
            self._sending = False
            if halting:
                self.offs_sent += len(messages)
            elif self._halt is not None:
                # a signal called halt while these bytes were being sent: OFF must be the last message
                self._send(self._halt, halting=True)

    def _note(self, text: str) -> None:
        if self._wire_log is not None:
            self._wire_log.event(self.name, text)
