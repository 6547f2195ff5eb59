"""TOML text of tables, and tables of TOML text; parsing what was written gives exactly the same tables."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from numbers import Real
from typing import Any

from hwlearn.errors import SetupError


def toml_tables(text: str) -> dict[str, Any]:
    """Return the tables of TOML text.

    Raises
    ------
    SetupError
        If the text is not valid TOML, has a number with thousands of digits, or is nested too deeply.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise SetupError("arrays or tables are nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError is one; so is Python's refusal of very long numbers
        raise SetupError(str(error)) from None


def toml_text(tables: Mapping[str, Mapping[str, object]]) -> str:
    """Return tables of strings, numbers, booleans, lists and inline tables as TOML text.

    Numbers, booleans and arrays of NumPy are written as Python's own.

    Raises
    ------
    SetupError
        If TOML has no such type of value.

    Examples
    --------
    >>> print(toml_text({"train": {"rate": 0.05, "nudge": "clamp", "edges": [[0, 1]]}}))
    [train]
    rate = 0.05
    nudge = "clamp"
    edges = [[0, 1]]
    <BLANKLINE>
    """
    blocks = []
    for name, table in tables.items():
        lines = [f"{_key(key)} = {toml_value(value)}" for key, value in table.items()]
        blocks.append("\n".join([f"[{_key(name)}]", *lines]) + "\n")
    return "\n".join(blocks)


def _key(key: str) -> str:
    bare = key and all(c.isascii() and (c.isalnum() or c in "_-") for c in key)
    return key if bare else _text(key)


def toml_value(value: object) -> str:
    """Return one value as TOML text.

    Raises
    ------
    SetupError
        If TOML has no such type of value, or text has bytes that are no characters.

    Examples
    --------
    >>> toml_value("C:\\\\runs"), toml_value([1, True])
    ('"C:\\\\\\\\runs"', '[1, true]')
    """
    value = _own(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value))  # TOML spells inf and nan like Python
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(str(k))} = {toml_value(v)}" for k, v in value.items()) + "}"
    raise SetupError(f"{value!r} cannot be written as TOML")


def plain_value(value: object) -> object:
    """Return a value with all of NumPy in it, also in lists and tables, as Python's own numbers, texts and lists.

    Examples
    --------
    >>> import numpy as np
    >>> plain_value({"epochs": np.int64(3), "ranges": [np.float64(0.5), np.array([1, 2])]})
    {'epochs': 3, 'ranges': [0.5, [1, 2]]}
    """
    value = _own(value)
    if isinstance(value, Mapping):
        return {key: plain_value(item) for key, item in value.items()}
    return [plain_value(item) for item in value] if isinstance(value, list | tuple) else value


def _own(value: object) -> object:
    """Return a scalar or an array of NumPy, which is not imported here, as Python's own number or list."""
    listed = getattr(value, "tolist", None)
    if not callable(listed):
        return value
    found: object = listed()
    extended = isinstance(found, Real) and not isinstance(found, int | float)  # such as a long double
    return float(found) if extended else found  # type: ignore[arg-type]


def _text(value: str) -> str:
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise SetupError(f"{value!a} has bytes that are no characters, and cannot be written as TOML; rename it")
    # JSON and TOML escape alike, except for DEL and for characters beyond 16 bits, which are left unescaped
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
