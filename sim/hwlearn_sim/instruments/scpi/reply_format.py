"""How readings travel: as text, or as binary numbers in a block."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from hwlearn_sim.instruments.scpi.language import as_block

NOT_A_NUMBER: Final = 9.91e37
"""What SCPI instruments answer where there is no value."""

OVERFLOW: Final = 9.9e37
"""What they answer for a value beyond the range."""


def plain(value: float) -> float:
    """Return the value as SCPI writes it: 9.91e37 for none, plus or minus 9.9e37 for one beyond the range."""
    if math.isnan(value):
        return NOT_A_NUMBER
    return math.copysign(OVERFLOW, value) if math.isinf(value) else value


def in_text(values: Sequence[float], form: str = "%+.6E") -> str:
    """Return values with commas between them."""
    return ",".join(form % plain(value) for value in values)


def in_binary(values: Sequence[float], bytes_each: int, swapped: bool, *, definite: bool) -> str:
    """Return values as IEEE 754 numbers in a block.

    Parameters
    ----------
    values : sequence of float
        What to send.
    bytes_each : int
        4 or 8.
    swapped : bool
        Least significant byte first.
    definite : bool
        With a stated length; else the block ends with the message (``#0``).
    """
    order = "<" if swapped else ">"
    data = np.array([plain(value) for value in values], dtype=f"{order}f{bytes_each}").tobytes()
    return as_block(data) if definite else "#0" + data.decode("latin-1")
