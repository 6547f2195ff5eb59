"""Trace buffers of a Keysight B2900 (SCPI Command Reference, edition 2, p. 4-145 to 4-149)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn_sim.instruments.capability import ChannelReading
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.scpi.keysightb2900.readings import ReadingsB2900
from hwlearn_sim.instruments.scpi.language import spelled
from hwlearn_sim.instruments.scpi.parameters import Choice, Whole, checked_count
from hwlearn_sim.instruments.scpi.settings import Suffixes
from hwlearn_sim.instruments.scpi.smu import ScpiSmu

_LARGEST: Final = 100_000
_STATISTICS: Final[dict[str, Callable[[FloatArray], np.float64]]] = {
    "MEAN": np.mean,
    "SDEV": lambda values: np.float64(values.std(ddof=1) if len(values) > 1 else 0.0),
    "PKPK": np.ptp,
    "MIN": np.min,
    "MAX": np.max,
}


class TracesB2900:
    """The trace buffer of every channel.

    Parameters
    ----------
    smu : ScpiSmu
        The instrument.
    readings : ReadingsB2900
        Its readings.
    """

    def __init__(self, smu: ScpiSmu, readings: ReadingsB2900) -> None:
        self._smu, self._readings = smu, readings
        self._stored: list[list[ChannelReading]] = [[] for _ in smu.channels]
        readings.on_reading(self._note)
        self._size = smu.kept("trace size", _LARGEST, 1)
        self._filling = smu.kept("trace is filling", False, 1)
        self._stamps = smu.stored_setting("TRACe#:TSTamp:FORMat", Choice(("ABSolute", "DELTa")), "ABS")
        statistics = Choice(("MINimum", "MAXimum", "SDEViation", "PKPK", "MEAN"))
        self._statistic = smu.stored_setting("TRACe#:STATistic:FORMat", statistics, "MEAN")
        self._add_control()
        smu.command("TRACe#:CLEar", self._clear)
        smu.command("TRACe#:DATA", query=self._data)
        smu.command("TRACe#:FREE", query=self._free)
        smu.command("TRACe#:POINts:ACTual", query=lambda suffixes, _: str(len(self._of(suffixes))))
        smu.command("TRACe#:STATistic:DATA", query=self._statistics)

    def clear(self) -> None:
        """Empty all buffers."""
        self._stored = [[] for _ in self._smu.channels]

    def _add_control(self) -> None:
        smu = self._smu

        def feed(suffixes: Suffixes, name: str) -> None:
            self._check_stopped(suffixes)
            if name != "SENS":
                raise VirtualInstrumentError(-241)  # results of math and limit tests

        def resize(suffixes: Suffixes, points: int) -> None:
            self._check_stopped(suffixes)
            self._size.put(points, suffixes)

        smu.setting("TRACe#:FEED", Choice(("SENSe", "MATH", "LIMit")), lambda _: "SENS", feed)
        smu.setting(
            "TRACe#:FEED:CONTrol",
            Choice(("NEXT", "NEVer")),
            lambda suffixes: "NEXT" if self._filling(suffixes) else "NEV",
            lambda suffixes, name: self._filling.put(name == "NEXT", suffixes),
        )
        smu.setting("TRACe#:POINts", Whole(1, _LARGEST, _LARGEST), self._size, resize)

    def _of(self, suffixes: Suffixes) -> list[ChannelReading]:
        return self._stored[self._smu.channels.index(self._smu.at(suffixes))]

    def _check_stopped(self, suffixes: Suffixes) -> None:
        if self._filling(suffixes):
            raise VirtualInstrumentError(-221)

    def _note(self, k: int, reading: ChannelReading) -> None:
        suffixes = (k + 1,)
        if self._filling(suffixes):
            self._stored[k].append(reading)
            if len(self._stored[k]) >= self._size(suffixes):
                self._filling.put(False, suffixes)

    def _clear(self, suffixes: Suffixes, arguments: list[str]) -> None:
        checked_count(arguments, 0)
        self._check_stopped(suffixes)
        self._of(suffixes).clear()

    def _free(self, suffixes: Suffixes, arguments: list[str]) -> str:
        checked_count(arguments, 0)
        return f"{self._size(suffixes) - len(self._of(suffixes))},{self._size(suffixes)}"

    def _data(self, suffixes: Suffixes, arguments: list[str]) -> str:
        """Return the readings from an offset, STARt or CURRent, at most ``size``."""
        offset, *size = (*checked_count(arguments, 0, 2), *([] if arguments else ["STAR"]))
        rows = self._stamped(suffixes)
        if spelled(offset, "CURRent"):
            first = max(len(rows) - 1, 0)
        else:
            first = 0 if spelled(offset, "STARt") else Whole(0, max(len(rows) - 1, 0)).read(offset)
        last = first + Whole(1, max(len(rows) - first, 1)).read(size[0]) if size else len(rows)
        return self._readings.formatted(suffixes[0] - 1, rows[first:last])

    def _stamped(self, suffixes: Suffixes) -> list[ChannelReading]:
        """Return the readings with time stamps since the first reading, or since the previous one."""
        rows = self._of(suffixes)
        times = [row.seconds for row in rows]
        zeros = times[:1] * len(times) if self._stamps(suffixes) == "ABS" else [*times[:1], *times[:-1]]
        return [replace(row, seconds=row.seconds - zero) for row, zero in zip(rows, zeros, strict=True)]

    def _statistics(self, suffixes: Suffixes, arguments: list[str]) -> str:
        checked_count(arguments, 0)
        rows, k = self._of(suffixes), suffixes[0] - 1
        names = [name for name in self._readings.elements if name not in ("TIME", "STAT")]
        columns = [[self._readings.element(k, row, name) for row in rows] for name in names]
        of = _STATISTICS[self._statistic(suffixes)]
        with np.errstate(invalid="ignore"):  # overflows are infinite
            return self._smu.readings(
                [float(of(np.array(column))) if column else float("nan") for column in columns]
            )
