"""Targets to the devices of an ArC TWO's array: write-verify that remembers what each device answered to."""

from __future__ import annotations

from hwlearn.arrays import FloatArray
from hwlearn.network.network import Programmed
from hwlearn.write_verify import WriteReport, write_verify
from hwlearn_drivers.arc2.array import Arc2Array

_MOST_TOWARDS_ONE_TARGET = 200


class WriteVerifier:
    """Programs an array again and again; devices found stuck or worn are left alone from then on.

    Parameters
    ----------
    tolerance : float
        Relative; how near to its target a device counts as programmed.

    Attributes
    ----------
    report : WriteReport or None
        What came of the last programming, stuck and worn devices included.
    """

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self.report: WriteReport | None = None

    def __call__(self, array: Arc2Array, targets: FloatArray) -> Programmed:
        """Set the devices to targets (E,) in siemens; raises as `hwlearn.write_verify.write_verify`."""
        self.report = write_verify(
            array,
            targets,
            tolerance=self._tolerance,
            most_pulses=min(_MOST_TOWARDS_ONE_TARGET, array.limits.pulses),
            resume=self.report,
            progress=self._keep,
        )
        return self.report.programmed

    def _keep(self, report: WriteReport) -> None:
        # what was learned of the devices outlives an interruption
        self.report = report
