"""What differs between the definition that a table was begun with and that of a later call."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from hwlearn.errors import SetupError
from hwlearn.storage.toml_text import toml_tables

SETTINGS: Final = "settings"
"""Entry of a definition that is a bench file as TOML; it is compared key by key."""

_MOST_NAMED: Final = 4
_MOST_SHOWN: Final = 60
_BEFORE: Final = 12
"""Characters that are shown before the first one that differs, of values that begin alike."""


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Return the entries that differ, with both values; an empty text if the definitions mean the same.

    Examples
    --------
    >>> differences({"settings": "[train]\\nrate = 0.1"}, {"settings": "[train]\\nrate = 0.2"})
    'train.rate was 0.1, is now 0.2'
    >>> differences({"seeds": [0, 1]}, {"seeds": None})
    'seeds was [0, 1], is now not set'
    """
    before, after = _entries(stored), _entries(wanted)
    changed = [key for key in dict.fromkeys([*before, *after]) if _differ(before.get(key), after.get(key))]
    named = [_change(key, before.get(key), after.get(key)) for key in changed[:_MOST_NAMED]]
    return "; ".join([*named, *(["..."] if len(changed) > _MOST_NAMED else [])])


def _entries(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries by keys with dots; those of the settings as the bench file has them."""
    settings = definition.get(SETTINGS)
    if isinstance(settings, str):
        try:
            tables = toml_tables(settings)
        except SetupError:
            return dict(_flat(definition))
        rest = {key: value for key, value in definition.items() if key != SETTINGS}
        return dict(_flat(rest)) | dict(_flat(tables))
    return dict(_flat(definition))


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the entries of nested mappings by keys with dots."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(item, f"{prefix}.{key}" if prefix else str(key))
    elif prefix:
        yield prefix, value


def _differ(before: Any, after: Any) -> bool:
    """Return whether values differ; two NaN do not."""
    return before != after and _json(before) != _json(after)


def _change(key: str, before: Any, after: Any) -> str:
    texts = _text(before), _text(after)
    if texts[0] == texts[1]:  # the text "true" and the truth value
        texts = _json(before), _json(after)
    start = 0
    if texts[0][:_MOST_SHOWN] == texts[1][:_MOST_SHOWN]:
        alike = next((k for k, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), min(map(len, texts)))
        start = max(alike - _BEFORE, 0)
    was, is_now = (_part(text, start) for text in texts)
    return f"{key} was {was}, is now {is_now}"


def _text(value: Any) -> str:
    """Return a value in one line."""
    if value is None:
        return "not set"
    return " ".join((value if isinstance(value, str) else _json(value)).split())


def _json(value: Any) -> str:
    return json.dumps(value, default=str)  # TOML has dates too


def _part(text: str, start: int) -> str:
    """Return so much of a text as a message has room for."""
    end = len(text) if len(text) - start <= _MOST_SHOWN else start + _MOST_SHOWN - 4
    return f"{'... ' if start else ''}{text[start:end]}{' ...' if end < len(text) else ''}"
