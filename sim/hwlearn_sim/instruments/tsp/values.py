"""Values of Keithley's script language: tables, and objects whose attributes are an instrument."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from hwlearn_sim.instruments.errors import VirtualInstrumentError

Value = Any
"""nil is None; numbers are float; text, true and false; tables, objects and functions."""

Function = Callable[..., Value]
"""Takes values; returns one, or a tuple of several."""


def function(do: Function, least: int = 0, most: int | None = None) -> Function:
    """Return a function for scripts that refuses too few (-109) and too many (-108) arguments."""

    def checked(*arguments: Value) -> Value:
        if len(arguments) < least:
            raise VirtualInstrumentError(-109)
        if len(arguments) > (least if most is None else most):
            raise VirtualInstrumentError(-108)
        return do(*arguments)

    return checked


class TspObject(ABC):
    """Something with attributes: a part of the instrument, or a table of the script."""

    @abstractmethod
    def get(self, key: Value) -> Value:
        """Return an attribute; nil if there is none."""

    @abstractmethod
    def put(self, key: Value, value: Value) -> None:
        """Set an attribute, or raise `VirtualInstrumentError`."""


class ScriptTable(TspObject):
    """A table that a script made."""

    def __init__(self) -> None:
        self._items: dict[Value, Value] = {}

    def get(self, key: Value) -> Value:
        """Return an item."""
        return self._items.get(key)

    def put(self, key: Value, value: Value) -> None:
        """Set an item; nil removes it."""
        if key is None or key != key:
            raise runtime_error("table index is nil")
        if value is None:
            self._items.pop(key, None)
        else:
            self._items[key] = value

    def sequence(self) -> list[Value]:
        """Return the items 1, 2, 3 ... up to the first nil."""
        found: list[Value] = []
        while (item := self._items.get(float(len(found) + 1))) is not None:
            found.append(item)
        return found


class Namespace(TspObject):
    """A part of the instrument: constants, functions, inner parts, and attributes that can be read or set."""

    def __init__(self, name: str, fixed: dict[str, Value] | None = None) -> None:
        self._name = name
        self._fixed: dict[str, Value] = dict(fixed or {})
        self._attributes: dict[str, tuple[Callable[[], Value], Callable[[Value], None] | None]] = {}

    def add(self, **fixed: Value) -> None:
        """Add constants, functions or inner parts."""
        self._fixed.update(fixed)

    def attribute(
        self, name: str, read: Callable[[], Value], write: Callable[[Value], None] | None = None
    ) -> None:
        """Add an attribute that is read, and set if ``write`` is given."""
        self._attributes[name] = (read, write)

    def keep(self, values: dict[str, float], bounds: Mapping[str, tuple[float, float]]) -> None:
        """Add attributes kept as numbers in ``values``, within bounds; what is outside is refused (-222)."""

        def write(name: str, value: Value) -> None:
            low, high = bounds[name]
            number = float(value) if isinstance(value, bool) else as_number(value)
            if not low <= number <= high:
                raise VirtualInstrumentError(-222)
            values[name] = number

        for name in bounds:
            self.attribute(name, partial(values.__getitem__, name), partial(write, name))

    def get(self, key: Value) -> Value:
        """Return a constant, a function, an inner part or an attribute's value."""
        attribute = self._attributes.get(key)
        return self._fixed.get(key) if attribute is None else attribute[0]()

    def put(self, key: Value, value: Value) -> None:
        """Set an attribute; what is no attribute, or can only be read, is refused (-286)."""
        write = self._attributes.get(key, (None, None))[1]
        if write is None:
            raise runtime_error(f"cannot set attribute `{self._name}.{key}'")
        write(value)


def runtime_error(text: str) -> VirtualInstrumentError:
    """Return the error for what a script cannot do."""
    return VirtualInstrumentError(-286, f"TSP Runtime error at line 1: {text}")


def kind_of(value: Value) -> str:
    """Return what the language calls the type of a value."""
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "function" if callable(value) else "table"


def as_number(value: Value) -> float:
    """Return a number, or one that text spells; anything else is refused (-286)."""
    if isinstance(value, float):
        return value
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    raise runtime_error(f"attempt to perform arithmetic on a {kind_of(value)} value")


def joined(*values: Value) -> str:
    """Return text and numbers one after the other."""
    for value in values:
        if not isinstance(value, str | float) or isinstance(value, bool):
            raise runtime_error(f"attempt to concatenate a {kind_of(value)} value")
    return "".join(value if isinstance(value, str) else f"{value:.14g}" for value in values)


def enumerated(value: Value, count: int) -> int:
    """Return one of 0 to count - 1, or true and false as 1 and 0; others are refused (-224)."""
    number = float(value) if isinstance(value, bool) else as_number(value)
    if number not in range(count):
        raise VirtualInstrumentError(-224)
    return int(number)


def whole(value: Value, low: int, high: int) -> int:
    """Return a number within bounds (-222) as a whole one."""
    number = as_number(value)
    if not low <= number <= high:
        raise VirtualInstrumentError(-222)
    return round(number)
