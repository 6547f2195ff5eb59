"""Keysight (Agilent) B2200A and B2201A low-leakage switch mainframes (SCPI).

Sources: Agilent B2200 User's Guide, editions 2 and 4 (identity, p. 5-7; ``:ROUT:OPEN:CARD ALL`` and channel lists,
p. 5-39; rule and sequence, p. 4-3); QCoDeS's B220X driver, which uses the same commands in auto configuration.
There the modules are one card, number 0, and a channel is ``0``, the input port and the output port.

With bias or ground mode on, a port that is disconnected is connected to the bias or the ground port. So both modes
are switched off before the relays are opened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Final

from hwlearn.errors import SetupError
from hwlearn_drivers.errors import OutputStateError, UnknownInstrumentError
from hwlearn_drivers.matrix.cards import Grid
from hwlearn_drivers.matrix.matrix import SwitchMatrix
from hwlearn_drivers.roles.values import Crosspoint
from hwlearn_drivers.transport.query_only import QueryOnly

_CHANNEL: Final = re.compile(r"0?(\d\d)(\d\d)")
_LIST: Final = re.compile(r"\(@([\d,\s]*)\)")
_CLOSED: Final = ":ROUT:CLOS:CARD? 0"
_MODE: Final = ":ROUT:FUNC"
_MODES_OFF: Final = (":ROUT:BIAS ALL,OFF", ":ROUT:AGND ALL,OFF", ":ROUT:COUP ALL,OFF")
_READ_BACK: Final = {
    ":ROUT:CONN:RULE? 0": "FREE",
    ":ROUT:CONN:SEQ? 0": "BBM",
    ":ROUT:BIAS? 0": "0",
    ":ROUT:AGND? 0": "0",
    ":ROUT:COUP? 0": "0",
}
_INPUTS: Final = tuple(str(port) for port in range(1, 15))
_FAILED: Final = "1"


class KeysightB2200(SwitchMatrix):
    """Keysight B2200A or B2201A: 14 input ports as rows, and 12 output ports on each module as columns."""

    __slots__ = ()

    series: ClassVar[str] = "B2200"
    mainframes: ClassVar[Mapping[str, int]] = {"B2200A": 4, "B2201A": 4}
    card_rows: ClassVar[Mapping[str, tuple[tuple[str, ...], int]]] = {
        "B2210A": (_INPUTS, 12),
        "B2211A": (_INPUTS, 12),
    }

    @classmethod
    def grid_of(cls, model: str, cards: Mapping[int, str]) -> Grid:
        """Return rows and columns; the modules must be in the first slots, because the columns are counted."""
        grid = super().grid_of(model, cards)
        if grid.slots != tuple(range(1, len(grid.slots) + 1)):
            raise SetupError(f"the modules of a {model} are counted from slot 1; got slots {sorted(cards)}")
        return grid

    @classmethod
    def open_all(cls) -> list[str]:
        """Return the commands that end the modes which connect ports, and open every relay."""
        return [*_MODES_OFF, ":ROUT:OPEN:CARD ALL"]

    @classmethod
    def abort_commands(cls) -> list[str]:
        """Return nothing: it executes one command after the other."""
        return []

    @classmethod
    def read_status(cls, link: QueryOnly, cards: Mapping[int, str]) -> list[str]:
        """Return the closed channels, read with queries that change nothing."""
        mode = link.query(f"{_MODE}?")
        if mode != "ACON":
            raise UnknownInstrumentError(
                f"{link.name} counts the channels of each module alone ({mode}); hwlearn reads the auto "
                "configuration mode"
            )
        reply = link.query(_CLOSED)
        found = _LIST.fullmatch(reply)
        if found is None:
            link.garbled(_CLOSED, reply)
        return _names(found[1])

    def channel(self, crosspoint: Crosspoint) -> str:
        """Return card 0, input port and output port: ``00103``."""
        return f"0{int(crosspoint.row):02d}{int(crosspoint.column):02d}"

    def set_up(self) -> None:
        """Reset it, set auto configuration and break before make, and check settings, modules and relays."""
        self.transport.write("*CLS")
        self.write("*RST", f"{_MODE} NCON")
        for slot in self.grid.slots:
            found = self.query(f":SYST:CTYP? {slot}")
            if self.use.cards[slot] not in found.upper():
                self._refuse_card(slot, found)
            if self.query(f":DIAG:TEST:CARD:STAT? {slot}") == _FAILED:
                raise OutputStateError(
                    f"{self.name}: the module in slot {slot} has failed its last relay test; repair it"
                )
        self.write(f"{_MODE} ACON", ":ROUT:CONN:RULE 0,FREE", ":ROUT:CONN:SEQ 0,BBM", *self.open_all())
        for question, wanted in _READ_BACK.items():
            found = self.query(question)
            if found != wanted:
                raise OutputStateError(f"{self.name} answers {question!r} with {found!r}, and not {wanted!r}")
        self._expected = None
        self.check_state()

    def _is_off(self) -> bool:
        """Query whether every relay is open, also if it was interrupted while it was set up."""
        self.transport.write("*CLS", f"{_MODE} ACON")
        return super()._is_off()

    def _list_closed(self, patience_s: float) -> frozenset[Crosspoint]:
        if self.query("*OPC?", patience_s) != "1":  # when every relay has settled
            self.transport.garbled("*OPC?", "not 1")
        reply = self.query(_CLOSED)
        found = _LIST.fullmatch(reply)
        if found is None:
            self.transport.garbled(_CLOSED, reply)
        points = []
        for name in _names(found[1]):
            match = _CHANNEL.fullmatch(name)
            if match is None:
                self.transport.garbled(_CLOSED, reply)
            points.append(Crosspoint(str(int(match[1])), str(int(match[2]))))
        return frozenset(points)


def _names(listed: str) -> list[str]:
    return [name.strip() for name in listed.split(",") if name.strip()]
