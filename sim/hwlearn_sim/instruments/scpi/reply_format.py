"""Format readings as text, or as binary numbers in a block."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from hwlearn_sim.instruments.scpi.language import as_block

NOT_A_NUMBER: Final = 9.91e37
"""SCPI value for "not a number": no value is available."""

OVERFLOW: Final = 9.9e37
"""SCPI value for an overflow of the range."""


def scpi_value(value: float) -> float:
    """Return the value in SCPI form: 9.91e37 for NaN, plus or minus 9.9e37 for an overflow."""
    if math.isnan(value):
        return NOT_A_NUMBER
    return math.copysign(OVERFLOW, value) if math.isinf(value) else value


def as_text(values: Sequence[float], form: str = "%+.6E") -> str:
    """Return values as text, separated by commas."""
    return ",".join(form % scpi_value(value) for value in values)


def as_binary(values: Sequence[float], bytes_each: int, swapped: bool, *, definite: bool) -> str:
    """Return values as IEEE 754 numbers in a block.

    Parameters
    ----------
    values : sequence of float
        The readings.
    bytes_each : int
        4 or 8.
    swapped : bool
        Least significant byte first.
    definite : bool
        Definite-length block. Otherwise the block ends with the message (``#0``).
    """
    order = "<" if swapped else ">"
    data = np.array([scpi_value(value) for value in values], dtype=f"{order}f{bytes_each}").tobytes()
    return as_block(data) if definite else "#0" + data.decode("latin-1")
