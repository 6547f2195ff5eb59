"""Measure functions, filter, ohms and ranges of a Keithley 2400."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Final

from hwlearn_sim.instruments.capability import QUANTITIES, ChannelReading
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.ranges import Quantity
from hwlearn_sim.instruments.scpi.auto_ohms import OVER, AutoOhms, OhmsRange, compensated
from hwlearn_sim.instruments.scpi.language import spelled
from hwlearn_sim.instruments.scpi.moving_filter import MovingFilter
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, Number, Whole, checked_count, items
from hwlearn_sim.instruments.scpi.settings import Suffixes
from hwlearn_sim.instruments.scpi.smu import MNEMONIC, UNIT, ScpiSmu

FUNCTIONS: Final = ("VOLT", "CURR", "RES")
_NAMES: Final = Choice(("VOLTage", "CURRent", "RESistance", "VOLTage:DC", "CURRent:DC"))
_SPELLED: Final = {"VOLT": '"VOLT:DC"', "CURR": '"CURR:DC"', "RES": '"RES"'}
_MEASURED: Final[tuple[tuple[Quantity, str], ...]] = (("voltage", "VOLT"), ("current", "CURR"))
_DEFAULT_OHMS: Final = 2e5


class Sense2400:
    """The SENSe subsystem (2400 User's Manual p. 18-58 to 18-71).

    Parameters
    ----------
    smu : ScpiSmu
        The instrument.
    ohms : sequence of OhmsRange
        Its ranges of automatic ohms.
    """

    def __init__(self, smu: ScpiSmu, ohms: Sequence[OhmsRange]) -> None:
        self._smu, self._channel = smu, smu.channels[0]
        self.ohms = AutoOhms(self._channel, ohms, smu.store, _DEFAULT_OHMS)
        self._moving = MovingFilter(self._channel)
        self._functions = smu.kept("functions", frozenset({"CURR"}))
        self._add_functions()
        self._add_filter()
        self._add_ohms()
        for quantity in QUANTITIES:
            self._add_autorange_limits(quantity)

    # --- functions ----------------------------------------------------------------------------------

    @property
    def functions(self) -> frozenset[str]:
        """The functions that are measured, of VOLT, CURR and RES."""
        return self._functions()

    def choose(self, functions: frozenset[str]) -> None:
        """Select the functions; RES in automatic mode takes control of the source."""
        self._functions.put(functions)
        if "RES" in functions and self._mode() == "AUTO":
            self.ohms.enter()
        else:
            self.ohms.leave()

    def text(self) -> str:
        """Return the functions as the query of the instrument does."""
        return ",".join(_SPELLED[name] for name in FUNCTIONS if name in self._functions())

    def configure(self, function: str) -> None:
        """Select one function and restore the defaults of its ranges and of its integration time (p. 17-2)."""
        if function == "RES":
            self._mode.put("AUTO")
            self._offset_compensated.put(False)
            self.ohms.set_automatic(True)
        else:
            self._channel.set_measure_range("voltage" if function == "VOLT" else "current", None)
        self._channel.set_nplc(1.0)
        self.choose(frozenset({function}))

    def _add_functions(self) -> None:
        smu = self._smu
        concurrent = smu.stored_setting("[SENSe#:]FUNCtion:CONCurrent", Flag(), True)

        def named(arguments: list[str]) -> frozenset[str]:
            return frozenset(name.removesuffix(":DC") for name in items(_NAMES, arguments, 3))

        def choose(_: Suffixes, arguments: list[str]) -> None:
            chosen = named(arguments)
            if not concurrent() and len(chosen) > 1:
                raise VirtualInstrumentError(-221)
            self.choose(chosen | (self.functions if concurrent() else frozenset()))

        def drop(_: Suffixes, arguments: list[str]) -> None:
            self.choose(self.functions - named(arguments))

        def chosen(_: Suffixes, arguments: list[str]) -> str:
            checked_count(arguments, 0)
            return self.text()

        def dropped(_: Suffixes, arguments: list[str]) -> str:
            checked_count(arguments, 0)
            return ",".join(_SPELLED[name] for name in FUNCTIONS if name not in self.functions)

        def state(_: Suffixes, arguments: list[str]) -> str:
            return str(int(named(list(checked_count(arguments, 1))) <= self.functions))

        smu.command("[SENSe#:]FUNCtion[:ON]", choose, chosen)
        smu.command("[SENSe#:]FUNCtion:OFF", drop, dropped)
        smu.command("[SENSe#:]FUNCtion:STATe", query=state)
        smu.simple_command("[SENSe#:]FUNCtion[:ON]:ALL", lambda: self.choose(frozenset(FUNCTIONS)))
        smu.simple_command("[SENSe#:]FUNCtion:OFF:ALL", lambda: self.choose(frozenset()))
        smu.simple_query("[SENSe#:]FUNCtion[:ON]:COUNt", lambda: str(len(self.functions)))
        smu.simple_query("[SENSe#:]FUNCtion:OFF:COUNt", lambda: str(3 - len(self.functions)))

    # --- filter, ranges -----------------------------------------------------------------------------

    def _add_filter(self) -> None:
        smu = self._smu
        self._averaging = smu.stored_setting("[SENSe#:]AVERage[:STATe]", Flag(), False)
        self._averages = smu.stored_setting("[SENSe#:]AVERage:COUNt", Whole(1, 100, 10), 10)
        self._filter_type = smu.stored_setting("[SENSe#:]AVERage:TCONtrol", Choice(("REPeat", "MOVing")), "REP")
        for name in MNEMONIC.values():
            smu.without_effect(f"[SENSe#:]{name}[:DC]:RANGe:HOLDoff", Flag(), False)
            smu.without_effect(
                f"[SENSe#:]{name}[:DC]:RANGe:HOLDoff:DELay", smu.number(0, 999.9999, 0.005, "S"), 0.005
            )

    def _add_autorange_limits(self, quantity: Quantity) -> None:
        smu, channel, base = self._smu, self._channel, f"[SENSe#:]{MNEMONIC[quantity]}[:DC]:RANGe:AUTO"
        ranges = channel.capability.measures[quantity]
        number = smu.number(-ranges.most, ranges.most, ranges.each[0].full_scale, UNIT[quantity])

        def low(channel: VirtualChannel) -> float:
            return channel.settings.autorange.get(quantity, (ranges.each[0].full_scale, math.inf))[0]

        def set_low(channel: VirtualChannel, value: float) -> None:
            if ranges.select(value).full_scale > ranges.select(channel.settings.limits[quantity]).full_scale:
                raise VirtualInstrumentError(-221)  # beyond the upper limit, which is the compliance range
            channel.set_autorange_limits(quantity, ranges.select(value).full_scale, math.inf)

        smu.channel_setting(f"{base}:LLIMit", number, low, set_low)
        smu.simple_query(
            f"{base}:ULIMit",
            lambda: number.write(smu.range_value(ranges, ranges.covering(channel.settings.limits[quantity]))),
        )

    # --- ohms ---------------------------------------------------------------------------------------

    def _add_ohms(self) -> None:
        smu, ohms = self._smu, self.ohms
        self._mode = smu.kept("ohms mode", "AUTO")
        ranges = ohms.ranges
        bounds = Number(OVER * ranges[0].ohms, OVER * ranges[-1].ohms, OVER * _DEFAULT_OHMS)
        self._offset_compensated = smu.stored_setting("[SENSe#:]RESistance:OCOMpensated", Flag(), False)

        def set_mode(_: Suffixes, mode: str) -> None:
            self._mode.put(mode)
            self.choose(self.functions)

        def select(_: Suffixes, arguments: list[str]) -> None:
            (text,) = checked_count(arguments, 1)
            if self._mode() == "MAN":
                raise VirtualInstrumentError(-221)  # manual ohms have no ranges (p. 18-62)
            if spelled(text, "UP") or spelled(text, "DOWN"):
                ohms.step(1 if spelled(text, "UP") else -1)
            else:
                ohms.fix(Number(0, OVER * ranges[-1].ohms, OVER * _DEFAULT_OHMS, "OHM").read(text))

        def selected(_: Suffixes, arguments: list[str]) -> str:
            if checked_count(arguments, 0, 1):
                return bounds.write(bounds.bound(arguments[0]))
            return bounds.write(OVER * ohms.present.ohms)

        def limit(upper: bool, _: Suffixes, value: float) -> None:
            chosen = next(one.ohms for one in ranges if value <= OVER * one.ohms)
            low, high = ohms.limits
            ohms.set_limits(low if upper else chosen, chosen if upper else high)

        smu.setting("[SENSe#:]RESistance:MODE", Choice(("MANual", "AUTO")), lambda _: self._mode(), set_mode)
        smu.command("[SENSe#:]RESistance:RANGe[:UPPer]", select, selected)
        smu.setting(
            "[SENSe#:]RESistance:RANGe:AUTO",
            Flag(),
            lambda _: ohms.automatic,
            lambda _, on: ohms.set_automatic(on),
        )
        bound = Number(0, OVER * ranges[-1].ohms, OVER * ranges[0].ohms, "OHM")
        for upper, name in ((False, "LLIMit"), (True, "ULIMit")):
            smu.setting(
                f"[SENSe#:]RESistance:RANGe:AUTO:{name}",
                bound,
                partial(self._ohms_limit, upper),
                partial(limit, upper),
            )
        smu.channel_setting(
            "[SENSe#:]RESistance:NPLCycles",
            smu.number(*self._channel.capability.nplc, 1.0),
            lambda channel: channel.settings.nplc["voltage"],
            VirtualChannel.set_nplc,
        )

    def _ohms_limit(self, upper: bool, _: Suffixes) -> float:
        limit, ranges = self.ohms.limits[upper], self.ohms.ranges
        return OVER * (ranges[-1] if math.isinf(limit) else next(one for one in ranges if limit <= one.ohms)).ohms

    # --- readings -----------------------------------------------------------------------------------

    @property
    def averaging(self) -> bool:
        """Whether the filter is on."""
        return self._averaging()

    def measure(self) -> ChannelReading:
        """Take one reading of the selected functions."""
        channel = self._channel
        functions = self._functions()
        wanted = [quantity for quantity, name in _MEASURED if name in functions or "RES" in functions]
        measure = partial(self.ohms.measure if self.ohms.active else channel.measure, *wanted)
        if self._averaging() and self._filter_type() == "MOV":
            reading = self._moving.measure(self._averages(), measure)
        else:
            channel.settings.average = self._averages() if self._averaging() else 1
            reading = measure()
        if self._offset_compensated() and "RES" in self.functions:
            return compensated(channel, reading, *wanted)
        return reading
