"""Predefined functions of scripts: mathematics, text and conversions."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Final

from hwlearn_sim.instruments.tsp.values import (
    MAX_TEXT,
    Namespace,
    Value,
    as_number,
    check_memory,
    function,
    kind_of,
    runtime_error,
)

_DIRECTIVE = re.compile(r"%(?:%|[-+ #0]*\d{0,3}(?:\.\d{0,3})?[dieEfgGsxXc])")
_MAX_WIDTH: Final = 2000  # of a number: up to 309 digits, or a width and a precision of three digits
_MATHEMATICS: Final[dict[str, Callable[[float], float]]] = {
    "abs": abs, "ceil": lambda x: float(math.ceil(x)), "cos": math.cos, "exp": math.exp,
    "floor": lambda x: float(math.floor(x)), "log": math.log, "log10": math.log10, "sin": math.sin,
    "sqrt": math.sqrt, "tan": math.tan,
}  # fmt: skip


def libraries() -> dict[str, Value]:
    """Return the predefined variables by name."""
    mathematics = Namespace("math", {"pi": math.pi})
    for name, compute in _MATHEMATICS.items():
        mathematics.add(**{name: function(_numeric(compute), 1)})
    mathematics.add(max=function(lambda *x: max(as_number(v) for v in x), 1, 100))
    mathematics.add(min=function(lambda *x: min(as_number(v) for v in x), 1, 100))
    return {
        "math": mathematics,
        "string": Namespace("string", {"format": function(_formatted, 1, 100)}),
        "tonumber": function(_tonumber, 1),
        "type": function(kind_of, 1),
    }


def _numeric(compute: Callable[[float], float]) -> Callable[[Value], float]:
    def safe(value: Value) -> float:
        try:
            return float(compute(as_number(value)))
        except OverflowError:
            return math.inf
        except ValueError:
            return math.nan

    return safe


def _formatted(form: Value, *values: Value) -> str:
    if not isinstance(form, str):
        raise runtime_error("string expected")
    directives = [match[0] for match in _DIRECTIVE.finditer(form)]
    wanted = [directive[-1] for directive in directives if directive != "%%"]
    if form.count("%") != sum(directive.count("%") for directive in directives) or len(wanted) > len(values):
        raise runtime_error("bad format or too few values")
    try:
        ready = [
            value if letter == "s" else int(as_number(value)) if letter in "dixXc" else as_number(value)
            for letter, value in zip(wanted, values, strict=False)
        ]
        texts = [value for value in ready if isinstance(value, str)]
        widths = _MAX_WIDTH * len(wanted)  # of numbers, and of shorter texts
        check_memory(len(form) + sum(map(len, texts)) + widths, MAX_TEXT)
        return form % tuple(ready)
    except (ValueError, OverflowError) as error:
        raise runtime_error(f"cannot format: {error}") from None


def _tonumber(value: Value) -> float | None:
    if isinstance(value, float):
        return value
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None
