"""A user's own pulse measurements: what was applied to one device, and what it read afterwards."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hwlearn.circuit.topology import FloatArray, IntArray
from hwlearn.errors import DataError, UnitError
from hwlearn.units import parse_quantity

_COLUMNS: Final = {"pulse": "", "amplitude": "V", "width": "s", "conductance": "S"}


@dataclass(frozen=True, eq=False, slots=True)
class PulseData:
    """Readings of one device between pulses.

    Parameters
    ----------
    number : ndarray of int, shape (n,)
        Number of the last pulse before each reading, rising. Where it rises by more than one, all pulses since
        the reading before were like the last.
    amplitude, width : ndarray, shape (n,)
        Volts (positive to SET) and seconds of that pulse; the first row's count for nothing.
    conductance : ndarray, shape (n,)
        Siemens read.

    Raises
    ------
    DataError
        If shapes differ, values are not finite, numbers do not rise or a conductance is not positive.
    """

    number: IntArray
    amplitude: FloatArray
    width: FloatArray
    conductance: FloatArray

    def __post_init__(self) -> None:
        columns = (self.number, self.amplitude, self.width, self.conductance)
        if len({np.shape(column) for column in columns}) != 1 or np.ndim(self.number) != 1:
            raise DataError("pulse data needs four columns of equal length")
        if len(self.number) < 10:
            raise DataError(f"pulse data has {len(self.number)} readings; at least 10 are needed")
        if not all(np.isfinite(column).all() for column in columns):
            raise DataError("pulse data holds values that are not finite")
        if (np.diff(self.number) < 1).any():
            k = int(np.flatnonzero(np.diff(self.number) < 1)[0]) + 1
            raise DataError(
                f"pulse numbers must rise; reading {k} has {self.number[k]} after {self.number[k - 1]}"
            )
        if (self.conductance <= 0).any() or (self.width[1:] <= 0).any():
            raise DataError("conductances and widths of pulse data must be positive")

    @property
    def repeats(self) -> IntArray:
        """Pulses (n - 1,) between successive readings."""
        return np.diff(self.number)

    @property
    def up(self) -> NDArray[np.bool_]:
        """Which readings (n - 1,), the first left out, follow SET pulses."""
        return np.asarray(self.amplitude[1:] > 0)


def read_pulse_data(path: str | Path) -> PulseData:
    """Read a CSV file with the columns ``pulse``, ``amplitude``, ``width`` and ``conductance``.

    Parameters
    ----------
    path : str or Path
        The file. The first line names the columns, in any order; a unit may follow in the name
        (``amplitude_V``, ``width (s)``) or in the cells (``50 us``, ``12 uS``); other columns are ignored.

    Raises
    ------
    DataError
        If the file cannot be read, lacks a column, or a cell is no quantity; the line is named.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read pulse data from {path}: {error}") from error
    if not rows:
        raise DataError(f"{path} is empty; its first line must name the columns {', '.join(_COLUMNS)}")
    place = _places(rows[0], path)
    values: dict[str, list[float]] = {name: [] for name in _COLUMNS}
    for line, row in enumerate(rows[1:], start=2):
        for name, unit in _COLUMNS.items():
            try:
                cell = row[place[name]].strip()
                values[name].append(parse_quantity(cell, unit) if unit else float(int(cell)))
            except (IndexError, ValueError, UnitError) as error:
                raise DataError(
                    f"line {line} of {path}: no {name} in {unit or 'whole numbers'} ({error})"
                ) from error
    return PulseData(
        np.array(values["pulse"], dtype=np.int64),
        np.array(values["amplitude"]),
        np.array(values["width"]),
        np.array(values["conductance"]),
    )


def _places(header: Sequence[str], path: str | Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for k, title in enumerate(header):
        for name, unit in _COLUMNS.items():
            plain = title.strip().lower()
            if plain in (name, f"{name}_{unit.lower()}", f"{name} ({unit.lower()})", f"{name} [{unit.lower()}]"):
                found[name] = k
    missing = [name for name in _COLUMNS if name not in found]
    if missing:
        raise DataError(f"{path} has no column {missing[0]}; it needs {', '.join(_COLUMNS)}")
    return found
