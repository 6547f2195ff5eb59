"""Measured pulse data of one device: the applied pulses and the readings after them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from hwlearn.arrays import BoolArray, FloatArray, IntArray
from hwlearn.errors import DataError, UnitError
from hwlearn.tables import Stated, TableFile
from hwlearn.tables.numbers import is_valid, is_whole, number
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
    origin : str
        Dialect of the file and number of its rows, for a person.

    Raises
    ------
    DataError
        If shapes differ, values are not finite, numbers do not rise or a conductance is not positive.
    """

    number: IntArray
    amplitude: FloatArray
    width: FloatArray
    conductance: FloatArray
    origin: str = ""

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
        Other columns and lines that begin with ``#`` are ignored. The dialect is detected; see
        `hwlearn.tables.TableFile`.

    Raises
    ------
    DataError
        If the file cannot be read, a column is missing, or a cell is not a quantity; the error names the line.
    """
    table = TableFile(Path(path), "pulse data", Stated(header=True))
    place = _places([title.text for title in table.titles or ()], path)
    read = table.read([], [column for column, _ in place.values()])
    values: dict[str, list[float]] = {name: [] for name in _COLUMNS}
    for name, cells in zip(place, read.texts, strict=True):
        unit, written = _COLUMNS[name], place[name][1]
        for line, cell in zip(read.lines.tolist(), cells, strict=True):
            try:
                values[name].append(_value(_with_point(cell, table.dialect.decimal), unit, written))
            except (ValueError, UnitError) as error:
                wanted = unit or "integers"
                raise DataError(f"line {line} of {path}: no {name} in {wanted} ({error})") from None
    return PulseData(
        np.array(values["pulse"], dtype=np.int64),
        np.array(values["amplitude"]),
        np.array(values["width"]),
        np.array(values["conductance"]),
        f"{table.dialect}, {len(read.lines)} rows from line {read.lines[0]}",
    )


def _with_point(cell: str, decimal: str) -> str:
    """Return a cell with a decimal point."""
    if decimal == "," and "." in cell:
        raise ValueError(f"{cell!r} has a decimal point, but the first rows have decimal commas")
    return cell.replace(decimal, ".")


def _value(cell: str, unit: str, written: str) -> float:
    """Return a cell in the base unit; a unit in the cell overrides the unit of the column."""
    if not unit:
        if not is_whole(cell) or abs(int(cell)) > 2**53:
            raise ValueError(f"{cell!r} is no whole number below 2**53")
        return float(int(cell))
    value = parse_quantity(cell if number(cell, ".") is None else f"{cell} {written}", unit)
    if not is_valid(value):
        raise ValueError(f"{cell!r} is a code of instruments for overflow or no reading; leave the row out")
    return value


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
