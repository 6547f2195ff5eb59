"""The reference board: an edge card that also drives inputs, nudges outputs and reads them.

Source: firmware/README.md, "Wire protocol: reference card".
"""

from __future__ import annotations

import logging
import time
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from hwlearn.errors import SetupError
from hwlearn_drivers.board.protocol import MILLION, Capability, Codes, answer
from hwlearn_drivers.board.record import BoardRecord
from hwlearn_drivers.board.session import READ_BACK, BoardSession
from hwlearn_drivers.edges.card import EdgeCard
from hwlearn_drivers.errors import (
    GarbledReplyError,
    InstrumentError,
    LinkError,
    LinkTimeout,
    OutputsMayBeOnError,
    UnknownInstrumentError,
)
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.instrument.source import Source
from hwlearn_drivers.transport.blocks import encode_codes
from hwlearn_drivers.transport.fence import SCPI_FENCE, Fence
from hwlearn_drivers.transport.transport import Transport

log = logging.getLogger("hwlearn_drivers")

OFF: Final = "\x18OUTP OFF"
"""CAN throws away a message that is half there and ends a running sequence; what follows is OFF by name."""

START_S: Final = 5.0
"""Longest wait for a board that starts: opening a port resets it, and its boot loader takes up to 2 s."""

BLOCK_QUIET_S: Final = 0.15
"""After so long without a byte the board has given up half a block (100 ms), and hears OFF again."""

HOW_WAS_IT: Final = "*ESR?;:SYST:ERR?"
"""Asked along with every sequence: has the board restarted since, and did it refuse."""

UNKNOWN, WATCHDOG = -113, -240

_POWER_ON = 128  # in the event register
_EEPROM_S = 5.0  # writing 338 bytes
_SCAN_S, _SAMPLE_S = 200e-6, 300e-6  # generous: four channels read once, and the work around a sample
_BITS_PER_BYTE = 10


class Board(Source, EdgeCard):
    """A reference board at the end of a transport; open it with `Board.open`.

    Attributes
    ----------
    capability : Capability
        What it has.
    record : BoardRecord or None
        Its calibration; without one it drives nothing.
    """

    __slots__ = ("_sides", "baud", "capability", "record", "session")

    fence: ClassVar[Fence | None] = SCPI_FENCE
    error_query: ClassVar[str] = "SYST:ERR?"

    capability: Capability
    record: BoardRecord | None
    session: BoardSession | None

    def __init__(self, transport: Transport, identity: Identity) -> None:
        super().__init__(transport, identity)
        self.record = self.session = None
        self._sides = 0
        self.baud = 0

    @classmethod
    def open(cls, transport: Transport, baud: int = 0) -> Board:
        """Make the board safe, find out who it is, restart it into its known state and read its calibration.

        Parameters
        ----------
        transport : Transport
        baud : int
            Of the wire, where it takes time; 0 where it takes none.

        Raises
        ------
        LinkError
            If nothing answers; the transport is then closed.
        UnknownInstrumentError
            If something else answers, or firmware that speaks another protocol.
        """
        try:
            transport.fence = cls.fence
            transport.write(OFF)
            _await_start(transport)
            identity = Identity.parse(transport.query("*IDN?"))
            if (identity.maker, identity.model) != ("hwlearn", "REFBOARD"):
                raise UnknownInstrumentError(f"at {transport.name} a reference board is expected, not {identity}")
            board = cls(transport, identity)
        except BaseException:
            transport.close()
            raise
        board.baud = baud
        try:
            board.set_up()
        except BaseException:
            open_outputs.unwatch(board)  # it was made safe first thing, and nothing was driven since
            transport.close()
            raise
        return board

    # --- a known state ------------------------------------------------------------------------------

    def set_up(self) -> None:
        """Restart it, so that nothing of an earlier session stays but the edges, and set this one's limits.

        Raises
        ------
        UnknownInstrumentError
            If its firmware speaks another protocol, or it holds another calibration than before.
        InstrumentError
            If its self-test fails, or it refuses a setting.
        """
        self.capability = self._ask_capability()
        self.transport.write("*CLS", "SYST:REB")
        _await_start(self.transport)
        if not int(self.query_numbers("*ESR?", 1)[0]) & _POWER_ON:
            raise UnknownInstrumentError(f"{self.name} did not restart when it was told to")
        self.empty_queue()
        self._sides = 2
        record = self._read_record()
        if self.record is not None and self.record != record:
            self.transport.close()
            raise UnknownInstrumentError(
                f"{self.name} holds another calibration record than before; open the bench anew"
            )
        self.record = record
        if self.session is not None:
            self.begin(self.session)

    def begin(self, session: BoardSession) -> None:
        """Narrow the board's limits to the bench's and make its settings.

        Raises
        ------
        SetupError
            If there is no calibration record, or a limit is wider than the board's own; nothing is sent then.
        InstrumentError
            If its self-test fails, or it refuses a setting.
        UnknownInstrumentError
            If a setting does not read back as it was set.
        """
        session.check(self.calibrated(), self.name)
        found = int(self.query_numbers("*TST?", 1)[0])
        for bit, what in ((2, "its ADC does not answer"), (4, "its edges do not answer")):
            if found & bit:
                raise InstrumentError(self.name, found, what, "*TST?")
        self.write(*session.commands)
        # text has no checksum: a digit that the cable changed would go unseen
        told = self.query(READ_BACK)
        if told != session.read_back:
            raise UnknownInstrumentError(
                f"{self.name} says its limits and settings are {told}, they were set to {session.read_back}; "
                "try again"
            )
        self.session = session

    def calibrated(self) -> BoardRecord:
        """Return the calibration record.

        Raises
        ------
        SetupError
            If the board has none.
        """
        if self.record is None:
            raise SetupError(
                f"{self.name} holds no valid calibration record and drives nothing; write one with "
                "Board.write_record (docs/board.md)"
            )
        return self.record

    def write_record(self, record: BoardRecord) -> None:
        """Write another calibration record, with the limits in it, and restart the board.

        Raises
        ------
        InstrumentError
            If the board refuses it; it then keeps the old one.
        UnknownInstrumentError
            If it does not read back as written.
        """
        with self.transport.exchange():
            self.write(f"CAL:UNL {self.identity.serial}")
            self.transport.write_block("CAL:DATA", record.encode())
            usual_s, self.transport.timeout_s = self.transport.timeout_s, _EEPROM_S
            try:
                self.check_errors("CAL:DATA")
            finally:
                self.transport.timeout_s = usual_s
            self.record = self.session = None
            self.identity = Identity.parse(self.query("*IDN?"))
            self.set_up()
        written = self.calibrated()
        if written.encode()[4:-2] != record.encode()[4:-2]:  # but for the generation, which the board counts
            raise UnknownInstrumentError(f"{self.name} does not hold the record that was written; write it again")

    def _ask_capability(self) -> Capability:
        try:
            return Capability.parse(self.query("SYST:CAP?"))
        except LinkTimeout:
            error = self._next_error()
            while error is not None and error[0] != UNKNOWN:
                error = self._next_error()
            if error is None:
                raise
            raise UnknownInstrumentError(
                f"{self.name} has firmware {self.identity.firmware}, which does not know SYST:CAP?; "
                "put newer firmware on it"
            ) from None

    def _read_record(self) -> BoardRecord | None:
        if self.identity.serial == "0":
            return None
        question = "CAL:DATA?"
        with self.transport.exchange():
            data = self.transport.query_block(question)
            try:
                return BoardRecord.decode(data)
            except GarbledReplyError:
                self.transport.garbled(question, data[:40])

    def empty_queue(self) -> None:
        """Take what interrupted messages, or a start in the middle of one, left in the error queue."""
        while (error := self._next_error()) is not None:
            log.info("%s: %s, %s, left from before", self.name, *error)

    # --- sequences ----------------------------------------------------------------------------------

    def set_sides(self, sides: int) -> None:
        """Nudge one-sidedly (1) or to both sides (2) from now on."""
        if self._sides != sides:
            self._sides = 0  # unknown until it is confirmed
            self.write(f"SEQ:SIDE {sides}")
            self._sides = sides

    def sequence(self, question: str, words: NDArray[np.integer], phases: int, read: int) -> tuple[Codes, Codes]:
        """Run a sequence over any number of samples, one question for as many as a block holds.

        Parameters
        ----------
        question : str
            Up to where the block follows.
        words : ndarray of int, shape (S, width)
            What each sample sends.
        phases : int
            Phases in the answer.
        read : int
            Phases that the board reads, the guarding ones included.

        Returns
        -------
        (ndarray, shape (S,); ndarray, shape (S, phases, 4))
            Status words and readings.

        Raises
        ------
        InstrumentError
            If the board refuses; nothing moved then.
        LinkTimeout
            If the answer stops coming.
        LinkError
            If the board has restarted by itself; it must be reconnected then.
        """
        samples = len(words)
        status = np.zeros(samples, dtype=np.uint16)
        readings = np.zeros((samples, phases, 4), dtype=np.uint16)
        most = self.capability.block_bytes // (2 * words.shape[1])
        for start in range(0, samples, most):
            some = slice(start, min(start + most, samples))
            data = encode_codes(words[some])
            block = self._run(question, data, self._answer_s(some.stop - start, len(data), phases, read))
            try:
                status[some], readings[some] = answer(block, some.stop - start, phases)
            except GarbledReplyError:
                self.transport.garbled(question, block[:40])
        return status, readings

    def _run(self, question: str, data: bytes, patience_s: float) -> bytes:
        """Ask one block's worth; a watchdog that tripped in a pause is cleared, for now something is asked."""
        try:
            return self._run_once(question, data, patience_s)
        except InstrumentError as error:
            if error.code != WATCHDOG:
                raise
        log.warning(
            "%s: its watchdog made it safe while nobody talked to it; cleared, and measuring again", self.name
        )
        self.write("SYST:WDOG:CLE")
        return self._run_once(question, data, patience_s)

    def _run_once(self, question: str, data: bytes, patience_s: float) -> bytes:
        with self.transport.exchange():
            block, line = self.transport.query_with_block(question, data, HOW_WAS_IT, patience_s)
            events, _, error_text = line.partition(";")
            if not events.isdigit():
                self.transport.garbled(HOW_WAS_IT, line)
            if int(events) & _POWER_ON:
                self._unidentified = True  # before anything else is driven it must be set up anew
                raise LinkError(
                    f"{self.name} has restarted by itself, and its limits and edges are not the bench's any more; "
                    "look at its supply and reconnect"
                )
            error = self._error_in(error_text)
            if error is not None:
                self.empty_queue()
                raise InstrumentError(self.name, *error, question)
            if block is None:
                self.transport.garbled(question, line)
            return block

    def _answer_s(self, samples: int, sent: int, phases: int, read: int) -> float:
        """Return the longest that an answer may take."""
        session = self.session
        settle_s, averages = (0.0, 1) if session is None else (session.settle_us / MILLION, session.averages)
        wire_s = (sent + samples * 2 * (1 + 4 * phases)) * _BITS_PER_BYTE / self.baud if self.baud else 0.0
        return self.transport.timeout_s + wire_s + samples * (read * (settle_s + averages * _SCAN_S) + _SAMPLE_S)

    # --- off ----------------------------------------------------------------------------------------

    @property
    def outputs(self) -> list[str]:
        """What OFF reaches: all of it."""
        return ["every DAC and nudge switch"]

    def off_commands(self) -> list[str]:
        """Return OFF: it ends a running sequence, opens the switches and brings every DAC to 0 V."""
        return [OFF]

    def halt(self) -> None:
        """Make the board safe at once; see `Source.halt`.

        Inside a block that was cut short OFF would be data. Then it is sent again as soon as the board must
        have given the block up.
        """
        cut_short = self.transport.cut_short
        super().halt()
        if cut_short:
            time.sleep(BLOCK_QUIET_S)
            super().halt()

    def rearm(self) -> None:
        """Let commands out again after `halt`; see `Source.rearm`."""
        halted = self.transport.halted
        super().rearm()
        if halted:
            self.empty_queue()

    def _is_off(self) -> bool:
        if self._unidentified:  # opening the port has reset it
            _await_start(self.transport)
        return self.query("OUTP?") == "0"

    def _make_safe(self) -> None:
        super()._make_safe()
        _await_start(self.transport)

    def _may_be_on(self, reason: str) -> OutputsMayBeOnError:
        watchdog_s = (2000 if self.session is None else self.session.watchdog_ms) / 1000
        return OutputsMayBeOnError(
            f"OUTPUTS MAY BE ON: {', '.join(self.outputs).upper()} OF {self.name.upper()}; {reason}; its own "
            f"watchdog makes it safe {watchdog_s:g} s after the last message it got, or pull its plug"
        )


def _await_start(transport: Transport) -> None:
    try:
        transport.wait_until_it_answers(START_S)
    except LinkTimeout as error:
        raise LinkTimeout(f"{error}; is it a reference board, switched on, and the baud rate its own?") from error
