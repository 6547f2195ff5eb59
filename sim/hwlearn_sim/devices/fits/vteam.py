"""Fit of the VTEAM model to measured pulses."""

from __future__ import annotations

from typing import Literal

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray
from hwlearn.errors import DataError
from hwlearn_sim.devices.fits.fitting import FittedLaw, PulseStep, fit
from hwlearn_sim.devices.fits.measured import PulseData
from hwlearn_sim.devices.vteam import VteamLaw, Window

# r_on, r_off, speeds at the largest amplitudes, thresholds (logit of their share of it), exponents
_PRIOR = np.array([1.0, 1.0, 2.5, 2.5, 1.5, 1.5, 0.6, 0.6])


def fit_vteam(
    data: PulseData,
    *,
    window: Window = "none",
    exponent: int = 1,
    resistance: Literal["linear", "exponential"] = "linear",
) -> FittedLaw[VteamLaw]:
    """Fit speeds, thresholds, exponents and resistances of a VTEAM device.

    Parameters
    ----------
    data : PulseData
        Readings between pulses of both polarities; thresholds and exponents need several amplitudes of each.
        `FittedLaw.determined` shows which parameters the data determine.
    window, exponent, resistance
        Form of the law, see `VteamLaw`; it is not fitted.

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
        raise DataError("the VTEAM fit needs SET and RESET pulses (positive and negative amplitudes)")
    most_on, most_off = float(volts[up].max()), float(volts[~up].max())
    amplitudes = np.unique(data.amplitude[1:]).tolist()

    def named(theta: FloatArray) -> dict[str, FloatArray]:
        r_on, r_off, speed_off, speed_on = np.exp(theta[:4])
        v_off, v_on = most_off / (1 + np.exp(-theta[4])), most_on / (1 + np.exp(-theta[5]))
        alpha_off, alpha_on = np.exp(theta[6:])
        return {
            "k_off": speed_off * (most_off / v_off - 1) ** -alpha_off,
            "k_on": -speed_on * (most_on / v_on - 1) ** -alpha_on,
            "v_off": v_off,
            "v_on": -v_on,
            "alpha_off": alpha_off,
            "alpha_on": alpha_on,
            "r_on": r_on,
            "r_off": r_off,
        }

    def law(values: dict[str, float]) -> VteamLaw:
        return VteamLaw(**values, window=window, exponent=exponent, resistance=resistance)

    def make(theta: FloatArray) -> PulseStep:
        candidates = named(theta)
        candidates["r_off"] = np.maximum(candidates["r_off"], 1.001 * candidates["r_on"])
        tried = VteamLaw(**candidates, window=window, exponent=exponent, resistance=resistance)
        speeds = {volts: tried.speed(-volts) for volts in amplitudes}

        def step(conductance: FloatArray, volts: float, width_s: float, strength: FloatArray) -> FloatArray:
            state = np.minimum(np.maximum(tried.state(conductance), 0.0), 1.0)
            return tried.siemens(tried.after_dose(state, strength * (speeds[volts] * width_s)))

        return step

    def values(theta: FloatArray) -> dict[str, float]:
        return {name: float(value) for name, value in named(theta).items()}

    return fit(data, _starts(data), _PRIOR, make, values, law)


def _starts(data: PulseData) -> list[FloatArray]:
    g, up = data.conductance, data.up
    r_on, r_off = 0.98 / float(g.max()), 1.02 / float(g.min())
    state = (1 / g - r_on) / (r_off - r_on)
    speed = np.where(up, -1.0, 1.0) * np.diff(state) / (data.width[1:] * data.repeats)
    # near its ends the state is limited and does not show the speed
    inside = (np.minimum(state[:-1], state[1:]) > 0.05) & (np.maximum(state[:-1], state[1:]) < 0.95)
    volts = np.abs(data.amplitude[1:])
    starts = []
    for share in (0.0, 0.8, -0.8):
        (off, alpha_off), (on, alpha_on) = (
            _overdriven(volts[which], speed[which], inside[which], share) for which in (~up, up)
        )
        logs = np.log([r_on, r_off, off, on])
        starts.append(np.concatenate([logs, [share, share], np.log([alpha_off, alpha_on])]))
    return starts


def _overdriven(volts: FloatArray, speed: FloatArray, inside: BoolArray, share: float) -> tuple[float, float]:
    """Estimate the speed at the largest amplitude, and the exponent, for a threshold at a share (logit) of it."""
    most = float(volts.max())
    overdrive, speeds = [], []
    for amplitude in np.unique(volts):
        here = inside & (volts == amplitude)
        over = amplitude / most * (1 + np.exp(-share)) - 1
        if here.any() and over > 0 and float(np.mean(speed[here])) > 0:
            overdrive.append(np.log(over * np.exp(share)))  # zero at the largest amplitude
            speeds.append(np.log(float(np.mean(speed[here]))))
    if not speeds:
        return max(float(np.abs(speed).max()), 1e-300), 2.0
    if len(speeds) == 1:
        return float(np.exp(speeds[0] - 2.0 * overdrive[0])), 2.0
    slope, level = np.polyfit(overdrive, speeds, 1)
    return float(np.exp(level)), float(np.clip(slope, 0.7, 6.0))
