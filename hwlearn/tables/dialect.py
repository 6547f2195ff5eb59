"""Dialects of tables: delimiter, decimal character, header; what is stated, and what was used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

WHITESPACE: Final = " "
"""Delimiter of columns that spaces or tabs separate; it must be stated."""

DELIMITERS: Final = (",", ";", "\t")
"""Delimiters that are detected."""

NAMES: Final = {",": "commas", ";": "semicolons", "\t": "tabs", WHITESPACE: "whitespace"}


@dataclass(frozen=True, slots=True)
class Stated:
    """What a person states about a table; None is detected, or refused where it is ambiguous.

    Attributes
    ----------
    header : bool, optional
        Whether the first row names the columns.
    delimiter : str, optional
        ``","``, ``";"``, a tab, or a space for any whitespace.
    decimal : str, optional
        ``"."`` or ``","``.
    keys : str
        What stands before the names of these settings in errors, such as ``"data."``; without it, errors advise
        to save the file in another form.
    """

    header: bool | None = None
    delimiter: str | None = None
    decimal: str | None = None
    keys: str = ""

    def advice(self, key: str, values: str) -> str:
        """Return what to do where a setting is ambiguous."""
        return f"state {self.keys}{key} = {values}" if self.keys else f"save it with one {key}: {values}"


@dataclass(frozen=True, slots=True)
class Dialect:
    """The dialect with which a table was read.

    Attributes
    ----------
    delimiter, decimal : str
        As in `Stated`.
    header : bool
        Whether the first row names the columns.
    encoding : str
        ``"UTF-8"`` or ``"UTF-16"``.

    Examples
    --------
    >>> print(Dialect(";", ",", True, "UTF-8"))
    semicolons, decimal commas, a header, UTF-8
    """

    delimiter: str
    decimal: str
    header: bool
    encoding: str

    def __str__(self) -> str:
        decimal = "decimal points" if self.decimal == "." else "decimal commas"
        header = "a header" if self.header else "no header"
        return f"{NAMES[self.delimiter]}, {decimal}, {header}, {self.encoding}"
