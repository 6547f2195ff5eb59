"""Measurement of a sample of devices: thresholds, response, read disturb and retention."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.calibration.pulses.device import PulsedDevice
from hwlearn.calibration.pulses.plan import PulsePlan
from hwlearn.calibration.pulses.results import PulseFit, Trend, relative_slope
from hwlearn.device_access import DeviceAccess
from hwlearn.errors import SetupError

_RETENTION_TIMES: Final = 5  # over two decades


def measure_pulses(
    access: DeviceAccess,
    devices: Sequence[int] | IntArray,
    plan: PulsePlan | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PulseFit:
    """Measure how devices respond to pulses, readings and time.

    Parameters
    ----------
    access : DeviceAccess
        The devices; its limits are respected. The devices end in the SET state.
    devices : sequence of int
        Devices to measure, each once.
    plan : PulsePlan, optional
    progress : callable, optional
        Called with the devices done and their number.

    Returns
    -------
    PulseFit

    Raises
    ------
    SetupError
        If no device is named, or the pulse limit is too low for the plan; nothing was applied.
    LimitError, DeviceError
        From reading and pulsing.

    Notes
    -----
    The threshold is defined operationally, so it exists for every kind of device. It is the amplitude at which
    one pulse of the largest allowed width, applied at the opposite end of the range, changes ``ln(g)`` by the
    plan's share of the range between RESET and SET. A grid and bisection bracket it. A parabola of ln(change)
    against amplitude is then fitted to repeated pulses about it. The uncertainty includes their scatter (noise
    and cycle-to-cycle spread) and half of the effect of the curvature.
    """
    chosen_plan = PulsePlan() if plan is None else plan
    chosen = [int(k) for k in devices]
    if not chosen or len(set(chosen)) != len(chosen):
        raise SetupError("name at least one device to pulse, each once")
    for k in chosen:
        access.limits.check_read(access.edge_name(k), access.limits.read_voltage)
        left = access.limits.pulses - int(access.pulses[access.checked_edge(k)])
        if left < chosen_plan.most_pulses:
            raise SetupError(
                f"{access.edge_name(k)} has {left} pulses left, but up to {chosen_plan.most_pulses} are needed; "
                "raise pulses in the pulse limits, or measure less"
            )
    pulsed = [PulsedDevice(access, k, chosen_plan) for k in chosen]
    silent, beyond, found = [], [], []
    for done, device in enumerate(pulsed):
        if progress is not None:
            progress(done, len(pulsed))
        if not device.find_range():
            silent.append(device.k)
        elif device.measure():
            found.append(device)
        else:
            beyond.append(device.k)
    _measure_retention(access, found, chosen_plan)
    if progress is not None:
        progress(len(pulsed), len(pulsed))
    return PulseFit(
        tuple(device.result() for device in found),
        tuple(silent),
        tuple(beyond),
        access.limits.read_voltage,
        access.limits.width[1],
        chosen_plan,
    )


def _measure_retention(access: DeviceAccess, devices: Sequence[PulsedDevice], plan: PulsePlan) -> None:
    """SET all devices, then read all of them for the retention time."""
    set_at = []
    for device in devices:
        device.prepare(True)
        set_at.append(access.now())
    decades: list[list[FloatArray]] = [[] for _ in devices]
    values_of: list[list[FloatArray]] = [[] for _ in devices]
    last = 0.0
    for at in plan.retention_s * np.logspace(-2, 0, _RETENTION_TIMES) if devices else ():
        access.rest(float(at) - last)
        last = float(at)
        for i, device in enumerate(devices):
            values = access.readings(device.k, access.limits.read_voltage, 4 * plan.readings)
            age = max(access.now() - set_at[i], 1e-3 * plan.retention_s)
            decades[i].append(np.full(len(values), math.log10(age)))
            values_of[i].append(values)
    for i, device in enumerate(devices):
        value, sigma, _ = relative_slope(np.concatenate(decades[i]), np.concatenate(values_of[i]))
        device.retention = Trend(value, sigma)
