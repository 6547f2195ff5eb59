"""Interface to the package `nidaqmx`: loaded at first use, with the part of it that the driver uses.

The driver relies on these facts (nidaqmx-python 1.x; NI-DAQmx help, "Initialized States for Terminals and Output
Channels", "Reserved State", "Internal Channels for M Series and NI 6010 Devices"):

- Analog outputs keep the last voltage when a task or the program ends, however it ends.
- `reset_device` sets them to 0 V on M, X and C Series. **On E, S and AO Series (671x, 672x, 673x) it leaves them
  as they are.** So a reset alone is never OFF: 0 V is written after it.
- A started task holds its channels alone, in all processes. When its process ends, the driver releases them.
- A write of one sample to all channels of a task is one call; the channels are updated one after the other.
- A finite task that is stopped and started again begins with an empty buffer.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol, cast

from hwlearn.errors import SetupError

INSTALL: Final = (
    "install the package: pip install 'hwlearn[daq]', and the driver NI-DAQmx of NI (Windows, some Linux)"
)


class DaqTask(Protocol):
    """The used part of `nidaqmx.Task`."""

    ao_channels: Any
    ai_channels: Any
    do_channels: Any
    timing: Any

    def start(self) -> None:
        """Start; the channels are reserved from here on."""

    def stop(self) -> None:
        """Stop; the channels stay reserved if the task was committed."""

    def close(self) -> None:
        """Release the channels; analog outputs keep their voltage."""

    def control(self, action: Any) -> None:
        """Reserve or commit."""

    def write(self, data: Any, auto_start: Any = ..., timeout: float = ...) -> Any:
        """Write one sample to every channel."""

    def read(self, number_of_samples_per_channel: Any = ..., timeout: float = ...) -> Any:
        """Return samples: a list, or a list of lists with several channels."""


class DaqLibrary(Protocol):
    """The used part of the package `nidaqmx`, with the modules `constants`, `errors` and `system`."""

    constants: Any
    errors: Any
    system: Any

    def Task(self, new_task_name: str = "") -> DaqTask:
        """Create a task; DAQmx names it, because names are shared by all processes."""


_provided: dict[str, DaqLibrary] = {}


@contextmanager
def provided(devices: Sequence[str], library: DaqLibrary) -> Iterator[None]:
    """Let a library of this process stand in for NI-DAQmx at these device names, for virtual devices."""
    keys = [device.lower() for device in devices]
    for key in keys:
        if key in _provided:
            raise SetupError(f"there is a virtual DAQ device {key!r} already")
        _provided[key] = library
    try:
        yield
    finally:
        for key in keys:
            _provided.pop(key, None)


def load_library(device: str) -> DaqLibrary:
    """Return the package that reaches a device: `nidaqmx`, or what was `provided` for it.

    Raises
    ------
    SetupError
        If the package is not installed.
    """
    if device.lower() in _provided:
        return _provided[device.lower()]
    try:
        importlib.import_module("nidaqmx.system")
        importlib.import_module("nidaqmx.constants")
        return cast(DaqLibrary, importlib.import_module("nidaqmx"))
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] == "nidaqmx":
            raise SetupError(
                f"model = 'nidaqmx' needs the package nidaqmx, which is not installed; {INSTALL}"
            ) from error
        raise SetupError(f"the package nidaqmx cannot be loaded here ({error}); {INSTALL}") from error
