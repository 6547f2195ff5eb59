"""`Board`: the reference board, an edge card that also drives inputs and nudges and reads outputs.

Source: firmware/README.md, "Wire protocol: reference card".
"""

from __future__ import annotations

import logging
import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hwlearn.errors import SetupError
from hwlearn_drivers.board.held import OFF as OFF
from hwlearn_drivers.board.held import HeldBoard
from hwlearn_drivers.board.hold import BoardRestartedError, BoardState
from hwlearn_drivers.board.protocol import MILLION, BoardCapability, Codes, decode_reply
from hwlearn_drivers.board.record import BoardRecord
from hwlearn_drivers.board.session import READ_BACK, BoardSession
from hwlearn_drivers.errors import (
    GarbledReplyError,
    InstrumentError,
    LinkTimeout,
    UnknownInstrumentError,
)
from hwlearn_drivers.instrument import open_outputs
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.transport.blocks import encode_codes
from hwlearn_drivers.transport.transport import Transport

log = logging.getLogger("hwlearn_drivers")

START_S: Final = 5.0
"""Maximum start time: opening a port resets the board, and its boot loader takes up to 2 s."""

STATUS_QUERY: Final = "*ESR?;:SYST:STAT?;:SYST:ERR?"
"""Sent with every sequence: reports whether the board has restarted, was changed, or has refused the sequence."""

_STATUS: Final = re.compile(r"(\d+);(?:(-?\d+,\d+);)?(.*)", re.DOTALL)

UNKNOWN, WATCHDOG = -113, -240

_POWER_ON = 128  # in the event register
_EEPROM_S = 5.0  # to write 338 bytes
_SCAN_S, _SAMPLE_S = 200e-6, 300e-6  # upper bounds: reading four channels once, and the overhead of a sample
_BITS_PER_BYTE = 10


class Board(HeldBoard):
    """A reference board on a transport; open it with `Board.open`.

    Attributes
    ----------
    capability : BoardCapability
        Number of channels, edges and bytes in a block.
    record : BoardRecord or None
        Calibration of the board; without one it drives nothing.
    """

    __slots__ = ("_sides", "baud", "capability")

    capability: BoardCapability

    def __init__(self, transport: Transport, identity: Identity) -> None:
        super().__init__(transport, identity)
        self._sides = 0
        self.baud = 0

    @classmethod
    def open(cls, transport: Transport, baud: int = 0) -> Board:
        """Switch all outputs off, identify the board, restart it into a known state and read its calibration.

        Parameters
        ----------
        transport : Transport
        baud : int
            Baud rate of a serial line, for time-outs; 0 if the transfer time is negligible.

        Raises
        ------
        LinkError
            If nothing answers; the transport is then closed.
        UnknownInstrumentError
            If another instrument answers, or the firmware has another version of the protocol.
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
            transport.claim.check()
        except BaseException:
            open_outputs.unwatch(board)  # its outputs were switched off first, and nothing was driven since
            transport.close()
            raise
        return board

    # --- setup --------------------------------------------------------------------------------------

    def set_up(self) -> None:
        """Restart and hold the board, and apply the limits of the session again; only the edges keep their state.

        Raises
        ------
        UnknownInstrumentError
            If the firmware has another version of the protocol, or the calibration record has changed.
        InstrumentError
            If the self-test fails, or the board refuses a setting.
        OutputStateError
            If another program holds the board as soon as it has restarted.
        """
        self.capability = self._query_capability()
        self.transport.write("*CLS", "SYST:REB")
        _await_start(self.transport)
        if not self.query_whole("*ESR?") & _POWER_ON:
            raise UnknownInstrumentError(f"{self.name} did not restart on command")
        self.empty_queue()
        self._take_hold()
        self._sides = 2
        record = self._read_record()
        if self.record is not None and self.record != record:
            self.transport.drop()
            raise UnknownInstrumentError(
                f"{self.name} holds another calibration record than before; reopen the bench"
            )
        self.record = record
        if self.session is not None:
            self.begin(self.session)

    def begin(self, session: BoardSession) -> None:
        """Run the self-test, narrow the board's limits to those of the bench, and apply the settings.

        Raises
        ------
        SetupError
            If there is no calibration record, or a limit is wider than the board's own; nothing was sent.
        InstrumentError
            If the self-test fails, or the board refuses a setting.
        UnknownInstrumentError
            If a setting does not read back as it was set.
        """
        session.check(self.calibrated(), self.name)
        found = self.query_whole("*TST?")
        for bit, what in ((2, "its ADC does not answer"), (4, "its edges do not answer")):
            if found & bit:
                raise InstrumentError(self.name, found, what, "*TST?")
        self.write(*session.commands)
        # text commands have no checksum: a corrupted digit would not be detected otherwise
        reported = self.query(READ_BACK)
        if reported != session.read_back:
            raise UnknownInstrumentError(
                f"{self.name} reports the limits and settings {reported}, they were set to {session.read_back}; "
                "try again"
            )
        self.session = session

    def calibrated(self) -> BoardRecord:
        """Return the calibration record.

        Raises
        ------
        SetupError
            If the board has no calibration record.
        """
        if self.record is None:
            raise SetupError(
                f"{self.name} has no valid calibration record and drives nothing; write one with "
                "Board.write_record (docs/board.md)"
            )
        return self.record

    def write_record(self, record: BoardRecord) -> None:
        """Write a calibration record, including its limits, and restart the board.

        Raises
        ------
        InstrumentError
            If the board refuses the record; it then keeps the old one.
        UnknownInstrumentError
            If the record does not read back as written.
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
        if written.encode()[4:-2] != record.encode()[4:-2]:  # except the generation, which the board counts
            raise UnknownInstrumentError(f"{self.name} does not hold the record that was written; write it again")

    def _query_capability(self) -> BoardCapability:
        try:
            return BoardCapability.parse(self.query("SYST:CAP?"))
        except LinkTimeout:
            error = self._next_error()
            while error is not None and error[0] != UNKNOWN:
                error = self._next_error()
            if error is None:
                raise
            raise UnknownInstrumentError(
                f"{self.name} has firmware {self.identity.firmware}, which does not support SYST:CAP?; "
                "update its firmware"
            ) from None

    def _read_record(self) -> BoardRecord | None:
        if self.identity.serial == "0":
            return None
        query = "CAL:DATA?"
        with self.transport.exchange():
            data = self.transport.query_block(query)
            try:
                return BoardRecord.decode(data)
            except GarbledReplyError:
                self.transport.garbled(query, data[:40])

    # --- sequences ----------------------------------------------------------------------------------

    def set_sides(self, sides: int) -> None:
        """Set whether sequences nudge to one side (1) or to both sides (2)."""
        if self._sides != sides:
            self._sides = 0  # unknown until the board confirms it
            self.write(f"SEQ:SIDE {sides}")
            self._sides = sides

    def sequence(self, query: str, words: NDArray[np.integer], phases: int, read: int) -> tuple[Codes, Codes]:
        """Run a sequence over any number of samples, with one query per block of samples.

        Parameters
        ----------
        query : str
            Text of the query before the block.
        words : ndarray of int, shape (S, width)
            Words sent for each sample.
        phases : int
            Number of phases in the reply.
        read : int
            Number of phases that the board reads, including its own guard readings.

        Returns
        -------
        (ndarray, shape (S,); ndarray, shape (S, phases, 4))
            Status words and readings.

        Raises
        ------
        InstrumentError
            If the board refuses the sequence; nothing was driven.
        LinkTimeout
            If the reply is incomplete.
        OutputStateError
            If somebody else has used the board since this program left it, or during the sequence. The readings
            are void, and nothing more is driven until the board is reconnected or opened again.
        BoardRestartedError
            If the board has restarted on its own; it must be reconnected.
        """
        samples = len(words)
        status = np.zeros(samples, dtype=np.uint16)
        readings = np.zeros((samples, phases, 4), dtype=np.uint16)
        most = self.capability.block_bytes // (2 * words.shape[1])
        for start in range(0, samples, most):
            some = slice(start, min(start + most, samples))
            data = encode_codes(words[some])
            block = self._run(query, data, self._reply_s(some.stop - start, len(data), phases, read))
            try:
                status[some], readings[some] = decode_reply(block, some.stop - start, phases)
            except GarbledReplyError:
                self.transport.garbled(query, block[:40])
        return status, readings

    def _run(self, query: str, data: bytes, timeout_s: float) -> bytes:
        """Run one block of samples; if the watchdog has tripped during a pause, clear it and repeat.

        The watchdog is the driver's own time-out. It is cleared only if the same reply shows that nobody else has
        changed anything.
        """
        try:
            return self._run_once(query, data, timeout_s)
        except InstrumentError as error:
            if error.code != WATCHDOG or not self._hold.number:
                raise
        log.warning(
            "%s: its watchdog switched the outputs off during a pause; cleared, measuring again", self.name
        )
        self.write("SYST:WDOG:CLE")
        return self._run_once(query, data, timeout_s)

    def _run_once(self, query: str, data: bytes, timeout_s: float) -> bytes:
        with self.transport.exchange():
            if self._unsettled:
                self._settle_hold()
            question = self._hold.check + query
            block, line = self.transport.query_with_block(question, data, STATUS_QUERY, timeout_s)
            found = _STATUS.fullmatch(line)
            if found is None:
                if line.isdigit():  # the edges could not be read, which is in the error queue
                    self.check_errors(STATUS_QUERY)
                self.transport.garbled(STATUS_QUERY, line)
            events, state_text, error_text = found.groups()
            state = None if state_text is None else BoardState.parse(state_text)
            if int(events) & _POWER_ON or (state is not None and self._hold.number and not state.number):
                self._unidentified = True  # it must be set up again before anything is driven
                raise BoardRestartedError(
                    f"{self.name} has restarted on its own and lost the limits and edges of the bench; "
                    "check its supply and reconnect"
                )
            if state is not None and (state.off or not self._hold.agrees(state)):
                self._was_used(state)
            error = self._error_in(error_text)
            if error is not None:
                if block is not None and state is not None:  # a sequence that was executed has no error of its own
                    self._was_used(state, InstrumentError(self.name, *error, query))
                self.empty_queue()
                raise InstrumentError(self.name, *error, query)
            if block is None or (state is None and self._hold.number):
                self.transport.garbled(query, line)
            return block

    def _reply_s(self, samples: int, sent: int, phases: int, read: int) -> float:
        """Return the maximum time to wait for a reply in seconds."""
        session = self.session
        settle_s, averages = (0.0, 1) if session is None else (session.settle_us / MILLION, session.averages)
        wire_s = (sent + samples * 2 * (1 + 4 * phases)) * _BITS_PER_BYTE / self.baud if self.baud else 0.0
        return self.transport.timeout_s + wire_s + samples * (read * (settle_s + averages * _SCAN_S) + _SAMPLE_S)

    # --- starting -----------------------------------------------------------------------------------

    def _is_off(self) -> bool:
        if self._unidentified:  # opening the port has reset the board
            _await_start(self.transport)
        return self.query("OUTP?") == "0"

    def _make_safe(self) -> None:
        super()._make_safe()
        _await_start(self.transport)


def _await_start(transport: Transport) -> None:
    try:
        transport.wait_until_it_answers(START_S)
    except LinkTimeout as error:
        raise LinkTimeout(f"{error}; check that it is a reference board, its supply and the baud rate") from error
