"""Tables of a bench file that give the spreads and the write noise of devices by name."""

from __future__ import annotations

from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, WithJsonSchema, model_validator

from hwlearn.quantities import NonNegative, NonNegativeVolts, Section


def _relative(value: Any) -> Any:
    """Return text such as ``"0.5 %"`` as a fraction."""
    if not isinstance(value, str):
        return value
    number, percent, rest = value.partition("%")
    try:
        if percent and not rest.strip():
            return float(number) / 100
    except ValueError:
        pass
    raise ValueError(f"{value!r} is no percentage such as '0.5 %'")


_SCHEMA: Final = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"%\s*$"}]}

Relative = Annotated[NonNegative, BeforeValidator(_relative), WithJsonSchema(_SCHEMA)]
"""A fraction, or text such as ``"0.5 %"``."""


class NamedValues(Section):
    """A table of which at least one key is given."""

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError(f"the table is empty; its keys are: {', '.join(type(self).model_fields)}")
        return self


class DeviceSpreads(NamedValues):
    """``device_spread = { vto = "10 mV", kp = "0.5 %" }``: spreads by name; see `Imperfections`."""

    conductance: Relative = 0.0
    vto: NonNegativeVolts = 0.0
    kp: Relative = 0.0


class WriteNoises(NamedValues):
    """``write_noise = { conductance = "1 %", gate_voltage = "1 mV" }``; see `Imperfections`."""

    conductance: Relative = 0.0
    gate_voltage: NonNegativeVolts = 0.0


def by_name(given: float | Section) -> float | dict[str, float]:
    """Return spreads or noises by the names of `Imperfections`; those that are zero are left out."""
    if not isinstance(given, Section):
        return given
    return {name.replace("_", " "): value for name, value in given.model_dump().items() if value}
