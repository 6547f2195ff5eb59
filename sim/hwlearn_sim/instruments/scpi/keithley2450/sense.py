"""Measure functions of a Keithley 2450: ranges, filter, ohms, relative offset and units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Final

from hwlearn_sim.instruments.capability import QUANTITIES, ChannelReading
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.ranges import Quantity
from hwlearn_sim.instruments.scpi.auto_ohms import OVER, AutoOhms, compensated
from hwlearn_sim.instruments.scpi.keithley2450.calculations import Calculations2450
from hwlearn_sim.instruments.scpi.keithley2450.models import Model2450
from hwlearn_sim.instruments.scpi.moving_filter import MovingFilter
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, Whole, checked_count, items
from hwlearn_sim.instruments.scpi.settings import Setting, Suffixes
from hwlearn_sim.instruments.scpi.smu import MNEMONIC, UNIT, ScpiSmu

FUNCTIONS: Final = {"VOLT": "VOLTage[:DC]", "CURR": "CURRent[:DC]", "RES": "RESistance"}
"""Functions and their headers."""

_SPELLED: Final = {"VOLT": '"VOLT:DC"', "CURR": '"CURR:DC"', "RES": '"RES"'}
_OWN_UNIT: Final = {"VOLT": "VOLT", "CURR": "AMP", "RES": "OHM"}
_NAMES: Final = Choice(("VOLTage", "CURRent", "RESistance", "VOLTage:DC", "CURRent:DC"))
_BOTH: Final[tuple[Quantity, Quantity]] = ("current", "voltage")


@dataclass(frozen=True, slots=True)
class Measured:
    """A reading as the instrument reports it.

    Attributes
    ----------
    reading : ChannelReading
        Reading of the channel.
    value : float
        Value with unit, relative offset and math.
    unit : str
        VOLT, AMP, OHM or WATT.
    """

    reading: ChannelReading
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class _Function:
    """Settings of one measure function."""

    averaging: Setting[bool]
    averages: Setting[int]
    filter_type: Setting[str]
    unit: Setting[str]
    relative: Setting[float]
    relative_on: Setting[bool]
    delays: Setting[float]


class Sense2450:
    """The SENSe subsystem (2450 Reference Manual p. 6-34 to 6-62).

    Parameters
    ----------
    smu : ScpiSmu
        The instrument.
    model : Model2450
        The model.
    """

    def __init__(self, smu: ScpiSmu, model: Model2450) -> None:
        self._smu, self._channel = smu, smu.channels[0]
        self.ohms = AutoOhms(self._channel, model.ohms, smu.store, model.default_ohms)
        self._moving = MovingFilter(self._channel)
        self._sensed = smu.kept("[SENSe#:]function", "CURR")
        self.count = smu.stored_setting("[SENSe#:]COUNt", Whole(1, 300_000, 1), 1)
        self._calculations = Calculations2450(smu, FUNCTIONS)
        self._add_function()
        self._functions = {short: self._add_common(short, f"[SENSe#:]{name}") for short, name in FUNCTIONS.items()}
        self._add_ohms(model)
        for quantity in QUANTITIES:
            self._add_autorange_limits(quantity)

    @property
    def sensed(self) -> str:
        """The function that is measured: VOLT, CURR or RES."""
        return self._sensed()

    def choose(self, function: str) -> None:
        """Select the function; RES takes control of the source until the source is set."""
        self._sensed.put(function)
        if function == "RES":
            self.ohms.enter()
        else:
            self.ohms.leave()

    def user_delay_s(self, number: int) -> float:
        """Return a user delay of the selected function in seconds."""
        return self._functions[self.sensed].delays((1, number))

    # --- commands -----------------------------------------------------------------------------------

    def _add_function(self) -> None:
        def choose(_: Suffixes, arguments: list[str]) -> None:
            (name,) = items(_NAMES, checked_count(arguments, 1), 1)
            self.choose(name.removesuffix(":DC"))

        self._smu.command("[SENSe#:]FUNCtion[:ON]", choose, lambda _, __: _SPELLED[self._sensed()])
        self._smu.nothing("[SENSe#:]AZERo:ONCE")  # virtual meters have no drift

    def _add_common(self, short: str, base: str) -> _Function:
        smu = self._smu
        smu.without_effect(f"{base}:AZERo[:STATe]", Flag(), True)
        most = 1e12 if short == "RES" else 2 * self._channel.capability.measures[_quantity(short)].most
        relative = smu.stored_setting(f"{base}:RELative", smu.number(-most, most, 0.0), 0.0)
        relative_on = smu.stored_setting(f"{base}:RELative:STATe", Flag(), False)
        units = Choice((_OWN_UNIT[short], *(() if short == "RES" else ("OHM", "WATT"))))
        one = _Function(
            smu.stored_setting(f"{base}:AVERage[:STATe]", Flag(), False),
            smu.stored_setting(f"{base}:AVERage:COUNt", Whole(1, 100, 10), 10),
            smu.stored_setting(f"{base}:AVERage:TCONtrol", Choice(("REPeat", "MOVing")), "REP"),
            smu.stored_setting(f"{base}:UNIT", units, _OWN_UNIT[short]),
            relative,
            relative_on,
            smu.stored_setting(f"{base}:DELay:USER#", smu.number(0, 1e4, 0.0, "S"), 0.0),
        )

        def acquire() -> None:
            relative.put(self._in_unit(self._raw(short), short))
            relative_on.put(True)

        smu.simple_command(f"{base}:RELative:ACQuire", acquire)
        smu.channel_setting(
            f"{base}:RSENse",
            Flag(),
            lambda channel: channel.settings.four_wire,
            VirtualChannel.set_four_wire,
        )
        return one

    def _add_autorange_limits(self, quantity: Quantity) -> None:
        smu, channel, base = self._smu, self._channel, f"[SENSe#:]{MNEMONIC[quantity]}[:DC]:RANGe:AUTO"
        ranges = channel.capability.measures[quantity]
        least, most = ranges.each[0].full_scale, ranges.each[-1].full_scale
        number = smu.number(-most, most, least, UNIT[quantity])

        def low(channel: VirtualChannel) -> float:
            return channel.settings.autorange.get(quantity, (least, most))[0]

        def set_low(channel: VirtualChannel, value: float) -> None:
            channel.set_autorange_limits(quantity, ranges.select(value).full_scale, most)

        smu.channel_setting(f"{base}:LLIMit", number, low, set_low)
        smu.simple_query(f"{base}:ULIMit", lambda: number.write(most))

    def _add_ohms(self, model: Model2450) -> None:
        smu, ohms = self._smu, self.ohms
        least, most = model.ohms[0].ohms, model.ohms[-1].ohms
        bounds = smu.number(least, most, model.default_ohms, "OHM")

        def select(_: Suffixes, value: float) -> None:
            ohms.fix(value)

        def limit(upper: bool, _: Suffixes, value: float) -> None:
            chosen = next(one.ohms for one in model.ohms if value <= OVER * one.ohms)
            low, high = ohms.limits
            ohms.set_limits(low if upper else chosen, chosen if upper else high)

        def present(upper: bool, _: Suffixes) -> float:
            return min(max(ohms.limits[upper], least), most)

        self._offset_compensated = smu.stored_setting("[SENSe#:]RESistance:OCOMpensated", Flag(), False)
        base = "[SENSe#:]RESistance:RANGe"
        smu.setting(
            f"{base}[:UPPer]", smu.number(least, OVER * most, model.default_ohms, "OHM"),
            lambda _: ohms.present.ohms, select,
        )  # fmt: skip
        smu.setting(f"{base}:AUTO", Flag(), lambda _: ohms.automatic, lambda _, on: ohms.set_automatic(on))
        for upper, name in ((False, "LLIMit"), (True, "ULIMit")):
            smu.setting(f"{base}:AUTO:{name}", bounds, partial(present, upper), partial(limit, upper))
        smu.channel_setting(
            "[SENSe#:]RESistance:NPLCycles",
            smu.number(*self._channel.capability.nplc, 1.0),
            lambda channel: channel.settings.nplc["voltage"],
            VirtualChannel.set_nplc,
        )

    # --- readings -----------------------------------------------------------------------------------

    def measure(self, *, read_back: bool) -> Measured:
        """Take one reading; ``read_back``: measure the source as well."""
        short = self.sensed
        one, channel = self._functions[short], self._channel
        if one.averaging() and one.filter_type() == "MOV":
            reading = self._moving.measure(one.averages(), partial(self._raw, short, read_back=read_back))
        else:
            channel.settings.average = one.averages() if one.averaging() else 1
            reading = self._raw(short, read_back=read_back)
        value = self._in_unit(reading, short)
        if one.relative_on():
            value -= one.relative()
        return Measured(reading, self._calculations.applied(short, value), one.unit())

    def _raw(self, short: str, *, read_back: bool = False) -> ChannelReading:
        """Measure what a function needs. The sourced quantity is measured in the range of the source (p. 6-53)."""
        channel = self._channel
        source, ranges = channel.settings.function, channel.settings.measure_ranges
        wanted: tuple[Quantity, ...] = _BOTH
        if short != "RES" and self._functions[short].unit() == _OWN_UNIT[short]:
            sensed = _quantity(short)
            if not read_back or sensed == source:
                wanted = (sensed,)
        fixed, ranges[source] = ranges[source], None
        try:
            reading = self.ohms.measure(*wanted) if self.ohms.active else channel.measure(*wanted)
        finally:
            ranges[source] = fixed
        if short == "RES" and self._offset_compensated():
            return compensated(channel, reading, *wanted)
        return reading

    def _in_unit(self, reading: ChannelReading, short: str) -> float:
        unit = self._functions[short].unit()
        if unit == "OHM":
            return reading.resistance
        if unit == "WATT":
            volts, amperes = reading.values["voltage"], reading.values["current"]
            return volts * amperes if math.isfinite(volts * amperes) else math.inf
        return reading.values[_quantity(short)]


def _quantity(short: str) -> Quantity:
    return "voltage" if short == "VOLT" else "current"
