"""`NativeBoard`: the real firmware in this process, its hardware layer open to whoever plays the analog world."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from cffi import FFI
from numpy.typing import ArrayLike, NDArray

from hwlearn.circuit.topology import FloatArray
from hwlearn_sim.board_build import host_header, host_library

DACS: Final = 16
ADCS: Final = 8
EDGES: Final = 32
_EEPROM: Final = 4096
_ROOM: Final = 1 << 16

Analog = Callable[[int, FloatArray], FloatArray | None]
"""Closed switches (bit j: output j) and DAC volts (16,) that stand -> ADC volts (8,), or None once it has called
`NativeBoard.set_transfer` for these switches."""
EdgesMoved = Callable[[NDArray[np.uint8]], None]
"""The edges have moved to codes (32,)."""


@cache
def _loaded(library: Path) -> tuple[FFI, Any]:
    ffi = FFI()
    ffi.cdef(host_header())
    return ffi, ffi.dlopen(str(library))


@cache
def _usual_library() -> Path:
    return host_library()


class NativeBoard:
    """The host build of the firmware; nothing happens in it but by these calls, and time stands still between.

    Parameters
    ----------
    library : Path, optional
        The compiled firmware; `host_library` unless given.

    Notes
    -----
    Not safe for threads: one caller at a time. What a callback raises is raised by the call that led to it;
    to the firmware it is an ADC that does not answer.
    """

    def __init__(self, library: Path | None = None) -> None:
        self._ffi, self._lib = _loaded(_usual_library() if library is None else library)
        self._board = self._ffi.gc(self._lib.host_new(), self._lib.host_free)
        if self._board == self._ffi.NULL:
            raise MemoryError("no memory for a board")
        self._out = self._ffi.new("uint8_t[]", _ROOM)
        self._callbacks: tuple[Any, ...] = ()
        self._failure: BaseException | None = None
        self.eeprom = self._ffi.buffer(self._lib.host_eeprom(self._board), _EEPROM)

    # --- power, wire, time --------------------------------------------------------------------------

    def power_on(self) -> None:
        """Boot; also the reset button: everything but EEPROM and edges is as new."""
        self._lib.host_power_on(self._board)

    @property
    def is_on(self) -> bool:
        """Whether it has power."""
        return bool(self._lib.host_is_on(self._board))

    def receive(self, data: bytes) -> None:
        """Let bytes arrive; the firmware works on all of them before this returns."""
        self._lib.host_receive(self._board, data, len(data))
        self._raise_failure()

    def transmit(self) -> bytes:
        """Return what the board has said since."""
        pieces = []
        while size := self._lib.host_transmit(self._board, self._out, _ROOM):
            pieces.append(self._ffi.buffer(self._out, size)[:])
        return b"".join(pieces)

    def advance_us(self, us: int) -> None:
        """Let time pass; watchdogs and time-outs act before this returns."""
        self._lib.host_advance_us(self._board, us)
        self._raise_failure()

    @property
    def now_us(self) -> int:
        """Microseconds since the board was made."""
        return int(self._lib.host_now_us(self._board))

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

        def failed(kind: object, error: BaseException, trace: object) -> None:
            self._failure = self._failure or error

        self._callbacks = (
            ffi.callback("host_analog_fn", asked, error=-1, onerror=failed),
            ffi.callback("host_edges_fn", moved, onerror=failed),
        )
        self._lib.host_attach(self._board, *self._callbacks, ffi.NULL)

    def set_transfer(self, switches: int, transfer: ArrayLike) -> None:
        """Let ADC volts be ``transfer`` (8, 16) times DAC volts while exactly these switches are closed."""
        matrix = np.ascontiguousarray(transfer, dtype=np.float64)
        if matrix.shape != (ADCS, DACS):
            raise ValueError(f"a transfer must have shape ({ADCS}, {DACS}), got {matrix.shape}")
        self._lib.host_set_transfer(self._board, switches, self._ffi.from_buffer("double[]", matrix))

    def forget_transfers(self) -> None:
        """Let the analog world be asked again for every state of the switches."""
        self._lib.host_forget_transfers(self._board)

    def set_converters(
        self,
        dac_gain: ArrayLike,
        dac_offset: ArrayLike,
        adc_gain: ArrayLike,
        adc_offset: ArrayLike,
        noise_volts: float,
        seed: int,
    ) -> None:
        """Set the converters' true errors, for each channel.

        Parameters
        ----------
        dac_gain, dac_offset : array_like, shape (16,)
            True volts are nominal volts x (1 + gain) + offset (V).
        adc_gain, adc_offset : array_like, shape (8,)
            Nominal volts are (true volts + noise) x (1 + gain) + offset (V).
        noise_volts : float
            Standard deviation of one conversion.
        seed : int
            The noise follows from it.
        """
        errors = [
            self._ffi.new(f"double[{size}]", np.broadcast_to(np.asarray(values, dtype=np.float64), size).tolist())
            for values, size in ((dac_gain, DACS), (dac_offset, DACS), (adc_gain, ADCS), (adc_offset, ADCS))
        ]
        self._lib.host_set_converters(self._board, *errors, noise_volts, seed)

    # --- probes -------------------------------------------------------------------------------------

    def dac_codes(self) -> list[int]:
        """Return the code that stands at each of the 16 DAC channels."""
        code = self._lib.host_dac_code
        return [code(self._board, channel) for channel in range(DACS)]

    def switches(self) -> int:
        """Return the closed nudge switches; bit j is output j."""
        return int(self._lib.host_switches(self._board))

    def edge_codes(self) -> NDArray[np.uint8]:
        """Return the code of each of the 32 edges."""
        codes = self._ffi.new(f"uint8_t[{EDGES}]")
        self._lib.host_edge_codes(self._board, codes)
        return np.frombuffer(self._ffi.buffer(codes), dtype=np.uint8).copy()

    def allow(self, low: ArrayLike, high: ArrayLike) -> None:
        """Count from now on every move of a DAC channel to a code outside its ``low`` (16,) to ``high`` (16,)."""
        bounds = [np.broadcast_to(np.asarray(bound, dtype=np.uint16), DACS).tolist() for bound in (low, high)]
        self._lib.host_allow(self._board, *bounds)

    @property
    def violations(self) -> int:
        """How many moves broke what `allow` says."""
        return int(self._lib.host_violations(self._board))

    @property
    def loads(self) -> int:
        """How often DACs moved."""
        return int(self._lib.host_loads(self._board))

    @property
    def scans(self) -> int:
        """How often the ADC was read."""
        return int(self._lib.host_scans(self._board))

    def lose_power_after(self, writes: int) -> None:
        """Let power fail after so many writes to the EEPROM; never if negative."""
        self._lib.host_lose_power_after(self._board, writes)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
