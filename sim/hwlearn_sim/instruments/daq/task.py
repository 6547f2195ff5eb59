"""Counterpart of `nidaqmx.Task` for virtual devices: analog outputs, analog inputs, digital lines.

One file because its classes are one state: a task, its channels and its timing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from hwlearn_sim.instruments.daq.constants import (
    AcquisitionType,
    Edge,
    LineGrouping,
    TaskMode,
    TerminalConfiguration,
    VoltageUnits,
)
from hwlearn_sim.instruments.daq.device import VirtualDaq
from hwlearn_sim.instruments.daq.errors import DaqError
from hwlearn_sim.instruments.daq.models import Range

_NO_CHANNEL: Final = -200170
_VALUE: Final = -200077
_TWICE: Final = -200489
_CONVERT_RATE: Final = -200335
_SAMPLE_RATE: Final = -200332
_NOT_SUPPORTED: Final = -200452
_COMBINATION: Final = -200081
_WRITE_VALUE: Final = -200561
_WRITE_COUNT: Final = -200524
_NO_SAMPLES: Final = -200278
_INVALID: Final = -200088

_PADDING_S: Final = 10e-6
_DELAY_S: Final = 0.15e-6
"""From the sample clock to the first conversion: three ticks of the time base."""

_CLOCK_Hz: Final = 20e6
"""Time base that rates are divided down from."""


class _Channel:
    """A virtual channel: its device, its physical channel, and its range."""

    def __init__(self, device: VirtualDaq, physical: str, limits: Range, bits: int, allowed: Range) -> None:
        self.device, self.physical, self.limits, self.allowed = device, physical, limits, allowed
        self.ao_dac_rng_low, self.ao_dac_rng_high = limits
        self.ai_rng_low, self.ai_rng_high = limits
        self.ao_resolution = self.ai_resolution = float(bits)


class Timing:
    """Timing of a task: on demand until a sample clock is set."""

    def __init__(self) -> None:
        self.samp_clk_rate = 0.0
        self.samps_per_chan = 0
        self.ai_conv_rate = 0.0

    def cfg_samp_clk_timing(
        self,
        rate: float,
        source: str = "",
        active_edge: Edge = Edge.RISING,
        sample_mode: AcquisitionType = AcquisitionType.FINITE,
        samps_per_chan: int = 1000,
    ) -> None:
        """Use a sample clock, whose rate is divided down from the time base."""
        if source or active_edge is not Edge.RISING or sample_mode is not AcquisitionType.FINITE:
            raise DaqError("This virtual device has an internal clock and finite acquisitions only.", _VALUE)
        if not rate > 0 or samps_per_chan < 2:
            raise DaqError("Rate or number of samples is not allowed.", _VALUE)
        self.samp_clk_rate = _CLOCK_Hz / math.floor(_CLOCK_Hz / rate)
        self.samps_per_chan = int(samps_per_chan)


class AOChannels:
    """Analog outputs of a task."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def add_ao_voltage_chan(
        self,
        physical_channel: str,
        name_to_assign_to_channel: str = "",
        min_val: float = -10.0,
        max_val: float = 10.0,
        units: VoltageUnits = VoltageUnits.VOLTS,
        custom_scale_name: str = "",
    ) -> _Channel:
        """Add outputs of one range; return the last one."""
        added = None
        for device, name in self._task.physical(physical_channel):
            if name not in device.outputs:
                raise DaqError(f"Physical channel {name} does not exist.", _NO_CHANNEL)
            limits = _holding(device.model.output_ranges, min_val, max_val)
            added = self._task.add(
                "ao", _Channel(device, name, limits, device.model.output_bits, (min_val, max_val))
            )
        return _last(added)


class AIChannels:
    """Analog inputs of a task."""

    def __init__(self, task: Task) -> None:
        self._task, self._names = task, set[str]()

    def add_ai_voltage_chan(
        self,
        physical_channel: str,
        name_to_assign_to_channel: str = "",
        terminal_config: TerminalConfiguration = TerminalConfiguration.DEFAULT,
        min_val: float = -5.0,
        max_val: float = 5.0,
        units: VoltageUnits = VoltageUnits.VOLTS,
        custom_scale_name: str = "",
    ) -> _Channel:
        """Add an input; a multiplexed device scans a channel as often as it is added, under different names."""
        added = None
        for device, name in self._task.physical(physical_channel):
            known = _input_configurations(device, name)
            if known is None:
                raise DaqError(f"Physical channel {name} does not exist.", _NO_CHANNEL)
            if terminal_config is not TerminalConfiguration.DEFAULT and terminal_config.name not in known:
                raise DaqError(f"Requested terminal configuration is not supported by {name}.", _VALUE)
            called = name_to_assign_to_channel or name
            again = device.model.simultaneous and any(one.physical == name for one in self._task.channels)
            if called in self._names or again:
                raise DaqError(f"Channel {called} is in the task already.", _TWICE)
            self._names.add(called)
            limits = _holding(device.model.input_ranges, min_val, max_val)
            added = self._task.add(
                "ai", _Channel(device, name, limits, device.model.input_bits, (min_val, max_val))
            )
        return _last(added)


class DOChannels:
    """Digital lines of a task."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def add_do_chan(
        self,
        lines: str,
        name_to_assign_to_lines: str = "",
        line_grouping: LineGrouping = LineGrouping.CHAN_FOR_ALL_LINES,
    ) -> _Channel:
        """Add lines, each as a channel of its own."""
        if line_grouping is not LineGrouping.CHAN_PER_LINE:
            raise DaqError("This virtual device has one channel per line only.", _VALUE)
        added = None
        for device, name in self._task.physical(lines):
            if name not in device.lines:
                raise DaqError(f"Physical channel {name} does not exist.", _NO_CHANNEL)
            added = self._task.add("do", _Channel(device, name, (0.0, 1.0), 1, (0.0, 1.0)))
        return _last(added)


class Task:
    """A task on one virtual device.

    Parameters
    ----------
    new_task_name : str
    find : callable
        Returns the device of a name, or raises DaqError.
    """

    def __init__(self, new_task_name: str, find: Callable[[str], VirtualDaq]) -> None:
        self.name, self._find = new_task_name, find
        self.channels: list[_Channel] = []
        self._kind = ""
        self._running = self._closed = False
        self._samples: Any = None
        self.timing = Timing()
        self.ao_channels, self.ai_channels, self.do_channels = AOChannels(self), AIChannels(self), DOChannels(self)

    # --- states -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Reserve the channels and start; a finite acquisition begins with an empty buffer."""
        self.control(TaskMode.TASK_COMMIT)
        self._device.check_alive(self)
        self._running, self._samples = True, None

    def stop(self) -> None:
        """Stop; the channels stay reserved."""
        self._running, self._samples = False, None

    def control(self, action: TaskMode) -> None:
        """Reserve the channels, and check the timing."""
        if action not in (TaskMode.TASK_COMMIT, TaskMode.TASK_RESERVE):
            raise DaqError(f"This virtual device does not do {action.name}.", _VALUE)
        self._check_timing()
        names = ["ai"] if self._kind == "ai" else [one.physical for one in self.channels]
        self._device.check_alive(self)
        self._device.reserve(self, names)

    def close(self) -> None:
        """Release the channels; outputs and lines keep their levels."""
        if self._closed:
            return
        self._closed = True
        for device in {id(one.device): one.device for one in self.channels}.values():
            device.release(self)

    # --- samples ------------------------------------------------------------------------------------

    def write(self, data: Any, auto_start: bool = True, timeout: float = 10.0) -> int:
        """Write one sample to every channel; return the number of samples per channel."""
        device = self._device
        values = [data] if len(self.channels) == 1 and not isinstance(data, list) else list(data)
        if len(values) != len(self.channels):
            raise DaqError("Number of channels in the data does not match those of the task.", _WRITE_COUNT)
        if not self._running:
            if not auto_start:
                raise DaqError("The task is not started.", _INVALID)
            self.start()
        device.fault("write")
        device.check_alive(self)
        names = [one.physical for one in self.channels]
        if self._kind == "do":
            if not all(isinstance(value, bool | np.bool_) for value in values):
                raise DaqError("One line per channel takes boolean samples.", _VALUE)
            device.set_lines(dict(zip(names, map(bool, values), strict=True)))
            return 1
        for channel, value in zip(self.channels, values, strict=True):
            low, high = channel.allowed
            if not low <= float(value) <= high:
                raise DaqError("Attempted writing analog data that is too large or too small.", _WRITE_VALUE)
        device.set_outputs(dict(zip(names, map(float, values), strict=True)), self.channels[0].limits)
        return 1

    def read(self, number_of_samples_per_channel: int = 1, timeout: float = 10.0) -> Any:
        """Return the samples of a finite acquisition: a list, or a list of lists with several channels."""
        device, count = self._device, int(number_of_samples_per_channel)
        if not self._running:
            self.start()
        fault = device.fault("read")
        device.check_alive(self)
        if self._samples is not None or count > self.timing.samps_per_chan:
            raise DaqError("The samples will never be available.", _NO_SAMPLES)
        device.clock.advance(self.timing.samps_per_chan / self.timing.samp_clk_rate)
        listed = [(one.physical, one.limits) for one in self.channels]
        self._samples = device.sample(listed, count, self.convert_s)
        if fault == "nan":
            self._samples[0] = math.nan
        found = self._samples[:, : count // 2] if fault == "short" else self._samples
        return found[0].tolist() if len(self.channels) == 1 else found.tolist()

    # ------------------------------------------------------------------------------------------------

    def add(self, kind: str, channel: _Channel) -> _Channel:
        """Add a channel; all channels of a task are of one kind and one device."""
        if self._kind not in ("", kind) or any(one.device is not channel.device for one in self.channels):
            raise DaqError("All channels of a task must be of one kind and one device.", _VALUE)
        self._kind = kind
        self.channels.append(channel)
        return channel

    def physical(self, names: str) -> list[tuple[VirtualDaq, str]]:
        """Return device and channel of each name of a list."""
        if self._closed:
            raise DaqError("The task is invalid.", _INVALID)
        found = []
        for full in names.split(","):
            device, _, channel = full.strip().partition("/")
            own = self._find(device)
            own.check_there()
            found.append((own, channel))
        return found

    @property
    def convert_s(self) -> float:
        """Time between two conversions: as set, else as NI-DAQmx chooses it."""
        if self.timing.ai_conv_rate > 0:
            return 1 / self.timing.ai_conv_rate
        even = (1 / self.timing.samp_clk_rate - _DELAY_S) / len(self.channels)
        return min(even, 1 / self._device.model.input_rate_Hz + _PADDING_S)

    @property
    def _device(self) -> VirtualDaq:
        if self._closed or not self.channels:
            raise DaqError("The task is invalid.", _INVALID)
        return self.channels[0].device

    def _check_timing(self) -> None:
        model, own = self._device.model, self.timing
        if self._kind != "ai":
            return
        if own.samp_clk_rate > model.input_rate_Hz * (1 + 1e-6):
            raise DaqError("Requested sample rate is too high.", _SAMPLE_RATE)
        if model.simultaneous:
            return
        if own.ai_conv_rate and not model.convert_clock:
            raise DaqError("Specified property is not supported by the device.", _NOT_SUPPORTED)
        if own.ai_conv_rate > model.input_rate_Hz * (1 + 1e-6):
            raise DaqError("Requested AI Convert Clock rate is too high.", _CONVERT_RATE)
        busy_s = len(self.channels) * self.convert_s + _DELAY_S
        if own.samp_clk_rate and len(self.channels) > 1 and busy_s * own.samp_clk_rate > 1 + 1e-9:
            raise DaqError("Sample rate, number of channels and convert period do not fit.", _COMBINATION)


def _input_configurations(device: VirtualDaq, name: str) -> tuple[str, ...] | None:
    """Return the terminal configurations of an input; None if there is no such input."""
    model = device.model
    if name.startswith("_"):
        internal = {f"_{output}_vs_aognd" for output in device.outputs} | {"_aignd_vs_aignd"}
        return ("DIFF",) if model.internal_channels and name in internal else None
    number = name.removeprefix("ai")
    there = name.startswith("ai") and number.isdecimal() and int(number) < model.inputs
    return model.input_configurations(int(number)) if there else None


def _holding(ranges: Sequence[Range], low: float, high: float) -> Range:
    holding = [one for one in ranges if one[0] <= low < high <= one[1]]
    if not holding:
        raise DaqError("Requested value is not a supported value for this property: minimum and maximum.", _VALUE)
    return min(holding, key=lambda one: one[1] - one[0])


def _last(added: _Channel | None) -> _Channel:
    assert added is not None
    return added
