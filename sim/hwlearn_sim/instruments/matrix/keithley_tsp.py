"""Virtual Keithley 707B, 708B and 3706A switching systems with their script language (TSP).

Source: Models 707B and 708B Reference Manual 707B-901-01, and Series 3700A Reference Manual 3700AS-901-01, "TSP
command reference". Backplane relays, scans, patterns, labels and the multimeter of a 3706A are not modelled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from hwlearn_drivers.matrix.cards import Grid
from hwlearn_drivers.roles.values import Crosspoint
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.matrix.relays import RelayBank
from hwlearn_sim.instruments.tsp import libraries
from hwlearn_sim.instruments.tsp.instrument import TspInstrument
from hwlearn_sim.instruments.tsp.node import error_object
from hwlearn_sim.instruments.tsp.script.objects import Namespace, Value, as_number, as_text, function, within

_OFF, _BREAK_FIRST, _MAKE_FIRST = 0.0, 1.0, 2.0
_MOST_DELAY_S: Final = 60.0
_CARDS: Final[Mapping[str, str]] = {
    "7072": "7072,8x12 SemiMatrix,01.00a,1000072",
    "7072-HV": "7072,8x12 SemiMatrix HV,01.00a,1000073",
    "7173-50": "7173,4x12 Hi Freq Matrix,02.01a,1000173",
    "7174A": "7174,8x12 LowCurMatrix,01.00a,1000174",
    "3730": "3730,6x16 High Density Matrix,01.40h,4447332",
}
"""Replies of the cards: 7173-50 as in the manual, 3730 as in QCoDeS's tests, the others in the same form."""

_MOST_V: Final[Mapping[str, float]] = {"3730": 300.0}


class VirtualTspMatrix(TspInstrument):
    """A Keithley switching system.

    Parameters
    ----------
    model : str
        As it reports itself, such as ``707B``.
    slots : int
        Number of slots of the mainframe.
    cards : mapping of int to str
        Card in each slot.
    grid : Grid
        Rows and columns of the cards.
    relays : RelayBank
    clock : Clock
    serial : str
    """

    def __init__(
        self,
        model: str,
        slots: int,
        cards: Mapping[int, str],
        grid: Grid,
        relays: RelayBank,
        clock: Clock,
        serial: str,
    ) -> None:
        super().__init__(f"KEITHLEY INSTRUMENTS INC.,MODEL {model},{serial},01.56a", model, serial, clock)
        self.relays, self._grid, self._cards, self._slots = relays, grid, dict(cards), slots
        self._every = {
            f"{slot}{row}{column:02d}": grid.at(slot, row, column)
            for slot in grid.slots
            for row in grid.rows
            for column in range(1, grid.width + 1)
        }
        self._rules: dict[str, float] = {}
        self._delays: dict[str, float] = {}
        self._forbidden: set[str] = set()
        self._defaults()
        self.start()

    def reset(self) -> None:
        """Open every relay and restore the defaults."""
        self.relays.move(self.relays.closed, ())
        self._defaults()
        self._replies.restore_defaults()

    def _defaults(self) -> None:
        self._rules.update(connectrule=_BREAK_FIRST, connectsequential=_OFF)
        self._delays.clear()
        self._forbidden.clear()

    def _execute(self, message: bytes) -> bytes:
        self.relays.settle()  # of the message before
        return super()._execute(message)

    # --- variables of scripts -----------------------------------------------------------------------

    def _variables(self) -> dict[str, Value]:
        replies = self._replies
        return {
            "localnode": self._node.root,
            "format": replies.root,
            "errorqueue": error_object(self.errors),
            "channel": self._channel_object(),
            "slot": self._slot_object(),
            "bit": libraries.bit_library(),
            "timer": libraries.timer_library(self.clock),
            "printnumber": function(replies.print_numbers, 1, 100),
            "reset": function(lambda system=None: self.reset(), 0, 1),
            "delay": libraries.delay_function(self.clock.advance),
            "waitcomplete": function(lambda group=None: None, 0, 1),
            "opc": function(lambda: self.status.complete([])),
        }

    def _channel_object(self) -> Namespace:
        part = Namespace("channel", {"OFF": 0.0, "ON": 1.0, "BREAK_BEFORE_MAKE": 1.0, "MAKE_BEFORE_BREAK": 2.0})
        part.add(TYPE_SWITCH=1.0, POLES_ONE=1.0, POLES_TWO=2.0, POLES_FOUR=4.0)
        part.keep(self._rules, {"connectrule": (0, 2), "connectsequential": (0, 1)})
        part.add(
            close=function(self._close, 1),
            open=function(self._open, 1),
            exclusiveclose=function(self._close_alone, 1),
            getclose=function(self._closed_text, 1),
            getstate=function(lambda text: self._each(text, lambda name: float(self._is_closed(name))), 1),
            getcount=function(lambda text: self._each(text, self._count), 1),
            getdelay=function(lambda text: self._each(text, lambda name: self._delays.get(name, 0.0)), 1),
            setdelay=function(self._set_delay, 2),
            getpole=function(lambda text: self._each(text, lambda name: 2.0), 1),
            gettype=function(lambda text: self._each(text, lambda name: 1.0), 1),
            setforbidden=function(lambda text: self._forbidden.update(self._channels(text, slots=True)), 1),
            clearforbidden=function(
                lambda text: self._forbidden.difference_update(self._channels(text, slots=True)), 1
            ),
            getforbidden=function(self._forbidden_text, 1),
            reset=function(self._reset_channels, 1),
            createspecifier=function(self._specifier, 3),
        )
        part.refuse("is not modelled: every channel has two poles", "setpole")
        part.refuse("is not modelled: the virtual instrument has no patterns", "pattern")
        return part

    def _slot_object(self) -> Namespace:
        parts: dict[str | int, Value] = {}
        for slot in range(1, self._slots + 1):
            card = self._cards.get(slot)
            part = Namespace(f"slot[{slot}]", {"idn": "Empty Slot" if card is None else _CARDS[card]})
            if card is not None:
                part.add(
                    rows=Namespace("rows", {"matrix": float(len(self._grid.rows))}),
                    columns=Namespace("columns", {"matrix": float(self._grid.width)}),
                    interlock=Namespace("interlock", {}),
                    matrix=1.0,
                    maxvoltage=_MOST_V.get(card),
                )
            parts[slot] = part
        return Namespace("slot", parts)

    # --- channels -----------------------------------------------------------------------------------

    def _channels(self, given: Value, *, slots: bool = False) -> list[str]:
        """Return the channels of a list such as ``1A01:1A05, 1C03``; with ``slots`` also ``slot1``, ``allslots``.

        Raises
        ------
        VirtualInstrumentError
            -224 if a part is no channel; no relay has moved then.
        """
        found: list[str] = []
        names = list(self._every)
        for item in as_text(given).replace(";", ",").split(","):
            text = item.strip()
            if slots and text.lower() == "allslots":
                found += names
            elif slots and text.lower().startswith("slot") and text[4:].isdigit():
                found += [name for name in names if name[0] == text[4:]]
            else:
                ends = [end.strip().upper() for end in text.split(":")]
                if len(ends) > 2 or any(end not in self._every for end in ends):
                    raise VirtualInstrumentError(-224)
                first, last = names.index(ends[0]), names.index(ends[-1])
                if first > last:
                    raise VirtualInstrumentError(-224)
                found += names[first : last + 1]
        return list(dict.fromkeys(found))

    def _points(self, names: Sequence[str]) -> list[Crosspoint]:
        return [self._every[name] for name in names]

    def _close(self, given: Value) -> None:
        names = self._channels(given)
        if self._forbidden.intersection(names):
            raise VirtualInstrumentError(-221)
        self.relays.move((), self._points(names))
        self._pass_delays(names)

    def _open(self, given: Value) -> None:
        self.relays.move(self._points(self._channels(given, slots=True)), ())

    def _close_alone(self, given: Value) -> None:
        names = self._channels(given) if as_text(given).strip() else []
        if self._forbidden.intersection(names):
            raise VirtualInstrumentError(-221)
        wanted = self._points(names)
        others = self.relays.closed - set(wanted)
        if self._rules["connectrule"] == _OFF:
            self.relays.move(others, wanted)
        elif self._rules["connectrule"] == _MAKE_FIRST:
            self.relays.move((), wanted)
            self.relays.move(others, ())
        else:
            self.relays.move(others, ())
            self.relays.move((), wanted)
        self._pass_delays(names)

    def _pass_delays(self, names: Sequence[str]) -> None:
        self.clock.advance(sum(self._delays.get(name, 0.0) for name in names))

    def _is_closed(self, name: str) -> bool:
        return self._every[name] in self.relays.closed

    def _closed_text(self, given: Value) -> Value:
        self.relays.settle()
        names = [name for name in self._channels(given, slots=True) if self._is_closed(name)]
        return ";".join(names) or None

    def _each(self, given: Value, value: Callable[[str], float]) -> Value:
        return ",".join(f"{value(name):g}" for name in self._channels(given, slots=True))

    def _count(self, name: str) -> float:
        return float(self.relays.closures[self._every[name]])

    def _set_delay(self, given: Value, seconds: Value) -> None:
        names, delay = self._channels(given, slots=True), within(seconds, 0.0, _MOST_DELAY_S)
        self._delays.update(dict.fromkeys(names, delay))

    def _forbidden_text(self, given: Value) -> Value:
        return ",".join(name for name in self._channels(given, slots=True) if name in self._forbidden) or None

    def _reset_channels(self, given: Value) -> None:
        names = self._channels(given, slots=True)
        self.relays.move(self._points(names), ())
        self._forbidden.difference_update(names)
        for name in names:
            self._delays.pop(name, None)

    def _specifier(self, slot: Value, row: Value, column: Value) -> str:
        place = [int(as_number(value)) for value in (slot, row, column)]
        if not 1 <= place[1] <= len(self._grid.rows):
            raise VirtualInstrumentError(-224)
        name = f"{place[0]}{self._grid.rows[place[1] - 1]}{place[2]:02d}"
        if name not in self._every:
            raise VirtualInstrumentError(-224)
        return name
