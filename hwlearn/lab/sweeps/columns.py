"""The rows of a sweep as columns: of a table, and of arrays over the axes of its grid."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from hwlearn.lab.sweeps.table import PointRow
from hwlearn.storage.toml_text import toml_value

CURVES: Final = "curves"
"""Result that maps names to lists, with a value for each epoch; it has a table of its own."""

OWN: Final = ("status", "error", "attempts", "seconds")


def table_columns(rows: Sequence[PointRow]) -> dict[str, list[Any]]:
    """Return a column for the number of a point, each of its values, its status and each of its results.

    A value that a row does not have is None. Results that are mappings have a column for each entry, with a dot.
    """
    points = _names(row.point for row in rows)
    flat = [dict(_flat(row.result)) for row in rows]
    columns: dict[str, list[Any]] = {"point": [row.number for row in rows]}
    columns |= {name: [_cell(row.point.get(name)) for row in rows] for name in points}
    columns |= {
        "status": [row.status for row in rows],
        "error": [row.error for row in rows],
        "attempts": [row.attempts for row in rows],
        "seconds": [row.seconds for row in rows],
    }
    taken = set(columns)
    for name in _names(flat):
        column = name if name not in taken else f"result.{name}"
        columns[column] = [_cell(result.get(name)) for result in flat]
    return columns


def curve_columns(rows: Sequence[PointRow]) -> dict[str, list[Any]]:
    """Return a row for each epoch of each point: its number, its values, the epoch and the scores."""
    points = _names(row.point for row in rows)
    names = _names(curves_of(row) for row in rows)
    columns: dict[str, list[Any]] = {name: [] for name in ("point", *points, "epoch", *names)}
    for row in rows:
        curves = curves_of(row)
        for epoch in range(max((len(curve) for curve in curves.values()), default=0)):
            columns["point"].append(row.number)
            columns["epoch"].append(epoch)
            for name in points:
                columns[name].append(_cell(row.point.get(name)))
            for name in names:
                curve = curves.get(name, [])
                columns[name].append(curve[epoch] if epoch < len(curve) else None)
    return columns


def curves_of(row: PointRow) -> dict[str, list[Any]]:
    """Return the values of each epoch by name; empty if the function of the points returned none."""
    found = row.result.get(CURVES)
    if not isinstance(found, Mapping):
        return {}
    return {name: values for name, values in found.items() if isinstance(values, list)}


def csv_text(columns: Mapping[str, Sequence[Any]]) -> str:
    """Return columns as CSV; every number reads back exactly, and None is an empty field."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return file.getvalue()


def array_of(values: Sequence[Any]) -> np.ndarray:
    """Return values as an array: of floats with NaN for None, integers, truth values, or text with "" for None."""
    known = [value for value in values if value is not None]
    if all(isinstance(value, bool) for value in known) and len(known) == len(values):
        return np.array(values, dtype=bool)
    if all(isinstance(value, int) and not isinstance(value, bool) for value in known) and len(known) == len(
        values
    ):
        return np.array(values)
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return np.array(["" if value is None else str(value) for value in values])


def place_of(row: PointRow, axes: Mapping[str, Sequence[Any]]) -> tuple[int, ...]:
    """Return where the point of a row is on the axes."""
    return tuple(list(values).index(row.point[key]) for key, values in axes.items())


def _cell(value: Any) -> Any:
    """Return a value of a cell; lists and tables as TOML text."""
    return toml_value(value) if isinstance(value, list | dict) else value


def _flat(result: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in result.items():
        if not prefix and name == CURVES and isinstance(value, Mapping):
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _names(mappings: Any) -> list[str]:
    """Return all keys in the order of their first appearance."""
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))
