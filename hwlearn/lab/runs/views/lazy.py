"""The arrays of a run as lazy xarray variables, which read only what is used."""

from __future__ import annotations

from typing import Any

import numpy as np
from xarray.backends import BackendArray
from xarray.core import indexing

from hwlearn.lab.runs.views.arrays import Stack


class LazyStack(BackendArray):
    """A `Stack` that xarray reads in parts; see "How to add a new backend" in the manual of xarray.

    Parameters
    ----------
    stack : Stack
    """

    def __init__(self, stack: Stack) -> None:
        self.shape, self.dtype = stack.shape, stack.dtype
        self._stack = stack

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        """Return the part of an outer index: an integer, a slice or an array of integers for each axis."""
        rows = np.arange(self.shape[0])[key[0]]
        found = self._stack.read(np.atleast_1d(rows))
        for axis in range(len(key) - 1, 0, -1):  # the last first: an integer removes its axis
            found = found[(slice(None),) * axis + (key[axis],)]
        return found if rows.ndim else found[0]


def lazy(stack: Stack) -> Any:
    """Return a stack as data of an xarray variable."""
    return indexing.LazilyIndexedArray(LazyStack(stack))
