"""Checksums of lines: exclusive or (as in NMEA 0183), sum, CRC-8 and CRC-16 in their usual variants."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Final

from hwlearn.errors import SetupError


def crc(data: bytes, width: int, polynomial: int, start: int, reflected: bool) -> int:
    """Return a cyclic redundancy check, bit by bit.

    Examples
    --------
    Check values of the catalogue of CRC algorithms, for the text ``123456789``:

    >>> hex(crc(b"123456789", 8, 0x07, 0, False)), hex(crc(b"123456789", 16, 0x1021, 0xFFFF, False))
    ('0xf4', '0x29b1')
    >>> hex(crc(b"123456789", 16, 0xA001, 0xFFFF, True))
    '0x4b37'
    """
    value, top, mask = start, 1 << (width - 1), (1 << width) - 1
    for byte in data:
        value ^= byte if reflected else byte << (width - 8)
        for _ in range(8):
            if reflected:
                value = (value >> 1) ^ polynomial if value & 1 else value >> 1
            else:
                value = ((value << 1) ^ polynomial if value & top else value << 1) & mask
    return value


KINDS: Final[dict[str, Callable[[bytes], int]]] = {
    "xor": lambda data: reduce(xor, data, 0),
    "sum": lambda data: sum(data) & 0xFF,
    "crc-8": lambda data: crc(data, 8, 0x07, 0, False),
    "crc-16-ccitt-false": lambda data: crc(data, 16, 0x1021, 0xFFFF, False),
    "crc-16-modbus": lambda data: crc(data, 16, 0xA001, 0xFFFF, True),
}
"""Checksums by name: CRC-8/SMBUS, CRC-16/CCITT-FALSE and CRC-16/MODBUS of the catalogue of CRC algorithms."""

_FORM = re.compile(r"([^{}]*)\{checksum(?::(0?\d?[dxX]))?\}([^{}]*)")


@dataclass(frozen=True, slots=True)
class Checksum:
    """A checksum behind each line.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    form : str
        What is appended, such as ``"*{checksum:02X}"``.
    skip : str
        Characters at the start of a line that are not summed, such as ``"$"``.

    Raises
    ------
    SetupError
        If the kind or the form is unknown.
    """

    kind: str
    form: str
    skip: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SetupError(f"there is no checksum {self.kind!r}; known: {', '.join(KINDS)}")
        if _FORM.fullmatch(self.form) is None:
            raise SetupError(f"{self.form!r} must contain {{checksum}}, as in '*{{checksum:02X}}'")

    def of(self, line: str) -> str:
        """Return what is appended to a line."""
        value = KINDS[self.kind](line.removeprefix(self.skip).encode("ascii"))
        before, spec, after = self._parts
        return f"{before}{format(value, spec)}{after}"

    def add(self, line: str) -> str:
        """Return a line with its checksum."""
        return line + self.of(line)

    def checked(self, line: str) -> str | None:
        """Return a line without its checksum; None if it is missing or wrong."""
        before, spec, after = self._parts
        digits = r"\d+" if spec[-1] == "d" else "[0-9A-Fa-f]+"
        found = re.fullmatch(rf"(.*){re.escape(before)}({digits}){re.escape(after)}", line.strip())
        if found is None:
            return None
        right = KINDS[self.kind](found[1].removeprefix(self.skip).encode("ascii", "replace"))
        return found[1] if int(found[2], 10 if spec[-1] == "d" else 16) == right else None

    @property
    def _parts(self) -> tuple[str, str, str]:
        found = _FORM.fullmatch(self.form)
        assert found is not None
        return found[1], found[2] or "d", found[3]
