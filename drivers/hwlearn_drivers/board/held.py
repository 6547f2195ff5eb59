"""`HeldBoard`: outputs of the reference board, OFF, and whether somebody else has used the board.

Source: firmware/README.md, "Wire protocol: reference card" and "Holding the board".
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import ClassVar, Final, NoReturn

from hwlearn_drivers.board.hold import STATE, BoardState, Hold, changes
from hwlearn_drivers.board.protocol import Codes
from hwlearn_drivers.board.record import BoardRecord
from hwlearn_drivers.board.session import READ_BACK, BoardSession
from hwlearn_drivers.edges.card import EdgeCard
from hwlearn_drivers.errors import (
    GarbledReplyError,
    InstrumentError,
    LinkError,
    OutputsMayBeOnError,
    OutputStateError,
)
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.instrument.source import Source
from hwlearn_drivers.transport.fence import SCPI_FENCE, Fence
from hwlearn_drivers.transport.transport import Transport

log = logging.getLogger("hwlearn_drivers")

OFF: Final = "\x18OUTP OFF"
"""The CAN byte discards an incomplete message and ends a running sequence; the OFF command follows it."""

BLOCK_QUIET_S: Final = 0.15
"""Time without a byte after which the board has discarded an incomplete block (100 ms) and accepts OFF again."""

NO_RESPONSE: Final = -365


class HeldBoard(Source, EdgeCard):
    """A board that this program holds: nothing that somebody else switches off or changes goes unnoticed.

    Parameters
    ----------
    transport : Transport
    identity : Identity

    Attributes
    ----------
    record : BoardRecord or None
        Calibration of the board; without one it drives nothing.
    session : BoardSession or None
        Limits and settings of the bench, once they are set.
    """

    __slots__ = ("_cut_short", "_hold", "_offs", "_sent_off", "_used", "record", "session")

    fence: ClassVar[Fence | None] = SCPI_FENCE
    error_query: ClassVar[str] = "SYST:ERR?"

    record: BoardRecord | None
    session: BoardSession | None

    def __init__(self, transport: Transport, identity: Identity) -> None:
        super().__init__(transport, identity)
        self.record = self.session = None
        self._hold = Hold()
        self._offs = transport.offs_sent  # that `_hold` includes
        self._cut_short = False  # the board may not have executed an OFF of this program
        self._sent_off = False  # OFF of this program is in force
        self._used: str | None = None  # what somebody else did; final until `_take_hold`

    # --- changes ------------------------------------------------------------------------------------

    def write(self, *commands: str) -> None:
        """Send settings one by one, and read the error queue after each; see `Instrument.write`."""
        with self.transport.exchange():
            for command in commands:
                with self._changing(changes(command)):
                    super().write(command)

    def query(self, question: str, timeout_s: float | None = None) -> str:
        """Send a query, with or without settings in front of it, and return the reply."""
        with self._changing(changes(question)):
            return super().query(question, timeout_s)

    def write_codes(self, codes: Codes) -> None:
        """Set every edge.

        Raises
        ------
        InstrumentError
            If the board refuses the codes; no edge has changed then.
        OutputStateError
            If it refuses them because somebody else has changed its limits.
        """
        before = self._hold.codes
        self._hold.set_codes(None)
        try:
            with self._changing(1):
                super().write_codes(codes)
        except InstrumentError as error:
            if error.code != NO_RESPONSE and self._hold.number:
                state = self._state(self.query(STATE))
                if state.number != self._hold.number:  # the codes are set, or somebody else has changed something
                    self._was_used(state, error)
                self._hold.set_codes(before)
                self._settle_hold(error)
            raise

    def read_codes(self) -> Codes:
        """Return the code of every edge; `sequence` expects that they stay as they are now."""
        codes = super().read_codes()
        self._hold.set_codes(codes)
        return codes

    def set_codes(self, codes: Codes) -> Codes:
        """Set every edge and return the codes that the edges took.

        Raises
        ------
        InstrumentError, OutputStateError
            As `write_codes`; also if somebody else has changed the codes before they were read.
        """
        self.write_codes(codes)
        taken = self.read_codes()
        if len(taken) != len(codes):
            self.transport.garbled("EDGE:DATA?", f"{len(taken)} codes")
        if (taken != codes).any():
            self._settle_hold()  # edges that refuse a code, or another user's change, which the board counts
        return taken

    @contextmanager
    def _changing(self, count: int) -> Iterator[None]:
        """Count changes that the board executes; after an error it is unknown how many it has executed."""
        self._hold.slack += count
        yield
        self._hold.count(count)
        self._hold.slack -= count

    # --- the hold -----------------------------------------------------------------------------------

    def _take_hold(self) -> None:
        """Hold the board after a restart; nobody else may hold it."""
        self._used, self._offs = None, self.transport.offs_sent
        self._cut_short = self._sent_off = False
        self._hold = Hold()
        state = self._state(self.query(STATE))
        if state.number:
            self._was_used(state)
        super().write(self._hold.take(state))
        self._hold.taken()

    @property
    def _unsettled(self) -> bool:
        """Whether `_settle_hold` must be called before a sequence: after OFF, an error, or somebody else's use."""
        return self._used is not None or self._hold.slack > 0 or self._offs != self.transport.offs_sent

    def _settle_hold(self, cause: Exception | None = None) -> None:
        """Read the state after OFFs or failed commands of this program, and hold the board anew if it agrees.

        Raises
        ------
        OutputStateError
            If somebody else has switched the board off or changed it.
        """
        if self._used is not None:
            raise OutputStateError(self._used)
        if not self._hold.number:
            return
        offs, self._offs = self.transport.offs_sent - self._offs, self.transport.offs_sent
        self._sent_off = self._sent_off or offs > 0
        if self._cut_short:  # an OFF within an incomplete block is data
            self._hold.slack += offs
        else:
            self._hold.count(offs)
        state = self._state(self.query(STATE))
        if self._sent_off:  # then OFF in force does not show whether somebody else has sent it too
            state = replace(state, off=False)
        reported = None if self.session is None else self.query(READ_BACK)
        if not self._hold.agrees(state) or state.off or reported != self._read_back:
            self._was_used(state, cause)
        try:
            super().write(self._hold.take(state))
        except InstrumentError as error:  # OFF came between the two messages
            self._was_used(self._state(self.query(STATE)), error)
        self._hold.taken()
        self._cut_short = self._sent_off = False

    @property
    def _read_back(self) -> str | None:
        return None if self.session is None else self.session.read_back

    def _state(self, line: str) -> BoardState:
        try:
            return BoardState.parse(line)
        except GarbledReplyError:
            self.transport.garbled(STATE, line)

    def _was_used(self, state: BoardState, cause: Exception | None = None) -> NoReturn:
        """Switch all outputs off and raise an error that says what somebody else has done; it is final."""
        try:
            driven = self.query("OUTP?") == "1"
            self.transport.write(OFF)
            found = self._hold.findings(state, self.session, self.query(READ_BACK), driven, super().read_codes())
            if isinstance(cause, InstrumentError):
                found += f"; error {cause.code}, {cause.text}, may be that of its command"
        except (LinkError, InstrumentError) as error:
            found = f"it cannot be found out what was changed ({error})"
        self._used = (
            f"somebody else used {self.name}: {found}; the batch is void and every output is switched off; "
            "find out who uses the board, then open the bench again or resume the run"
        )
        raise OutputStateError(self._used) from cause

    # --- off ----------------------------------------------------------------------------------------

    @property
    def outputs(self) -> list[str]:
        """The outputs that OFF switches off: all of them."""
        return ["every DAC and nudge switch"]

    def off_commands(self) -> list[str]:
        """Return OFF, which ends a running sequence, opens the switches and brings every DAC to 0 V."""
        return [OFF]

    def halt(self, reopen: bool = True) -> None:
        """Switch all outputs off at once; see `Source.halt`.

        After an incomplete block, the board would take OFF as data. Then OFF is sent again when the board must
        have discarded the block.
        """
        cut_short = self.transport.cut_short
        self._cut_short = self._cut_short or cut_short
        super().halt(reopen)
        if cut_short:
            time.sleep(BLOCK_QUIET_S)
            super().halt(reopen)

    def rearm(self) -> None:
        """Allow commands again after `halt` if nobody else has used the board meanwhile; see `Source.rearm`.

        Raises
        ------
        OutputStateError
            If somebody else has switched it off or changed it; it must be reconnected or opened again.
        """
        halted = self.transport.halted
        super().rearm()
        if halted:
            self.empty_queue()
            self._settle_hold()

    def _may_be_on(self, reason: str) -> OutputsMayBeOnError:
        watchdog_s = (2000 if self.session is None else self.session.watchdog_ms) / 1000
        return OutputsMayBeOnError(
            f"OUTPUTS MAY BE ON: {', '.join(self.outputs).upper()} OF {self.name.upper()}; {reason}; its own "
            f"watchdog switches them off {watchdog_s:g} s after the last executed command; otherwise disconnect "
            "its supply"
        )

    def empty_queue(self) -> None:
        """Discard old errors, which an interrupted message or a restart during a message may leave."""
        while (error := self._next_error()) is not None:
            log.info("%s: discarded old error %s, %s", self.name, *error)
