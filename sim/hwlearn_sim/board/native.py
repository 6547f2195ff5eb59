"""`NativeBoard`: the real firmware compiled for this computer, with a simulated hardware layer."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from cffi import FFI

from hwlearn_sim.board.build import host_header, host_library
from hwlearn_sim.board.library import LibraryBoard


@cache
def _loaded(library: Path) -> tuple[FFI, Any]:
    ffi = FFI()
    ffi.cdef(host_header())
    return ffi, ffi.dlopen(str(library))


@cache
def _usual_library() -> Path:
    return host_library()


class NativeBoard(LibraryBoard):
    """The host build of the firmware. It runs, and its time advances, only during calls of these methods.

    Parameters
    ----------
    library : Path, optional
        The compiled firmware. Default: `host_library`.
    """

    def __init__(self, library: Path | None = None) -> None:
        ffi, compiled = _loaded(_usual_library() if library is None else library)
        board = compiled.host_new()
        if board == ffi.NULL:
            raise MemoryError("no memory for a board")
        super().__init__(ffi, compiled, "host", board)

    def power_on(self) -> None:
        """Boot, or reset: everything except EEPROM and edges returns to its initial state."""
        self._call("power_on")

    @property
    def is_on(self) -> bool:
        """Whether the board has power."""
        return bool(self._call("is_on"))

    def receive(self, data: bytes) -> None:
        """Pass received bytes to the firmware, which processes all of them before this returns."""
        self._lib.host_receive(self._board, data, len(data))
        self._raise_failure()

    @property
    def now_us(self) -> int:
        """Microseconds since the board was created."""
        return int(self._call("now_us"))

    @property
    def scans(self) -> int:
        """Number of ADC readings."""
        return int(self._call("scans"))

    def lose_power_after(self, writes: int) -> None:
        """Simulate a power failure after this many writes to the EEPROM; never if negative."""
        self._call("lose_power_after", writes)
