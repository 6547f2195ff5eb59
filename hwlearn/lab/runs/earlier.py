"""Rows of runs in format 1, which earlier versions wrote: named arrays in NPZ format."""

from __future__ import annotations

import io
from typing import Final

import numpy as np

FORMAT_1: Final = 1

_RENAMED: Final = {"asked": "requested"}


def arrays_of_format_1(blob: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of a blob by the names that they have now.

    Raises
    ------
    ValueError, OSError
        If it is damaged.
    """
    with np.load(io.BytesIO(blob), allow_pickle=False) as stored:
        return {_RENAMED.get(name, name): stored[name] for name in stored.files}
