"""Registry of the kinds of instruments that a bench may be made of: model -> class of its table.

To add one, derive a class from `hwlearn_drivers.roles.settings.InstrumentSettings` and add it to `KINDS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Discriminator, GetCoreSchemaHandler, GetJsonSchemaHandler, Tag
from pydantic_core import CoreSchema

from hwlearn.errors import SetupError, closest
from hwlearn_drivers.bench.edge_card import EdgeCardInstrument
from hwlearn_drivers.bench.smu import SmuInstrument
from hwlearn_drivers.daq.instrument import DaqInstrument
from hwlearn_drivers.declared.instrument import DeclaredInstrument
from hwlearn_drivers.matrix.instrument import MatrixInstrument
from hwlearn_drivers.roles.settings import InstrumentSettings
from hwlearn_drivers.scanner.instrument import ScannerInstrument

KINDS: Final[tuple[type[InstrumentSettings], ...]] = (
    DeclaredInstrument,
    SmuInstrument,
    EdgeCardInstrument,
    MatrixInstrument,
    DaqInstrument,
    ScannerInstrument,
)


def models() -> list[str]:
    """Return every model that a table may name."""
    return [model for kind in KINDS for model in kind.models()]


def kind_of(model: str) -> type[InstrumentSettings]:
    """Return the class of tables of a model.

    Raises
    ------
    SetupError
        If there is no driver for it.
    """
    wanted = model.strip().upper()
    for kind in KINDS:
        if wanted in {known.upper() for known in kind.models()}:
            return kind
    known = models()
    raise SetupError(
        f"there is no driver for model = {model!r}{closest(wanted, known)}; known: {', '.join(known)}"
    )


def _checked_model(table: Any) -> Any:
    """Refuse a table whose model is missing or unknown, before its other keys are looked at."""
    if isinstance(table, Mapping):
        model = table.get("model")
        if model is None:
            raise SetupError("model is missing; it says which keys the table has")
        if not isinstance(model, str):
            raise SetupError(f"model = {model!r} must be text in quotes: model = {str(model)!r}")
        kind_of(model)
    return table


def _tag(table: Any) -> str:
    """Return the name of the class that checks a table."""
    if isinstance(table, InstrumentSettings):
        return table.kind
    return kind_of(str(table["model"])).kind if isinstance(table, Mapping) else KINDS[0].kind


class _ByModel:
    """Checks a table with the class that its model names, so that errors name the keys of that class."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        members: list[Any] = [Annotated[kind, Tag(kind.kind)] for kind in KINDS]
        union: Any = reduce(or_, members)
        return handler.generate_schema(Annotated[union, Discriminator(_tag)])

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return a schema in which the model chooses the keys; models in small letters are not checked."""
        choices = handler(schema)["oneOf"]
        return {
            "type": "object",
            "required": ["name", "model"],
            "allOf": [
                {"if": {"properties": {"model": {"enum": sorted(kind.models())}}}, "then": choice}
                for kind, choice in zip(KINDS, choices, strict=True)
            ],
        }


InstrumentTable = Annotated[InstrumentSettings, _ByModel(), BeforeValidator(_checked_model)]
"""A table of ``[[backend.instruments]]``."""
