"""A virtual Keithley 2450 SourceMeter with its SCPI command set.

Commands and defaults: Model 2450 Reference Manual, sections 2 and 6. The resolutions are those of the data sheet.
The noise is an assumption of this project: 1 ppm of range at one power-line cycle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from hwlearn_sim.instruments.capability import LINE_HZ, OTHER, QUANTITIES, ChannelCapability, ChannelReading
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.ranges import Quantity, Ranges
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, Number, Text, Whole, checked_count, items
from hwlearn_sim.instruments.scpi.reading_buffers import Buffers, Stored
from hwlearn_sim.instruments.scpi.smu import MNEMONIC, UNIT, ScpiSmu
from hwlearn_sim.instruments.scpi.source_levels import ramp, stepped

_VOLTS: Final = (0.02, 0.2, 2.0, 20.0, 200.0)
_AMPS: Final = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)

CAPABILITY: Final = ChannelCapability(
    measures={
        "voltage": Ranges.decades(_VOLTS, 2_000_000, 1e-6),
        "current": Ranges.decades(_AMPS, 1_000_000, 1e-6),
    },
    sources={"voltage": Ranges.decades(_VOLTS, 40_000), "current": Ranges.decades(_AMPS, 20_000)},
    default_limits={"current": 105e-6, "voltage": 21.0},
    least_limits={"current": 1e-9, "voltage": 0.02},
    nplc=(0.01, 10.0),
    off_fraction=0.1,
)
_SENSED: Final = {"VOLT": '"VOLT:DC"', "CURR": '"CURR:DC"', "RES": '"RES"'}


class VirtualKeithley2450(ScpiSmu):
    """A Keithley 2450 connected to one node of the plane.

    Parameters
    ----------
    channel : VirtualChannel
        Channel with this model's `CAPABILITY`.
    clock : Clock
        The instrument's clock.
    serial : str
        Serial number.
    """

    swapped_at_reset = True

    def __init__(self, channel: VirtualChannel, clock: Clock, serial: str = "04000001") -> None:
        identity = f"KEITHLEY INSTRUMENTS,MODEL 2450,{serial},1.7.12b"
        super().__init__(identity, [channel], clock, error_capacity=1000, no_error='0,"No error;0;0 0"')
        self._language = "SCPI"
        self.tree.trailing_comma = True
        self._set_defaults()
        self.add_source("SOURce#:", "SOURce#:FUNCtion[:MODE]")
        self.add_meter("[SENSe#:]", one_nplc=False)
        self.add_limit("SOURce#:VOLTage:ILIMit", "current")
        self.add_limit("SOURce#:CURRent:VLIMit", "voltage")
        self.add_output("OUTPut#[:STATe]")
        self.add_off_state("OUTPut#:SMODe")
        self.add_format()
        self._add_sense()
        self._add_source_extras()
        self._add_readings()
        self._add_sweeps()
        self._add_system()
        self.buffers.add_commands(self)

    def _set_defaults(self) -> None:
        self._sensed = "CURR"
        self.buffers = Buffers()
        self._lists: dict[Quantity, list[float]] = {"voltage": [], "current": []}
        self._planned: Callable[[], None] | None = None

    def reset(self) -> None:
        """Restore the power-on settings; the output is switched off first."""
        super().reset()
        self._sensed = "CURR"
        self.buffers.reset()
        self._lists = {"voltage": [], "current": []}
        self._planned = None

    def error_text(self, text: str) -> str:
        """Return the text in the format of the event log, with type and time."""
        return f"{text};1;2000/01/01 00:00:{self.clock.seconds % 60:06.3f}"

    # --- commands -----------------------------------------------------------------------------------

    def _add_sense(self) -> None:
        functions = Choice(("VOLTage", "CURRent", "RESistance", "VOLTage:DC", "CURRent:DC"))

        def choose(_: tuple[int, ...], arguments: list[str]) -> None:
            (name,) = items(functions, checked_count(arguments, 1), 1)
            self._sensed = name.removesuffix(":DC")

        self.command("[SENSe#:]FUNCtion[:ON]", choose, lambda _, __: _SENSED[self._sensed])
        self._count = self.stored_setting("[SENSe#:]COUNt", Whole(1, 300_000, 1), 1)
        self.simple_command("[SENSe#:]AZERo:ONCE", lambda: None)
        self._averaging, self._averages = {}, {}
        for short, name in (("VOLT", "VOLTage[:DC]"), ("CURR", "CURRent[:DC]"), ("RES", "RESistance")):
            base = f"[SENSe#:]{name}"
            self._averaging[short] = self.stored_setting(f"{base}:AVERage[:STATe]", Flag(), False)
            self._averages[short] = self.stored_setting(f"{base}:AVERage:COUNt", Whole(1, 100, 10), 10)
            self.stored_setting(f"{base}:AVERage:TCONtrol", Choice(("REPeat", "MOVing")), "REP")
            self.stored_setting(f"{base}:AZERo[:STATe]", Flag(), True)
            self.stored_setting(f"{base}:DELay:USER#", self.number(0, 1e4, 0.0, "S"), 0.0)
            self.stored_setting(f"{base}:UNIT", Choice(("VOLT", "AMP", "OHM", "WATT")), short[:4])
            self.channel_setting(
                f"{base}:RSENse",
                Flag(),
                lambda channel: channel.settings.four_wire,
                VirtualChannel.set_four_wire,
            )
        self.stored_setting("[SENSe#:]RESistance:RANGe[:UPPer]", self.number(20, 2e8, 2e5, "OHM"), 2e5)
        self.stored_setting("[SENSe#:]RESistance:RANGe:AUTO", Flag(), True)
        self.channel_setting(
            "[SENSe#:]RESistance:NPLCycles",
            self.number(*CAPABILITY.nplc, 1.0),
            lambda channel: channel.settings.nplc["voltage"],
            VirtualChannel.set_nplc,
        )

    def _add_source_extras(self) -> None:
        self._read_back, self._delays = {}, {}
        for quantity, name in MNEMONIC.items():
            base = f"SOURce#:{name}"
            self._read_back[quantity] = self.stored_setting(f"{base}:READ:BACK", Flag(), True)
            self._delays[quantity] = self.stored_setting(f"{base}:DELay", self.number(0, 1e4, 0.0, "S"), 0.0)
            self.stored_setting(f"{base}:DELay:AUTO", Flag(), True)
            self.stored_setting(f"{base}:DELay:USER#", self.number(0, 1e4, 0.0, "S"), 0.0)
            self.stored_setting(f"{base}:HIGH:CAPacitance", Flag(), False)
            protections = Choice(("PROT2", "PROT20", "PROT40", "NONE"))
            self.stored_setting(f"{base}:PROTection[:LEVel]", protections, "NONE")
            self.add_off_state(f"OUTPut#:{name}:SMODe", quantity)

    def _add_readings(self) -> None:
        self.command("READ", query=lambda _, arguments: self._read(arguments))
        self.command("FETCh", query=lambda _, arguments: self._fetch(arguments))
        self.command("MEASure", query=lambda _, arguments: self._read(arguments))
        for short, name in (("VOLT", "VOLTage[:DC]"), ("CURR", "CURRent[:DC]"), ("RES", "RESistance")):
            self.command(f"MEASure:{name}", query=partial(self._read_function, short))
        self.command("TRACe:TRIGger", lambda _, arguments: self._measure(self._buffer_of(arguments)))
        self.simple_command("INITiate[:IMMediate]", self._initiate)
        for pattern in ("ABORt", "*TRG"):
            self.simple_command(pattern, lambda: None)

    def _add_sweeps(self) -> None:
        for quantity, name in MNEMONIC.items():
            ranges = CAPABILITY.sources[quantity]
            level = self.number(-ranges.most, ranges.most, 0.0, UNIT[quantity])
            self.add_source_list(f"SOURce#:LIST:{name}", level, lambda _: self._lists, quantity, 100, 100_000)
            for spacing in ("LINear", "LOGarithmic"):
                self.command(f"SOURce#:SWEep:{name}:{spacing}", partial(self._plan_ramp, quantity, level, spacing))
            self.command(f"SOURce#:SWEep:{name}:LIST", partial(self._plan_list, quantity))

    def _add_system(self) -> None:
        def language(_: tuple[int, ...], arguments: list[str]) -> None:
            (text,) = checked_count(arguments, 1)
            Choice(("SCPI", "TSP", "SCPI2400")).read(text)  # takes effect at the next power cycle

        self.command("*LANG", language, lambda _, __: self._language)
        self.simple_command("STATus:CLEar", self._clear_status)
        self.simple_query("SYSTem:LFRequency", lambda: f"{LINE_HZ:g}")
        self.simple_query("SYSTem:EVENtlog[:NEXT]", self.next_error)
        self.command("SYSTem:EVENtlog:COUNt", query=lambda _, __: str(len(self.errors)))
        self.command("SYSTem:BEEPer[:IMMediate]", lambda _, arguments: None)
        self.stored_setting("ROUTe:TERMinals", Choice(("FRONt", "REAR")), "FRON")
        self.command("DISPlay:SCReen", lambda _, arguments: None)
        self.command("DISPlay:CLEar", lambda _, arguments: None)
        for number in (1, 2):
            self.stored_setting(f"DISPlay:USER{number}:TEXT[:DATA]", Text(), "")
        self.stored_setting("FORMat:ASCii:PRECision", Whole(0, 16, 0), 0)

    # --- readings -----------------------------------------------------------------------------------

    def _buffer_of(self, arguments: Sequence[str]) -> str:
        checked_count(arguments, 0, 1)
        return self.buffers.checked_name(arguments[0]) if arguments else "defbuffer1"

    def _read_function(self, sensed: str, _: tuple[int, ...], arguments: list[str]) -> str:
        self._sensed = sensed
        return self._read(arguments)

    def _read(self, arguments: list[str]) -> str:
        name = self.buffers.checked_name(arguments[0]) if arguments else "defbuffer1"
        elements = self.buffers.elements(arguments[1:])
        self._measure(name)
        return self.buffers.formatted(self, self.buffers.readings(name)[-1:], elements)

    def _fetch(self, arguments: list[str]) -> str:
        name = self.buffers.checked_name(arguments[0]) if arguments else "defbuffer1"
        elements = self.buffers.elements(arguments[1:])
        return self.buffers.formatted(self, self.buffers.readings(name)[-1:], elements)

    def _measure(self, buffer: str) -> None:
        for _ in range(self._count()):
            self._measure_once(buffer)

    def _measure_once(self, buffer: str) -> ChannelReading:
        channel = self.channels[0]
        settings = channel.settings
        settings.average = self._averages[self._sensed]() if self._averaging[self._sensed]() else 1
        settings.delay_s = self._delays[settings.function]()
        needed: set[Quantity] = set(QUANTITIES) if self._sensed == "RES" else {_quantity(self._sensed)}
        if self._read_back[settings.function]():
            needed.add(settings.function)
        reading = channel.measure(*sorted(needed))
        self.buffers.store(buffer, Stored(reading, self._value(reading), self._sensed))
        return reading

    def _value(self, reading: ChannelReading) -> float:
        return reading.resistance if self._sensed == "RES" else reading.values[_quantity(self._sensed)]

    # --- sweeps -------------------------------------------------------------------------------------

    def _plan_ramp(
        self, quantity: Quantity, level: Number, spacing: str, _: tuple[int, ...], arguments: list[str]
    ) -> None:
        """Plan ``start, stop, points[, delay[, count[, range[, fail abort[, dual[, buffer]]]]]]``."""
        given = list(checked_count(arguments, 3, 9))
        given += ["-1", "1", "BEST", "ON", "OFF", '"defbuffer1"'][len(given) - 3 :]
        start, stop = level.read(given[0]), level.read(given[1])
        points = Whole(2, 1_000_000).read(given[2])
        delay, count = self.number(-1, 1e4, -1.0, "S").read(given[3]), Whole(0, 268_435_455).read(given[4])
        Choice(("AUTO", "BEST", "FIXed")).read(given[5])
        abort, dual, buffer = Flag().read(given[6]), Flag().read(given[7]), self.buffers.checked_name(given[8])
        levels = ramp(start, stop, points, logarithmic=spacing == "LOGarithmic")
        self._plan(quantity, levels + levels[::-1] if dual else levels, delay, count, abort, buffer)

    def _plan_list(self, quantity: Quantity, _: tuple[int, ...], arguments: list[str]) -> None:
        """Plan ``[first[, delay[, count[, fail abort[, buffer]]]]]`` of the source list."""
        given = list(checked_count(arguments, 0, 5))
        given += ["1", "-1", "1", "ON", '"defbuffer1"'][len(given) :]
        if not self._lists[quantity]:
            raise VirtualInstrumentError(-221)
        first = Whole(1, len(self._lists[quantity])).read(given[0])
        delay, count = self.number(-1, 1e4, -1.0, "S").read(given[1]), Whole(0, 268_435_455).read(given[2])
        abort, buffer = Flag().read(given[3]), self.buffers.checked_name(given[4])
        self._plan(quantity, self._lists[quantity][first - 1 :], delay, count, abort, buffer)

    def _plan(
        self, quantity: Quantity, levels: list[float], delay: float, count: int, abort: bool, buffer: str
    ) -> None:
        if count == 0 or count * len(levels) > 1_000_000:
            raise VirtualInstrumentError(-221)  # endless, or more points than the buffer can store

        def run() -> None:
            channel = self.channels[0]
            channel.set_function(quantity)
            if self._sensed != "RES":
                self._sensed = "CURR" if OTHER[quantity] == "current" else "VOLT"
            self.buffers.clear(buffer)
            with stepped(channel, levels) as steps:
                next(steps)
                channel.set_output(True)
                try:
                    for k in range(count * len(levels)):
                        if k:
                            next(steps)
                        self.clock.advance(max(delay, 0.0))
                        if self._measure_once(buffer).limited and abort:
                            break
                finally:
                    channel.set_output(False)

        self._planned = run

    def _initiate(self) -> None:
        if self._planned is None:
            raise VirtualInstrumentError(-200)
        self._planned()


def _quantity(short: str) -> Quantity:
    return "voltage" if short == "VOLT" else "current"
