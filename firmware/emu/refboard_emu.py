"""`EmulatedBoard`: the product's binary on an emulated ATmega2560, with the interface of `NativeBoard`.

It is not part of the installed packages, because libsimavr is licensed under the GPL. `build` compiles its parts.
"""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Final

from cffi import FFI

from hwlearn_sim.board.library import LibraryBoard

FIRMWARE: Final = Path(__file__).resolve().parents[1]
HERTZ: Final = 16_000_000
_GUARD: Final = "/* cffi reads from here */"
_LONGEST_S: Final = 60.0
"""Longer than any command: 3072 bytes of samples with 50 ms of settling take ten seconds."""


class EmulatorMissing(OSError):
    """The emulated board cannot be built on this computer; the text says what to install."""


@cache
def build() -> tuple[Path, Path]:
    """Build the binary and the emulator if they are missing or out of date.

    Returns
    -------
    tuple of Path
        The ELF file and the library.

    Raises
    ------
    EmulatorMissing
        If a tool is missing or fails.
    """
    missing = [tool for tool in ("make", "avr-gcc") if shutil.which(tool) is None]
    if not any(shutil.which(compiler) for compiler in ("cc", "gcc", "clang")):
        missing.append("cc")
    if missing:
        raise EmulatorMissing(
            f"the emulated board needs {', '.join(missing)}: apt install make gcc gcc-avr avr-libc"
        )
    made = subprocess.run(["make", "-C", str(FIRMWARE), "emu"], capture_output=True, text=True, check=False)
    if made.returncode:
        what = "it needs libsimavr: apt install libsimavr-dev libelf-dev\n" if "simavr" in made.stderr else ""
        raise EmulatorMissing(f"make emu failed; {what}{made.stderr[-2000:]}")
    return FIRMWARE / "build" / "avr" / "refboard.elf", FIRMWARE / "build" / "emu" / "libhwlearn_emu.so"


@cache
def _loaded(library: Path) -> tuple[FFI, Any]:
    header = (FIRMWARE / "emu" / "emu.h").read_text(encoding="utf-8")
    ffi = FFI()
    ffi.cdef(header[header.index(_GUARD) + len(_GUARD) : header.rindex("#endif")])
    return ffi, ffi.dlopen(str(library))


class EmulatedBoard(LibraryBoard):
    """Cycle-accurate emulation of the board. Its time advances only during calls of these methods.

    Parameters
    ----------
    eeprom_write_us : int
        Duration of a write to the EEPROM in microseconds; 3400 on the chip.

    Raises
    ------
    EmulatorMissing
        If the binary and the emulator cannot be built.
    """

    def __init__(self, eeprom_write_us: int = 3400) -> None:
        elf, library = build()
        try:
            ffi, emulator = _loaded(library)
        except OSError as error:
            raise EmulatorMissing(f"{error}: apt install libsimavr-dev libelf-dev") from error
        board = emulator.emu_new(str(elf).encode())
        if board == ffi.NULL:
            raise EmulatorMissing(f"libsimavr cannot run {elf}")
        super().__init__(ffi, emulator, "emu", board)
        self._call("eeprom_time", eeprom_write_us)

    # --- power, wire, time --------------------------------------------------------------------------

    def power_on(self) -> None:
        """Switch on, or reset, and wait until the program accepts commands."""
        self._call("power_on")
        self.work()

    def receive(self, data: bytes) -> None:
        """Pass received bytes to the firmware, which processes all of them before this returns.

        The bytes are passed in pieces that end with a ``;`` or a newline, so that none arrives during a sequence,
        as with a host that waits for replies. The bytes after a reboot are lost.
        """
        start = 0
        reboots = self.resets
        for end in [k + 1 for k, byte in enumerate(data) if byte in b";\n"] + [len(data)]:
            for at in range(start, end, 128):
                self.send(data[at : min(at + 128, end)])
                self.work()
                if self.resets != reboots:
                    return
            start = end

    def send(self, data: bytes) -> None:
        """Put bytes on the line, where they arrive at 1 Mbaud, without waiting for the firmware."""
        self._call("receive", data, len(data))

    def work(self) -> None:
        """Advance time until the program is idle.

        Raises
        ------
        TimeoutError
            If the program does not become idle.
        """
        idle = self._call("work", round(_LONGEST_S * HERTZ))
        self._raise_failure()
        if not idle:
            raise TimeoutError(f"the firmware is busy for more than {_LONGEST_S:g} s, or does not respond")

    @property
    def cycles(self) -> int:
        """Cycles of 62.5 ns since the board was created."""
        return int(self._call("now"))

    @property
    def last_byte_at(self) -> int:
        """Cycle at which the last byte was sent by the board."""
        return int(self._call("last_byte"))

    @property
    def now_us(self) -> int:
        """Microseconds since the board was created."""
        return self.cycles * 1_000_000 // HERTZ

    # --- probes -------------------------------------------------------------------------------------

    @property
    def moved_closed(self) -> int:
        """Number of DAC updates while a nudge switch was closed."""
        return int(self._call("moved_closed"))

    @property
    def overruns(self) -> int:
        """Number of bytes that the UART lost because the program did not read them in time."""
        return int(self._call("overruns"))

    @property
    def faults(self) -> tuple[int, str]:
        """Number of violations of a data sheet by the program, and a description of the last one."""
        text = self._ffi.string(self._call("fault"))
        return int(self._call("faults")), bytes(text).decode()

    @property
    def resets(self) -> int:
        """Number of resets of the MCU by its watchdog or by the supervisor."""
        return int(self._call("resets"))

    @property
    def trips(self) -> int:
        """Number of times that the supervisor detected missing watchdog kicks."""
        return int(self._call("trips"))

    # --- injected failures --------------------------------------------------------------------------

    def hang(self) -> None:
        """Put the program in an endless loop with interrupts disabled."""
        self._call("hang")

    def stop_clock(self) -> None:
        """Stop the MCU's crystal, and with it its watchdog."""
        self._call("stop_clock", 1)

    def damage_next(self) -> None:
        """Damage the next byte on the line: wrong value, and no stop bit."""
        self._call("damage_next")

    def unplug_edges(self, unplugged: bool = True) -> None:
        """Disconnect or reconnect the edge card."""
        self._call("unplug_edges", unplugged)

    def upset_adc(self) -> None:
        """Interrupt the ADC's supply, so that its registers have their power-up values."""
        self._call("upset_adc")
