"""Readings of a Keysight B2900: data elements, READ, FETCh and MEASure, and the output switch around them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from hwlearn_sim.instruments.capability import ChannelReading, OffState
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.scpi.keysightb2900.sense import SenseB2900
from hwlearn_sim.instruments.scpi.language import channel_list, spelled
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, Whole, checked_count, items
from hwlearn_sim.instruments.scpi.settings import Setting, Suffixes
from hwlearn_sim.instruments.scpi.smu import ScpiSmu

ELEMENTS: Final = ("VOLT", "CURR", "RES", "TIME", "STAT", "SOUR")
_NAMES: Final = ("VOLTage", "CURRent", "RESistance", "TIME", "STATus", "SOURce")

Stored = Callable[[int, ChannelReading], None]


class ReadingsB2900:
    """The readings of the last run of every channel.

    Parameters
    ----------
    smu : ScpiSmu
        The instrument.
    sense : SenseB2900
        Its measure functions.
    """

    def __init__(self, smu: ScpiSmu, sense: SenseB2900) -> None:
        self._smu, self._sense = smu, sense
        self._latest: list[list[ChannelReading]] = [[] for _ in smu.channels]
        self._stores: list[Stored] = []
        self._elements: Setting[tuple[str, ...]] = smu.kept("elements", ELEMENTS)
        self._add_output()
        self._add_format()

    def add_commands(self, initiate: Callable[[list[int]], None]) -> None:
        """Add the commands that return readings; ``initiate`` runs the trigger model."""
        for verb, start in (("FETCh", False), ("READ", True)):
            for array, head in ((False, f"{verb}[:SCALar]"), (True, f"{verb}:ARRay")):
                self._add_queries(head, initiate if start else None, array)
        self._add_queries("MEASure", None, False, spot=True)
        self._smu.simple_query("SENSe#:DATA:LATest", lambda: self._formatted([0], self._elements(), False))
        self._smu.command("SENSe#:DATA", query=self._slice)
        self._smu.command("SENSe#:DATA:ACQuire", lambda suffixes, _: self._spot([self._index(suffixes)]))
        self._smu.command("SENSe#:DATA:CLEar", lambda suffixes, _: self.begin(self._index(suffixes)))

    def on_reading(self, stored: Stored) -> None:
        """Call a function with the channel, from 0, and every reading."""
        self._stores.append(stored)

    def clear(self) -> None:
        """Forget all readings."""
        self._latest = [[] for _ in self._smu.channels]

    def channels_of(self, arguments: list[str]) -> list[int]:
        """Return the channels, from 0, of an optional channel list."""
        numbers = channel_list(arguments[0]) if checked_count(arguments, 0, 1) else [1]
        if len(set(numbers)) != len(numbers) or not all(1 <= n <= len(self._smu.channels) for n in numbers):
            raise VirtualInstrumentError(-224)
        return sorted(n - 1 for n in numbers)

    def _index(self, suffixes: Suffixes) -> int:
        return self._smu.channels.index(self._smu.at(suffixes))

    # --- output -------------------------------------------------------------------------------------

    def _add_output(self) -> None:
        smu = self._smu
        states: dict[str, OffState] = {"NORM": "NORM", "HIZ": "HIMP", "ZERO": "ZERO"}
        names = {state: name for name, state in states.items()}
        smu.channel_setting(
            "OUTPut#:OFF:MODE",
            Choice(("NORMal", "HIZ", "ZERO")),
            lambda channel: names[channel.settings.off_states["voltage"]],
            lambda channel, name: channel.set_off_state(states[name]),
        )
        self._auto_on = smu.stored_setting("OUTPut#:ON:AUTO", Flag(), True)
        self._auto_off = smu.stored_setting("OUTPut#:OFF:AUTO", Flag(), False)
        self._protects = smu.stored_setting("OUTPut#:PROTection[:STATe]", Flag(), False)
        # LO is connected to the board's ground in either state; a virtual source has no dynamics to filter
        smu.without_effect("OUTPut#:LOW", Choice(("GROund", "FLOat")), "GRO")
        smu.without_effect("OUTPut#:HCAPacitance[:STATe]", Flag(), False)
        smu.without_effect("OUTPut#:FILTer[:LPASs][:STATe]", Flag(), True)
        smu.without_effect("OUTPut#:FILTer[:LPASs]:AUTO", Flag(), False)
        smu.without_effect("OUTPut#:FILTer[:LPASs]:FREQuency", smu.number(31.83, 31830.9, 31830.9, "HZ"), 31830.9)
        smu.without_effect("OUTPut#:FILTer[:LPASs]:TCONstant", smu.number(5e-6, 5e-3, 5e-6, "S"), 5e-6)

    def switch_on(self, k: int) -> None:
        """Switch channel ``k`` on if it is switched on automatically."""
        if self._auto_on((k + 1,)):
            self._smu.channels[k].set_output(True)

    def switch_off(self, k: int) -> None:
        """Switch channel ``k`` off if it is switched off automatically."""
        if self._auto_off((k + 1,)):
            self._smu.channels[k].set_output(False)

    def protect(self, k: int) -> None:
        """Switch channel ``k`` off if it is in compliance and over-current or over-voltage protection is on."""
        if self._protects((k + 1,)) and self._smu.channels[k].tripped:
            self._smu.channels[k].set_output(False)

    # --- readings -----------------------------------------------------------------------------------

    def begin(self, k: int) -> None:
        """Forget the readings of channel ``k``."""
        self._latest[k] = []

    def store(self, k: int, reading: ChannelReading) -> None:
        """Add a reading of channel ``k``."""
        self._latest[k].append(reading)
        for stored in self._stores:
            stored(k, reading)

    def _spot(self, chosen: list[int]) -> None:
        """Measure once, without the trigger model."""
        for k in chosen:
            self.begin(k)
            self.store(k, self._sense.measure(k))
            self.protect(k)

    def _add_format(self) -> None:
        kind = Choice(_NAMES)

        def show(_: Suffixes, arguments: list[str]) -> None:
            chosen = items(kind, arguments, len(ELEMENTS))
            self._elements.put(tuple(name for name in ELEMENTS if name in chosen))

        self._smu.command("FORMat:ELEMents:SENSe", show, lambda _, __: ",".join(self._elements()))

    def _add_queries(
        self, head: str, initiate: Callable[[list[int]], None] | None, array: bool, *, spot: bool = False
    ) -> None:
        def query(elements: Sequence[str] | None, _: Suffixes, arguments: list[str]) -> str:
            chosen = self.channels_of(arguments)
            if initiate is not None:
                initiate(chosen)
            elif spot:
                self._spot(chosen)
            shown = self._elements() if elements is None else elements
            return self._smu.after_run(lambda _, __: self._formatted(chosen, shown, array))

        self._smu.command(head, query=partial(query, None))
        for name, short in zip(_NAMES, ELEMENTS, strict=True):
            pattern = f"{name}[:DC]" if short in ("VOLT", "CURR") and spot else name
            self._smu.command(f"{head}:{pattern}", query=partial(query, [short]))

    def _slice(self, suffixes: Suffixes, arguments: list[str]) -> str:
        """Return all readings of a channel from an offset, STARt or CURRent, at most ``size``."""
        k = self._index(suffixes)
        offset, *size = (*checked_count(arguments, 0, 2), *([] if arguments else ["STAR"]))
        rows = self._latest[k]
        if spelled(offset, "CURRent"):
            first = max(len(rows) - 1, 0)
        else:
            first = 0 if spelled(offset, "STARt") else Whole(0, max(len(rows) - 1, 0)).read(offset)
        last = first + Whole(1, max(len(rows) - first, 1)).read(size[0]) if size else len(rows)
        return self.formatted(k, rows[first:last])

    def formatted(self, k: int, rows: Sequence[ChannelReading]) -> str:
        """Return the selected elements of readings of channel ``k``."""
        names = self._elements()
        return self._smu.readings([self.element(k, row, name) for row in (rows or (None,)) for name in names])

    def _formatted(self, chosen: list[int], elements: Sequence[str], array: bool) -> str:
        rows: dict[int, Sequence[ChannelReading | None]] = {k: self._latest[k] or [None] for k in chosen}
        longest = max(len(each) for each in rows.values()) if array else 1
        values = []
        for point in range(longest):
            for k in chosen:
                at = point if array else len(rows[k]) - 1
                reading = rows[k][at] if at < len(rows[k]) else None
                values += [self.element(k, reading, element) for element in elements]
        return self._smu.readings(values)

    def element(self, k: int, reading: ChannelReading | None, element: str) -> float:
        """Return one element of a reading; NaN for a function that is not measured."""
        if reading is None:
            return math.nan
        if element == "SOUR":
            return reading.level
        if element == "TIME":
            return reading.seconds
        if element == "STAT":
            function = reading.function == "current"
            return float(function + 2 * reading.limited + 8192 * reading.over_range)
        if element not in self._sense.functions(k):
            return math.nan
        if element == "RES":
            return reading.resistance
        return reading.values.get("voltage" if element == "VOLT" else "current", math.nan)

    @property
    def elements(self) -> tuple[str, ...]:
        """The selected elements."""
        return self._elements()
