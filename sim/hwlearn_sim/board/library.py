"""`LibraryBoard`: base of boards in a shared library, with their circuit and probes on their pins."""

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
_CHUNK: Final = 1 << 16

Analog = Callable[[int, FloatArray], FloatArray | None]
"""Called with the closed switches (bit j: output j) and the DAC voltages (16,). Returns the ADC voltages (8,), or
None after it has called `LibraryBoard.set_transfer` for these switches."""
EdgesMoved = Callable[[NDArray[np.uint8]], None]
"""Called with the new codes (32,) of the edges."""


class LibraryBoard:
    """A board in a shared library with the interface of ``firmware/boards/host/host.h``.

    Parameters
    ----------
    ffi : FFI
        Object with the library's declarations.
    library : cffi library
    prefix : str
        Prefix of the library's function names.
    board : cffi pointer
        The board, created by the library; freed with this object.

    Notes
    -----
    Not thread-safe. An exception in a callback is raised by the method that caused the call; the firmware sees an
    ADC that does not respond.
    """

    def __init__(self, ffi: FFI, library: Any, prefix: str, board: Any) -> None:
        self._ffi, self._lib, self._prefix = ffi, library, prefix
        self._board = ffi.gc(board, getattr(library, f"{prefix}_free"))
        self._out = ffi.new("uint8_t[]", _CHUNK)
        self._callbacks: tuple[Any, ...] = ()
        self._failure: BaseException | None = None
        self._fetch = getattr(library, f"{prefix}_transmit")
        self.eeprom = ffi.buffer(self._call("eeprom"), _EEPROM)

    def _call(self, name: str, *arguments: Any) -> Any:
        return getattr(self._lib, f"{self._prefix}_{name}")(self._board, *arguments)

    # --- wire and time ------------------------------------------------------------------------------

    def transmit(self) -> bytes:
        """Return the bytes that the board has sent since the last call."""
        pieces = []
        while size := self._fetch(self._board, self._out, _CHUNK):
            pieces.append(self._ffi.buffer(self._out, size)[:])
        return b"".join(pieces)

    def advance_us(self, us: int) -> None:
        """Advance time; watchdogs and time-outs act before this returns."""
        self._call("advance_us", us)
        self._raise_failure()

    # --- the circuit --------------------------------------------------------------------------------

    def attach(self, analog: Analog, edges: EdgesMoved) -> None:
        """Connect the board to a simulated circuit and discard all transfer matrices."""
        ffi = self._ffi

        def converted(_: Any, switches: int, dac_volts: Any, adc_volts: Any) -> int:
            applied = np.frombuffer(ffi.buffer(dac_volts, 8 * DACS), dtype=np.float64).copy()
            volts = analog(switches, applied)
            if volts is None:
                return 0
            ffi.buffer(adc_volts, 8 * ADCS)[:] = np.ascontiguousarray(volts, dtype=np.float64).tobytes()
            return 1

        def moved(_: Any, codes: Any) -> None:
            edges(np.frombuffer(ffi.buffer(codes, EDGES), dtype=np.uint8).copy())

        def failed(kind: object, error: BaseException, trace: object) -> None:
            self._failure = self._failure or error

        self._callbacks = (
            ffi.callback(f"{self._prefix}_analog_fn", converted, error=-1, onerror=failed),
            ffi.callback(f"{self._prefix}_edges_fn", moved, onerror=failed),
        )
        self._call("attach", *self._callbacks, ffi.NULL)

    def set_transfer(self, switches: int, transfer: ArrayLike) -> None:
        """Compute ADC voltages as ``transfer`` (8, 16) times DAC voltages for this state of the switches."""
        matrix = np.ascontiguousarray(transfer, dtype=np.float64)
        if matrix.shape != (ADCS, DACS):
            raise ValueError(f"a transfer matrix must have shape ({ADCS}, {DACS}), got {matrix.shape}")
        self._call("set_transfer", switches, self._ffi.from_buffer("double[]", matrix))

    def forget_transfers(self) -> None:
        """Discard all transfer matrices."""
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
        """Set the true errors of each converter channel.

        Parameters
        ----------
        dac_gain, dac_offset : array_like, shape (16,)
            True voltage = nominal voltage x (1 + gain) + offset (V).
        adc_gain, adc_offset : array_like, shape (8,)
            Reading = (true voltage + noise) x (1 + gain) + offset (V).
        noise_volts : float
            Standard deviation of one conversion.
        seed : int
            Seed of the noise.
        """
        errors = [
            self._ffi.new(f"double[{size}]", np.broadcast_to(np.asarray(values, dtype=np.float64), size).tolist())
            for values, size in ((dac_gain, DACS), (dac_offset, DACS), (adc_gain, ADCS), (adc_offset, ADCS))
        ]
        self._call("set_converters", *errors, noise_volts, seed)

    def noise_state(self) -> NDArray[np.uint64]:
        """Return the state (6,) of the noise."""
        words = self._ffi.new("uint64_t[6]")
        self._call("noise_get", words)
        return np.frombuffer(self._ffi.buffer(words), dtype=np.uint64).copy()

    def restore_noise(self, state: NDArray[np.uint64]) -> None:
        """Continue the noise from a state (6,)."""
        if state.shape != (6,):
            raise ValueError(f"the state of the noise must have shape (6,), got {state.shape}")
        self._call("noise_set", self._ffi.new("uint64_t[6]", state.tolist()))

    # --- probes -------------------------------------------------------------------------------------

    def dac_codes(self) -> list[int]:
        """Return the code of each of the 16 DAC channels."""
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
        """Start counting DAC updates to a code outside ``low`` (16,) to ``high`` (16,)."""
        bounds = [np.broadcast_to(np.asarray(bound, dtype=np.uint16), DACS).tolist() for bound in (low, high)]
        self._call("allow", *bounds)

    @property
    def violations(self) -> int:
        """Number of DAC updates outside the codes given to `allow`."""
        return int(self._call("violations"))

    @property
    def loads(self) -> int:
        """Number of DAC updates."""
        return int(self._call("loads"))

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
