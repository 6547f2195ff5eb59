"""Common parts of the SCPI models."""

from __future__ import annotations

from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn_drivers.instrument.instrument import number
from hwlearn_drivers.smu.channel import SmuChannel
from hwlearn_drivers.smu.operating_range import Quantity

WORD: Final[dict[Quantity, str]] = {"voltage": "VOLT", "current": "CURR"}
"""Name of a quantity in a command."""


def range_command(path: str, value: float | None) -> str:
    """Return the command for a fixed range, or for automatic ranging."""
    return f"{path}:RANG:AUTO 1" if value is None else f"{path}:RANG {number(value)}"


class ScpiChannel(SmuChannel):
    """A channel whose queries return numbers or a flag, 0 or 1."""

    __slots__ = ()

    def _query_flag(self, question: str) -> bool:
        """Query a flag, 0 or 1."""
        (flag,) = self.smu.query_numbers(question, 1)
        if flag not in (0.0, 1.0):
            self.smu.transport.garbled(question, str(flag))
        return flag == 1.0

    def _pairs(self, question: str, points: int) -> FloatArray:
        """Query pairs of numbers and return them as (2, points)."""
        values = self.smu.query_numbers(question, 2 * points, self._patience_s(points))
        return np.array(values).reshape(points, 2).T
