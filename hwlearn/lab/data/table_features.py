"""Read features and targets from tables in text files; errors name file, line and column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hwlearn.arrays import FloatArray
from hwlearn.errors import DataError
from hwlearn.lab.data.features import Features, Selection
from hwlearn.lab.data.labels import text_labels
from hwlearn.tables import Columns, TableFile

_SHOWN: Final = 12
"""So many names of columns or classes are shown."""


def read_csv(
    path: Path,
    label_column: str | int | None,
    target_columns: Sequence[str | int] | None,
    selection: Selection | None = None,
) -> Features:
    """Read a table in a text file; see `hwlearn.tables.TableFile`.

    Parameters
    ----------
    path : Path
    label_column : str or int, optional
        Column (title, or number from 0) with the class of each row, as text or whole number.
    target_columns : sequence of str or int, optional
        Columns of targets. Give either this or ``label_column``; all other columns are features.
    selection : Selection, optional
        Columns of features, and what is known about the dialect.

    Raises
    ------
    DataError
        If the file can be read in two ways, a column does not exist, a row has another number of columns, a cell
        is not a finite number or not a label, or a unit is not one of volts; file, line and column are named.
    """
    if (label_column is None) == (target_columns is None):
        raise DataError(f"data file {path}: give either data.label_column or data.target_columns")
    selection = Selection() if selection is None else selection
    table = TableFile(path, "data file", selection.stated)
    if label_column is not None:
        target = table.column(label_column)
        chosen = _feature_columns(table, [target], selection)
        read = table.read(chosen, [target])
        values = _in_volts(table, read.numbers, chosen) if selection.volts else read.numbers
        labels = text_labels(read.texts[0], read.lines, table.dialect.decimal, table.where)
        understood = _understood(table, read, chosen, f"label: column {table.name(target)}")
        return Features(values, labels.numbers, labels.classes, lines=read.lines, understood=understood)
    targets = [table.column(name) for name in target_columns or []]
    if len(set(targets)) < len(targets):
        raise DataError(f"{table.where}: data.target_columns lists a column twice")
    chosen = _feature_columns(table, targets, selection)
    read = table.read([*chosen, *targets])
    values, wanted = read.numbers[:, : len(chosen)], read.numbers[:, len(chosen) :].copy()
    values = _in_volts(table, values, chosen) if selection.volts else values
    unit = _one_unit(table, targets) if selection.scaled else "V"
    wanted = wanted if selection.scaled else _in_volts(table, wanted, targets, "data.target_scaling")
    what = f"targets: {_listed([table.name(k) for k in targets])}"
    return Features(
        values, wanted, lines=read.lines, target_unit=unit, understood=_understood(table, read, chosen, what)
    )


def _feature_columns(table: TableFile, targets: Sequence[int], selection: Selection) -> list[int]:
    """Return the numbers of the columns of features."""
    if selection.columns is not None:
        columns = [table.column(name) for name in selection.columns]
        if set(columns) & set(targets) or len(set(columns)) < len(columns):
            raise DataError(f"{table.where}: data.columns lists a column twice, or one of the targets")
    else:
        dropped = {table.column(name) for name in selection.drop}
        if dropped & set(targets):
            raise DataError(f"{table.where}: data.drop lists a target")
        columns = [k for k in range(table.width) if k not in targets and k not in dropped]
        unnamed = [k for k in columns if table.titles is not None and not table.titles[k].text]
        if unnamed:
            raise DataError(
                f"{table.where}: column {unnamed[0]} has no title; if it numbers the rows, ignore it with "
                f"data.drop = [{unnamed[0]}], else list it in data.columns"
            )
    if not columns:
        raise DataError(f"{table.where}: every column is a target, no feature column is left")
    return columns


def _in_volts(table: TableFile, values: FloatArray, columns: Sequence[int], scaling: str = "") -> FloatArray:
    """Return columns (S, n) in volts; the array is changed where a title has a prefix, such as ``x (mV)``."""
    for k, column in enumerate(columns):
        title = table.titles[column] if table.titles is not None else None
        power = 0 if title is None else title.in_unit("V")
        if title is not None and power is None:
            other = scaling or "data.encoding = 'scaled'"
            raise DataError(
                f"{table.where}: column {table.name(column)} is in {title.unit}, but plain numbers are volts; "
                f"use {other}, or another title"
            )
        if power:
            # dividing by a power of ten rounds once: 346 mV is 0.346 V exactly
            values[:, k] = values[:, k] * 10.0**power if power > 0 else values[:, k] / 10.0**-power
    return values


def _one_unit(table: TableFile, targets: Sequence[int]) -> str:
    """Return the unit of all targets."""
    titles = [] if table.titles is None else [table.titles[k] for k in targets]
    units = dict.fromkeys(title.unit or "" for title in titles)
    if len(units) > 1:
        raise DataError(
            f"{table.where}: the targets have the units {', '.join(unit or 'none' for unit in units)}; "
            "data.target_scaling is one scale for all of them, so they need one unit"
        )
    return next(iter(units), "")


def _understood(table: TableFile, read: Columns, features: Sequence[int], target: str) -> tuple[str, ...]:
    """Return how a table was read, for a person."""
    return (
        f"{table.dialect}, {len(read.lines)} rows from line {read.lines[0]}",
        f"features: {_listed([table.name(k) for k in features])}",
        target,
    )


def _listed(names: Sequence[str]) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
