"""The data of a run by name, each with its dimensions; the arrays of steps stay on disk until they are used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from hwlearn.lab.runs.contents import RunContents
from hwlearn.lab.runs.views.arrays import Stack, stacked
from hwlearn.lab.runs.views.attributes import attributes_of, provenance
from hwlearn.lab.runs.views.columns import constant_arrays, epoch_columns

_BATCHES: Final = {"epoch": "epoch_of_step", "time": "time", "cost": "cost", "skipped": "skipped"}


@dataclass(frozen=True, eq=False)
class Labelled:
    """An array with names of its axes.

    Attributes
    ----------
    dimensions : tuple of str
    values : ndarray or Stack
    attributes : mapping of str to str
        ``units`` and ``long_name``.
    """

    dimensions: tuple[str, ...]
    values: np.ndarray | Stack
    attributes: Mapping[str, str]

    def load(self) -> np.ndarray:
        """Return the values, read from disk if they are there."""
        if isinstance(self.values, Stack):
            return self.values.read(np.arange(self.values.shape[0]))
        return self.values


@dataclass(frozen=True, eq=False)
class RunData:
    """All data of a run.

    Attributes
    ----------
    coordinates, variables : mapping of str to Labelled
    attributes : mapping of str to (str, int or float)
        Provenance.
    """

    coordinates: Mapping[str, Labelled]
    variables: Mapping[str, Labelled]
    attributes: Mapping[str, str | int | float]


def run_data(contents: RunContents) -> RunData:
    """Return the data of a run without reading the arrays of its steps.

    Raises
    ------
    RunError
        If the run is damaged.
    """
    batches, updates = stacked(contents, "batches"), stacked(contents, "updates")
    plain: dict[str, tuple[tuple[str, ...], np.ndarray | Stack]] = {
        new: (("step",), batches.columns[name]) for name, new in _BATCHES.items()
    }
    plain["kept_samples"] = (("step",), batches.samples)
    plain["update_time"] = (("kept_step",), updates.columns["time"])
    for stacks, first in ((batches.stacks, "step"), (updates.stacks, "kept_step")):
        for name, stack in stacks.items():
            plain[name] = ((first, *contents.variable(name).dimensions), stack)
    scores = epoch_columns(contents)
    epoch = scores.pop("epoch")
    for name, column in scores.items():
        plain[name] = (("epoch",), column)
    plain |= constant_arrays(contents)
    sizes: dict[str, int] = {}
    found = {}
    for name, (dimensions, values) in plain.items():
        named = _fitting(dimensions, values.shape, sizes, name)
        found[name] = Labelled(named, values, attributes_of(contents, name))
    axes = {"step": batches.columns["step"], "kept_step": updates.columns["step"], "epoch": epoch}
    coordinates = {name: Labelled((name,), values, attributes_of(contents, name)) for name, values in axes.items()}
    return RunData(coordinates, found, provenance(contents))


def _fitting(
    dimensions: tuple[str, ...], shape: tuple[int, ...], sizes: dict[str, int], name: str
) -> tuple[str, ...]:
    """Return a name for each axis; one that another array has with another size is made unique."""
    if len(dimensions) != len(shape):  # of arrays whose meaning only the program that wrote them knows
        known = dimensions[:1] if dimensions[:1] in (("step",), ("kept_step",)) else ()
        dimensions = (*known, *(f"{name}_axis_{k}" for k in range(len(known), len(shape))))
    fitting = []
    for dimension, size in zip(dimensions, shape, strict=True):
        same = sizes.setdefault(dimension, size) == size
        fitting.append(dimension if same else f"{dimension}_of_{name}")
    return tuple(fitting)
