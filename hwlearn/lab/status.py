"""State of a bench without setting anything: its instruments, and the age of its calibration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwlearn.calibrated.record import CalibrationRecord
from hwlearn.errors import SetupError
from hwlearn.lab.bench.backends import find_backend, read_status
from hwlearn.lab.bench_file.file import read_tables
from hwlearn.network.backend import ReportsState
from hwlearn.network.reports import InstrumentReport


@dataclass(frozen=True)
class BenchStatus:
    """What is known of a bench.

    Attributes
    ----------
    bench, backend : str
        Name of the bench, and kind of its backend.
    instruments : tuple of InstrumentReport
    reports : bool
        Whether the backend can report its instruments.
    calibration : str
        Which record corrects the bench, and how old it is.
    """

    bench: str
    backend: str
    instruments: tuple[InstrumentReport, ...]
    reports: bool
    calibration: str

    @property
    def is_complete(self) -> bool:
        """Whether every instrument was read, or asked from its owner."""
        return self.reports and all(one.reported_by != "none" for one in self.instruments)


def bench_status(name_or_path: str | Path, overrides: Iterable[str] | Mapping[str, Any] = ()) -> BenchStatus:
    """Return the state of a bench, of which only ``[backend]`` and ``[calibration]`` are read; nothing is set.

    Parameters
    ----------
    name_or_path : str or Path
        As `open_bench` takes it.
    overrides : iterable of str, or mapping
        As `open_bench` takes it.

    Raises
    ------
    SetupError
        If the file cannot be read, or its ``[backend]`` table is wrong.
    NetworkError
        If the backend fails.
    """
    name, folder, tables = read_tables(name_or_path, overrides)
    table = tables.get("backend", {})
    backend, settings = find_backend(table, f"bench {name}")
    reports = isinstance(backend, ReportsState)
    found = read_status(backend, settings, f"bench {name}") if isinstance(backend, ReportsState) else []
    calibration = _calibration(folder, tables.get("calibration", {}))
    return BenchStatus(name, str(table["kind"]), tuple(found), reports, calibration)


def _calibration(folder: Path, table: Mapping[str, Any]) -> str:
    """Return which record a bench names, and how old it is."""
    named = table.get("file")
    if named is None:
        return "none: the bench file names no record"
    try:
        record = CalibrationRecord.load(folder / str(named))
    except SetupError as error:
        return str(error)
    done = ", ".join(record.made) or "no step"
    return f"{named}, {record.age().total_seconds() / 86400:.1f} days old ({done})"
