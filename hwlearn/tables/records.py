"""Records of a table: the cells of its rows, split by the csv module, with the line on which each begins."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

from hwlearn.errors import DataError
from hwlearn.tables.dialect import WHITESPACE

Record = tuple[int, list[str]]
"""Line number from 1, and cells without surrounding spaces."""


def is_comment(line: str) -> bool:
    """Return whether a line at the start of a record is empty, a comment, or Excel's hint ``sep=;``."""
    text = line.strip()
    return not text or text.startswith("#") or text in ("sep=,", "sep=;", "sep=")


class _Feed:
    """Lines for the csv module; comments and empty lines are left out, but not within a quoted cell."""

    def __init__(self, lines: Iterable[tuple[int, str]]) -> None:
        self._lines = iter(lines)
        self.between = True
        self.first = self.last = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        number, line = next(self._lines)
        while self.between and is_comment(line):
            number, line = next(self._lines)
        if self.between:
            self.first = number
        self.between, self.last = False, number
        return line + "\n"


def records(lines: Iterable[tuple[int, str]], delimiter: str, where: str) -> Iterator[Record]:
    """Yield the records that are not empty.

    Parameters
    ----------
    lines : iterable of (int, str)
        Line numbers and lines without their ends.
    delimiter : str
        See `Stated`. Cells separated by whitespace are not quoted.
    where : str
        The file in errors.

    Raises
    ------
    DataError
        For wrong quotes or a cell of more than 131,072 characters; the line is named.
    """
    if delimiter == WHITESPACE:
        yield from ((number, line.split()) for number, line in lines if not is_comment(line))
        return
    feed = _Feed(lines)
    # strict: a quote that is never closed would otherwise swallow the rest of the file
    reader = csv.reader(feed, delimiter=delimiter, skipinitialspace=delimiter != "\t", strict=True)
    while True:
        feed.between = True
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{where}, line {feed.first}: {error}") from None
        cells = [cell.strip() for cell in row]
        if any(cells):
            yield feed.first, cells
