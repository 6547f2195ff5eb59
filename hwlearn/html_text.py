"""Text as HTML: escaped texts, and tables with headings that a screen reader can follow."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Final

_BOX: Final = "font-family:sans-serif;line-height:1.4"
_CELL: Final = "text-align:left;vertical-align:top;padding:1px 12px 1px 0"


def escaped(value: object) -> str:
    """Return a value as text of an HTML element or attribute.

    Characters that cannot be printed become U+FFFD, among them those that change the direction of a text.

    Examples
    --------
    >>> escaped("<b>R&D</b>")
    '&lt;b&gt;R&amp;D&lt;/b&gt;'
    """
    text = "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in str(value))
    return html.escape(text, quote=True)


def fact_table(facts: Iterable[tuple[str, object]], caption: str = "") -> str:
    """Return a table of names and values; empty without facts."""
    rows = [f'<tr><th scope="row">{escaped(name)}</th><td>{escaped(value)}</td></tr>' for name, value in facts]
    return _table("facts", caption, "", rows)


def record_table(
    caption: str, header: Sequence[str], records: Iterable[Sequence[object]], numbers: Iterable[int] = ()
) -> str:
    """Return a table with a heading for each column; empty without records.

    Parameters
    ----------
    caption : str
    header : sequence of str
    records : iterable of sequence
        The first value of each names it.
    numbers : iterable of int
        Columns of numbers, which are aligned at the right.
    """
    right = set(numbers)

    def cell(k: int, value: object) -> str:
        kind = ' class="number"' if k in right else ""
        return f'<th scope="row"{kind}>{escaped(value)}</th>' if k == 0 else f"<td{kind}>{escaped(value)}</td>"

    rows = [f"<tr>{''.join(cell(k, value) for k, value in enumerate(record))}</tr>" for record in records]
    kinds = [' class="number"' if k in right else "" for k in range(len(header))]
    heads = "".join(
        f'<th scope="col"{kind}>{escaped(name)}</th>' for kind, name in zip(kinds, header, strict=True)
    )
    return _table("records", caption, f"<thead><tr>{heads}</tr></thead>", rows)


def object_box(title: str, facts: Iterable[tuple[str, object]]) -> str:
    """Return an object as a notebook shows it: a title and a table of its facts."""
    rows = "".join(
        f'<tr><th scope="row" style="{_CELL};font-weight:normal;opacity:.7">{escaped(name)}</th>'
        f'<td style="{_CELL}">{escaped(value)}</td></tr>'
        for name, value in facts
    )
    table = f'<table style="border-collapse:collapse">{rows}</table>' if rows else ""
    return f'<div style="{_BOX}"><strong>{escaped(title)}</strong>{table}</div>'


def _table(kind: str, caption: str, head: str, rows: Sequence[str]) -> str:
    if not rows:
        return ""
    named = f"<caption>{escaped(caption)}</caption>" if caption else ""
    # a table wider than a phone scrolls by itself
    return f'<div class="scroll"><table class="{kind}">{named}{head}<tbody>{"".join(rows)}</tbody></table></div>'
