"""A virtual Keithley 2450 SourceMeter with its SCPI command set, and its siblings.

Commands and defaults: Model 2450 Reference Manual (2450-901-01), sections 2, 3 and 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.scpi.keithley2450.buffers import Buffers
from hwlearn_sim.instruments.scpi.keithley2450.configuration_lists import ConfigurationLists
from hwlearn_sim.instruments.scpi.keithley2450.models import MODELS, Model2450
from hwlearn_sim.instruments.scpi.keithley2450.sense import FUNCTIONS, Measured, Sense2450
from hwlearn_sim.instruments.scpi.keithley2450.source import USER_DELAYS, Source2450
from hwlearn_sim.instruments.scpi.keithley2450.sweeps import Sweeps2450
from hwlearn_sim.instruments.scpi.keithley2450.system import System2450
from hwlearn_sim.instruments.scpi.keithley2450.trigger_model import TriggerModel2450
from hwlearn_sim.instruments.scpi.parameters import checked_count
from hwlearn_sim.instruments.scpi.settings import Suffixes
from hwlearn_sim.instruments.scpi.setups import add_setups
from hwlearn_sim.instruments.scpi.smu import ScpiSmu


class VirtualKeithley2450(ScpiSmu):
    """A Keithley 2450 connected to one node of the plane.

    Parameters
    ----------
    channel : VirtualChannel
        Channel with the capability of the model.
    clock : Clock
        The instrument's clock.
    serial : str
        Serial number.
    model : Model2450
        The model.
    """

    swapped_at_reset = True

    def __init__(
        self, channel: VirtualChannel, clock: Clock, serial: str = "04000001", model: Model2450 = MODELS["2450"]
    ) -> None:
        identity = f"KEITHLEY INSTRUMENTS,MODEL {model.number},{serial},1.7.12b"
        super().__init__(identity, [channel], clock, error_capacity=1000, no_error='0,"No error;0;0 0"')
        self.tree.trailing_comma = True
        self.buffers = Buffers()
        self.sense = Sense2450(self, model)
        self.add_source("SOURce#:", "SOURce#:FUNCtion[:MODE]")
        self.add_meter("[SENSe#:]", one_nplc=False)
        self.add_limit("SOURce#:VOLTage:ILIMit", "current")
        self.add_limit("SOURce#:CURRent:VLIMit", "voltage")
        self.add_output("OUTPut#[:STATe]")
        self.add_format()
        self._source = Source2450(self)
        self._lists = (
            ConfigurationLists("SOURce#", channel, self.store),
            ConfigurationLists("[SENSe#:]", channel, self.store),
        )
        for lists in self._lists:
            lists.add_commands(self)
        self._model = TriggerModel2450(self, self, self.buffers)
        Sweeps2450(self, self.sense, self.buffers, self._model, self.measure)
        self._add_readings()
        System2450(self, self.buffers)
        self.buffers.add_commands(self)
        add_setups(self, 4, preset=False)

    def reset(self) -> None:
        """Restore the power-on settings; the output is switched off first."""
        super().reset()
        self.buffers.reset()
        self._model.clear()
        for lists in self._lists:
            lists.clear()

    def error_text(self, text: str) -> str:
        """Return the text in the format of the event log, with type and time."""
        return f"{text};1;2000/01/01 00:00:{self.clock.seconds % 60:06.3f}"

    def check_suffixes(self, suffixes: Suffixes) -> None:
        """Reject numeric suffixes that the model does not have (-114); the second one numbers user delays."""
        super().check_suffixes(suffixes)
        if any(not 1 <= number <= USER_DELAYS for number in suffixes[1:]):
            raise VirtualInstrumentError(-114)

    def check_source_change(self, channel: VirtualChannel) -> None:
        """End automatic ohms: resistance is then measured with the source as it is set."""
        self.sense.ohms.leave()

    # --- what trigger blocks do ---------------------------------------------------------------------

    def measure(self, buffer: str) -> Measured:
        """Take a reading and store it in a buffer."""
        self._source.settle()
        measured = self.sense.measure(read_back=self._source.read_back)
        self.buffers.store(buffer, measured)
        return measured

    def clear(self, buffer: str) -> None:
        """Empty a buffer."""
        self.buffers.clear(buffer)

    def switch(self, on: bool) -> None:
        """Switch the output."""
        self.channels[0].set_output(on)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)

    def user_delay_s(self, name: str) -> float:
        """Return a user delay such as ``SOUR1`` in seconds."""
        number = int(name[-1])
        part = self._source if name.startswith("SOUR") else self.sense
        return part.user_delay_s(number)

    def recall_list(self, name: str, index: int) -> int:
        """Recall an index of a source or measure configuration list; return the number of its indices."""
        for lists in self._lists:
            if lists.has(name):
                return lists.recall(name, index)
        raise VirtualInstrumentError(-224)

    # --- readings -----------------------------------------------------------------------------------

    def _add_readings(self) -> None:
        self.command("READ", query=lambda _, arguments: self._read(arguments))
        self.command("FETCh", query=lambda _, arguments: self._fetch(arguments))
        self.command("MEASure", query=lambda _, arguments: self._read(arguments))
        for short, name in FUNCTIONS.items():
            self.command(f"MEASure:{name}", query=partial(self._read_function, short))
        self.command("TRACe:TRIGger", lambda _, arguments: self._measure(self._buffer_of(arguments)))

    def _buffer_of(self, arguments: Sequence[str]) -> str:
        checked_count(arguments, 0, 1)
        return self.buffers.checked_name(arguments[0]) if arguments else "defbuffer1"

    def _read_function(self, sensed: str, _: Suffixes, arguments: list[str]) -> str:
        self.sense.choose(sensed)
        return self._read(arguments)

    def _read(self, arguments: list[str]) -> str:
        name = self.buffers.checked_name(arguments[0]) if arguments else "defbuffer1"
        elements = self.buffers.elements(arguments[1:])
        self._measure(name)
        return self.buffers.formatted(self, self.buffers.last(name), elements)

    def _fetch(self, arguments: list[str]) -> str:
        name = self.buffers.checked_name(arguments[0]) if arguments else "defbuffer1"
        elements = self.buffers.elements(arguments[1:])
        return self.buffers.formatted(self, self.buffers.last(name), elements)

    def _measure(self, buffer: str) -> None:
        for _ in range(self.sense.count()):
            self.measure(buffer)
