"""Readings of a Keithley 2400: data elements, status word, and the data store (2400 User's Manual, section 18)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from hwlearn_sim.instruments.capability import ChannelReading
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.ranges import Quantity
from hwlearn_sim.instruments.scpi.keithley2400.sense import Sense2400
from hwlearn_sim.instruments.scpi.keithley2400.sweep import MOST_POINTS
from hwlearn_sim.instruments.scpi.parameters import Choice, Whole, checked_count, items
from hwlearn_sim.instruments.scpi.settings import Setting, Suffixes
from hwlearn_sim.instruments.scpi.smu import ScpiSmu

ELEMENTS: Final = ("VOLT", "CURR", "RES", "TIME", "STAT")
_BUFFER_FULL: Final = 512

Calculated = Callable[[ChannelReading], float]


class Readings2400:
    """The readings of the last run, and the data store that the TRACe commands control.

    Parameters
    ----------
    smu : ScpiSmu
        The instrument.
    sense : Sense
        The selected functions.
    """

    def __init__(self, smu: ScpiSmu, sense: Sense2400) -> None:
        self._smu, self._sense = smu, sense
        self._latest: list[ChannelReading] = []
        self.stored: list[ChannelReading] = []
        self._feeds: dict[str, Calculated] = {}
        self._elements: Setting[tuple[str, ...]] = smu.kept("elements", ELEMENTS)
        kind = Choice(("VOLTage", "CURRent", "RESistance", "TIME", "STATus"))

        def show(_: Suffixes, arguments: list[str]) -> None:
            chosen = items(kind, arguments, len(ELEMENTS))
            self._elements.put(tuple(name for name in ELEMENTS if name in chosen))

        def shown(_: Suffixes, arguments: list[str]) -> str:
            checked_count(arguments, 0)
            return ",".join(self._elements())

        smu.command("FORMat:ELEMents[:SENSe#]", show, shown)
        for root in ("TRACe", "DATA"):
            self._add_store(root)

    def feed(self, name: str, calculated: Calculated) -> None:
        """Offer calculated values to the data store."""
        self._feeds[name] = calculated

    # --- last run -----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Forget the readings of the last run."""
        self._latest = []

    def store(self, reading: ChannelReading) -> None:
        """Add a reading, and store it while the data store is filling."""
        if len(self._latest) < MOST_POINTS:
            self._latest.append(reading)
        if self._filling():
            self.stored.append(reading)
            if len(self.stored) >= self._capacity():
                self._filling.put(False)
                self._smu.status.measurement.events |= _BUFFER_FULL

    @property
    def latest(self) -> Sequence[ChannelReading]:
        """The readings of the last run."""
        return self._latest

    def fetch(self, *, only_last: bool = False) -> str:
        """Return the readings of the last run in the format of replies (-230 if there are none)."""
        if not self._latest:
            raise VirtualInstrumentError(-230)
        return self.formatted(self._latest[-1:] if only_last else self._latest)

    def formatted(self, readings: Sequence[ChannelReading]) -> str:
        """Return the selected elements of readings."""
        names = self._elements()
        return self._smu.readings([self.element(reading, name) for reading in readings for name in names])

    def element(self, reading: ChannelReading, name: str) -> float:
        """Return one element of a reading. A source that is not measured reports its setpoint."""
        if name == "TIME":
            return reading.seconds
        if name == "STAT":
            return float(self._status(reading))
        if name == "RES":
            return reading.resistance if "RES" in self._sense.functions else math.nan
        quantity: Quantity = "voltage" if name == "VOLT" else "current"
        return reading.values.get(quantity, reading.level if reading.function == quantity else math.nan)

    def _status(self, reading: ChannelReading) -> int:
        """Return the status word: overflow, filter, compliance, OVP, functions, range compliance, four-wire."""
        channel = self._smu.channels[0]
        ohms = "RES" in self._sense.functions
        bits = {
            0: reading.over_range or (ohms and math.isinf(reading.resistance)),
            1: self._sense.averaging,
            3: reading.limited,
            4: channel.protected,
            11: "voltage" in reading.values,
            12: "current" in reading.values,
            13: ohms,
            14: reading.function == "voltage",
            15: reading.function == "current",
            16: reading.range_limited,
            22: channel.settings.four_wire,
        }
        return sum(1 << bit for bit, there in bits.items() if there)

    # --- data store ---------------------------------------------------------------------------------

    def _add_store(self, root: str) -> None:
        """Add the TRACe commands, whose root may also be DATA. A reset does not change them (p. 18-21)."""
        smu, first = self._smu, root == "TRACe"
        if first:
            self._capacity = smu.kept("store size", 100, lasting=True)
            self._filling = smu.kept("store is filling", False, lasting=True)
            self._feed = smu.kept("store feed", "SENS", lasting=True)
            self._relative = smu.kept("store time stamps", "ABS", lasting=True)
        feeds = Choice(("SENSe", "SENSe1", "CALCulate", "CALCulate1", "CALCulate2"))

        def control(_: Suffixes, name: str) -> None:
            self._filling.put(name == "NEXT")
            if name == "NEXT":
                self.stored.clear()

        def set_capacity(_: Suffixes, points: int) -> None:
            self._check_idle()
            self._capacity.put(points)
            self.stored.clear()

        def set_feed(_: Suffixes, name: str) -> None:
            self._check_idle()
            self._feed.put({"SENS1": "SENS", "CALC": "CALC1"}.get(name, name))

        smu.setting(f"{root}:POINts", Whole(1, MOST_POINTS, 100), lambda _: self._capacity(), set_capacity)
        smu.setting(f"{root}:FEED", feeds, lambda _: self._feed(), set_feed)
        smu.setting(
            f"{root}:FEED:CONTrol",
            Choice(("NEXT", "NEVer")),
            lambda _: "NEXT" if self._filling() else "NEV",
            control,
        )
        smu.setting(
            f"{root}:TSTamp:FORMat",
            Choice(("ABSolute", "DELTa")),
            lambda _: self._relative(),
            lambda _, name: self._relative.put(name),
        )
        smu.simple_command(f"{root}:CLEar", self.stored.clear)
        smu.simple_query(f"{root}:POINts:ACTual", lambda: str(len(self.stored)))
        smu.simple_query(f"{root}:DATA", self._data)

    def _check_idle(self) -> None:
        if self._filling():
            raise VirtualInstrumentError(800, "Illegal with storage active")

    def _data(self) -> str:
        if self._feed() != "SENS":
            return self._smu.readings([self._feeds[self._feed()](reading) for reading in self.stored])
        times = [reading.seconds for reading in self.stored]
        origins = times[:1] * len(times) if self._relative() == "ABS" else [*times[:1], *times[:-1]]
        return self.formatted(
            [replace(one, seconds=one.seconds - zero) for one, zero in zip(self.stored, origins, strict=True)]
        )
