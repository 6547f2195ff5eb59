"""`Source`: an instrument with outputs, which are switched off when the program ends."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Final

from hwlearn.network.reports import InstrumentReport, OutputReport
from hwlearn_drivers.claims.claim import Claim
from hwlearn_drivers.errors import HaltedError, LinkError, OutputsMayBeOnError
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.instrument.instrument import Identity, Instrument
from hwlearn_drivers.transport.transport import Transport

_CONFIRM_S: Final = 1.0  # maximum time-out while OFF is confirmed, so that an exit path does not block


class Source(Instrument):
    """An instrument with outputs.

    While it is open it is registered in `open_outputs`: it is switched off at interpreter exit and on SIGTERM,
    even if the program does not close it.

    Parameters
    ----------
    transport : Transport
    identity : Identity
    """

    __slots__ = ("_unidentified",)

    switched_off_last: ClassVar[bool] = False
    """Whether OFF is sent to it after all others; see `open_outputs.watch`."""

    def __init__(self, transport: Transport, identity: Identity) -> None:
        super().__init__(transport, identity)
        self._unidentified = False  # link opened again only to send OFF; the identity was not checked
        transport.before_sending = open_outputs.check_awake
        open_outputs.watch(self, last=self.switched_off_last)

    @property
    def claimed(self) -> Claim:
        """The claim of its address."""
        return self.transport.claim

    def report(self) -> InstrumentReport:
        """Return its outputs as this process has set them, without a message; see `open_outputs.ReportsItself`."""
        outputs = tuple(OutputReport(name, on=self._last_set_on()) for name in self.outputs)
        return InstrumentReport(self.transport.name, "owner", str(self.identity), outputs)

    def _last_set_on(self) -> bool | None:
        """Return whether this process has left outputs on; None if that is not known."""
        return False if self.transport.halted else None

    @property
    @abstractmethod
    def outputs(self) -> list[str]:
        """Names of the outputs, for messages."""

    @abstractmethod
    def off_commands(self) -> list[str]:
        """Return the commands that switch every output off; none of them is a query."""

    @abstractmethod
    def _is_off(self) -> bool:
        """Query whether every output is off."""

    def halt(self, reopen: bool = True) -> None:
        """Switch every output off without a query or waiting for other threads; block commands until `rearm`.

        Parameters
        ----------
        reopen : bool
            Whether to open the link once more and send OFF again if that fails.

        Raises
        ------
        OutputsMayBeOnError
            If OFF could not be sent; the message names, in capitals, the outputs that may be on.
        """
        try:
            self._send_off()
        except LinkError as first:
            if not open_outputs.watched(self):
                return  # closed meanwhile by another thread, which has sent OFF
            if not reopen:
                raise self._may_be_on(f"OFF could not be sent ({first})") from first
            try:
                self._reopen_off()
            except LinkError as second:
                raise self._may_be_on(f"OFF could not be sent ({first}; after reconnecting: {second})") from second

    def rearm(self) -> None:
        """Allow commands again after `halt`; the outputs stay off.

        Raises
        ------
        HaltedError
            If `open_outputs.halt_open` switched it off; only `reconnect` allows commands again.
        LinkError
            If the link was opened again only to send OFF; `reconnect` checks the identity.
        """
        reason = self.halted_because
        if reason is not None:
            raise HaltedError(
                f"outputs were switched off: {reason}; {self.name} stays off until it is reconnected"
            )
        if self.needs_reconnect:
            raise LinkError(f"{self.name} dropped its connection and was only switched off since then; reconnect")
        self.transport.rearm()

    @property
    def halted_because(self) -> str | None:
        """Why something else in this process switched it off; None if nothing did."""
        return open_outputs.halted_because(self)

    def allow_again(self) -> None:
        """Forget why it was switched off, because a person reconnects it."""
        open_outputs.allow_again(self)

    @property
    def needs_reconnect(self) -> bool:
        """Whether the link is closed, or was opened again only to send OFF."""
        return self._unidentified or self.transport.closed

    def off(self) -> None:
        """Switch every output off, then query the state.

        Raises
        ------
        OutputsMayBeOnError
            If OFF could not be sent or is not confirmed, after one reconnection.
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
        reason = self.halted_because
        if self._unidentified or reason is not None:  # the query above needed a link that is armed
            self.transport.halt(reason=reason)

    def close(self) -> None:
        """Switch every output off and close the link; closing twice is harmless.

        Raises
        ------
        OutputsMayBeOnError
            As `off`; the link is closed nevertheless.
        """
        if not open_outputs.watched(self):
            return
        try:
            self.off()
        finally:
            open_outputs.unwatch(self)
            self.transport.close()

    def start_again(self) -> None:
        """Send OFF, reset and set up again, after somebody else changed the settings."""
        self._make_safe()
        self.set_up()

    def _begin(self) -> None:
        """Send OFF and set up a new instrument; close it if that fails."""
        try:
            self.start_again()
        except BaseException:
            self.close()
            raise

    def _make_safe(self) -> None:
        self.allow_again()
        self._send_off()
        self.transport.rearm()
        self._unidentified = False

    def _reopen_off(self) -> None:
        self._unidentified = True
        self.transport.reopen()
        self._send_off()

    def _send_off(self) -> None:
        self.transport.halt(*self.off_commands(), reason=self.halted_because)

    def _confirm_off(self) -> None:
        self.transport.rearm()
        usual_s = self.transport.timeout_s
        self.transport.timeout_s = min(usual_s, _CONFIRM_S)
        try:
            if not self._is_off():
                raise self._may_be_on("OFF was sent, but the instrument reports that it is on")
        finally:
            self.transport.timeout_s = usual_s

    def _may_be_on(self, reason: str) -> OutputsMayBeOnError:
        return OutputsMayBeOnError(
            f"OUTPUTS MAY BE ON: {', '.join(self.outputs).upper()} OF {self.name.upper()}; "
            f"{reason}; switch them off by hand"
        )
