"""`DryAnswers`: replies of an idle SMU, for dry runs: no error, 0 V, 0 A, not in compliance."""

from __future__ import annotations

import re

_FENCE = re.compile(r'\*ESE (\d+);\*ESE\?|print\("(\d+)"\)')
_COUNT = re.compile(r":TRIG\d:COUN (\d+)|:TRIG:COUN (\d+)")
_FROM_ONE_TO = re.compile(r"[ (]1,(\d+),")


class DryAnswers:
    """Answers the queries of the drivers in `hwlearn_drivers.smu`, and no others.

    Parameters
    ----------
    model : str
        Model number, for ``*IDN?``.
    """

    __slots__ = ("_model", "_points")

    def __init__(self, model: str) -> None:
        self._model = model
        self._points = 1

    def __call__(self, message: bytes) -> bytes | None:
        """Return the reply to a message; None if it has no reply."""
        text = message.decode("ascii")
        if count := _COUNT.fullmatch(text):
            self._points = int(count[1] or count[2])
        if fence := _FENCE.fullmatch(text):
            return (fence[1] or fence[2]).encode("ascii")
        if not text.startswith("print") and "?" not in text:
            return None
        return self._answer(text).encode("ascii")

    def _answer(self, question: str) -> str:
        fixed = {"*IDN?": f"DRY RUN,{self._model},0,0", "*LANG?": "SCPI", ":SYST:ERR?": '0,"No error"'}
        if question in fixed:
            return fixed[question]
        if stored := _FROM_ONE_TO.search(question):
            return _zeros(int(stored[1]) * (2 if question.startswith(":TRAC") else 1))
        if question.endswith("compliance)"):
            return "false"
        if question.startswith(":FETC:ARR"):
            return _zeros(self._points)
        if question.startswith((":READ", ":MEAS")):
            return _zeros(2 * self._points)
        return _zeros(2 if question.endswith("iv())") else 1)


def _zeros(count: int) -> str:
    return ",".join(["0"] * count)
