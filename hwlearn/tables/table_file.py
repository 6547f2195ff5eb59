"""`TableFile`: the one reader of tables in text files.

Plain blocks of rows are converted at once, see `plain`. Every other block goes through the csv module and
``float``; it names the line and the column of what is refused.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.errors import DataError
from hwlearn.storage.text_file import TextFile
from hwlearn.tables.detection import SAMPLE, detected_decimal, has_header, sample_of
from hwlearn.tables.dialect import WHITESPACE, Dialect, Stated
from hwlearn.tables.numbers import OVERFLOW, is_valid, number
from hwlearn.tables.plain import plain_numbers
from hwlearn.tables.records import is_comment, records
from hwlearn.tables.titles import Title

_BLOCK: Final = 1 << 20
"""Characters of rows that are converted at a time."""

_ENOUGH, _FEWEST = 1 << 17, 16  # characters and lines from which a dialect is detected, where lines are long

Line = tuple[int, str]


@dataclass(frozen=True, eq=False, slots=True)
class Columns:
    """Chosen columns of a table.

    Attributes
    ----------
    numbers : ndarray, shape (S, n)
        Columns of numbers.
    texts : sequence of list of str
        Columns of text, S cells each.
    lines : ndarray of int, shape (S,)
        Line on which each row begins.
    """

    numbers: FloatArray
    texts: Sequence[list[str]]
    lines: IntArray


class TableFile:
    """A table in a text file; its dialect is known, its cells are read by `read`.

    Parameters
    ----------
    path : Path
    what : str
        Name of the file in errors, such as ``"data file"``.
    stated : Stated
        What is known about the dialect.

    Attributes
    ----------
    dialect : Dialect
        The dialect in use.
    titles : tuple of Title, or None
        The header; None without one.
    width : int
        Number of columns.

    Raises
    ------
    DataError
        If the file cannot be read as text, is empty, or can be read in two ways; the line is named.
    """

    def __init__(self, path: Path, what: str, stated: Stated | None = None) -> None:
        stated = Stated() if stated is None else stated
        self.path, self.where = path, f"{what} {path}"
        self._text = TextFile(path, what, DataError)
        first, whole = self._first_lines()
        sample = sample_of(first, whole, stated, self.where)
        decimal = detected_decimal(sample, stated, self.where)
        header = has_header(sample, decimal, stated, self.where)
        self._stated = stated
        self.dialect = Dialect(sample.delimiter, decimal, header, self._text.encoding)
        self.width = sample.width
        self.titles = tuple(Title.of(cell) for cell in sample.rows[0][1]) if header else None

    def column(self, name: str | int) -> int:
        """Return the number from 0 of a column, given by its title, its title without unit, or its number.

        Raises
        ------
        DataError
            If there is no such column, or several have this title.
        """
        if isinstance(name, str):
            titles = self.titles or ()
            exact = [k for k, title in enumerate(titles) if title.text == name]
            found = exact or [k for k, title in enumerate(titles) if title.name == name]
            if len(found) > 1:
                raise DataError(f"{self.where} has {len(found)} columns {name!r}; give the number of the column")
            if not found:
                known = "it has no header" if self.titles is None else f"the columns are: {self._known()}"
                raise DataError(f"{self.where} has no column {name!r}; {known}")
            return found[0]
        if not -self.width <= name < self.width:
            raise DataError(f"{self.where} has no column {name}; it has {self.width}, numbered from 0")
        return name % self.width

    def name(self, column: int) -> str:
        """Return a column for errors, such as ``"2 (target)"``."""
        return f"{column}" if self.titles is None else f"{column} ({self.titles[column].text})"

    def read(self, numbers: Sequence[int], texts: Sequence[int] = ()) -> Columns:
        """Read columns; every row is checked.

        Parameters
        ----------
        numbers, texts : sequence of int
            Columns of numbers, and of text.

        Raises
        ------
        DataError
            If there are no rows, a row has another number of columns, or a cell is not a finite number below
            9.8e37; line and column are named.
        """
        values, lines = array("d"), array("q")
        found: list[list[str]] = [[] for _ in texts]
        for block in self._blocks():
            read = self._plain(block, numbers, texts) or self._careful(block, numbers, texts)
            values.frombytes(np.ascontiguousarray(read.numbers).tobytes())
            lines.frombytes(read.lines.tobytes())
            for column, more in zip(found, read.texts, strict=True):
                column.extend(more)
        if not lines:
            raise DataError(f"{self.where} has a header but no rows")
        table = np.frombuffer(values) if numbers else np.empty(0)
        return Columns(table.reshape(len(lines), len(numbers)), found, np.frombuffer(lines, dtype=np.int64))

    def _first_lines(self) -> tuple[list[Line], bool]:
        """Return the first lines, and whether these are all."""
        first: list[Line] = []
        size = 0
        for item in self._lines():
            if len(first) >= SAMPLE or (size >= _ENOUGH and len(first) >= _FEWEST):
                return first, False
            first.append(item)
            size += len(item[1])
        return first, True

    # --- rows ---------------------------------------------------------------------------------------

    def _known(self) -> str:
        return ", ".join(title.text for title in self.titles or ())

    def _lines(self) -> Iterator[Line]:
        return enumerate(self._text.lines(), start=1)

    def _blocks(self) -> Iterator[list[Line]]:
        """Yield blocks of lines below the header; a block ends where a row ends."""
        lines = self._lines()
        if self.dialect.header:
            next(records(lines, self.dialect.delimiter, self.where))  # it may have several lines
        block: list[Line] = []
        size, quotes = 0, 0
        for item in lines:
            block.append(item)
            size += len(item[1]) + 1
            if quotes % 2 or not is_comment(item[1]):
                quotes += item[1].count('"')
            # an even number of quotes: no quoted cell is open
            if size >= _BLOCK and quotes % 2 == 0:
                yield block
                block, size, quotes = [], 0, 0
        if block:
            yield block

    def _plain(self, block: Sequence[Line], numbers: Sequence[int], texts: Sequence[int]) -> Columns | None:
        """Return the columns of a block without quotes and other rarities; None if it has any."""
        kept = [item for item in block if not is_comment(item[1])]
        rows = [line for _, line in kept]
        if not rows or not numbers or any('"' in line for line in rows):
            return None
        table = plain_numbers(rows, self.dialect, self.width, numbers)
        if table is None:
            return None
        found = [[_cell(line, self.dialect.delimiter, k, self.width) for line in rows] for k in texts]
        return Columns(table, found, np.array([number for number, _ in kept], dtype=np.int64))

    def _careful(self, block: Sequence[Line], numbers: Sequence[int], texts: Sequence[int]) -> Columns:
        """Return the columns of a block, cell by cell, or name the cell that is refused."""
        values, lines = [], []
        found: list[list[str]] = [[] for _ in texts]
        for line, cells in records(block, self.dialect.delimiter, self.where):
            if len(cells) != self.width:
                raise DataError(f"{self.where}, line {line}: {len(cells)} columns, the first row has {self.width}")
            values.append([self._number(line, k, cells[k]) for k in numbers])
            lines.append(line)
            for column, k in zip(found, texts, strict=True):
                column.append(cells[k])
        table = np.array(values, dtype=np.float64).reshape(len(lines), len(numbers))
        return Columns(table, found, np.array(lines, dtype=np.int64))

    def _number(self, line: int, column: int, cell: str) -> float:
        value = number(cell, self.dialect.decimal)
        if value is not None and is_valid(value):
            return value
        what = f"{self.where}, line {line}, column {self.name(column)}: {cell!r}"
        if value is None:
            other = "," if self.dialect.decimal == "." else "."
            mixed = number(cell, other) is not None
            points = "points" if other == "," else "commas"
            advice = self._stated.advice("decimal", '"." or ","')
            hint = f" with decimal {points}, as the first rows have them; {advice}"
            drop = (
                f"; correct it, or leave the column out with {self._stated.keys}drop" if self._stated.keys else ""
            )
            raise DataError(f"{what} is not a finite number{hint if mixed else drop}")
        if abs(value) >= OVERFLOW and np.isfinite(value):
            raise DataError(
                f"{what} is a code of instruments for overflow or no reading, not a finite number; "
                "leave the row out"
            )
        raise DataError(f"{what} is not a finite number; leave the row out, or correct it")


def _cell(line: str, delimiter: str, column: int, width: int) -> str:
    """Return one cell of a line without quotes."""
    if delimiter == WHITESPACE:
        return line.split()[column]
    if column == width - 1:
        return line.rpartition(delimiter)[2].strip()
    return line.split(delimiter, column + 1)[column].strip()
