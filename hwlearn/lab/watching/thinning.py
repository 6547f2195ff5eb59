"""Rows of a growing table, evenly thinned: a curve of a million rows costs as much as one of a thousand."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, Final, Literal

_MOST: Final = 1000
"""Rows that are kept; the stride doubles when there are more."""
_COLUMNS: Final = {"batches": ("step", "epoch, time, cost, skipped"), "epochs": ("number", "record")}
_AT_ONCE: Final = 500
"""Rows of one query."""


class ThinnedRows:
    """Every ``stride``-th row of a table whose keys count from 0, and its last row.

    Each row is found by its key, so nothing between two of them is read, and the blobs of the rows are not either.

    Parameters
    ----------
    table : {"batches", "epochs"}
    most : int
        Largest number of rows that are kept.

    Attributes
    ----------
    stride : int
        A power of 2.
    last : int
        Largest key of the table; -1 if it is empty.
    """

    def __init__(self, table: Literal["batches", "epochs"], most: int = _MOST) -> None:
        key, columns = _COLUMNS[table]
        self.stride, self.last, self._most = 1, -1, most
        self._newest = f"SELECT MAX({key}) FROM {table}"
        self._query = (
            f"WITH RECURSIVE at(place) AS (SELECT ? UNION ALL SELECT place + ? FROM at WHERE place + ? <= ?) "
            f"SELECT {key}, {columns} FROM at CROSS JOIN {table} ON {key} = place"
        )
        self._rows: dict[int, tuple[Any, ...]] = {}

    @property
    def rows(self) -> Mapping[int, tuple[Any, ...]]:
        """The other columns of the kept rows by key, in order."""
        return self._rows

    def read(self, db: sqlite3.Connection) -> None:
        """Read what is new. A row that was replaced is read again if it is the last one."""
        newest = db.execute(self._newest).fetchone()[0]
        last = -1 if newest is None else int(newest)
        self._rows.pop(self.last, None)  # off the stride, or replaced by a resumed training
        if last < self.last:  # shorter than before: another database has taken the place
            self._rows.clear()
        self.last = last
        while last // self.stride + 1 > self._most:
            self.stride *= 2
        self._rows = {key: row for key, row in self._rows.items() if key % self.stride == 0}
        first = max(self._rows, default=-self.stride) + self.stride
        while first <= last:
            end = min(last, first + self.stride * (_AT_ONCE - 1))
            self._add(db, first, self.stride, end)
            first += self.stride * _AT_ONCE
        if last >= 0 and last not in self._rows:
            self._add(db, last, 1, last)

    def _add(self, db: sqlite3.Connection, first: int, stride: int, last: int) -> None:
        for key, *row in db.execute(self._query, (first, stride, stride, last)):
            self._rows[int(key)] = tuple(row)
