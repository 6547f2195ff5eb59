"""The lines ("cards") of a SPICE netlist: continuation, comments, values, and which cards a network may have."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from hwlearn.errors import CircuitError, TopologyError

GROUND: Final = "0"

_POWERS: Final = {"meg": 6, "f": -15, "p": -12, "n": -9, "u": -6, "m": -3, "k": 3, "g": 9, "t": 12, "": 0}
_UNITS: Final = {
    "ohm": ("", "ohm", "ohms", "ω"),
    "V": ("", "v", "volt", "volts"),
    "A": ("", "a", "amp", "amps"),
}
_FLOAT: Final = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"
_VALUE: Final = re.compile(rf"({_FLOAT})([^\W\d_]*)")
_COMMENT: Final = re.compile(r";|(?:^|(?<=\s))\$")
_NODE_NAME: Final = re.compile(r'\*\s*hwlearn:\s*node\s+(\S+)\s+(".*")')
_MARK: Final = re.compile(rf"(?:({_FLOAT}) S)?(?:, )?(fixed)?")
_PRINTED: Final = re.compile(r"\bv\(\s*([^\s(),]+)\s*\)")
_PRINTED_NO_NODE: Final = re.compile(r"\bi\([^()]*\)|@\S+|\ball\b")
_ALLOWED: Final = (
    "allowed are R elements, DC sources V and I to ground, .print, .save, .probe, .op, .options, .control "
    "blocks and .end"
)


class Resistor(NamedTuple):
    """One R element between two nodes; a fixed one is no edge that learns."""

    a: str
    b: str
    siemens: float
    fixed: bool


@dataclass
class Cards:
    """What the cards of a netlist say, gathered one after the other; nodes are lower case, ground is ``0``.

    Attributes
    ----------
    title : str
        The first line.
    names : dict
        Node -> the name that a comment gives it; in the order of the comments.
    resistors : list of Resistor
        In the order of the netlist.
    volts, amperes : dict
        Node -> volts of its source to ground, amperes pushed into it.
    printed : list of str
        Nodes that are printed, saved or probed.
    lines : dict
        (``"names"``, ``"volts"``, ``"amperes"`` or ``"printed"``, node) -> the last line that said so.
    """

    title: str = ""
    names: dict[str, str] = field(default_factory=dict)
    resistors: list[Resistor] = field(default_factory=list)
    volts: dict[str, float] = field(default_factory=dict)
    amperes: dict[str, float] = field(default_factory=dict)
    printed: list[str] = field(default_factory=list)
    lines: dict[tuple[str, str], int] = field(default_factory=dict)
    _elements: dict[str, int] = field(default_factory=dict)

    def read(self, text: str) -> None:
        """Take in a whole netlist.

        Raises
        ------
        TopologyError
            If a line is no part of a resistor network; the line is named.
        CircuitError
            If a value cannot be read or a resistance is not positive; the line is named.
        """
        first, _, rest = text.partition("\n")
        check_title(first)
        self.title = first.strip()
        control = 0
        for card in _joined(self._uncommented(rest)):
            word = card.words[0]
            if control:
                control = 0 if word == ".endc" else control
            elif word == ".end":
                return
            elif word == ".control":
                control = card.line
            else:
                try:
                    self._take(card)
                except (TopologyError, CircuitError) as error:
                    raise type(error)(f"line {card.line}: {error}") from None
        if control:
            raise TopologyError(f"line {control}: .control without .endc")

    def _uncommented(self, text: str) -> Iterator[_Card]:
        for line, raw in enumerate(text.splitlines(), start=2):
            written = raw.strip()
            if written.startswith("*"):
                self._take_name(line, written)
                continue
            text, *comment = _COMMENT.split(written, maxsplit=1)
            if text.strip():
                yield _Card(line, text.strip().lower(), comment[0].strip() if comment else "")

    def _take_name(self, line: int, comment: str) -> None:
        if match := _NODE_NAME.fullmatch(comment):
            node = _node(match[1].lower())
            try:
                self.names[node] = json.loads(match[2])
            except json.JSONDecodeError:
                raise TopologyError(f"line {line}: {match[2]} is no quoted node name") from None
            self.lines["names", node] = line

    def _take(self, card: _Card) -> None:
        word = card.words[0]
        if word.startswith("."):
            take = _DOT_CARDS.get(word)
        else:
            take = _ELEMENTS.get(word[0])
            if word in self._elements:
                raise TopologyError(f"{word!r} is already on line {self._elements[word]}; names are used once")
            self._elements[word] = card.line
        if take is None:
            raise TopologyError(f"{card.text!r} is no part of a resistor network; {_ALLOWED}")
        take(self, card)

    def _resistor(self, card: _Card) -> None:
        rest = card.words[1:]
        if len(rest) == 4 and rest[2] in ("r", "resistance"):
            del rest[2]
        if len(rest) != 3:
            raise TopologyError(f"{card.text!r} is not of the form 'Rname node node ohms'")
        a, b, ohms = _node(rest[0]), _node(rest[1]), _value(rest[2], "ohm")
        if a == b:
            raise TopologyError(f"{card.text!r} is a self-loop at node {a}")
        if not (ohms > 0 and 0 < 1 / ohms < np.inf):
            raise CircuitError(f"{card.text!r} has {ohms:g} ohm; a resistance must be positive and finite")
        siemens, mark = 1 / ohms, _MARK.fullmatch(card.comment)
        # the conductance in the comment counts while it is that of the value, which someone may have edited
        if mark and mark[1] and abs(float(mark[1]) * ohms - 1) < 4 * np.finfo(np.float64).eps:
            siemens = float(mark[1])
        self.resistors.append(Resistor(a, b, siemens, bool(mark and mark[2])))

    def _voltage(self, card: _Card) -> None:
        node, value = _source_to_ground(card, "V")
        if node in self.volts:
            raise TopologyError(f"{card.text!r} drives node {node}, which another source drives already")
        self.volts[node] = value
        self.lines["volts", node] = card.line

    def _current(self, card: _Card) -> None:
        # a SPICE current source takes its current out of its first node and into its second
        node, value = _source_to_ground(card, "A")
        self.amperes[node] = self.amperes.get(node, 0.0) - value
        self.lines["amperes", node] = card.line

    def _print(self, card: _Card) -> None:
        text = " ".join(card.text.split()[1:])
        if card.words[0] == ".print":
            text = re.sub(r"^(op|dc)\b", "", text)
        left = _PRINTED_NO_NODE.sub("", _PRINTED.sub("", text)).strip()
        if left:
            raise TopologyError(f"{left!r} in {card.text!r} is no node; write v(node) for each output")
        for name in _PRINTED.findall(text):
            node = _node(name)
            self.lines["printed", node] = card.line
            if node not in self.printed:
                self.printed.append(node)

    def _ignore(self, card: _Card) -> None:
        """Leave it to the simulator: it says how to solve, not what."""


class _Card(NamedTuple):
    line: int
    text: str
    comment: str

    @property
    def words(self) -> list[str]:
        return self.text.replace("=", " ").split()


_ELEMENTS: Final[dict[str, Callable[[Cards, _Card], None]]] = {
    "r": Cards._resistor,
    "v": Cards._voltage,
    "i": Cards._current,
}
_DOT_CARDS: Final[dict[str, Callable[[Cards, _Card], None]]] = {
    ".print": Cards._print,
    ".save": Cards._print,
    ".probe": Cards._print,
    ".op": Cards._ignore,
    ".option": Cards._ignore,
    ".options": Cards._ignore,
}


def check_title(title: str) -> None:
    """Refuse a title that reads as a card: SPICE would drop that card without a word.

    Raises
    ------
    TopologyError
        If it does.
    """
    text = _COMMENT.split(title, maxsplit=1)[0].strip().lower()
    if not text or text.startswith("*"):
        return
    try:
        Cards()._take(_Card(1, text, ""))
    except (TopologyError, CircuitError):
        return
    raise TopologyError(
        f"line 1: {title.strip()!r} reads as a card, but SPICE takes the first line for the title; "
        "put a title above it"
    )


def _joined(cards: Iterator[_Card]) -> Iterator[_Card]:
    """Join each continuation line to the card before it."""
    last: _Card | None = None
    for card in cards:
        if not card.text.startswith("+"):
            if last is not None:
                yield last
            last = card
        elif last is None:
            raise TopologyError(f"line {card.line}: '+' continues a line, but no line comes before it")
        else:
            last = _Card(last.line, f"{last.text} {card.text[1:].strip()}", card.comment or last.comment)
    if last is not None:
        yield last


def _node(name: str) -> str:
    return GROUND if name == "gnd" else name


def _source_to_ground(card: _Card, unit: str) -> tuple[str, float]:
    """Return the live node and the value, counted from the live node to ground."""
    rest = card.words[1:]
    if len(rest) == 4 and rest[2] == "dc":
        del rest[2]
    if len(rest) != 3:
        raise TopologyError(f"{card.text!r} is not of the form '{unit[0]}name node 0 DC value'")
    a, b, value = _node(rest[0]), _node(rest[1]), _value(rest[2], unit)
    if (a == GROUND) == (b == GROUND):
        raise TopologyError(f"{card.text!r} must join a node to ground (node 0); sources between nodes cannot be")
    return (a, value) if b == GROUND else (b, -value)


def _value(text: str, unit: str) -> float:
    match = _VALUE.fullmatch(text)
    if match:
        for prefix, power in _POWERS.items():
            if match[2].startswith(prefix) and match[2].removeprefix(prefix) in _UNITS[unit]:
                mantissa, _, exponent = match[1].partition("e")
                return float(f"{mantissa}e{int(exponent or 0) + power}")  # rounded once: 4.7k is 4700.0
    raise CircuitError(
        f"{text!r} is no value in {unit}; write a number with a suffix f p n u m k meg g t or none (m is milli)"
    )
