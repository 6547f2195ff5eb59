"""Devices of simulated benches: nominal edges with faults, digital potentiometers, memristive devices, arrays.

What is named here is imported when it is first used: the command line must start fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hwlearn_sim.devices.programmed import Devices

if TYPE_CHECKING:
    from hwlearn_sim.devices.array import DeviceArray
    from hwlearn_sim.devices.digipot import Digipots
    from hwlearn_sim.devices.failing import Failing
    from hwlearn_sim.devices.fits.fitting import FittedLaw
    from hwlearn_sim.devices.fits.measured import PulseData, read_pulse_data
    from hwlearn_sim.devices.fits.soft_bounds import fit_soft_bounds
    from hwlearn_sim.devices.fits.vteam import fit_vteam
    from hwlearn_sim.devices.iv import SinhIV
    from hwlearn_sim.devices.model import DeviceModel
    from hwlearn_sim.devices.soft_bounds import SoftBounds, SoftBoundsLaw
    from hwlearn_sim.devices.vteam import Vteam, VteamLaw

__all__ = [
    "DeviceArray",
    "DeviceModel",
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

_HOMES = {
    "DeviceArray": "array",
    "DeviceModel": "model",
    "Digipots": "digipot",
    "Failing": "failing",
    "FittedLaw": "fits.fitting",
    "PulseData": "fits.measured",
    "SinhIV": "iv",
    "SoftBounds": "soft_bounds",
    "SoftBoundsLaw": "soft_bounds",
    "Vteam": "vteam",
    "VteamLaw": "vteam",
    "fit_soft_bounds": "fits.soft_bounds",
    "fit_vteam": "fits.vteam",
    "read_pulse_data": "fits.measured",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
