"""Measured pulse data of one device: the applied pulses and the readings after them."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.errors import DataError, UnitError
from hwlearn.units import parse_quantity

_TITLE: Final = re.compile(r"([A-Za-z]+)(?:[ _]*[(\[ _/]\s*([^\s)\]]+)\s*[)\]]?)?")
_COLUMNS: Final = {"pulse": "", "amplitude": "V", "width": "s", "conductance": "S"}


@dataclass(frozen=True, eq=False, slots=True)
class PulseData:
    """Readings of one device between pulses.

    Parameters
    ----------
    number : ndarray of int, shape (n,)
        Number of the last pulse before each reading, rising. If it rises by more than one, all pulses since the
        previous reading were equal.
    amplitude, width : ndarray, shape (n,)
        Volts (positive to SET) and seconds of that pulse; the first values are not used.
    conductance : ndarray, shape (n,)
        Readings in siemens.

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
    def up(self) -> BoolArray:
        """Which readings (n - 1,), without the first, follow SET pulses."""
        return np.asarray(self.amplitude[1:] > 0)


def read_pulse_data(path: str | Path) -> PulseData:
    """Read a CSV file with the columns ``pulse``, ``amplitude``, ``width`` and ``conductance``.

    Parameters
    ----------
    path : str or Path
        The file. The first line names the columns, in any order. A unit may be part of the name
        (``amplitude_mV``, ``width (us)``) or of the cells (``50 us``, ``12 uS``); the defaults are V, s and S.
        Other columns and lines that begin with ``#`` are ignored. The columns are separated by commas, tabs or
        semicolons; with semicolons, decimal commas are accepted.

    Raises
    ------
    DataError
        If the file cannot be read, a column is missing, or a cell is not a quantity; the error names the line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read pulse data from {path}: {error}") from error
    lines = [(k, line) for k, line in enumerate(text.splitlines(), start=1) if _has_content(line)]
    if not lines:
        raise DataError(f"{path} is empty; its first line must name the columns {', '.join(_COLUMNS)}")
    separator = max(",;\t", key=lines[0][1].count)
    rows = list(csv.reader((line for _, line in lines), delimiter=separator))
    place = _places(rows[0], path)
    values: dict[str, list[float]] = {name: [] for name in _COLUMNS}
    for (line, _), row in zip(lines[1:], rows[1:], strict=True):
        for name, unit in _COLUMNS.items():
            column, written = place[name]
            try:
                cell = row[column].strip()
                values[name].append(_value(cell.replace(",", ".") if separator == ";" else cell, unit, written))
            except (IndexError, ValueError, UnitError) as error:
                raise DataError(f"line {line} of {path}: no {name} in {unit or 'integers'} ({error})") from error
    return PulseData(
        np.array(values["pulse"], dtype=np.int64),
        np.array(values["amplitude"]),
        np.array(values["width"]),
        np.array(values["conductance"]),
    )


def _has_content(line: str) -> bool:
    return bool(line.strip(" ,;\t")) and not line.lstrip().startswith("#")


def _value(cell: str, unit: str, written: str) -> float:
    """Return a cell in the base unit; a unit in the cell overrides the unit of the column."""
    if not unit:
        return float(int(cell))
    try:
        float(cell)
    except ValueError:
        return parse_quantity(cell, unit)
    return parse_quantity(f"{cell} {written}", unit)


def _places(header: Sequence[str], path: str | Path) -> dict[str, tuple[int, str]]:
    """Return the index of each column and the unit of its plain numbers."""
    found: dict[str, tuple[int, str]] = {}
    for k, title in enumerate(header):
        parts = _TITLE.fullmatch(title.strip())
        if parts is None or parts[1].lower() not in _COLUMNS:
            continue
        name, unit = parts[1].lower(), _COLUMNS[parts[1].lower()]
        written = parts[2] or unit
        if unit:
            try:
                parse_quantity(f"1 {written}", unit)
            except UnitError as error:
                raise DataError(
                    f"{path}: the unit of the column {title.strip()!r} is unknown ({error})"
                ) from error
        found[name] = (k, written)
    missing = [name for name in _COLUMNS if name not in found]
    if missing:
        raise DataError(f"{path} has no column {missing[0]}; it needs {', '.join(_COLUMNS)}")
    return found
