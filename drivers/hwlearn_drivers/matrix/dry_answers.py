"""`DryMatrix`: replies of a switch matrix in a dry run, with the relays as they were set."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

_CALL: Final = re.compile(r'channel\.(open|close)\("([^"]*)"\)')
_PRINT: Final = re.compile(r"print\((.*)\)")
_SIZES: Final = {"7072": "8x12", "7072-HV": "8x12", "7173-50": "4x12", "7174A": "8x12", "3730": "6x16"}
_FIXED: Final = {":SYST:ERR?": '0,"No error"', "*OPC?": "1", ":DIAG:TEST:CARD:STAT?": "-1"}
_PARTS: Final = re.compile(r'[^,("]+(?:\("[^"]*"\))?')


class DryMatrix:
    """Answers the queries of the drivers in `hwlearn_drivers.matrix`, and no others.

    Parameters
    ----------
    model : str
    cards : mapping of int to str
        Card in each slot.
    """

    __slots__ = ("_cards", "_closed", "_model", "_set")

    def __init__(self, model: str, cards: Mapping[int, str]) -> None:
        self._model, self._cards = model, dict(cards)
        self._closed: set[str] = set()
        self._set: dict[str, str] = {}

    def __call__(self, message: bytes) -> bytes | None:
        """Return the reply to a message; None if it has no reply."""
        text = message.decode("ascii")
        if text == "*IDN?":
            return f"DRY RUN,{self._model.split(' ')[0]},0,0".encode()
        if text.startswith((":", "*")):
            reply = self._scpi(text)
            return None if reply is None else reply.encode()
        if call := _CALL.fullmatch(text):
            self._move(self._closed.difference_update if call[1] == "open" else self._closed.update, call[2])
        elif printed := _PRINT.fullmatch(text):
            return "\t".join(self._value(part) for part in _PARTS.findall(printed[1])).encode()
        elif "=" in text:
            name, _, value = text.partition("=")
            self._set[name] = value
        return None

    def _scpi(self, text: str) -> str | None:
        header, _, value = text.partition(" ")
        if header in _FIXED:
            return _FIXED[header]
        if header == ":SYST:CTYP?":
            return self._cards.get(int(value), "0")
        if header == ":ROUT:CLOS?":
            spans = (span.split(":")[0].rsplit("!", 1)[0] for span in value.strip("(@)").split(","))
            return ",".join(str(int(f"{row}!{k}" in self._closed)) for row in spans for k in range(1, 11))
        if header == ":ROUT:CLOS:CARD?":
            return f"(@{','.join(sorted(self._closed))})"
        if header.endswith("?"):
            found = self._set.get(header[:-1], "0")
            return "0" if found == "OFF" else found
        if header == ":ROUT:OPEN:CARD" or value == "ALL":
            self._closed.clear()
        elif header in (":ROUT:OPEN", ":ROUT:CLOS"):
            names = value.strip("(@)").split(",")
            (self._closed.update if header == ":ROUT:CLOS" else self._closed.difference_update)(names)
        else:
            self._set[header] = value.split(",")[-1]
        return None

    def _move(self, move: Callable[[list[str]], None], channels: str) -> None:
        move(sorted(self._closed) if channels == "allslots" else channels.split(","))

    def _value(self, name: str) -> str:
        if name.startswith('"'):
            return name.strip('"')
        if name.startswith("channel.getclose"):
            return ";".join(sorted(self._closed)) or "nil"
        if name.startswith("channel.getpole"):
            return "2"
        if name.endswith(".maxvoltage"):
            return "nil"
        if slot := re.fullmatch(r"slot\[(\d)\]\.idn", name):
            card = self._cards.get(int(slot[1]), "")
            return f"{card},{_SIZES[card]} matrix,0,0" if card else "Empty Slot"
        return self._set.get(name, "0")
