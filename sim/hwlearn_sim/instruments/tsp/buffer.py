"""Reading buffers of a Keithley 2600 as objects of a script."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from hwlearn_sim.instruments.capability import ChannelReading
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.scpi.reply_format import NOT_A_NUMBER
from hwlearn_sim.instruments.tsp.values import (
    Namespace,
    TspObject,
    Value,
    enumerated,
    function,
    runtime_error,
)

MOST_POINTS: Final = 60_000
"""Maximum number of readings in a buffer."""


def tsp_value(value: float) -> float:
    """Return a reading in the instrument's format: 9.91e37 for an overflow."""
    return NOT_A_NUMBER if math.isinf(value) else value


class Column(TspObject):
    """One column of a buffer: readings, source values or timestamps."""

    def __init__(self, values: Callable[[], list[float]]) -> None:
        self.values = values

    def get(self, key: Value) -> Value:
        """Return one entry, counted from 1."""
        values = self.values()
        if isinstance(key, float) and 1 <= key <= len(values) and key == int(key):
            return values[int(key) - 1]
        return None

    def put(self, key: Value, value: Value) -> None:
        """Reject the assignment: entries are read-only."""
        raise runtime_error("reading buffers cannot be written")


class TspBuffer(Namespace):
    """A reading buffer.

    Parameters
    ----------
    name : str
        Name in error messages.
    capacity : int
        Maximum number of readings; further ones are discarded with error -223.
    """

    def __init__(self, name: str, capacity: int = MOST_POINTS) -> None:
        super().__init__(name)
        self._capacity = capacity
        self._rows: list[tuple[float, ChannelReading]] = []
        self._append = False
        self.add(
            clear=function(self.clear),
            readings=Column(self.column),
            sourcevalues=Column(lambda: [reading.level for _, reading in self._rows]),
            timestamps=Column(lambda: [reading.seconds for _, reading in self._rows]),
            capacity=float(capacity),
        )
        self.attribute("n", lambda: float(len(self._rows)))
        self.attribute("appendmode", lambda: float(self._append), self._set_append)
        for kept in ("collectsourcevalues", "collecttimestamps", "cachemode"):
            self.attribute(kept, lambda: 1.0, lambda value: None)

    def column(self) -> list[float]:
        """Return the readings."""
        return [value for value, _ in self._rows]

    def get(self, key: Value) -> Value:
        """Return an attribute, or one reading counted from 1."""
        if isinstance(key, float):
            return Column(self.column).get(key)
        return super().get(key)

    def clear(self) -> None:
        """Remove all readings."""
        self._rows.clear()

    def begin(self) -> None:
        """Prepare for a new series of readings: clear the buffer unless append mode is on."""
        if not self._append:
            self.clear()

    def store(self, value: float, reading: ChannelReading) -> None:
        """Add a reading."""
        if len(self._rows) >= self._capacity:
            raise VirtualInstrumentError(-223)
        self._rows.append((value, reading))

    def _set_append(self, value: Value) -> None:
        self._append = bool(enumerated(value, 2))
