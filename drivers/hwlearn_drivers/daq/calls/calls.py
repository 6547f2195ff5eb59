"""`DaqCalls`: every call of NI-DAQmx that the driver makes to one device, logged, its errors translated.

The log has a line for each call before it is made, and one with its result as JSON after it: what a call returned,
or the error that it raised. `ReplayedCalls` takes the results from such a log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.errors import HwlearnError, SetupError
from hwlearn_drivers.daq.errors import daq_errors
from hwlearn_drivers.daq.facts import DeviceFacts, Range, ask_facts
from hwlearn_drivers.daq.library import DaqLibrary, DaqTask
from hwlearn_drivers.daq.sampling import Sampling
from hwlearn_drivers.errors import GarbledReplyError, InstrumentError

_WRITE_S = 2.0
"""Time-out of a write: it takes milliseconds, and OFF must not wait."""


@dataclass(frozen=True, slots=True)
class ScanChannel:
    """One entry of a scan list.

    Attributes
    ----------
    name : str
        Physical channel, without the name of the device.
    configuration : str
        Terminal configuration, or ``DEFAULT``.
    limits : (float, float)
        Volts to be measured; NI-DAQmx selects the narrowest range that holds them.
    """

    name: str
    configuration: str
    limits: Range


@dataclass(frozen=True, slots=True)
class ChannelRange:
    """Range of a converter as NI-DAQmx has set it, and its resolution in bits; 0 if it does not say."""

    limits: Range
    bits: int

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> ChannelRange:
        """Return the range with these fields."""
        low, high = found["limits"]
        return cls((low, high), found["bits"])


class CallLog(Protocol):
    """What records the calls to a device."""

    def call(self, line: str, off: bool) -> None:
        """Record a call before it is made; ``off``: it is a part of OFF, which is made even if this fails."""

    def result(self, found: Any) -> None:
        """Record what a call returned, of the types of JSON."""

    def error(self, error: HwlearnError) -> None:
        """Record the error that a call raised."""


class DaqCalls:
    """Calls to one device.

    Parameters
    ----------
    library : DaqLibrary
    called : str
        Name for messages.
    device : str
        Name in NI-DAQmx, such as ``"Dev1"``.
    log : CallLog, optional
    """

    def __init__(self, library: DaqLibrary, called: str, device: str, log: CallLog | None = None) -> None:
        self.library, self.called, self.device = library, called, device
        self._log = log

    def facts(self) -> DeviceFacts:
        """Return what the device reports of itself; nothing is set or measured."""
        found = self._call(
            f"Device({self.device!r})", lambda: asdict(ask_facts(self.library, self.called, self.device))
        )
        return DeviceFacts.of(found)

    # --- tasks --------------------------------------------------------------------------------------

    def output_task(
        self, channels: Sequence[str], limits: Range, off: bool = False
    ) -> tuple[DaqTask, ChannelRange]:
        """Return a started task of analog outputs; their voltage does not change before the first write."""
        low, high = limits
        made: list[DaqTask] = []

        def add() -> Any:
            with daq_errors(self.library, self.called, f"reserving {', '.join(channels)}"):
                task = self.library.Task()
                try:
                    channel: Any = None
                    for one in channels:
                        channel = task.ao_channels.add_ao_voltage_chan(
                            self._physical([one]), min_val=low, max_val=high
                        )
                    task.start()
                    made.append(task)
                    return self._range(channel, "ao_dac_rng_low", "ao_dac_rng_high", "ao_resolution", limits)
                except BaseException:
                    self.close(task)
                    raise

        line = f"add_ao_voltage_chan({', '.join(channels)}, min_val={low!r}, max_val={high!r}); start()"
        found = self._call(line, add, off)
        return self._task(made), ChannelRange.of(found)

    def line_task(self, lines: Sequence[str], off: bool = False) -> DaqTask:
        """Return a started task with one channel for each digital line."""
        names = self._physical(lines)
        made: list[DaqTask] = []

        def add() -> None:
            per_line = self.library.constants.LineGrouping.CHAN_PER_LINE
            with daq_errors(self.library, self.called, f"reserving {', '.join(lines)}"):
                task = self.library.Task()
                try:
                    task.do_channels.add_do_chan(names, line_grouping=per_line)
                    task.start()
                except BaseException:
                    self.close(task)
                    raise
                made.append(task)

        self._call(f"add_do_chan({names!r}, CHAN_PER_LINE); start()", add, off)
        return self._task(made)

    def input_task(self, scan: Sequence[ScanChannel], sampling: Sampling) -> tuple[DaqTask, list[ChannelRange]]:
        """Return a committed task that acquires a finite number of samples of each channel.

        Raises
        ------
        InstrumentError
            If a channel does not exist, or the device does not allow the timing.
        """
        made: list[DaqTask] = []

        def add() -> Any:
            with daq_errors(self.library, self.called, f"preparing to read {', '.join(one.name for one in scan)}"):
                task = self.library.Task()
                try:
                    ranges = self._add_inputs(task, scan, sampling)
                except BaseException:
                    self.close(task)
                    raise
                made.append(task)
                return ranges

        listed = ", ".join(f"{one.name} {one.configuration}" for one in scan)
        found = self._call(f"add_ai_voltage_chan({listed}); {sampling}", add)
        return self._task(made), [ChannelRange.of(one) for one in found]

    def _add_inputs(self, task: DaqTask, scan: Sequence[ScanChannel], sampling: Sampling) -> list[Any]:
        constants, added = self.library.constants, []
        for k, one in enumerate(scan):  # a channel may be scanned twice; a name may not
            added.append(
                task.ai_channels.add_ai_voltage_chan(
                    self._physical([one.name]),
                    name_to_assign_to_channel=f"scan{k}",
                    terminal_config=constants.TerminalConfiguration[one.configuration],
                    min_val=one.limits[0],
                    max_val=one.limits[1],
                )
            )
        task.timing.cfg_samp_clk_timing(
            sampling.rate_Hz, sample_mode=constants.AcquisitionType.FINITE, samps_per_chan=sampling.samples
        )
        if sampling.convert_Hz is not None:
            task.timing.ai_conv_rate = sampling.convert_Hz
        task.control(constants.TaskMode.TASK_COMMIT)
        return [
            self._range(channel, "ai_rng_low", "ai_rng_high", "ai_resolution", one.limits)
            for channel, one in zip(added, scan, strict=True)
        ]

    def input_exists(self, channel: str) -> bool:
        """Return whether an input exists that the device does not list, such as an internal channel.

        A task with it is made, and removed before anything is reserved.
        """

        def look() -> bool:
            task = None
            try:
                with daq_errors(self.library, self.called, f"looking for {channel}"):
                    task = self.library.Task()
                    task.ai_channels.add_ai_voltage_chan(self._physical([channel]))
            except InstrumentError:
                return False
            finally:
                if task is not None:
                    self.close(task)
            return True

        return bool(self._call(f"add_ai_voltage_chan({channel})?", look))

    def close(self, task: DaqTask) -> None:
        """Release the channels of a task, also of one whose device is gone; outputs keep their voltage."""
        errors = self.library.errors
        with suppress(errors.Error):
            task.close()

    # --- samples ------------------------------------------------------------------------------------

    def write(self, task: DaqTask, values: Sequence[float] | Sequence[bool], what: str, off: bool = False) -> None:
        """Write one sample to every channel of a task, in one call."""
        data: Any = values[0] if len(values) == 1 else list(values)

        def put() -> None:
            with daq_errors(self.library, self.called, f"writing to {what}"):
                task.write(data, auto_start=False, timeout=_WRITE_S)

        self._call(f"write({', '.join(map(repr, values))}) to {what}", put, off)

    def acquire(self, task: DaqTask, channels: int, sampling: Sampling, timeout_s: float) -> FloatArray:
        """Return the samples (channels, samples) of one acquisition in volts.

        Raises
        ------
        LinkTimeout
            If they do not arrive in time.
        GarbledReplyError
            If another number of samples arrives.
        """

        def take() -> Any:
            with daq_errors(self.library, self.called, "reading"):
                task.start()
                try:
                    return task.read(
                        number_of_samples_per_channel=sampling.samples, timeout=sampling.seconds + timeout_s
                    )
                finally:
                    task.stop()

        data = self._call(f"start(); read({sampling.samples}); stop()", take)
        try:
            found = np.asarray(data, dtype=np.float64).reshape(channels, -1)
        except (TypeError, ValueError):
            found = np.zeros((channels, 0))
        if found.shape[1] != sampling.samples:
            raise GarbledReplyError(
                f"{self.called}: {sampling.samples} samples of {channels} channels were requested, "
                f"{np.size(np.asarray(data, dtype=object))} values arrived; none is used"
            )
        return found

    def reset(self) -> None:
        """Abort all tasks of the device, of every process; digital lines go to their power-up state."""

        def act() -> None:
            with daq_errors(self.library, self.called, "resetting the device"):
                self.library.system.Device(self.device).reset_device()

        self._call("reset_device()", act, True)

    # ------------------------------------------------------------------------------------------------

    def _physical(self, channels: Sequence[str]) -> str:
        return ", ".join(f"{self.device}/{channel}" for channel in channels)

    def _range(self, channel: Any, low: str, high: str, resolution: str, limits: Range) -> dict[str, Any]:
        """Return the fields of the `ChannelRange` that NI-DAQmx has set, as far as the device reports them."""
        errors, found = self.library.errors, limits
        bits = 0
        with suppress(errors.Error):
            found = (float(getattr(channel, low)), float(getattr(channel, high)))
        with suppress(errors.Error):
            bits = round(float(getattr(channel, resolution)))
        if not found[0] <= limits[0] < limits[1] <= found[1]:
            raise SetupError(
                f"{self.called}: NI-DAQmx has set the range {found[0]:g} V to {found[1]:g} V, "
                f"which does not hold {limits[0]:g} V to {limits[1]:g} V"
            )
        return asdict(ChannelRange(found, bits))

    def _task(self, made: list[DaqTask]) -> DaqTask:
        """Return the task that a call has made."""
        return made[0]

    def _call(self, line: str, act: Callable[[], Any], off: bool = False) -> Any:
        """Make a call and return its result, of the types of JSON; both are recorded."""
        self._note(line, off)
        try:
            found = act()
        except HwlearnError as error:
            if self._log is not None:
                self._log.error(error)
            raise
        if self._log is not None:
            self._log.result(found)
        return found

    def _note(self, line: str, off: bool = False) -> None:
        if self._log is not None:
            self._log.call(line, off)
