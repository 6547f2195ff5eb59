"""The table ``memristor`` of the backend ``sim``: the edges are memristive devices, programmed by pulses."""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from hwlearn.device_access import PulseLimits
from hwlearn.errors import UnitError
from hwlearn.quantities import (
    Count,
    NonNegative,
    NonNegativeSeconds,
    Positive,
    PositiveAmperes,
    PositiveSeconds,
    PositiveVolts,
    Seconds,
    Section,
    Share,
)
from hwlearn.units import parse_quantity
from hwlearn_sim.twin.memristive.devices import Memristors

_UNITS: Final = {"g": "S", "r": "ohm", "v": "V", "width": "s"}
_NAMES: Final = ("window", "resistance")
"""Parameters whose value is a name, not a quantity."""


def _law(value: object) -> object:
    """Return the parameters of a law with quantities such as ``g_min = "1 uS"`` as numbers."""
    if not isinstance(value, dict):
        return value

    def unit(name: str) -> str | None:
        return "V" if name.endswith(("_voltage", "_scale")) else _UNITS.get(name.split("_")[0])

    def number(name: str, item: object) -> object:
        if not isinstance(item, str) or name in _NAMES or not unit(name):
            return item
        try:
            return parse_quantity(item, unit(name) or "")
        except UnitError as error:
            raise UnitError(f"{name}: {error}") from None

    return {name: number(name, item) for name, item in value.items()}


_Width = Annotated[list[Seconds], Field(min_length=2, max_length=2)]


class MemristorSettings(Section):
    """Keys of the table ``memristor``; `Memristors` and `PulseLimits` describe them."""

    model: Literal["soft-bounds", "vteam"]
    law: Annotated[dict[str, float | int | str], BeforeValidator(_law)] = Field(default_factory=dict)
    device_spread: NonNegative = 0.0
    cycle_spread: NonNegative = 0.0
    read_noise: NonNegative = 0.0
    stuck_fraction: Share = 0.0
    endurance: Positive | None = None
    retention: PositiveSeconds | None = None
    read_width: NonNegativeSeconds = 0.0
    scheme: Literal["V/2", "V/3", "isolated"] = "isolated"
    pulse_voltage: PositiveVolts = 1.3
    pulse_current: PositiveAmperes = 1e-3
    pulse_width: _Width = Field(default_factory=lambda: [1e-6, 1e-4])
    pulses: Count = 1_000_000
    read_voltage: PositiveVolts = 0.2
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.01
    most_pulses: Count = 200

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self.memristors()
        return self

    def memristors(self) -> Memristors:
        """Return the parameters of the devices.

        Raises
        ------
        SetupError, LimitError
            If the law has no such parameter, or a value is out of range.
        """
        low, high = self.pulse_width
        return Memristors(
            model=self.model,
            law=self.law,
            device_spread=self.device_spread,
            cycle_spread=self.cycle_spread,
            read_noise=self.read_noise,
            stuck_fraction=self.stuck_fraction,
            endurance=math.inf if self.endurance is None else self.endurance,
            retention_s=math.inf if self.retention is None else self.retention,
            read_width_s=self.read_width,
            scheme=self.scheme,
            limits=PulseLimits(
                self.pulse_voltage, self.pulse_current, (low, high), self.pulses, self.read_voltage
            ),
            tolerance=self.tolerance,
            most_pulses=self.most_pulses,
        )
