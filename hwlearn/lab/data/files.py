"""Read features and targets from CSV and NPZ files; errors name file, line and column."""

from __future__ import annotations

import csv
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.errors import DataError

MAX_NPZ_BYTES: Final = 1 << 30
"""Maximum size of the arrays of an NPZ file: bytes in the file, decompressed, and bytes as float64 (1 GiB)."""


@dataclass(frozen=True, eq=False)
class Features:
    """Features and targets of a data set, before encoding.

    Attributes
    ----------
    values : ndarray, shape (S, F)
        Features.
    targets : ndarray
        Class numbers (S,) or target volts (S, n_out).
    classes : tuple of str
        Names of the classes; empty for target volts.
    ranges : sequence of [low, high], optional
        Known range of each feature, or one for all.
    """

    values: FloatArray
    targets: FloatArray | IntArray
    classes: tuple[str, ...] = ()
    ranges: Sequence[Sequence[float]] | None = None


def read_npz(path: Path) -> Features:
    """Read an NPZ file with ``inputs`` (S, F) and either ``labels`` (S,) or ``targets`` (S, n_out) in volts.

    Raises
    ------
    DataError
        If an array is missing, has another shape, or has values that are not finite numbers, or the arrays need
        more than `MAX_NPZ_BYTES`. Sizes are read before anything is decompressed.
    """
    try:
        # numpy would load a file in NPY format as a bare array
        with path.open("rb") as file, ZipFile(file) as archive:
            size = sum(_array_bytes(archive, member) for member in archive.infolist())
        if size > MAX_NPZ_BYTES:
            raise DataError(
                f"data file {path}: its arrays need {size / 2**30:.3g} GiB as float64; at most "
                f"{MAX_NPZ_BYTES / 2**30:g} GiB is read: use fewer samples or features"
            )
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: np.asarray(stored[name]) for name in stored.files}
    except DataError:
        raise
    except (OSError, EOFError, ValueError, BadZipFile, NotImplementedError, RuntimeError, zlib.error) as error:
        raise DataError(f"data file {path} is not a readable .npz file: {error}") from error
    wanted = "labels" if "labels" in arrays else "targets"
    for name in ("inputs", wanted):
        if name not in arrays:
            raise DataError(
                f"data file {path} needs 'inputs' and either 'labels' or 'targets'; it has {sorted(arrays)}"
            )
        if arrays[name].dtype.kind not in "iuf":
            raise DataError(
                f"data file {path}: array {name!r} has the type {arrays[name].dtype}, which is not numeric"
            )
        if not np.isfinite(arrays[name]).all():
            raise DataError(f"data file {path}: array {name!r} contains NaN or infinity")
    inputs, targets = arrays["inputs"].astype(np.float64), arrays[wanted]
    if inputs.ndim != 2 or targets.ndim not in (1, 2) or len(targets) != len(inputs) or not len(inputs):
        raise DataError(
            f"data file {path}: inputs must have shape (samples, features), and {wanted} as many samples"
        )
    if wanted == "targets":
        return Features(inputs, targets.astype(np.float64).reshape(len(inputs), -1))
    labels = targets.astype(np.int64)
    if labels.ndim != 1 or (labels != targets).any() or labels.min() < 0:
        raise DataError(f"data file {path}: labels must be class numbers 0, 1, 2, ..., one for each sample")
    return Features(inputs, labels, tuple(str(c) for c in range(int(labels.max()) + 1)))


def _array_bytes(archive: ZipFile, member: ZipInfo) -> int:
    """Return the bytes that an array needs, decompressed or as float64, from the archive and the array's header.

    Both are checked because they may disagree: numpy allocates what the header declares.
    """
    if member.file_size > MAX_NPZ_BYTES:
        return member.file_size
    with archive.open(member) as file:
        if file.read(len(np.lib.format.MAGIC_PREFIX)) != np.lib.format.MAGIC_PREFIX:
            return member.file_size  # not an array, whatever its name is
        file.seek(0)
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = read(file)
    return max(member.file_size, math.prod(shape) * max(kind.itemsize, 8))


def read_csv(path: Path, label_column: str | int | None, target_columns: Sequence[str | int] | None) -> Features:
    """Read a CSV file, separated by commas or semicolons, with or without a header.

    Parameters
    ----------
    path : Path
    label_column : str or int, optional
        Column (header, or number from 0) with the class of each row, as text or number.
    target_columns : sequence of str or int, optional
        Columns of target volts. Give either this or ``label_column``; all other columns are features.

    Raises
    ------
    DataError
        If a column does not exist, a row has another number of columns, or a cell is not a finite number; the
        message names file, line and column.
    """
    if (label_column is None) == (target_columns is None):
        raise DataError(f"data file {path}: give either data.label_column or data.target_columns")
    table = _CsvTable.read(path)
    if label_column is not None:
        target = table.column(label_column)
        classes, labels = _numbered(table.text(target))
        return Features(table.numbers(table.columns_except([target])), labels, classes)
    targets = [table.column(name) for name in target_columns or []]
    return Features(table.numbers(table.columns_except(targets)), table.numbers(targets))


@dataclass(frozen=True)
class _CsvTable:
    """Cells of a CSV file below its header, all rows of equal length."""

    path: Path
    header: Sequence[str] | None
    lines: Sequence[int]
    rows: Sequence[Sequence[str]]

    @classmethod
    def read(cls, path: Path) -> _CsvTable:
        lines, rows = _cells(path)
        width = len(rows[0])
        for line, row in zip(lines, rows, strict=True):
            if len(row) != width:
                raise DataError(f"data file {path}, line {line}: {len(row)} columns, the first row has {width}")
        # a first row of text and numbers, or with a text twice, is data: its text cell is named later
        if any(_is_number(cell) for cell in rows[0]) or len(set(rows[0])) < width:
            return cls(path, None, lines, rows)
        if len(rows) == 1:
            raise DataError(f"data file {path} has a header but no rows")
        return cls(path, rows[0], lines[1:], rows[1:])

    def column(self, name: str | int) -> int:
        """Return the number from 0 of a column given by its header or number."""
        if isinstance(name, str):
            if self.header is None or name not in self.header:
                known = "no header" if self.header is None else f"the columns are: {', '.join(self.header)}"
                raise DataError(f"data file {self.path} has no column {name!r}; {known}")
            return self.header.index(name)
        width = len(self.rows[0])
        if not -width <= name < width:
            raise DataError(f"data file {self.path} has no column {name}; it has {width}, numbered from 0")
        return name % width

    def columns_except(self, targets: Sequence[int]) -> list[int]:
        """Return the numbers of the feature columns."""
        columns = [k for k in range(len(self.rows[0])) if k not in targets]
        if not columns:
            raise DataError(f"data file {self.path}: every column is a target, no feature column is left")
        return columns

    def text(self, column: int) -> list[str]:
        """Return a column as text."""
        return [row[column] for row in self.rows]

    def numbers(self, columns: Sequence[int]) -> FloatArray:
        """Return columns as numbers (S, columns)."""
        return np.array(
            [
                [self._number(line, row[k], k) for k in columns]
                for line, row in zip(self.lines, self.rows, strict=True)
            ]
        )

    def _number(self, line: int, cell: str, column: int) -> float:
        if not _is_number(cell) or not math.isfinite(float(cell)):
            name = f"{column}" if self.header is None else f"{column} ({self.header[column]})"
            raise DataError(f"data file {self.path}, line {line}, column {name}: {cell!r} is not a finite number")
        return float(cell)


def _numbered(names: Sequence[str]) -> tuple[tuple[str, ...], IntArray]:
    """Return the classes, numbers in numerical order before text, and the class number of each name (S,)."""
    classes = sorted(set(names), key=lambda name: (float(name), "") if _is_number(name) else (math.inf, name))
    number_of = {name: k for k, name in enumerate(classes)}
    return tuple(classes), np.array([number_of[name] for name in names], dtype=np.int64)


def _cells(path: Path) -> tuple[list[int], list[list[str]]]:
    """Return the line numbers and cells of all rows that are not empty."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"data file {path} cannot be read as text: {error}") from error
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = ";" if first.count(";") > first.count(",") else ","
    lines, rows = [], []
    reader = csv.reader(text.splitlines(), delimiter=delimiter)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                lines.append(reader.line_num)
                rows.append(cells)
    except csv.Error as error:
        raise DataError(f"data file {path}, line {reader.line_num}: {error}") from error
    if not rows:
        raise DataError(f"data file {path} is empty")
    return lines, rows


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # float() accepts 1_000, which no CSV file means as a number
