"""Single devices behind one narrow interface: read an edge, pulse an edge, and write-verify on top of both."""

from hwlearn.device_access.access import DeviceAccess, DeviceError, PulseLimits

__all__ = ["DeviceAccess", "DeviceError", "PulseLimits"]
