"""Strict base class of all settings tables, and field types for quantities with units.

Core, drivers and simulators check their tables with these types, so that every backend refuses the same mistakes:
``true`` for 1, ``"2"`` for 2, infinity, NaN and unknown keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from hwlearn.units import parse_quantity


class Section(BaseModel):
    """Base class of a settings table: frozen, strict types, finite numbers, no unknown keys."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def variant(cls, table: Mapping[str, Any]) -> type[Section]:
        """Return the class that checks a table, where the keys depend on one of them; usually this class."""
        return cls


@dataclass(frozen=True)
class Quantity:
    """A pydantic annotation that reads text such as ``"50 us"``, or a number, as a float in ``unit``."""

    unit: str

    def _read(self, value: Any) -> Any:
        # other types are refused by the field itself
        return parse_quantity(value, self.unit) if isinstance(value, str | int | float) else value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        # the text's number and unit are checked when the file is read
        return {"anyOf": [handler(schema), {"type": "string", "pattern": r"^\s*[-+.\d]"}]}


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _as_path(value: Any) -> Any:
    return Path(value) if isinstance(value, str) else value


Volts = Annotated[float, Quantity("V")]
Amperes = Annotated[float, Quantity("A")]
Siemens = Annotated[float, Quantity("S")]
Ohms = Annotated[float, Quantity("ohm")]
Seconds = Annotated[float, Quantity("s")]

NonNegativeVolts = Annotated[Volts, Field(ge=0)]
NonNegativeAmperes = Annotated[Amperes, Field(ge=0)]
NonNegativeOhms = Annotated[Ohms, Field(ge=0)]
NonNegativeSeconds = Annotated[Seconds, Field(ge=0)]
PositiveVolts = Annotated[Volts, Field(gt=0)]
PositiveAmperes = Annotated[Amperes, Field(gt=0)]
PositiveSiemens = Annotated[Siemens, Field(gt=0)]
PositiveOhms = Annotated[Ohms, Field(gt=0)]
PositiveSeconds = Annotated[Seconds, Field(gt=0)]

Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]

FROM_LIST = BeforeValidator(_as_tuple)
"""Validator for a tuple that TOML writes as an array: ``Annotated[tuple[int, ...], FROM_LIST]``."""

FilePath = Annotated[Path, BeforeValidator(_as_path)]
"""A path that TOML writes as text."""
