"""Objects of the instrument as scripts see them: attributes, functions, parts; conversions of values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

from hwlearn_sim.instruments.errors import VirtualInstrumentError

Value = Any
"""A value of a script: None for nil, float, int, str, bool, a list of values, or an object of the instrument."""

Function = Callable[..., Value]
"""Function of values that returns one value, or a tuple of values."""

Key = str | int
"""Name of an item, or its number, counted from 1."""

Effect = Literal["modelled", "stored", "refused"]
"""What the virtual instrument does with a setting: it acts on it, only stores it, or rejects it."""


class Unusable:
    """A function, or an item of a table, where the instrument needs a number or a text."""


UNUSABLE: Final = Unusable()


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of an object.

    Attributes
    ----------
    read : callable
        Returns its value.
    write : callable or None
        Sets it; None for a read-only attribute.
    effect : {"modelled", "stored"}
        Whether anything depends on it.
    """

    read: Callable[[], Value]
    write: Callable[[Value], None] | None
    effect: Effect


class Namespace:
    """A part of the instrument, with constants, functions, inner parts and attributes.

    Parameters
    ----------
    name : str
        Name in error messages.
    kind : str
        The name of its type that the instrument reports in the metatable.

    Attributes
    ----------
    fixed : dict
        Constants, functions and inner parts by name or number.
    attributes : dict
        Attributes by name or number.
    refused : dict
        Why something that the instrument has is not available here, by name.
    indexed : callable or None
        Returns the item at a number.
    """

    def __init__(self, name: str, fixed: Mapping[Key, Value] | None = None, kind: str = "") -> None:
        self.name, self.kind = name, kind
        self.fixed: dict[Key, Value] = dict(fixed or {})
        self.attributes: dict[Key, Attribute] = {}
        self.refused: dict[str, str] = {}
        self.indexed: Callable[[Value], Value] | None = None

    def add(self, **fixed: Value) -> None:
        """Add constants, functions or inner parts."""
        self.fixed.update(fixed)

    def attribute(
        self,
        name: Key,
        read: Callable[[], Value],
        write: Callable[[Value], None] | None = None,
        effect: Effect = "modelled",
    ) -> None:
        """Add an attribute. It is read-only without ``write``."""
        self.attributes[name] = Attribute(read, write, effect)

    def keep(self, values: dict[str, float], bounds: Mapping[str, Bounds], effect: Effect = "modelled") -> None:
        """Add numeric attributes kept in ``values``; reject values outside the bounds (-222)."""

        def write(name: str, value: Value) -> None:
            low, high = bounds[name]
            number = float(value) if isinstance(value, bool) else as_number(value)
            if not low <= number <= high:
                raise VirtualInstrumentError(-222)
            values[name] = number

        for name in bounds:
            self.attribute(name, partial(values.__getitem__, name), partial(write, name), effect)

    def store(self, values: dict[str, float], bounds: Mapping[str, Bounds]) -> None:
        """Add numeric attributes that nothing depends on."""
        self.keep(values, bounds, "stored")

    def refuse(self, reason: str, *names: str) -> None:
        """Reject every use of items that the instrument has and the virtual instrument has not (-286)."""
        self.refused.update(dict.fromkeys(names, reason))

    def unknown(self, key: str) -> None:
        """Reject an item that is refused by name; any other one is nil."""
        if key in self.refused:
            raise runtime_error(f"`{self.name}.{key}' {self.refused[key]}")

    def settings(self) -> Iterator[tuple[str, Effect]]:
        """Yield the full names of all settings that can be written or are refused, with their effect."""
        for key, attribute in self.attributes.items():
            if attribute.write is not None:
                yield _joined(self.name, key), attribute.effect
        for key in self.refused:
            yield _joined(self.name, key), "refused"
        for part in self.fixed.values():
            if isinstance(part, Namespace):
                yield from part.settings()


Bounds = tuple[float, float]
"""Smallest and largest value."""


def _joined(name: str, key: Key) -> str:
    return f"{name}[{key}]" if isinstance(key, int) else f"{name}.{key}" if name else key


def function(do: Function, least: int = 0, most: int | None = None) -> Function:
    """Return a function for scripts that rejects too few (-109) and too many (-108) arguments."""

    def checked(*arguments: Value) -> Value:
        if len(arguments) < least:
            raise VirtualInstrumentError(-109)
        if len(arguments) > (least if most is None else most):
            raise VirtualInstrumentError(-108)
        return do(*arguments)

    return checked


def runtime_error(text: str) -> VirtualInstrumentError:
    """Return a run-time error of a script, which ends the script."""
    return VirtualInstrumentError(-286, text)


def kind_of(value: Value) -> str:
    """Return the name of a value's type in the script language."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "function or table" if isinstance(value, Unusable) else "table"


def as_number(value: Value) -> float:
    """Return a number, also from text; reject other values (-286)."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    raise runtime_error(f"number expected, got {kind_of(value)}")


def as_text(value: Value) -> str:
    """Return a text, also from a number; reject other values (-286)."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.14g}"
    raise runtime_error(f"string expected, got {kind_of(value)}")


def enumerated(value: Value, count: int) -> int:
    """Return an integer from 0 to count - 1, or 1 and 0 for true and false; reject other values (-224)."""
    number = float(value) if isinstance(value, bool) else as_number(value)
    if number not in range(count):
        raise VirtualInstrumentError(-224)
    return int(number)


def whole(value: Value, low: float, high: float) -> int:
    """Return a number rounded to an integer; reject one outside the bounds (-222)."""
    number = as_number(value)
    if not low <= number <= high:
        raise VirtualInstrumentError(-222)
    return round(number)


def within(value: Value, low: float, high: float) -> float:
    """Return a number; reject one outside the bounds (-222)."""
    number = as_number(value)
    if not low <= number <= high:
        raise VirtualInstrumentError(-222)
    return number
