"""CALCulate subsystems of a Keithley 2400: math, null and limits, statistics of the data store."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn_sim.instruments.capability import ChannelReading
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.scpi.keithley2400.expressions import Expression
from hwlearn_sim.instruments.scpi.keithley2400.readings import Readings2400
from hwlearn_sim.instruments.scpi.keithley2400.sense import FUNCTIONS, Sense2400
from hwlearn_sim.instruments.scpi.language import unquoted
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, Text, Whole, checked_count, items
from hwlearn_sim.instruments.scpi.settings import Setting, Suffixes
from hwlearn_sim.instruments.scpi.smu import ScpiSmu

_LIMITS: Final = (2, 3, *range(5, 13))
"""Software limits; limit 1 is the compliance, limit 4 the contact check, which is an option."""


class Calculations2400:
    """The CALCulate commands (2400 User's Manual p. 18-27 to 18-47).

    Parameters
    ----------
    smu : ScpiSmu
        The instrument.
    sense : Sense
        The selected functions.
    readings : Readings
        The readings.
    """

    def __init__(self, smu: ScpiSmu, sense: Sense2400, readings: Readings2400) -> None:
        self._smu, self._sense, self._readings = smu, sense, readings
        self._add_elements()
        self._add_math()
        self._add_null()
        for number in _LIMITS:
            self._add_limit(number)
        self._add_compliance_limit()
        self._add_statistics()
        readings.feed("CALC1", self._math)
        readings.feed("CALC2", self._nulled)

    # --- math ---------------------------------------------------------------------------------------

    def _add_math(self) -> None:
        smu, base = self._smu, "CALCulate#:MATH[:EXPRession]"
        predefined: tuple[tuple[str, Expression], ...] = (("POWER", Expression("VOLT*CURR")),)
        self._expressions = smu.kept("expressions", predefined, lasting=True)
        self._name = smu.kept("expression", "POWER")
        self._calculating = smu.stored_setting("CALCulate#:STATe", Flag(), False)

        def define(_: Suffixes, arguments: list[str]) -> None:
            (text,) = checked_count(arguments, 1)
            if self._name() == "POWER":
                raise VirtualInstrumentError(-220)  # the predefined ones cannot be changed
            others = [one for one in self._expressions() if one[0] != self._name()]
            self._expressions.put((*others, (self._name(), Expression(text))))

        def name(_: Suffixes, text: str) -> None:
            self._name.put(text)

        def delete(_: Suffixes, arguments: list[str]) -> None:
            text = unquoted(checked_count(arguments, 1)[0])
            if text == "POWER" or text not in dict(self._expressions()):
                raise VirtualInstrumentError(-220)
            self._expressions.put(tuple(one for one in self._expressions() if one[0] != text))

        def delete_all() -> None:
            self._expressions.put(self._expressions()[:1])

        smu.command(f"{base}[:DEFine]", define, lambda _, __: self._expression().text)
        smu.setting(f"{base}:NAME", Text(), lambda _: self._name(), name)
        smu.simple_query(f"{base}:CATalog", lambda: ",".join(f'"{one}"' for one, _ in self._expressions()))
        smu.command(f"{base}:DELete[:SELected]", delete)
        smu.simple_command(f"{base}:DELete:ALL", delete_all)
        # the unit is shown on the display
        smu.without_effect("CALCulate#:MATH:UNITs", Text(), "W")
        smu.simple_query("CALCulate#:DATA[:LATest]", lambda: self._results(self._math, state=self._calculating()))

    def _expression(self) -> Expression:
        chosen = dict(self._expressions()).get(self._name())
        if chosen is None:
            raise VirtualInstrumentError(-220)
        return chosen

    def _math(self, reading: ChannelReading) -> float:
        elements = {name: self._readings.element(reading, name) for name in ("VOLT", "CURR", "TIME")}
        return self._expression().value({**elements, "RES": reading.resistance})

    def _results(self, of: Callable[[ChannelReading], float], *, state: bool) -> str:
        if not state or not self._readings.latest:
            raise VirtualInstrumentError(-230)
        elements: dict[str, Callable[[ChannelReading], float]] = {
            "CALC": of,
            "TIME": lambda one: one.seconds,
            "STAT": partial(self._readings.element, name="STAT"),
        }
        shown = self._shown()
        return self._smu.readings([elements[name](reading) for reading in self._readings.latest for name in shown])

    def _add_elements(self) -> None:
        """Add the elements of calculated readings (p. 18-47)."""
        kind = Choice(("CALCulate", "TIME", "STATus"))
        self._shown: Setting[tuple[str, ...]] = self._smu.kept("calculated elements", ("CALC",))

        def show(_: Suffixes, arguments: list[str]) -> None:
            chosen = items(kind, arguments, 3)
            self._shown.put(tuple(name for name in ("CALC", "TIME", "STAT") if name in chosen))

        self._smu.command("FORMat:ELEMents:CALCulate", show, lambda _, __: ",".join(self._shown()))

    # --- null and limits ----------------------------------------------------------------------------

    def _add_null(self) -> None:
        smu = self._smu
        feeds = Choice(("CALCulate", "CALCulate1", "VOLTage", "CURRent", "RESistance"))
        self._input = smu.stored_setting("CALCulate2:FEED", feeds, "VOLT")
        self._nulling = smu.stored_setting("CALCulate2:NULL:STATe", Flag(), False)
        number = smu.number(-9.999999e20, 9.999999e20, 0.0)
        self._offset = smu.stored_setting("CALCulate2:NULL:OFFSet", number, 0.0)

        def acquire() -> None:
            if not self._readings.latest:
                raise VirtualInstrumentError(-230)
            self._offset.put(self._value(self._readings.latest[-1]))

        smu.simple_command("CALCulate2:NULL:ACQuire", acquire)
        for pattern in ("CALCulate2:DATA", "CALCulate2:DATA:LATest"):
            smu.simple_query(pattern, lambda: self._results(self._nulled, state=True))

    def _value(self, reading: ChannelReading) -> float:
        name = self._input()
        return self._math(reading) if name.startswith("CALC") else self._readings.element(reading, name)

    def _nulled(self, reading: ChannelReading) -> float:
        return self._value(reading) - (self._offset() if self._nulling() else 0.0)

    def _add_limit(self, number: int) -> None:
        smu, base = self._smu, f"CALCulate2:LIMit{number}"
        bound = smu.number(-9.999999e20, 9.999999e20, 1.0)
        upper = smu.stored_setting(f"{base}:UPPer[:DATA]", bound, 1.0)
        lower = smu.stored_setting(f"{base}:LOWer[:DATA]", bound, -1.0)
        state = smu.stored_setting(f"{base}:STATe", Flag(), False)

        def failed() -> str:
            latest = self._readings.latest
            return str(int(state() and bool(latest) and not lower() <= self._nulled(latest[-1]) <= upper()))

        smu.simple_query(f"{base}:FAIL", failed)
        for part in ("UPPer", "LOWer"):
            smu.refused(f"{base}:{part}:SMLocation")  # branches of a source memory sweep
        # digital output patterns of a component handler, which is not connected
        for part in ("UPPer", "LOWer", "PASS"):
            smu.without_effect(f"{base}:{part}:SOURce2", Whole(0, 15, 15), 15)

    def _add_compliance_limit(self) -> None:
        smu = self._smu
        state = smu.stored_setting("CALCulate2:LIMit1:STATe", Flag(), False)
        fails = smu.stored_setting("CALCulate2:LIMit1:COMPliance:FAIL", Choice(("IN", "OUT")), "IN")

        def failed() -> str:
            latest = self._readings.latest
            return str(int(state() and bool(latest) and latest[-1].limited == (fails() == "IN")))

        smu.simple_query("CALCulate2:LIMit1:FAIL", failed)
        smu.without_effect("CALCulate2:LIMit1:COMPliance:SOURce2", Whole(0, 15, 15), 15)
        smu.refused("CALCulate2:LIMit4:STATe")  # contact check, an option
        for name in ("PASS:SOURce2", "FAIL:SOURce2"):
            smu.without_effect(f"CALCulate2:CLIMits:{name}", Whole(0, 15, 15), 15)
        smu.nothing("CALCulate2:CLIMits:CLEar[:IMMediate]")
        smu.without_effect("CALCulate2:CLIMits:CLEar:AUTO", Flag(), True)
        smu.without_effect("CALCulate2:CLIMits:MODE", Choice(("GRADing", "SORTing")), "GRAD")
        smu.without_effect("CALCulate2:CLIMits:BCONtrol", Choice(("IMMediate", "END")), "IMM")

    # --- statistics ---------------------------------------------------------------------------------

    def _add_statistics(self) -> None:
        of: dict[str, Callable[[FloatArray], np.float64]] = {
            "MEAN": np.mean, "SDEV": _spread, "MAX": np.max, "MIN": np.min, "PKPK": np.ptp
        }  # fmt: skip
        statistics = Choice(("MEAN", "SDEViation", "MAXimum", "MINimum", "PKPK"))
        statistic = self._smu.stored_setting("CALCulate3:FORMat", statistics, "MEAN")
        self._smu.simple_query("CALCulate3:DATA", lambda: self._statistics(of[statistic()]))

    def _statistics(self, of: Callable[[FloatArray], np.float64]) -> str:
        stored = self._readings.stored
        if not stored:
            raise VirtualInstrumentError(-230)
        names = [name for name in FUNCTIONS if name in self._sense.functions]
        element = self._readings.element
        columns = [list(map(partial(element, name=name), stored)) for name in names]
        with np.errstate(invalid="ignore"):  # overflows are infinite
            return self._smu.readings([float(of(np.array(column))) for column in columns])


def _spread(values: FloatArray) -> np.float64:
    return np.float64(values.std(ddof=1)) if len(values) > 1 else np.float64(0.0)
