"""`Template`: a line of a text protocol with fields such as ``{channel}`` and ``{volts:.6f}``.

A field stands for a number, a channel or a state. ``{volts:.6f,...}`` stands for several numbers with commas in
between; the character before the three dots separates them. In a reply, ``{any}`` stands for any text, and spaces
for one or more spaces.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from hwlearn.errors import SetupError, closest

UNITS: Final = {"volts": 1.0, "millivolts": 1e-3, "microvolts": 1e-6}
"""Volts of one unit of each field that is a voltage."""

NUMBERS: Final = (*UNITS, "code")
"""Fields that are numbers."""

_FIELD = re.compile(r"\{([^{}]*)\}")
_PARTS = re.compile(r"(?P<name>[a-z]+)(?::(?P<spec>[^:]*?))?(?P<array>(?P<separator>.)\.\.\.)?", re.DOTALL)
_SPEC = re.compile(r"\+?0?\d*(?:\.\d+[fFeEgG]|[dxX])?")
_DECIMAL = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"

Value = str | float | int | Sequence[float] | Sequence[int]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a template.

    Attributes
    ----------
    name : str
    spec : str
        Format, as Python writes it; empty for the shortest text that reads back exactly.
    separator : str or None
        Between the numbers of an array; None for a single value.
    """

    name: str
    spec: str = ""
    separator: str | None = None

    @property
    def is_number(self) -> bool:
        """Whether it is a number, or an array of numbers."""
        return self.name in NUMBERS

    @property
    def decimals(self) -> int | None:
        """Digits behind the point if the format fixes them; None otherwise."""
        found = re.fullmatch(r"\+?0?\d*\.(\d+)[fF]", self.spec)
        return 0 if self.spec and self.spec[-1] in "dxX" else int(found[1]) if found else None

    def text(self, value: float) -> str:
        """Return a number as text; a code is a whole number."""
        if self.name == "code":
            return format(int(value), self.spec or "d")
        return format(float(value), self.spec) if self.spec else repr(float(value))

    def number(self, text: str) -> float:
        """Return the number of a text that fits the pattern."""
        return float(int(text, 16)) if self.spec[-1:] in ("x", "X") else float(text)

    @property
    def pattern(self) -> str:
        """Regular expression of one value."""
        if self.name == "any":
            return ".*?"
        if not self.is_number:
            return r"[^\s,;]+?"
        return "[0-9A-Fa-f]+" if self.spec[-1:] in ("x", "X") else _DECIMAL


class Template:
    """A line of a protocol.

    Parameters
    ----------
    text : str
    allowed : sequence of str
        Names of the fields that it may have.

    Raises
    ------
    SetupError
        If a field is unknown, or its format is not one of ``.6f``, ``.3e``, ``d``, ``04d``, ``x``, ``04X``.
    """

    __slots__ = ("_pattern", "fields", "text")

    def __init__(self, text: str, allowed: Sequence[str]) -> None:
        if not text or not text.isascii() or any(ord(c) < 32 for c in text):
            raise SetupError(f"{text!r} must be text of printable ASCII characters, without an end of line")
        self.text = text
        self.fields = tuple(_field(found[1], allowed) for found in _FIELD.finditer(text))
        if "{" in _FIELD.sub("", text) or "}" in _FIELD.sub("", text):
            raise SetupError(f"{text!r} has a brace without its partner")
        for field in self.fields:
            if field.name != "any" and [one.name for one in self.fields].count(field.name) > 1:
                raise SetupError(f"{text!r} has the field {{{field.name}}} twice")
        if sum(one.is_number for one in self.fields) > 1:
            raise SetupError(f"{text!r} has two fields for one number; use one of them")
        self._pattern = re.compile(self._expression())

    @property
    def number(self) -> Field | None:
        """The field that is a number, or an array of numbers."""
        return next((field for field in self.fields if field.is_number), None)

    @property
    def is_array(self) -> bool:
        """Whether its number is an array."""
        return self.number is not None and self.number.separator is not None

    def has(self, name: str) -> bool:
        """Whether it has a field of this name."""
        return any(field.name == name for field in self.fields)

    def render(self, values: Mapping[str, Value]) -> str:
        """Return the line with these values; a number or array is given as ``number``."""

        def one(found: re.Match[str]) -> str:
            field = self.fields[places.index(found.start())]
            if field.name == "any":
                return ""
            value = values["number" if field.is_number else field.name]
            if not field.is_number:
                return str(value)
            if field.separator is not None:
                assert not isinstance(value, str | float | int)
                return field.separator.join(field.text(each) for each in value)
            assert isinstance(value, float | int)
            return field.text(value)

        places = [found.start() for found in _FIELD.finditer(self.text)]
        return _FIELD.sub(one, self.text)

    def parse(self, line: str) -> dict[str, str | list[float]] | None:
        """Return the fields of a line; None if the line does not fit.

        The numbers are the list ``"number"``; ``"tolerance"`` is half of the last digit with the largest place.
        """
        found = self._pattern.fullmatch(line.strip())
        if found is None:
            return None
        values: dict[str, str | list[float]] = {}
        for k, field in enumerate(self.fields):
            text = found[f"f{k}"]
            if field.is_number:
                separated = [text] if field.separator is None else text.split(field.separator)
                values["number"] = [field.number(part.strip()) for part in separated]
                values["tolerance"] = [0.5 * max(_last_digit(part.strip()) for part in separated)]
            elif field.name != "any":
                values[field.name] = text
        return values

    def _expression(self) -> str:
        parts, end = [], 0
        for k, found in enumerate(_FIELD.finditer(self.text)):
            field = self.fields[k]
            one = field.pattern
            if field.separator is not None:
                between = r"\s+" if field.separator == " " else rf"\s*{re.escape(field.separator)}\s*"
                one = rf"{one}(?:{between}{one})*"
            parts += [_literal(self.text[end : found.start()]), f"(?P<f{k}>{one})"]
            end = found.end()
        return "".join([*parts, _literal(self.text[end:])])


def _last_digit(text: str) -> float:
    """Return the place of the last digit of a number: 0.01 for ``1.25``, 1 for ``7`` and in hexadecimal."""
    mantissa, _, exponent = text.lower().partition("e") if re.fullmatch(_DECIMAL, text) else (text, "", "")
    return float(10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2])))


@lru_cache(4096)
def template(text: str, allowed: tuple[str, ...]) -> Template:
    """Return the template of a text, made once; raises as `Template`."""
    return Template(text, allowed)


def _literal(text: str) -> str:
    return r"\s+".join(re.escape(part) for part in re.split(r" +", text))


def _field(text: str, allowed: Sequence[str]) -> Field:
    found = _PARTS.fullmatch(text)
    if found is None:
        raise SetupError(f"{{{text}}} is no field; write for example {{volts:.6f}}, {{code:04X}} or {{volts,...}}")
    name, spec = found["name"], found["spec"] or ""
    if name not in allowed:
        known = ", ".join(f"{{{one}}}" for one in allowed) or "none"
        raise SetupError(f"unknown field {{{name}}}{closest(name, allowed)}; here may be: {known}")
    field = Field(name, spec, found["separator"])
    if spec and (not field.is_number or not _SPEC.fullmatch(spec) or (spec[-1] in "dxX") != (name == "code")):
        raise SetupError(
            f"{{{text}}}: the format {spec!r} does not fit {name}; write .6f or .3e, of a code d, 04d or 04X"
        )
    if field.separator is not None and not field.is_number:
        raise SetupError(f"{{{text}}}: only numbers may be several")
    return field
