"""Test access to the board's host library: serial line, clock, analog circuit and probes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from cffi import FFI

from .record import BANKS, PLAIN, Record
from .wire_blocks import block, words

FIRMWARE = Path(__file__).parents[1]
GUARD = "/* cffi reads from here */"
Analog = Callable[[int, list[float]], Sequence[float] | None]
"""(closed switches, DAC volts[16]) -> ADC volts[8], or None if the ADC does not respond."""


@cache
def _load(library: str) -> tuple[FFI, Any]:
    header = (FIRMWARE / "boards" / "host" / "host.h").read_text()
    ffi = FFI()
    ffi.cdef(header[header.index(GUARD) + len(GUARD) : header.rindex("#endif")])
    return ffi, ffi.dlopen(library)


class Rig:
    """A powered board with `record` in its EEPROM (None: blank, as from the factory)."""

    def __init__(self, library: Path, record: Record | None = PLAIN) -> None:
        self.ffi, self.lib = _load(str(library))
        self.board = self.ffi.gc(self.lib.host_new(), self.lib.host_free)
        assert self.board != self.ffi.NULL
        self._broken = 0  # updates outside the allowed ranges that were already returned
        self._kept: list[Any] = []  # keeps the callbacks alive
        if record is not None:
            self.provision(record.encode())
        self.power_on()

    # Power and EEPROM

    def power_on(self) -> None:
        """Switch on, or press the reset button; pending replies are lost."""
        self.lib.host_power_on(self.board)

    @property
    def is_on(self) -> bool:
        """Whether the board has power."""
        return bool(self.lib.host_is_on(self.board))

    @property
    def eeprom(self) -> Any:
        """The 4096 bytes of the EEPROM, for reading and writing."""
        return self.ffi.buffer(self.lib.host_eeprom(self.board), 4096)

    def provision(self, record: bytes, bank: int = 0) -> None:
        """Write a record to one of the two banks of the EEPROM."""
        self.eeprom[BANKS[bank] : BANKS[bank] + len(record)] = record

    def lose_power_after(self, writes: int) -> None:
        """Interrupt power after this many EEPROM writes; negative: never."""
        self.lib.host_lose_power_after(self.board, writes)

    # Serial line

    def send(self, data: bytes) -> None:
        """Send bytes to the board."""
        self.lib.host_receive(self.board, data, len(data))

    def fetch(self) -> bytes:
        """Return all pending bytes from the board."""
        size = self.lib.host_pending(self.board)
        buffer = self.ffi.new("uint8_t[]", max(size, 1))
        return bytes(self.ffi.buffer(buffer, self.lib.host_transmit(self.board, buffer, size)))

    def write(self, message: str, data: bytes = b"") -> None:
        """Send a message without a reply; ``data`` comes before its newline."""
        self.send(message.encode() + data + b"\n")
        reply = self.fetch()
        assert reply == b"", f"{message} got a reply: {reply[:80]!r}"

    def query(self, message: str, data: bytes = b"") -> str:
        """Send a message and return its reply, one line of text."""
        self.send(message.encode() + data + b"\n")
        answer = self.fetch()
        assert answer.endswith(b"\n"), f"{message} got {answer!r}"
        assert answer.count(b"\n") == 1, f"{message} got {answer!r}"
        return answer[:-1].decode("ascii")

    def query_words(self, message: str, data: bytes = b"") -> list[int]:
        """Send a message and return the words of the block in its reply."""
        self.send(message.encode() + data + b"\n")
        return words(self.fetch())

    def sequence(self, message: str, samples: Iterable[Iterable[int]]) -> list[list[int]]:
        """Run a sequence and return the reply words of each sample."""
        rows = [list(sample) for sample in samples]
        answer = self.query_words(message, block(word for row in rows for word in row))
        assert len(answer) % len(rows) == 0
        width = len(answer) // len(rows)
        return [answer[k : k + width] for k in range(0, len(answer), width)]

    def errors(self) -> list[int]:
        """Empty the error queue and return its codes, oldest first."""
        codes: list[int] = []
        while True:
            code, text = self.query("SYST:ERR?").split(",", 1)
            assert text.startswith('"'), text
            assert text.endswith('"'), text
            if code == "0":
                assert text == '"No error"'
                return codes
            codes.append(int(code))
            assert len(codes) <= 8, codes

    # Clock

    def advance(self, seconds: float) -> None:
        """Advance time without sending bytes."""
        self.lib.host_advance_us(self.board, round(seconds * 1e6))

    @property
    def now_us(self) -> int:
        """Microseconds since the board was created."""
        return int(self.lib.host_now_us(self.board))

    # Analog circuit

    def attach(self, analog: Analog) -> None:
        """Use `analog` for every conversion."""

        def fill(_user: Any, switches: int, dac_volts: Any, adc_volts: Any) -> int:
            readings = analog(switches, list(dac_volts[0:16]))
            if readings is None:
                return -1
            adc_volts[0:8] = list(readings)
            return 1

        callback = self.ffi.callback("int(void *, uint8_t, const double *, double *)", fill, error=-1)
        self._kept = [callback]
        self.lib.host_attach(self.board, callback, self.ffi.NULL, self.ffi.NULL)

    def transfer(self, switches: int, rows: Sequence[Sequence[float]]) -> None:
        """Set ADC volts = rows (8 x 16) times DAC volts while exactly these switches are closed."""
        flat = [float(value) for row in rows for value in row]
        assert len(flat) == 8 * 16
        self.lib.host_set_transfer(self.board, switches, flat)

    # Probes

    @property
    def dacs(self) -> list[int]:
        """Present codes of the 16 DAC channels."""
        return [int(self.lib.host_dac_code(self.board, k)) for k in range(16)]

    @property
    def switches(self) -> int:
        """Mask of the closed nudge switches."""
        return int(self.lib.host_switches(self.board))

    @property
    def edges(self) -> list[int]:
        """Codes of the 32 potentiometers."""
        codes = self.ffi.new("uint8_t[32]")
        self.lib.host_edge_codes(self.board, codes)
        return list(codes)

    def is_safe(self) -> bool:
        """Return whether all switches are open and every DAC is at midscale."""
        return self.switches == 0 and self.dacs == [32768] * 16

    def allow(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Start to count DAC updates with a code outside the range of its channel."""
        self.lib.host_allow(self.board, [low for low, _ in ranges], [high for _, high in ranges])
        self._broken = self.lib.host_violations(self.board)

    def violations(self) -> int:
        """Return the number of updates outside the allowed ranges since the last call."""
        before, self._broken = self._broken, self.lib.host_violations(self.board)
        return int(self._broken - before)

    @property
    def loads(self) -> int:
        """Number of DAC updates."""
        return int(self.lib.host_loads(self.board))

    @property
    def scans(self) -> int:
        """Number of ADC scans."""
        return int(self.lib.host_scans(self.board))
