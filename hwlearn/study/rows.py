"""Rows of a study as columns, for JSON, pandas and xarray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hwlearn.study.study import StudyRow

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

Columns = Mapping[str, Sequence[Any]]
"""Values by name; None where a row has none. Names of results begin with ``result.``."""

RESULT = "result."


def as_columns(rows: Sequence[StudyRow]) -> dict[str, list[Any]]:
    """Return one column for each name of a point or a result; numbers are rounded to six digits."""
    named = [dict(row.point) | {f"{RESULT}{key}": value for key, value in row.result.items()} for row in rows]
    names = dict.fromkeys(name for one in named for name in one)
    return {name: [_rounded(one.get(name)) for one in named] for name in names}


def from_columns(columns: Columns) -> list[StudyRow]:
    """Return the rows that `as_columns` was given, with rounded numbers."""
    count = len(next(iter(columns.values()), ()))
    rows = []
    for k in range(count):
        cells = {name: column[k] for name, column in columns.items() if column[k] is not None}
        point = {name: value for name, value in cells.items() if not name.startswith(RESULT)}
        result = {name.removeprefix(RESULT): value for name, value in cells.items() if name.startswith(RESULT)}
        rows.append(StudyRow(point, result))
    return rows


def to_pandas(columns: Columns) -> pd.DataFrame:
    """Return a table with a row for each point. Needs the extra ``data``."""
    import pandas as pd

    return pd.DataFrame(dict(columns))


def to_xarray(columns: Columns) -> xr.Dataset:
    """Return a dataset with the dimension ``point``: coordinates of the points, and variables of the results.

    Needs the extra ``data``.
    """
    import xarray as xr

    table = to_pandas(columns)
    results = [name for name in table if name.startswith(RESULT)]
    points = [name for name in table if not name.startswith(RESULT)]
    return xr.Dataset(
        {name.removeprefix(RESULT): ("point", table[name].to_numpy()) for name in results},
        {name: ("point", table[name].to_numpy()) for name in points},
    )


def _rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value
