"""Virtual Keysight B2200A and B2201A switch mainframes (SCPI).

Sources: Agilent B2200 User's Guide, editions 2 and 4; QCoDeS's B220X driver and its simulation file. Bias, ground
and couple mode are refused when they are switched on. Whether ``*RST`` selects the normal configuration mode is an
assumption.
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
from hwlearn_sim.instruments.scpi.language import Query, Write
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, checked_count
from hwlearn_sim.instruments.scpi.settings import Setting, Suffixes

_ITEM: Final = re.compile(r"(\d?)(\d\d)(\d\d)")
_RULES: Final = Choice(("FREE", "SROUte"))
_SEQUENCES: Final = Choice(("NSEQ", "BBM", "MBBR"))
_MODES: Final = Choice(("ACONfig", "NCONfig"))


class VirtualB2200(ScpiInstrument):
    """A Keysight B2200A or B2201A.

    Parameters
    ----------
    model : str
    cards : mapping of int to str
        Module in each slot.
    grid : Grid
    relays : RelayBank
    clock : Clock
    """

    def __init__(self, model: str, cards: Mapping[int, str], grid: Grid, relays: RelayBank, clock: Clock) -> None:
        super().__init__(f"AGILENT,{model},0,A.01.00", 30, clock, no_error='+0,"No error"')
        self.relays, self._grid, self._cards = relays, grid, dict(cards)
        self._mode = self.stored_setting("[ROUTe]:FUNCtion", _MODES, "NCON")
        self._rule = self.kept("rule", "FREE")
        self._sequence = self.kept("sequence", "BBM")
        self.command("[ROUTe]:CLOSe[:LIST]", self._close, self._closed)
        self.command("[ROUTe]:OPEN[:LIST]", self._open, self._opened)
        self.command("[ROUTe]:CLOSe:CARD", query=self._closed_on_card)
        self.command("[ROUTe]:OPEN:CARD", self._open_card)
        self.command("[ROUTe]:CONNection:RULE", self._set(self._rule, _RULES), self._answer(self._rule))
        self.command(
            "[ROUTe]:CONNection:SEQuence", self._set(self._sequence, _SEQUENCES), self._answer(self._sequence)
        )
        for mode in ("BIAS", "AGND", "COUPle"):
            self.command(f"[ROUTe]:{mode}[:STATe]", self._refuse_on, self._off)
        for part in ("BIAS:PORT", "AGND:PORT", "AGND:UNUSED", "COUPle:PORT", "COUPle:PORT:DETect"):
            self.refused(f"[ROUTe]:{part}", -241)
        self.command("SYSTem:CTYPe", query=self._card_type)
        self.command("DIAGnostic:TEST:CARD:STATe", query=lambda _, arguments: self._untested(arguments))

    def reset(self) -> None:
        """Open every relay and restore the defaults."""
        super().reset()
        self.relays.move(self.relays.closed, ())

    def _execute(self, message: bytes) -> bytes:
        self.relays.settle()  # of the message before
        return super()._execute(message)

    # --- channels -----------------------------------------------------------------------------------

    @property
    def _auto(self) -> bool:
        return self._mode() == "ACON"

    def _points(self, arguments: list[str]) -> list[Crosspoint]:
        """Return the crosspoints of a channel list; a range has the same card and input port at both ends."""
        text = checked_count(arguments, 1)[0]
        found = re.fullmatch(r"\(\s*@([\d,:\s]*)\)", text)
        if found is None:
            raise VirtualInstrumentError(-171 if text.startswith("(") else -104)
        points: list[Crosspoint] = []
        for item in found[1].split(","):
            ends = [self._point(end.strip()) for end in item.split(":")]
            if len(ends) > 2 or ends[0].row != ends[-1].row:
                raise VirtualInstrumentError(-171)
            first, last = int(ends[0].column), int(ends[-1].column)
            if first > last:
                raise VirtualInstrumentError(-171)
            points += [Crosspoint(ends[0].row, str(column)) for column in range(first, last + 1)]
        return points

    def _point(self, text: str) -> Crosspoint:
        match = _ITEM.fullmatch(text)
        if match is None:
            raise VirtualInstrumentError(-171)
        card, row, column = int(match[1] or 0), int(match[2]), int(match[3])
        if (card == 0) is not self._auto:
            raise VirtualInstrumentError(-222)
        if not self._auto:
            if not 1 <= column <= self._grid.width:
                raise VirtualInstrumentError(-222)
            column += (card - 1) * self._grid.width
        point = Crosspoint(str(row), str(column))
        if point.row not in self._grid.rows or point.column not in self._grid.columns:
            raise VirtualInstrumentError(-222)
        return point

    def _close(self, _: Suffixes, arguments: list[str]) -> None:
        points = self._points(arguments)
        others: set[Crosspoint] = set()
        if self._rule() == "SROU":
            others = {
                one
                for one in self.relays.closed
                for new in points
                if one != new and (one.row == new.row or one.column == new.column)
            }
        if self._sequence() == "NSEQ":
            self.relays.move(others, points)
        elif self._sequence() == "MBBR":
            self.relays.move((), points)
            self.relays.move(others, ())
        else:
            self.relays.move(others, ())
            self.relays.move((), points)

    def _open(self, _: Suffixes, arguments: list[str]) -> None:
        self.relays.move(self._points(arguments), ())

    def _closed(self, _: Suffixes, arguments: list[str]) -> str:
        return ",".join(str(int(point in self.relays.closed)) for point in self._points(arguments))

    def _opened(self, _: Suffixes, arguments: list[str]) -> str:
        return ",".join(str(int(point not in self.relays.closed)) for point in self._points(arguments))

    # --- cards --------------------------------------------------------------------------------------

    def _card(self, text: str, *, every: bool = False) -> int | None:
        """Return the number of a card; None for ``ALL``, where it is allowed."""
        if every and text.upper() == "ALL":
            return None
        if not text.isdigit():
            raise VirtualInstrumentError(-104)
        number = int(text)
        if number not in ([0] if self._auto else list(self._cards)):
            raise VirtualInstrumentError(-222)
        return number

    def _on_card(self, card: int | None) -> list[Crosspoint]:
        closed = sorted(self.relays.closed, key=lambda one: (int(one.row), int(one.column)))
        if not card:
            return closed
        return [one for one in closed if (int(one.column) - 1) // self._grid.width == card - 1]

    def _closed_on_card(self, _: Suffixes, arguments: list[str]) -> str:
        self.relays.settle()
        card = self._card(checked_count(arguments, 1)[0])
        shift = 0 if not card else (card - 1) * self._grid.width
        names = (f"{card}{int(one.row):02d}{int(one.column) - shift:02d}" for one in self._on_card(card))
        return f"(@{','.join(names)})"

    def _open_card(self, _: Suffixes, arguments: list[str]) -> None:
        self.relays.move(self._on_card(self._card(checked_count(arguments, 1)[0], every=True)), ())

    def _card_type(self, _: Suffixes, arguments: list[str]) -> str:
        card = self._card(checked_count(arguments, 1)[0])
        return f"AGILENT,{self._cards[card or min(self._cards)]},0,A.01.00"

    def _untested(self, arguments: list[str]) -> str:
        if checked_count(arguments, 1)[0] not in map(str, self._cards):
            raise VirtualInstrumentError(-222)
        return "-1"

    # --- settings of cards --------------------------------------------------------------------------

    def _set(self, setting: Setting[str], kind: Choice) -> Write:
        def write(_: Suffixes, arguments: list[str]) -> None:
            card, value = checked_count(arguments, 2)
            self._card(card, every=True)
            setting.put(kind.read(value))

        return write

    def _answer(self, setting: Setting[str]) -> Query:
        def query(_: Suffixes, arguments: list[str]) -> str:
            self._card(checked_count(arguments, 1)[0])
            return setting()

        return query

    def _refuse_on(self, _: Suffixes, arguments: list[str]) -> None:
        card, value = checked_count(arguments, 2)
        self._card(card, every=True)
        if Flag().read(value):
            raise VirtualInstrumentError(-241)

    def _off(self, _: Suffixes, arguments: list[str]) -> str:
        self._card(checked_count(arguments, 1)[0])
        return "0"
