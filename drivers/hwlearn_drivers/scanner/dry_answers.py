"""`DryScannerAnswers`: replies of a scanner for dry runs.

Every channel reads 0 V, there is no error, and the settings are those that were sent.
"""

from __future__ import annotations

import re
from typing import Final

from hwlearn_drivers.transport.blocks import encode_block

_LIST: Final = re.compile(r"\(@([\d,]*)\)")
_SHORT: Final = {"CONF:VOLT:DC": "VOLT:DC:RANG"}
_WORDS: Final = {"ON": "1", "OFF": "0"}


class DryScannerAnswers:
    """Answers the queries of the drivers in `hwlearn_drivers.scanner`, and no others.

    Parameters
    ----------
    model : str
        Model number, for ``*IDN?``.
    card : str
        Model of the card in every slot.
    """

    __slots__ = ("_card", "_model", "_scanned", "_set")

    def __init__(self, model: str, card: str) -> None:
        self._model, self._card = model, card
        self._set: dict[str, str] = {}
        self._scanned = ""

    def __call__(self, message: bytes) -> bytes | None:
        """Return the reply to a message; None if it has no reply."""
        header, _, arguments = message.decode("ascii").partition(" ")
        found = _LIST.search(arguments)
        channels = [one for one in (found[1] if found else "").split(",") if one]
        if header.endswith("?"):
            return self._reply(header[:-1], channels)
        if found and header == "ROUT:SCAN":
            self._scanned = found[1]
        elif found:
            value = arguments.partition(",")[0]
            self._set[_SHORT.get(header, header)] = _WORDS.get(value, value)
        return None

    def _reply(self, header: str, channels: list[str]) -> bytes:
        fixed = {
            "*IDN": f"DRY RUN,{self._model},0,0",
            "*OPC": "1",
            ":SYST:ERR": '0,"No error"',
            "SYST:CTYP": f"DRY RUN,{self._card},0,0",
        }
        if header in fixed:
            return fixed[header].encode("ascii")
        if header == "ROUT:SCAN":
            return encode_block(f"(@{self._scanned})".encode("ascii"))
        if header == "READ":
            return ",".join(f"0,{channel}" for channel in sorted(self._scanned.split(","))).encode("ascii")
        return ",".join([self._set.get(header, "0")] * len(channels)).encode("ascii")
