"""`DeclaredBoard`: a board behind a link, addressed as its declaration says: OFF, identity, commands, queries."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import ClassVar, Final

import numpy as np

from hwlearn.errors import SetupError
from hwlearn_drivers.declared.declaration import Declaration
from hwlearn_drivers.declared.fences import fence_of
from hwlearn_drivers.declared.template import Template, Value, template
from hwlearn_drivers.errors import HaltedError, InstrumentError, LinkError, UnknownInstrumentError
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.instrument.source import Source
from hwlearn_drivers.transport.fence import Fence
from hwlearn_drivers.transport.transport import Transport

_SAME: Final = 1e-6
_NO_CODE: Final = -1


class DeclaredBoard(Source):
    """A board with a text protocol. The constructor sends OFF, waits until the board has started, and sends OFF.

    Parameters
    ----------
    transport : Transport
    declaration : Declaration
    called : str
        Name in the bench file.
    dry : bool
        A dry run: the identity is not checked.
    waits : bool
        Wait until a board has started.

    Raises
    ------
    UnknownInstrumentError
        If another identity answers. Nothing but OFF was sent to it.
    LinkError
        If it does not answer.
    """

    __slots__ = ("_called", "_confirmed_offs", "_dry", "_is_other", "_waits", "declaration")

    fence: ClassVar[Fence | None] = None

    def __init__(
        self,
        transport: Transport,
        declaration: Declaration,
        called: str,
        dry: bool = False,
        waits: bool = True,
    ) -> None:
        self.declaration, self._called, self._dry, self._waits = declaration, called, dry, waits
        self._confirmed_offs = 0
        self._is_other = False
        super().__init__(transport, Identity("declared", called, "", ""))
        transport.fence = fence_of(declaration)
        try:
            self._make_safe()
            self.set_up()
        except BaseException:
            self.close()
            raise

    # --- messages -----------------------------------------------------------------------------------

    def command(
        self,
        line: str,
        acknowledged: Template | None = None,
        values: Mapping[str, Value] | None = None,
        room: float = 0.0,
    ) -> None:
        """Send a command and, if the protocol has one, read its acknowledgement.

        Parameters
        ----------
        line : str
        acknowledged : Template, optional
            The reply to it.
        values : mapping, optional
            Values that the acknowledgement must repeat, if it contains them, to the digits that it has.
        room : float
            How far a number may be off in addition, because the board reports the step that it has set.

        Raises
        ------
        InstrumentError
            If the board reports an error instead.
        GarbledReplyError, LinkTimeout
            If another reply arrives, or none.
        """
        if acknowledged is None:
            self.transport.write(self._sent(line))
            return
        found = self._answer(line, acknowledged)
        for key, wanted in ({} if values is None else values).items():
            if key in found and not _agrees(found, key, wanted, room):
                self.transport.garbled(line, f"{key} = {found[key]}")

    def ask(self, line: str, reply: Template) -> dict[str, str | list[float]]:
        """Send a query and return the fields of its reply; raises as `command`."""
        return self._answer(line, reply)

    def check_group(self, command: str, accepted: Template | None) -> None:
        """Ask for errors after a group of commands, or else wait until all of them are executed.

        Commands that are not acknowledged may still be on their way when this returns from sending them, and
        another instrument would read too early. A board answers in order: what it answers later, it answers after
        them. Without any query that follows them, only the settling time of the bench remains.

        Parameters
        ----------
        command : str
            The last one, for messages.
        accepted : Template or None
            Its acknowledgement, which was read; None if it has none.

        Raises
        ------
        InstrumentError, LinkError
        """
        error = self.declaration.error
        if error.ask is not None and error.none is not None:
            text = self._query(error.ask)
            if re.fullmatch(error.none, text) is None:
                raise InstrumentError(self.name, _code(text), text, command)
        elif accepted is None:
            self.confirm()

    def confirm(self) -> None:
        """Read something that the board answers after it has executed what was sent before."""
        source = self.declaration.source
        if self.declaration.identity is not None:
            self._check_identity()
        elif source is not None and source.ask is not None:
            self.level(source.names[0])

    def _answer(self, line: str, reply: Template) -> dict[str, str | list[float]]:
        text = self._query(line)
        pattern = self.declaration.error.pattern
        found = reply.parse(text)
        if pattern is not None and re.fullmatch(pattern, text) is not None:
            raise InstrumentError(self.name, _code(text), text, line)
        if found is None:
            self.transport.garbled(line, text)
        return found

    def _query(self, line: str) -> str:
        text = self.transport.query(self._sent(line))
        own = self.declaration.checksum
        checksum = self.declaration.line_checksum
        if own is None or checksum is None or not own.replies:
            return text.strip()
        content = checksum.checked(text)
        if content is None:
            self.transport.garbled(line, text)
        return content.strip()

    def _sent(self, line: str) -> str:
        checksum = self.declaration.line_checksum
        return line if checksum is None else checksum.add(line)

    # --- Source -------------------------------------------------------------------------------------

    @property
    def outputs(self) -> list[str]:
        """Names of its source channels and switches."""
        source, switch = self.declaration.source, self.declaration.switch
        return [
            *(f"channel {name}" for name in (() if source is None else source.names)),
            *(f"switch {name}" for name in (() if switch is None else switch.names)),
        ]

    def off_commands(self) -> list[str]:
        """Return the commands of ``[off]``."""
        return [self._sent(line) for line in self.declaration.off_lines]

    def rearm(self) -> None:
        """Allow commands again after `halt`; acknowledgements of OFF are read first."""
        super().rearm()
        self._read_acknowledgements()

    def set_up(self) -> None:
        """Wait until the board has started, send OFF again, and check its identity."""
        boots_s = self.declaration.link.boots_in
        if boots_s:
            time.sleep(boots_s if self._waits else 0.0)
            self._send_off()
            self.transport.rearm()
        try:
            self._read_acknowledgements()
        except HaltedError:
            raise
        except LinkError:  # another board does not answer as the fence expects
            self._start_in_silence()
        self._check_identity()
        self.transport.fence = fence_of(self.declaration)

    def _start_in_silence(self) -> None:
        """Open the link again, send OFF, and read until the board is silent, whichever board it is."""
        self.transport.fence = None
        self.transport.reopen()
        self._send_off()
        self.transport.rearm()
        self.transport.resynchronise()
        self._confirmed_offs = self.transport.offs_sent

    def reconnect(self) -> None:
        """Open a dropped link again, send OFF, and check that the same board answers.

        Raises
        ------
        LinkError, InUseError, UnknownInstrumentError
            As `Instrument.reconnect`.
        """
        self.transport.claim.renew()
        self.transport.reopen()
        self._make_safe()
        self.set_up()

    def start_again(self) -> None:
        """Send OFF and check the identity, after somebody else changed settings."""
        self._make_safe()
        self._read_acknowledgements()
        self._check_identity()

    def _is_off(self) -> bool:
        """Ask for the levels if the protocol can; else whether it answers, as far as it has a query.

        Another board than the one that is expected is not asked: it got OFF, and nothing else.
        """
        if self._is_other:
            return True
        self._read_acknowledgements()
        source = self.declaration.source
        if source is not None and source.ask is not None:
            return all(abs(self.level(name)) <= (source.scale.step_V or 0.0) + _SAME for name in source.names)
        self._check_identity()
        return True

    def level(self, channel: str) -> float:
        """Query the level of a source channel in volts."""
        source = self.declaration.source
        if source is None or source.ask is None or source.reply is None:
            raise SetupError(f"the protocol of {self.name} cannot read levels back")
        reply = template(source.reply, ("channel", "any", "volts", "millivolts", "microvolts", "code"))
        line = template(source.ask, ("channel",)).render({"channel": channel})
        found = self.ask(line, reply)
        if "channel" in found and found["channel"] != channel:
            self.transport.garbled(line, f"channel {found['channel']}")
        return source.scale_of(reply).volts(float(found["number"][0]))

    def _read_acknowledgements(self) -> None:
        """Read what the board has answered to OFF, so that it is not taken for the reply to a later command."""
        off = self.declaration.off
        own = None if off is None else off.acknowledged
        sent = self.transport.offs_sent
        if self.declaration.acknowledgement(own) is not None and sent != self._confirmed_offs and not self._dry:
            self.transport.resynchronise()
        self._confirmed_offs = sent

    def _check_identity(self) -> None:
        identity = self.declaration.identity
        if identity is None:
            return
        text = self._query(identity.ask)
        if self._dry:
            return
        self._is_other = re.fullmatch(identity.expect, text) is None
        if self._is_other:
            raise UnknownInstrumentError(
                f"at {self.transport.name} the bench expects a board that answers {identity.ask!r} with "
                f"{identity.expect!r}, but it answers {text!r}; check the address and [identity]"
            )
        self.identity = Identity("declared", self._called, "", text)


def _agrees(found: Mapping[str, str | list[float]], key: str, wanted: Value, room: float) -> bool:
    """Whether a repeated value is the one that was sent, to the digits of the reply and the room given."""
    if key != "number":
        return found[key] == str(wanted)
    numbers, given = np.asarray(found[key], dtype=np.float64), np.atleast_1d(np.asarray(wanted, dtype=np.float64))
    most = 1.01 * float(found["tolerance"][0]) + room + _SAME * np.abs(given)
    return len(numbers) == len(given) and bool((np.abs(numbers - given) <= most).all())


def _code(text: str) -> int:
    """Return the number in an error text, or -1."""
    found = re.search(r"-?\d{1,5}", text)
    return int(found[0]) if found else _NO_CODE
