"""Measure functions of a Keysight B2900: ranges, aperture, ohms, wait time (SCPI Command Reference, edition 2)."""

from __future__ import annotations

import math
from functools import partial
from typing import Final

from hwlearn_sim.instruments.capability import LINE_HZ, QUANTITIES, ChannelReading
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.ranges import Quantity
from hwlearn_sim.instruments.scpi.auto_ohms import OVER, AutoOhms, compensated
from hwlearn_sim.instruments.scpi.keysightb2900.models import OHMS
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, checked_count, items
from hwlearn_sim.instruments.scpi.settings import Suffixes
from hwlearn_sim.instruments.scpi.smu import MNEMONIC, UNIT, ScpiSmu

FUNCTIONS: Final = ("VOLT", "CURR", "RES")
_NAMES: Final = Choice(("VOLTage", "CURRent", "RESistance", "VOLTage:DC", "CURRent:DC"))
_DEFAULT_OHMS: Final = 2e3


def _only_normal(_: Suffixes, mode: str) -> None:
    if mode != "NORM":
        raise VirtualInstrumentError(-241)


class SenseB2900:
    """The SENSe subsystem of all channels.

    Parameters
    ----------
    smu : ScpiSmu
        The instrument.
    """

    def __init__(self, smu: ScpiSmu) -> None:
        self._smu = smu
        self._ohms = [
            AutoOhms(channel, OHMS, smu.store, _DEFAULT_OHMS, number)
            for number, channel in enumerate(smu.channels, 1)
        ]
        self._functions = smu.kept("functions", frozenset({"VOLT", "CURR"}), 1)
        self._mode = smu.kept("ohms mode", "MAN", 1)
        self._add_functions()
        for quantity, name in MNEMONIC.items():
            self._add_quantity(f"SENSe#:{name}[:DC]", quantity)
        self._add_ohms()
        self._add_wait()
        smu.channel_setting(
            "SENSe#:REMote",
            Flag(),
            lambda channel: channel.settings.four_wire,
            VirtualChannel.set_four_wire,
        )

    def functions(self, k: int) -> frozenset[str]:
        """Return the functions that channel ``k``, from 0, measures."""
        return self._functions((k + 1,))

    def wait_s(self, k: int) -> float:
        """Return the time between a change of the source and a measurement in seconds."""
        suffixes = (k + 1,)
        return self._offset(suffixes) if self._waits(suffixes) else 0.0

    def automatic_ohms(self, suffixes: Suffixes) -> AutoOhms:
        """Return the automatic ohms of a channel."""
        return self._ohms[self._smu.channels.index(self._smu.at(suffixes))]

    # --- commands -----------------------------------------------------------------------------------

    def _add_functions(self) -> None:
        smu = self._smu

        def put(suffixes: Suffixes, functions: frozenset[str]) -> None:
            smu.check_suffixes(suffixes)
            self._functions.put(functions, suffixes)
            self._follow(suffixes)

        def named(arguments: list[str]) -> frozenset[str]:
            return frozenset(name.removesuffix(":DC") for name in items(_NAMES, arguments, 3))

        def query(on: bool, suffixes: Suffixes, arguments: list[str]) -> str:
            checked_count(arguments, 0)
            smu.check_suffixes(suffixes)
            chosen = self._functions(suffixes)
            return ",".join(f'"{name}"' for name in FUNCTIONS if (name in chosen) == on)

        def choose(suffixes: Suffixes, arguments: list[str]) -> None:
            put(suffixes, self._functions(suffixes) | named(arguments))

        def drop(suffixes: Suffixes, arguments: list[str]) -> None:
            put(suffixes, self._functions(suffixes) - named(arguments))

        smu.command("SENSe#:FUNCtion[:ON]", choose, partial(query, True))
        smu.command("SENSe#:FUNCtion[:ON]:ALL", lambda suffixes, _: put(suffixes, frozenset(FUNCTIONS)))
        smu.command("SENSe#:FUNCtion:OFF", drop, partial(query, False))
        smu.command("SENSe#:FUNCtion:OFF:ALL", lambda suffixes, _: put(suffixes, frozenset()))

    def _follow(self, suffixes: Suffixes) -> None:
        """Let automatic ohms begin or end."""
        ohms = self.automatic_ohms(suffixes)
        if self._mode(suffixes) == "AUTO" and "RES" in self._functions(suffixes):
            ohms.enter()
        else:
            ohms.leave()

    def _add_quantity(self, base: str, quantity: Quantity) -> None:
        smu = self._smu
        capability = smu.channels[0].capability
        low, high = (cycles / LINE_HZ for cycles in capability.nplc)
        smu.channel_setting(
            f"{base}:APERture",
            smu.number(low, high, 0.1 / LINE_HZ, "S"),
            lambda channel: channel.integration_s(quantity),
            lambda channel, seconds: channel.set_nplc(seconds * channel.line_Hz, quantity),
        )
        automatic = smu.kept(f"{base} automatic aperture", False, 1)

        def switch(suffixes: Suffixes, on: bool) -> None:
            """Switch the automatic aperture, which is one power-line cycle in every range."""
            channel = smu.at(suffixes)
            automatic.put(on, suffixes)
            if on:
                channel.set_nplc(1.0, quantity)

        for what in ("APERture", "NPLCycles"):
            smu.setting(f"{base}:{what}:AUTO", Flag(), automatic, switch)
        for side in ("POSitive", "NEGative"):
            smu.refused(f"{base}:PROTection[:LEVel]:{side}", -113)  # limits here are equal in both directions
        if capability.has_measure_ranges:
            self._add_autorange(base, quantity)

    def _add_autorange(self, base: str, quantity: Quantity) -> None:
        smu = self._smu
        ranges = smu.channels[0].capability.measures[quantity]
        least, most = ranges.each[0].full_scale, ranges.each[-1].full_scale
        limit = smu.number(-most, most, least, UNIT[quantity])

        def present(upper: bool, channel: VirtualChannel) -> float:
            return channel.settings.autorange.get(quantity, (least, most))[upper]

        def put(upper: bool, channel: VirtualChannel, value: float) -> None:
            bounds = [present(False, channel), present(True, channel)]
            bounds[upper] = ranges.select(value).full_scale
            channel.set_autorange_limits(quantity, *bounds)

        for upper, name in ((False, "LLIMit"), (True, "ULIMit")):
            smu.channel_setting(f"{base}:RANGe:AUTO:{name}", limit, partial(present, upper), partial(put, upper))
        smu.setting(
            f"{base}:RANGe:AUTO:MODE", Choice(("NORMal", "RESolution", "SPEed")), lambda _: "NORM", _only_normal
        )
        smu.refused(f"{base}:RANGe:AUTO:THReshold")  # of the other modes

    def _add_ohms(self) -> None:
        smu = self._smu

        def set_mode(suffixes: Suffixes, mode: str) -> None:
            smu.check_suffixes(suffixes)
            self._mode.put(mode, suffixes)
            self._follow(suffixes)

        def limit(upper: bool, suffixes: Suffixes, value: float) -> None:
            ohms = self.automatic_ohms(suffixes)
            chosen = next(one.ohms for one in OHMS if value <= OVER * one.ohms)
            low, high = ohms.limits
            ohms.set_limits(low if upper else chosen, chosen if upper else high)

        def present(upper: bool, suffixes: Suffixes) -> float:
            return min(max(self.automatic_ohms(suffixes).limits[upper], OHMS[0].ohms), OHMS[-1].ohms)

        base, most = "SENSe#:RESistance", OVER * OHMS[-1].ohms
        number = smu.number(0, most, _DEFAULT_OHMS, "OHM")
        smu.setting(f"{base}:MODE", Choice(("MANual", "AUTO")), self._mode, set_mode)
        smu.setting(
            f"{base}:RANGe[:UPPer]",
            number,
            lambda suffixes: self.automatic_ohms(suffixes).present.ohms,
            lambda suffixes, value: self.automatic_ohms(suffixes).fix(value),
        )
        smu.setting(
            f"{base}:RANGe:AUTO",
            Flag(),
            lambda suffixes: self.automatic_ohms(suffixes).automatic,
            lambda suffixes, on: self.automatic_ohms(suffixes).set_automatic(on),
        )
        for upper, name in ((False, "LLIMit"), (True, "ULIMit")):
            smu.setting(f"{base}:RANGe:AUTO:{name}", number, partial(present, upper), partial(limit, upper))
        self._offset_compensated = smu.stored_setting(f"{base}:OCOMpensated", Flag(), False)

    def _add_wait(self) -> None:
        """Add the measurement wait time: the initial wait time of a virtual instrument is zero."""
        smu = self._smu
        self._waits = smu.stored_setting("SENSe#:WAIT[:STATe]", Flag(), True)
        self._offset = smu.stored_setting("SENSe#:WAIT:OFFSet", smu.number(0, 1, 0.0, "S"), 0.0)
        smu.without_effect("SENSe#:WAIT:AUTO", Flag(), True)
        smu.without_effect("SENSe#:WAIT:GAIN", smu.number(0, 100, 1.0), 1.0)

    # --- readings -----------------------------------------------------------------------------------

    def quantities(self, k: int) -> list[Quantity]:
        """Return the quantities that the functions of channel ``k`` need."""
        functions = self.functions(k)
        both: list[tuple[Quantity, str]] = [("voltage", "VOLT"), ("current", "CURR")]
        return [quantity for quantity, name in both if functions & {name, "RES"}]

    def integration_s(self, k: int) -> float:
        """Return the duration of a measurement of channel ``k`` in seconds."""
        return math.fsum(self._smu.channels[k].integration_s(quantity) for quantity in self.quantities(k))

    def measure(self, k: int) -> ChannelReading:
        """Take one reading of channel ``k``."""
        channel, wanted, ohms = self._smu.channels[k], self.quantities(k), self._ohms[k]
        reading = ohms.measure(*wanted) if ohms.active else channel.measure(*wanted)
        if set(wanted) == set(QUANTITIES) and "RES" in self.functions(k) and self._offset_compensated((k + 1,)):
            return compensated(channel, reading, *wanted)
        return reading
