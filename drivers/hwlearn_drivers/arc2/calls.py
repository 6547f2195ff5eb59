"""Logs every call of the vendor's library as text, and replaces the library in a dry run."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn_drivers.arc2.library import N_CHANNELS, VendorInstrument, VendorLibrary

Log = Callable[[str], None]


class LoggedLibrary:
    """A vendor's library whose instruments log every call before it is made.

    Parameters
    ----------
    library : VendorLibrary
    log : callable
        Called with a line such as ``"read_one(16, 0, 0.1)"``.
    """

    def __init__(self, library: VendorLibrary, log: Log) -> None:
        self._library, self._log = library, log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)

    def Instrument(self, port: int, firmware: str, init: bool = True) -> VendorInstrument:
        """Open an instrument whose calls are logged."""
        self._log(f"Instrument({port!r}, {firmware!r}, {init!r})")
        logged: Any = _LoggedInstrument(self._library.Instrument(port, firmware, init), self._log)
        instrument: VendorInstrument = logged
        return instrument


class _LoggedInstrument:
    def __init__(self, instrument: VendorInstrument, log: Log) -> None:
        self._instrument, self._log = instrument, log

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._instrument, name)
        if name == "busy":  # called thousands of times
            return method

        def call(*arguments: Any) -> Any:
            self._log(f"{name}({', '.join(map(repr, arguments))})")
            return method(*arguments)

        return call


class _Name(Enum):
    All = "All"
    Voltage = "Voltage"
    Current = "Current"
    Internal = "Internal"
    Header = "Header"


class DryLibrary:
    """Replaces `pyarc2` in a dry run: one idle instrument that reads zero."""

    ArC2Error: type[Exception] = RuntimeError
    DataMode: Any = _Name
    ReadType: Any = _Name
    ControlMode: Any = _Name

    def __init__(self, number: int) -> None:
        self._number = number

    def find_ids(self) -> Sequence[int]:
        """Return the number of the instrument in the bench file."""
        return [self._number]

    def Instrument(self, port: int, firmware: str, init: bool = True) -> VendorInstrument:
        """Return a dry instrument; the firmware is not loaded."""
        return DryInstrument()


class DryInstrument:
    """Accepts every command of the driver, and reads 0 A and 0 V."""

    def __init__(self) -> None:
        self._due: deque[FloatArray] = deque()

    def ground_all(self) -> None:
        """Do nothing."""

    def execute(self) -> None:
        """Do nothing."""

    def busy(self) -> bool:
        """Return False: the instrument is idle."""
        return False

    def set_control_mode(self, mode: Any, /) -> None:
        """Do nothing."""

    def connect_to_gnd(self, chans: Sequence[int]) -> None:
        """Do nothing."""

    def open_channels(self, channels: Sequence[int]) -> None:
        """Do nothing."""

    def config_channels(self, input: Sequence[tuple[int, float]], base: float | None = None) -> None:
        """Do nothing."""

    def delay(self, nanos: int) -> None:
        """Do nothing."""

    def vread_channels_deferred(self, chans: Sequence[int], averaging: bool) -> None:
        """Add a reading of zeros."""
        self._due.append(np.zeros(N_CHANNELS))

    def read_slice_open_deferred(self, highs: Sequence[int], ground_after: bool) -> None:
        """Add a reading of zeros."""
        self._due.append(np.zeros(N_CHANNELS))

    def pick_one(self, mode: Any, rtype: Any) -> FloatArray | None:
        """Return the oldest reading."""
        return self._due.popleft() if self._due else None

    def read_one(self, low: int, high: int, vread: float) -> float:
        """Return 0 A."""
        return 0.0

    def pulseread_one(self, low: int, high: int, vpulse: float, nanos: int, vread: float) -> float:
        """Return 0 A."""
        return 0.0
