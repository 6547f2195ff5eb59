"""Arrays of all steps of a run, stacked along the step axis and read in parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import numpy as np

from hwlearn.arrays import FloatArray, IntArray
from hwlearn.errors import RunError
from hwlearn.lab.runs.contents import RunContents, open_contents

_MOST_GAP: Final = 16
"""Rows between two that are needed which are read as well, rather than with a new query."""
_FILL: Final[Mapping[str, object]] = {"f": np.nan, "c": complex(np.nan, np.nan), "i": -1, "b": False, "u": 0}


@dataclass(frozen=True, eq=False)
class Stack:
    """One array of each row of a table, stacked along the first axis.

    Rows whose array is smaller than the largest, or missing, are filled with NaN, -1 or False.

    Attributes
    ----------
    folder : Path
        The run folder.
    table : str
        ``batches`` or ``updates``.
    name : str
    dtype : numpy.dtype
    shape : tuple of int
        Number of rows, then the largest array of a row.
    steps : ndarray of int, shape (R,)
        Step of each row.
    times : ndarray, shape (R,)
        When each row was stored, in seconds since 1970-01-01 UTC.
    held : mapping of int to mapping
        Arrays by step and name that were read at once, because the run will drop them.
    """

    folder: Path
    table: Literal["batches", "updates"]
    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    steps: IntArray
    times: FloatArray
    held: Mapping[int, Mapping[str, np.ndarray]] = field(default_factory=dict)

    def read(self, rows: IntArray) -> np.ndarray:
        """Return the arrays of some rows, in any order.

        Raises
        ------
        RunError
            If the run is damaged, or one of the rows has changed since the stack was made.
        """
        return read_stacks({self.name: self}, rows)[self.name]


def read_stacks(stacks: Mapping[str, Stack], rows: IntArray) -> dict[str, np.ndarray]:
    """Return the arrays of some rows of several stacks of one table, each row read once.

    Raises
    ------
    RunError
        If the run is damaged, or one of the rows has changed since the stacks were made.
    """
    found = {
        key: np.full((len(rows), *stack.shape[1:]), _FILL.get(stack.dtype.kind, ""), dtype=stack.dtype)
        for key, stack in stacks.items()
    }
    if not stacks:
        return found
    one = next(iter(stacks.values()))
    wanted: dict[int, list[int]] = {}
    for place, row in enumerate(rows.tolist()):
        wanted.setdefault(int(one.steps[row]), []).append(place)
    times = dict(zip(one.steps[rows].tolist(), one.times[rows].tolist(), strict=True))
    for step, arrays in _rows(one, times):
        for key, stack in stacks.items():
            array = arrays.get(stack.name)
            if array is not None:
                part = tuple(map(slice, array.shape))
                for place in wanted[step]:
                    found[key][place][part] = array
    return found


def _rows(stack: Stack, times: Mapping[int, float]) -> Iterator[tuple[int, Mapping[str, np.ndarray]]]:
    """Yield each step of ``times`` and its arrays; refuse one that was not stored at its time."""
    left = set(times)
    for step in left & stack.held.keys():
        yield step, stack.held[step]
    left -= stack.held.keys()
    with open_contents(stack.folder) as contents:
        for first, last in _ranges(sorted(left)):
            for (step, *keys), arrays in contents.rows(stack.table, "WHERE step BETWEEN ? AND ?", first, last):
                if step in left:
                    if times[step] != keys[1 if len(keys) > 1 else 0]:
                        raise _changed(stack.folder, step)
                    left.remove(step)
                    yield step, arrays
    if left:
        raise _changed(stack.folder, min(left))


def _changed(folder: Path, step: int) -> RunError:
    return RunError(
        f"run {folder.name}: step {step} was dropped or measured again after the run was opened; open it again"
    )


@dataclass(frozen=True, eq=False)
class Table:
    """A table of a run: its plain columns, and the arrays of its rows.

    Attributes
    ----------
    columns : mapping of str to ndarray
        ``step``, ``epoch``, ``time`` and, of batches, ``cost`` and ``skipped``.
    stacks : mapping of str to Stack
    samples : ndarray of int, shape (R,)
        Number of samples whose readings were kept of each row.
    """

    columns: Mapping[str, np.ndarray]
    stacks: Mapping[str, Stack]
    samples: IntArray


_REAL: Final = ("time", "cost")
"""Columns that are no whole numbers."""


def stacked(contents: RunContents, table: Literal["batches", "updates"]) -> Table:
    """Return a table of a run, without reading its arrays."""
    survey = contents.survey(table)
    values = list(zip(*survey.rows, strict=True)) or [()] * (len(survey.columns) + 1)
    columns: dict[str, np.ndarray] = {
        name: np.array(column, np.float64 if name in _REAL else np.int64)
        for name, column in zip(survey.columns, values, strict=False)
    }
    largest: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}
    for types in survey.layouts.values():
        for name, (dtype, shape) in types.items():
            before = largest.setdefault(name, (dtype, shape))
            if before[0] != dtype or len(before[1]) != len(shape):
                raise RunError(f"run {contents.folder} is damaged: array {name!r} has two types in table {table}")
            largest[name] = (dtype, tuple(map(max, before[1], shape)))
    steps, times = columns["step"], columns["time"]
    held = {}
    if table == "updates" and len(steps) and contents.meta("conductances") == "epochs":
        # the next update replaces the last one of an epoch that is not complete
        last = int(steps[-1])
        held = {keys[0]: arrays for keys, arrays in contents.rows("updates", "WHERE step = ?", last)}
    stacks = {
        name: Stack(contents.folder, table, name, dtype, (len(steps), *shape), steps, times, held)
        for name, (dtype, shape) in largest.items()
    }
    samples = {
        number: types["samples"][1][0] if "samples" in types else 0 for number, types in survey.layouts.items()
    }
    return Table(columns, stacks, np.array([samples[number] for number in values[-1]], np.int64))


def _ranges(steps: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and last of each run of sorted steps without large gaps."""
    found: list[tuple[int, int]] = []
    for step in steps:
        if found and step - found[-1][1] <= _MOST_GAP:
            found[-1] = (found[-1][0], step)
        else:
            found.append((step, step))
    return found
