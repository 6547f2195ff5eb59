"""`DryBoard`: replies of an idle reference board with ideal converters, for dry runs."""

from __future__ import annotations

import re

import numpy as np

from hwlearn_drivers.board.hold import changes
from hwlearn_drivers.board.protocol import ADC_ZERO, N_INPUTS, N_OUTPUTS
from hwlearn_drivers.board.record import MOST_NUDGE_UV, MOST_VOLTS_UV, N_EDGES, BoardRecord
from hwlearn_drivers.board.session import READ_BACK
from hwlearn_drivers.transport.blocks import crc16, encode_block, encode_codes

_RECORD = BoardRecord("DRY-RUN", MOST_VOLTS_UV, MOST_NUDGE_UV)
_SESSION = (b"SOUR:LIM:VOLT", b"SOUR:LIM:NUDG", b"SOUR:LIM:EDGE", b"SYST:WDOG", b"SEQ:SETT", b"SEQ:AVER")
_FENCE = re.compile(rb"\*ESE (\d+);\*ESE\?")
_BLOCK = re.compile(
    rb"(?:OUTP:ARM \d+,\d+;:)?(SEQ:FREE\?|SEQ:NUDG\?|SEQ:TWOP\?|EDGE:DATA) [^#]*#([1-9])", re.DOTALL
)


class DryBoard:
    """Replies to the driver's queries in a dry run; every output reads 0 V."""

    __slots__ = ("_edges", "_number", "_off", "_session", "_sides")

    def __init__(self) -> None:
        self._session: dict[bytes, bytes] = {}
        self._edges = encode_block(encode_codes(np.full(N_EDGES, 128)))
        self._sides = 2
        self._number, self._off = 0, False

    def __call__(self, message: bytes) -> bytes | None:
        """Return the reply to a message, or None if the message has no reply."""
        if found := _BLOCK.match(message):
            return self._with_block(found[1], message[found.start(2) - 1 :])
        if found := _FENCE.fullmatch(message):
            return found[1]
        header, _, value = message.partition(b" ")
        if header == b"SEQ:SIDE":
            self._sides = int(value)
        if header == b"OUTP:ARM":
            self._number, self._off = int(value.split(b",")[1]), False
        if header == b"SYST:REB":
            self._number, self._off = 0, False
        if header.endswith(b"OUTP") and self._number:
            self._off = True
        self._count(changes(message.decode("ascii")))
        if header in _SESSION:
            self._session[header] = value
        replies = {
            b"*IDN?": b"hwlearn,REFBOARD,DRY-RUN,0",
            b"SYST:CAP?": b"2,8,4,32,256,3072",
            b"*ESR?": b"128",
            b"*TST?": b"0",
            b"OUTP?": b"0",
            b"SYST:STAT?": self._state(),
            b"SYST:ERR?": b'0,"No error"',
            b"CAL:DATA?": encode_block(_RECORD.encode()),
            b"EDGE:DATA?": self._edges,
            READ_BACK.encode(): b";".join(self._session.get(header, b"0") for header in _SESSION),
        }
        return replies.get(message)

    def _count(self, executed: int) -> None:
        if self._number:
            self._number = (self._number - 1 + executed) % 65535 + 1

    def _state(self) -> bytes:
        checksum = crc16(self._edges[2 + int(self._edges[1:2]) : -2])
        return b"%d,%d" % (-self._number if self._off else self._number, checksum)

    def _with_block(self, header: bytes, block: bytes) -> bytes | None:
        digits = int(block[1:2])
        size = int(block[2 : 2 + digits])
        if header == b"EDGE:DATA":
            self._edges = block[: 2 + digits + size]
            self._count(1)
            return None
        nudges = self._sides if header == b"SEQ:NUDG?" else header == b"SEQ:TWOP?"
        samples = (size - 2) // (2 * (N_INPUTS + N_OUTPUTS * nudges))
        phases = {b"SEQ:FREE?": 1, b"SEQ:NUDG?": self._sides}.get(header, 1 + self._sides)
        words = np.full((samples, 1 + N_OUTPUTS * phases), ADC_ZERO)
        words[:, 0] = 0
        return encode_block(encode_codes(words)) + b"\n0;" + self._state() + b';0,"No error"'
