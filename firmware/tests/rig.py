"""The board's host library with a wire, a clock and probes: small enough to be believed."""

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
"""(closed switches, DAC volts[16]) -> ADC volts[8], or None when the ADC does not answer."""


@cache
def _load(library: str) -> tuple[FFI, Any]:
    header = (FIRMWARE / "boards" / "host" / "host.h").read_text()
    ffi = FFI()
    ffi.cdef(header[header.index(GUARD) + len(GUARD) : header.rindex("#endif")])
    return ffi, ffi.dlopen(library)


class Rig:
    """One board: `record` stands in its EEPROM (None: blank, as from the factory), and it is switched on."""

    def __init__(self, library: Path, record: Record | None = PLAIN) -> None:
        self.ffi, self.lib = _load(str(library))
        self.board = self.ffi.gc(self.lib.host_new(), self.lib.host_free)
        assert self.board != self.ffi.NULL
        self._broken = 0  # loads outside the allowed ranges that were told already
        self._kept: list[Any] = []  # callbacks live as long as the board may call them
        if record is not None:
            self.provision(record.encode())
        self.power_on()

    # Power and EEPROM

    def power_on(self) -> None:
        """Switch on, or press the reset button; what the board had still to say is gone."""
        self.lib.host_power_on(self.board)

    @property
    def is_on(self) -> bool:
        """Whether the board has power."""
        return bool(self.lib.host_is_on(self.board))

    @property
    def eeprom(self) -> Any:
        """The 4096 bytes of the EEPROM, to read and to write."""
        return self.ffi.buffer(self.lib.host_eeprom(self.board), 4096)

    def provision(self, record: bytes, bank: int = 0) -> None:
        """Put a record into one of the two places of the EEPROM."""
        self.eeprom[BANKS[bank] : BANKS[bank] + len(record)] = record

    def lose_power_after(self, writes: int) -> None:
        """Power fails after so many EEPROM writes; negative: never."""
        self.lib.host_lose_power_after(self.board, writes)

    # The wire

    def send(self, data: bytes) -> None:
        """Let the board receive the bytes."""
        self.lib.host_receive(self.board, data, len(data))

    def fetch(self) -> bytes:
        """Take all that the board has said."""
        size = self.lib.host_pending(self.board)
        room = self.ffi.new("uint8_t[]", max(size, 1))
        return bytes(self.ffi.buffer(room, self.lib.host_transmit(self.board, room, size)))

    def say(self, message: str, data: bytes = b"") -> None:
        """Send a message that is not answered; data stands before its newline."""
        self.send(message.encode() + data + b"\n")
        said = self.fetch()
        assert said == b"", f"{message} was answered: {said[:80]!r}"

    def ask(self, message: str, data: bytes = b"") -> str:
        """Send a message; its answer, one line of text."""
        self.send(message.encode() + data + b"\n")
        answer = self.fetch()
        assert answer.endswith(b"\n"), f"{message} got {answer!r}"
        assert answer.count(b"\n") == 1, f"{message} got {answer!r}"
        return answer[:-1].decode("ascii")

    def ask_words(self, message: str, data: bytes = b"") -> list[int]:
        """Send a message; the words of the block that it is answered with."""
        self.send(message.encode() + data + b"\n")
        return words(self.fetch())

    def sequence(self, message: str, samples: Iterable[Iterable[int]]) -> list[list[int]]:
        """Run a sequence; for each sample its words of answer."""
        rows = [list(sample) for sample in samples]
        answer = self.ask_words(message, block(word for row in rows for word in row))
        assert len(answer) % len(rows) == 0
        width = len(answer) // len(rows)
        return [answer[k : k + width] for k in range(0, len(answer), width)]

    def errors(self) -> list[int]:
        """Empty the error queue; its codes, oldest first."""
        codes: list[int] = []
        while True:
            code, text = self.ask("SYST:ERR?").split(",", 1)
            assert text.startswith('"'), text
            assert text.endswith('"'), text
            if code == "0":
                assert text == '"No error"'
                return codes
            codes.append(int(code))
            assert len(codes) <= 8, codes

    # The clock

    def advance(self, seconds: float) -> None:
        """Let time pass with nobody talking."""
        self.lib.host_advance_us(self.board, round(seconds * 1e6))

    @property
    def now_us(self) -> int:
        """Microseconds of the board's life."""
        return int(self.lib.host_now_us(self.board))

    # The analog world

    def attach(self, analog: Analog) -> None:
        """Let `analog` answer every conversion."""

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
        """ADC volts = rows (8 x 16) times DAC volts while exactly these switches are closed."""
        flat = [float(value) for row in rows for value in row]
        assert len(flat) == 8 * 16
        self.lib.host_set_transfer(self.board, switches, flat)

    # Probes

    @property
    def dacs(self) -> list[int]:
        """The codes that stand at the 16 DAC channels."""
        return [int(self.lib.host_dac_code(self.board, k)) for k in range(16)]

    @property
    def switches(self) -> int:
        """The closed nudge switches."""
        return int(self.lib.host_switches(self.board))

    @property
    def edges(self) -> list[int]:
        """The codes of the 32 potentiometers."""
        codes = self.ffi.new("uint8_t[32]")
        self.lib.host_edge_codes(self.board, codes)
        return list(codes)

    def is_safe(self) -> bool:
        """Switches open and every DAC at midscale."""
        return self.switches == 0 and self.dacs == [32768] * 16

    def allow(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Count from now on every load that puts a code outside its channel's range at a DAC."""
        self.lib.host_allow(self.board, [low for low, _ in ranges], [high for _, high in ranges])
        self._broken = self.lib.host_violations(self.board)

    def violations(self) -> int:
        """How many loads broke the allowed ranges since this was last asked."""
        before, self._broken = self._broken, self.lib.host_violations(self.board)
        return int(self._broken - before)

    @property
    def loads(self) -> int:
        """How often DACs have moved."""
        return int(self.lib.host_loads(self.board))

    @property
    def scans(self) -> int:
        """How often the ADC was read."""
        return int(self.lib.host_scans(self.board))
