"""Tables of numbers from CSV and NPZ files; what is no number is named by file, line and column."""

from __future__ import annotations

import csv
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.errors import DataError


@dataclass(frozen=True, eq=False)
class Features:
    """A table of numbers before encoding: features (S, F) and class numbers (S,) or target volts (S, n_out)."""

    values: FloatArray
    targets: FloatArray | IntArray
    classes: tuple[str, ...] = ()
    ranges: Sequence[Sequence[float]] | None = None


def read_npz(path: Path) -> Features:
    """Read features ``inputs`` (S, F) with class numbers ``labels`` (S,) or volts ``targets`` (S, n_out).

    Raises
    ------
    DataError
        If an array is missing, of another shape, or holds anything but finite numbers.
    """
    try:
        # an .npy file of this name would load as a bare array
        with path.open("rb") as file, ZipFile(file), np.load(path, allow_pickle=False) as stored:
            arrays = {name: np.asarray(stored[name]) for name in stored.files}
    except (OSError, EOFError, ValueError, BadZipFile, zlib.error) as error:
        raise DataError(f"data file {path} is not a readable .npz file: {error}") from error
    wanted = "labels" if "labels" in arrays else "targets"
    for name in ("inputs", wanted):
        if name not in arrays:
            raise DataError(
                f"data file {path} must hold 'inputs' and 'targets' or 'labels'; it holds {sorted(arrays)}"
            )
        if arrays[name].dtype.kind not in "iuf":
            raise DataError(f"data file {path}: array {name!r} holds {arrays[name].dtype}, not numbers")
        if not np.isfinite(arrays[name]).all():
            raise DataError(f"data file {path}: array {name!r} contains NaN or infinity")
    inputs, targets = arrays["inputs"].astype(np.float64), arrays[wanted]
    if inputs.ndim != 2 or targets.ndim not in (1, 2) or len(targets) != len(inputs) or not len(inputs):
        raise DataError(f"data file {path}: inputs must be (samples, features) with as many {wanted}")
    if wanted == "targets":
        return Features(inputs, targets.astype(np.float64).reshape(len(inputs), -1))
    labels = targets.astype(np.int64)
    if labels.ndim != 1 or (labels != targets).any() or labels.min() < 0:
        raise DataError(f"data file {path}: labels must be whole class numbers from 0, one a sample")
    return Features(inputs, labels, tuple(str(c) for c in range(int(labels.max()) + 1)))


def read_csv(path: Path, label_column: str | int | None, target_columns: Sequence[str | int] | None) -> Features:
    """Read a CSV file (comma or semicolon) whose last columns, or named ones, are the targets.

    Parameters
    ----------
    path : Path
    label_column : str or int, optional
        Column (by header or number from 0) that names each row's class, as text or number.
    target_columns : sequence of str or int, optional
        Columns of target volts. One of the two must be given.

    Raises
    ------
    DataError
        Naming file, line and column of a cell that is no finite number, a row with another number of
        columns, or a column that does not exist.
    """
    if (label_column is None) == (target_columns is None):
        raise DataError(f"data file {path}: give either data.label_column or data.target_columns")
    lines, rows = _cells(path)
    header = None if all(_is_number(cell) for cell in rows[0]) else rows[0]
    if header is not None and (len(set(header)) < len(header) or any(_is_number(cell) for cell in header)):
        header = None  # a first row of mixed cells is data, and its text cell is named below
    body = list(zip(lines, rows, strict=True))[header is not None :]
    if not body:
        raise DataError(f"data file {path} has a header but no rows")
    width = len(rows[0])
    for line, row in body:
        if len(row) != width:
            raise DataError(f"data file {path}, line {line}: {len(row)} columns, the first row has {width}")

    def column(wanted: str | int) -> int:
        if isinstance(wanted, str):
            if header is None or wanted not in header:
                known = "no header" if header is None else f"the columns are: {', '.join(header)}"
                raise DataError(f"data file {path} has no column {wanted!r}; {known}")
            return header.index(wanted)
        if not -width <= wanted < width:
            raise DataError(f"data file {path} has no column {wanted}; it has {width}, from 0")
        return wanted % width

    def number(line: int, row: list[str], k: int) -> float:
        cell = row[k]
        if not _is_number(cell) or not math.isfinite(float(cell)):
            name = f"{k} ({header[k]})" if header is not None else str(k)
            raise DataError(f"data file {path}, line {line}, column {name}: {cell!r} is not a finite number")
        return float(cell)

    apart = [column(c) for c in ([label_column] if label_column is not None else target_columns or [])]
    used = [k for k in range(width) if k not in apart]
    if not used:
        raise DataError(f"data file {path}: no column is left for the inputs")
    values = np.array([[number(line, row, k) for k in used] for line, row in body])
    if label_column is None:
        return Features(values, np.array([[number(line, row, k) for k in apart] for line, row in body]))
    names = [row[apart[0]] for _, row in body]
    classes = sorted(set(names), key=lambda name: (float(name), "") if _is_number(name) else (math.inf, name))
    number_of = {name: k for k, name in enumerate(classes)}
    labels: IntArray = np.array([number_of[name] for name in names], dtype=np.int64)
    return Features(values, labels, tuple(classes))


def _cells(path: Path) -> tuple[list[int], list[list[str]]]:
    """Return line numbers and cells of the rows that are not empty."""
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
    return "_" not in cell  # digits in groups are Python's, not a table's
