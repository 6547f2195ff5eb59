"""Tables written as TOML, so that reading them back gives exactly what was written."""

from __future__ import annotations

import json
from collections.abc import Mapping

from hwlearn.errors import SetupError


def toml_text(tables: Mapping[str, Mapping[str, object]]) -> str:
    """Return tables of strings, numbers, booleans, lists and inline tables as TOML text.

    Raises
    ------
    SetupError
        If a value is of a kind that TOML does not have.

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
        lines = [f"{_key(key)} = {_value(value)}" for key, value in table.items()]
        blocks.append("\n".join([f"[{_key(name)}]", *lines]) + "\n")
    return "\n".join(blocks)


def _key(key: str) -> str:
    bare = key and all(c.isascii() and (c.isalnum() or c in "_-") for c in key)
    return key if bare else _text(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)  # inf and nan are spelled alike in TOML
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(str(k))} = {_value(v)}" for k, v in value.items()) + "}"
    raise SetupError(f"{value!r} cannot be written as TOML")


def _text(value: str) -> str:
    # JSON's escapes are TOML's, but for DEL and for the pairs that JSON makes of characters beyond 16 bits
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
