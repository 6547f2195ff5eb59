"""A virtual Keithley 2400 SourceMeter, and its siblings. Pulses of a 2430 are not modelled.

Commands, order of the data elements and defaults: Series 2400 SourceMeter User's Manual (2400S-900-01), sections
3, 4, 11, 13, 17 and 18.
"""

from __future__ import annotations

from functools import partial

from hwlearn_sim.instruments.capability import OTHER
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.ranges import Quantity, Range, Ranges
from hwlearn_sim.instruments.scpi.keithley2400.calculations import Calculations2400
from hwlearn_sim.instruments.scpi.keithley2400.models import MODELS, Model2400
from hwlearn_sim.instruments.scpi.keithley2400.readings import Readings2400
from hwlearn_sim.instruments.scpi.keithley2400.sense import Sense2400
from hwlearn_sim.instruments.scpi.keithley2400.source import Source2400
from hwlearn_sim.instruments.scpi.keithley2400.sweep import Sweep2400
from hwlearn_sim.instruments.scpi.keithley2400.system import System2400
from hwlearn_sim.instruments.scpi.keithley2400.triggers import TriggerModel2400
from hwlearn_sim.instruments.scpi.parameters import Choice, Flag
from hwlearn_sim.instruments.scpi.settings import Setting, Suffixes
from hwlearn_sim.instruments.scpi.setups import add_setups
from hwlearn_sim.instruments.scpi.smu import MNEMONIC, QUANTITY_OF, ScpiSmu

_FORMATS = {"ASC": "{:d}", "HEX": "#H{:04X}", "OCT": "#Q{:06o}", "BIN": "#B{:016b}"}


class VirtualKeithley2400(ScpiSmu):
    """A Keithley 2400 connected to one node of the plane.

    Parameters
    ----------
    channel : VirtualChannel
        Channel with the capability of the model.
    clock : Clock
        The instrument's clock.
    serial : str
        Serial number.
    model : Model2400
        The model.
    """

    queues_while_waiting = True

    def __init__(
        self, channel: VirtualChannel, clock: Clock, serial: str = "1000001", model: Model2400 = MODELS["2400"]
    ) -> None:
        identity = f"KEITHLEY INSTRUMENTS INC.,MODEL {model.number},{serial},C33   Mar 31 2015 09:32:39/A02  /K/J"
        super().__init__(identity, [channel], clock, error_capacity=10)
        self.status.idle_bit = 1024
        self.sense = Sense2400(self, model.ohms)
        self._source, self._sweep = Source2400(self), Sweep2400(self)
        self._add_source_function()
        if model.has_pulse_mode:
            self.setting("SOURce#:FUNCtion:SHAPe", Choice(("DC", "PULSe")), lambda _: "DC", _only_direct_current)
        self.add_levels("SOURce#:")
        self.add_meter("[SENSe#:]", one_nplc=True)
        self._add_compliance()
        self.add_format()
        self._readings = Readings2400(self, self.sense)
        self._system = System2400(self)
        TriggerModel2400(self, self.sense, self._source, self._sweep, self._readings)
        Calculations2400(self, self.sense, self._readings)
        add_setups(self, 4, preset=True)

    def reset(self) -> None:
        """Restore the power-on settings; the output is switched off first. The data store keeps its readings."""
        super().reset()
        self._readings.begin()

    def trigger_line(self, line: int) -> None:
        """Give a pulse on an input line of the trigger link."""
        self.give_event(f"line {line}")

    def register_text(self, value: int) -> str:
        """Return the value of a status register in the selected format."""
        return _FORMATS[self._system.register_format()].format(value)

    # --- rules --------------------------------------------------------------------------------------

    def check_source_change(self, channel: VirtualChannel) -> None:
        """Reject a change of the source during automatic ohms (p. 4-3)."""
        if self.sense.ohms.active:
            raise VirtualInstrumentError(825, "Invalid with auto-ohms on")

    def check_measure_range(self, channel: VirtualChannel, quantity: Quantity, value: float) -> None:
        """Reject a range of the sourced quantity, or beyond the compliance range (p. 18-62, notes 1 and 3)."""
        self.check_source_change(channel)
        if quantity == channel.settings.function:
            raise VirtualInstrumentError(823, "Invalid with source read-back on")
        ranges = channel.capability.measures[quantity]
        if ranges.select(value).full_scale > ranges.covering(channel.settings.limits[quantity]).full_scale:
            raise VirtualInstrumentError(824, "Cannot exceed compliance range")

    def range_value(self, ranges: Ranges, chosen: Range) -> float:
        """Return a range with its overrange, such as 2.1 for the 2 V range."""
        return ranges.usable(chosen)

    # --- commands -----------------------------------------------------------------------------------

    def _add_source_function(self) -> None:
        def choose(channel: VirtualChannel, name: str) -> None:
            self.check_source_change(channel)
            self._sweep.select_memory(name == "MEM")
            if name != "MEM":
                channel.set_function(QUANTITY_OF[name])

        def chosen(channel: VirtualChannel) -> str:
            if self._sweep.from_memory:
                return "MEM"
            return "VOLT" if channel.settings.function == "voltage" else "CURR"

        names = Choice(("VOLTage", "CURRent", "MEMory"))
        self.channel_setting("SOURce#:FUNCtion[:MODE]", names, chosen, choose)

    def _add_compliance(self) -> None:
        for quantity, name in MNEMONIC.items():
            base = f"[SENSe#:]{name}[:DC]:PROTection"
            synchronised = self.stored_setting(f"{base}:RSYNchronize", Flag(), False)
            self.add_limit(base, quantity, follow=partial(_follow, quantity, synchronised))


def _only_direct_current(_: Suffixes, shape: str) -> None:
    """Refuse pulses, which are not modelled."""
    if shape != "DC":
        raise VirtualInstrumentError(-241)


def _follow(quantity: Quantity, synchronised: Setting[bool], channel: VirtualChannel, limit: float) -> None:
    """Set the measuring range to the compliance range, if they are synchronised."""
    if synchronised() and channel.settings.function == OTHER[quantity]:
        channel.set_measure_range(quantity, limit)
