"""Keithley 707B and 708B switching systems, and matrix cards of a 3706A (TSP, a Lua dialect).

Sources: Models 707B and 708B Reference Manual 707B-901-01 (``channel.close`` and ``open`` end after the settling
time, section 7; channel names, p. 2-81; ``slot[X].idn``); Series 3700A Reference Manual 3700AS-901-01, section 11;
the 3730 card as QCoDeS drives it. The list of closed channels is the instrument's own record: it does not tell
whether a contact is welded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Final

from hwlearn.errors import SetupError
from hwlearn_drivers.errors import OutputStateError, UnknownInstrumentError
from hwlearn_drivers.instrument.instrument import Identity
from hwlearn_drivers.instrument.tsp import next_tsp_error
from hwlearn_drivers.matrix.cards import LETTERS
from hwlearn_drivers.matrix.matrix import SwitchMatrix
from hwlearn_drivers.roles.values import Crosspoint
from hwlearn_drivers.transport.fence import TSP_FENCE, Fence
from hwlearn_drivers.transport.query_only import QueryOnly

_CHANNEL: Final = re.compile(r"([1-6])([A-Z0-9])(\d\d)")
_LIST: Final = 'channel.getclose("allslots")'
_SIZE: Final = re.compile(r"(\d+)\s*x\s*(\d+)")
_BREAK_BEFORE_MAKE: Final = 1
_SETTINGS: Final = {"channel.connectrule": _BREAK_BEFORE_MAKE, "channel.connectsequential": 0}
_EIGHT: Final = tuple(LETTERS[:8])
_DIGITS: Final = tuple("123456")


class KeithleyTspMatrix(SwitchMatrix):
    """A Keithley switching system that is programmed by TSP."""

    __slots__ = ()

    fence: ClassVar[Fence | None] = TSP_FENCE
    open_form: ClassVar[str] = 'channel.open("{}")'
    close_form: ClassVar[str] = 'channel.close("{}")'

    @classmethod
    def open_all(cls) -> list[str]:
        """Return the command that opens every relay of every slot."""
        return ['channel.open("allslots")']

    @classmethod
    def abort_commands(cls) -> list[str]:
        """Return the command that ends a script or a scan."""
        return ["abort"]

    @classmethod
    def read_status(cls, link: QueryOnly, cards: Mapping[int, str]) -> list[str]:
        """Return the closed channels, read with a query that changes nothing."""
        return _channels(link.query(f"print({_LIST})"))

    def channel(self, crosspoint: Crosspoint) -> str:
        """Return slot, row and column of two digits: ``1A03``."""
        slot, row, column = self.grid.place(crosspoint)
        return f"{slot}{row}{column:02d}"

    def set_up(self) -> None:
        """Reset it, set break before make, and check settings, cards and relays."""
        self.transport.write("errorqueue.clear()")
        self.write("reset()", *(f"{name}={value}" for name, value in _SETTINGS.items()))
        found = self.query_numbers(f"print({','.join(_SETTINGS)})", len(_SETTINGS))
        if found != list(_SETTINGS.values()):
            wrong = ", ".join(f"{name} is {value:g}" for name, value in zip(_SETTINGS, found, strict=True))
            raise OutputStateError(f"{self.name}: {wrong}, and not {list(_SETTINGS.values())} as it was set")
        for slot in self.grid.slots:
            self._check_card(slot)
        self._expected = None
        self.check_state()

    def _check_card(self, slot: int) -> None:
        """Compare model, rows and columns of a card with the bench file; a simulated card is refused.

        A card reports its number without the letters at its end: a 7173-50 reports 7173.
        """
        found = self.query(f"print(slot[{slot}].idn)")
        model, _, text = found.partition(",")
        size = _SIZE.search(text)
        wanted = (len(self.grid.rows), self.grid.width)
        same_number = _digits(model) == _digits(self.use.cards[slot])
        same_size = size is None or (int(size[1]), int(size[2])) == wanted
        if not (same_number and same_size) or "PSEUDO" in text.upper():
            self._refuse_card(slot, found)

    def _list_closed(self, patience_s: float) -> frozenset[Crosspoint]:
        question = f"print({_LIST})"
        listed = self.query(question, patience_s)
        points = []
        for name in _channels(listed):
            match = _CHANNEL.fullmatch(name)
            if match is None:
                self.transport.garbled(question, listed)
            points.append(self.grid.at(int(match[1]), match[2], int(match[3])))
        return frozenset(points)

    def _next_error(self) -> tuple[int, str] | None:
        return next_tsp_error(self)


class Keithley707B(KeithleyTspMatrix):
    """Keithley 707B and 708B."""

    __slots__ = ()

    series: ClassVar[str] = "707B"
    mainframes: ClassVar[Mapping[str, int]] = {"707B": 6, "708B": 1}
    card_rows: ClassVar[Mapping[str, tuple[tuple[str, ...], int]]] = {
        "7072": (_EIGHT, 12),
        "7072-HV": (_EIGHT, 12),
        "7173-50": (_EIGHT[:4], 12),
        "7174A": (_EIGHT, 12),
    }


class Keithley3706A(KeithleyTspMatrix):
    """Keithley 3706A with matrix cards, used without its multimeter."""

    __slots__ = ()

    series: ClassVar[str] = "3706A"
    mainframes: ClassVar[Mapping[str, int]] = {"3706A MATRIX": 6}
    card_rows: ClassVar[Mapping[str, tuple[tuple[str, ...], int]]] = {"3730": (_DIGITS, 16)}

    @classmethod
    def model_of(cls, identity: Identity) -> str:
        """Return the model; a 3706A-SNFP has no front panel and no multimeter and is the same switch."""
        if identity.model_number.split("-")[0] != "3706A":
            raise UnknownInstrumentError(f"{identity} is no 3706A")
        return "3706A MATRIX"

    def _check_card(self, slot: int) -> None:
        """Compare the card as in a 707B, and its largest voltage and the poles of its channels too."""
        super()._check_card(slot)
        question = f"print(slot[{slot}].maxvoltage)"
        allowed = self.query(question)
        if allowed != "nil" and self.use.most_V > self.numbers(question, allowed, 1)[0]:
            raise SetupError(
                f"{self.name}: its card in slot {slot} allows {float(allowed):g} V; max_voltage is "
                f"{self.use.most_V:g} V; correct it"
            )
        question = f'print(channel.getpole("slot{slot}"))'
        poles = {pole.strip() for pole in self.query(question).split(",")}
        if poles != {"2"}:
            raise OutputStateError(
                f"{self.name}: slot {slot} has channels with {' and '.join(sorted(poles))} poles, "
                "not 2 as after a reset"
            )


def _channels(listed: str) -> list[str]:
    """Return the names in a list of channels; ``nil`` stands for none."""
    text = listed.strip()
    return [] if text in ("nil", "") else [name.strip() for name in re.split("[;,]", text)]


def _digits(model: str) -> str:
    found = re.match(r"\s*(\d+)", model)
    return "" if found is None else found[1]
