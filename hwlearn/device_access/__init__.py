"""Single devices behind one narrow interface: read an edge, pulse an edge, and write-verify on top of both."""

from hwlearn.device_access.access import DeviceAccess, DeviceError, PulseLimits
from hwlearn.write_verify.report import WriteReport
from hwlearn.write_verify.schedule import PulseSchedule
from hwlearn.write_verify.writer import write_verify

__all__ = ["DeviceAccess", "DeviceError", "PulseLimits", "PulseSchedule", "WriteReport", "write_verify"]
