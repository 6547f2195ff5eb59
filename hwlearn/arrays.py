"""Array types that every module uses: float64 values in SI units, int64 indices, masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def square_sum(values: FloatArray) -> float:
    """Return the sum of squares of values (n,); infinite, without a warning, if it is too large for a float."""
    with np.errstate(over="ignore"):
        return float(values.dot(values))
