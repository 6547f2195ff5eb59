"""Math and limit tests of a Keithley 2450 (2450 Reference Manual p. 6-11 to 6-24)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from hwlearn_sim.instruments.scpi.parameters import Choice, Flag
from hwlearn_sim.instruments.scpi.settings import Setting
from hwlearn_sim.instruments.scpi.smu import ScpiSmu

_FORMATS: Final = Choice(("MXB", "PERCent", "RECiprocal"))


@dataclass(frozen=True, slots=True)
class _Math:
    """Settings of the math of one function."""

    state: Setting[bool]
    format: Setting[str]
    factor: Setting[float]
    offset: Setting[float]
    percent: Setting[float]

    def applied(self, value: float) -> float:
        """Return the value after the math."""
        if not self.state() or not math.isfinite(value):
            return value
        if self.format() == "MXB":
            return self.factor() * value + self.offset()
        if self.format() == "PERC":
            return 100.0 * (value - self.percent()) / self.percent()
        return 1.0 / value if value else math.inf


@dataclass(frozen=True, slots=True)
class _Limit:
    """Settings of one limit test."""

    state: Setting[bool]
    lower: Setting[float]
    upper: Setting[float]
    clears: Setting[bool]
    failed: Setting[str]

    def judge(self, value: float) -> None:
        """Note whether a value fails."""
        if not self.state():
            return
        result = "LOW" if value < self.lower() else "HIGH" if value > self.upper() else "NONE"
        if self.clears() or result != "NONE":
            self.failed.put(result)


class Calculations2450:
    """The CALCulate1 and CALCulate2 commands of every measure function.

    Parameters
    ----------
    smu : ScpiSmu
        The instrument.
    functions : mapping of str to str
        Headers of the functions by their short names.
    """

    def __init__(self, smu: ScpiSmu, functions: Mapping[str, str]) -> None:
        self._smu = smu
        self._math = {short: self._add_math(f"CALCulate1:{name}:MATH") for short, name in functions.items()}
        self._limits = {
            short: [self._add_limit(f"CALCulate2:{name}:LIMit{y}") for y in (1, 2)]
            for short, name in functions.items()
        }

    def applied(self, function: str, value: float) -> float:
        """Return a value after the math, and judge it by the limits."""
        result = self._math[function].applied(value)
        for limit in self._limits[function]:
            limit.judge(result)
        return result

    def _add_math(self, base: str) -> _Math:
        smu = self._smu
        number = smu.number(-1e12, 1e12, 0.0)
        return _Math(
            smu.stored_setting(f"{base}:STATe", Flag(), False),
            smu.stored_setting(f"{base}:FORMat", _FORMATS, "PERC"),
            smu.stored_setting(f"{base}:MMFactor", smu.number(-1e6, 1e6, 1.0), 1.0),
            smu.stored_setting(f"{base}:MBFactor", number, 0.0),
            smu.stored_setting(f"{base}:PERCent", number, 1.0),
        )

    def _add_limit(self, base: str) -> _Limit:
        smu = self._smu
        bound = smu.number(-9.99999e11, 9.99999e11, 1.0)
        limit = _Limit(
            smu.stored_setting(f"{base}:STATe", Flag(), False),
            smu.stored_setting(f"{base}:LOWer[:DATA]", bound, -1.0),
            smu.stored_setting(f"{base}:UPPer[:DATA]", bound, 1.0),
            smu.stored_setting(f"{base}:CLEar:AUTO", Flag(), True),
            smu.kept(f"{base}:FAIL", "NONE"),
        )
        smu.simple_query(f"{base}:FAIL", limit.failed)
        smu.simple_command(f"{base}:CLEar[:IMMediate]", partial(limit.failed.put, "NONE"))
        smu.without_effect(f"{base}:AUDible", Choice(("NONE", "FAIL", "PASS")), "NONE")
        return limit
