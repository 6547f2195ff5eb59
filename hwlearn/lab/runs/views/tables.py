"""A run as tables with one number in each cell, read in blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np

from hwlearn.arrays import IntArray
from hwlearn.errors import RunError
from hwlearn.lab.runs.contents import open_contents
from hwlearn.lab.runs.views.arrays import Stack, read_stacks, stacked
from hwlearn.lab.runs.views.attributes import attributes_of, provenance
from hwlearn.lab.runs.views.columns import epoch_columns

TableName = Literal["samples", "steps", "epochs", "edges"]

_BLOCK: Final = 100_000
"""Cells of the largest array of a block, about."""
_ROW: Final = "row"
"""Column of the row of the training set that a sample is."""


@dataclass(frozen=True)
class RunTable:
    """A table of a run.

    Attributes
    ----------
    name : str
        ``samples`` (a row for each measured sample), ``steps`` (for each batch), ``epochs``, or ``edges`` (for
        each edge of each kept step).
    index : tuple of str
        The columns that name a row.
    dtypes : mapping of str to numpy.dtype
        Of each column in order, the index first.
    attributes : mapping of str to mapping
        ``units`` and ``long_name`` of each column.
    provenance : mapping
        See `provenance`.
    """

    folder: Path
    name: TableName
    index: tuple[str, ...]
    dtypes: Mapping[str, np.dtype]
    attributes: Mapping[str, Mapping[str, str]]
    provenance: Mapping[str, str | int | float]
    _source: _Plain | _Rows

    def blocks(self) -> Iterator[dict[str, np.ndarray]]:
        """Yield the rows in blocks, each as columns by name.

        Raises
        ------
        RunError
            If the run is damaged, or changed since it was opened.
        """
        yield from self._source.blocks()


@dataclass(frozen=True)
class _Plain:
    """Columns that are in memory."""

    columns: Mapping[str, np.ndarray]

    def dtypes(self) -> dict[str, np.dtype]:
        return {name: column.dtype for name, column in self.columns.items()}

    def blocks(self) -> Iterator[dict[str, np.ndarray]]:
        yield dict(self.columns)


@dataclass(frozen=True)
class _Rows:
    """Arrays of steps whose first axis is that of samples or edges, one row for each of its places.

    Attributes
    ----------
    axis : str
        Column of the place along that axis.
    places : ndarray of int, shape (R,)
        Number of places of each step.
    plain : mapping of str to ndarray
        Columns of the steps.
    stacks : mapping of str to Stack
    """

    axis: str
    places: IntArray
    plain: Mapping[str, np.ndarray]
    stacks: Mapping[str, Stack]

    def dtypes(self) -> dict[str, np.dtype]:
        found = {"step": np.dtype(np.int64), self.axis: np.dtype(np.int64)}
        found |= {name: column.dtype for name, column in self.plain.items()}
        return found | {
            column: stack.dtype for name, stack in self.stacks.items() for column in _spread(name, stack.shape[2:])
        }

    def blocks(self) -> Iterator[dict[str, np.ndarray]]:
        steps = len(self.places)
        cells = max((int(np.prod(stack.shape[1:])) for stack in self.stacks.values()), default=1)
        size = max(1, _BLOCK // max(1, cells))
        for start in range(0, max(1, steps), size):
            rows = np.arange(start, min(start + size, steps))
            yield self._block(rows)

    def _block(self, rows: IntArray) -> dict[str, np.ndarray]:
        places = self.places[rows]
        at = np.repeat(np.arange(len(rows)), places)
        place = np.arange(len(at)) - np.repeat(np.cumsum(places) - places, places)
        found = {name: column[rows][at] for name, column in self.plain.items()}
        block = {"step": found.pop("step"), self.axis: place, **found}
        for name, values in read_stacks(self.stacks, rows).items():
            cells = values[at, place].reshape(len(at), -1)
            for k, column in enumerate(_spread(name, values.shape[2:])):
                block[column] = np.ascontiguousarray(cells[:, k])
        return block


def run_table(folder: Path, name: TableName) -> RunTable:
    """Return a table of a run without reading its rows.

    Raises
    ------
    RunError
        If there is no such table, or the run is damaged.
    """
    if name not in get_args(TableName):
        raise RunError(f"a run has no table {name!r}; it has: {', '.join(get_args(TableName))}")
    with open_contents(folder) as contents:
        source: _Plain | _Rows
        if name == "epochs":
            index: tuple[str, ...] = ("epoch",)
            source = _Plain(epoch_columns(contents))
        elif name == "edges":
            updates = stacked(contents, "updates")
            index = ("step", "edge")
            edges = {key: stack for key, stack in updates.stacks.items() if len(stack.shape) == 2}
            n_edges = max((stack.shape[1] for stack in edges.values()), default=0)
            plain = {key: column for key, column in updates.columns.items() if key != "time"}
            source = _Rows("edge", np.full(len(plain["step"]), n_edges), plain, edges)
        else:
            batches = stacked(contents, "batches")
            index = ("step",) if name == "steps" else ("step", "sample")
            source = _Plain(dict(batches.columns))
            if name == "samples":
                of_samples = {
                    _ROW if key == "samples" else key: stack
                    for key, stack in batches.stacks.items()
                    if contents.variable(key).dimensions[:1] == ("sample",)
                }
                plain = {key: batches.columns[key] for key in ("step", "epoch", "time")}
                source = _Rows("sample", batches.samples, plain, of_samples)
        dtypes = source.dtypes()
        attributes = {
            column: attributes_of(contents, "samples" if column == _ROW else column) for column in dtypes
        }
        return RunTable(folder, name, index, dtypes, attributes, provenance(contents), source)


def _spread(name: str, shape: tuple[int, ...]) -> Iterator[str]:
    """Yield the name of a column for each place of an array."""
    for place in product(*map(range, shape)):
        yield "_".join([name, *map(str, place)])
