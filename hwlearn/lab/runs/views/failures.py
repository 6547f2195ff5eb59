"""Which edges of a run could not be programmed."""

from __future__ import annotations

import numpy as np

from hwlearn.arrays import BoolArray
from hwlearn.errors import RunError
from hwlearn.lab.runs.contents import RunContents


def failed_edges(contents: RunContents) -> BoolArray | None:
    """Return the edges (E,) that failed so far; None if nothing was programmed, or it was not stored.

    Raises
    ------
    RunError
        If the run is damaged.
    """
    try:
        for _, arrays in contents.rows("network"):
            return np.asarray(arrays["failed"], dtype=bool)
    except RunError:
        if contents.meta("format") != 1:  # format 1 has no such table
            raise
    for _, arrays in contents.rows("updates", "ORDER BY step DESC LIMIT 1"):
        if "failed" in arrays:
            return np.asarray(arrays["failed"], dtype=bool)
    return None
