"""The cards of a SPICE netlist that make a resistor network; others are ignored with a note, or refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from hwlearn.circuit.spice.lines import Card, CardBlock, blocks, check_title, joined, uncommented
from hwlearn.circuit.spice.values import FLOAT, remark, value_of
from hwlearn.errors import CircuitError, TopologyError
from hwlearn.storage.text_file import visible

GROUND: Final = "0"

_NODE_NAME: Final = re.compile(r'\*\s*hwlearn:\s*node\s+(\S+)\s+(".*")')
_MARK: Final = re.compile(rf"(?:({FLOAT}) S)?(?:, )?(fixed)?", re.IGNORECASE)
_PRINTED: Final = re.compile(r"\bv\(\s*([^\s(),]+(?:\([^\s()]*\)[^\s(),]*)*)\s*\)")
_PRINTED_NO_NODE: Final = re.compile(r"\b[ip]\([^()]*\)|@\S+|\ball[iv]?\b|\bally\b")
_SETTING: Final = re.compile(r"([a-z]\w*)\s*=\s*(\S+)")
_PARAMETER: Final = re.compile(r"([a-z_]\w*)\s*=\s*(\{[^}]*\}|'[^']*'|[^\s,]+)[\s,]*")
_WAVE: Final = re.compile(r"(?:sin|pulse|exp|pwl|sffm|am|trnoise|trrandom|external)\b")
_ALLOWED: Final = (
    "allowed are R elements, DC sources V and I to ground, .print, .save, .probe, .op, .options, .param, .control "
    "blocks and .end"
)
_NOTED: Final = {
    **dict.fromkeys(
        (".tran", ".dc", ".ac", ".noise", ".tf", ".sens", ".pz", ".disto", ".four", ".fft", ".step", ".sp"),
        "only the operating point is computed, with the values on the cards",
    ),
    **dict.fromkeys((".temp",), "resistances do not depend on temperature here"),
    **dict.fromkeys((".ic", ".nodeset"), "the solution of a resistor network needs no start"),
    **dict.fromkeys((".meas", ".measure", ".wave", ".width"), "results are read from node voltages"),
    **dict.fromkeys((".model", ".lib", ".endl", ".ends", ".func"), "no element here uses models or functions"),
    **dict.fromkeys((".backanno", ".global", ".title"), "it does not change the circuit"),
}
_HARMLESS: Final = frozenset({"set", "run", "op", "write", "quit", "exit", "echo", "display", "listing"})
_IGNORED_SETTINGS: Final = frozenset({"noisy", "noise", "tol", "pwr", "mfg", "temp", "dtemp", "ac"})
_NEUTRAL_SETTINGS: Final = {"tc": 0.0, "tc1": 0.0, "tc2": 0.0, "m": 1.0, "scale": 1.0, "rser": 0.0, "cpar": 0.0}


class Resistor(NamedTuple):
    """One R element between two nodes; a fixed one is not programmable."""

    a: str
    b: str
    siemens: float
    fixed: bool
    line: int


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
    joined : dict
        Node -> the node that an ammeter (a source of 0 V) makes it part of.
    lines : dict
        (``"names"``, ``"volts"``, ``"amperes"`` or ``"printed"``, node) -> the last line with that entry.
    notes : list of str
        What was ignored, or is read in another way by other programs, with its line.
    """

    title: str = ""
    names: dict[str, str] = field(default_factory=dict)
    resistors: list[Resistor] = field(default_factory=list)
    volts: dict[str, float] = field(default_factory=dict)
    amperes: dict[str, float] = field(default_factory=dict)
    printed: list[str] = field(default_factory=list)
    joined: dict[str, str] = field(default_factory=dict)
    lines: dict[tuple[str, str], int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _elements: dict[str, int] = field(default_factory=dict)
    _parameters: dict[str, str] = field(default_factory=dict)

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
        parts = list(blocks(joined(self._uncommented(rest))))
        for part in parts:
            if isinstance(part, Card) and part.words[0] in (".param", ".params"):
                self._at(part, self._parameter)
        for part in parts:
            if isinstance(part, CardBlock):
                self._block(part)
            else:
                self._at(part, self.take)
        self._check_spellings()

    def _at(self, card: Card, action: Callable[[Card], None]) -> None:
        try:
            action(card)
        except (TopologyError, CircuitError) as error:
            raise type(error)(f"line {card.line}: {error}") from None

    def _uncommented(self, text: str) -> Iterator[Card]:
        for line, raw in enumerate(text.split("\n"), start=2):
            written = raw.strip()
            if written.startswith("*"):
                self._take_name(line, written)
            elif (card := uncommented(line, written)) is not None:
                yield card

    def _take_name(self, line: int, comment: str) -> None:
        if match := _NODE_NAME.fullmatch(comment):
            try:
                node = _node(match[1].lower())
                self.names[node] = json.loads(match[2])
            except (TopologyError, json.JSONDecodeError):
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
            case ".print" | ".save" | ".probe" | ".plot":
                self._print(card)
            case ".op" | ".option" | ".options" | ".param" | ".params" | ".end":
                pass  # how to solve the circuit, or read before
            case _ if word in _NOTED:
                self._note(card, f"{card.text!r} is ignored: {_NOTED[word]}")
            case _:
                raise TopologyError(f"{card.text!r} is not part of a resistor network; {_ALLOWED}")

    def _note(self, card: Card, text: str) -> None:
        self.notes.append(f"line {card.line}: {text}")

    def _parameter(self, card: Card) -> None:
        text = card.text.partition(" ")[2].strip()
        if not text or _PARAMETER.sub("", text):
            raise TopologyError(f"{card.text!r} is not of the form '.param name=value'")
        for name, value in _PARAMETER.findall(text):
            if name in self._parameters:
                raise TopologyError(f"the parameter {name!r} is given twice; it is used once")
            self._parameters[name] = value.strip("{}' ")

    def _block(self, block: CardBlock) -> None:
        """Note what a block would do; ``print v(node)`` in a ``.control`` block names outputs."""
        if block.first.words[0] == ".subckt":
            self._note(block.first, f"{block.first.text!r} is ignored: no element here is a subcircuit")
            return
        for card in block.cards:
            word = card.words[0]
            if word == "print" and not _PRINTED.sub("", card.text.partition(" ")[2]).strip():
                self._print(card)
            elif word not in _HARMLESS:
                self._note(card, f"{card.text!r} in .control is not executed")

    def _resistor(self, card: Card) -> None:
        rest, settings = _settings(card)
        if "r" in settings or "resistance" in settings:
            rest.append(settings.pop("r", "") or settings.pop("resistance", ""))
        elif len(rest) == 4 and rest[2] in ("r", "resistance"):
            del rest[2]
        if len(rest) != 3:
            raise TopologyError(f"{card.text!r} is not of the form 'Rname node node ohms'")
        self._check_settings(card, settings, "'Rname node node ohms'")
        a, b, ohms = _node(rest[0]), _node(rest[1]), self._value(card, rest[2], "ohm")
        if a == b:
            raise TopologyError(f"{card.text!r} is a self-loop at node {a}")
        if not (ohms > 0 and 0 < 1 / ohms < np.inf):
            raise CircuitError(f"{card.text!r} has {ohms:g} ohm; a resistance must be positive and finite")
        siemens, mark = 1 / ohms, _MARK.fullmatch(card.comment)
        # the exact conductance in the comment is used unless the resistance was edited
        if mark and mark[1] and abs(float(mark[1]) * ohms - 1) < 4 * np.finfo(np.float64).eps:
            siemens = float(mark[1])
        self.resistors.append(Resistor(a, b, siemens, bool(mark and mark[2]), card.line))

    def _check_settings(self, card: Card, settings: dict[str, str], form: str) -> None:
        """Refuse settings that change an element; note those that do not."""
        for name, text in settings.items():
            if name in _NEUTRAL_SETTINGS:
                try:
                    neutral = value_of(text, "V", self._parameters) == _NEUTRAL_SETTINGS[name]
                except CircuitError:
                    neutral = False
                if not neutral:
                    raise TopologyError(
                        f"{card.text!r} is not of the form {form}: {name} = {text} would change the element, and "
                        f"only {name} = {_NEUTRAL_SETTINGS[name]:g} is read"
                    )
            elif name in _IGNORED_SETTINGS:
                self._note(card, f"{name} = {text} is ignored: it does not change the operating point")
            else:
                raise TopologyError(f"{card.text!r} is not of the form {form}: {name!r} is not known")

    def _voltage(self, card: Card) -> None:
        a, b, value = self._source(card, "V")
        if GROUND not in (a, b) and a != b and value == 0:
            self._join(card, a, b)
            return
        node, value = _to_ground(card, a, b, value)
        if node in self.volts:
            raise TopologyError(f"{card.text!r} drives node {node}, which already has a source")
        self.volts[node] = value
        self.lines["volts", node] = card.line

    def _current(self, card: Card) -> None:
        # a SPICE current source draws its current from its first node and pushes it into its second
        node, value = _to_ground(card, *self._source(card, "A"))
        self.amperes[node] = self.amperes.get(node, 0.0) - value
        self.lines["amperes", node] = card.line

    def _source(self, card: Card, unit: str) -> tuple[str, str, float]:
        """Return the nodes of a source and its DC value."""
        form = f"'{card.text[0].upper()}name node 0 DC value'"
        rest, settings = _settings(card)
        if "dc" in settings:
            rest[2:2] = ["dc", settings.pop("dc")]
        self._check_settings(card, settings, form)
        given = rest[2:]
        if given[:1] == ["dc"]:
            del given[0]
        if len(rest) < 3 or not given or given[0] == "ac" or _WAVE.match(given[0]):
            raise TopologyError(f"{card.text!r} is not of the form {form}: it has no DC value")
        value, more = self._value(card, given[0], unit), given[1:]
        if more and not (more[0] == "ac" or _WAVE.match(more[0])):
            raise TopologyError(f"{card.text!r} is not of the form {form}: {more[0]!r} is not known")
        if more:
            self._note(card, f"{' '.join(more)!r} is ignored: only the DC value is used")
        return _node(rest[0]), _node(rest[1]), value

    def _value(self, card: Card, text: str, unit: str) -> float:
        value = value_of(text, unit, self._parameters)
        note = remark(text, unit)
        if note is not None:
            self._note(card, note)
        return value

    def _print(self, card: Card) -> None:
        text = " ".join(card.text.split()[1:])
        if card.words[0] in (".print", ".plot"):
            text = re.sub(r"^(op|dc|tran)\b", "", text)
        if card.words[0] == ".plot":
            text = re.sub(r"(?<=[\s)])\([^a-z()]*\)", "", text)  # the range of an axis
        left = _PRINTED_NO_NODE.sub("", _PRINTED.sub("", text)).strip()
        if left:
            raise TopologyError(f"{left!r} in {card.text!r} is not a node; write v(node) for each output")
        for name in _PRINTED.findall(text):
            node = _node(name)
            self.lines["printed", node] = card.line
            if node not in self.printed:
                self.printed.append(node)

    # --- ammeters, spellings ------------------------------------------------------------------------

    def _join(self, card: Card, a: str, b: str) -> None:
        """Make two nodes one: a source of 0 V between them is an ammeter."""
        self._note(card, f"{card.text!r} is an ammeter: {a} and {b} are one node")
        kept, other = self.node(a), self.node(b)
        if kept != other:
            self.joined[other] = kept

    def node(self, name: str) -> str:
        """Return the node that a node is part of, itself unless an ammeter joins them."""
        while name in self.joined:
            name = self.joined[name]
        return name

    def without_ammeters(self) -> None:
        """Replace every node by the one that it is part of.

        Raises
        ------
        TopologyError
            If an ammeter is in parallel with a resistor, or connects two sources; the line is named.
        """
        if not self.joined:
            return
        for k, r in enumerate(self.resistors):
            a, b = self.node(r.a), self.node(r.b)
            if a == b:
                raise TopologyError(f"line {r.line}: an ammeter (a source of 0 V) short-circuits this resistor")
            self.resistors[k] = Resistor(a, b, r.siemens, r.fixed, r.line)
        for node in list(self.volts):
            kept = self.node(node)
            if kept != node and kept in self.volts:
                line = self.lines["volts", node]
                raise TopologyError(f"line {line}: drives node {kept}, which already has a source")
            self.volts[kept] = self.volts.pop(node)
        for node in list(self.amperes):
            value = self.amperes.pop(node)
            self.amperes[self.node(node)] = self.amperes.get(self.node(node), 0.0) + value
        self.printed = list(dict.fromkeys(map(self.node, self.printed)))
        for node in list(self.names):
            name = self.names.pop(node)
            self.names.setdefault(self.node(node), name)
        self.lines = {(kind, self.node(node)): line for (kind, node), line in self.lines.items()}

    def _check_spellings(self) -> None:
        """Refuse two nodes whose names look the same."""
        seen: dict[str, str] = {}
        for r in self.resistors:
            for node in (r.a, r.b):
                same = seen.setdefault(visible(node), node)
                if same != node:
                    raise TopologyError(
                        f"line {r.line}: the nodes {same!a} and {node!a} look the same; write the name in one way"
                    )


def _settings(card: Card) -> tuple[list[str], dict[str, str]]:
    """Return the words of an element without its name, and its settings ``name=value``."""
    text = card.text.partition(" ")[2] if " " in card.text else ""
    settings = dict(_SETTING.findall(text))
    return _SETTING.sub(" ", text).split(), settings


def _node(name: str) -> str:
    if name.count("(") != name.count(")") or "," in name:
        raise TopologyError(f"{name!r} is no name of a node; separate nodes by spaces, without brackets or commas")
    return GROUND if name == "gnd" else name


def _to_ground(card: Card, a: str, b: str, value: float) -> tuple[str, float]:
    """Return the node that is not ground, and the value counted from that node to ground."""
    if (a == GROUND) == (b == GROUND):
        raise TopologyError(
            f"{card.text!r} must connect a node to ground (node 0); sources between other nodes are not "
            "supported, except for ammeters of 0 V"
        )
    return (a, value) if b == GROUND else (b, -value)
