"""Random messages with their results in the reference model, and random damage to them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from .record import FLAWED, PLAIN, Record, crc16
from .reference import FLOATING, MID, Reference
from .wire_blocks import block, framed

Play = Callable[[Reference], bytes | None]


@dataclass(frozen=True)
class Unit:
    """One command of a message: its bytes and its effect on the model; after a `last` one the message ends."""

    data: bytes
    play: Play
    last: bool = False


RECORDS: tuple[Record | None, ...] = (
    PLAIN,
    FLAWED,
    None,
    replace(FLAWED, serial="T-3", volts_uV=2_490_000, nudge_uV=5_000_000),
    replace(PLAIN, serial="ABCDEFGHIJKL", volts_uV=76, nudge_uV=1, edge_low=17, edge_high=17),
)
"""Possible EEPROM contents at the start of a stream."""

SYNTAX = [
    (b":", -102), (b"SYST:WDOG 500,", -102), (b"SYST:WDOG ,5", -102), (b"SYST:WDOG five", -104),
    (b"EDGE:DATA 5", -104),
    (b"SYST:WDOG 1,2", -108), (b"*OPC? 1", -108), (b"SYST:WDOG", -109), (b"SEQ:FREE?", -109),
    (b"SOUR:VOLT 1", -109),
    (b"NO:SUCH", -113), (b"*IDN", -113), (b"SYST:WDO 5", -113), (b"\xff\xfe\x80", -113), (b"OUTP ON", -224),
    (b"SYST:WDOG " + b"7" * 90, -363),
]  # fmt: skip

QUERIES = [
    "SYST:STAT?", "SYST:STAT?",
    "*OPC?", "*ESE?", "*TST?", "SYST:ERR:COUN?", "SYST:WDOG?", "SYST:WDOG:TRIP?", "SYST:CAP?", "OUTP?",
    "ROUT:CLOS?", "SEQ:SETT?", "SEQ:AVER?", "SEQ:SIDE?", "SOUR:LIM:VOLT?", "SOUR:LIM:NUDG?", "SOUR:LIM:EDGE?",
    "EDGE:DATA?",
    "CAL:DATA?",
]  # fmt: skip
LONG = {
    b"SYST": b"SYSTem", b"SOUR": b"source", b"VOLT": b"VoltagE", b"LIM": b"LIMIT", b"ROUT": b"ROUTe",
    b"CLOS": b"close", b"SEQ": b"SEQuence", b"AVER": b"AVERAGE", b"OUTP": b"output",
    b"MEAS": b"measure", b"NUDG": b"NUDGe",
}  # fmt: skip


class Writer:
    """Writes random commands for a board in the state of the model."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.writers: list[Callable[[Reference], Unit]] = [
            self.query, self.query, self.indexed_query, self.setting, self.setting, self.limit,
            self.voltage, self.voltage, self.voltage, self.switches, self.edges,
            self.sequence, self.sequence, self.sequence, self.hold, self.hold,
            self.bad_block, self.syntax, self.calibration, self.safety,
        ]  # fmt: skip

    def unit(self, board: Reference) -> Unit:
        """Write one command."""
        return self.dice.choice(self.writers)(board)

    def header(self, text: bytes) -> bytes:
        """Return a header in one of its forms."""
        dice = self.dice
        if dice.random() < 0.3:
            text = b":".join(LONG.get(word, word) if dice.random() < 0.5 else word for word in text.split(b":"))
        if dice.random() < 0.2:
            text = text.lower()
        return text

    def volts(self, uV: int) -> bytes:
        """Return microvolts as text in volts."""
        form = self.dice.randrange(4)
        if form == 0:
            return b"%de-6" % uV
        if form == 1:
            return b"%+.6f" % (uV / 1e6)
        return repr(uV / 1e6).encode() if form == 2 else b"%.10E" % (uV / 1e6)

    def set(self, header: bytes, arguments: bytes, play: Play) -> Unit:
        """Write a command without a block."""
        return Unit(self.header(header) + (b" " + arguments if arguments else b""), play)

    def around(self, low: int, high: int) -> int:
        """Draw a value that is usually inside, often at a limit and sometimes outside."""
        dice = self.dice
        form = dice.random()
        if form < 0.7:
            return dice.randint(low, high)
        if form < 0.85:
            return dice.choice((low, high))
        return dice.choice((low - 1, high + 1, low - dice.randrange(1, 70000), high + dice.randrange(1, 70000)))

    def query(self, _board: Reference) -> Unit:
        """Write a query of a setting or the state."""
        query = self.dice.choice(QUERIES)
        return self.set(query.encode(), b"", lambda board: board.query(query))

    def indexed_query(self, _board: Reference) -> Unit:
        """Write a query of one channel or edge."""
        query, most = self.dice.choice((("SOUR:VOLT?", 15), ("MEAS:VOLT?", 7), ("EDGE:CODE?", 31)))
        index = self.around(0, most)
        return self.set(query.encode(), b"%d" % index, lambda board: board.query(query, index))

    def setting(self, _board: Reference) -> Unit:
        """Write a setting."""
        dice = self.dice
        form = dice.randrange(5)
        if form == 0:
            ms = dice.choice(
                (49, 60_000, 60_001, dice.randint(200, 60_000))
            )  # pauses and settle times are shorter than 200 ms
            return self.set(b"SYST:WDOG", b"%d" % ms, lambda board: board.wdog(ms))
        if form == 1:
            us = self.around(0, 1500)
            us = us if us <= 1501 else 50_000 + us
            return self.set(b"SEQ:SETT", b"%d" % us, lambda board: board.sequence_settings(us, None, None))
        if form == 2:
            count = dice.choice((1, 1, 2, 4, 8, 3, 0, 65, -1))
            return self.set(b"SEQ:AVER", b"%d" % count, lambda board: board.sequence_settings(None, count, None))
        if form == 3:
            sides = self.around(1, 2)
            return self.set(b"SEQ:SIDE", b"%d" % sides, lambda board: board.sequence_settings(None, None, sides))
        value = self.around(0, 255)

        def enable(board: Reference) -> None:
            board.refuse((not 0 <= value <= 255, -222))
            board.ese = value

        return self.set(b"*ESE", b"%d" % value, enable)

    def limit(self, board: Reference) -> Unit:
        """Write a narrower, or a wider, limit."""
        form = self.dice.randrange(3)
        if form == 2:
            low, high = board.edge_range
            low, high = self.around(low, (low + high) // 2), self.around((low + high) // 2, high)
            return self.set(b"SOUR:LIM:EDGE", b"%d,%d" % (low, high), lambda board: board.limit_edges(low, high))
        most = board.volts_uV if form == 0 else board.nudge_uV
        uV = self.around(most // 2, most)
        if form == 0:
            return self.set(b"SOUR:LIM:VOLT", self.volts(uV), lambda board: board.limit_volts(uV))
        return self.set(b"SOUR:LIM:NUDG", self.volts(uV), lambda board: board.limit_nudge(uV))

    def voltage(self, board: Reference) -> Unit:
        """Write a voltage for a DAC."""
        channel = self.around(0, 15) if self.dice.random() < 0.2 else self.dice.randrange(16)
        most = board.nudge_uV if 8 <= channel < 12 and self.dice.random() < 0.7 else board.volts_uV
        uV = self.around(-most, most)
        return self.set(b"SOUR:VOLT", b"%d," % channel + self.volts(uV), lambda board: board.voltage(channel, uV))

    def switches(self, _board: Reference) -> Unit:
        """Write a command that closes or opens nudge switches."""
        if self.dice.random() < 0.5:
            return self.set(b"ROUT:OPEN", b"", lambda board: board.open())
        mask = self.around(0, 15)
        return self.set(b"ROUT:CLOS", b"%d" % mask, lambda board: board.close(mask))

    def edges(self, board: Reference) -> Unit:
        """Write edge codes."""
        low, high = board.edge_range
        if self.dice.random() < 0.5:
            edge, code = self.around(0, 31), self.around(low, high)
            return self.set(
                b"EDGE:CODE", b"%d,%d" % (edge, code), lambda board: board.set_edges({edge: code}, whole=False)
            )
        codes = self.dice.choices(range(low, high + 1), k=32)
        if self.dice.random() < 0.2:
            codes[self.dice.randrange(32)] = self.around(low, high) % 65536
        return Unit(
            self.header(b"EDGE:DATA") + b" " + block(codes), lambda board: board.set_edges(dict(enumerate(codes)))
        )

    def sequence(self, board: Reference) -> Unit:
        """Write a batch of samples."""
        dice = self.dice
        kind = dice.choice(("FREE", "NUDG", "TWOP"))
        windows = board.windows.dac
        # the range of codes that every input permits
        low, high = max(window[0] for window in windows), min(window[1] for window in windows)
        low, high = (low, high) if low <= high else (MID, MID)
        sides = board.sides
        span = min(board.windows.nudge_dac_codes) if kind == "NUDG" else min(board.windows.nudge_adc_codes)
        rows = []
        for _ in range(dice.choice((1, 1, 1, 2, 5))):
            row = dice.choices((MID if low <= MID <= high else low, low, high, dice.randint(low, high)), k=8)
            if kind == "NUDG":
                row += [
                    FLOATING
                    if dice.random() < 0.2
                    else board.windows.nudge_code(0, 32000) + dice.randint(-span, span)
                    for _ in range(4 * sides)
                ]
            elif kind == "TWOP":
                row += [FLOATING if dice.random() < 0.2 else 32000 + dice.randint(-span, span) for _ in range(4)]
            rows.append(row)
        if dice.random() < 0.2:
            rows[dice.randrange(len(rows))][dice.randrange(len(rows[0]))] = dice.choice(
                (0, 65534, 65535, low - 1, high + 1)
            )
        rows = [[min(max(word, 0), FLOATING) for word in row] for row in rows]
        data = block(word for row in rows for word in row)
        if kind != "TWOP":
            header = self.header(b"SEQ:" + kind.encode()) + b"? "
            return Unit(header + data, lambda board: board.sequence(kind, rows))
        eta = self.around(1, 32767) if dice.random() < 0.3 else dice.randint(1, 4096)
        arguments = b"%.6f," % (eta / 4096)
        return Unit(b"SEQ:TWOP? " + arguments + data, lambda board: board.sequence(kind, rows, eta))

    def bad_block(self, board: Reference) -> Unit:
        """Write a block with a wrong CRC or of a wrong length."""
        dice = self.dice
        header = dice.choice((b"SEQ:FREE? ", b"SEQ:NUDG? ", b"SEQ:TWOP? 0.5,", b"EDGE:DATA ", b"CAL:DATA "))
        words = {b"SEQ:FREE? ": 8, b"SEQ:NUDG? ": 8 + 4 * board.sides, b"SEQ:TWOP? 0.5,": 12, b"EDGE:DATA ": 32}
        size = 2 * words.get(header, 168)
        if dice.random() < 0.5:
            data = dice.randbytes(size)
            crc = crc16(data) ^ 1 << dice.randrange(16)
        else:
            wrong = size + dice.choice((-2, -1, 1, 2, 3, -size, 3200))
            data = dice.randbytes(wrong)
            crc = crc16(data)
        return Unit(header + framed(data + struct.pack("<H", crc)), lambda board: board.bad_block())

    def syntax(self, _board: Reference) -> Unit:
        """Write an invalid message; an overlong line is the last command."""
        text, code = self.dice.choice(SYNTAX)
        return Unit(text, lambda board: board.refuse((True, code)), last=code == -363)

    def calibration(self, board: Reference) -> Unit:
        """Write an unlock command or a new record."""
        serial = board.record.serial if board.record else "0"
        if self.dice.random() < 0.5:
            serial = serial if self.dice.random() < 0.8 else "X" + serial[1:]
            return self.set(b"CAL:UNL", serial.encode(), lambda board: board.unlock(serial))
        record = self.dice.choice([record for record in RECORDS if record])
        plausible = self.dice.random() < 0.8
        sent = (record if plausible else replace(record, volts_uV=2_490_001)).encode()
        return Unit(b"CAL:DATA " + framed(sent), lambda board: board.calibrate(record, plausible))

    def hold(self, board: Reference) -> Unit:
        """Write a command that takes, checks, renews or ends the hold of a host on the board."""
        dice = self.dice
        present = board.held if dice.random() < 0.8 else self.around(0, 65535)
        following = dice.choice((present, present, self.around(1, 65535), self.around(1, 65535), 65535, 0))
        data = b"%d,%d" % (present, following)
        return self.set(b"OUTP:ARM", data, lambda board: board.allow(present, following))

    def safety(self, _board: Reference) -> Unit:
        """Write a command for the safe state, a reset or a clear."""
        form = self.dice.randrange(6)
        if form == 0:
            return Unit(self.header(b"SYST:REB"), lambda board: board.power_on(), last=True)
        plays: list[tuple[bytes, bytes, Play]] = [
            (b"*RST", b"", lambda board: board.reset()),
            (b"*CLS", b"", lambda board: board.clear_status()),
            (b"OUTP", b"OFF", lambda board: board.switch_off()),
            (b"SYST:WDOG:CLE", b"", lambda board: board.clear_wdog()),
            (b"SYST:WDOG:CLE", b"", lambda board: board.clear_wdog()),
        ]
        return self.set(*plays[form - 1])


def damaged(data: bytes, dice: Random) -> bytes:
    """Damage a message: lost, doubled, changed or added bytes, a truncated message, or noise only."""
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 5))):
        at = dice.randrange(len(out) + 1)
        form = dice.randrange(8)
        if form == 0:
            del out[at : at + 1]
        elif form == 1:
            out[at:at] = out[at : at + dice.randrange(1, 9)]
        elif form == 2 and at < len(out):
            out[at] ^= 1 << dice.randrange(8)
        elif form == 3:
            out[at:at] = dice.choice(
                (b"#", b";", b",", b"\n", b"\x18", b":", b"?", b"*", b"\0", b"e", b"#9999999999")
            )
        elif form == 4:
            del out[at:]
        elif form == 5:
            out[at:at] = dice.randbytes(dice.choice((1, 3, 20, 300)))
        elif form == 6:
            out[at:at] = b"%d" % dice.choice((0, -1, 65536, 2**31, 2**32, 10**40))
        else:
            out += data
    return bytes(out)
