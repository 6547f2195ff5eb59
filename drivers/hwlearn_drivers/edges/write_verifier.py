"""Programs single devices with write-verify and keeps its report for the next targets."""

from __future__ import annotations

from hwlearn.arrays import FloatArray
from hwlearn.device_access import DeviceAccess
from hwlearn.network.network import Programmed
from hwlearn.write_verify import WriteReport, WriteSettings, write_verify

_MOST_PULSES_PER_TARGET = 200


class WriteVerifier:
    """Programs devices repeatedly. Devices found stuck or worn get no more pulses.

    Parameters
    ----------
    tolerance : float
        Largest relative error of a device that counts as programmed.

    Attributes
    ----------
    report : WriteReport or None
        Report of the last programming, with stuck and worn devices.
    """

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self.report: WriteReport | None = None

    def __call__(self, array: DeviceAccess, targets: FloatArray) -> Programmed:
        """Program the devices to targets (E,) in siemens; raises as `hwlearn.write_verify.write_verify`."""
        self.report = write_verify(
            array,
            targets,
            WriteSettings(self._tolerance, min(_MOST_PULSES_PER_TARGET, array.limits.pulses)),
            resume=self.report,
            progress=self._keep,
        )
        return self.report.programmed

    def _keep(self, report: WriteReport) -> None:
        # the pulse model of the devices is kept after an interruption
        self.report = report
