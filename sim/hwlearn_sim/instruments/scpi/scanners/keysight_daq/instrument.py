"""A virtual Keysight 34970A, 34972A, 34980A or DAQ970A: a scanning voltmeter with multiplexer modules.

Commands and defaults: 34970A User's Guide, chapters 4 and 5; 34980A Programmer's Reference Help. It measures DC
voltages. Everything that is not simulated is rejected: other functions and modules, thermocouples, scaling,
alarms, monitoring, triggers other than ``IMMediate`` and ``TIMer``, endless scans, time stamps. Channels that do
not exist are rejected with the standard codes -222 and -221; the numbers of a real instrument were not confirmed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.scanner_channels import Channels, ScannedChannel
from hwlearn_sim.instruments.scanning_voltmeter import ScanningVoltmeter, VoltmeterReading
from hwlearn_sim.instruments.scpi.language import as_block, spelled
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, Number, checked_count
from hwlearn_sim.instruments.scpi.scanners.keysight_daq import models as figures
from hwlearn_sim.instruments.scpi.scanners.keysight_daq.scans import Scans
from hwlearn_sim.instruments.scpi.scanners.scanner import ScpiScanner
from hwlearn_sim.instruments.scpi.settings import Suffixes

_ERRORS: Final = 10
_FORM: Final = "%+.8E"
_CYCLES: Final = Number(figures.NPLCS[0], figures.NPLCS[-1], 1.0, form=_FORM)
_DELAY: Final = Number(0.0, figures.MOST_DELAY_S, form=_FORM)


class VirtualKeysightDaq(ScpiScanner):
    """A data acquisition unit.

    Parameters
    ----------
    identity : str
        Reply to ``*IDN?``.
    model : DaqModel
    channels : Channels
        Its modules.
    voltmeter : ScanningVoltmeter
    clock : Clock
    """

    ranges_V: ClassVar[tuple[float, ...]] = figures.RANGES_V
    over: ClassVar[float] = figures.OVER
    most_V: ClassVar[float] = figures.MOST_V
    form: ClassVar[str] = "%+.8E"

    def __init__(
        self,
        identity: str,
        model: figures.DaqModel,
        channels: Channels,
        voltmeter: ScanningVoltmeter,
        clock: Clock,
    ) -> None:
        super().__init__(identity, channels, voltmeter, clock, _ERRORS, no_error='+0,"No error"')
        self._model = model
        self._cycles: Counter[int] = Counter()
        self._add_system()
        self._add_routes()
        self._add_measurement()
        self.scans = Scans(self, self._sweep)

    def reset(self) -> None:
        """Restore the settings of the factory; every channel is open, the scan list and the memory are empty."""
        super().reset()
        self.scans.clear()

    # --- one sweep ----------------------------------------------------------------------------------

    def _sweep(self) -> list[tuple[int, float]]:
        """Read each channel of the scan list once, in rising order.

        Every closed channel of a bank that is scanned is opened first; each channel is opened before the next one.
        """
        scanned = self.channels.scanned
        if not scanned:
            raise VirtualInstrumentError(-221)
        banks = {self.channels.bank(channel) for channel in scanned}
        self.closed = {channel for channel in self.closed if self.channels.bank(channel) not in banks}
        return [(channel, self._scan(channel)) for channel in scanned]

    def _scan(self, channel: int) -> float:
        self._close(channel)
        try:
            return self._read(channel, channel)
        finally:
            self.closed.discard(channel)

    def _reading(self, settings: ScannedChannel) -> VoltmeterReading:
        range_V, nplc = settings.range_V, settings.nplc
        high = settings.high_impedance and range_V <= figures.HIGH_UP_TO_V
        return VoltmeterReading(
            range_V,
            self._reads_to_V(range_V),
            figures.step_V(range_V, nplc),
            figures.noise_V(range_V, nplc),
            nplc,
            settings.autozero,
            figures.HIGH_OHM if high else figures.USUAL_OHM,
            _delay_s(settings),
        )

    def _close(self, channel: int) -> None:
        self._cycles[channel] += channel not in self.closed
        self.closed.add(channel)

    # --- commands -----------------------------------------------------------------------------------

    def _open_slot(self, name: str = "ALL") -> None:
        """Open every channel of a slot, or of all."""
        slots = self._model.slot_names
        if name.upper() != "ALL" and name not in slots:
            raise VirtualInstrumentError(-224)
        kept = self.closed if name.upper() != "ALL" else set()
        self.closed = {channel for channel in kept if self.channels.slot_of(channel) != slots[name]}

    def _add_system(self) -> None:
        model, slots = self._model, self._model.slot_names

        def cards(_: Suffixes, arguments: list[str]) -> str:
            (slot,) = checked_count(arguments, 1)
            if slot not in slots:
                raise VirtualInstrumentError(-224)
            card = self.channels.cards.get(slots[slot], "0")
            return model.card_form.format(card=card, firmware="2.0" if card != "0" else "0")

        def power_on(_: Suffixes, arguments: list[str]) -> None:
            self._open_slot(checked_count(arguments, 1)[0])

        def open_all(_: Suffixes, arguments: list[str]) -> None:
            self._open_slot(*checked_count(arguments, 0, 1))

        def cycles(_: Suffixes, arguments: list[str]) -> str:
            return ",".join(f"{self._cycles[channel]:+d}" for channel in self._listed(arguments))

        self.command(model.cycles, query=cycles)
        self.command("SYSTem:CTYPe", query=cards)
        self.command("SYSTem:CPON", power_on)
        if model.opens_all:
            self.command("ROUTe:OPEN:ALL", open_all)
        self.simple_command("SYSTem:PRESet", self.reset)
        self.simple_query("INSTrument:DMM", lambda: "1")
        self.simple_query("INSTrument:DMM:INSTalled", lambda: "1")
        self.without_effect("DISPlay", Flag(), True)
        for name in ("LOCal", "REMote", "RWLock"):
            self.nothing(f"SYSTem:{name}")
        for pattern in ("ROUTe:MONitor:STATe", "ROUTe:MONitor", "CALCulate:SCALe:STATe", "OUTPut:ALARm:MODE"):
            self.refused(pattern)

    def _add_routes(self) -> None:
        channels = self.channels

        def scan(_: Suffixes, arguments: list[str]) -> None:
            channels.scanned = channels.listed(",".join(checked_count(arguments, 1)), may_be_empty=True)

        def close(_: Suffixes, arguments: list[str]) -> None:
            for channel in self._listed(arguments):
                bank = channels.bank(channel)
                before = {other for other in self.closed if channels.bank(other) == bank and other != channel}
                if before and not channels.scanned:  # two channels of a bank would short two nodes
                    raise VirtualInstrumentError(-241)
                self.closed -= before
                self._close(channel)

        def flags(closed: bool) -> Callable[[Suffixes, list[str]], str]:
            def query(_: Suffixes, arguments: list[str]) -> str:
                return ",".join(str(int((one in self.closed) is closed)) for one in self._listed(arguments))

            return query

        def listed(_: Suffixes, arguments: list[str]) -> str:
            checked_count(arguments, 0)
            return as_block(f"(@{','.join(map(str, channels.scanned))})".encode("ascii"))

        self.command("ROUTe:SCAN", scan, listed)
        self.simple_query("ROUTe:SCAN:SIZE", lambda: f"+{len(channels.scanned)}")
        self.command("ROUTe:CLOSe", close, flags(True))
        self.command("ROUTe:OPEN", self._open, flags(False))
        self.simple_query("ROUTe:DONE", lambda: "1")
        self._add_channel_setting(
            "ROUTe:CHANnel:DELay", _DELAY, "set_delay_s", _delay_s, lambda delay: round(delay, 3)
        )

        def automatic(_: Suffixes, arguments: list[str]) -> None:
            value = Flag().read(checked_count(arguments, 1, 2)[0])
            for channel in self._chosen(arguments[1:]):
                channels.change([channel], set_delay_s=None if value else _delay_s(channels[channel]))

        self.command(
            "ROUTe:CHANnel:DELay:AUTO",
            automatic,
            self._per_channel(lambda one: str(int(one.set_delay_s is None))),
        )

    def _add_measurement(self) -> None:
        self.command("CONFigure:VOLTage[:DC]", self._configure)

        def function(_: Suffixes, arguments: list[str]) -> None:
            name = Choice(("VOLTage", "VOLTage:DC")).read(checked_count(arguments, 1, 2)[0])
            del name  # the only function that is simulated
            self._chosen(arguments[1:])

        self.command("[SENSe:]FUNCtion", function, self._per_channel(lambda _: '"VOLT"'))
        self._add_volts("[SENSe:]VOLTage[:DC]")
        self._add_channel_setting(self._model.zero, _Zero(), "autozero", lambda one: one.autozero)
        self._add_channel_setting(self._model.impedance, Flag(), "high_impedance", lambda one: one.high_impedance)

    def _add_volts(self, path: str) -> None:
        channels = self.channels

        def resolution(_: Suffixes, arguments: list[str]) -> None:
            for channel in self._chosen(checked_count(arguments, 1, 2)[1:]):
                range_V = channels[channel].range_V
                channels.change([channel], nplc=_cycles_for(arguments[0], range_V))

        self._add_range(path)
        self._add_channel_setting(f"{path}:NPLC", _CYCLES, "nplc", lambda one: one.nplc, _next_cycles)
        self.command(
            f"{path}:RESolution",
            resolution,
            self._per_channel(lambda one: self.form % figures.step_V(one.range_V, one.nplc)),
        )
        self.refused(f"{path}:APERture")

    def _chosen(self, arguments: Sequence[str]) -> tuple[int, ...]:
        """Return the channels of a list that may be left out: then the scan list."""
        if not arguments and not self.channels.scanned:
            raise VirtualInstrumentError(-221)
        return self._listed(list(arguments)) if arguments else self.channels.scanned

    def _configure(self, _: Suffixes, arguments: list[str]) -> None:
        """Set range and resolution of channels, which become the scan list; everything else as after a reset."""
        *given, text = checked_count(arguments, 1, 3)
        chosen = self.channels.listed(text)
        automatic = not given or any(spelled(given[0], word) for word in ("AUTO", "DEFault"))
        range_V = self._range_for(figures.MOST_V if automatic else Number(0.0, figures.MOST_V).read(given[0]))
        if automatic and len(given) > 1 and not spelled(given[1], "DEFault"):
            raise VirtualInstrumentError(-221)
        nplc = _cycles_for(given[1], range_V) if len(given) > 1 else 1.0
        new = ScannedChannel(range_V, automatic, nplc, autozero=nplc >= 1)
        self.channels.change(chosen, **{name: getattr(new, name) for name in ScannedChannel.__slots__})
        self.channels.scanned = chosen
        self.scans.plain_format()


class _Zero(Flag):
    """ON, OFF or ONCE, which takes one zero reading and means off."""

    def read(self, text: str) -> bool:
        """Return whether automatic zero readings are on."""
        return False if spelled(text, "ONCE") else super().read(text)


def _delay_s(settings: ScannedChannel) -> float:
    return figures.delay_s(settings.nplc) if settings.set_delay_s is None else settings.set_delay_s


def _next_cycles(nplc: float) -> float:
    """Return the integration time that is selected for a requested one: the next longer one."""
    return next(one for one in figures.NPLCS if one >= nplc * (1 - 1e-9))


def _cycles_for(text: str, range_V: float) -> float:
    """Return the shortest integration time with a resolution, which may be MIN (best), MAX or DEF."""
    steps = {nplc: figures.step_V(range_V, nplc) for nplc in figures.NPLCS}
    named: Sequence[tuple[str, float]] = (("MINimum", 200.0), ("MAXimum", 0.02), ("DEFault", 1.0))
    for word, nplc in named:
        if spelled(text, word):
            return nplc
    wanted = Number(0.0, math.inf).read(text)
    fitting = [nplc for nplc, step in steps.items() if step <= wanted * (1 + 1e-9)]
    if not fitting:
        raise VirtualInstrumentError(-222)
    return fitting[0]
