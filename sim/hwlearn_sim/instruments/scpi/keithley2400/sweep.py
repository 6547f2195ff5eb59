"""Sweeps of a Keithley 2400: staircases, lists and source memory (2400 User's Manual p. 18-83 to 18-94)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from hwlearn_sim.instruments.capability import QUANTITIES
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.ranges import Quantity
from hwlearn_sim.instruments.scpi.parameters import Choice, Whole, checked_count
from hwlearn_sim.instruments.scpi.settings import Setting, Suffixes
from hwlearn_sim.instruments.scpi.setups import Setup
from hwlearn_sim.instruments.scpi.smu import MNEMONIC, UNIT, ScpiSmu
from hwlearn_sim.instruments.scpi.source_levels import Ranging, ramp, stepped

MOST_POINTS: Final = 2500
_LOCATIONS: Final = 100


class Sweep2400:
    """Source levels of each cycle of the trigger model.

    Parameters
    ----------
    smu : ScpiSmu
        The instrument.
    """

    def __init__(self, smu: ScpiSmu) -> None:
        self._smu, self._channel = smu, smu.channels[0]
        self._lists: dict[Quantity, Setting[tuple[float, ...]]] = {
            quantity: smu.kept(f"list of {quantity}", (), 1) for quantity in QUANTITIES
        }
        self._modes: dict[Quantity, Setting[str]] = {}
        self._ends: dict[Quantity, tuple[Setting[float], Setting[float]]] = {}
        self._firsts: dict[Quantity, Setting[int]] = {}
        self._triggered = {quantity: smu.kept(f"triggered {quantity}", math.nan) for quantity in QUANTITIES}
        self._step: Setting[tuple[Quantity, float] | None] = smu.kept("sweep step", None)
        self._points = smu.kept("sweep points", MOST_POINTS)
        for quantity, name in MNEMONIC.items():
            self._add_quantity(quantity, name)
        self._add_common()
        self._memory: dict[int, Setup] = {}
        self._add_memory()

    def _add_quantity(self, quantity: Quantity, name: str) -> None:
        smu, base = self._smu, f"SOURce#:{name}"
        most = self._channel.capability.sources[quantity].most
        level = smu.number(-most, most, 0.0, UNIT[quantity])
        double = smu.number(-2 * most, 2 * most, 0.0, UNIT[quantity])
        mode = Choice(("FIXed", "LIST", "SWEep"))
        self._modes[quantity] = smu.stored_setting(f"{base}:MODE", mode, "FIX")
        start = smu.stored_setting(f"{base}:STARt", level, 0.0)
        stop = smu.stored_setting(f"{base}:STOP", level, 0.0)
        self._ends[quantity] = (start, stop)

        def spread(_: Suffixes, value: float, *, center: bool) -> None:
            middle, span = (start() + stop()) / 2, stop() - start()
            middle, span = (value, span) if center else (middle, value)
            if max(abs(middle - span / 2), abs(middle + span / 2)) > most * (1 + 1e-12):
                raise VirtualInstrumentError(-221)
            start.put(middle - span / 2)
            stop.put(middle + span / 2)

        smu.setting(f"{base}:CENTer", double, lambda _: (start() + stop()) / 2, partial(spread, center=True))
        smu.setting(f"{base}:SPAN", double, lambda _: stop() - start(), partial(spread, center=False))
        smu.setting(
            f"{base}:STEP",
            double,
            lambda _: self._step_of(quantity),
            lambda _, value: self._step.put((quantity, value)),
        )
        smu.add_source_list(f"SOURce#:LIST:{name}", level, self._lists[quantity], 100, MOST_POINTS)
        self._firsts[quantity] = smu.stored_setting(f"SOURce#:LIST:{name}:STARt", Whole(1, MOST_POINTS, 1), 1)
        triggered = self._triggered[quantity]

        def level_or_triggered(_: Suffixes) -> float:
            present = self._channel.settings.levels[quantity]
            return present if math.isnan(triggered()) else triggered()

        smu.setting(
            f"{base}[:LEVel]:TRIGgered[:AMPLitude]",
            level,
            level_or_triggered,
            lambda _, value: triggered.put(value),
        )

    def _add_common(self) -> None:
        smu = self._smu
        self._spacing = smu.stored_setting("SOURce#:SWEep:SPACing", Choice(("LINear", "LOGarithmic")), "LIN")
        self._ranging = smu.stored_setting("SOURce#:SWEep:RANGing", Choice(("BEST", "AUTO", "FIXed")), "BEST")
        self._direction = smu.stored_setting("SOURce#:SWEep:DIRection", Choice(("UP", "DOWN")), "UP")
        self._aborts = smu.stored_setting("SOURce#:SWEep:CABort", Choice(("NEVer", "EARLy", "LATE")), "NEV")

        def set_points(_: Suffixes, points: int) -> None:
            self._points.put(points)
            self._step.put(None)

        points = Whole(1, MOST_POINTS, MOST_POINTS)
        smu.setting("SOURce#:SWEep:POINts", points, lambda _: self._present_points(), set_points)

    # --- staircase ----------------------------------------------------------------------------------

    def _present_points(self) -> int:
        """Return the number of points, which a step determines (p. 18-88)."""
        step = self._step()
        if step is None:
            return self._points()
        start, stop = (end() for end in self._ends[step[0]])
        return self._points() if step[1] == 0 else 1 + math.floor(abs(stop - start) / abs(step[1]) + 1e-9)

    def _step_of(self, quantity: Quantity) -> float:
        step = self._step()
        if step is not None and step[0] == quantity:
            return step[1]
        start, stop = (end() for end in self._ends[quantity])
        points = self._present_points()
        return (stop - start) / (points - 1) if points > 1 else 0.0

    def _staircase(self, quantity: Quantity) -> list[float]:
        start, stop = (end() for end in self._ends[quantity])
        step = self._step()
        if self._spacing() == "LOG":
            levels = ramp(start, stop, self._points(), logarithmic=True)
        elif step is not None and step[0] == quantity and step[1] != 0:
            if step[1] * (stop - start) < 0 or self._present_points() > MOST_POINTS:
                raise VirtualInstrumentError(-221)
            levels = [start + k * step[1] for k in range(self._present_points())]
        else:
            levels = ramp(start, stop, self._points())
        return levels[::-1] if self._direction() == "DOWN" else levels

    # --- cycles -------------------------------------------------------------------------------------

    @property
    def aborts(self) -> str:
        """When a sweep ends in compliance: NEV, EARL or LATE."""
        return self._aborts() if self.sweeping else "NEV"

    @property
    def sweeping(self) -> bool:
        """Whether the source changes from cycle to cycle."""
        return self.from_memory or self._modes[self._channel.settings.function]() != "FIX"

    def levels(self) -> list[float]:
        """Return the source levels of a sweep; none for a fixed source."""
        quantity = self._channel.settings.function
        mode = self._modes[quantity]()
        if mode == "LIST":
            values = self._lists[quantity]()
            if not self._firsts[quantity]() <= len(values):
                raise VirtualInstrumentError(-221)
            return list(values[self._firsts[quantity]() - 1 :])
        return self._staircase(quantity) if mode == "SWE" else []

    @contextmanager
    def cycles(self) -> Iterator[Iterator[None]]:
        """Return an iterator that sets the source for each cycle."""
        if self.from_memory:
            yield self._recalled()
            return
        if not self.sweeping:
            yield itertools.repeat(None)
            return
        ranging: dict[str, Ranging] = {"BEST": "BEST", "AUTO": "AUTO", "FIX": "FIX"}
        with stepped(self._channel, self.levels(), ranging[self._ranging()]) as steps:
            yield steps

    def trigger_level(self) -> None:
        """Set the triggered level of a fixed source, if one was programmed (p. 18-79)."""
        quantity = self._channel.settings.function
        value = self._triggered[quantity]()
        if not math.isnan(value) and not self.sweeping:
            self._triggered[quantity].put(math.nan)
            self._channel.set_level(quantity, value)

    # --- source memory ------------------------------------------------------------------------------

    @property
    def from_memory(self) -> bool:
        """Whether the source is swept through stored setups."""
        return self._from_memory()

    def select_memory(self, on: bool) -> None:
        """Select or leave the source memory sweep."""
        self._from_memory.put(on)

    def _add_memory(self) -> None:
        smu, location = self._smu, Whole(1, _LOCATIONS, 1)
        self._from_memory = smu.kept("source memory sweep", False)
        self._memory_points = smu.stored_setting("SOURce#:MEMory:POINts", location, 1)
        self._memory_first = smu.stored_setting("SOURce#:MEMory:STARt", location, 1)

        def save(_: Suffixes, arguments: list[str]) -> None:
            self._memory[location.read(checked_count(arguments, 1)[0])] = Setup.of(smu)

        def recall(_: Suffixes, arguments: list[str]) -> None:
            self._recall(location.read(checked_count(arguments, 1)[0]))

        smu.command("SOURce#:MEMory:SAVE", save)
        smu.command("SOURce#:MEMory:RECall", recall)

    def _recall(self, location: int) -> None:
        """Restore a stored setup; the output stays as it is."""
        setup = self._memory.get(location)
        if setup is None:
            raise VirtualInstrumentError(-221)
        settings = setup.channels[0].copy()
        settings.output = self._channel.settings.output
        self._channel.use(settings)
        kept: dict[Any, Any] = {
            key: value for key, value in self._smu.store.snapshot().items() if key[0] in _NOT_IN_MEMORY
        }
        inside = {key: value for key, value in setup.values.items() if key[0] not in _NOT_IN_MEMORY}
        self._smu.store.restore({**inside, **kept})

    def _recalled(self) -> Iterator[None]:
        while True:
            for point in range(self._memory_points()):
                self._recall((self._memory_first() - 1 + point) % _LOCATIONS + 1)
                yield None


_NOT_IN_MEMORY: Final = frozenset(
    {
        "source memory sweep",
        "SOURce#:MEMory:POINts",
        "SOURce#:MEMory:STARt",
        "ARM:COUNt",
        "TRIGger:COUNt",
        "elements",
    }
)
"""Settings that control the sweep itself, and are not part of a source memory location."""
