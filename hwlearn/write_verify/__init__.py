"""Write-verify: program single devices with pulses, and read after each pulse, until they reach their targets."""

from hwlearn.write_verify.report import WriteReport
from hwlearn.write_verify.schedule import PulseSchedule
from hwlearn.write_verify.settings import WriteSettings
from hwlearn.write_verify.writer import write_verify

__all__ = ["PulseSchedule", "WriteReport", "WriteSettings", "write_verify"]
