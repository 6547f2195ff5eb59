"""Runs Keithley's script language: values, variables, and objects whose attributes are an instrument."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import Any, Final

from hwlearn_sim.instruments import tsp_syntax as syntax
from hwlearn_sim.instruments.errors import InstrumentError

_MOST_STEPS: Final = 1_000_000

Value = Any
"""nil is None; numbers are float; text, true and false; tables, objects and functions."""

Function = Callable[..., Value]
"""Takes values; returns one, or a tuple of several."""


def function(do: Function, least: int = 0, most: int | None = None) -> Function:
    """Return a function for scripts that refuses too few (-109) and too many (-108) arguments."""

    def checked(*arguments: Value) -> Value:
        if len(arguments) < least:
            raise InstrumentError(-109)
        if len(arguments) > (least if most is None else most):
            raise InstrumentError(-108)
        return do(*arguments)

    return checked


class TspObject(ABC):
    """Something with attributes: a part of the instrument, or a table of the script."""

    @abstractmethod
    def get(self, key: Value) -> Value:
        """Return an attribute; nil if there is none."""

    @abstractmethod
    def put(self, key: Value, value: Value) -> None:
        """Set an attribute, or raise `InstrumentError`."""


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
                raise InstrumentError(-222)
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


class Interpreter:
    """Runs chunks; its variables live from one chunk to the next.

    Parameters
    ----------
    variables : dict
        What scripts find when they start: functions and objects.
    """

    def __init__(self, variables: dict[str, Value]) -> None:
        self.variables = variables
        self._steps = 0

    def run(self, source: str) -> None:
        """Run a chunk.

        Raises
        ------
        InstrumentError
            -285 for what cannot be parsed, -286 for what cannot be done, and whatever the instrument refuses.
        """
        block = _parsed(source)
        self._steps = 0
        try:
            self._block(block, [{}])
        except _Broken:
            raise syntax.syntax_error(1, "break") from None

    # --- statements ---------------------------------------------------------------------------------

    def _block(self, block: syntax.Block, scopes: list[dict[str, Value]]) -> None:
        for statement in block:
            self._steps += 1
            if self._steps > _MOST_STEPS:
                raise runtime_error("script aborted: it does not end")
            match statement:
                case syntax.Run(call):
                    self._call(call, scopes)
                case syntax.Assign():
                    self._assign(statement, scopes)
                case syntax.If(branches):
                    for condition, inner in branches:
                        if condition is None or _true(self._value(condition, scopes)):
                            self._block(inner, [*scopes, {}])
                            break
                case syntax.While(condition, inner):
                    self._loop(self._while(condition, scopes), None, inner, scopes)
                case syntax.For(variable, bounds, inner):
                    counts = _counted([self._number(bound, scopes) for bound in bounds])
                    self._loop(counts, variable, inner, scopes)
                case syntax.Break():
                    raise _Broken

    def _loop(
        self,
        turns: Iterator[Value],
        variable: str | None,
        block: syntax.Block,
        scopes: list[dict[str, Value]],
    ) -> None:
        try:
            for turn in turns:
                self._steps += 1
                if self._steps > _MOST_STEPS:
                    raise runtime_error("script aborted: it does not end")
                self._block(block, [*scopes, {} if variable is None else {variable: turn}])
        except _Broken:
            pass

    def _while(self, condition: syntax.Expression, scopes: list[dict[str, Value]]) -> Iterator[None]:
        while _true(self._value(condition, scopes)):
            yield None

    def _assign(self, statement: syntax.Assign, scopes: list[dict[str, Value]]) -> None:
        values = self._values(statement.values, scopes)
        values += [None] * (len(statement.targets) - len(values))
        for target, value in zip(statement.targets, values, strict=False):
            if isinstance(target, syntax.Index):
                table = self._value(target.table, scopes)
                if not isinstance(table, TspObject):
                    raise runtime_error(f"attempt to index a {kind_of(table)} value")
                table.put(self._value(target.key, scopes), value)
            elif statement.local:
                scopes[-1][target.name] = value
            else:
                self._scope(target.name, scopes)[target.name] = value

    def _scope(self, name: str, scopes: list[dict[str, Value]]) -> dict[str, Value]:
        return next((scope for scope in reversed(scopes) if name in scope), self.variables)

    # --- expressions --------------------------------------------------------------------------------

    def _values(self, expressions: tuple[syntax.Expression, ...], scopes: list[dict[str, Value]]) -> list[Value]:
        values: list[Value] = []
        for k, expression in enumerate(expressions):
            if isinstance(expression, syntax.Call) and k == len(expressions) - 1:
                values += self._call(expression, scopes)
            else:
                values.append(self._value(expression, scopes))
        return values

    def _value(self, expression: syntax.Expression, scopes: list[dict[str, Value]]) -> Value:
        match expression:
            case syntax.Constant(value):
                return value
            case syntax.Name(name):
                return self._scope(name, scopes).get(name)
            case syntax.Index(table, key):
                found = self._value(table, scopes)
                if not isinstance(found, TspObject):
                    raise runtime_error(f"attempt to index a {kind_of(found)} value")
                return found.get(self._value(key, scopes))
            case syntax.Call():
                values = self._call(expression, scopes)
                return values[0] if values else None
            case syntax.Table(items):
                made, count = ScriptTable(), 0
                for key_expression, item in items:
                    count += key_expression is None
                    at = float(count) if key_expression is None else self._value(key_expression, scopes)
                    made.put(at, self._value(item, scopes))
                return made
            case syntax.Operation(operator, operands):
                return self._operation(operator, operands, scopes)

    def _call(self, call: syntax.Call, scopes: list[dict[str, Value]]) -> list[Value]:
        function = self._value(call.function, scopes)
        if not callable(function):
            raise runtime_error(f"attempt to call a {kind_of(function)} value")
        arguments = self._values(call.arguments, scopes)
        result = function(*arguments)
        if result is None:
            return []
        return list(result) if isinstance(result, tuple) else [result]

    def _operation(
        self, operator: str, operands: tuple[syntax.Expression, ...], scopes: list[dict[str, Value]]
    ) -> Value:
        left = self._value(operands[0], scopes)
        if operator == "not":
            return not _true(left)
        if operator == "and":
            return self._value(operands[1], scopes) if _true(left) else left
        if operator == "or":
            return left if _true(left) else self._value(operands[1], scopes)
        right = self._value(operands[1], scopes) if len(operands) > 1 else 0.0
        if operator in ("==", "~="):
            return (type(left) is type(right) and left == right) == (operator == "==")
        if operator == "..":
            return joined(left, right)
        if operator in ("<", ">", "<=", ">="):
            return _compared(operator, left, right)
        return _computed(operator, as_number(left), as_number(right))

    def _number(self, expression: syntax.Expression, scopes: list[dict[str, Value]]) -> float:
        return as_number(self._value(expression, scopes))


class _Broken(Exception):
    pass


_parsed = lru_cache(maxsize=512)(syntax.parse)


def runtime_error(text: str) -> InstrumentError:
    """Return the error for what a script cannot do."""
    return InstrumentError(-286, f"TSP Runtime error at line 1: {text}")


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


def _true(value: Value) -> bool:
    return value is not None and value is not False


def _counted(bounds: list[float]) -> Iterator[float]:
    first, last, step = (*bounds, 1.0)[:3]
    if step == 0 or not all(math.isfinite(bound) for bound in bounds):
        raise runtime_error("`for' bounds must be finite and the step not zero")
    turn = first
    while turn <= last if step > 0 else turn >= last:
        yield turn
        turn += step


def _compared(operator: str, left: Value, right: Value) -> bool:
    if type(left) is not type(right) or not isinstance(left, float | str):
        raise runtime_error(f"attempt to compare {kind_of(left)} with {kind_of(right)}")
    if operator == "<":
        return bool(left < right)
    if operator == ">":
        return bool(left > right)
    return bool(left <= right) if operator == "<=" else bool(left >= right)


def _computed(operator: str, left: float, right: float) -> float:
    if operator == "negative":
        return -left
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    try:
        return left / right if operator == "/" else float(math.pow(left, right))
    except ZeroDivisionError:
        return math.nan if left == 0 else math.copysign(math.inf, left)
    except (OverflowError, ValueError):
        return math.nan if left < 0 else math.inf


def enumerated(value: Value, count: int) -> int:
    """Return one of 0 to count - 1, or true and false as 1 and 0; others are refused (-224)."""
    number = float(value) if isinstance(value, bool) else as_number(value)
    if number not in range(count):
        raise InstrumentError(-224)
    return int(number)


def whole(value: Value, low: int, high: int) -> int:
    """Return a number within bounds (-222) as a whole one."""
    number = as_number(value)
    if not low <= number <= high:
        raise InstrumentError(-222)
    return round(number)
