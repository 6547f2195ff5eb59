"""`DryCalls`: prints the calls of a dry run instead of making them; its device has whatever a bench asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn_drivers.daq.calls.calls import CallLog, ChannelRange, DaqCalls, ScanChannel
from hwlearn_drivers.daq.facts import DeviceFacts, Range
from hwlearn_drivers.daq.library import DaqLibrary, DaqTask
from hwlearn_drivers.daq.sampling import Sampling

_CHANNELS = 128
_LIMITS: Range = (-10.0, 10.0)
_BITS = 16


class DryCalls(DaqCalls):
    """Calls that only print, of a multifunction device with many channels that reads 0 V.

    Parameters
    ----------
    called, device, log
        See `DaqCalls`.
    """

    def __init__(self, called: str, device: str, log: CallLog) -> None:
        super().__init__(cast(DaqLibrary, None), called, device, log)

    def facts(self) -> DeviceFacts:
        """Return the facts of a device that has every channel."""
        inputs = tuple(f"ai{k}" for k in range(_CHANNELS))
        every = ("RSE", "NRSE", "DIFF", "PSEUDO_DIFF")
        return DeviceFacts(
            "dry run",
            "0",
            outputs=tuple(f"ao{k}" for k in range(_CHANNELS)),
            inputs=inputs,
            lines=tuple(f"port{p}/line{k}" for p in range(4) for k in range(32)),
            output_ranges=(_LIMITS,),
            input_ranges=(_LIMITS,),
            configurations=dict.fromkeys(inputs, every),
            input_rate_Hz=250e3,
        )

    def output_task(
        self, channels: Sequence[str], limits: Range, off: bool = False
    ) -> tuple[DaqTask, ChannelRange]:
        """Return no task."""
        if not off:
            self._note(f"outputs {', '.join(channels)}: {limits[0]!r} V to {limits[1]!r} V")
        return cast(DaqTask, object()), ChannelRange(_LIMITS, _BITS)

    def line_task(self, lines: Sequence[str], off: bool = False) -> DaqTask:
        """Return no task."""
        return cast(DaqTask, object())

    def input_task(self, scan: Sequence[ScanChannel], sampling: Sampling) -> tuple[DaqTask, list[ChannelRange]]:
        """Return no task."""
        self._note(f"scan {', '.join(one.name for one in scan)}: {sampling}")
        return cast(DaqTask, object()), [ChannelRange(_LIMITS, _BITS)] * len(scan)

    def input_exists(self, channel: str) -> bool:
        """Return False: nothing is read back."""
        return False

    def close(self, task: DaqTask) -> None:
        """Do nothing."""

    def write(self, task: DaqTask, values: Sequence[Any], what: str, off: bool = False) -> None:
        """Print the values; of OFF to all channels only that it is OFF."""
        text = "0 V" if what == "every output" else ", ".join(map(repr, values))
        self._note(f"write({text}) to {what}", off)

    def acquire(self, task: DaqTask, channels: int, sampling: Sampling, timeout_s: float) -> FloatArray:
        """Return 0 V."""
        self._note(f"read({sampling.samples})")
        return np.zeros((channels, sampling.samples))

    def reset(self) -> None:
        """Do nothing."""
