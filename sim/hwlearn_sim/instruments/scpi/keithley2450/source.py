"""Source of a Keithley 2450: protection, delays, read-back, output-off states."""

from __future__ import annotations

from typing import Final

from hwlearn_sim.instruments.capability import QUANTITIES
from hwlearn_sim.instruments.ranges import Quantity
from hwlearn_sim.instruments.scpi.delays import automatic_delay_s
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag
from hwlearn_sim.instruments.scpi.settings import Setting, Suffixes
from hwlearn_sim.instruments.scpi.smu import MNEMONIC, ScpiSmu

USER_DELAYS: Final = 5
"""Number of user delays of each function."""


class Source2450:
    """Parts of the SOURce and OUTPut subsystems (2450 Reference Manual p. 6-64 to 6-80).

    Parameters
    ----------
    smu : ScpiSmu
        The instrument.
    """

    def __init__(self, smu: ScpiSmu) -> None:
        self._smu, self._channel = smu, smu.channels[0]
        self._settled: tuple[object, ...] = ()
        self._read_back: dict[Quantity, Setting[bool]] = {}
        self._delays: dict[Quantity, Setting[float]] = {}
        self._automatic: dict[Quantity, Setting[bool]] = {}
        self._high_capacitance: dict[Quantity, Setting[bool]] = {}
        self._user_delays: dict[Quantity, Setting[float]] = {}
        for quantity, name in MNEMONIC.items():
            self._add_quantity(quantity, f"SOURce#:{name}")
            smu.add_off_state(f"OUTPut#:{name}:SMODe", quantity)
        smu.add_off_state("OUTPut#:SMODe")
        self._add_protection()
        # the interlock is closed: voltages above 42 V are available
        smu.simple_query("OUTPut#:INTerlock:TRIPped", lambda: "1")

    def _add_quantity(self, quantity: Quantity, base: str) -> None:
        smu = self._smu
        self._read_back[quantity] = smu.stored_setting(f"{base}:READ:BACK", Flag(), True)
        self._delays[quantity] = smu.kept(f"{base}:DELay", 0.0)
        self._automatic[quantity] = smu.stored_setting(f"{base}:DELay:AUTO", Flag(), True)
        self._high_capacitance[quantity] = smu.stored_setting(f"{base}:HIGH:CAPacitance", Flag(), False)
        seconds = smu.number(0, 1e4, 0.0, "S")
        self._user_delays[quantity] = smu.stored_setting(f"{base}:DELay:USER#", seconds, 0.0)

        def set_delay(_: Suffixes, value: float) -> None:
            self._delays[quantity].put(value)
            self._automatic[quantity].put(False)

        smu.setting(f"{base}:DELay", seconds, lambda _: self.delay_s(quantity), set_delay)

    def _add_protection(self) -> None:
        smu, channel = self._smu, self._channel
        limits = {f"PROT{limit:g}": float(limit) for limit in channel.capability.protections}

        def protect(_: Suffixes, name: str) -> None:
            channel.set_protection(limits.get(name))

        def protection(_: Suffixes) -> str:
            limit = channel.settings.protection_V
            return "NONE" if limit is None else f"PROT{limit:g}"

        kind = Choice((*limits, "NONE"))
        for quantity in QUANTITIES:
            base = f"SOURce#:{MNEMONIC[quantity]}:PROTection[:LEVel]"
            smu.setting(base, kind, protection, protect)
            smu.simple_query(f"{base}:TRIPped", lambda: str(int(channel.protected)))

    # --- what the model uses ------------------------------------------------------------------------

    @property
    def read_back(self) -> bool:
        """Whether readings include a measurement of the source."""
        return self._read_back[self._channel.settings.function]()

    def delay_s(self, quantity: Quantity) -> float:
        """Return the source delay of a function in seconds."""
        if not self._automatic[quantity]():
            return self._delays[quantity]()
        return automatic_delay_s(self._channel, high_capacitance=self._high_capacitance[quantity]())

    def user_delay_s(self, number: int) -> float:
        """Return a user delay of the source function in seconds."""
        return self._user_delays[self._channel.settings.function]((1, number))

    def settle(self) -> None:
        """Wait for the source delay if the output or the level changed since the last reading (2461 p. 6-89)."""
        settings = self._channel.settings
        state = (settings.output, settings.function, settings.levels[settings.function])
        if state == self._settled:
            return
        self._settled = state
        if settings.output:
            self._smu.clock.advance(self.delay_s(settings.function))
