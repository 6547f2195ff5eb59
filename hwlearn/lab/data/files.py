"""Read features and targets from files; of NPZ files, sizes are checked before anything is decompressed."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from hwlearn.arrays import FloatArray
from hwlearn.errors import DataError
from hwlearn.lab.data.features import Features, Selection
from hwlearn.lab.data.labels import array_labels
from hwlearn.lab.data.table_features import read_csv
from hwlearn.tables.numbers import OVERFLOW

__all__ = ["MAX_NPZ_BYTES", "read_csv", "read_npz"]

MAX_NPZ_BYTES: Final = 1 << 30
"""Maximum size of the arrays of an NPZ file: bytes in the file, decompressed, and bytes as float64 (1 GiB)."""


def read_npz(path: Path, selection: Selection | None = None) -> Features:
    """Read an NPZ file with ``inputs`` (S, F) and either ``labels`` (S,) or ``targets`` (S, n_out).

    Parameters
    ----------
    path : Path
    selection : Selection, optional
        Columns of ``inputs``, by number. What is stated about a dialect is not used.

    Raises
    ------
    DataError
        If an array is missing, has another shape, or has values that are not finite numbers below 9.8e37, or the
        arrays need more than `MAX_NPZ_BYTES`. Sizes are read before anything is decompressed.
    """
    selection = Selection() if selection is None else selection
    arrays = _arrays(path)
    if "labels" in arrays and "targets" in arrays:
        raise DataError(f"data file {path} has 'labels' and 'targets'; it must have one of them")
    wanted = "labels" if "labels" in arrays else "targets"
    for name in ("inputs", wanted):
        if name not in arrays:
            raise DataError(
                f"data file {path} needs 'inputs' and either 'labels' or 'targets'; it has {sorted(arrays)}"
            )
        _check_type(path, name, arrays[name])
    inputs, targets = arrays["inputs"], arrays[wanted]
    if inputs.ndim != 2 or targets.ndim not in (1, 2) or len(targets) != len(inputs) or not len(inputs):
        raise DataError(
            f"data file {path}: inputs must have shape (samples, features), and {wanted} as many samples"
        )
    columns = _columns(path, inputs.shape[1], selection)
    values = _numbers(path, "inputs", inputs)
    values = values if columns is None else values[:, columns]
    shown = f"NPZ, {len(values)} samples, {values.shape[1]} features"
    if wanted == "targets":
        return Features(values, _numbers(path, wanted, targets).reshape(len(values), -1), understood=(shown,))
    labels = array_labels(targets, f"data file {path}")
    return Features(values, labels.numbers, labels.classes, understood=(shown,))


def _arrays(path: Path) -> Mapping[str, NDArray[Any]]:
    """Return the arrays of a file that are not too large."""
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
            return {name: np.asarray(stored[name]) for name in stored.files}
    except DataError:
        raise
    except (
        OSError, EOFError, ValueError, TypeError, BadZipFile, NotImplementedError, RuntimeError, MemoryError,
        zlib.error,
    ) as error:  # fmt: skip
        raise DataError(f"data file {path} is not a readable .npz file: {error}") from error


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


def _check_type(path: Path, name: str, array: NDArray[Any]) -> None:
    """Refuse an array that is neither numeric nor, for labels, text."""
    if array.dtype.kind not in ("iufU" if name == "labels" else "iuf"):
        allowed = "numbers or text" if name == "labels" else "numbers"
        raise DataError(
            f"data file {path}: array {name!r} has the type {array.dtype}, which is not numeric; "
            f"it must hold {allowed}"
        )


def _numbers(path: Path, name: str, array: NDArray[Any]) -> FloatArray:
    """Return an array as float64, or name the first element that is no number or does not fit."""
    values = np.asarray(array, dtype=np.float64)
    wrong = np.flatnonzero(~(np.abs(values) < OVERFLOW))
    why = "which is not a finite number, or a code of instruments for one"
    if array.dtype.kind in "iu" and not wrong.size:
        wrong = np.flatnonzero(np.abs(values) >= 2.0**53)
        why = "which float64 does not hold exactly"
    if wrong.size:
        place = np.unravel_index(int(wrong[0]), values.shape)
        where = "row " + ", column ".join(str(int(k)) for k in place)
        raise DataError(f"data file {path}: array {name!r} has {array[place]} in {where}, {why}")
    return values


def _columns(path: Path, width: int, selection: Selection) -> Sequence[int] | None:
    """Return the numbers of the chosen features; None for all."""
    chosen = [*(selection.columns or ()), *selection.drop]
    if not chosen and selection.columns is None:
        return None
    numbers = [k for k in chosen if isinstance(k, int) and -width <= k < width]
    if len(numbers) < len(chosen) or len({k % width for k in numbers}) < len(chosen) or not chosen:
        raise DataError(
            f"data file {path}: data.columns and data.drop of an .npz file are different numbers from 0 to "
            f"{width - 1}, got {chosen}"
        )
    listed = [k % width for k in numbers]
    if selection.columns is not None:
        return listed
    kept = [k for k in range(width) if k not in listed]
    if not kept:
        raise DataError(f"data file {path}: data.drop leaves no feature")
    return kept
