"""A virtual Keithley DAQ6510: a scanning voltmeter with 7700 multiplexer modules.

Commands and replies: see `hwlearn_drivers.scanner.models.daq6510`. It measures DC voltages at its rear
terminals, in the SCPI command set. Rejected: other functions, buffers besides ``defbuffer1`` and other elements
than CHANnel and READing, monitored scans, alarms, more than one closed channel, more than 10,000 readings.
Assumptions: a scan reads its list in rising order and leaves every channel open; ``ROUT:CLOS?`` answers with a
list as ``ROUT:SCAN?`` does; an empty slot answers with an empty line; replies for several channels are separated
by semicolons, as those of ``SENS:FUNC?`` are.
"""

from __future__ import annotations

from typing import ClassVar, Final

from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.scanner_channels import Channels, ScannedChannel
from hwlearn_sim.instruments.scanning_voltmeter import ScanningVoltmeter, VoltmeterReading
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, Number, Text, Whole, checked_count
from hwlearn_sim.instruments.scpi.reply_format import scpi_value
from hwlearn_sim.instruments.scpi.scanners.daq6510 import models as figures
from hwlearn_sim.instruments.scpi.scanners.keithley2700 import models as meter
from hwlearn_sim.instruments.scpi.scanners.scanner import INPUT, ScpiScanner, as_list
from hwlearn_sim.instruments.scpi.settings import Suffixes

_MOST_READINGS: Final = 10_000


class VirtualDaq6510(ScpiScanner):
    """A data acquisition and multimeter system.

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
    over: ClassVar[float] = meter.OVER
    most_V: ClassVar[float] = meter.MOST_V
    separator: ClassVar[str] = ";"
    form: ClassVar[str] = "%.6E"

    def __init__(self, identity: str, channels: Channels, voltmeter: ScanningVoltmeter, clock: Clock) -> None:
        super().__init__(identity, channels, voltmeter, clock)
        self._memory: list[tuple[int, float]] = []
        self._sweeps = self.stored_setting("ROUTe:SCAN:COUNt:SCAN", Whole(1, _MOST_READINGS), 1)
        self._add_system()
        self._add_routes()
        self._add_volts("[SENSe:]VOLTage[:DC]")
        self._add_readings()

    def reset(self) -> None:
        """Restore the settings of ``*RST``; every channel is open, the scan list and the memory are empty."""
        super().reset()
        self._memory.clear()

    # --- readings -----------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """Read each channel of the scan list, as often as is set; without a list, what is closed now."""
        scanned = self.channels.scanned
        if self._sweeps() * max(len(scanned), 1) > _MOST_READINGS:
            raise VirtualInstrumentError(-221)
        if not scanned:
            self._memory.append((min(self.closed, default=INPUT), self._single()))
            return
        self.closed.clear()
        for _ in range(self._sweeps()):
            for channel in scanned:
                self.closed.add(channel)
                try:
                    self._memory.append((channel, self._read(channel, channel)))
                finally:
                    self.closed.discard(channel)

    def _single(self) -> float:
        """Read the closed channel; nothing is connected otherwise."""
        here = min(self.closed, default=INPUT)
        return self._read(here, here)

    def _reading(self, settings: ScannedChannel) -> VoltmeterReading:
        range_V, nplc = settings.range_V, settings.nplc
        high = settings.high_impedance and range_V <= meter.HIGH_UP_TO_V
        delay_s = meter.delay_s(range_V) if settings.set_delay_s is None else settings.set_delay_s
        return VoltmeterReading(
            range_V,
            self._reads_to_V(range_V),
            meter.STEP * range_V,
            figures.noise_V(range_V, nplc),
            nplc,
            settings.autozero,
            meter.HIGH_OHM if high else meter.USUAL_OHM,
            delay_s,
        )

    # --- commands -----------------------------------------------------------------------------------

    def _add_system(self) -> None:
        def language(_: Suffixes, arguments: list[str]) -> None:
            if checked_count(arguments, 1)[0].upper() != "SCPI":
                raise VirtualInstrumentError(-241)

        def card(suffixes: Suffixes, arguments: list[str]) -> str:
            checked_count(arguments, 0)
            (slot,) = suffixes
            if not 1 <= slot <= self.channels.model.slots:
                raise VirtualInstrumentError(-114)
            here = self.channels.cards.get(slot)
            return "" if here is None else figures.CARD_FORM.format(card=here, serial=f"12000{slot}")

        self.command("*LANG", language, lambda _, __: "SCPI")
        self.command("SYSTem:CARD#:IDN", query=card)
        self.simple_query("ROUTe:TERMinals", lambda: "REAR")
        self.without_effect("DISPlay:SCReen", Choice(("HOME", "SWIPE_SCAN")), "HOME", lasting=True)
        self.nothing("SYSTem:BEEPer[:IMMediate]", least=2, most=2)
        for pattern in ("ROUTe:SCAN:MONitor:MODE", "ROUTe:SCAN:BUFFer", "[SENSe:]VOLTage[:DC]:APERture"):
            self.refused(pattern)

    def _add_routes(self) -> None:
        channels = self.channels

        def scan(_: Suffixes, arguments: list[str]) -> None:
            channels.scanned = self._listed(arguments)

        def scanned(_: Suffixes, arguments: list[str]) -> str:
            checked_count(arguments, 0)
            return as_list(channels.scanned)

        self.command("ROUTe[:CHANnel]:CLOSe", self._close_one_of_all, lambda _, __: as_list(sorted(self.closed)))
        self.command("ROUTe[:CHANnel]:OPEN", self._open)
        self.simple_command("ROUTe[:CHANnel]:OPEN:ALL", self.closed.clear)
        self.command("ROUTe:SCAN[:CREate]", scan, scanned)
        self.simple_query("ROUTe:SCAN:COUNt:STEP", lambda: str(len(channels.scanned)))
        delay = Number(0.0, figures.MOST_DELAY_S, form=self.form)
        self._add_channel_setting("ROUTe:CHANnel:DELay", delay, "set_delay_s", lambda one: one.set_delay_s or 0.0)

    def _add_volts(self, path: str) -> None:
        def function(_: Suffixes, arguments: list[str]) -> None:
            name = Text().read(checked_count(arguments, 1, 2)[0])
            Choice(("VOLTage", "VOLTage:DC")).read(name)
            self._chosen(arguments[1:])

        def impedance(_: Suffixes, arguments: list[str]) -> None:
            chosen = self._chosen(checked_count(arguments, 1, 2)[1:])
            high = Choice(("AUTO", "MOHM10")).read(arguments[0]) == "AUTO"
            self.channels.change(chosen, high_impedance=high)

        self.command("[SENSe:]FUNCtion[:ON]", function, self._per_channel(lambda _: '"VOLT:DC"'))
        self._add_range(path, "[:UPPer]")
        self.command(
            f"{path}:INPutimpedance",
            impedance,
            self._per_channel(lambda one: "AUTO" if one.high_impedance else "MOHM10"),
        )
        cycles = Number(figures.LEAST_NPLC, figures.MOST_NPLC, figures.INITIAL.nplc, form=self.form)
        self._add_channel_setting(f"{path}:NPLCycles", cycles, "nplc", lambda one: one.nplc)
        self._add_channel_setting(f"{path}:AZERo[:STATe]", Flag(), "autozero", lambda one: one.autozero)

    def _add_readings(self) -> None:
        def read() -> str:
            return self.form % scpi_value(self._single())

        def data(_: Suffixes, arguments: list[str]) -> str:
            first, last, *rest = checked_count(arguments, 2, 5)
            if rest and Text().read(rest[0]) != "defbuffer1":
                raise VirtualInstrumentError(-241)
            names = [Choice(("CHANnel", "READing")).read(one) for one in rest[1:]] or ["READ"]
            begin, end = (Whole(1, _MOST_READINGS).read(one) for one in (first, last))
            if end > len(self._memory):
                raise VirtualInstrumentError(-222)
            shown = [
                {"CHAN": str(channel), "READ": self.form % scpi_value(volts)}
                for channel, volts in self._memory[begin - 1 : end]
            ]
            return ",".join(one[name] for one in shown for name in names)

        def clear(_: Suffixes, arguments: list[str]) -> None:
            if checked_count(arguments, 0, 1) and Text().read(arguments[0]) != "defbuffer1":
                raise VirtualInstrumentError(-241)
            self._memory.clear()

        self.simple_command("INITiate[:IMMediate]", self._sweep)
        self.simple_command("ABORt", lambda: None, urgent=True)
        self.simple_query("READ", read)
        self.command("TRACe:CLEar", clear)
        self.command("TRACe:ACTual", query=lambda _, arguments: str(len(self._memory)))
        self.command("TRACe:DATA", query=data)
