"""Parser of Keithley's script language, for the part of Lua 5.0 that bench scripts use.

Supported: assignments, calls, `if`, `while`, numeric `for`, `do`, `local`, `break`, arithmetic, comparisons,
strings and tables. Not supported: function definitions, metatables, generic `for`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from hwlearn_sim.instruments.errors import VirtualInstrumentError

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+|--\[\[.*?\]\]|--[^\n]*)
    |(?P<number>0[xX][0-9a-fA-F]{1,15}|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,6})?)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<symbol>\.\.|==|~=|<=|>=|[-+*/^=<>(){}\[\],;.])""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_KEYWORDS: Final = frozenset({
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local", "nil",
    "not", "or", "repeat", "return", "then", "true", "until", "while",
})  # fmt: skip
_BINARY: Final = {
    "or": (1, 1), "and": (2, 2), "<": (3, 3), ">": (3, 3), "<=": (3, 3), ">=": (3, 3), "~=": (3, 3),
    "==": (3, 3), "..": (5, 4), "+": (6, 6), "-": (6, 6), "*": (7, 7), "/": (7, 7), "^": (10, 9),
}  # fmt: skip
_UNARY: Final = 8
_DEEPEST: Final = 60


@dataclass(frozen=True, slots=True)
class Constant:
    """A number, text, true, false or nil."""

    value: float | str | bool | None


@dataclass(frozen=True, slots=True)
class Name:
    """A variable."""

    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """``table.key`` or ``table[key]``."""

    table: Expression
    key: Expression


@dataclass(frozen=True, slots=True)
class Call:
    """``function(arguments)``, the only expression with more than one value."""

    function: Expression
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator with one or two operands."""

    operator: str
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """``{a, b, key = c}``; an item with the key None gets the next index."""

    items: tuple[tuple[Expression | None, Expression], ...]


Expression = Constant | Name | Index | Call | Operation | Table


@dataclass(frozen=True, slots=True)
class Assign:
    """``a, b = c, d``."""

    targets: tuple[Name | Index, ...]
    values: tuple[Expression, ...]
    local: bool


@dataclass(frozen=True, slots=True)
class CallStatement:
    """A call as a statement."""

    call: Call


@dataclass(frozen=True, slots=True)
class If:
    """Conditions with their blocks; the condition None means ``else``."""

    branches: tuple[tuple[Expression | None, Block], ...]


@dataclass(frozen=True, slots=True)
class While:
    """A loop with a condition."""

    condition: Expression
    block: Block


@dataclass(frozen=True, slots=True)
class For:
    """A numeric loop."""

    variable: str
    bounds: tuple[Expression, ...]
    block: Block


@dataclass(frozen=True, slots=True)
class Break:
    """Leave the loop."""


Statement = Assign | CallStatement | If | While | For | Break
Block = tuple[Statement, ...]


def parse(source: str) -> Block:
    """Return the statements of a chunk.

    Raises
    ------
    VirtualInstrumentError
        -285 for a syntax error.
    """
    parser = _Parser(source)
    block = parser.block()
    parser.expect("end of text")
    return block


class _Parser:
    def __init__(self, source: str) -> None:
        self._tokens = list(_tokens(source))
        self._at = 0
        self._depth = 0

    # --- tokens -------------------------------------------------------------------------------------

    @property
    def _next(self) -> tuple[str, str, int]:
        return self._tokens[self._at]

    def _peek(self, *texts: str) -> bool:
        kind, text, _ = self._next
        return kind in ("symbol", "keyword", "end of text") and text in texts

    def _take(self, *texts: str) -> bool:
        found = self._peek(*texts)
        if found:
            self._at += 1
        return found

    def expect(self, text: str) -> None:
        """Consume a token; reject any other."""
        if not self._take(text):
            self._refuse()
        if text == "end of text":
            self._at -= 1

    def _refuse(self) -> None:
        _, text, line = self._next
        raise syntax_error(line, text)

    def _name(self) -> str:
        kind, text, _ = self._next
        if kind != "name":
            self._refuse()
        self._at += 1
        return text

    # --- statements ---------------------------------------------------------------------------------

    def block(self) -> Block:
        """Return the statements up to the keyword that ends their block."""
        statements: list[Statement] = []
        self._enter()
        while not self._peek("end", "else", "elseif", "until", "end of text"):
            if self._take(";"):
                continue
            statements += self._statement()
        self._depth -= 1
        return tuple(statements)

    def _statement(self) -> Block:
        if self._take("if"):
            return (self._if(),)
        if self._take("while"):
            condition = self._expression()
            return (While(condition, self._enclosed("do")),)
        if self._take("for"):
            return (self._for(),)
        if self._take("do"):
            block = self.block()
            self.expect("end")
            return (If(((None, block),)),)
        if self._take("break"):
            return (Break(),)
        if self._take("local"):
            names = [Name(self._name())]
            while self._take(","):
                names.append(Name(self._name()))
            values = self._expressions() if self._take("=") else ()
            return (Assign(tuple(names), values, local=True),)
        return (self._call_or_assignment(),)

    def _enclosed(self, opening: str) -> Block:
        self.expect(opening)
        block = self.block()
        self.expect("end")
        return block

    def _if(self) -> If:
        branches: list[tuple[Expression | None, Block]] = []
        condition: Expression | None = self._expression()
        self.expect("then")
        while True:
            branches.append((condition, self.block()))
            if condition is not None and self._take("elseif"):
                condition = self._expression()
                self.expect("then")
            elif condition is not None and self._take("else"):
                condition = None
            else:
                self.expect("end")
                return If(tuple(branches))

    def _for(self) -> For:
        variable = self._name()
        self.expect("=")
        bounds = self._expressions()
        if len(bounds) not in (2, 3):
            self._refuse()
        return For(variable, bounds, self._enclosed("do"))

    def _call_or_assignment(self) -> Statement:
        first = self._suffixed()
        if isinstance(first, Call) and not self._peek("=", ","):
            return CallStatement(first)
        targets = [first]
        while self._take(","):
            targets.append(self._suffixed())
        checked = tuple(target for target in targets if isinstance(target, Name | Index))
        if len(checked) != len(targets):
            self._refuse()
        self.expect("=")
        return Assign(checked, self._expressions(), local=False)

    # --- expressions --------------------------------------------------------------------------------

    def _expressions(self) -> tuple[Expression, ...]:
        found = [self._expression()]
        while self._take(","):
            found.append(self._expression())
        return tuple(found)

    def _expression(self, above: int = 0) -> Expression:
        self._enter()
        left: Expression
        if self._peek("not", "-"):
            operator = self._next[1]
            self._at += 1
            left = Operation("not" if operator == "not" else "negative", (self._expression(_UNARY),))
        else:
            left = self._simple()
        while self._peek(*_BINARY) and _BINARY[self._next[1]][0] > above:
            operator = self._next[1]
            self._at += 1
            left = Operation(operator, (left, self._expression(_BINARY[operator][1])))
        self._depth -= 1
        return left

    def _simple(self) -> Expression:
        kind, text, _ = self._next
        if kind == "number":
            self._at += 1
            return Constant(float(int(text, 16)) if text[:2] in ("0x", "0X") else float(text))
        if kind == "string":
            self._at += 1
            return Constant(_unescaped(text[1:-1]))
        for word, value in (("nil", None), ("true", True), ("false", False)):
            if self._take(word):
                return Constant(value)
        if self._take("{"):
            return self._table()
        return self._suffixed()

    def _suffixed(self) -> Expression:
        found: Expression
        if self._take("("):
            found = self._expression()
            self.expect(")")
        else:
            found = Name(self._name())
        while True:
            if self._take("."):
                found = Index(found, Constant(self._name()))
            elif self._take("["):
                found = Index(found, self._expression())
                self.expect("]")
            elif self._take("("):
                arguments = () if self._peek(")") else self._expressions()
                self.expect(")")
                found = Call(found, arguments)
            else:
                return found

    def _table(self) -> Table:
        items: list[tuple[Expression | None, Expression]] = []
        while not self._take("}"):
            if self._next[0] == "name" and self._tokens[self._at + 1][1] == "=":
                key: Expression | None = Constant(self._name())
                self.expect("=")
            elif self._take("["):
                key = self._expression()
                self.expect("]")
                self.expect("=")
            else:
                key = None
            items.append((key, self._expression()))
            if not self._take(",", ";") and not self._peek("}"):
                self._refuse()
        return Table(tuple(items))

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise syntax_error(self._next[2], self._next[1])


def syntax_error(line: int, text: str) -> VirtualInstrumentError:
    """Return the error for an unexpected symbol."""
    return VirtualInstrumentError(-285, f"TSP Syntax error at line {line}: unexpected symbol near `{text}'")


def _tokens(source: str) -> list[tuple[str, str, int]]:
    found, position, line = [], 0, 1
    while position < len(source):
        match = _TOKEN.match(source, position)
        if match is None:
            raise syntax_error(line, source[position])
        kind, text = str(match.lastgroup), match[0]
        if kind != "space":
            found.append(("keyword" if text in _KEYWORDS else kind, text, line))
        line += text.count("\n")
        position = match.end()
    return [*found, ("end of text", "end of text", line)]


def _unescaped(text: str) -> str:
    escapes = {"n": "\n", "t": "\t", "r": "\r"}
    return re.sub(r"\\(.)", lambda match: escapes.get(match[1], match[1]), text, flags=re.DOTALL)
