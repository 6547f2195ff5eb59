"""JSON schema of bench files, made from the models that check them, for editors that complete and check TOML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from hwlearn.lab.bench.backends import backend_settings
from hwlearn.lab.bench_file.networks import NETWORKS
from hwlearn.lab.bench_file.sections import (
    CalibrationSection,
    DataSection,
    LimitsSection,
    RunSection,
    SafetySection,
    TrainSection,
)

SECTIONS: Final[Mapping[str, type[BaseModel]]] = {
    "limits": LimitsSection,
    "data": DataSection,
    "train": TrainSection,
    "calibration": CalibrationSection,
    "run": RunSection,
    "safety": SafetySection,
}
REQUIRED: Final = ["network", "limits", "backend", "data"]
BOUNDS: Final = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}


def bench_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of bench files with the backends that are installed here.

    It is wider than the checks of `hwlearn.open_bench`: relations between keys, and units in texts, are checked
    only there.
    """
    settings = backend_settings()
    models = dict.fromkeys([*SECTIONS.values(), *NETWORKS.values(), *settings.values()])
    references, shared = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/$defs/{model}"
    )
    of = {model: reference["$ref"] for (model, _), reference in references.items()}
    definitions = _standard(shared["$defs"])
    for model in settings.values():  # `kind` chooses the backend and is not among its settings
        definitions[of[model].removeprefix("#/$defs/")].setdefault("properties", {})["kind"] = True
    tables: dict[str, Any] = {name: {"$ref": of[model]} for name, model in SECTIONS.items()}
    tables["network"] = _by_kind({kind: of[model] for kind, model in NETWORKS.items()})
    tables["backend"] = _by_kind({kind: of[model] for kind, model in settings.items()})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Bench file of hwlearn",
        "type": "object",
        "properties": tables,
        "required": REQUIRED,
        "additionalProperties": False,
        "$defs": definitions,
    }


def _by_kind(references: Mapping[str, str]) -> dict[str, Any]:
    """Return the schema of a table whose key ``kind`` chooses its other keys."""
    return {
        "type": "object",
        "properties": {"kind": {"enum": sorted(references)}},
        "required": ["kind"],
        "allOf": [
            {"if": {"properties": {"kind": {"const": kind}}}, "then": {"$ref": reference}}
            for kind, reference in references.items()
        ],
    }


def _standard(schema: Any) -> Any:
    """Return a schema in which the bounds of numbers have their standard names; pydantic keeps some of its own."""
    if isinstance(schema, list):
        return [_standard(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    names = BOUNDS if schema.get("type") in ("number", "integer") else {}
    return {names.get(key, key): _standard(value) for key, value in schema.items()}
