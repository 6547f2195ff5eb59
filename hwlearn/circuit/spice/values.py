"""Values in a netlist: ``4.7k``, ``4k7``, ``1Meg``, ``100R``, ``2µ``, and parameters such as ``{load}``.

Sources: ngspice manual, sections 2.1.3 (scale factors) and 3.2.1 (resistors); LTspice help, "General structure and
conventions", for ``4k7``; IEC 60062 for ``4R7``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from hwlearn.errors import CircuitError
from hwlearn.tables.numbers import is_valid

FLOAT: Final = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,9})?"
"""A number in lower case."""

_POWERS: Final = {
    "meg": 6, "f": -15, "p": -12, "n": -9, "u": -6, "µ": -6, "μ": -6, "m": -3, "k": 3, "g": 9, "t": 12, "": 0,
}  # fmt: skip
_UNITS: Final = {
    "ohm": ("", "ohm", "ohms", "ω", "r"),
    "V": ("", "v", "volt", "volts"),
    "A": ("", "a", "amp", "amps"),
}
_LETTERS: Final = re.compile(rf"({FLOAT})(.*)", re.ASCII)
_INNER: Final = re.compile(r"(\d*)(meg|[rkgtunpf\u00b5\u03bc])(\d+)", re.ASCII)
_BRACES: Final = re.compile(r"\{\s*(.+?)\s*\}|'\s*(.+?)\s*'")


def value_of(text: str, unit: str, parameters: Mapping[str, str]) -> float:
    """Return a value in ohm, V or A.

    Parameters
    ----------
    text : str
        In lower case.
    unit : str
        ``"ohm"``, ``"V"`` or ``"A"``.
    parameters : mapping
        Name -> text of the parameters of ``.param``.

    Raises
    ------
    CircuitError
        If the text is no value in this unit.
    """
    named = _BRACES.fullmatch(text)
    name = (named[1] or named[2]) if named else text
    literal = parameters.get(name, text)
    if match := _LETTERS.fullmatch(literal):
        for prefix, power in _POWERS.items():
            if match[2].startswith(prefix) and match[2].removeprefix(prefix) in _UNITS[unit]:
                return _scaled(match[1], power, text, unit)
    if unit == "ohm" and (match := _INNER.fullmatch(literal)) and (match[1] or match[2] == "r"):
        power = 0 if match[2] == "r" else _POWERS[match[2]]
        return _scaled(f"{match[1] or 0}.{match[3]}", power, text, unit)
    raise CircuitError(
        f"{text!r} is not a value in {unit}; write a number with a suffix f p n u m k meg g t or none (m is milli)"
    )


def remark(text: str, unit: str) -> str | None:
    """Return what a person should know about a value that is read: other programs read it in another way."""
    if _INNER.fullmatch(text):
        return f"{text} has its decimal point at the letter; some versions of ngspice drop the digits after it"
    if unit == "ohm" and re.fullmatch(rf"{FLOAT}m(?!eg)\D*", text):
        return f"{text} is in milliohm: in SPICE, m and M are milli, and a million is meg"
    return None


def _scaled(number: str, power: int, text: str, unit: str) -> float:
    mantissa, _, exponent = number.partition("e")
    value = float(f"{mantissa}e{int(exponent or 0) + power}")  # rounded once: 4.7k is 4700.0
    if not is_valid(value):
        raise CircuitError(
            f"{text!r} is not a value in {unit} below 9.8e37, from which instruments mean no number"
        )
    return value
