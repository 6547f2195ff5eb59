"""Numbers that a user gives: Python's and NumPy's real scalars, and nothing else."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np


def real_number(value: object) -> float:
    """Return a real number of Python or NumPy as a float; NaN for anything else, text and truth values included.

    What is beyond the range of a float is infinite.

    Examples
    --------
    >>> real_number(np.float32(0.5)), real_number(np.array(2)), real_number(True), real_number(10**400)
    (0.5, 2.0, nan, inf)
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, Real):
        return math.nan
    number: Any = value
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def plain_number(value: object) -> float:
    """Return a real number as Python's int or float, as it is if it is one already; NaN for anything else."""
    if type(value) is int and math.isfinite(real_number(value)):
        return value
    return real_number(value)


def shown(value: object) -> str:
    """Return a value as text for a message of one line."""
    try:
        return f"{value!r:.80}".replace("\n", " ")
    except ValueError:  # an integer of thousands of digits
        return f"an {type(value).__name__} with too many digits"
