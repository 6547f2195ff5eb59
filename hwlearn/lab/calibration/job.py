"""`CalibrationJob`: hardware, record file and options of a calibration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from hwlearn.calibrated.record import identity
from hwlearn.circuit.topology import Topology
from hwlearn.errors import SetupError
from hwlearn.installed import version
from hwlearn.network.network import Network
from hwlearn.units import is_count, is_number

RECORD_NAME: Final = "calibration.toml"
"""Name of the record unless the bench file names another."""


@dataclass(frozen=True)
class CalibrationOptions:
    """Options of a calibration: how many configurations, patterns and devices to measure.

    Attributes
    ----------
    configurations : int
        Programmed configurations for the edges, and at most as many for the converters.
    patterns : int
        Input patterns measured in each configuration.
    seed : int
        Seed of all random choices; a resumed calibration needs the same.
    devices : int
        Number of single devices that the step ``pulses`` measures, drawn at random; 0 for all.
    retention_s : float
        How long the step ``pulses`` reads them after a SET, in seconds.

    Raises
    ------
    SetupError
        If a number is too small.
    """

    configurations: int = 16
    patterns: int = 24
    seed: int = 0
    devices: int = 8
    retention_s: float = 10.0

    def __post_init__(self) -> None:
        for name, least in (("configurations", 1), ("patterns", 1), ("seed", 0), ("devices", 0)):
            if not is_count(getattr(self, name), least):
                raise SetupError(f"{name} is {getattr(self, name)!r}; it must be a whole number, at least {least}")
        if not (is_number(self.retention_s) and self.retention_s > 0):
            raise SetupError(f"retention_s is {self.retention_s!r}; it must be positive")


@dataclass(frozen=True)
class CalibrationJob:
    """Hardware to calibrate, where the record goes, and how much to measure.

    Attributes
    ----------
    topology : Topology
        Circuit of the bench.
    open_network : callable
        Returns the uncalibrated network, opened at the first call; later calls return the same network.
    path : Path
        Record file; figures and the unfinished calibration are kept beside it.
    backend : str
        Kind of the backend.
    settings : mapping
        Settings of the backend as plain data; stored answers are valid for the same settings only.
    nudge_siemens : float or None
        Conductance of resistor nudges as the bench file states it, for hardware that does not know it.
    options : CalibrationOptions
    """

    topology: Topology
    open_network: Callable[[], Network]
    path: Path
    backend: str
    settings: Mapping[str, Any]
    nudge_siemens: float | None = None
    options: CalibrationOptions = field(default_factory=CalibrationOptions)

    @property
    def unfinished(self) -> Path:
        """Folder of an unfinished calibration."""
        return self.path.with_name(f"{self.path.stem}.unfinished")

    def facts(self) -> dict[str, Any]:
        """Return everything that answers of the hardware depend on, as plain data; opens the network."""
        network = self.open_network()
        limits = asdict(network.limits)
        del limits["values"]  # only conductances are calibrated
        return {
            "topology": network.topology.fingerprint,
            "instruments": [identity(name) for name in network.instruments],
            "backend": self.backend,
            "settings": dict(self.settings),
            "limits": {**limits, "conductance": list(network.limits.conductance)},
            "options": asdict(self.options),
            "package": version("hwlearn"),
        }
