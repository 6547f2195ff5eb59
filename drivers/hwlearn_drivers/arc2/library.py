"""Interface to the vendor's library `pyarc2`: loaded at first use, with its errors translated.

The driver relies on these facts from pyarc2 0.6.0 and libarc2 0.6.0 (src/instrument.rs):

- Commands stay in the object's queue until `execute`. Only `execute` empties the queue; a failed `execute` keeps
  it.
- `read_one` and `pulseread_one` queue, execute and wait within one call, which no Python signal handler
  interrupts.
- Voltages beyond +-10 V are clipped silently.
- Some failures raise `ArC2Error`, others `PanicException`, which is not a subclass of `Exception`.
"""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol, cast

from hwlearn.arrays import FloatArray
from hwlearn.errors import SetupError
from hwlearn_drivers.errors import LinkError

N_CHANNELS: Final = 64
FULL_SCALE_V: Final = 10.0
"""Maximum volts of a channel in its standard range; the extended range is never used."""
VOLT_STEP: Final = 20.48 / 2**18
"""Step of voltage readings in volts (libarc2, ``_adc_to_voltage``)."""
AMPERE_STEP: Final = VOLT_STEP / 830.0
"""Step of current readings in amperes, in the coarsest of the three ranges (``_adc_to_current``)."""
SHORTEST_S: Final = 40e-9
LONGEST_S: Final = 0.5
"""Longer pulses use another, slower path of the library, which ends in another state."""

_PANIC: Final = "PanicException"


class VendorInstrument(Protocol):
    """The used part of `pyarc2.Instrument`. Commands are queued until `execute`, except ``*_one`` and `busy`."""

    def ground_all(self) -> Any:
        """Bring every channel to 0 V."""

    def execute(self) -> Any:
        """Send the queue."""

    def busy(self) -> bool:
        """Return whether the instrument is still executing."""

    def set_control_mode(self, mode: Any, /) -> Any:
        """Choose where the daughterboard connects the channels."""

    def connect_to_gnd(self, chans: Sequence[int]) -> Any:
        """Connect these channels, and no others, to hard ground."""

    def open_channels(self, channels: Sequence[int]) -> Any:
        """Float channels."""

    def config_channels(self, input: Sequence[tuple[int, float]], base: float | None = None) -> Any:
        """Drive channels at volts."""

    def delay(self, nanos: int) -> Any:
        """Wait between two commands."""

    def vread_channels_deferred(self, chans: Sequence[int], averaging: bool) -> Any:
        """Read volts."""

    def read_slice_open_deferred(self, highs: Sequence[int], ground_after: bool) -> Any:
        """Read amperes of driven channels."""

    def pick_one(self, mode: Any, rtype: Any) -> FloatArray | None:
        """Return the oldest reading of all channels; None if there is none."""

    def read_one(self, low: int, high: int, vread: float) -> float:
        """Hold ``low`` at ``-vread`` and read the amperes of ``high`` at 0 V."""

    def pulseread_one(self, low: int, high: int, vpulse: float, nanos: int, vread: float) -> float:
        """Pulse ``high`` to ``vpulse/2`` and ``low`` to ``-vpulse/2``, then read as `read_one` does."""


class VendorLibrary(Protocol):
    """The used part of the module `pyarc2`."""

    ArC2Error: type[Exception]
    DataMode: Any
    ReadType: Any
    ControlMode: Any

    def find_ids(self) -> Sequence[int]:
        """Return the numbers of the instruments on USB."""

    def Instrument(self, port: int, firmware: str, init: bool = True) -> VendorInstrument:
        """Load the firmware and reset every DAC to 0 V."""


def load_library() -> VendorLibrary:
    """Return the vendor's module.

    Raises
    ------
    SetupError
        If it is not installed or cannot be loaded on this computer.
    """
    try:
        return cast(VendorLibrary, importlib.import_module("pyarc2"))
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "pyarc2":
            raise SetupError(
                "the backend 'arc2' needs the library pyarc2, which is not installed: pip install 'hwlearn[arc2]'"
            ) from error
        raise SetupError(
            f"the library pyarc2 cannot be loaded here ({error}); it supports 64-bit Windows and Linux"
        ) from error


def open_vendor(library: VendorLibrary, number: int, firmware: Path) -> VendorInstrument:
    """Open an instrument, which resets its DACs to 0 V.

    Raises
    ------
    SetupError
        If the firmware file does not exist.
    LinkError
        If there is no instrument with that number, or it does not accept the firmware.
    """
    if not firmware.is_file():
        raise SetupError(
            f"backend.firmware = {str(firmware)!r} does not exist; give the firmware (.bin) of the ArC TWO"
        )
    with vendor_errors(library, "searching for an ArC TWO"):
        numbers = list(library.find_ids())
    if number not in numbers:
        found = f"found {', '.join(map(str, numbers))}" if numbers else "found none"
        raise LinkError(
            f"no ArC TWO with number {number} on USB ({found}); check its power, its cable and the USB driver"
        )
    with vendor_errors(library, f"opening ArC TWO {number} with {firmware.name}"):
        return library.Instrument(number, str(firmware), True)


@contextmanager
def vendor_errors(library: VendorLibrary, doing: str) -> Iterator[None]:
    """Convert both kinds of vendor errors into a `LinkError` that names the operation."""
    try:
        yield
    except BaseException as error:
        # a stored error must not keep the vendor's object alive, because it holds the instrument open
        traceback.clear_frames(error.__traceback__)
        if isinstance(error, library.ArC2Error):
            raise LinkError(f"the ArC TWO's library failed while {doing}: {error}") from error
        if type(error).__name__ == _PANIC:
            raise LinkError(f"the ArC TWO's library panicked while {doing}: {error}") from error
        raise
