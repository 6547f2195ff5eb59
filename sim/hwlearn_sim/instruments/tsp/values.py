"""Values of Keithley's script language: tables, and objects that represent parts of an instrument."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from hwlearn_sim.instruments.errors import VirtualInstrumentError

Value = Any
"""A value of a script: None for nil, float, str, bool, a table, an object or a function."""

MAX_TEXT: Final = 1 << 20
"""Maximum number of characters of a text that a script makes."""

Function = Callable[..., Value]
"""Function of values that returns one value, or a tuple of values."""


def function(do: Function, least: int = 0, most: int | None = None) -> Function:
    """Return a function for scripts that rejects too few (-109) and too many (-108) arguments."""

    def checked(*arguments: Value) -> Value:
        if len(arguments) < least:
            raise VirtualInstrumentError(-109)
        if len(arguments) > (least if most is None else most):
            raise VirtualInstrumentError(-108)
        return do(*arguments)

    return checked


class TspObject(ABC):
    """An object with attributes: a part of the instrument, or a table of the script."""

    @abstractmethod
    def get(self, key: Value) -> Value:
        """Return an attribute, or nil if there is none."""

    @abstractmethod
    def put(self, key: Value, value: Value) -> None:
        """Set an attribute, or raise `VirtualInstrumentError`."""


class ScriptTable(TspObject):
    """A table that was created by a script."""

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
    """A part of the instrument, with constants, functions, inner parts and attributes."""

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
        """Add an attribute. It is read-only without ``write``."""
        self._attributes[name] = (read, write)

    def keep(self, values: dict[str, float], bounds: Mapping[str, tuple[float, float]]) -> None:
        """Add numeric attributes stored in ``values``; reject values outside the bounds (-222)."""

        def write(name: str, value: Value) -> None:
            low, high = bounds[name]
            number = float(value) if isinstance(value, bool) else as_number(value)
            if not low <= number <= high:
                raise VirtualInstrumentError(-222)
            values[name] = number

        for name in bounds:
            self.attribute(name, partial(values.__getitem__, name), partial(write, name))

    def get(self, key: Value) -> Value:
        """Return a constant, a function, an inner part or the value of an attribute."""
        attribute = self._attributes.get(key)
        return self._fixed.get(key) if attribute is None else attribute[0]()

    def put(self, key: Value, value: Value) -> None:
        """Set an attribute; reject unknown and read-only attributes (-286)."""
        write = self._attributes.get(key, (None, None))[1]
        if write is None:
            raise runtime_error(f"cannot set attribute `{self._name}.{key}'")
        write(value)


def runtime_error(text: str) -> VirtualInstrumentError:
    """Return a run-time error of a script."""
    return VirtualInstrumentError(-286, f"TSP Runtime error at line 1: {text}")


def kind_of(value: Value) -> str:
    """Return the name of a value's type in the script language."""
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
    """Return a number, also from text; reject other values (-286)."""
    if isinstance(value, float):
        return value
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    raise runtime_error(f"attempt to perform arithmetic on a {kind_of(value)} value")


def joined(*values: Value) -> str:
    """Return text and numbers concatenated."""
    for value in values:
        if not isinstance(value, str | float) or isinstance(value, bool):
            raise runtime_error(f"attempt to concatenate a {kind_of(value)} value")
    texts = [value if isinstance(value, str) else f"{value:.14g}" for value in values]
    check_memory(sum(map(len, texts)), MAX_TEXT)
    return "".join(texts)


def check_memory(needed: int, most: int) -> None:
    """Reject what would need more memory than a script may use, with the error of the script language (-286)."""
    if needed > most:
        raise runtime_error("not enough memory")


def enumerated(value: Value, count: int) -> int:
    """Return an integer from 0 to count - 1, or 1 and 0 for true and false; reject other values (-224)."""
    number = float(value) if isinstance(value, bool) else as_number(value)
    if number not in range(count):
        raise VirtualInstrumentError(-224)
    return int(number)


def whole(value: Value, low: int, high: int) -> int:
    """Return a number rounded to an integer; reject one outside the bounds (-222)."""
    number = as_number(value)
    if not low <= number <= high:
        raise VirtualInstrumentError(-222)
    return round(number)
