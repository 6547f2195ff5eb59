"""Rewrite of the generic ``for`` of Lua 5.0, in which a table after ``in`` stands for its pairs.

Source: Lua 5.0 Reference Manual, section 2.4.5.
"""

from __future__ import annotations

import re
from typing import Final

_CANDIDATE: Final = re.compile(r"\bin\b(?!\s*i?pairs\b)")
_TOKEN: Final = re.compile(
    r"""--\[\[.*?\]\] | --[^\n]* | \[\[.*?\]\]
    | "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*'
    | (?P<word>[A-Za-z_]\w*) | .""",
    re.VERBOSE | re.DOTALL,
)
_HEAD: Final = "local __each = ... "


def with_pairs(source: str) -> str:
    """Return a chunk whose generic loops also take tables; line numbers stay as they are.

    The chunk gets, as its argument, the function that turns a table into an iterator.
    """
    if not _CANDIDATE.search(source):
        return source
    parts: list[str] = []
    depth, loops = 0, list[int]()
    for match in _TOKEN.finditer(source):
        word, text = match["word"], match[0]
        if word == "in":
            loops.append(depth)
            text = "in __each("
        elif word == "do":
            if loops and loops[-1] == depth:
                loops.pop()
                text = ") do"
            depth += 1
        elif word in ("function", "if", "repeat"):
            depth += 1
        elif word in ("end", "until"):
            depth -= 1
        parts.append(text)
    return _HEAD + "".join(parts)
