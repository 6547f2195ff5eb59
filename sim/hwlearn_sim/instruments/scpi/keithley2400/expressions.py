"""Arithmetic expressions of the CALCulate1 subsystem of a Keithley 2400 (2400 User's Manual p. 18-27 to 18-33)."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from typing import Final

from hwlearn_sim.instruments.errors import VirtualInstrumentError

_OPERATORS: Final[dict[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: lambda x, y: x + y,
    ast.Sub: lambda x, y: x - y,
    ast.Mult: lambda x, y: x * y,
    ast.Div: lambda x, y: x / y,
    ast.Pow: math.pow,
}
_FUNCTIONS: Final[dict[str, Callable[[float], float]]] = {
    "ABS": abs, "SQRT": math.sqrt, "LOG": math.log10, "LN": math.log, "EXP": math.exp,
    "SIN": math.sin, "COS": math.cos, "TAN": math.tan,
}  # fmt: skip
_NAMES: Final = {"VOLTAGE": "VOLT", "CURRENT": "CURR", "RESISTANCE": "RES"}
_LONGEST: Final = 256


class Expression:
    """An expression of the readings VOLT, CURR, RES and TIME.

    Parameters
    ----------
    text : str
        The expression, in parentheses or not; ``^`` is the power.

    Raises
    ------
    VirtualInstrumentError
        -171 if it is not such an expression. Vectors such as ``VOLT[0]`` are not available.
    """

    def __init__(self, text: str) -> None:
        if len(text) > _LONGEST:
            raise VirtualInstrumentError(-171)
        self.text = text
        try:
            self._tree = ast.parse(text.upper().replace("^", "**"), mode="eval").body
            self._value(self._tree, dict.fromkeys(("VOLT", "CURR", "RES", "TIME"), 1.0))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise VirtualInstrumentError(-171) from None

    def value(self, readings: Mapping[str, float]) -> float:
        """Return the value for readings; NaN where it is not defined."""
        return self._value(self._tree, readings)

    def _value(self, node: ast.expr, readings: Mapping[str, float]) -> float:
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            return float(node.value)
        if isinstance(node, ast.Name) and _NAMES.get(node.id, node.id) in readings:
            return readings[_NAMES.get(node.id, node.id)]
        try:
            if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
                operate = _OPERATORS[type(node.op)]
                return operate(self._value(node.left, readings), self._value(node.right, readings))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
                return _FUNCTIONS[node.func.id](self._value(node.args[0], readings))
        except (ArithmeticError, ValueError):
            return math.nan
        except KeyError:
            raise VirtualInstrumentError(-171) from None
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            value = self._value(node.operand, readings)
            return -value if isinstance(node.op, ast.USub) else value
        raise VirtualInstrumentError(-171)
