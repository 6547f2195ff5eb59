"""Reading buffers of a Keithley 2600 as objects of a script."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from hwlearn_sim.instruments.capability import ChannelReading
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.scpi.reply_format import NOT_A_NUMBER
from hwlearn_sim.instruments.tsp.script.objects import Namespace, Value, enumerated, function, whole

MOST_POINTS: Final = 60_000
"""Maximum number of readings in a buffer."""

FUNCTION_NAMES: Final = {"v": "Volts", "i": "Amps", "r": "Ohms", "p": "Watts"}
_SOURCE_NAMES: Final = {"voltage": "Volts", "current": "Amps"}


def tsp_value(value: float) -> float:
    """Return a reading in the instrument's format: 9.91e37 for an overflow."""
    return NOT_A_NUMBER if math.isinf(value) else value


@dataclass(frozen=True, slots=True)
class StoredReading:
    """One entry of a buffer.

    Attributes
    ----------
    value : float
        The reading.
    name : {"v", "i", "r", "p"}
        What was measured.
    reading : ChannelReading
        The channel's reading that it comes from.
    status : int
        Status bits: remote sense 16, relative 32, compliance 64, filter 128.
    measure_range, source_range : float
        Full scales in use.
    """

    value: float
    name: str
    reading: ChannelReading
    status: int
    measure_range: float
    source_range: float


class Column(Namespace):
    """One column of a buffer: readings, source values, timestamps, states."""

    def __init__(self, name: str, values: Callable[[], list[Value]]) -> None:
        super().__init__(name, {"getreading": function(self._get, 1)}, kind="synchronous_table")
        self.values = values
        self.indexed = self._get
        self.attribute("n", lambda: float(len(self.values())))

    def _get(self, key: Value) -> Value:
        """Return one entry, counted from 1."""
        values = self.values()
        if isinstance(key, int) and 1 <= key <= len(values):
            return values[key - 1]
        return None


class TspBuffer(Namespace):
    """A reading buffer.

    Parameters
    ----------
    name : str
        Name in error messages.
    capacity : int
        Maximum number of readings; further ones are discarded with error -223, or replace the oldest ones in
        fill mode 1.
    """

    def __init__(self, name: str, capacity: int = MOST_POINTS) -> None:
        super().__init__(name, kind="reading_buffer")
        self._capacity = capacity
        self._rows: list[StoredReading] = []
        self._flags = {"appendmode": 0, "collectsourcevalues": 1, "collecttimestamps": 1, "fillmode": 0}
        self._cache: dict[str, float] = {"cachemode": 1.0}
        self._resolution: dict[str, float] = {"timestampresolution": 1e-6}
        self._fill_count = 0
        readings = Column(f"{name}.readings", self.column)
        self.indexed = readings.indexed
        self.add(
            clear=function(self.clear),
            clearcache=function(lambda: None),
            readings=readings,
            sourcevalues=Column(f"{name}.sourcevalues", partial(self._optional, "collectsourcevalues", _level)),
            timestamps=Column(f"{name}.timestamps", partial(self._optional, "collecttimestamps", self._seconds)),
            statuses=Column(f"{name}.statuses", partial(self._of_rows, lambda row: row.status)),
            measurefunctions=Column(
                f"{name}.measurefunctions", partial(self._of_rows, lambda row: FUNCTION_NAMES[row.name])
            ),
            measureranges=Column(f"{name}.measureranges", partial(self._of_rows, lambda row: row.measure_range)),
            sourcefunctions=Column(
                f"{name}.sourcefunctions", partial(self._of_rows, lambda row: _SOURCE_NAMES[row.reading.function])
            ),
            sourceoutputstates=Column(
                f"{name}.sourceoutputstates",
                partial(self._of_rows, lambda row: "On" if row.reading.output else "Off"),
            ),
            sourceranges=Column(f"{name}.sourceranges", partial(self._of_rows, lambda row: row.source_range)),
        )
        self.attribute("n", lambda: float(len(self._rows)))
        self.attribute("capacity", lambda: float(capacity))
        self.attribute("next", lambda: float(len(self._rows) % capacity + 1))
        self.attribute("basetimestamp", lambda: self._rows[0].reading.seconds if self._rows else 0.0)
        self.keep(self._resolution, {"timestampresolution": (1e-6, 4294.967296)})
        for flag in self._flags:
            self.attribute(flag, partial(self._flag, flag), partial(self._set_flag, flag))
        self.attribute("fillcount", lambda: float(self._fill_count), self._set_fill_count)
        # the cache is the data here
        self.store(self._cache, {"cachemode": (0, 1)})

    def column(self) -> list[Value]:
        """Return the readings."""
        return [row.value for row in self._rows]

    def rows(self) -> list[StoredReading]:
        """Return the entries."""
        return self._rows

    def clear(self) -> None:
        """Remove all readings."""
        self._rows.clear()

    def begin(self) -> None:
        """Prepare for a new series of readings: clear the buffer unless append mode is on."""
        if not self._flags["appendmode"]:
            self.clear()

    def add_reading(self, row: StoredReading) -> None:
        """Add a reading.

        Raises
        ------
        VirtualInstrumentError
            -223 if the buffer is full.
        """
        if self._flags["fillmode"]:
            limit = self._fill_count or self._capacity
            del self._rows[: max(len(self._rows) - limit + 1, 0)]
        elif len(self._rows) >= self._capacity:
            raise VirtualInstrumentError(-223)
        self._rows.append(row)

    def statistics(self) -> Namespace:
        """Return number, mean, standard deviation, smallest and largest reading as an object."""
        found = Namespace("stats", {"n": float(len(self._rows))})
        if self._rows:
            values = [row.value for row in self._rows]
            found.add(mean=statistics.fmean(values))
            found.add(stddev=statistics.stdev(values) if len(values) > 1 else 0.0)
            for name, choose in (("min", min), ("max", max)):
                row = choose(self._rows, key=lambda row: row.value)
                extreme = Namespace(f"stats.{name}", {"reading": row.value, "sourcevalue": row.reading.level})
                extreme.add(
                    timestamp=self._seconds(row), measurefunction=FUNCTION_NAMES[row.name], status=row.status
                )
                found.add(**{name: extreme})
        return found

    def _of_rows(self, value: Callable[[StoredReading], Value]) -> list[Value]:
        return [value(row) for row in self._rows]

    def _optional(self, flag: str, value: Callable[[StoredReading], Value]) -> list[Value]:
        return self._of_rows(value) if self._flags[flag] else []

    def _seconds(self, row: StoredReading) -> float:
        resolution = self._resolution["timestampresolution"]
        return round((row.reading.seconds - self._rows[0].reading.seconds) / resolution) * resolution

    def _flag(self, name: str) -> float:
        return float(self._flags[name])

    def _set_flag(self, name: str, value: Value) -> None:
        chosen = enumerated(value, 2)
        if name.startswith("collect") and self._rows and chosen != self._flags[name]:
            raise VirtualInstrumentError(-221)  # what was not collected cannot be added
        self._flags[name] = chosen

    def _set_fill_count(self, value: Value) -> None:
        self._fill_count = whole(value, 0, self._capacity)


def _level(row: StoredReading) -> float:
    return row.reading.level
