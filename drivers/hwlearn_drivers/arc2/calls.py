"""Every call of the vendor's library told as text: for a dry run, which calls nobody, and for the wire log."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn_drivers.arc2.library import N_CHANNELS, VendorInstrument, VendorLibrary

Tell = Callable[[str], None]


class ToldLibrary:
    """A vendor's library of which every call of every instrument is told before it is made.

    Parameters
    ----------
    library : VendorLibrary
    tell : callable
        Takes a line such as ``"read_one(16, 0, 0.1)"``.
    """

    def __init__(self, library: VendorLibrary, tell: Tell) -> None:
        self._library, self._tell = library, tell

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)

    def Instrument(self, port: int, firmware: str, init: bool = True) -> VendorInstrument:
        """Open an instrument whose calls are told."""
        self._tell(f"Instrument({port!r}, {firmware!r}, {init!r})")
        told: Any = _ToldInstrument(self._library.Instrument(port, firmware, init), self._tell)
        instrument: VendorInstrument = told
        return instrument


class _ToldInstrument:
    def __init__(self, instrument: VendorInstrument, tell: Tell) -> None:
        self._instrument, self._tell = instrument, tell

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._instrument, name)
        if name == "busy":  # asked thousands of times
            return method

        def call(*arguments: Any) -> Any:
            self._tell(f"{name}({', '.join(map(repr, arguments))})")
            return method(*arguments)

        return call


class _Name(Enum):
    All = "All"
    Voltage = "Voltage"
    Current = "Current"
    Internal = "Internal"
    Header = "Header"


class DryLibrary:
    """Stands for `pyarc2` where nothing may be sent: one instrument that idles and reads zero."""

    ArC2Error: type[Exception] = RuntimeError
    DataMode: Any = _Name
    ReadType: Any = _Name
    ControlMode: Any = _Name

    def __init__(self, number: int) -> None:
        self._number = number

    def find_ids(self) -> Sequence[int]:
        """Find the instrument that the bench names."""
        return [self._number]

    def Instrument(self, port: int, firmware: str, init: bool = True) -> VendorInstrument:
        """Open it; the firmware stays where it is."""
        return DryInstrument()


class DryInstrument:
    """Takes every command that the driver uses, and reads 0 A and 0 V."""

    def __init__(self) -> None:
        self._due: deque[FloatArray] = deque()

    def ground_all(self) -> None:
        """Nothing is driven."""

    def execute(self) -> None:
        """Nothing is sent."""

    def busy(self) -> bool:
        """Nothing is being done."""
        return False

    def set_control_mode(self, mode: Any, /) -> None:
        """There is no daughterboard."""

    def connect_to_gnd(self, chans: Sequence[int]) -> None:
        """Nothing is grounded."""

    def open_channels(self, channels: Sequence[int]) -> None:
        """Nothing floats."""

    def config_channels(self, input: Sequence[tuple[int, float]], base: float | None = None) -> None:
        """Nothing is driven."""

    def delay(self, nanos: int) -> None:
        """Nothing is waited for."""

    def vread_channels_deferred(self, chans: Sequence[int], averaging: bool) -> None:
        """A reading will be there."""
        self._due.append(np.zeros(N_CHANNELS))

    def read_slice_open_deferred(self, highs: Sequence[int], ground_after: bool) -> None:
        """A reading will be there."""
        self._due.append(np.zeros(N_CHANNELS))

    def pick_one(self, mode: Any, rtype: Any) -> FloatArray | None:
        """Return the oldest reading."""
        return self._due.popleft() if self._due else None

    def read_one(self, low: int, high: int, vread: float) -> float:
        """Read 0 A."""
        return 0.0

    def pulseread_one(self, low: int, high: int, vpulse: float, nanos: int, vread: float) -> float:
        """Read 0 A."""
        return 0.0
