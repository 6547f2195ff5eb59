"""Error messages of a table that breaks its schema: one line that names key, value and allowed values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from hwlearn.errors import closest
from hwlearn.quantities import Section
from hwlearn.storage.toml_text import toml_value

_LONG = 80  # characters of a value that is a table, from which only its key is named


def first_problem(error: ValidationError, model: type[BaseModel], table: Mapping[str, Any], section: str) -> str:
    """Return one line about the mistake that best explains the others.

    Parameters
    ----------
    error : ValidationError
        From the check of ``table`` against ``model``.
    model : type of BaseModel
        Schema of the table.
    table : mapping
        The table as written.
    section : str
        Name of the table in the bench file.
    """
    # an unknown key often explains a missing one
    problems = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
    top = problems[0]["loc"][:1]
    # of the alternatives of a union, the one that fits the value is refused at the deepest key
    paths = [(item, _written(item["loc"], table)) for item in problems if item["loc"][:1] == top]
    deepest = max(len(path) for _, path in paths)
    first, path = next((item, path) for item, path in paths if len(path) == deepest)
    key, value = _dotted(section, path), first.get("input")
    if first["type"] == "missing":
        return f"{key}.{first['loc'][-1]} is missing"
    if first["type"] == "extra_forbidden":
        known = _keys(model, path[:-1], table)
        hint = closest(str(path[-1]), known)
        return f"unknown key {key} = {value!r}{hint}; the keys are: {', '.join(known)}"
    allowed = "; or ".join(dict.fromkeys(_sentence(item["msg"]) for item, other in paths if other == path))
    checked_as_a_whole = first["type"] == "value_error" and isinstance(value, Mapping)
    if not path or (checked_as_a_whole and len(repr(value)) > _LONG):
        return f"{key}: {allowed}"
    return f"{key} = {value!r}: {allowed}{_quoted(key, path, value, [item['type'] for item, _ in paths])}"


def _quoted(key: str, path: Sequence[int | str], value: object, kinds: Sequence[str]) -> str:
    """Return how to write a number or truth value where text is wanted, such as the model 2400."""
    if "string_type" not in kinds or not isinstance(value, int | float) or isinstance(path[-1], int):
        return ""
    text = toml_value(toml_value(value))
    return f": {path[-1]} = {text}, or --set '{key}={text}'"


def _written(location: Sequence[int | str], table: Mapping[str, Any]) -> tuple[int | str, ...]:
    """Return the keys and list positions of a location without the names that pydantic gives to alternatives."""
    path: list[int | str] = []
    value: Any = table
    for part in location:
        inside = isinstance(value, Mapping) and part in value
        if inside or (isinstance(value, list | tuple) and isinstance(part, int) and part < len(value)):
            path.append(part)
            value = value[part]
    return tuple(path)


def _dotted(section: str, path: Sequence[int | str]) -> str:
    return section + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


def _keys(model: type[BaseModel], path: Sequence[int | str], table: Any) -> list[str]:
    """Return the keys that the table at a path may have; alternatives of another ``kind`` are left out."""
    models, value = [model], table
    for part in path:
        value = value[part]
        if isinstance(part, str):
            annotations = [m.model_fields[part].annotation for m in models if part in m.model_fields]
            models = [inner for annotation in annotations for inner in _models(annotation)]
    models = [m.variant(value) if issubclass(m, Section) else m for m in models]
    kind = value.get("kind")
    fitting = [m for m in models if kind in _kinds(m)] or models
    return list(dict.fromkeys(field.alias or name for m in fitting for name, field in m.model_fields.items()))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Return the models in an annotation such as ``tuple[ChannelSettings, ...] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()


def _sentence(message: str) -> str:
    message = message.removeprefix("Value error, ")
    if message.startswith("Input should be a valid dictionary"):  # "... or instance of" a class that no file names
        return "input should be a table"
    if message == "Input should be a valid string":
        return "input should be text in quotes"
    return message[:1].lower() + message[1:]
