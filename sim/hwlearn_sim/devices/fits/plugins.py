"""Device fits for ``hwlearn calibrate --from-data``, entry-point group ``hwlearn.device_fits``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from hwlearn.arrays import BoolArray
from hwlearn.errors import DataError, SetupError
from hwlearn_sim.devices.fits.fitting import FittedLaw
from hwlearn_sim.devices.fits.measured import PulseData, read_pulse_data
from hwlearn_sim.devices.fits.soft_bounds import fit_soft_bounds
from hwlearn_sim.devices.fits.vteam import fit_vteam

_UNITS: Final = {"g": "S", "r": "ohm", "v": "V"}


@dataclass(frozen=True, eq=False)
class FittedDevice:
    """Result of a fit for the command line.

    Attributes
    ----------
    values, sigma : mapping of str to float
    determined : mapping of str to bool
        Whether the data determine a parameter.
    units : mapping of str to str
    residual : float
        Misfit relative to the fitted noise; 1 if the law fits.
    read_noise, cycle_spread : float
        Relative standard deviations of a reading and of the dose of a pulse.
    table : mapping
        The key ``memristor`` of a bench file's ``[backend]``.
    origin : str
        How the file was read: its dialect and the number of rows.
    """

    values: Mapping[str, float]
    sigma: Mapping[str, float]
    determined: Mapping[str, bool]
    units: Mapping[str, str]
    residual: float
    read_noise: float
    cycle_spread: float
    table: Mapping[str, object]
    origin: str = ""


def soft_bounds(path: Path) -> FittedDevice:
    """Fit a soft-bounds device to a file; raises the errors of `read_pulse_data` and `fit_soft_bounds`."""
    data = read_pulse_data(path)
    up, down = (_typical_amplitude(data, which) for which in (data.up, ~data.up))
    try:
        fit = fit_soft_bounds(data, set_voltage=up, reset_voltage=down)
    except SetupError as error:  # the fitted parameters are not a valid law
        raise DataError(f"soft bounds do not describe {path} ({error}); try another model") from None
    # the fitted steps refer to these pulses
    reference = {name: float(getattr(fit.law, name)) for name in ("set_voltage", "reset_voltage", "width_s")}
    return _shown("soft-bounds", fit, reference, data.origin)


def vteam(path: Path) -> FittedDevice:
    """Fit a VTEAM device to a file; raises the errors of `read_pulse_data` and `fit_vteam`."""
    data = read_pulse_data(path)
    return _shown("vteam", fit_vteam(data), {}, data.origin)


def _shown(model: str, fit: FittedLaw[Any], more: Mapping[str, float], origin: str) -> FittedDevice:
    law = {name: float(value) for name, value in {**fit.values, **more}.items()}
    return FittedDevice(
        values=fit.values,
        sigma=fit.sigma,
        determined=fit.determined,
        units={name: _unit(name) for name in fit.values},
        residual=fit.residual,
        read_noise=fit.read_noise,
        cycle_spread=fit.cycle_spread,
        table={
            "model": model,
            "law": law,
            "read_noise": fit.read_noise,
            "cycle_spread": fit.cycle_spread,
        },
        origin=origin,
    )


def _typical_amplitude(data: PulseData, which: BoolArray) -> float | None:
    """Return the median amplitude of the pulses with a moderate effect, or None if there are none.

    A reference pulse that reaches the bound would have a step of almost 1 for any law.
    """
    log = np.log(data.conductance)
    moved = np.abs(np.diff(log)) / np.ptp(log)
    chosen = np.abs(data.amplitude[1:][which & (moved > 0.05) & (moved < 0.5)])
    return float(np.median(chosen)) if len(chosen) else None


def _unit(name: str) -> str:
    if name.startswith("k_"):
        return "1/s"
    return "V" if name.endswith("_scale") else _UNITS.get(name.split("_")[0], "")
