"""Quantities as text with SI prefixes: parse and format ``"50 us"``, ``"1 kohm"``; checks of plain numbers."""

from __future__ import annotations

import math
import re
import unicodedata
from numbers import Integral, Real
from typing import Final

from hwlearn.errors import UnitError

ROUNDING: Final = 1e-9
"""Relative tolerance for floating-point rounding at a limit; every check of a limit uses it."""

_PREFIX: Final = {
    "f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "μ": 1e-6, "m": 1e-3, "": 1.0,
    "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
}  # fmt: skip
_SYMBOLS: Final = {
    "V": ("V", "volt", "volts"),
    "A": ("A", "amp", "amps", "ampere", "amperes"),
    "S": ("S", "siemens"),
    "ohm": ("ohm", "ohms", "Ohm", "Ohms", "Ω", "R"),
    "s": ("s", "sec", "second", "seconds"),
    "Hz": ("Hz", "hertz"),
}
_NUMBER = re.compile(r"\s*([+\-\u2212]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,9})?)\s*(.*?)\s*")


def parse_quantity(text: str | float, unit: str) -> float:
    """Return a quantity in SI base units, from text with an optional prefix and unit or from a number.

    Parameters
    ----------
    text : str or float
        ``"500 mV"``, ``"50us"``, ``"1k"`` (prefix alone), ``"1e-3"`` or a number in the base unit.
    unit : str
        Expected unit: ``"V"``, ``"A"``, ``"S"``, ``"ohm"``, ``"s"`` or ``"Hz"``.

    Returns
    -------
    float
        The value in that unit.

    Raises
    ------
    UnitError
        If the text is not a number, has another unit or an unknown prefix, or is not finite.

    Examples
    --------
    >>> parse_quantity("500 mV", "V")
    0.5
    >>> parse_quantity("4.7k", "ohm")
    4700.0
    >>> parse_quantity("20 us", "s")
    2e-05
    """
    if unit not in _SYMBOLS:
        raise UnitError(f"unknown unit {unit!r}; known are {', '.join(_SYMBOLS)}")
    given: object = text
    if isinstance(given, bool) or not isinstance(given, str | Real):
        raise UnitError(f"{text!r} is not a quantity; write for example '1 {unit}'")
    if not isinstance(text, str):
        try:
            value = float(text)
        except OverflowError:
            value = math.inf
    else:
        match = _NUMBER.fullmatch(text)
        if match is None:
            raise UnitError(f"{text!r} is not a quantity in {unit}; write for example '1 {unit}' or '50 m{unit}'")
        number = match[1].replace("\u2212", "-")  # the minus sign of word processors
        exponent = _exponent(match[2], unit)
        if exponent is None:
            raise UnitError(f"{text!r} is not in {unit}: {match[2]!r} is not a valid prefix and unit for {unit}")
        # rounded only once: "50 us" must equal 50e-6 exactly
        value = float(number) if exponent == 0 else _scaled(number, exponent)
    if not math.isfinite(value):
        raise UnitError(f"{text!r} is not a finite quantity in {unit}")
    return value


def format_quantity(value: float, unit: str, digits: int = 4) -> str:
    """Return a value as text, with the prefix that keeps it between 1 and 1000, e.g. ``"500 mV"``.

    Examples
    --------
    >>> format_quantity(0.0005, "A")
    '500 uA'
    >>> format_quantity(0.0, "V")
    '0 V'
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    ascending = sorted((scale, prefix) for prefix, scale in _PREFIX.items() if prefix.isascii())
    scale, prefix = next(
        ((scale, prefix) for scale, prefix in ascending if float(f"{abs(value) / scale:.{digits}g}") < 1000),
        ascending[-1],
    )
    return f"{value / scale:.{digits}g} {prefix}{unit}"


def is_number(value: object) -> bool:
    """Return whether a value is a finite number; True and False are none."""
    return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)


def is_count(value: object, least: int) -> bool:
    """Return whether a value is a whole number of at least ``least``; True and False are none."""
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= least


def unit_of(text: str) -> tuple[str, int] | None:
    """Return unit and power of ten of text such as ``"mV"``; None if it is no prefix with one of our units.

    Examples
    --------
    >>> unit_of("uA"), unit_of("kOhm"), unit_of("Volts"), unit_of("m"), unit_of("cm")
    (('A', -6), ('ohm', 3), ('V', 0), None, None)
    """
    suffix = unicodedata.normalize("NFKC", text.strip())
    for unit, names in _SYMBOLS.items():
        if len(suffix) > 3 and suffix.lower() in names:
            return unit, 0
        for name in names:
            prefix = suffix[: -len(name)].rstrip()
            if suffix.endswith(name) and prefix in _PREFIX:
                return unit, round(math.log10(_PREFIX[prefix]))
    return None


def _exponent(suffix: str, unit: str) -> int | None:
    """Return the power of ten of a suffix; None if it does not fit the unit."""
    # one letter for each sign: the ohm sign U+2126 and the micro sign U+00B5 become Greek letters
    suffix = unicodedata.normalize("NFKC", suffix)
    prefixes = [suffix] + [suffix[: -len(name)].rstrip() for name in _SYMBOLS[unit] if suffix.endswith(name)]
    for prefix in prefixes:
        if prefix in _PREFIX:
            return round(math.log10(_PREFIX[prefix]))
    return None


def _scaled(number: str, exponent: int) -> float:
    mantissa, _, power = number.lower().partition("e")
    return float(f"{mantissa}e{int(power or 0) + exponent}")
