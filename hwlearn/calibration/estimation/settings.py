"""`CampaignSettings`: settings of an `EdgeCampaign` and prior knowledge."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from hwlearn.calibration.estimation.design import Design
from hwlearn.calibration.estimation.fits.converters import ConverterFit
from hwlearn.calibration.estimation.unknowns import Spreads
from hwlearn.errors import SetupError


@dataclass(frozen=True, eq=False)
class CampaignSettings:
    """Settings of an `EdgeCampaign`.

    Attributes
    ----------
    patterns : int
        Number of patterns to measure in each configuration.
    seed : int
        Seed of the random configurations and patterns.
    design : "information" or "random"
        How configurations and patterns are chosen.
    read_sigma, current_sigma : float, optional
        Standard uncertainty of one reading in volts and amperes, where the readouts do not state it.
    noise_readings : float, optional
        Number of readings from which ``read_sigma`` was estimated. Default: it is known exactly.
    spreads : Spreads
        Expected spreads; they are re-estimated from the data.
    converters : ConverterFit, optional
        Known converters; without it they are fitted jointly with the edges.
    nudge_siemens : array_like, scalar or shape (n_out,), optional
        Known conductances of resistor drives; without it resistor drives are not used.
    dac_step_V : float, optional
        Step of the DACs in volts; patterns are then multiples of it, which avoids rounding.

    Raises
    ------
    SetupError
        If a setting is wrong.
    """

    patterns: int = 24
    seed: int = 0
    design: Design = "information"
    read_sigma: float | None = None
    current_sigma: float | None = None
    noise_readings: float | None = None
    spreads: Spreads = field(default_factory=Spreads)
    converters: ConverterFit | None = None
    nudge_siemens: ArrayLike | None = None
    dac_step_V: float | None = None

    def __post_init__(self) -> None:
        if self.patterns < 1:
            raise SetupError(f"patterns is {self.patterns}; at least 1 must be measured in a configuration")
        if self.design not in ("information", "random"):
            raise SetupError(f"design is {self.design!r}; it must be 'information' or 'random'")
        for name in ("read_sigma", "current_sigma", "noise_readings", "dac_step_V"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise SetupError(f"{name} is {value}; it must be positive and finite")

    def state(self) -> dict[str, Any]:
        """Return the settings as plain data, for JSON."""
        stored = {item.name: getattr(self, item.name) for item in fields(self)}
        return stored | {
            "spreads": asdict(self.spreads),
            "converters": None if self.converters is None else self.converters.state(),
            "nudge_siemens": None if self.nudge_siemens is None else np.asarray(self.nudge_siemens).tolist(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return the settings that `state` described.

        Raises
        ------
        KeyError, TypeError, SetupError
            If the data does not come from `state`.
        """
        converters = state["converters"]
        return cls(
            **{
                **state,
                "spreads": Spreads(**state["spreads"]),
                "converters": None if converters is None else ConverterFit.from_state(converters),
            }
        )
