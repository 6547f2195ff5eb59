"""Interpreter of Keithley's script language."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from hwlearn_sim.instruments.tsp import syntax
from hwlearn_sim.instruments.tsp.values import (
    ScriptTable,
    TspObject,
    Value,
    as_number,
    check_memory,
    joined,
    kind_of,
    runtime_error,
)

MAX_STEPS: Final = 1_000_000
"""Statements that a chunk may execute, and table items that it may make: an endless loop is aborted."""

MAX_CHUNK_TEXT: Final = 1 << 24
"""Characters of all texts that a chunk may make and print."""

_MAX_DEPTH: Final = 16  # scripts that run scripts
_MAX_CACHED: Final = 1 << 14  # characters of a chunk that is kept in parsed form


class Interpreter:
    """Executes chunks. Variables are kept from one chunk to the next.

    Parameters
    ----------
    variables : dict
        Predefined functions and objects of scripts.
    """

    def __init__(self, variables: dict[str, Value]) -> None:
        self.variables = variables
        self._steps = self._text = self._depth = 0

    def run(self, source: str) -> None:
        """Execute a chunk.

        Raises
        ------
        VirtualInstrumentError
            -285 for a syntax error, -286 for a run-time error, and the errors of the instrument's settings.
        """
        block = _parsed(source) if len(source) <= _MAX_CACHED else syntax.parse(source)
        if self._depth == 0:  # a script that runs another one shares its bounds with it
            self._steps = self._text = 0
        if self._depth >= _MAX_DEPTH:
            raise runtime_error("stack overflow")
        self._depth += 1
        try:
            self._block(block, [{}])
        except _Broken:
            raise syntax.syntax_error(1, "break") from None
        finally:
            self._depth -= 1

    # --- statements ---------------------------------------------------------------------------------

    def _block(self, block: syntax.Block, scopes: list[dict[str, Value]]) -> None:
        for statement in block:
            self._count_step()
            match statement:
                case syntax.CallStatement(call):
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
                self._count_step()
                self._block(block, [*scopes, {} if variable is None else {variable: turn}])
        except _Broken:
            pass

    def _count_step(self, steps: int = 1) -> None:
        self._steps += steps
        if self._steps > MAX_STEPS:
            raise runtime_error("script aborted: it does not end")

    def _count_text(self, values: list[Value]) -> None:
        """Count the texts among the values that were made or printed."""
        self._text += sum(len(value) for value in values if isinstance(value, str))
        check_memory(self._text, MAX_CHUNK_TEXT)

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
                self._count_step(len(items) + 1)
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
        self._count_text(arguments)
        result = function(*arguments)
        if result is None:
            return []
        results = list(result) if isinstance(result, tuple) else [result]
        self._count_text(results)
        return results

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
            text = joined(left, right)
            self._count_text([text])
            return text
        if operator in ("<", ">", "<=", ">="):
            return _compared(operator, left, right)
        return _computed(operator, as_number(left), as_number(right))

    def _number(self, expression: syntax.Expression, scopes: list[dict[str, Value]]) -> float:
        return as_number(self._value(expression, scopes))


class _Broken(Exception):
    pass


_parsed = lru_cache(maxsize=512)(syntax.parse)


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
