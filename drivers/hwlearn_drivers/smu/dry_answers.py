"""`DryAnswers`: replies of an SMU for dry runs: 0 V, 0 A, no error, and the settings that were sent.

A dry run follows what the drivers set, so that a state that is read back is the state that was set.
"""

from __future__ import annotations

import re

_COUNT = re.compile(r":TRIG\d?:COUN (\d+)")
_STORED = re.compile(r"[ (]1,(\d+),")
_UNIT = re.compile(r'(?:[^;"]|"[^"]*")+')
_STATEMENT = re.compile(
    r"local (?P<names>[\w,]+)=(?P<values>\S+) ?"
    r"|if (?P<left>[\w.]+)==(?P<right>\d)(?: and (?P<left2>[\w.]+)==(?P<right2>\d))? then "
    r"|(?P<end>end) ?"
    r"|(?P<print>print|printbuffer)\((?P<printed>[^()]*(?:\(\))?[^()]*)\) ?"
    r"|(?P<path>[\w.]+)=(?P<value>[^ =]+) ?"
    r"|[\w.]+\(.*?\) ?|\w+ ?"
)
_OFF = {":OUTP": "0", ":SOUR:FUNC": "VOLT", ":SOUR:FUNC:MODE": "VOLT"}


class DryAnswers:
    """Answers the queries of the drivers in `hwlearn_drivers.smu`, and no others.

    Parameters
    ----------
    model : str
        Model number, for ``*IDN?``.
    """

    __slots__ = ("_model", "_points", "_set")

    def __init__(self, model: str) -> None:
        self._model = model
        self._points = 1
        self._set: dict[str, str] = {}

    def __call__(self, message: bytes) -> bytes | None:
        """Return the reply to a message; None if it has no reply."""
        text = message.decode("ascii")
        scpi = text.startswith((":", "*"))
        replies = self._scpi(text) if scpi else self._script(text)
        return (";" if scpi else "\n").join(replies).encode("ascii") if replies else None

    # --- SCPI ---------------------------------------------------------------------------------------

    def _scpi(self, text: str) -> list[str]:
        replies = []
        for unit in _UNIT.findall(text):
            header, _, value = unit.partition(" ")
            if header.endswith("?"):
                replies.append(self._reply(header[:-1], unit))
            elif header == "*RST":
                self._set.clear()
            elif count := _COUNT.fullmatch(unit):
                self._points = int(count[1])
            else:
                self._set[header] = value
        return replies

    def _reply(self, header: str, unit: str) -> str:
        fixed = {
            "*IDN": f"DRY RUN,{self._model},0,0",
            "*LANG": "SCPI",
            ":SYST:ERR": '0,"No error"',
            ":OUTP:INT:TRIP": "1",
        }
        if header in fixed:
            return fixed[header]
        if header == ":TRAC:DATA" and (stored := _STORED.search(unit)):
            return _zeros(2 * int(stored[1]))
        if header.startswith(":FETC:ARR"):
            return _zeros(self._points)
        if header in (":READ", ":MEAS"):
            return _zeros(2 * self._points)
        return self._set.get(header, _OFF.get(re.sub(r"\d", "", header), "0"))

    # --- scripts ------------------------------------------------------------------------------------

    def _script(self, text: str) -> list[str]:
        if text == "reset()":
            self._set.clear()
        local: dict[str, str] = {}
        replies, position, skipped, depth = [], 0, 0, 0
        while (found := _STATEMENT.match(text, position)) and found.end() > position:
            position = found.end()
            if found["left"]:
                depth += 1
                holds = self._equal(found["left"], found["right"], local)
                holds = holds and (not found["left2"] or self._equal(found["left2"], found["right2"], local))
                skipped = skipped or (0 if holds else depth)
            elif found["end"]:
                skipped = 0 if skipped == depth else skipped
                depth -= 1
            elif skipped:
                continue
            elif found["names"]:
                values = [value for name in found["values"].split(",") for value in self._values(name, local)]
                local.update(zip(found["names"].split(","), values, strict=True))
            elif found["print"]:
                replies.append(self._printed(found["print"], found["printed"], local))
            elif found["path"]:
                self._set[found["path"]] = found["value"]
        return replies

    def _printed(self, how: str, printed: str, local: dict[str, str]) -> str:
        if how == "printbuffer":
            return _zeros(int(printed.split(",")[1]))
        if printed.startswith('"'):
            return printed.strip('"')
        return "\t".join(value for name in printed.split(",") for value in self._values(name, local))

    def _values(self, name: str, local: dict[str, str]) -> list[str]:
        if name.endswith("iv()"):
            return ["0", "0"]
        if name.endswith(".compliance"):
            return ["false"]
        return [local.get(name, self._set.get(name, "1" if name.endswith(".func") else "0"))]

    def _equal(self, name: str, number: str, local: dict[str, str]) -> bool:
        return self._values(name, local) == [number]


def _zeros(count: int) -> str:
    return ",".join(["0"] * count)
