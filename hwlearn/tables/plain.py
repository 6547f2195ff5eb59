"""Fast conversion of plain rows, thousands at a time; a row with anything unusual is left to the careful reader.

Two parsers of well-kept libraries do it, which round as ``float`` does: that of pydantic for numbers as JSON has
them, that of numpy for ``+1``, ``.5`` and ``007``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from pydantic_core import from_json

from hwlearn.arrays import FloatArray
from hwlearn.tables.dialect import WHITESPACE, Dialect
from hwlearn.tables.numbers import OVERFLOW

_JSON: Final = b"0123456789eE+-., \t"
_NEGATIVE_ZERO: Final = re.compile(rb"-0[,\] \t]")


def plain_numbers(rows: Sequence[str], dialect: Dialect, width: int, columns: Sequence[int]) -> FloatArray | None:
    """Return columns of numbers of some rows.

    Parameters
    ----------
    rows : sequence of str
        Lines without comments; no cell is quoted.
    dialect : Dialect
    width : int
        Number of columns.
    columns : sequence of int
        The columns wanted.

    Returns
    -------
    ndarray, shape (len(rows), len(columns)), or None
        None if a row has another number of columns, or a cell is not a number below 9.8e37 or has an underscore, a
        digit of another script, or the wrong decimal character.
    """
    delimiter = dialect.delimiter
    whole = "\n".join(rows)
    if "_" in whole or (dialect.decimal == "," and ("." in whole or delimiter == ",")):
        return None
    if delimiter == WHITESPACE:
        split = [line.split() for line in rows]
        if any(len(cells) != width for cells in split):
            return None
        rows, delimiter = [",".join(cells) for cells in split] if dialect.decimal == "." else rows, ","
        if dialect.decimal == ",":
            return None
    elif any(line.count(delimiter) != width - 1 for line in rows):
        return None
    table = _by_json(rows, delimiter, dialect.decimal, width, columns)
    if table is None:
        table = _by_numpy(rows, delimiter, dialect.decimal, columns)
    if table is None or table.shape != (len(rows), len(columns)) or not (np.abs(table) < OVERFLOW).all():
        return None
    return table


def _by_json(
    rows: Sequence[str], delimiter: str, decimal: str, width: int, columns: Sequence[int]
) -> FloatArray | None:
    """Return the numbers of rows that are arrays of JSON once commas separate their cells."""
    chosen, first = list(columns), 0
    if width - 1 not in chosen and width > 1:  # often the label, which may be text
        rows, width = [line.rpartition(delimiter)[0] for line in rows], width - 1
    if 0 not in chosen and width > 1:
        rows, width, first = [line.partition(delimiter)[2] for line in rows], width - 1, 1
    text = ",".join(rows) if delimiter == "," else "\n".join(rows)
    if decimal == ",":
        text = text.replace(",", ".")
    if delimiter != ",":
        text = text.replace(delimiter, ",").replace("\n", ",")
    if not text.isascii():
        return None
    raw = f"[{text}]".encode()
    if raw[1:-1].translate(None, _JSON):
        return None
    try:
        table = np.array(from_json(raw), dtype=np.float64)
    except (ValueError, OverflowError):
        return None
    # whole numbers of JSON have no negative zero, but float has
    if table.size != len(rows) * width or (b"-" in raw and not table.all() and _NEGATIVE_ZERO.search(raw)):
        return None
    table = table.reshape(len(rows), width)
    wanted = [k - first for k in chosen]
    return table if wanted == list(range(width)) else table[:, wanted]


def _by_numpy(rows: Sequence[str], delimiter: str, decimal: str, columns: Sequence[int]) -> FloatArray | None:
    """Return the numbers of rows that numpy's parser of text takes."""
    if decimal == ",":
        rows = [line.replace(",", ".") for line in rows]
    cut = [line.split(delimiter) for line in rows] if not all(map(str.isascii, rows)) else []
    if any(not cells[k].isascii() for cells in cut for k in columns):
        return None
    try:
        return np.loadtxt(rows, delimiter=delimiter, comments=None, usecols=list(columns), ndmin=2)
    except ValueError:
        return None
