"""A virtual Keysight B2900 source-measure unit with one or two channels.

Commands and defaults: Agilent B2900 SCPI Command Reference, edition 2; SENSe:DATA, TRACe and READ as in the sister
manual of the B2961A, edition 6. Two points have no second source: the functions that are measured after a reset
(here: voltage and current), and the current limit in the normal output-off state (here: 100 uA).
"""

from __future__ import annotations

from collections.abc import Sequence

from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.scpi.keysightb2900.models import MODELS, ModelB2900
from hwlearn_sim.instruments.scpi.keysightb2900.readings import ReadingsB2900
from hwlearn_sim.instruments.scpi.keysightb2900.sense import SenseB2900
from hwlearn_sim.instruments.scpi.keysightb2900.sweeps import SourceB2900
from hwlearn_sim.instruments.scpi.keysightb2900.traces import TracesB2900
from hwlearn_sim.instruments.scpi.keysightb2900.triggers import TriggerModelB2900
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag, Text
from hwlearn_sim.instruments.scpi.settings import Suffixes
from hwlearn_sim.instruments.scpi.setups import add_setups
from hwlearn_sim.instruments.scpi.smu import MNEMONIC, ScpiSmu


class VirtualKeysightB2900(ScpiSmu):
    """A Keysight B2900 connected to nodes of the plane.

    Parameters
    ----------
    channels : sequence of VirtualChannel
        Channels with the capability of the model.
    clock : Clock
        The instrument's clock.
    serial : str
        Serial number.
    model : ModelB2900
        The model.
    """

    form = "%+.6E"
    definite_blocks = True

    def __init__(
        self,
        channels: Sequence[VirtualChannel],
        clock: Clock,
        serial: str = "MY51140001",
        model: ModelB2900 = MODELS["B2902A"],
    ) -> None:
        identity = f"Keysight Technologies,{model.number},{serial},3.4.2011.5100"
        super().__init__(identity, channels, clock, error_capacity=100, no_error='+0,"No error"')
        self.add_source("[SOURce#:]", "[SOURce#:]FUNCtion:MODE")
        self.add_meter("SENSe#:", one_nplc=False)
        for quantity, name in MNEMONIC.items():
            self.add_limit(f"SENSe#:{name}[:DC]:PROTection", quantity, "[:LEVel][:BOTH]")
        self.add_output("OUTPut#[:STATe]")
        self.add_format()
        self._sense, self._source = SenseB2900(self), SourceB2900(self)
        self._readings = ReadingsB2900(self, self._sense)
        self._traces = TracesB2900(self, self._readings)
        model_of_triggers = TriggerModelB2900(self, self._sense, self._source, self._readings)
        self._readings.add_commands(model_of_triggers.initiate)
        self._add_system()
        add_setups(self, 4, preset=False)

    def reset(self) -> None:
        """Restore the power-on settings; the outputs are switched off first."""
        super().reset()
        self._readings.clear()
        self._traces.clear()

    def check_source_change(self, channel: VirtualChannel) -> None:
        """End automatic ohms of a channel: resistance is then measured with the source as it is set."""
        self._sense.automatic_ohms((self.channels.index(channel) + 1,)).leave()

    def trigger_pin(self, number: int) -> None:
        """Give a trigger on a digital pin."""
        self.give_event(f"EXT{number}")

    def _add_system(self) -> None:
        frequency = self.kept("line frequency", "50", lasting=True)

        def set_frequency(_: Suffixes, hertz: str) -> None:
            frequency.put(hertz)
            for channel in self.channels:
                channel.line_Hz = float(hertz)

        self.setting("SYSTem:LFRequency", Choice(("50", "60")), lambda _: frequency(), set_frequency)
        self.nothing("SYSTem:BEEPer[:IMMediate]", most=2)
        self.without_effect("SYSTem:BEEPer:STATe", Flag(), True)
        for name in ("LOCal", "REMote", "RWLock"):
            self.nothing(f"SYSTem:COMMunicate:{name}")
        self.simple_command("SYSTem:PRESet", self.reset, urgent=True)
        self.simple_query("SYSTem:INTerlock:TRIPped", lambda: "0")
        self.simple_query("SYSTem:TIME:TIMer:COUNt", lambda: f"{self.clock.seconds:+.6E}")
        self.simple_command("SYSTem:TIME:TIMer:COUNt:RESet[:IMMediate]", self.clock.reset)
        self.without_effect("DISPlay:ENABle", Flag(), True)
        self.without_effect("DISPlay:VIEW", Choice(("SINGle1", "SINGle2", "DUAL", "GRAPh", "ROLL")), "SINGle1")
        self.without_effect("DISPlay[:WINDow]:TEXT:DATA", Text(), "")
        self.without_effect("DISPlay[:WINDow]:TEXT:STATe", Flag(), False)
