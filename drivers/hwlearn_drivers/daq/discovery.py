"""Lists the devices that NI-DAQmx knows, with properties only: no task is made, nothing is set or measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hwlearn.errors import SetupError
from hwlearn_drivers.daq.library import INSTALL, DaqLibrary, load_library
from hwlearn_drivers.instrument.buses import Bus

BUS = "DAQ"


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """A device that NI-DAQmx knows.

    Attributes
    ----------
    address : str
        Its name, as a bench file writes it.
    description : str
        Product and whether it is simulated, or why it does not say.
    serial : str or None
        Serial number in hexadecimal digits.
    """

    address: str
    description: str
    serial: str | None = None


def list_devices() -> tuple[list[FoundDevice], Bus]:
    """Return the devices, and a line for the list of buses, which says what is missing; never raises."""
    try:
        library = load_library("")
    except SetupError as error:
        text = str(error).removeprefix("model = 'nidaqmx' needs ")
        return [], Bus(BUS, missing=f"cannot look: {text}")
    try:
        names = [str(name) for name in library.system.System.local().devices.device_names]
    except library.errors.DaqError as error:
        return [], Bus(BUS, problems=(f"cannot look: {_line(error)}",))
    except Exception as error:  # without the driver, and on computers that it does not support
        return [], Bus(BUS, missing=f"cannot look: {_line(error).partition('. ')[0]}; {INSTALL}")
    found = [_described(library, name) for name in names]
    return found, Bus(BUS, tuple(one.address for one in found))


def _described(library: DaqLibrary, name: str) -> FoundDevice:
    try:
        device: Any = library.system.Device(name)
        product, serial = str(device.product_type), f"{int(device.serial_num):X}"
        return FoundDevice(name, f"NI {product}{', simulated' if device.is_simulated else ''}", serial)
    except Exception as error:  # such as a device that is not plugged in
        return FoundDevice(name, f"not reachable: {_line(error)}")


def _line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
