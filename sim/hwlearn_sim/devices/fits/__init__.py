"""Fits of device models to measured data."""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn_sim.devices.fits.fitting import FittedLaw as FittedLaw
    from hwlearn_sim.devices.fits.measured import PulseData as PulseData
    from hwlearn_sim.devices.fits.measured import read_pulse_data as read_pulse_data
    from hwlearn_sim.devices.fits.soft_bounds import fit_soft_bounds as fit_soft_bounds
    from hwlearn_sim.devices.fits.vteam import fit_vteam as fit_vteam
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
