"""Fit of the soft-bounds model to measured pulses."""

from __future__ import annotations

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.errors import DataError
from hwlearn_sim.devices.fits.fitting import FittedLaw, PulseStep, fit
from hwlearn_sim.devices.fits.measured import PulseData
from hwlearn_sim.devices.soft_bounds import SoftBoundsLaw

_NAMES = ("g_min", "g_max", "set_step", "reset_step", "set_scale", "reset_scale")
_PRIOR = np.array([1.5, 1.5, 2.0, 2.0, 1.5, 1.5])


def fit_soft_bounds(
    data: PulseData,
    *,
    set_voltage: float | None = None,
    reset_voltage: float | None = None,
    width_s: float | None = None,
) -> FittedLaw[SoftBoundsLaw]:
    """Fit bounds, steps and voltage scales of a soft-bounds device.

    Parameters
    ----------
    data : PulseData
        Readings between SET and RESET pulses. Voltage scales need several amplitudes of each polarity. Bounds
        need series of pulses that approach them. `FittedLaw.determined` shows which parameters the data determine.
    set_voltage, reset_voltage, width_s : float, optional
        Reference pulses of the law. Default: median amplitudes and width of the data.

    Returns
    -------
    FittedLaw

    Raises
    ------
    DataError
        If there are no SET or no RESET pulses, or the law does not describe the data.
    """
    up, volts = data.up, np.abs(data.amplitude[1:])
    if not up.any() or up.all():
        raise DataError("the soft-bounds fit needs SET and RESET pulses (positive and negative amplitudes)")
    fixed = {
        "set_voltage": float(np.median(volts[up])) if set_voltage is None else set_voltage,
        "reset_voltage": float(np.median(volts[~up])) if reset_voltage is None else reset_voltage,
        "width_s": float(np.median(data.width[1:])) if width_s is None else width_s,
    }

    amplitudes = np.unique(data.amplitude[1:]).tolist()

    def named(theta: FloatArray) -> dict[str, FloatArray]:
        values = np.exp(theta)
        values[2:4] = -np.expm1(-values[2:4])  # the fit varies the exponent of a step
        return dict(zip(_NAMES, values, strict=True))

    def law(values: dict[str, float]) -> SoftBoundsLaw:
        return SoftBoundsLaw(**values, **fixed)

    def make(theta: FloatArray) -> PulseStep:
        candidates = named(theta)
        # crossing bounds are not a valid law: such candidates are modified to a valid one with a poor fit
        for name in ("set_step", "reset_step"):
            candidates[name] = np.minimum(candidates[name], 1 - 1e-9)
        candidates["g_min"] = np.minimum(candidates["g_min"], 0.999 * candidates["g_max"])
        tried = SoftBoundsLaw(**candidates, **fixed)
        effects = {volts: tried.pulse_effect(volts) for volts in amplitudes}

        def step(conductance: FloatArray, volts: float, width_s: float, strength: FloatArray) -> FloatArray:
            return tried.after(conductance, effects[volts], width_s, strength)

        return step

    def values(theta: FloatArray) -> dict[str, float]:
        return {name: float(value) for name, value in named(theta).items()}

    return fit(data, _starts(data, fixed), _PRIOR, make, values, law)


def _starts(data: PulseData, fixed: dict[str, float]) -> list[FloatArray]:
    g, up = data.conductance, data.up
    low, high = 0.8 * float(g.min()), 1.2 * float(g.max())
    step, before = np.diff(g), g[:-1]
    covered = np.where(up, step / (high - before), -step / (before - low)) / data.repeats
    set_step, reset_step = (float(np.clip(np.mean(covered[which]), 1e-3, 0.5)) for which in (up, ~up))
    return [
        np.log(
            [low, high, set_step, reset_step, share * fixed["set_voltage"], share * fixed["reset_voltage"]],
        )
        for share in (0.15, 0.05)
    ]
