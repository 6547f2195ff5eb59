"""Access to single devices: read one conductance, apply one pulse, both within limits."""

from hwlearn.device_access.access import DeviceAccess, DeviceError
from hwlearn.device_access.limits import PulseLimits

__all__ = ["DeviceAccess", "DeviceError", "PulseLimits"]
