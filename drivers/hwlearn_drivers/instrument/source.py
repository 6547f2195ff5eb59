"""`Source`: an instrument with outputs, which are off when nobody looks after it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Final

from hwlearn_drivers.errors import LinkError, OutputsMayBeOnError
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.instrument.instrument import Identity, Instrument
from hwlearn_drivers.transport.transport import Transport

_PATIENCE_S: Final = 1.0  # for confirming OFF: a way out must not hang


class Source(Instrument):
    """An instrument that can drive something.

    As long as it is open it counts among the open outputs: at the end of the interpreter, and on SIGTERM, it
    is switched off even if nobody closed it.

    Parameters
    ----------
    transport : Transport
    identity : Identity
    """

    __slots__ = ("_strange",)

    def __init__(self, transport: Transport, identity: Identity) -> None:
        super().__init__(transport, identity)
        self._strange = False  # opened again for OFF alone; nobody has made sure who answers there
        open_outputs.watch(self)

    @property
    @abstractmethod
    def outputs(self) -> list[str]:
        """The outputs, as a message names them."""

    @abstractmethod
    def off_commands(self) -> list[str]:
        """Return the commands, none of them a question, that switch every output off."""

    @abstractmethod
    def _is_off(self) -> bool:
        """Ask whether every output is off."""

    def halt(self) -> None:
        """Switch every output off at once: write-only, past every lock; nothing else goes out after it.

        If that fails the link is opened once more and OFF sent there. `rearm` lets commands out again.

        Raises
        ------
        OutputsMayBeOnError
            If OFF could not be sent; in capitals, which outputs may be on.
        """
        try:
            self.transport.halt(*self.off_commands())
        except LinkError as first:
            try:
                self._reopen_off()
            except LinkError as second:
                raise self._may_be_on(f"OFF could not be sent ({first}; after reconnecting: {second})") from second

    def rearm(self) -> None:
        """Let commands out again after `halt`; the outputs stay off.

        Raises
        ------
        LinkError
            If the link was opened again for OFF alone: `reconnect` makes sure who answers there.
        """
        if self.needs_reconnect:
            raise LinkError(f"{self.name} dropped its connection and was only switched off since; reconnect")
        self.transport.rearm()

    @property
    def needs_reconnect(self) -> bool:
        """Whether the link is closed, or was opened again for OFF alone."""
        return self._strange or self.transport.closed

    def off(self) -> None:
        """Switch every output off, then ask whether they are.

        Raises
        ------
        OutputsMayBeOnError
            If OFF could not be sent, or is not confirmed, with one reconnect in between.
        """
        self.halt()
        try:
            self._confirm_off()
        except LinkError as first:
            try:
                self._reopen_off()
                self._confirm_off()
            except LinkError as second:
                raise self._may_be_on(f"OFF was sent but not confirmed ({first}; then {second})") from second
        if self._strange:
            self.transport.halt()

    def close(self) -> None:
        """Switch everything off and close the link; closing twice is harmless.

        Raises
        ------
        OutputsMayBeOnError
            As `off`; the link is closed all the same.
        """
        if not open_outputs.watched(self):
            return
        try:
            self.off()
        finally:
            open_outputs.unwatch(self)
            self.transport.close()

    def _make_safe(self) -> None:
        self.transport.halt(*self.off_commands())
        self.transport.rearm()
        self._strange = False

    def _reopen_off(self) -> None:
        self._strange = True
        self.transport.reopen()
        self.transport.halt(*self.off_commands())

    def _confirm_off(self) -> None:
        self.transport.rearm()
        usual_s = self.transport.timeout_s
        self.transport.timeout_s = min(usual_s, _PATIENCE_S)
        try:
            if not self._is_off():
                raise self._may_be_on("OFF was sent, yet the instrument says it is on")
        finally:
            self.transport.timeout_s = usual_s

    def _may_be_on(self, reason: str) -> OutputsMayBeOnError:
        return OutputsMayBeOnError(
            f"OUTPUTS MAY BE ON: {', '.join(self.outputs).upper()} OF {self.name.upper()}; "
            f"{reason}; switch them off by hand"
        )
