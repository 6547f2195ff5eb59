"""Numbers in cells, with a decimal point or a decimal comma, and the codes of instruments for none."""

from __future__ import annotations

import math
import re
from typing import Final

OVERFLOW: Final = 9.8e37 * (1 - 1e-6)
"""Magnitude from which instruments mean "no number": overflow is 9.9e37, not-a-number 9.91e37 (SCPI-99, 7.2.1).

The margin is for files in single precision.
"""

_EXPONENT: Final = r"(?:[eE][+-]?\d+)?"
_POINT: Final = re.compile(rf"[+-]?(?:\d+\.?\d*|\.\d+){_EXPONENT}", re.ASCII)
_COMMA: Final = re.compile(rf"[+-]?(?:\d+,?\d*|,\d+){_EXPONENT}", re.ASCII)
_NO_NUMBER: Final = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_GROUPS: Final = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+", re.ASCII)
_UNIT: Final = r"\s*[A-Za-z\u2126\u03a9\u00b5\u03bc%]{0,8}"
_WITH_COMMA: Final = re.compile(rf"[+-]?(?:\d+,\d*|,\d+){_EXPONENT}{_UNIT}", re.ASCII)
_WITH_POINT: Final = re.compile(rf"[+-]?(?:\d+\.\d*|\.\d+){_EXPONENT}{_UNIT}", re.ASCII)


def number(cell: str, decimal: str) -> float | None:
    """Return a cell as a number, infinity or NaN; None if it is text.

    Digits of other scripts, underscores and groups of digits are no numbers.

    Examples
    --------
    >>> number("1,5", ","), number("1.5", ","), number("1_0", ".")
    (1.5, None, None)
    """
    pattern = _POINT if decimal == "." else _COMMA
    if pattern.fullmatch(cell):
        return float(cell if decimal == "." else cell.replace(",", "."))
    return float(cell) if _NO_NUMBER.fullmatch(cell) else None


def is_valid(value: float) -> bool:
    """Return whether a number is finite and no overflow code."""
    return math.isfinite(value) and abs(value) < OVERFLOW


def decimals(cell: str) -> str | None:
    """Return the decimal character of a cell such as ``"1,5"`` or ``"2.5 us"``; None if it has none.

    Thousands and decimals look alike in ``"1,234"``, for which ``"?"`` is returned.
    """
    if "," not in cell and "." not in cell:
        return None
    if _GROUPS.fullmatch(cell):
        return "?"
    if _WITH_COMMA.fullmatch(cell):
        return ","
    return "." if _WITH_POINT.fullmatch(cell) else None


def is_whole(cell: str) -> bool:
    """Return whether a cell is written as a whole number."""
    return re.fullmatch(r"[+-]?\d{1,18}", cell, re.ASCII) is not None
