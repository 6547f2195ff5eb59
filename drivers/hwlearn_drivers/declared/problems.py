"""One line about the first mistake in a declaration: file, line, table, key, value and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from hwlearn.errors import closest


def first_problem(
    error: ValidationError, text: str, name: str, tables: Mapping[str, Any], model: type[BaseModel]
) -> str:
    """Return one line about the first mistake; an unknown key often explains a missing one."""
    first = min(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
    path = [part for part in first["loc"] if isinstance(part, str) and re.fullmatch(r"[a-z_]+", part)]
    while path and not _is_in(path, tables) and first["type"] != "missing":
        path.pop()
    where = f"{name}, line {_line_of(text, path)}"
    key = ".".join(path)
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, path[:-1])
        kind = "table" if len(path) == 1 else "key"
        return f"{where}: unknown {kind} {key}{closest(path[-1], known)}; known: {', '.join(known)}"
    if first["type"] == "missing":
        return f"{where}: {key} is missing"
    message = first["msg"].removeprefix("Value error, ")
    inner = re.match(r"([a-z_]+) = ", message)
    if inner and _is_in([*path, inner[1]], tables):  # a check of the whole table names the key itself
        where = f"{name}, line {_line_of(text, [*path, inner[1]])}"
        return f"{where}: {'.'.join(path)}.{message}"
    value = first.get("input")
    shown = "" if isinstance(value, Mapping) or not path else f" = {value!r}"
    return f"{where}: {key}{shown}: {message}" if key else f"{name}: {message}"


def _is_in(path: Sequence[str], tables: Any) -> bool:
    for part in path:
        if not isinstance(tables, Mapping) or part not in tables:
            return False
        tables = tables[part]
    return True


def _known_keys(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Return the keys of the table at a path below the tables of ``model``."""
    for part in path:
        annotation = model.model_fields[part].annotation
        own = [one for one in (annotation, *get_args(annotation)) if _is_table(one)]
        model = own[0]
    return list(model.model_fields)


def _is_table(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _line_of(text: str, path: Sequence[str]) -> int:
    """Return the line of a key, of its table, or 1."""
    table, line, found = "", 1, 0
    for number, content in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*([\w.]+)\s*\]", content):
            table = header[1]
            if path and table == path[0]:
                line = number
        elif path and table == path[0] and len(path) > 1 and re.match(rf"\s*{re.escape(path[1])}\s*[=.]", content):
            found = number
    return found or line
