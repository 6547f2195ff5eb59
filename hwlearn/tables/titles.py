"""Titles of columns: a name, and the unit in ``target (mV)``, ``V1 [mV]``, ``I/uA`` or ``amplitude_mV``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from hwlearn.units import unit_of

_BRACKETS: Final = re.compile(r"(.*?)[\s_/]*(?:\(([^()]*)\)|\[([^\[\]]*)\])\s*")
_APPENDED: Final = re.compile(r"(.*?)(\s*/\s*|[ _]+)([^\s/_]+)\s*")
_INDEX: Final = re.compile(r"[\s\d,;:+-]*")


@dataclass(frozen=True, slots=True)
class Title:
    """Title of a column.

    Attributes
    ----------
    text : str
        As written.
    name : str
        Without the unit.
    unit : str or None
        As written; None if there is none. A number in brackets is an index, not a unit.

    Examples
    --------
    >>> Title.of("target (mV)").unit, Title.of("I/uA").unit, Title.of("amplitude_mV").name
    ('mV', 'uA', 'amplitude')
    >>> Title.of("out (1)").unit, Title.of("node_A").unit, Title.of("length (cm)").unit
    (None, None, 'cm')
    """

    text: str
    name: str
    unit: str | None

    @classmethod
    def of(cls, text: str) -> Title:
        """Return the parts of a title."""
        written = text.strip()
        if match := _BRACKETS.fullmatch(written):
            unit = (match[2] if match[2] is not None else match[3]).strip()
            if match[1] and not _INDEX.fullmatch(unit):
                return cls(written, match[1], unit)
        elif match := _APPENDED.fullmatch(written):
            slash = "/" in match[2]
            # one letter after a space or an underscore is part of a name: node_A
            if match[1] and unit_of(match[3]) is not None and (slash or len(match[3]) > 1):
                return cls(written, match[1], match[3])
        return cls(written, written, None)

    def in_unit(self, unit: str) -> int | None:
        """Return the power of ten by which plain numbers of the column are in this unit; None if they are not."""
        if self.unit is None:
            return 0
        found = unit_of(self.unit)
        return found[1] if found is not None and found[0] == unit else None
