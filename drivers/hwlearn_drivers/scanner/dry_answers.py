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
    slots : int
        Their number.
    list_in_block : bool
        Whether the reply with the scan list is a block.
    """

    __slots__ = ("_card", "_in_block", "_model", "_scanned", "_set", "_slots")

    def __init__(self, model: str, card: str, slots: int, *, list_in_block: bool) -> None:
        self._model, self._card, self._slots, self._in_block = model, card, slots, list_in_block
        self._set: dict[str, str] = {}
        self._scanned = ""

    def __call__(self, message: bytes) -> bytes | None:
        """Return the reply to a message; None if it has no reply."""
        header, _, arguments = message.decode("ascii").partition(" ")
        found = _LIST.search(arguments)
        channels = [one for one in (found[1] if found else "").split(",") if one]
        if header.endswith("?"):
            return self._reply(header[:-1], channels)
        if found and header in ("ROUT:SCAN", "ROUT:SCAN:CRE"):
            self._scanned = found[1]
        elif arguments:
            value = arguments.partition(",")[0]
            self._set[_SHORT.get(header, header)] = _WORDS.get(value, value)
        return None

    def _reply(self, header: str, channels: list[str]) -> bytes:
        fixed = {
            "*IDN": f"DRY RUN,{self._model},0,0",
            "*OPC": "1",
            ":SYST:ERR": '0,"No error"',
            "SYST:CTYP": f"DRY RUN,{self._card},0,0",
            "*OPT": ",".join([self._card] * self._slots),
            **{f"SYST:CARD{slot}:IDN": f"{self._card},dry run,0,0" for slot in range(1, self._slots + 1)},
            "*LANG": "SCPI",
            "ROUT:TERM": "REAR",
        }
        if header == "ROUT:CLOS" and not channels:
            return b"(@)"
        if header in fixed:
            return fixed[header].encode("ascii")
        if header == "ROUT:SCAN":
            listed = f"(@{self._scanned})".encode("ascii")
            return encode_block(listed) if self._in_block else listed
        if header == "TRAC:DATA":
            return ",".join(f"{channel},0" for channel in sorted(self._scanned.split(","))).encode("ascii")
        if header == "READ":
            return ",".join(f"0,{channel}" for channel in sorted(self._scanned.split(","))).encode("ascii")
        return ",".join([self._set.get(header, "0")] * max(len(channels), 1)).encode("ascii")
