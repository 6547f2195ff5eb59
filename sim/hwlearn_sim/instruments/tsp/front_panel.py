"""Front panel of a Keithley 2600: display, keys and beeper. Nobody stands before the virtual instrument.

A prompt answers its default, a menu its first item. A wait for a key ends with its time-out.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Final

from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.tsp.script.objects import Key, Namespace, Value, as_number, as_text, function, whole
from hwlearn_sim.instruments.tsp.trigger.blocks import detector_part
from hwlearn_sim.instruments.tsp.trigger.events import Detector, Events

_KEY_ENTER: Final = 82.0
_CONSTANTS: Final[dict[Key, Value]] = {
    "SMUA": 0.0, "SMUB": 1.0, "SMUA_SMUB": 2.0, "USER": 3.0, "DIGITS_4_5": 4.0, "DIGITS_5_5": 5.0,
    "DIGITS_6_5": 6.0, "MEASURE_DCAMPS": 0.0, "MEASURE_DCVOLTS": 1.0, "MEASURE_OHMS": 2.0, "MEASURE_WATTS": 3.0,
    "LIMIT_IV": 0.0, "LIMIT_P": 1.0, "DONT_SAVE": 0.0, "SAVE": 1.0, "ANNUNCIATOR_REMOTE": 2.0, "KEY_NONE": 0.0,
    "KEY_ENTER": _KEY_ENTER, "KEY_EXIT": 75.0, "KEY_TRIG": 92.0, "KEY_UP": 101.0, "KEY_DOWN": 102.0,
    "KEY_LEFT": 103.0, "KEY_RIGHT": 104.0, "KEY_MENU": 68.0, "KEY_RUN": 71.0, "KEY_LOAD": 95.0,
    "WHEEL_ENTER": 97.0, "WHEEL_LEFT": 107.0, "WHEEL_RIGHT": 114.0,
}  # fmt: skip
_CODE: Final = re.compile(r"\$[RBDF]")
_ROWS: Final = (20, 32)


class FrontPanel:
    """The objects ``display`` and ``beeper``.

    Parameters
    ----------
    events : Events
        The events of the instrument.
    channels : int
        Number of channels.

    Attributes
    ----------
    display, beeper : Namespace
        The objects in the script language.
    """

    def __init__(self, events: Events, channels: int) -> None:
        self._text = ["", ""]
        self._cursor = (1, 1)
        self._screen = {"screen": 2.0}
        self._locked = {"locallockout": 0.0}
        self._menu: dict[str, str] = {}
        self._settings: list[dict[str, float]] = []
        self._events, self._key_event = events, events.new()
        key = Detector(events)
        self.display = Namespace("display", _CONSTANTS)
        self.display.add(
            clear=function(self._clear),
            settext=function(self._write, 1),
            gettext=function(self._read, 0, 4),
            setcursor=function(self._move, 2, 3),
            getcursor=function(lambda: (*map(float, self._cursor), 0.0)),
            getannunciators=function(lambda: 2.0),
            sendkey=function(self._send_key, 1),
            getlastkey=function(lambda: _CONSTANTS["KEY_NONE"]),
            waitkey=function(lambda: _KEY_ENTER),
            menu=function(_first_item, 2),
            prompt=function(partial(_default, 3), 3, 6),
            inputvalue=function(partial(_default, 1), 1, 4),
            numpad=function(partial(_default, 1), 1, 4),
            loadmenu=self._load_menu(),
            trigger=self._trigger(events, key),
        )
        self.display.store(self._screen, {"screen": (0, 4)})
        self.display.store(self._locked, {"locallockout": (0, 1)})
        for name in ("smua", "smub")[:channels]:
            self.display.add(**{name: self._channel(f"display.{name}")})
        self._beeper = {"enable": 1.0}
        self.beeper = Namespace("beeper", {"ON": 1.0, "OFF": 0.0, "beep": function(_beep, 2)})
        self.beeper.store(self._beeper, {"enable": (0, 1)})

    def restore_defaults(self) -> None:
        """Restore the defaults."""
        self._clear()
        self._screen.update(screen=2.0)
        self._locked.update(locallockout=0.0)
        self._beeper.update(enable=1.0)
        for settings in self._settings:
            settings.update(digits=5.0, func=0.0)

    def _channel(self, name: str) -> Namespace:
        part = Namespace(name)
        digits: dict[str, float] = {"digits": 5.0}
        part.store(digits, {"digits": (4, 6)})
        self._settings.append(digits)
        for inner, most in (("measure", 3), ("limit", 1)):
            shown: dict[str, float] = {"func": 0.0}
            part.add(**{inner: Namespace(f"{name}.{inner}")})
            part.fixed[inner].store(shown, {"func": (0, most)})
            self._settings.append(shown)
        return part

    def _trigger(self, events: Events, key: Detector) -> Namespace:
        key.input.connect(self._key_event)
        return detector_part(events, "display.trigger", self._key_event, key)

    def _send_key(self, code: Value) -> None:
        if as_number(code) == _CONSTANTS["KEY_TRIG"]:
            self._events.post(self._key_event)

    # --- text ---------------------------------------------------------------------------------------

    def _clear(self) -> None:
        self._text = ["", ""]
        self._cursor = (1, 1)

    def _write(self, value: Value) -> None:
        self._screen.update(screen=_CONSTANTS["USER"])
        lines = (
            _CODE.sub("", as_text(value).replace("$$", "\0").replace("$N", "\n")).replace("\0", "$").split("\n")
        )
        for k, piece in enumerate(lines):
            row, column = self._cursor if k == 0 else (self._cursor[0] + 1, 1)
            if row > len(_ROWS):
                return  # a new line after the last one ends the text
            line = self._text[row - 1].ljust(column - 1)
            self._text[row - 1] = (line[: column - 1] + piece + line[column - 1 + len(piece) :])[: _ROWS[row - 1]]
            self._cursor = (row, min(column + len(piece), _ROWS[row - 1]))

    def _read(self, *arguments: Value) -> Value:
        if len(arguments) < 2:
            return "$N".join(line.ljust(width) for line, width in zip(self._text, _ROWS, strict=True))
        row = whole(arguments[1], 1, len(_ROWS))
        first, last = (
            whole(value, 1, _ROWS[row - 1])
            for value in (*arguments[2:], *(1, _ROWS[row - 1])[len(arguments) - 2 :])
        )
        return self._text[row - 1].ljust(_ROWS[row - 1])[first - 1 : last]

    def _move(self, row: Value, column: Value, style: Value = 0.0) -> None:
        """Move the cursor; a place outside of the display becomes the last row or column, as the manual says."""
        as_number(style)
        self._screen.update(screen=_CONSTANTS["USER"])
        line = int(as_number(row)) if as_number(row) in (1, 2) else 2
        width = _ROWS[line - 1]
        self._cursor = (line, round(as_number(column)) if 1 <= as_number(column) <= width else width)

    # --- menu ---------------------------------------------------------------------------------------

    def _load_menu(self) -> Namespace:
        def add(name: Value, code: Value, memory: Value = 0.0) -> None:
            whole(memory, 0, 1)
            self._menu[as_text(name)] = as_text(code)

        def delete(name: Value) -> None:
            if self._menu.pop(as_text(name), None) is None:
                raise VirtualInstrumentError(1108, "Menu name does not exist")

        part = Namespace("display.loadmenu", {"add": function(add, 2, 3), "delete": function(delete, 1)})
        part.add(catalog=function(lambda: ", ".join(self._menu)))
        return part


def _first_item(name: Value, items: Value) -> str:
    as_text(name)
    found = as_text(items).split()
    if not found:
        raise VirtualInstrumentError(-224)
    return found[0]


def _default(place: int, *arguments: Value) -> float:
    """Return the default of a prompt, which ENTER would accept: by default 0, or the nearest limit."""
    given = [as_number(value) for value in arguments[place:]]
    value = given[0] if given else 0.0
    if len(given) > 1:
        value = max(value, given[1])
    return min(value, given[2]) if len(given) > 2 else value


def _beep(seconds: Value, hertz: Value) -> None:
    if not (0 <= as_number(seconds) <= 100 and as_number(hertz) > 0):
        raise VirtualInstrumentError(-222)
