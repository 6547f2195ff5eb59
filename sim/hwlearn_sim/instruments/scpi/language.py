"""Parse SCPI program messages into units, headers and parameters (IEEE 488.2, SCPI 1999 volume 1).

Messages are text in which each character represents one byte (Latin-1), so that binary blocks are preserved.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from hwlearn_sim.instruments.errors import VirtualInstrumentError

_HEADER = re.compile(
    r"\s*(:?\*[A-Za-z]+|:?[A-Za-z]\w*(?::[A-Za-z]\w*)*)(\??)(?:\s+(.*))?\s*", re.DOTALL | re.ASCII
)
_PATTERN_NODE = re.compile(r"(\[?):?([A-Za-z][A-Za-z0-9]*)(#?):?(\]?)")
_ENCLOSING = re.compile(r"[\"'#()]")
_NESTING = re.compile(r"[#()]")
_SPACES: Final = " \t\r\n\0"
_REMEMBERED: Final = 2048

Write = Callable[[tuple[int, ...], list[str]], None]
Query = Callable[[tuple[int, ...], list[str]], str]


def split(text: str, separator: str) -> Iterator[str]:
    """Split at a separator outside quotes, parentheses and binary blocks.

    Raises
    ------
    VirtualInstrumentError
        -151 for an unterminated string, -161 for an incomplete block, -171 for an open parenthesis.
    """
    if not _ENCLOSING.search(text):
        yield from text.split(separator)
        return
    if not _NESTING.search(text):
        parts = _parts_with_strings(separator).findall(text)
        if sum(map(len, parts)) + len(parts) - 1 == len(text):
            yield from parts
            return
    start = position = depth = 0
    while position < len(text):
        char = text[position]
        if char in "'\"":
            end = text.find(char, position + 1)
            if end < 0:
                raise VirtualInstrumentError(-151)
            position = end
        elif char == "#":
            position = _block_end(text, position) - 1
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == separator and depth <= 0:
            yield text[start:position]
            start = position + 1
        position += 1
    if depth > 0:
        raise VirtualInstrumentError(-171)
    yield text[start:]


@lru_cache
def _parts_with_strings(separator: str) -> re.Pattern[str]:
    """Return a pattern whose matches are the parts of a text with quotes, if every string in it ends."""
    part = rf"""(?:[^{separator}"']|"[^"]*"|'[^']*')*"""
    return re.compile(rf"(?:^|(?<={separator})){part}(?={separator}|$)")


def trimmed(text: str) -> str:
    """Return text without surrounding spaces. With a binary block the end is kept, because spaces may be data."""
    text = text.lstrip(_SPACES)
    return text if "#" in text else text.rstrip(_SPACES)


def block(argument: str) -> bytes:
    """Return the data of a definite-length block ``#<n><length><data>``.

    Raises
    ------
    VirtualInstrumentError
        -161 if the length is wrong; -104 if it is not a block.
    """
    if not argument.startswith("#"):
        raise VirtualInstrumentError(-104)
    if _block_end(argument, 0) != len(argument) or not argument[1:2].isdigit() or argument[1] == "0":
        raise VirtualInstrumentError(-161)
    return argument[2 + int(argument[1]) :].encode("latin-1")


def as_block(data: bytes) -> str:
    """Return data as a definite-length block."""
    length = str(len(data))
    return f"#{len(length)}{length}" + data.decode("latin-1")


def unquoted(argument: str) -> str:
    """Return the text of a string parameter in either kind of quotes.

    Raises
    ------
    VirtualInstrumentError
        -104 if it is not a string.
    """
    if len(argument) < 2 or argument[0] not in "'\"" or argument[-1] != argument[0]:
        raise VirtualInstrumentError(-104)
    return argument[1:-1].replace(argument[0] * 2, argument[0])


def channel_list(argument: str) -> list[int]:
    """Return the channels of a list such as ``(@1)``, ``(@1,2)`` or ``(@2:1)``.

    Raises
    ------
    VirtualInstrumentError
        -104 if it is not a channel list, -171 if the list is invalid.
    """
    if not argument.startswith("("):
        raise VirtualInstrumentError(-104)
    match = re.fullmatch(r"\(\s*@\s*(\d+(?:\s*[:,]\s*\d+)*)\s*\)", argument, re.ASCII)
    if match is None:
        raise VirtualInstrumentError(-171)
    chosen: list[int] = []
    for item in match[1].split(","):
        ends = [int(end) for end in item.split(":")]
        if len(ends) > 2 or max(ends) > 99:
            raise VirtualInstrumentError(-171)
        first, last = ends[0], ends[-1]
        chosen += range(first, last + 1) if first <= last else range(first, last - 1, -1)
    return chosen


@lru_cache(maxsize=4096)
def short_form(mnemonic: str) -> str:
    """Return the short form of a mnemonic, with a number at the end: ``VOLT`` of ``VOLTage``."""
    return "".join(char for char in mnemonic if not char.islower())


def spelled(text: str, mnemonic: str) -> bool:
    """Return whether text is the short or the long form of a mnemonic, in upper or lower case."""
    return text.upper() in (short_form(mnemonic), mnemonic.upper())


def _block_end(text: str, start: int) -> int:
    """Return the end of the block that begins at ``start``, or of the ``#`` of a number such as ``#H1F``."""
    digit = text[start + 1 : start + 2]
    if digit == "0":
        return len(text)
    if not (digit.isascii() and digit.isdigit()):
        return start + 1
    length = text[start + 2 : start + 2 + int(digit)]
    if len(length) != int(digit) or not (length.isascii() and length.isdigit()):
        raise VirtualInstrumentError(-161)
    end = start + 2 + int(digit) + int(length)
    if end > len(text):
        raise VirtualInstrumentError(-161)
    return end


# --- headers --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Command:
    """Command and query of a header.

    Attributes
    ----------
    write, query : callable or None
        What executes the command and the query.
    urgent : bool
        Whether the command is executed also while the trigger model waits.
    """

    write: Write | None
    query: Query | None
    urgent: bool = False


@dataclass(slots=True)
class _Node:
    """A place in the tree of headers.

    Attributes
    ----------
    children : dict of str to _Node
        The next places by short and long mnemonic.
    numbered : bool
        Whether the mnemonic takes a numeric suffix.
    pattern : str or None
        The pattern whose header ends here.
    spelled_out : tuple of bool
        Which numbered nodes of the pattern that header contains.
    """

    children: dict[str, _Node] = field(default_factory=dict)
    numbered: bool = False
    pattern: str | None = None
    spelled_out: tuple[bool, ...] = ()


@lru_cache(maxsize=4096)
def _spellings(pattern: str) -> tuple[tuple[tuple[tuple[str, bool], ...], tuple[bool, ...]], ...]:
    """Return the headers that a pattern allows: mnemonics that take a number or not, and which of those occur.

    Raises
    ------
    ValueError
        If the pattern is malformed.
    """
    if pattern.startswith("*"):
        return ((((pattern, False),), ()),)
    parts = list(_PATTERN_NODE.finditer(pattern))
    if "".join(part[0] for part in parts) != pattern or any(bool(p[1]) != bool(p[4]) for p in parts):
        raise ValueError(f"{pattern!r} is not a valid command pattern")
    nodes = [(part[2], bool(part[3]), bool(part[1])) for part in parts]
    found = []
    for chosen in itertools.product(*([True, False] if optional else [True] for _, _, optional in nodes)):
        there = [(name, numbered) for (name, numbered, _), is_there in zip(nodes, chosen, strict=True) if is_there]
        spelled_out = tuple(is_there for (_, numbered, _), is_there in zip(nodes, chosen, strict=True) if numbered)
        found.append((tuple(there), spelled_out))
    return tuple(found)


@lru_cache(maxsize=64)
def _tree(patterns: tuple[str, ...]) -> _Node:
    """Return the root of the tree of these patterns, which all instruments of a model share.

    Raises
    ------
    ValueError
        If two patterns conflict.
    """
    root = _Node()
    for pattern in patterns:
        for mnemonics, spelled_out in _spellings(pattern):
            node = root
            for name, numbered in mnemonics:
                node = _child(node, name, numbered, pattern)
            if node.pattern is not None:
                raise ValueError(f"{pattern!r} conflicts with another pattern, {node.pattern!r}")
            node.pattern, node.spelled_out = pattern, spelled_out
    return root


def _child(node: _Node, name: str, numbered: bool, pattern: str) -> _Node:
    child = node.children.get(name.upper())
    if child is None:
        child = _Node(numbered=numbered)
        for form in {name.upper(), short_form(name)}:
            if form in node.children:
                raise ValueError(f"{name!r} of {pattern!r} conflicts with another mnemonic")
            node.children[form] = child
    elif child.numbered != numbered:
        raise ValueError(f"{name!r} of {pattern!r} is numbered in one pattern and not in another")
    return child


@dataclass(frozen=True, slots=True)
class Unit:
    """One parsed message unit: the command, its numeric suffixes, whether it is a query, and its parameters."""

    command: Command
    suffixes: tuple[int, ...]
    is_query: bool
    arguments: list[str]


class CommandTree:
    """All command headers of an instrument.

    Patterns are written as in the manuals: ``[SOURce#]:VOLTage[:LEVel]``. Capitals are the short form, brackets
    enclose optional parts, and ``#`` is a numeric suffix (1 if omitted).

    Attributes
    ----------
    trailing_comma : bool
        Whether a comma after the last parameter is accepted, as by a 2450.
    """

    def __init__(self) -> None:
        self.trailing_comma = False
        self._commands: dict[str, Command] = {}
        self._root: _Node | None = None
        self._known: dict[tuple[tuple[str, ...], str], tuple[Command, tuple[int, ...], tuple[str, ...]]] = {}
        self._queries: dict[tuple[tuple[str, ...], str], tuple[Unit, tuple[str, ...]]] = {}

    def add(
        self, pattern: str, *, write: Write | None = None, query: Query | None = None, urgent: bool = False
    ) -> None:
        """Add a pattern with its command and its query.

        Raises
        ------
        ValueError
            If the pattern is malformed or was added before. `parse` raises it if two patterns conflict.
        """
        _spellings(pattern)
        if pattern in self._commands:
            raise ValueError(f"{pattern!r} conflicts with the same pattern, added before")
        self._commands[pattern] = Command(write, query, urgent)
        self._root = None

    def _complete(self) -> _Node:
        if self._root is None:
            self._root = _tree(tuple(self._commands))
        return self._root

    def parse(self, text: str, path: tuple[str, ...]) -> tuple[Unit, tuple[str, ...]]:
        """Parse one message unit; return it and the header path for the next unit.

        Raises
        ------
        VirtualInstrumentError
            -113 for a header that is unknown or has no such command or query; -102 for a syntax error.
        ValueError
            If patterns of the tree conflict.
        """
        parsed = self._queries.get((path, text))
        if parsed is not None:
            return parsed
        before = path
        match = _HEADER.fullmatch(text)
        if match is None:
            raise VirtualInstrumentError(-102)
        header, is_query, rest = match[1].upper(), bool(match[2]), trimmed(match[3] or "")
        found = self._known.get((path, header))
        if found is None:
            found = self._resolve(header, path)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[path, header] = found
        command, suffixes, path = found
        if (command.query if is_query else command.write) is None:
            raise VirtualInstrumentError(-113)
        arguments = [trimmed(part) for part in split(rest, ",")] if rest else []
        if self.trailing_comma and arguments and not arguments[-1]:
            arguments.pop()
        if "" in arguments:
            raise VirtualInstrumentError(-103)
        unit = Unit(command, suffixes, is_query, arguments)
        if is_query and not arguments:  # such queries are repeated with every reading
            if len(self._queries) >= _REMEMBERED:
                self._queries.clear()
            self._queries[before, text] = unit, path
        return unit, path

    def _resolve(self, header: str, path: tuple[str, ...]) -> tuple[Command, tuple[int, ...], tuple[str, ...]]:
        if "*" in header:
            common = self._commands.get(header.lstrip(":"))
            if common is None:
                raise VirtualInstrumentError(-113)
            return common, (), path
        names = tuple(header.lstrip(":").split(":"))
        if not header.startswith(":"):
            names = path + names
        node, numbers = self._complete(), []
        for name in names:
            child, number = node.children.get(name), 1
            if child is None:
                stem = name.rstrip("0123456789")
                child = node.children.get(stem)
                if child is None or not child.numbered:
                    raise VirtualInstrumentError(-113)
                number = int(name[len(stem) :][:9])
            if child.numbered:
                numbers.append(number)
            node = child
        if node.pattern is None:
            raise VirtualInstrumentError(-113)
        given = iter(numbers)
        suffixes = tuple(next(given) if there else 1 for there in node.spelled_out)
        return self._commands[node.pattern], suffixes, names[:-1]
