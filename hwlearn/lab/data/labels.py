"""Class labels: from the text or numbers in a file to class numbers from 0; what cannot be a label is refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hwlearn.arrays import IntArray
from hwlearn.errors import DataError
from hwlearn.storage.text_file import visible
from hwlearn.tables.numbers import is_valid, number

MISSING: Final = frozenset(
    {"", "-", "?", "na", "n/a", "#n/a", "#na", "<na>", "nan", "+nan", "-nan", "null", "none", "nat"}
)
"""Cells, in lower case, that programs write for a missing value."""

MOST_CLASSES: Final = 1000
"""More labels are dates or identifiers."""

_ALLOWED: Final = "labels are whole numbers or text, one for each row"


@dataclass(frozen=True)
class Labels:
    """Checked labels.

    Attributes
    ----------
    classes : tuple of str
        The classes: numbers in numerical order, or text in alphabetical order.
    numbers : ndarray of int, shape (S,)
        Number from 0 of the class of each row.
    """

    classes: tuple[str, ...]
    numbers: IntArray


def text_labels(cells: Sequence[str], lines: IntArray, decimal: str, where: str) -> Labels:
    """Return the labels in a column of text.

    Parameters
    ----------
    cells : sequence of str
        One label for each row.
    lines : ndarray of int, shape (S,)
        Line of each row, for errors.
    decimal : str
        Decimal character of numbers.
    where : str
        The file in errors.

    Raises
    ------
    DataError
        If a cell is empty or marks a missing value, one label is written in two ways (``1`` and ``1.0``), some
        labels are numbers and others text, a number is not whole, or there is only one class. The line is named.
    """
    first: dict[str, int] = {}
    for cell, line in zip(cells, lines.tolist(), strict=True):
        first.setdefault(cell, line)
    for cell, line in first.items():
        if cell.casefold() in MISSING:
            raise DataError(f"{where}, line {line}: the label {cell!r} marks a missing value; {_ALLOWED}")
    _refuse_identifiers(len(first), cells[0], where)
    values = {cell: number(cell, decimal) for cell in first}
    numeric = [cell for cell, value in values.items() if value is not None]
    texts = [cell for cell, value in values.items() if value is None]
    if numeric and texts:
        rarer = min(numeric, texts, key=len)
        other = numeric if rarer is texts else texts
        raise DataError(
            f"{where}, line {first[rarer[0]]}: of the labels {rarer[0]!r} and {other[0]!r} (line "
            f"{first[other[0]]}) one is text and one a number; labels are all numbers or all text"
        )
    for cell in numeric:
        value = values[cell]
        if value is None or not is_valid(value) or value != math.floor(value):
            raise DataError(
                f"{where}, line {first[cell]}: the label {cell!r} is no whole number; {_ALLOWED}. "
                "Quantities to be learned belong in data.target_columns"
            )
    _refuse_second_spelling(first, values, where)
    classes = sorted(first, key=lambda cell: (values[cell] or 0.0, cell))
    _refuse_one_class(classes, len(cells), where)
    number_of = {cell: k for k, cell in enumerate(classes)}
    return Labels(tuple(classes), np.array([number_of[cell] for cell in cells], dtype=np.int64))


def array_labels(labels: NDArray[Any], where: str) -> Labels:
    """Return the labels in an array of whole numbers, or of text; classes are those that occur.

    Raises
    ------
    DataError
        If the array has not one axis, a number is negative or not whole, or as `text_labels`.
    """
    if labels.ndim != 1:
        raise DataError(f"{where}: labels must be class numbers, one for each sample, got shape {labels.shape}")
    if labels.dtype.kind == "U":
        cells = [str(cell).strip() for cell in labels]
        return text_labels(cells, np.arange(len(cells)), ".", f"{where}: labels")
    wrong = np.flatnonzero(~((labels >= 0) & (labels == np.floor(labels)) & np.isfinite(labels)))
    if wrong.size:
        raise DataError(
            f"{where}: label {labels[wrong[0]]} of row {wrong[0]} is no class number; "
            "allowed are whole numbers from 0"
        )
    classes, numbers = np.unique(labels, return_inverse=True)
    _refuse_identifiers(len(classes), str(classes[0]), where)
    names = [str(int(value)) for value in classes]
    _refuse_one_class(names, len(labels), where)
    return Labels(tuple(names), numbers.astype(np.int64).reshape(-1))


def _refuse_identifiers(classes: int, example: str, where: str) -> None:
    if classes > MOST_CLASSES:
        raise DataError(
            f"{where}: {classes} different labels, such as {example!r}: these are dates or identifiers, not "
            f"classes; at most {MOST_CLASSES} classes are read"
        )


def _refuse_second_spelling(first: dict[str, int], values: dict[str, float | None], where: str) -> None:
    """Refuse two ways to write one label: ``1`` and ``1.0``, or letters that look the same."""
    known: dict[object, str] = {}
    for cell, line in first.items():
        value = values[cell]
        same = known.setdefault(visible(cell) if value is None else value, cell)
        if same != cell:
            raise DataError(
                f"{where}, line {line}: the label {cell!a} is {same!a} of line {first[same]} in another "
                "spelling; write it in one way"
            )


def _refuse_one_class(classes: Sequence[str], rows: int, where: str) -> None:
    if len(classes) < 2:
        raise DataError(
            f"{where}: all {rows} rows have the label {classes[0]!r}; a classification needs at least two classes"
        )
