"""Step ``pulses`` of a calibration: response of single devices."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

import numpy as np

from hwlearn.calibrated.sections import PulseRecord
from hwlearn.calibration.pulses import DevicePulses, PulseFit, PulsePlan, measure_pulses
from hwlearn.errors import SetupError
from hwlearn.lab.calibration.context import StepContext
from hwlearn.lab.calibration.figures import draw_pulses
from hwlearn.lab.calibration.result import Row, StepResult
from hwlearn.storage.atomic_file import write_atomically
from hwlearn.units import format_quantity

_TREND: Final = 4.0  # a trend counts as significant above this many standard uncertainties
_MOST_UNCERTAIN: Final = 0.05  # relative uncertainty of a threshold


def find_pulses(context: StepContext) -> StepResult:
    """Measure a sample of the devices of a network; skipped on hardware without access to single devices."""
    access = context.network.devices
    if access is None:
        return _skipped("this hardware has no access to single devices")
    n = access.n_edges
    count = n if context.options.devices == 0 else min(context.options.devices, n)
    chosen = np.sort(np.random.default_rng([context.options.seed, 7]).permutation(n)[:count])
    plan = PulsePlan(retention_s=context.options.retention_s)
    try:
        fit = measure_pulses(access, chosen, plan, context.progress)
    except SetupError as error:
        return _skipped(str(error))
    for device in fit.devices:
        _save_log(context.beside(f"pulses-device{device.device}.csv"), device)
    picture = draw_pulses(context.beside("pulses.png"), fit)
    passed, verdict = _verdict(fit)
    return StepResult("pulses", passed, verdict, _rows(fit), {"pulses": _section(fit)}, picture)


def _skipped(why: str) -> StepResult:
    return StepResult("pulses", None, f"SKIPPED: {why}", (), {}, None)


def _section(fit: PulseFit) -> PulseRecord:
    found = fit.devices
    return PulseRecord(
        devices=tuple(d.device for d in found),
        silent=fit.silent,
        beyond=fit.beyond,
        share=fit.plan.share,
        width_s=fit.width_s,
        read_voltage_V=fit.read_voltage,
        retention_s=fit.plan.retention_s,
        low_S=np.array([d.low for d in found]),
        high_S=np.array([d.high for d in found]),
        set_V=np.array([d.set.volts for d in found]),
        set_sigma_V=np.array([d.set.sigma_V for d in found]),
        reset_V=np.array([d.reset.volts for d in found]),
        reset_sigma_V=np.array([d.reset.sigma_V for d in found]),
        read_noise=np.array([d.read_noise for d in found]),
        disturb=np.array([d.disturb.value for d in found]),
        disturb_sigma=np.array([d.disturb.sigma for d in found]),
        retention=np.array([d.retention.value for d in found]),
        retention_sigma=np.array([d.retention.sigma for d in found]),
    )


def _rows(fit: PulseFit) -> tuple[Row, ...]:
    rows = []
    for d in fit.devices:
        rows += [
            Row(f"device {d.device}", f"{_siemens(d.low)} to {_siemens(d.high)}"),
            Row("  SET threshold", _volts(d.set.volts), _volts(d.set.sigma_V, 3)),
            Row("  RESET threshold", _volts(d.reset.volts), _volts(d.reset.sigma_V, 3)),
            Row("  change in 1000 readings", f"{100 * d.disturb.value:+.2f} %", f"{100 * d.disturb.sigma:.2f} %"),
            Row("  change per decade", f"{100 * d.retention.value:+.2f} %", f"{100 * d.retention.sigma:.2f} %"),
        ]
    if len(fit.devices) > 1:
        for name in ("set", "reset"):
            volts = np.array([getattr(d, name).volts for d in fit.devices])
            spread = _volts(float(volts.std(ddof=1)), 3)
            rows.append(
                Row(f"{name.upper()} threshold, median", _volts(float(np.median(volts))), f"spread {spread}")
            )
    for label, devices in (
        ("no response to pulses of full strength", fit.silent),
        ("thresholds outside the pulse limits", fit.beyond),
    ):
        if devices:
            rows.append(Row(label, "devices " + ", ".join(map(str, devices))))
    return tuple(rows)


def _verdict(fit: PulseFit) -> tuple[bool, str]:
    found, number = fit.devices, len(fit.devices) + len(fit.silent) + len(fit.beyond)
    if not found:
        return False, f"FAILED: none of {number} devices has its thresholds within the pulse limits"
    uncertain = [d.device for d in found if _relative(d) > _MOST_UNCERTAIN]
    if uncertain:
        return (
            False,
            f"FAILED: thresholds of devices {uncertain} are uncertain by more than {100 * _MOST_UNCERTAIN:.0f} %",
        )
    disturbed = sum(abs(d.disturb.value) > _TREND * d.disturb.sigma for d in found)
    drifting = sum(abs(d.retention.value) > _TREND * d.retention.sigma for d in found)
    worst = max(_relative(d) for d in found)
    return True, (
        f"PASSED: thresholds of {len(found)} of {number} devices within {100 * worst:.2f} %; {disturbed} show "
        f"read disturb, {drifting} drift within {format_quantity(fit.plan.retention_s, 's')}"
    )


def _relative(device: DevicePulses) -> float:
    return max(device.set.sigma_V / device.set.volts, device.reset.sigma_V / device.reset.volts)


def _save_log(path: Path, device: DevicePulses) -> None:
    """Write every pulse of a device in the format that ``hwlearn calibrate --from-data`` reads."""
    text = io.StringIO()
    text.write("pulse,amplitude_V,width_s,conductance_S\n")
    for number, amplitude, width, siemens in device.log:
        text.write(f"{int(number)},{amplitude:.6g},{width:.6g},{siemens:.6g}\n")
    write_atomically(path, text.getvalue().encode())


def _volts(value: float, digits: int = 4) -> str:
    return format_quantity(value, "V", digits)


def _siemens(value: float) -> str:
    return format_quantity(value, "S", 3)
