"""`Scan`: reads all analog inputs of a bench, and its outputs back, with one task; finds saturation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.errors import SetupError
from hwlearn_drivers.daq.calls.calls import ChannelRange, DaqCalls, ScanChannel
from hwlearn_drivers.daq.facts import DeviceFacts, Range, narrowest
from hwlearn_drivers.daq.library import DaqTask
from hwlearn_drivers.daq.plan import DaqPlan
from hwlearn_drivers.daq.sampling import PADDING_S, Sampling, make_sampling, settling_s

_BITS = 16  # of the settling error, where the device does not say its resolution yet


@dataclass(frozen=True, eq=False, slots=True)
class ScanReadings:
    """Averages of one acquisition, by name of the channel.

    Attributes
    ----------
    volts : dict of str to float
    saturated : dict of str to bool
        Whether a sample was at an end of the range of the converter.
    """

    volts: dict[str, float]
    saturated: dict[str, bool]


def readback_of(channel: str) -> str:
    """Return the internal input that reads an analog output back, where a device has one.

    Examples
    --------
    >>> readback_of("ao0")
    '_ao0_vs_aognd'
    """
    return f"_{channel}_vs_aognd"


class Scan:
    """A task over all inputs.

    Internal channels that read outputs back come last. With a ground channel, ground is converted before each
    input: what is left on the multiplexer then pulls every input towards 0 V, and not towards its neighbour.

    Parameters
    ----------
    calls : DaqCalls
    scan : sequence of ScanChannel
    sampling : Sampling
    timeout_s : float
        Time beyond the acquisition after which samples are late.
    read_back : tuple of str
        Outputs that internal inputs read back.

    Attributes
    ----------
    sampling, read_back
        As given.
    range : (float, float)
        Of the inputs, as NI-DAQmx has set it.
    bits : int
        Resolution of the converter; 0 if the device does not say.
    sigma_V : float
        Standard uncertainty of an average; 0 if it is not known. `make_scan` sets it.
    is_from_data_sheet : bool
        Whether that is the figure of the data sheet.
    """

    sigma_V: float = 0.0
    is_from_data_sheet: bool = False

    def __init__(
        self,
        calls: DaqCalls,
        scan: Sequence[ScanChannel],
        sampling: Sampling,
        timeout_s: float,
        read_back: tuple[str, ...] = (),
    ) -> None:
        self._calls, self._scan, self._timeout_s = calls, tuple(scan), timeout_s
        self.sampling, self.read_back = sampling, read_back
        self._task: DaqTask | None
        self._task, self._ranges = calls.input_task(self._scan, self.sampling)
        self.range: Range = self._ranges[-1].limits
        self.bits = self._ranges[-1].bits
        self._low = np.array([_low_end(one) for one in self._ranges])
        self._high = np.array([_high_end(one) for one in self._ranges])

    @property
    def step_V(self) -> float:
        """Step of the converter in volts; 0 if the device does not say its resolution."""
        return (self.range[1] - self.range[0]) / 2.0**self.bits if self.bits else 0.0

    def acquire(self) -> ScanReadings:
        """Acquire once and average.

        Raises
        ------
        LinkError, InstrumentError, GarbledReplyError
        """
        assert self._task is not None, "the device was closed"
        samples = self._calls.acquire(self._task, len(self._scan), self.sampling, self._timeout_s)
        means: FloatArray = samples.mean(axis=1)
        beyond = (samples <= self._low[:, None]) | (samples >= self._high[:, None])
        at_end: BoolArray = np.asarray(beyond.any(axis=1), dtype=np.bool_)
        names = [one.name for one in self._scan]
        return ScanReadings(
            dict(zip(names, means.tolist(), strict=True)), dict(zip(names, at_end.tolist(), strict=True))
        )

    def close(self) -> None:
        """Release the channels."""
        task, self._task = self._task, None
        if task is not None:
            self._calls.close(task)


def make_scan(calls: DaqCalls, plan: DaqPlan, facts: DeviceFacts) -> Scan | None:
    """Return the scan of a bench; None if it reads nothing and the device cannot read its outputs back.

    Raises
    ------
    SetupError, InstrumentError
        If the device cannot do it.
    """
    read_back = _readable(calls, plan, facts)
    if not plan.reads and not read_back:
        return None
    ground = plan.ground_channel
    if ground and ground not in facts.inputs and not calls.input_exists(ground):
        raise SetupError(f"{calls.called}: there is no input ground_channel = {ground!r}")
    limits = narrowest(facts.input_ranges, plan.limit_V)
    assert limits is not None, "the plan was checked"
    listed = _scan_list(plan, read_back, limits)
    settle_s = plan.settle_s
    if settle_s is None:
        settle_s = max(1 / facts.input_rate_Hz + PADDING_S, settling_s(plan.source_ohm, _BITS))
    sampling = make_sampling(
        len(listed), facts.input_rate_Hz, facts.simultaneous, settle_s, plan.samples, plan.average_s
    )
    if not plan.sets_settle:
        sampling = replace(sampling, convert_Hz=None)
    scan = Scan(calls, listed, sampling, plan.timeout_s, read_back)
    noise = facts.noise_V(scan.range)
    stated = 0.0 if noise is None else noise / math.sqrt(sampling.samples)
    scan.sigma_V = stated if plan.sigma_V is None else plan.sigma_V
    scan.is_from_data_sheet = plan.sigma_V is None and stated > 0
    return scan


def _readable(calls: DaqCalls, plan: DaqPlan, facts: DeviceFacts) -> tuple[str, ...]:
    """Return the outputs in use that the device can read back; a converter per input has no internal channels."""
    if not facts.inputs or facts.simultaneous or narrowest(facts.input_ranges, plan.limit_V) is None:
        return ()
    return tuple(channel for channel in plan.sources if calls.input_exists(readback_of(channel)))


def _scan_list(plan: DaqPlan, read_back: Sequence[str], limits: Range) -> list[ScanChannel]:
    scan: list[ScanChannel] = []
    for channel in plan.reads:
        if plan.ground_channel:
            internal = plan.ground_channel.startswith("_")
            scan.append(ScanChannel(plan.ground_channel, "DEFAULT" if internal else plan.configuration, limits))
        scan.append(ScanChannel(channel, plan.configuration, limits))
    return [*scan, *(ScanChannel(readback_of(channel), "DEFAULT", limits) for channel in read_back)]


def _low_end(one: ChannelRange) -> float:
    return one.limits[0] + _margin(one)


def _high_end(one: ChannelRange) -> float:
    return one.limits[1] - _margin(one)


def _margin(one: ChannelRange) -> float:
    """Return how far from the nominal end a reading counts as one of the last code: one and a half steps."""
    return 1.5 * (one.limits[1] - one.limits[0]) / 2.0 ** (one.bits or _BITS)
