"""`StepContext`: everything that a step of a calibration needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.calibration.noise import HOLD, READINGS
from hwlearn.lab.calibration.job import CalibrationJob, CalibrationOptions
from hwlearn.network.network import Network

_LEAST_NOISE: Final = 1e-6  # relative to limits.voltage; a bench that states no noise is not free of it


@dataclass(frozen=True)
class StepContext:
    """Inputs of a calibration step: network, options, earlier results and paths.

    Attributes
    ----------
    network : Network
        Uncalibrated: its numbers are nominal.
    record : CalibrationRecord
        Results so far.
    path : Path
        Record file; figures and the covariance are kept beside it.
    options : CalibrationOptions
    nudge_siemens : ndarray, shape (n_out,), or None
        Known conductances of resistor nudges.
    progress : callable
        Called with the parts done and their number.
    """

    network: Network
    record: CalibrationRecord
    path: Path
    options: CalibrationOptions
    nudge_siemens: FloatArray | None
    progress: Callable[[int, int], None]

    @classmethod
    def of(
        cls,
        job: CalibrationJob,
        network: Network,
        record: CalibrationRecord,
        progress: Callable[[int, int], None],
    ) -> Self:
        """Return the context of a step; nudge conductances come from the hardware if it knows them."""
        siemens = network.nudge_siemens
        if siemens is None and job.nudge_siemens is not None:
            siemens = np.full(network.topology.n_outputs, job.nudge_siemens)
        return cls(network, record, job.path, job.options, siemens, progress)

    @property
    def settle_s(self) -> float | None:
        """Wait in seconds before a reading; None if it is unknown or zero."""
        return self.network.settle_s or None

    @property
    def drives_outputs(self) -> bool:
        """Whether the output DACs can be calibrated: by clamps, or by resistor nudges of known conductance."""
        nudges = self.network.nudges
        return "clamp" in nudges or ("resistor" in nudges and self.nudge_siemens is not None)

    def beside(self, name: str) -> Path:
        """Return a path beside the record's, such as ``calibration-edges.png``."""
        return self.path.with_name(f"{self.path.stem}-{name}")

    def read_sigma(self) -> float:
        """Return the standard deviation of one reading in volts: as measured, else as the hardware states it."""
        noise = self.record.noise
        top, limits = self.network.topology, self.network.limits
        if noise is not None:
            sigma = float(np.sqrt(np.mean(noise.reading_sigma_V**2)))
        else:
            sigma = self.network.measure(np.zeros((1, top.n_inputs))).voltage_sigma
        return max(sigma, _LEAST_NOISE * limits.voltage)

    def noise_readings(self, outputs: int) -> float | None:
        """Return the number of readings from which the noise of so many outputs was estimated; None: stated."""
        return None if self.record.noise is None else float(outputs * (READINGS - HOLD))
