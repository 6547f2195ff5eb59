"""`EmulatedBoard`: the product's binary on an emulated ATmega2560, used like `hwlearn_sim`'s `NativeBoard`.

It stands outside the installed packages, as libsimavr is under the GPL; `build` makes what it needs.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from cffi import FFI
from numpy.typing import ArrayLike, NDArray

FIRMWARE: Final = Path(__file__).resolve().parents[1]
HERTZ: Final = 16_000_000
DACS: Final = 16
ADCS: Final = 8
EDGES: Final = 32
_EEPROM: Final = 4096
_GUARD: Final = "/* cffi reads from here */"
_ROOM: Final = 1 << 16
_LONGEST_S: Final = 60.0
"""No command keeps the board busy for so long: 3072 bytes of samples with 50 ms of settling take ten seconds."""

FloatArray = NDArray[np.float64]
Analog = Callable[[int, FloatArray], FloatArray | None]
"""Closed switches (bit j: output j) and DAC volts (16,) that stand -> ADC volts (8,), or None once it has called
`EmulatedBoard.set_transfer` for these switches."""
EdgesMoved = Callable[[NDArray[np.uint8]], None]
"""An edge has moved; all codes (32,)."""


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


class EmulatedBoard:
    """The board as a product, cycle by cycle; time passes in it only while one of these calls lets it.

    Parameters
    ----------
    eeprom_write_us : int
        How long a write to the EEPROM takes; 3400 on the chip.

    Raises
    ------
    EmulatorMissing
        If binary and emulator cannot be built here.

    Notes
    -----
    Not safe for threads: one caller at a time. What a callback raises is raised by the call that led to it;
    to the firmware it is an ADC that does not answer.
    """

    def __init__(self, eeprom_write_us: int = 3400) -> None:
        elf, library = build()
        try:
            self._ffi, self._lib = _loaded(library)
        except OSError as error:
            raise EmulatorMissing(f"{error}: apt install libsimavr-dev libelf-dev") from error
        self._board = self._ffi.gc(self._lib.emu_new(str(elf).encode()), self._lib.emu_free)
        if self._board == self._ffi.NULL:
            raise EmulatorMissing(f"libsimavr cannot run {elf}")
        self._lib.emu_eeprom_time(self._board, eeprom_write_us)
        self._out = self._ffi.new("uint8_t[]", _ROOM)
        self._callbacks: tuple[Any, ...] = ()
        self._failure: BaseException | None = None
        self.eeprom = self._ffi.buffer(self._lib.emu_eeprom(self._board), _EEPROM)

    # --- power, wire, time --------------------------------------------------------------------------

    def power_on(self) -> None:
        """Switch on, or press the reset button, and wait until the program listens."""
        self._lib.emu_power_on(self._board)
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
        self._lib.emu_receive(self._board, data, len(data))

    def work(self) -> None:
        """Let time pass until the program has nothing to do.

        Raises
        ------
        TimeoutError
            If it has something to do for ever.
        """
        idle = self._lib.emu_work(self._board, round(_LONGEST_S * HERTZ))
        self._raise_failure()
        if not idle:
            raise TimeoutError(f"the firmware is busy for more than {_LONGEST_S:g} s, or hangs")

    def transmit(self) -> bytes:
        """Return what has left the board since."""
        pieces = []
        while size := self._lib.emu_transmit(self._board, self._out, _ROOM):
            pieces.append(bytes(self._ffi.buffer(self._out, size)))
        return b"".join(pieces)

    def advance_us(self, us: int) -> None:
        """Let time pass."""
        self._lib.emu_advance_us(self._board, us)
        self._raise_failure()

    def await_bytes(self, count: int, seconds: float) -> bool:
        """Let time pass until so many bytes wait to be fetched; False if they did not come in so many seconds."""
        came = bool(self._lib.emu_await(self._board, count, round(seconds * HERTZ)))
        self._raise_failure()
        return came

    @property
    def cycles(self) -> int:
        """Cycles of 62.5 ns since the board was made."""
        return int(self._lib.emu_now(self._board))

    @property
    def last_byte_at(self) -> int:
        """Cycle at which the newest byte had left the board."""
        return int(self._lib.emu_last_byte(self._board))

    @property
    def now_us(self) -> int:
        """Microseconds since the board was made."""
        return self.cycles * 1_000_000 // HERTZ

    # --- the analog world ---------------------------------------------------------------------------

    def attach(self, analog: Analog, edges: EdgesMoved) -> None:
        """Join the board to an analog world; what it knew of another is forgotten."""
        ffi = self._ffi

        def asked(_: Any, switches: int, dac_volts: Any, adc_volts: Any) -> int:
            standing = np.frombuffer(ffi.buffer(dac_volts, 8 * DACS), dtype=np.float64).copy()
            volts = analog(switches, standing)
            if volts is None:
                return 0
            ffi.buffer(adc_volts, 8 * ADCS)[:] = np.ascontiguousarray(volts, dtype=np.float64).tobytes()
            return 1

        def moved(_: Any, codes: Any) -> None:
            edges(np.frombuffer(ffi.buffer(codes, EDGES), dtype=np.uint8).copy())

        def failed(_kind: object, error: BaseException, _trace: object) -> None:
            self._failure = self._failure or error

        self._callbacks = (
            ffi.callback("emu_analog_fn", asked, error=-1, onerror=failed),
            ffi.callback("emu_edges_fn", moved, onerror=failed),
        )
        self._lib.emu_attach(self._board, *self._callbacks, ffi.NULL)

    def set_transfer(self, switches: int, transfer: ArrayLike) -> None:
        """Let ADC volts be ``transfer`` (8, 16) times DAC volts while exactly these switches are closed."""
        matrix = np.ascontiguousarray(transfer, dtype=np.float64)
        if matrix.shape != (ADCS, DACS):
            raise ValueError(f"a transfer must have shape ({ADCS}, {DACS}), got {matrix.shape}")
        self._lib.emu_set_transfer(self._board, switches, self._ffi.from_buffer("double[]", matrix))

    def forget_transfers(self) -> None:
        """Let the analog world be asked again for every state of the switches."""
        self._lib.emu_forget_transfers(self._board)

    def set_converters(
        self,
        dac_gain: ArrayLike,
        dac_offset: ArrayLike,
        adc_gain: ArrayLike,
        adc_offset: ArrayLike,
        noise_volts: float,
        seed: int,
    ) -> None:
        """Set the converters' true errors; see `NativeBoard.set_converters`."""
        errors = [
            self._ffi.new(f"double[{size}]", np.broadcast_to(np.asarray(values, dtype=np.float64), size).tolist())
            for values, size in ((dac_gain, DACS), (dac_offset, DACS), (adc_gain, ADCS), (adc_offset, ADCS))
        ]
        self._lib.emu_set_converters(self._board, *errors, noise_volts, seed)

    # --- probes -------------------------------------------------------------------------------------

    def dac_codes(self) -> list[int]:
        """Return the code that stands at each of the 16 DAC channels."""
        return [int(self._lib.emu_dac_code(self._board, channel)) for channel in range(DACS)]

    def switches(self) -> int:
        """Return the closed nudge switches; bit j is output j."""
        return int(self._lib.emu_switches(self._board))

    def edge_codes(self) -> NDArray[np.uint8]:
        """Return the code of each of the 32 edges."""
        codes = self._ffi.new(f"uint8_t[{EDGES}]")
        self._lib.emu_edge_codes(self._board, codes)
        return np.frombuffer(self._ffi.buffer(codes), dtype=np.uint8).copy()

    def allow(self, low: ArrayLike, high: ArrayLike) -> None:
        """Count from now on every move of a DAC channel to a code outside its ``low`` (16,) to ``high`` (16,)."""
        bounds = [np.broadcast_to(np.asarray(bound, dtype=np.uint16), DACS).tolist() for bound in (low, high)]
        self._lib.emu_allow(self._board, *bounds)

    @property
    def violations(self) -> int:
        """How many moves broke what `allow` says, since this was last asked."""
        return int(self._lib.emu_violations(self._board))

    @property
    def moved_closed(self) -> int:
        """How often a DAC channel has moved to another code while a nudge switch was closed."""
        return int(self._lib.emu_moved_closed(self._board))

    @property
    def loads(self) -> int:
        """How often LDAC has moved the DACs."""
        return int(self._lib.emu_loads(self._board))

    @property
    def conversions(self) -> int:
        """How often the ADC has converted."""
        return int(self._lib.emu_conversions(self._board))

    @property
    def overruns(self) -> int:
        """How many bytes the UART has lost because the program did not take them in time."""
        return int(self._lib.emu_overruns(self._board))

    @property
    def faults(self) -> tuple[int, str]:
        """How often the program did what a data sheet forbids, and the newest such deed."""
        text = self._ffi.string(self._lib.emu_fault(self._board))
        return int(self._lib.emu_faults(self._board)), bytes(text).decode()

    @property
    def resets(self) -> int:
        """How often the MCU was reset by a watchdog, its own or the supervisor."""
        return int(self._lib.emu_resets(self._board))

    @property
    def trips(self) -> int:
        """How often the supervisor found that the kicks had stopped."""
        return int(self._lib.emu_trips(self._board))

    # --- accidents ----------------------------------------------------------------------------------

    def hang(self) -> None:
        """Let the program run in a circle for ever, interrupts off."""
        self._lib.emu_hang(self._board)

    def stop_clock(self) -> None:
        """Let the MCU's crystal stop: not even its watchdog runs."""
        self._lib.emu_stop_clock(self._board, 1)

    def damage_next(self) -> None:
        """Let the next byte on the line arrive without its stop bit, and wrong."""
        self._lib.emu_damage_next(self._board)

    def unplug_edges(self, unplugged: bool = True) -> None:
        """Pull the edge card out, or put it back."""
        self._lib.emu_unplug_edges(self._board, unplugged)

    def upset_adc(self) -> None:
        """Let the ADC's supply dip: its registers are as after power-up."""
        self._lib.emu_upset_adc(self._board)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
