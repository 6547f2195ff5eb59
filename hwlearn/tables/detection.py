"""Detect the dialect of a table from its first rows; refuse what can be read in two ways."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from hwlearn.errors import DataError
from hwlearn.tables.dialect import DELIMITERS, NAMES, WHITESPACE, Stated
from hwlearn.tables.numbers import decimals, is_whole, number
from hwlearn.tables.records import Record, is_comment, records

SAMPLE: Final = 400
"""Lines from which a dialect is detected. All other rows must follow it, or are refused."""

_COUNT: Final = re.compile(r"\d{1,9}(?:\.0)?", re.ASCII)
_CHOICES: Final = '"," or ";" or "tab" or "whitespace"'


@dataclass(frozen=True)
class Sample:
    """The first rows of a table, split by one delimiter."""

    delimiter: str
    rows: Sequence[Record]

    @property
    def width(self) -> int:
        """Number of columns of the first row."""
        return len(self.rows[0][1])

    @property
    def even(self) -> bool:
        """Whether all rows have the same number of columns, more than one."""
        return self.width > 1 and all(len(cells) == self.width for _, cells in self.rows)

    @property
    def clean(self) -> bool:
        """Whether no cell has another delimiter in it, except for decimal commas."""
        others = [other for other in DELIMITERS if other != self.delimiter]
        return not any(
            other in cell and decimals(cell) is None
            for _, cells in self.rows
            for cell in cells
            for other in others
        )


def sample_of(lines: Sequence[tuple[int, str]], whole: bool, stated: Stated, where: str) -> Sample:
    """Return the first rows, split by the stated delimiter or by the only one that fits.

    Parameters
    ----------
    lines : sequence of (int, str)
        Line numbers and lines.
    whole : bool
        Whether these are all lines of the file.
    stated : Stated
    where : str
        The file in errors.

    Raises
    ------
    DataError
        If the file has no rows, no delimiter fits, or several do.
    """
    if all(is_comment(line) or not line.strip(" ,;\t") for _, line in lines):
        raise DataError(f"{where} is empty: it has no rows")
    if stated.delimiter is not None:
        return _split(lines, whole, stated.delimiter, where)
    split: list[Sample] = []
    faults: list[DataError] = []
    for delimiter in DELIMITERS:
        try:
            split.append(_split(lines, whole, delimiter, where))
        except DataError as error:  # wrong quotes with this delimiter
            faults.append(error)
    if faults and not any(sample.width > 1 for sample in split):
        raise faults[0]
    fitting = [sample for sample in split if sample.even]
    # if none fits, one row is too short or too long: it is named later
    fitting = fitting or [sample for sample in split if sample.width > 1]
    if len(fitting) > 1:
        fitting = [sample for sample in fitting if sample.clean] or fitting
    if not fitting:
        return _one_column(lines, split[0], stated, where)
    if len(fitting) == 1:
        only = fitting[0]
        if only.delimiter == stated.decimal and not any("," in cell for _, cells in only.rows for cell in cells):
            raise DataError(
                f"{where}, line {only.rows[0][0]}: commas separate the columns, but {stated.keys}decimal is a "
                "comma too; put such numbers into quotes"
            )
        return only
    names = " or ".join(NAMES[sample.delimiter] for sample in fitting)
    raise DataError(
        f"{where}, line {fitting[0].rows[0][0]}: the columns may be separated by {names}; "
        + stated.advice("delimiter", _CHOICES)
    )


def _split(lines: Sequence[tuple[int, str]], whole: bool, delimiter: str, where: str) -> Sample:
    rows: list[Record] = []
    try:
        rows.extend(records(lines, delimiter, where))
    except DataError as error:
        # the sample may end within a quoted cell
        if whole or not rows or not str(error).endswith("unexpected end of data"):
            raise
    if not rows:
        raise DataError(f"{where} is empty: it has no cells")
    return Sample(delimiter, rows)


def _one_column(lines: Sequence[tuple[int, str]], only: Sample, stated: Stated, where: str) -> Sample:
    """Return a table of one column, unless spaces seem to separate columns."""
    spaced = list(records(lines, WHITESPACE, where))
    if all(len(cells) > 1 for _, cells in spaced) and len({len(cells) for _, cells in spaced}) == 1:
        raise DataError(
            f"{where}, line {spaced[0][0]}: spaces seem to separate the columns; "
            + stated.advice("delimiter", _CHOICES)
        )
    return only


def detected_decimal(sample: Sample, stated: Stated, where: str) -> str:
    """Return the decimal character of a table.

    Raises
    ------
    DataError
        If some numbers have decimal points and others decimal commas, or the commas may group thousands.
    """
    if stated.decimal is not None:
        return stated.decimal
    first: dict[str, tuple[int, str]] = {}
    for line, cells in sample.rows:
        for cell in cells:
            kind = decimals(cell)
            if kind is not None:
                first.setdefault(kind, (line, cell))
    advice = stated.advice("decimal", '"." or ","')
    if "," in first and "." in first:
        (point, other), (comma, cell) = first["."], first[","]
        raise DataError(
            f"{where}: {other!r} in line {point} has a decimal point, {cell!r} in line {comma} a decimal comma; "
            f"{advice}"
        )
    if "?" in first and "," not in first:
        line, cell = first["?"]
        raise DataError(
            f"{where}, line {line}: the comma of {cell!r} may be a decimal comma or group thousands; {advice}"
        )
    return "," if "," in first else "."


def has_header(sample: Sample, decimal: str, stated: Stated, where: str) -> bool:
    """Return whether the first row names the columns.

    Text above numbers is a name. A first row of numbers is a sample, unless it counts the columns or looks like a
    scale above other numbers.

    Raises
    ------
    DataError
        If the first row can be read as names and as a sample.
    """
    if stated.header is not None:
        return stated.header
    line, head = sample.rows[0]
    body = [cells for _, cells in sample.rows[1:] if len(cells) == len(head)]
    texts = [k for k, cell in enumerate(head) if number(cell, decimal) is None]
    below = {k: [cells[k] for cells in body] for k in range(len(head))}
    above_numbers = [k for k in texts if any(number(cell, decimal) is not None for cell in below[k])]
    advice = stated.advice("header", "true or false") if stated.keys else "name the columns in the first row"
    if len(texts) == len(head):
        return bool(above_numbers) or not body or _is_new(head, body)
    counted = [k for k in range(len(head)) if k not in texts]
    if above_numbers:
        k = next((k for k in above_numbers if head[k]), above_numbers[0])
        raise DataError(
            f"{where}, line {line}, column {k}: {head[k]!r} is text above numbers, but {head[counted[0]]!r} in "
            f"column {counted[0]} is a number: these may be names or a sample; {advice}"
        )
    if _counts_columns(head, counted, decimal) or _is_scale(head, counted, below):
        raise DataError(
            f"{where}, line {line}: {', '.join(head[:6])}{', ...' if len(head) > 6 else ''} may be names of "
            f"columns or a sample; {advice}"
        )
    return False


def _is_new(head: Sequence[str], body: Sequence[Sequence[str]]) -> bool:
    """Return whether no cell of a row of text occurs in the same column below it."""
    return not any(cells[k] == cell for cells in body for k, cell in enumerate(head))


def _counts_columns(head: Sequence[str], counted: Sequence[int], decimal: str) -> bool:
    """Return whether the numbers of a row count its columns from 0 or 1, or are three or more in a row."""
    if not all(_COUNT.fullmatch(head[k].replace(decimal, ".")) for k in counted):
        return False  # 1.000e+00 is no name
    written = [number(head[k], decimal) or 0.0 for k in counted]
    from_start = any(written == [float(k + start) for k in counted] for start in (0, 1))
    in_a_row = all(b - a == 1 for a, b in pairwise(written))
    return from_start or (in_a_row and (len(written) > 2 or written[0] in (0.0, 1.0)))


def _is_scale(head: Sequence[str], counted: Sequence[int], below: dict[int, list[str]]) -> bool:
    """Return whether a row of rising or falling whole numbers is above numbers that are not whole."""
    if len(counted) < 2 or not all(is_whole(head[k]) for k in counted):
        return False
    steps = [int(head[b]) - int(head[a]) for a, b in pairwise(counted)]
    fractions = all(any(not is_whole(cell) for cell in below[k]) for k in counted)
    return fractions and (min(steps) > 0 or max(steps) < 0)
