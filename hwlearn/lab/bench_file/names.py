"""Names of bench files, which become part of names of run folders."""

from __future__ import annotations

import unicodedata
from typing import Final

from hwlearn.errors import SetupError

UNPRINTABLE: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories of control characters, line separators, and bytes that are no text."""


def check_name(name: str) -> None:
    """Refuse the name of a bench file if it has control characters.

    Raises
    ------
    SetupError
        If the name has a control character, a line separator, or bytes that are no text.
    """
    if any(unicodedata.category(character) in UNPRINTABLE for character in name):
        raise SetupError(
            f"the name of the bench file, {name!a}, has a control character; rename the file, because runs are "
            "named after it"
        )
