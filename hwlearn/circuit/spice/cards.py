"""The lines ("cards") of a SPICE netlist: continuation, comments, values, and the cards that are allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
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
    """One R element between two nodes; a fixed one is not programmable."""

    a: str
    b: str
    siemens: float
    fixed: bool


class Card(NamedTuple):
    """One line of a netlist with its continuation lines, in lower case."""

    line: int
    text: str
    comment: str

    @property
    def words(self) -> list[str]:
        """The words of the line; ``=`` separates words too."""
        return self.text.replace("=", " ").split() or [self.text]


@dataclass
class Cards:
    """Content of the cards of a netlist, read one after the other; nodes are lower case, ground is ``0``.

    Attributes
    ----------
    title : str
        The first line.
    names : dict
        Node -> its name in a comment, in the order of the comments.
    resistors : list of Resistor
        In the order of the netlist.
    volts, amperes : dict
        Node -> volts of its source to ground, amperes pushed into it.
    printed : list of str
        Nodes that are printed, saved or probed.
    lines : dict
        (``"names"``, ``"volts"``, ``"amperes"`` or ``"printed"``, node) -> the last line with that entry.
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
        """Read a whole netlist.

        Raises
        ------
        TopologyError
            If a line is not part of a resistor network; the line is named.
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
                    self.take(card)
                except (TopologyError, CircuitError) as error:
                    raise type(error)(f"line {card.line}: {error}") from None
        if control:
            raise TopologyError(f"line {control}: .control without .endc")

    def _uncommented(self, text: str) -> Iterator[Card]:
        for line, raw in enumerate(text.splitlines(), start=2):
            written = raw.strip()
            if written.startswith("*"):
                self._take_name(line, written)
                continue
            text, *comment = _COMMENT.split(written, maxsplit=1)
            if text.strip():
                yield Card(line, text.strip().lower(), comment[0].strip() if comment else "")

    def _take_name(self, line: int, comment: str) -> None:
        if match := _NODE_NAME.fullmatch(comment):
            node = _node(match[1].lower())
            try:
                self.names[node] = json.loads(match[2])
            except json.JSONDecodeError:
                raise TopologyError(f"line {line}: {match[2]} is not a quoted node name") from None
            self.lines["names", node] = line

    def take(self, card: Card) -> None:
        """Read one card.

        Raises
        ------
        TopologyError, CircuitError
            As `read`, without the line number.
        """
        word = card.words[0]
        if not word.startswith("."):
            if word in self._elements:
                raise TopologyError(f"{word!r} is already on line {self._elements[word]}; names are used once")
            self._elements[word] = card.line
        match word if word.startswith(".") else word[0]:
            case "r":
                self._resistor(card)
            case "v":
                self._voltage(card)
            case "i":
                self._current(card)
            case ".print" | ".save" | ".probe":
                self._print(card)
            case ".op" | ".option" | ".options":
                pass  # for the simulator: how to solve the circuit
            case _:
                raise TopologyError(f"{card.text!r} is not part of a resistor network; {_ALLOWED}")

    def _resistor(self, card: Card) -> None:
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
        # the exact conductance in the comment is used unless the resistance was edited
        if mark and mark[1] and abs(float(mark[1]) * ohms - 1) < 4 * np.finfo(np.float64).eps:
            siemens = float(mark[1])
        self.resistors.append(Resistor(a, b, siemens, bool(mark and mark[2])))

    def _voltage(self, card: Card) -> None:
        node, value = _source_to_ground(card, "V")
        if node in self.volts:
            raise TopologyError(f"{card.text!r} drives node {node}, which already has a source")
        self.volts[node] = value
        self.lines["volts", node] = card.line

    def _current(self, card: Card) -> None:
        # a SPICE current source draws its current from its first node and pushes it into its second
        node, value = _source_to_ground(card, "A")
        self.amperes[node] = self.amperes.get(node, 0.0) - value
        self.lines["amperes", node] = card.line

    def _print(self, card: Card) -> None:
        text = " ".join(card.text.split()[1:])
        if card.words[0] == ".print":
            text = re.sub(r"^(op|dc)\b", "", text)
        left = _PRINTED_NO_NODE.sub("", _PRINTED.sub("", text)).strip()
        if left:
            raise TopologyError(f"{left!r} in {card.text!r} is not a node; write v(node) for each output")
        for name in _PRINTED.findall(text):
            node = _node(name)
            self.lines["printed", node] = card.line
            if node not in self.printed:
                self.printed.append(node)


def check_title(title: str) -> None:
    """Refuse a title that reads as a card: SPICE would ignore that card without a message.

    Raises
    ------
    TopologyError
        If the title reads as a card.
    """
    text = _COMMENT.split(title, maxsplit=1)[0].strip().lower()
    if not text or text.startswith("*"):
        return
    try:
        Cards().take(Card(1, text, ""))
    except (TopologyError, CircuitError):
        return
    raise TopologyError(
        f"line 1: {title.strip()!r} reads as a card, but the first line of a SPICE netlist is its title; "
        "put a title above it"
    )


def _joined(cards: Iterator[Card]) -> Iterator[Card]:
    """Append each continuation line to the card before it."""
    last: Card | None = None
    for card in cards:
        if not card.text.startswith("+"):
            if last is not None:
                yield last
            last = card
        elif last is None:
            raise TopologyError(f"line {card.line}: '+' continues a line, but there is no line before it")
        else:
            last = Card(last.line, f"{last.text} {card.text[1:].strip()}", card.comment or last.comment)
    if last is not None:
        yield last


def _node(name: str) -> str:
    return GROUND if name == "gnd" else name


def _source_to_ground(card: Card, unit: str) -> tuple[str, float]:
    """Return the node that is not ground, and the value counted from that node to ground."""
    rest = card.words[1:]
    if len(rest) == 4 and rest[2] == "dc":
        del rest[2]
    if len(rest) != 3:
        raise TopologyError(f"{card.text!r} is not of the form '{unit[0]}name node 0 DC value'")
    a, b, value = _node(rest[0]), _node(rest[1]), _value(rest[2], unit)
    if (a == GROUND) == (b == GROUND):
        raise TopologyError(
            f"{card.text!r} must connect a node to ground (node 0); sources between other nodes are not supported"
        )
    return (a, value) if b == GROUND else (b, -value)


def _value(text: str, unit: str) -> float:
    match = _VALUE.fullmatch(text)
    if match:
        for prefix, power in _POWERS.items():
            if match[2].startswith(prefix) and match[2].removeprefix(prefix) in _UNITS[unit]:
                mantissa, _, exponent = match[1].partition("e")
                return float(f"{mantissa}e{int(exponent or 0) + power}")  # rounded once: 4.7k is 4700.0
    raise CircuitError(
        f"{text!r} is not a value in {unit}; write a number with a suffix f p n u m k meg g t or none (m is milli)"
    )
