"""Source and output of a Keithley 2400: protection, delay, automatic output-off, interlock."""

from __future__ import annotations

from typing import Final

from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.scpi.delays import automatic_delay_s
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, Whole, checked_count
from hwlearn_sim.instruments.scpi.settings import Suffixes
from hwlearn_sim.instruments.scpi.smu import ScpiSmu

_TTL_MODES: Final = Choice(("EOTest", "BUSY"))


class Source2400:
    """Parts of the SOURce and OUTPut subsystems (2400 User's Manual p. 18-50, 18-72 to 18-83).

    Parameters
    ----------
    smu : ScpiSmu
        The instrument.
    """

    def __init__(self, smu: ScpiSmu) -> None:
        self._smu, self._channel = smu, smu.channels[0]
        self._add_protection()
        self._add_delay()
        self._add_output()
        self._add_digital_lines()

    # --- protection ---------------------------------------------------------------------------------

    def _add_protection(self) -> None:
        smu, channel = self._smu, self._channel
        limits, most = channel.capability.protections, channel.capability.sources["voltage"].most
        number = smu.number(-most, most, most, "V")
        bounds = smu.number(limits[0], most, most, "V")

        def write(_: Suffixes, arguments: list[str]) -> None:
            """Select the next lower limit; beyond the highest there is none (p. 18-81)."""
            (text,) = checked_count(arguments, 1)
            named = most if text.upper() == "NONE" else bounds.named(text)
            value = abs(number.read(text) if named is None else named)
            below = [limit for limit in limits if limit <= value]
            channel.set_protection(None if value > limits[-1] else float(below[-1] if below else limits[0]))

        def query(_: Suffixes, arguments: list[str]) -> str:
            if checked_count(arguments, 0, 1):
                return bounds.write(bounds.bound(arguments[0]))
            limit = channel.settings.protection_V
            return bounds.write(most if limit is None else limit)

        for level in ("[:LEVel]", ":LIMit"):
            smu.command(f"SOURce#:VOLTage:PROTection{level}", write, query)
        smu.simple_query("SOURce#:VOLTage:PROTection:TRIPped", lambda: str(int(channel.protected)))

    # --- delay --------------------------------------------------------------------------------------

    def _add_delay(self) -> None:
        smu = self._smu
        self._delay = smu.kept("source delay", 0.0)
        self._automatic_delay = smu.stored_setting("SOURce#:DELay:AUTO", Flag(), True)

        def set_delay(_: Suffixes, seconds: float) -> None:
            self._delay.put(seconds)
            self._automatic_delay.put(False)

        smu.setting("SOURce#:DELay", smu.number(0, 999.9999, 0.0, "S"), lambda _: self.delay_s, set_delay)
        # time to settle after an autorange change, which a virtual source does not need
        smu.without_effect("SOURce#:SOAK", smu.number(0, 9999.999, 0.0, "S"), 0.0)

    @property
    def delay_s(self) -> float:
        """The source delay in seconds."""
        return automatic_delay_s(self._channel) if self._automatic_delay() else self._delay()

    # --- output -------------------------------------------------------------------------------------

    def _add_output(self) -> None:
        smu = self._smu
        self._auto_off = smu.stored_setting("SOURce#:CLEar:AUTO", Flag(), False)
        mode = Choice(("ALWays", "TCOunt"))
        self._auto_mode = smu.stored_setting("SOURce#:CLEar:AUTO:MODE", mode, "ALW")
        self._interlock = smu.stored_setting("OUTPut#:ENABle[:STATe]", Flag(), False)

        def switch(_: Suffixes, on: bool) -> None:
            if on:
                self.switch_on()
            else:
                self._channel.set_output(False)

        smu.setting("OUTPut#[:STATe]", Flag(), lambda _: self._channel.settings.output, switch)
        # nothing is connected to the output enable line
        smu.simple_query("OUTPut#:ENABle:TRIPped", lambda: "0")
        smu.simple_command("SOURce#:CLEar[:IMMediate]", lambda: self._channel.set_output(False))
        smu.add_off_state("OUTPut#:SMODe")

        def terminals(_: Suffixes, name: str) -> None:
            if name != self._terminals():
                self._channel.set_output(False)
            self._terminals.put(name)

        self._terminals = smu.kept("terminals", "FRON")
        # the network is connected to both; the output is switched off when they change
        smu.setting("ROUTe:TERMinals", Choice(("FRONt", "REAR")), lambda _: self._terminals(), terminals)

    @property
    def automatic_off(self) -> str | None:
        """When the output is switched off automatically: ALW, TCO, or None for never."""
        return self._auto_mode() if self._auto_off() else None

    def switch_on(self) -> None:
        """Switch the output on, unless the output enable line blocks it."""
        if self._interlock():
            raise VirtualInstrumentError(802, "OUTPUT blocked by output enable")
        self._channel.set_output(True)

    # --- digital lines ------------------------------------------------------------------------------

    def _add_digital_lines(self) -> None:
        """Add the digital output lines, to which nothing is connected."""
        smu = self._smu
        smu.without_effect("SOURce2:TTL[:LEVel][:DEFault]", Whole(0, 15, 15), 15)
        smu.without_effect("SOURce2:TTL4:MODE", _TTL_MODES, "EOT")
        smu.without_effect("SOURce2:TTL4:BSTate", Flag(), False)
        smu.without_effect("SOURce2:BSIZe", Whole(3, 16, 4), 4)
        smu.nothing("SOURce2:CLEar[:IMMediate]")
        smu.without_effect("SOURce2:CLEar:AUTO", Flag(), False)
        smu.without_effect("SOURce2:CLEar:AUTO:DELay", smu.number(0, 60, 1e-4, "S"), 1e-4)
