"""The lines of a netlist: title, comments, continuation lines, and the blocks ``.control`` and ``.subckt``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from hwlearn.errors import TopologyError

_COMMENT: Final = re.compile(r";|(?:^|(?<=\s))\$")
_NUMBER: Final = re.compile(r"[+-]?\.?\d|[{']|dc$|ac$|r$")
_PASSIVE: Final = re.compile(r"[rclvi]\w*", re.ASCII)
_OTHER: Final = re.compile(r"[abdefghjkmopqstuwxyz]\d\w*", re.ASCII)
_BLOCKS: Final = {".control": ".endc", ".subckt": ".ends"}


class Card(NamedTuple):
    """One line of a netlist with its continuation lines, in lower case."""

    line: int
    text: str
    comment: str

    @property
    def words(self) -> list[str]:
        """The words of the line; ``=`` separates words too."""
        return self.text.replace("=", " ").split() or [self.text]


class CardBlock(NamedTuple):
    """The cards of a ``.control`` or ``.subckt`` block, without its first and last."""

    first: Card
    cards: list[Card]


def check_title(title: str) -> None:
    """Refuse a title that looks like a card: SPICE would ignore that card without a message.

    Raises
    ------
    TopologyError
        If the title looks like a card.
    """
    if looks_like_card(title):
        raise TopologyError(
            f"line 1: {title.strip()!r} reads as a card, but the first line of a SPICE netlist is its title; "
            "put a title above it"
        )


def looks_like_card(title: str) -> bool:
    """Return whether the first line of a netlist has the form of a card, readable or not.

    Examples
    --------
    >>> looks_like_card("R1 a b 4x7"), looks_like_card("Q1 c b e npn"), looks_like_card("R1 is the load")
    (True, True, False)
    """
    words = _COMMENT.split(title, maxsplit=1)[0].strip().lower().replace("=", " ").split()
    if not words or words[0].startswith("*"):
        return False
    if words[0].startswith("."):
        return words[0] != ".title" and words[0] != "."
    if words[0].startswith("+"):
        return True
    if _PASSIVE.fullmatch(words[0]):
        named = any(c.isdigit() for c in words[0])
        numbered = any(node.isdigit() or node == "gnd" for node in words[1:3])
        if len(words) >= 4:
            short = words[0][0] in "rvi" and (len(words[0]) <= 5 or numbered)
            return _NUMBER.match(words[3]) is not None and (named or short)
        return len(words) == 3 and named and numbered  # a source may have no value: v1 in 0
    return len(words) >= 4 and _OTHER.fullmatch(words[0]) is not None


def uncommented(line: int, written: str) -> Card | None:
    """Return the card on a line without its comment; None if the line is empty."""
    text, *comment = _COMMENT.split(written, maxsplit=1)
    return Card(line, text.strip().lower(), comment[0].strip() if comment else "") if text.strip() else None


def joined(cards: Iterable[Card]) -> Iterator[Card]:
    """Append each continuation line to the card before it.

    Raises
    ------
    TopologyError
        If there is no card before a continuation line.
    """
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


def blocks(cards: Iterable[Card]) -> Iterator[Card | CardBlock]:
    """Yield cards, and whole blocks, up to ``.end``.

    Raises
    ------
    TopologyError
        If a block has no end.
    """
    open_block: CardBlock | None = None
    for card in cards:
        word = card.words[0]
        if open_block is not None:
            if word == _BLOCKS[open_block.first.words[0]]:
                yield open_block
                open_block = None
            else:
                open_block.cards.append(card)
        elif word in _BLOCKS:
            open_block = CardBlock(card, [])
        else:
            yield card
            if word == ".end":
                return
    if open_block is not None:
        first = open_block.first
        if first.words[0] == ".control":
            raise TopologyError(f"line {first.line}: .control without .endc")
        raise TopologyError(
            f"line {first.line}: {first.text!r} is not part of a resistor network: the block has no .ends"
        )
