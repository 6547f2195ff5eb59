"""Device models of simulated benches: programmed edges with faults, potentiometers, memristive devices, arrays.

Each name is imported at its first use: the command line must start fast.
"""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn_sim.devices.array import DeviceArray, DeviceReadout
    from hwlearn_sim.devices.digipot import Digipots
    from hwlearn_sim.devices.failing import Failing
    from hwlearn_sim.devices.fits.fitting import FittedLaw
    from hwlearn_sim.devices.fits.measured import PulseData, read_pulse_data
    from hwlearn_sim.devices.fits.soft_bounds import fit_soft_bounds
    from hwlearn_sim.devices.fits.vteam import fit_vteam
    from hwlearn_sim.devices.iv import SinhIV
    from hwlearn_sim.devices.model import DeviceModel
    from hwlearn_sim.devices.programmed import Devices
    from hwlearn_sim.devices.soft_bounds import SoftBounds, SoftBoundsLaw
    from hwlearn_sim.devices.vteam import Vteam, VteamLaw

__all__ = [
    "DeviceArray",
    "DeviceModel",
    "DeviceReadout",
    "Devices",
    "Digipots",
    "Failing",
    "FittedLaw",
    "PulseData",
    "SinhIV",
    "SoftBounds",
    "SoftBoundsLaw",
    "Vteam",
    "VteamLaw",
    "fit_soft_bounds",
    "fit_vteam",
    "read_pulse_data",
]

if not TYPE_CHECKING:  # a type checker must refuse names that do not exist
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "hwlearn_sim.devices.array": ["DeviceArray", "DeviceReadout"],
            "hwlearn_sim.devices.digipot": ["Digipots"],
            "hwlearn_sim.devices.failing": ["Failing"],
            "hwlearn_sim.devices.fits.fitting": ["FittedLaw"],
            "hwlearn_sim.devices.fits.measured": ["PulseData", "read_pulse_data"],
            "hwlearn_sim.devices.fits.soft_bounds": ["fit_soft_bounds"],
            "hwlearn_sim.devices.fits.vteam": ["fit_vteam"],
            "hwlearn_sim.devices.iv": ["SinhIV"],
            "hwlearn_sim.devices.model": ["DeviceModel"],
            "hwlearn_sim.devices.programmed": ["Devices"],
            "hwlearn_sim.devices.soft_bounds": ["SoftBounds", "SoftBoundsLaw"],
            "hwlearn_sim.devices.vteam": ["Vteam", "VteamLaw"],
        },
    )
