"""What was probably meant by a mistyped word."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


def closest(word: str, known: Sequence[str]) -> str:
    """Return ``", did you mean 'x'?"`` if a known word is close, else nothing.

    Examples
    --------
    >>> closest("volage", ["voltage", "current"])
    ", did you mean 'voltage'?"
    """
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f", did you mean {near[0]!r}?" if near else ""
