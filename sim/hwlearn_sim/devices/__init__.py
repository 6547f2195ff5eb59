"""Device models of simulated benches: programmed edges with faults, potentiometers, memristive devices, arrays.

Each name is imported at its first use: the command line must start fast.
"""

from typing import TYPE_CHECKING

from hwlearn.lazy import lazy_names

if TYPE_CHECKING:
    from hwlearn_sim.devices.array import DeviceArray as DeviceArray
    from hwlearn_sim.devices.array import DeviceReadout as DeviceReadout
    from hwlearn_sim.devices.digipot import Digipots as Digipots
    from hwlearn_sim.devices.failing import Failing as Failing
    from hwlearn_sim.devices.fits.fitting import FittedLaw as FittedLaw
    from hwlearn_sim.devices.fits.measured import PulseData as PulseData
    from hwlearn_sim.devices.fits.measured import read_pulse_data as read_pulse_data
    from hwlearn_sim.devices.fits.soft_bounds import fit_soft_bounds as fit_soft_bounds
    from hwlearn_sim.devices.fits.vteam import fit_vteam as fit_vteam
    from hwlearn_sim.devices.iv import SinhIV as SinhIV
    from hwlearn_sim.devices.model import DeviceModel as DeviceModel
    from hwlearn_sim.devices.programmed import Devices as Devices
    from hwlearn_sim.devices.soft_bounds import SoftBounds as SoftBounds
    from hwlearn_sim.devices.soft_bounds import SoftBoundsLaw as SoftBoundsLaw
    from hwlearn_sim.devices.vteam import Vteam as Vteam
    from hwlearn_sim.devices.vteam import VteamLaw as VteamLaw
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
