"""A virtual Keithley 2400 SourceMeter.

Commands, order of the data elements and defaults: Series 2400 SourceMeter User's Manual, sections 13 and 18.
The resolutions are those of the data sheet. The noise is an assumption of this project: 3 ppm of range at one
power-line cycle.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np

from hwlearn.arrays import FloatArray
from hwlearn_sim.instruments.capability import ChannelCapability, ChannelReading
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.ranges import Quantity, Ranges
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, Text, Whole, checked_count, items
from hwlearn_sim.instruments.scpi.smu import MNEMONIC, UNIT, ScpiSmu
from hwlearn_sim.instruments.scpi.source_levels import ramp, stepped

_VOLTS: Final = (0.2, 2.0, 20.0, 200.0)
_AMPS: Final = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)
_ELEMENTS: Final = ("VOLT", "CURR", "RES", "TIME", "STAT")
_MOST_POINTS: Final = 2500
_BUFFER_FULL: Final = 512

CAPABILITY: Final = ChannelCapability(
    measures={
        "voltage": Ranges.decades(_VOLTS, 200_000, 3e-6),
        "current": Ranges.decades(_AMPS, 100_000, 3e-6),
    },
    sources={"voltage": Ranges.decades(_VOLTS, 40_000), "current": Ranges.decades(_AMPS, 20_000)},
    default_limits={"current": 105e-6, "voltage": 21.0},
    least_limits={"current": 1e-9, "voltage": 2e-4},
    nplc=(0.01, 10.0),
    off_fraction=0.005,
    limit_in_range=True,
)


class VirtualKeithley2400(ScpiSmu):
    """A Keithley 2400 connected to one node of the plane.

    Parameters
    ----------
    channel : VirtualChannel
        Channel with this model's `CAPABILITY`.
    clock : Clock
        The instrument's clock.
    serial : str
        Serial number.
    """

    def __init__(self, channel: VirtualChannel, clock: Clock, serial: str = "1000001") -> None:
        identity = f"KEITHLEY INSTRUMENTS INC.,MODEL 2400,{serial},C33   Mar 31 2015 09:32:39/A02  /K/J"
        super().__init__(identity, [channel], clock, error_capacity=10)
        self._stored: list[ChannelReading] = []
        self._set_defaults()
        self.add_source("SOURce#:", "SOURce#:FUNCtion[:MODE]")
        self.add_meter("SENSe#:", one_nplc=True)
        for quantity, name in MNEMONIC.items():
            self.add_limit(f"SENSe#:{name}[:DC]:PROTection", quantity)
        self.add_output("OUTPut#[:STATe]")
        self.add_format()
        self._add_functions()
        self._add_sweeps()
        self._add_triggers()
        self._add_buffer()
        self._add_system()

    def _set_defaults(self) -> None:
        self._functions: set[str] = {"CURR"}
        self._elements = list(_ELEMENTS)
        self._latest: list[ChannelReading] = []
        self._lists: dict[Quantity, list[float]] = {"voltage": [], "current": []}
        self._storing = False

    def reset(self) -> None:
        """Restore the power-on settings; the output is switched off first. The buffer keeps its readings."""
        super().reset()
        self._set_defaults()

    # --- commands -----------------------------------------------------------------------------------

    def _add_functions(self) -> None:
        names = Choice(("VOLTage", "CURRent", "RESistance", "VOLTage:DC", "CURRent:DC"))
        concurrent = self.stored_setting("SENSe#:FUNCtion:CONCurrent", Flag(), True)

        def named(arguments: list[str]) -> set[str]:
            return {name.removesuffix(":DC") for name in items(names, arguments, 3)}

        def choose(_: tuple[int, ...], arguments: list[str]) -> None:
            self._functions = named(arguments) | (self._functions if concurrent() else set())

        def chosen(_: tuple[int, ...], arguments: list[str]) -> str:
            checked_count(arguments, 0)
            spelled = {"VOLT": '"VOLT:DC"', "CURR": '"CURR:DC"', "RES": '"RES"'}
            return ",".join(spelled[name] for name in _ELEMENTS if name in self._functions)

        def drop(_: tuple[int, ...], arguments: list[str]) -> None:
            self._functions -= named(arguments)

        def show(_: tuple[int, ...], arguments: list[str]) -> None:
            chosen = items(Choice(("VOLTage", "CURRent", "RESistance", "TIME", "STATus")), arguments, 5)
            self._elements = [name for name in _ELEMENTS if name in chosen]

        self.command("SENSe#:FUNCtion[:ON]", choose, chosen)
        self.command("SENSe#:FUNCtion:OFF", drop)
        self.command("SENSe#:FUNCtion[:ON]:ALL", lambda _, __: self._functions.update(_ELEMENTS[:3]))
        self.command("SENSe#:FUNCtion:OFF:ALL", lambda _, __: self._functions.clear())
        self._averaging = self.stored_setting("SENSe#:AVERage[:STATe]", Flag(), False)
        self._averages = self.stored_setting("SENSe#:AVERage:COUNt", Whole(1, 100, 10), 10)
        self.stored_setting("SENSe#:AVERage:TCONtrol", Choice(("REPeat", "MOVing")), "REP")
        self.stored_setting("SENSe#:RESistance:MODE", Choice(("MANual", "AUTO")), "AUTO")
        self.stored_setting("SENSe#:RESistance:RANGe", self.number(0, 2.1e8, 2.1e5, "OHM"), 2.1e5)
        self.stored_setting("SENSe#:RESistance:RANGe:AUTO", Flag(), True)
        self.stored_setting("SENSe#:RESistance:OCOMpensated", Flag(), False)
        self.channel_setting(
            "SENSe#:RESistance:NPLCycles",
            self.number(*CAPABILITY.nplc, 1.0),
            lambda channel: channel.settings.nplc["voltage"],
            VirtualChannel.set_nplc,
        )
        self.command("FORMat:ELEMents[:SENSe#]", show, lambda _, __: ",".join(self._elements))

    def _add_sweeps(self) -> None:
        self._modes, self._ends = {}, {}
        for quantity, name in MNEMONIC.items():
            ranges = CAPABILITY.sources[quantity]
            level = self.number(-ranges.most, ranges.most, 0.0, UNIT[quantity])
            mode = Choice(("FIXed", "LIST", "SWEep"))
            self._modes[quantity] = self.stored_setting(f"SOURce#:{name}:MODE", mode, "FIX")
            self._ends[quantity] = (
                self.stored_setting(f"SOURce#:{name}:STARt", level, 0.0),
                self.stored_setting(f"SOURce#:{name}:STOP", level, 0.0),
            )
            self.stored_setting(f"SOURce#:{name}:PROTection[:LEVel]", self.number(0, 210, 210, "V"), 210.0)
            self.add_source_list(f"SOURce#:LIST:{name}", level, lambda _: self._lists, quantity, 100, _MOST_POINTS)
        points = Whole(2, _MOST_POINTS, _MOST_POINTS)
        self._points = self.stored_setting("SOURce#:SWEep:POINts", points, _MOST_POINTS)
        self._spacing = self.stored_setting("SOURce#:SWEep:SPACing", Choice(("LINear", "LOGarithmic")), "LIN")
        self.stored_setting("SOURce#:SWEep:RANGing", Choice(("BEST", "AUTO", "FIXed")), "BEST")
        self.stored_setting("SOURce#:SWEep:DIRection", Choice(("UP", "DOWN")), "UP")
        self._delay = self.stored_setting("SOURce#:DELay", self.number(0, 999.9999, 0.0, "S"), 0.0)
        self.stored_setting("SOURce#:DELay:AUTO", Flag(), True)
        self._auto_off = self.stored_setting("SOURce#:CLEar:AUTO", Flag(), False)
        self.simple_command("SOURce#:CLEar[:IMMediate]", lambda: self.channels[0].set_output(False))

    def _add_triggers(self) -> None:
        self._arms = self.stored_setting("ARM:COUNt", Whole(1, _MOST_POINTS), 1)
        self._triggers = self.stored_setting("TRIGger:COUNt", Whole(1, _MOST_POINTS), 1)
        self._trigger_delay = self.stored_setting("TRIGger:DELay", self.number(0, 999.9999, 0.0, "S"), 0.0)
        self.stored_setting("ARM:TIMer", self.number(1e-3, 99999.99, 0.1, "S"), 0.1)
        sources = Choice(("IMMediate", "TLINk", "TIMer", "MANual", "BUS"))
        for layer, events in (("ARM", ("TENTer", "TEXit")), ("TRIGger", ("SOURce", "DELay", "SENSe"))):
            self.stored_setting(f"{layer}:SOURce", sources, "IMM")
            self.stored_setting(f"{layer}:OUTPut", Choice((*events, "NONE")), "NONE")
            self.stored_setting(f"{layer}:ILINe", Whole(1, 4, 1), 1)
            self.stored_setting(f"{layer}:OLINe", Whole(1, 4, 2), 2)
        functions = {"VOLTage[:DC]": "VOLT", "CURRent[:DC]": "CURR", "RESistance": "RES"}
        for pattern, function in functions.items():
            self.simple_command(f"CONFigure:{pattern}", partial(self._configure, function))
            self.simple_query(f"MEASure:{pattern}", partial(self._configured_read, function))
        self.simple_query("MEASure", self._read)
        self.simple_query("READ", self._read)
        self.simple_command("INITiate[:IMMediate]", self._run_trigger_model)
        self.simple_query("FETCh", self._fetch)
        self.simple_query("SENSe#:DATA[:LATest]", lambda: self._fetch(only_last=True))
        for pattern in ("ABORt", "TRIGger:CLEar", "*TRG"):
            self.simple_command(pattern, lambda: None)

    def _add_buffer(self) -> None:
        self._capacity = self.stored_setting("TRACe:POINts", Whole(1, _MOST_POINTS, 100), 100)
        self.stored_setting("TRACe:FEED", Choice(("SENSe", "SENSe1", "CALCulate1", "CALCulate2")), "SENS")
        self.stored_setting("TRACe:TSTamp:FORMat", Choice(("ABSolute", "DELTa")), "ABS")

        def control(_: tuple[int, ...], name: str) -> None:
            self._storing = name == "NEXT"
            if self._storing:
                self._stored.clear()

        choice = Choice(("NEXT", "NEVer"))
        self.setting("TRACe:FEED:CONTrol", choice, lambda _: "NEXT" if self._storing else "NEV", control)
        self.simple_command("TRACe:CLEar", self._stored.clear)
        self.simple_query("TRACe:POINts:ACTual", lambda: str(len(self._stored)))
        self.simple_query("TRACe:DATA", lambda: self._formatted(self._stored))
        statistics = Choice(("MEAN", "SDEViation", "MAXimum", "MINimum", "PKPK"))
        self._statistic = self.stored_setting("CALCulate3:FORMat", statistics, "MEAN")
        self.simple_query("CALCulate3:DATA", self._statistics)

    def _add_system(self) -> None:
        self.add_off_state("OUTPut#:SMODe")
        self.channel_setting(
            "SYSTem:RSENse",
            Flag(),
            lambda channel: channel.settings.four_wire,
            VirtualChannel.set_four_wire,
        )
        states = Choice(("ON", "OFF", "ONCE", "1", "0"), {"ON": "1", "OFF": "0", "ONCE": "0"})
        self.stored_setting("SYSTem:AZERo[:STATe]", states, "ON")
        self.stored_setting("SYSTem:LFRequency", Whole(50, 60, 50), 50)
        self.stored_setting("SYSTem:LFRequency:AUTO", Flag(), True)
        self.stored_setting("SYSTem:BEEPer:STATe", Flag(), True)
        self.command("SYSTem:BEEPer[:IMMediate]", lambda _, arguments: None)
        self.simple_command("SYSTem:TIME:RESet", self.clock.reset)
        self.stored_setting("DISPlay:ENABle", Flag(), True)
        self.stored_setting("DISPlay:DIGits", Whole(4, 7, 6), 6)
        self.stored_setting("DISPlay:TEXT:DATA", Text(), "")
        self.stored_setting("DISPlay:TEXT:STATe", Flag(), False)
        self.stored_setting("ROUTe:TERMinals", Choice(("FRONt", "REAR")), "FRON")

    # --- readings -----------------------------------------------------------------------------------

    def _configure(self, function: str) -> None:
        self._functions = {function}
        for pattern in ("ARM:COUNt", "TRIGger:COUNt"):
            self._settings.pop((pattern, ()), None)

    def _configured_read(self, function: str) -> str:
        self._configure(function)
        return self._read()

    def _read(self) -> str:
        self._run_trigger_model()
        return self._formatted(self._latest)

    def _fetch(self, *, only_last: bool = False) -> str:
        if not self._latest:
            raise VirtualInstrumentError(-230)
        return self._formatted(self._latest[-1:] if only_last else self._latest)

    def _run_trigger_model(self) -> None:
        """Run the trigger model once."""
        channel, count = self.channels[0], self._arms() * self._triggers()
        if count > _MOST_POINTS:
            raise VirtualInstrumentError(-221)
        if not (channel.settings.output or self._auto_off()):
            raise VirtualInstrumentError(803, "Not permitted with OUTPUT off")
        channel.settings.average = self._averages() if self._averaging() else 1
        channel.settings.delay_s = self._delay() + self._trigger_delay()
        both: list[tuple[Quantity, str]] = [("voltage", "VOLT"), ("current", "CURR")]
        wanted = [quantity for quantity, name in both if self._functions & {name, "RES"}]
        channel.set_output(True)
        try:
            with stepped(channel, self._levels()) as steps:
                self._latest = [channel.measure(*wanted) for _, _ in zip(range(count), steps, strict=False)]
        finally:
            if self._auto_off():
                channel.set_output(False)
        self._store()

    def _levels(self) -> list[float]:
        quantity = self.channels[0].settings.function
        if self._modes[quantity]() == "LIST":
            return self._lists[quantity]
        if self._modes[quantity]() == "SWE":
            start, stop = (end() for end in self._ends[quantity])
            return ramp(start, stop, self._points(), logarithmic=self._spacing() == "LOG")
        return []

    def _store(self) -> None:
        if not self._storing:
            return
        self._stored += self._latest[: self._capacity() - len(self._stored)]
        if len(self._stored) >= self._capacity():
            self._storing = False
            self.set_measurement_event(_BUFFER_FULL)

    def _formatted(self, readings: list[ChannelReading]) -> str:
        values = [self._element(reading, name) for reading in readings for name in self._elements]
        return self.readings(values)

    def _element(self, reading: ChannelReading, name: str) -> float:
        values, sourced = reading.values, reading.function
        if name == "TIME":
            return reading.seconds
        if name == "STAT":
            return float(self._status(reading))
        if name == "RES":
            if "RES" not in self._functions:
                return math.nan
            return reading.resistance
        quantity: Quantity = "voltage" if name == "VOLT" else "current"
        return values.get(quantity, reading.level if sourced == quantity else math.nan)

    def _status(self, reading: ChannelReading) -> int:
        """Return the status word: overflow, filter, compliance, functions, range compliance, four-wire."""
        bits = {
            0: reading.over_range,
            1: self._averaging(),
            3: reading.limited,
            11: "voltage" in reading.values,
            12: "current" in reading.values,
            13: "RES" in self._functions,
            14: reading.function == "voltage",
            15: reading.function == "current",
            16: reading.range_limited,
            22: self.channels[0].settings.four_wire,
        }
        return sum(1 << bit for bit, there in bits.items() if there)

    def _statistics(self) -> str:
        if not self._stored:
            raise VirtualInstrumentError(-230)
        of: dict[str, Callable[[FloatArray], np.float64]] = {
            "MEAN": np.mean, "SDEV": _spread, "MAX": np.max, "MIN": np.min, "PKPK": np.ptp
        }  # fmt: skip
        names = [name for name in ("VOLT", "CURR", "RES") if name in self._functions]
        columns = [[self._element(reading, name) for reading in self._stored] for name in names]
        return self.readings([float(of[self._statistic()](np.array(column))) for column in columns])


def _spread(values: FloatArray) -> np.float64:
    return np.float64(values.std(ddof=1)) if len(values) > 1 else np.float64(0.0)
