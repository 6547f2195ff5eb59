"""`EmulatedBoard`: the product's binary on an emulated ATmega2560, used like `hwlearn_sim`'s `NativeBoard`.

It stands outside the installed packages, as libsimavr is under the GPL; `build` makes what it needs.
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
"""No command keeps the board busy for so long: 3072 bytes of samples with 50 ms of settling take ten seconds."""


class EmulatorMissing(OSError):
    """The emulated board cannot be built here; the text says what to install."""


@cache
def build() -> tuple[Path, Path]:
    """Build binary and emulator where they are missing or old.

    Returns
    -------
    tuple of Path
        The ELF file and the library.

    Raises
    ------
    EmulatorMissing
        If a tool is missing, or does not do its work.
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
    """The board as a product, cycle by cycle; time passes in it only while one of these calls lets it.

    Parameters
    ----------
    eeprom_write_us : int
        How long a write to the EEPROM takes; 3400 on the chip.

    Raises
    ------
    EmulatorMissing
        If binary and emulator cannot be built here.
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
        """Switch on, or press the reset button, and wait until the program listens."""
        self._call("power_on")
        self.work()

    def receive(self, data: bytes) -> None:
        """Let bytes arrive piece by piece; the firmware is done with all of them before this returns.

        Each piece ends behind a ``;`` or a newline, so that nothing comes while a sequence runs, as a host does
        that waits for its answers. What follows a reboot is lost, as are bytes sent to a board that boots.
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
        """Put bytes on the line, which brings them at 1 Mbaud while time passes; come what may."""
        self._call("receive", data, len(data))

    def work(self) -> None:
        """Let time pass until the program has nothing to do.

        Raises
        ------
        TimeoutError
            If it has something to do for ever.
        """
        idle = self._call("work", round(_LONGEST_S * HERTZ))
        self._raise_failure()
        if not idle:
            raise TimeoutError(f"the firmware is busy for more than {_LONGEST_S:g} s, or hangs")

    @property
    def cycles(self) -> int:
        """Cycles of 62.5 ns since the board was made."""
        return int(self._call("now"))

    @property
    def last_byte_at(self) -> int:
        """Cycle at which the newest byte had left the board."""
        return int(self._call("last_byte"))

    @property
    def now_us(self) -> int:
        """Microseconds since the board was made."""
        return self.cycles * 1_000_000 // HERTZ

    # --- probes -------------------------------------------------------------------------------------

    @property
    def moved_closed(self) -> int:
        """How often a DAC channel has moved to another code while a nudge switch was closed."""
        return int(self._call("moved_closed"))

    @property
    def overruns(self) -> int:
        """How many bytes the UART has lost because the program did not take them in time."""
        return int(self._call("overruns"))

    @property
    def faults(self) -> tuple[int, str]:
        """How often the program did what a data sheet forbids, and the newest such deed."""
        text = self._ffi.string(self._call("fault"))
        return int(self._call("faults")), bytes(text).decode()

    @property
    def resets(self) -> int:
        """How often the MCU was reset by a watchdog, its own or the supervisor."""
        return int(self._call("resets"))

    @property
    def trips(self) -> int:
        """How often the supervisor found that the kicks had stopped."""
        return int(self._call("trips"))

    # --- accidents ----------------------------------------------------------------------------------

    def hang(self) -> None:
        """Let the program run in a circle for ever, interrupts off."""
        self._call("hang")

    def stop_clock(self) -> None:
        """Let the MCU's crystal stop: not even its watchdog runs."""
        self._call("stop_clock", 1)

    def damage_next(self) -> None:
        """Let the next byte on the line arrive without its stop bit, and wrong."""
        self._call("damage_next")

    def unplug_edges(self, unplugged: bool = True) -> None:
        """Pull the edge card out, or put it back."""
        self._call("unplug_edges", unplugged)

    def upset_adc(self) -> None:
        """Let the ADC's supply dip: its registers are as after power-up."""
        self._call("upset_adc")
