"""SCPI parameter types: parsing, range checks and formatting of replies."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.scpi.language import short_form, spelled, unquoted

_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:\s*E\s*[+-]?\d{1,6})?)\s*([A-Z]*)", re.IGNORECASE | re.ASCII)
_BASES: Final = {"H": 16, "Q": 8, "B": 2}
_PREFIXES: Final = {"": 0, "P": -12, "N": -9, "U": -6, "M": -3, "K": 3, "MA": 6, "G": 9}

T = TypeVar("T")


class Kind(Protocol[T]):
    """A parameter type."""

    def read(self, text: str) -> T:
        """Return the value of a parameter, or raise `VirtualInstrumentError`."""

    def bound(self, text: str) -> T:
        """Return the value of MIN, MAX or DEF in a query."""

    def write(self, value: T) -> str:
        """Return a value in the format of a reply."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number within bounds. MIN, MAX and DEF are accepted for the bounds and the default.

    Attributes
    ----------
    low, high : float
        Bounds, inclusive.
    default : float
        Value of DEF.
    unit : str
        Optional unit, also with a prefix: ``10 mV``.
    form : str
        printf format of a reply.
    """

    low: float
    high: float
    default: float = 0.0
    unit: str = ""
    form: str = "%.6E"

    def read(self, text: str) -> float:
        """Return the number; reject one out of bounds (-222)."""
        value = self.named(text)
        if value is None:
            value = _number(text, self.unit)
        if not self.low <= value <= self.high:
            raise VirtualInstrumentError(-222)
        return value

    def bound(self, text: str) -> float:
        """Return the bound that a query requests."""
        value = self.named(text)
        if value is None:
            raise VirtualInstrumentError(-104)
        return value

    def write(self, value: float) -> str:
        """Return the number in the format of this parameter."""
        return self.form % value

    def named(self, text: str) -> float | None:
        """Return the value of MINimum, MAXimum or DEFault, or None for another text."""
        for name, value in (("MINimum", self.low), ("MAXimum", self.high), ("DEFault", self.default)):
            if spelled(text, name):
                return value
        return None


@dataclass(frozen=True, slots=True)
class Whole:
    """An integer within bounds."""

    low: int
    high: int
    default: int = 1

    def read(self, text: str) -> int:
        """Return the number rounded to an integer, as IEEE 488.2 requires."""
        return round(self._number().read(text))

    def bound(self, text: str) -> int:
        """Return the bound that a query requests."""
        return round(self._number().bound(text))

    def write(self, value: int) -> str:
        """Return the number."""
        return str(value)

    def _number(self) -> Number:
        return Number(self.low, self.high, self.default)


@dataclass(frozen=True, slots=True)
class Flag:
    """A switch: ON, OFF or a number, where 0 means off."""

    def read(self, text: str) -> bool:
        """Return whether the parameter means on."""
        if text.upper() in ("ON", "OFF"):
            return text.upper() == "ON"
        return abs(_number(text, "")) >= 0.5

    def bound(self, text: str) -> bool:
        """Reject a parameter: a switch has no bounds."""
        raise VirtualInstrumentError(-108)

    def write(self, value: bool) -> str:
        """Return 1 or 0."""
        return "1" if value else "0"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several names, in short or long form, with or without quotes.

    Attributes
    ----------
    names : sequence of str
        Names with their short forms in capitals.
    spellings : dict of str to str
        Names in replies that differ from the short form.
    """

    names: Sequence[str]
    spellings: dict[str, str] = field(default_factory=dict)

    def read(self, text: str) -> str:
        """Return the short form of the name; reject unknown names (-224)."""
        bare = unquoted(text) if text[:1] in ("'", '"') else text
        for name in self.names:
            if spelled(bare.strip(), name):
                return short_form(name)
        if not re.fullmatch(r"[A-Za-z][\w:.]*", bare.strip()):
            raise VirtualInstrumentError(-104)
        raise VirtualInstrumentError(-224)

    def bound(self, text: str) -> str:
        """Reject a parameter: a name has no bounds."""
        raise VirtualInstrumentError(-108)

    def write(self, value: str) -> str:
        """Return the name in the spelling of replies."""
        return self.spellings.get(value, value)


@dataclass(frozen=True, slots=True)
class Text:
    """Text in quotes."""

    def read(self, text: str) -> str:
        """Return the text between the quotes."""
        return unquoted(text)

    def bound(self, text: str) -> str:
        """Reject a parameter: text has no bounds."""
        raise VirtualInstrumentError(-108)

    def write(self, value: str) -> str:
        """Return the text in quotes."""
        return f'"{value}"'


def items(kind: Kind[T], arguments: Sequence[str], most: int) -> list[T]:
    """Return a list of parameters of one type; reject an empty list (-109) and too many items (-223)."""
    if not arguments:
        raise VirtualInstrumentError(-109)
    if len(arguments) > most:
        raise VirtualInstrumentError(-223)
    return [kind.read(argument) for argument in arguments]


def checked_count(arguments: Sequence[str], least: int, most: int | None = None) -> Sequence[str]:
    """Return the arguments; reject too few (-109) and too many (-108)."""
    if len(arguments) < least:
        raise VirtualInstrumentError(-109)
    if len(arguments) > (least if most is None else most):
        raise VirtualInstrumentError(-108)
    return arguments


def _number(text: str, unit: str) -> float:
    if text[:1] == "#" and text[1:2].upper() in _BASES:
        try:
            return float(int(text[2:].strip().replace("_", "?"), _BASES[text[1].upper()]))
        except (ValueError, OverflowError):
            raise VirtualInstrumentError(-104) from None
    if spelled(text, "INFinity"):
        return math.inf
    if spelled(text, "NINFinity") or text.upper() in ("-INF", "-INFINITY"):
        return -math.inf
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise VirtualInstrumentError(-104)
    suffix = match[2].upper()
    prefix = suffix.removesuffix(unit.upper()) if unit else suffix
    if prefix not in _PREFIXES or (suffix and prefix == suffix):
        raise VirtualInstrumentError(-131)
    mantissa, _, power = re.sub(r"\s", "", match[1]).upper().partition("E")
    return float(f"{mantissa}e{int(power or 0) + _PREFIXES[prefix]}")
