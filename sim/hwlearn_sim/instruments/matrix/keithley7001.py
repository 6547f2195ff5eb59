"""Virtual Keithley 7001 switch system with 4 x 10 matrix cards (SCPI).

Sources: those of the driver, `hwlearn_drivers.matrix.models.keithley7001`. Ranges of crosspoints are within one
row, as public programs send them; other ranges are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from hwlearn_drivers.matrix.cards import Grid
from hwlearn_drivers.roles.values import Crosspoint
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.matrix.relays import RelayBank
from hwlearn_sim.instruments.scpi.instrument import ScpiInstrument
from hwlearn_sim.instruments.scpi.parameters import checked_count
from hwlearn_sim.instruments.scpi.settings import Suffixes

_PLACE: Final = re.compile(r"(\d)\s*!\s*(\d)\s*!\s*(\d\d?)")


class Virtual7001(ScpiInstrument):
    """A Keithley 7001.

    Parameters
    ----------
    cards : mapping of int to str
        Card in each slot.
    grid : Grid
    relays : RelayBank
    clock : Clock
    serial : str
    """

    def __init__(self, cards: Mapping[int, str], grid: Grid, relays: RelayBank, clock: Clock, serial: str) -> None:
        super().__init__(f"KEITHLEY INSTRUMENTS INC.,MODEL 7001,{serial},A01/A02", 10, clock)
        self.relays, self._grid, self._cards = relays, grid, dict(cards)
        self.command("[ROUTe]:CLOSe", self._close, self._closed)
        self.command("[ROUTe]:OPEN", self._open, self._opened)
        self.simple_query("[ROUTe]:CLOSe:STATe", self._listed)
        self.simple_command("[ROUTe]:OPEN:ALL", lambda: self.relays.move(self.relays.closed, ()))

    def reset(self) -> None:
        """Open every relay."""
        super().reset()
        self.relays.move(self.relays.closed, ())

    def _points(self, arguments: list[str]) -> list[Crosspoint]:
        text = checked_count(arguments, 1)[0]
        found = re.fullmatch(r"\(\s*@(.*)\)", text)
        if found is None:
            raise VirtualInstrumentError(-171 if text.startswith("(") else -104)
        points: list[Crosspoint] = []
        for item in found[1].split(","):
            ends = [_PLACE.fullmatch(end.strip()) for end in item.split(":")]
            first, last = ends[0], ends[-1]
            if len(ends) > 2 or first is None or last is None or first.group(1, 2) != last.group(1, 2):
                raise VirtualInstrumentError(-171)
            slot, row = int(first[1]), first[2]
            columns = range(int(first[3]), int(last[3]) + 1)
            inside = columns and columns[0] >= 1 and columns[-1] <= self._grid.width
            if slot not in self._cards or row not in self._grid.rows or not inside:
                raise VirtualInstrumentError(-222)
            points += [self._grid.at(slot, row, column) for column in columns]
        return points

    def _close(self, _: Suffixes, arguments: list[str]) -> None:
        self.relays.move((), self._points(arguments))

    def _open(self, _: Suffixes, arguments: list[str]) -> None:
        every = len(arguments) == 1 and arguments[0].upper() == "ALL"
        self.relays.move(self.relays.closed if every else self._points(arguments), ())

    def _closed(self, _: Suffixes, arguments: list[str]) -> str:
        return ",".join(str(int(point in self.relays.closed)) for point in self._points(arguments))

    def _opened(self, _: Suffixes, arguments: list[str]) -> str:
        return ",".join(str(int(point not in self.relays.closed)) for point in self._points(arguments))

    def _listed(self) -> str:
        places = sorted(self._grid.place(point) for point in self.relays.closed)
        return f"(@{','.join('!'.join(map(str, place)) for place in places)})"
