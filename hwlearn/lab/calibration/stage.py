"""What a step of a calibration stands on, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.calibrated.sections import RecordSection
from hwlearn.network.network import Network

_LEAST_NOISE: Final = 1e-6  # relative to limits.voltage; what states no noise at all is not believed to have none


@dataclass(frozen=True)
class Row:
    """One line of the table of what was found."""

    what: str
    value: str
    uncertainty: str = ""


@dataclass(frozen=True)
class Found:
    """What a step found.

    Attributes
    ----------
    step : str
    trusted : bool or None
        None: this bench cannot show it.
    verdict : str
        Whether to trust it, in one line.
    rows : tuple of Row
    sections : mapping of str to RecordSection
        What goes into the record.
    figure : Path or None
    """

    step: str
    trusted: bool | None
    verdict: str
    rows: tuple[Row, ...]
    sections: dict[str, RecordSection]
    figure: Path | None


@dataclass(frozen=True)
class Stage:
    """What a step stands on.

    Attributes
    ----------
    network : Network
        Raw: its numbers are nominal.
    record : CalibrationRecord
        What is known by now.
    path : Path
        Of the record; figures and the covariance lie beside it.
    configurations, patterns, seed : int
    settle_s : float or None
        How long the bench waits before a reading, if it says so.
    nudge_siemens : float or None
        The known conductance of resistor drives.
    dac_step_V : float or None
        Step of the converters that make the voltages, if the bench says so.
    devices : int
        How many single devices the step ``pulses`` pulses; 0 for all.
    retention_s : float
        How long it watches them.
    progress : callable
        Told parts done, and of how many.
    """

    network: Network
    record: CalibrationRecord
    path: Path
    configurations: int
    patterns: int
    seed: int
    settle_s: float | None
    nudge_siemens: float | None
    dac_step_V: float | None
    devices: int
    retention_s: float
    progress: Callable[[int, int], None]

    def beside(self, name: str) -> Path:
        """Return a path beside the record's, such as ``calibration-edges.png``."""
        return self.path.with_name(f"{self.path.stem}-{name}")

    def read_sigma(self) -> float:
        """Return the standard deviation of one reading: as measured, else as stated."""
        noise = self.record.noise
        top, limits = self.network.topology, self.network.limits
        if noise is not None:
            sigma = float(np.sqrt(np.mean(noise.reading_sigma_V**2)))
        else:
            sigma = self.network.measure(np.zeros((1, top.n_inputs))).voltage_sigma
        return max(sigma, _LEAST_NOISE * limits.voltage)
