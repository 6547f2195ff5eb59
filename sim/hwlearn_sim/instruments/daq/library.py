"""`VirtualDaqmx`: stands in for the package `nidaqmx`, with virtual devices."""

from __future__ import annotations

from types import ModuleType

from hwlearn_sim.instruments.daq import constants as _constants
from hwlearn_sim.instruments.daq import errors as _errors
from hwlearn_sim.instruments.daq.device import VirtualDaq
from hwlearn_sim.instruments.daq.errors import DaqError
from hwlearn_sim.instruments.daq.system import Device
from hwlearn_sim.instruments.daq.task import Task

_NO_DEVICE = -200220


class DeviceNames:
    """Counterpart of the collection of devices.

    Attributes
    ----------
    device_names : list of str
    """

    def __init__(self, device_names: list[str]) -> None:
        self.device_names = device_names


class LocalSystem:
    """Counterpart of the class `nidaqmx.system.System`.

    Parameters
    ----------
    library : VirtualDaqmx
    """

    def __init__(self, library: VirtualDaqmx) -> None:
        self._library = library

    def local(self) -> LocalSystem:
        """Return the system of this computer."""
        return self

    @property
    def devices(self) -> DeviceNames:
        """The devices of this computer."""
        return DeviceNames(self._library.names)


class VirtualSystem:
    """Counterpart of the module `nidaqmx.system`.

    Parameters
    ----------
    library : VirtualDaqmx
    """

    def __init__(self, library: VirtualDaqmx) -> None:
        self._library = library
        self.System = LocalSystem(library)

    def Device(self, name: str) -> Device:
        """Return a device by its name."""
        return Device(name, self._library.find)


class VirtualDaqmx:
    """The used part of the package, for one or several virtual devices.

    Parameters
    ----------
    devices : VirtualDaq
        Found by their attribute ``device``, without regard to case.
    """

    constants: ModuleType = _constants
    errors: ModuleType = _errors

    def __init__(self, *devices: VirtualDaq) -> None:
        self._devices = devices
        self.system = VirtualSystem(self)

    def Task(self, new_task_name: str = "") -> Task:
        """Return a new task."""
        return Task(new_task_name, self.find)

    @property
    def names(self) -> list[str]:
        """Names of the devices."""
        return [device.device for device in self._devices]

    def find(self, name: str) -> VirtualDaq:
        """Return a device by its name.

        Raises
        ------
        DaqError
            If there is none.
        """
        for device in self._devices:
            if device.device.lower() == name.lower():
                return device
        raise DaqError(f"Device identifier is invalid: {name}.", _NO_DEVICE)
