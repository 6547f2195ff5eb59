"""What every library with a board in it has in common: the analog world around it, and probes on its pins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from cffi import FFI
from numpy.typing import ArrayLike, NDArray

from hwlearn.arrays import FloatArray

DACS: Final = 16
ADCS: Final = 8
EDGES: Final = 32
_EEPROM: Final = 4096
_ROOM: Final = 1 << 16

Analog = Callable[[int, FloatArray], FloatArray | None]
"""Closed switches (bit j: output j) and DAC volts (16,) that stand -> ADC volts (8,), or None once it has called
`LibraryBoard.set_transfer` for these switches."""
EdgesMoved = Callable[[NDArray[np.uint8]], None]
"""The edges have moved to codes (32,)."""


class LibraryBoard:
    """A board in a shared library, of which ``firmware/boards/host/host.h`` is one.

    Parameters
    ----------
    ffi : FFI
        Knows the library's declarations.
    library : cffi library
    prefix : str
        What its functions' names begin with.
    board : cffi pointer
        The board, as the library made it; freed with this object.

    Notes
    -----
    Not safe for threads: one caller at a time. What a callback raises is raised by the call that led to it;
    to the firmware it is an ADC that does not answer.
    """

    def __init__(self, ffi: FFI, library: Any, prefix: str, board: Any) -> None:
        self._ffi, self._lib, self._prefix = ffi, library, prefix
        self._board = ffi.gc(board, getattr(library, f"{prefix}_free"))
        self._out = ffi.new("uint8_t[]", _ROOM)
        self._callbacks: tuple[Any, ...] = ()
        self._failure: BaseException | None = None
        self._fetch = getattr(library, f"{prefix}_transmit")
        self.eeprom = ffi.buffer(self._call("eeprom"), _EEPROM)

    def _call(self, name: str, *arguments: Any) -> Any:
        return getattr(self._lib, f"{self._prefix}_{name}")(self._board, *arguments)

    # --- wire and time ------------------------------------------------------------------------------

    def transmit(self) -> bytes:
        """Return what the board has said since."""
        pieces = []
        while size := self._fetch(self._board, self._out, _ROOM):
            pieces.append(self._ffi.buffer(self._out, size)[:])
        return b"".join(pieces)

    def advance_us(self, us: int) -> None:
        """Let time pass; watchdogs and time-outs act before this returns."""
        self._call("advance_us", us)
        self._raise_failure()

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
            ffi.callback(f"{self._prefix}_analog_fn", asked, error=-1, onerror=failed),
            ffi.callback(f"{self._prefix}_edges_fn", moved, onerror=failed),
        )
        self._call("attach", *self._callbacks, ffi.NULL)

    def set_transfer(self, switches: int, transfer: ArrayLike) -> None:
        """Let ADC volts be ``transfer`` (8, 16) times DAC volts while exactly these switches are closed."""
        matrix = np.ascontiguousarray(transfer, dtype=np.float64)
        if matrix.shape != (ADCS, DACS):
            raise ValueError(f"a transfer must have shape ({ADCS}, {DACS}), got {matrix.shape}")
        self._call("set_transfer", switches, self._ffi.from_buffer("double[]", matrix))

    def forget_transfers(self) -> None:
        """Let the analog world be asked again for every state of the switches."""
        self._call("forget_transfers")

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
        self._call("set_converters", *errors, noise_volts, seed)

    # --- probes -------------------------------------------------------------------------------------

    def dac_codes(self) -> list[int]:
        """Return the code that stands at each of the 16 DAC channels."""
        return [int(self._call("dac_code", channel)) for channel in range(DACS)]

    def switches(self) -> int:
        """Return the closed nudge switches; bit j is output j."""
        return int(self._call("switches"))

    def edge_codes(self) -> NDArray[np.uint8]:
        """Return the code of each of the 32 edges."""
        codes = self._ffi.new(f"uint8_t[{EDGES}]")
        self._call("edge_codes", codes)
        return np.frombuffer(self._ffi.buffer(codes), dtype=np.uint8).copy()

    def allow(self, low: ArrayLike, high: ArrayLike) -> None:
        """Count from now on every move of a DAC channel to a code outside its ``low`` (16,) to ``high`` (16,)."""
        bounds = [np.broadcast_to(np.asarray(bound, dtype=np.uint16), DACS).tolist() for bound in (low, high)]
        self._call("allow", *bounds)

    @property
    def violations(self) -> int:
        """How many moves broke what `allow` says."""
        return int(self._call("violations"))

    @property
    def loads(self) -> int:
        """How often DACs moved."""
        return int(self._call("loads"))

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
