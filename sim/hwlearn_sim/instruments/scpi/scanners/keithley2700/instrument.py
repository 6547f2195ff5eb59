"""A virtual Keithley 2700, 2701 or 2750: a scanning voltmeter with 7700 multiplexer modules.

Commands and defaults: User's Manuals of the models. It measures DC voltages. Everything that is not simulated is
rejected: other functions, filters, ratio, relative readings, limits, monitor scans, continuous triggering,
triggers other than IMMediate, the buffer (TRACe) except clearing it, channel numbers beside units. Assumptions: a
scan reads its list in rising order and leaves every channel open.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.scanner_channels import Channels, ScannedChannel
from hwlearn_sim.instruments.scanning_voltmeter import ScanningVoltmeter, VoltmeterReading
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, Number, Text, Whole, checked_count
from hwlearn_sim.instruments.scpi.reply_format import scpi_value
from hwlearn_sim.instruments.scpi.scanners.keithley2700 import models as figures
from hwlearn_sim.instruments.scpi.scanners.scanner import INPUT, ScpiScanner, as_list
from hwlearn_sim.instruments.scpi.settings import Setting, Suffixes

_ERRORS: Final = 10
_MOST_READINGS: Final = 55_000
_ELEMENTS: Final = ("READing", "UNITs", "TSTamp", "RNUMber", "CHANnel", "LIMits")
_SHOWN: Final = ("READ", "UNIT", "TST", "RNUM")
_LEAST_LISTED: Final = 2


class VirtualKeithley2700(ScpiScanner):
    """A multimeter/switch system.

    Parameters
    ----------
    identity : str
        Reply to ``*IDN?``.
    channels : Channels
        Its modules.
    voltmeter : ScanningVoltmeter
    clock : Clock
    """

    ranges_V: ClassVar[tuple[float, ...]] = figures.RANGES_V
    over: ClassVar[float] = figures.OVER
    most_V: ClassVar[float] = figures.MOST_V
    form: ClassVar[str] = "%+.8E"

    def __init__(self, identity: str, channels: Channels, voltmeter: ScanningVoltmeter, clock: Clock) -> None:
        super().__init__(identity, channels, voltmeter, clock, _ERRORS)
        self._memory: list[tuple[int, float]] = []
        self._elements: Setting[tuple[str, ...]] = self.kept("elements", _SHOWN)
        self._delay_s = self.kept("delay", 0.0)
        self._automatic = self.kept("automatic delay", True)
        self._scanning = self.kept("scanning", False)
        self._sweeps = self.stored_setting("TRIGger:COUNt", Whole(1, _MOST_READINGS), 1)
        self._samples = self.stored_setting("SAMPle:COUNt", Whole(1, _MOST_READINGS), 1)
        self._autozero = self.stored_setting("SYSTem:AZERo[:STATe]", Flag(), True)
        self._divider = self.stored_setting("[SENSe:]VOLTage[:DC]:IDIVider", Flag(), False)
        self._add_system()
        self._add_routes()
        self._add_volts("[SENSe:]VOLTage[:DC]")
        self._add_triggers()
        self._add_readings()

    def options(self) -> str:
        """Return the module in each slot."""
        slots = range(1, self.channels.model.slots + 1)
        return ", ".join(self.channels.cards.get(slot, "NONE") for slot in slots)

    def reset(self) -> None:
        """Restore the settings of ``*RST``; every channel is open, the scan list and the memory are empty."""
        super().reset()
        self._memory.clear()

    # --- readings -----------------------------------------------------------------------------------

    def _run(self) -> list[tuple[int, float]]:
        """Return the readings of all triggers: channel (0 for the front input) and volts."""
        count = self._sweeps() * self._samples()
        if count > _MOST_READINGS:
            raise VirtualInstrumentError(-221)
        return [(channel, self._scan(channel)) for _, channel in zip(range(count), self._order(), strict=False)]

    def _order(self) -> Iterator[int]:
        """Return the channels in the order of the readings, without an end."""
        if not self._scanning():
            here = min(self.closed, default=INPUT)
            while True:
                yield here
        self.closed.clear()
        while True:
            yield from self.channels.scanned

    def _scan(self, channel: int) -> float:
        """Read a channel; a scan closes it only for its reading."""
        if not self._scanning():
            return self._read(channel, INPUT)
        self.closed.add(channel)
        try:
            return self._read(channel, channel)
        finally:
            self.closed.discard(channel)

    def _reading(self, settings: ScannedChannel) -> VoltmeterReading:
        range_V, nplc = settings.range_V, settings.nplc
        high = not self._divider() and range_V <= figures.HIGH_UP_TO_V
        return VoltmeterReading(
            range_V,
            self._reads_to_V(range_V),
            figures.STEP * range_V,
            figures.noise_V(range_V, nplc),
            nplc,
            self._autozero(),
            figures.HIGH_OHM if high else figures.USUAL_OHM,
            figures.delay_s(range_V) if self._automatic() else self._delay_s(),
        )

    def _text(self, readings: list[tuple[int, float]]) -> str:
        shown = self._elements()
        seconds = self.clock.seconds
        texts = []
        for number, (channel, volts) in enumerate(readings):
            parts = {
                "READ": self.form % scpi_value(volts) + ("VDC" if "UNIT" in shown else ""),
                "TST": f"{seconds:+.3f}" + ("SECS" if "UNIT" in shown else ""),
                "RNUM": f"{number:+06d}" + ("RDNG#" if "UNIT" in shown else ""),
                "CHAN": str(channel),
            }
            texts += [text for name, text in parts.items() if name in shown]
        return ",".join(texts)

    # --- commands -----------------------------------------------------------------------------------

    def _add_system(self) -> None:
        self.simple_command("SYSTem:PRESet", self.reset)
        self.without_effect("DISPlay:ENABle", Flag(), True)
        self.without_effect("DISPlay:TEXT:STATe", Flag(), False, lasting=True)
        self.without_effect("DISPlay:TEXT[:DATA]", Text(), "", lasting=True)
        self.without_effect("SYSTem:BEEPer:STATe", Flag(), True)
        self.nothing("SYSTem:BEEPer[:IMMediate]", least=2, most=2)
        self.without_effect("SYSTem:LSYNc[:STATe]", Flag(), False)
        for pattern in ("ROUTe:MONitor", "ROUTe:MONitor:STATe", "[SENSe:]VOLTage[:DC]:APERture"):
            self.refused(pattern)

    def _add_routes(self) -> None:
        channels = self.channels

        def free() -> None:
            if self._scanning():
                raise VirtualInstrumentError(-221)

        def close(_: Suffixes, arguments: list[str]) -> None:
            (channel, *more) = self._listed(arguments)
            if more:
                raise VirtualInstrumentError(-223)
            free()
            self.closed = {channel}  # any other is opened first

        def close_more(suffixes: Suffixes, arguments: list[str]) -> None:
            free()
            self._close_one_of_all(suffixes, arguments)

        def open_all() -> None:
            self.closed = set()

        def flags(_: Suffixes, arguments: list[str]) -> str:
            return ", ".join(str(int(channel in self.closed)) for channel in self._listed(arguments))

        def listed() -> str:
            return as_list(sorted(self.closed))

        def scan(_: Suffixes, arguments: list[str]) -> None:
            chosen = self._listed(arguments)
            if len(chosen) < _LEAST_LISTED:
                raise VirtualInstrumentError(-221)
            channels.scanned = chosen

        def select(_: Suffixes, arguments: list[str]) -> None:
            name = Choice(("INTernal", "NONE")).read(checked_count(arguments, 1)[0])
            if name == "INT" and not channels.scanned:
                raise VirtualInstrumentError(-221)
            self._scanning.put(name == "INT")

        self.command("ROUTe:CLOSe", close, lambda _, __: listed())
        self.command("ROUTe:CLOSe:STATe", query=flags)
        self.command("ROUTe:MULTiple:CLOSe", close_more, lambda _, __: listed())
        self.command("ROUTe:MULTiple:CLOSe:STATe", query=flags)
        self.command("ROUTe:MULTiple:OPEN", self._open)
        self.simple_command("ROUTe:OPEN:ALL", open_all)
        self.command("ROUTe:SCAN[:INTernal]", scan, lambda _, __: as_list(channels.scanned))
        self.without_effect("ROUTe:SCAN:TSOurce", Choice(("IMMediate",)), "IMM")
        self.command("ROUTe:SCAN:LSELect", select, lambda _, __: "INT" if self._scanning() else "NONE")

    def _add_volts(self, path: str) -> None:
        def function(_: Suffixes, arguments: list[str]) -> None:
            Choice(("VOLTage", "VOLTage:DC")).read(checked_count(arguments, 1, 2)[0])
            self._chosen(arguments[1:])

        self.command("[SENSe:]FUNCtion", function, self._per_channel(lambda _: '"VOLT:DC"'))
        self._add_range(path, "[:UPPer]")
        cycles = Number(figures.LEAST_NPLC, figures.MOST_NPLC, figures.INITIAL.nplc, form=self.form)
        self._add_channel_setting(f"{path}:NPLCycles", cycles, "nplc", lambda one: one.nplc)

    def _add_triggers(self) -> None:
        def continuous(_: Suffixes, arguments: list[str]) -> None:
            if Flag().read(checked_count(arguments, 1)[0]):  # readings beside other commands
                raise VirtualInstrumentError(-241)

        def source(_: Suffixes, arguments: list[str]) -> None:
            names = Choice(("IMMediate", "EXTernal", "TIMer", "MANual", "BUS"))
            if names.read(checked_count(arguments, 1)[0]) != "IMM":
                raise VirtualInstrumentError(-241)

        def delay(_: Suffixes, arguments: list[str]) -> None:
            seconds = Number(0.0, figures.MOST_DELAY_S).read(checked_count(arguments, 1)[0])
            self._delay_s.put(round(seconds, 3))
            self._automatic.put(False)

        def automatic(_: Suffixes, arguments: list[str]) -> None:
            self._automatic.put(Flag().read(checked_count(arguments, 1)[0]))

        self.command("INITiate:CONTinuous", continuous, lambda _, __: "0")
        self.command("TRIGger:SOURce", source, lambda _, __: "IMM")
        self.command("TRIGger:DELay", delay, lambda _, __: self.form % self._delay_s())
        self.command("TRIGger:DELay:AUTO", automatic, lambda _, __: str(int(self._automatic())))
        self.simple_command("ABORt", lambda: None, urgent=True)

    def _add_readings(self) -> None:
        def elements(_: Suffixes, arguments: list[str]) -> None:
            chosen = tuple(Choice(_ELEMENTS).read(text) for text in checked_count(arguments, 1, len(_ELEMENTS)))
            if "LIM" in chosen or {"UNIT", "CHAN"} <= set(chosen):
                raise VirtualInstrumentError(-241)
            self._elements.put(chosen)

        def initiate() -> None:
            self._memory = self._run()

        def read() -> str:
            initiate()
            return self._text(self._memory)

        def fetch() -> str:
            if not self._memory:
                raise VirtualInstrumentError(-230)
            return self._text(self._memory)

        def clear() -> None:
            self._memory = []

        self.command("FORMat:ELEMents", elements, lambda _, __: ",".join(self._elements()))
        self.simple_command("INITiate[:IMMediate]", initiate)
        self.simple_query("READ", read)
        self.simple_query("FETCh", fetch)
        self.simple_command("TRACe:CLEar", clear)
