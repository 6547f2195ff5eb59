"""`DeclaredOnBench`: the roles that the channels of a board with a text protocol play on a bench."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import numpy as np

from hwlearn.arrays import IntArray
from hwlearn.circuit.topology import Topology
from hwlearn.errors import LimitError, SetupError
from hwlearn.network.limits import Limits
from hwlearn.units import ROUNDING, format_quantity
from hwlearn_drivers.declared.board import DeclaredBoard
from hwlearn_drivers.declared.edges import DeclaredEdges
from hwlearn_drivers.declared.sections import ReadSection, SourceSection, SwitchSection
from hwlearn_drivers.declared.template import NUMBERS, Template, Value, template
from hwlearn_drivers.errors import OutputStateError
from hwlearn_drivers.roles.instrument import ClosesSwitches, ProgramsEdges, ReadsVoltages, SetsVoltages
from hwlearn_drivers.roles.on_source import OnSource
from hwlearn_drivers.roles.values import ChannelReadings, ChannelUse, SourceRange

_REPLY = ("channel", "any", *NUMBERS)


class DeclaredOnBench(OnSource, SetsVoltages, ReadsVoltages, ClosesSwitches, ProgramsEdges):
    """A board with a text protocol on a bench. Its outputs are always on; at 0 V they are off.

    Parameters
    ----------
    called : str
        Name in the bench file.
    board : DeclaredBoard
    use : ChannelUse
    limits : Limits
    places : tuple of int, optional
        Number on the board of each edge.
    """

    source: DeclaredBoard

    def __init__(
        self,
        called: str,
        board: DeclaredBoard,
        use: ChannelUse,
        limits: Limits,
        places: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(called, board)
        self._use, self._limits, self._places = use, limits, places
        self._levels: dict[str, float] = {}

    @property
    def provenance(self) -> str:
        """The identity that the board reports, and its address."""
        own = self.source.identity
        return f"declared board {own.model}{own.firmware and f', {own.firmware}'}, at {self.source.transport.name}"

    def start_again(self) -> None:
        """Send OFF and check the identity, after somebody else changed settings."""
        self.source.start_again()

    def check_state(self) -> None:
        """Read the levels of the channels in use back; without a query for them, wait until they are set.

        Raises
        ------
        OutputStateError
        """
        section = self.source.declaration.source
        if section is None:
            return
        if section.ask is None:
            if self.source.declaration.acknowledgement(section.acknowledged) is None:
                self.source.confirm()
            return
        scale = section.scale
        room = 0.51 * (scale.step_V or 0.0) + 1e-6 * max(map(abs, scale.range_V))
        for channel, number in self._levels.items():
            found, wanted = self.source.level(channel), scale.volts(number)
            if abs(found - wanted) > room:
                raise OutputStateError(
                    f"channel {channel} of {self.name} at {self._use.place(channel)} is at "
                    f"{format_quantity(found, 'V', 6)}, {format_quantity(wanted, 'V', 6)} was set; the board was "
                    "reset, or somebody else changed it; its outputs are switched off"
                )

    # --- voltage source -----------------------------------------------------------------------------

    def source_range(self, channel: str) -> SourceRange:
        """Return the range of ``[source]``, as far as its numbers reach."""
        scale = self._source.scale
        (low, high), (least, most) = self._source.range, scale.range_V
        return SourceRange(max(low, least), min(high, most), scale.step_V)

    def nearest(self, channel: str, volts: float) -> float:
        """Return the voltage of the nearest number within the limits."""
        scale = self._source.scale
        return scale.volts(scale.number(volts, self._limits.voltage))

    def prepare_sources(self) -> None:
        """Set every channel in use to 0 V."""
        self._levels.clear()
        if self._use.sources:
            self.set_voltages(dict.fromkeys(self._use.sources, 0.0), check=True)

    def switch_sources_on(self) -> None:
        """Send the commands of ``[on]``, if there are any."""
        section = self.source.declaration.on
        if section is not None and self._use.sources:
            accepted = self.source.declaration.acknowledgement(section.acknowledged)
            for line in section.send:
                self.source.command(line, accepted)
            self.source.check_group(section.send[-1], accepted)

    def set_voltages(self, volts: Mapping[str, float], check: bool) -> None:
        """Set channels, all at once where the protocol can; see `SetsVoltages.set_voltages`."""
        section, most = self._source, self._limits.voltage
        for channel, level in volts.items():
            where = f"channel {channel} of {self.name} at {self._use.place(channel)}"
            if abs(level) > most * (1 + ROUNDING) or math.isnan(level):
                raise LimitError(
                    f"{format_quantity(level, 'V', 7)} on {where} exceeds limits.voltage = "
                    f"{format_quantity(most, 'V')}; nothing was sent"
                )
            self.source_range(channel).check(where, level)
        numbers = {channel: section.scale.number(level, most) for channel, level in volts.items()}
        line = self._set_all(numbers) if self._wants_all(numbers) else self._set_each(numbers)
        if check:
            self.source.check_group(line, self.source.declaration.acknowledgement(section.acknowledged))

    def _wants_all(self, numbers: Mapping[str, float]) -> bool:
        return self._source.set_all is not None and (self._source.set is None or len(numbers) > 1)

    def _set_all(self, numbers: Mapping[str, float]) -> str:
        section = self._source
        assert section.set_all is not None
        form = template(section.set_all, NUMBERS)
        own = section.scale_of(form)
        self._levels = {**dict.fromkeys(self._use.sources, section.scale.number(0.0)), **self._levels, **numbers}
        zero = own.number(0.0)
        values = [
            self._converted(form, self._levels[name]) if name in self._levels else zero for name in section.names
        ]
        line = form.render({"number": values})
        accepted = self.source.declaration.acknowledgement(section.acknowledged)
        repeated = {"number": [self._repeated(form, accepted, one) for one in values]}
        is_array = accepted is not None and accepted.is_array
        self.source.command(line, accepted, repeated if is_array else None, self._room(accepted))
        return line

    def _set_each(self, numbers: Mapping[str, float]) -> str:
        section = self._source
        assert section.set is not None
        form = template(section.set, ("channel", *NUMBERS))
        accepted = self.source.declaration.acknowledgement(section.acknowledged)
        line = ""
        for channel, number in numbers.items():
            value = self._converted(form, number)
            line = form.render({"channel": channel, "number": value})
            self._levels[channel] = number
            repeated: dict[str, Value] = {"channel": channel, "number": self._repeated(form, accepted, value)}
            self.source.command(line, accepted, repeated, self._room(accepted))
        return line

    def _converted(self, form: Template, number: float) -> float:
        """Return a number of `scale` as the number of a template, which may be in other units."""
        own, common = self._source.scale_of(form), self._source.scale
        return number if own == common else own.number(common.volts(number), self._limits.voltage)

    def _room(self, accepted: Template | None) -> float:
        """Return how far a repeated number may be off: one step of the converter, in its unit; codes are exact."""
        step_V = self._source.step
        if accepted is None or accepted.number is None or accepted.number.name == "code" or step_V is None:
            return 0.0
        return step_V / abs(self._source.scale_of(accepted).gain_V)

    def _repeated(self, form: Template, accepted: Template | None, value: float) -> float:
        """Return the number that an acknowledgement repeats, in its own unit."""
        if accepted is None or accepted.number is None:
            return value
        volts = self._source.scale_of(form).volts(value)
        return (volts - self._source.scale_of(accepted).offset_V) / self._source.scale_of(accepted).gain_V

    # --- reader -------------------------------------------------------------------------------------

    @property
    def voltage_sigma(self) -> float:
        """The ``sigma`` of ``[read]``; with codes at least their rounding."""
        section = self._read
        return max(section.sigma, self.resolution_V / math.sqrt(12))

    @property
    def resolution_V(self) -> float:
        """Step of the numbers in replies, or ``sigma``, whichever is larger."""
        section = self._read
        steps = [
            section.scale_of(template(text, _REPLY)).step_V or 0.0
            for text in (section.reply, section.reply_all)
            if text is not None
        ]
        return max(section.sigma, *steps)

    def measures_current(self, channel: str) -> bool:
        """Return False: a declared board reads voltages only."""
        return False

    def read(self, channels: Sequence[str]) -> ChannelReadings:
        """Read channels, all at once where the protocol can."""
        section = self._read
        if (
            section.ask_all is not None
            and section.reply_all is not None
            and (section.ask is None or len(channels) > 1)
        ):
            reply = template(section.reply_all, _REPLY)
            found = self.source.ask(section.ask_all, reply)
            numbers = [float(one) for one in found["number"]]
            if len(numbers) != len(section.names):
                self.source.transport.garbled(section.ask_all, f"{len(numbers)} readings")
            by_name = dict(zip(section.names, numbers, strict=True))
            return self._readings(reply, [by_name[channel] for channel in channels])
        assert section.ask is not None, "the declaration was checked"
        assert section.reply is not None, "the declaration was checked"
        reply, ask = template(section.reply, _REPLY), template(section.ask, ("channel",))
        return self._readings(reply, [self._ask_one(ask, reply, channel) for channel in channels])

    def _ask_one(self, ask: Template, reply: Template, channel: str) -> float:
        time.sleep(self._read.settle)
        line = ask.render({"channel": channel})
        found = self.source.ask(line, reply)
        if "channel" in found and found["channel"] != channel:
            self.source.transport.garbled(line, f"channel {found['channel']}")
        return float(found["number"][0])

    def _readings(self, reply: Template, numbers: Sequence[float]) -> ChannelReadings:
        scale = self._read.scale_of(reply)
        values = np.array(numbers, dtype=np.float64)
        saturated = (values <= scale.low) | (values >= scale.high)
        return ChannelReadings(scale.all_volts(values), saturated=saturated)

    # --- switches and edges -------------------------------------------------------------------------

    def set_switches(self, closed: Mapping[str, bool]) -> None:
        """Open switches, then close others."""
        section, board = self._switch, self.source
        form = template(section.set, ("channel", "state"))
        accepted = board.declaration.acknowledgement(section.acknowledged)
        line = ""
        for channel, close in sorted(closed.items(), key=lambda item: item[1]):
            values = {"channel": channel, "state": section.on if close else section.off}
            line = form.render(values)
            board.command(line, accepted, values)
        if line:
            board.check_group(line, accepted)

    def open_edges(self, topology: Topology, limits: Limits, edges: IntArray | None = None) -> DeclaredEdges:
        """Return the edges of the network on the board."""
        section = self.source.declaration.edge
        if section is None:
            raise SetupError(f"the protocol of {self.name} has no [edge]")
        return DeclaredEdges(self.source, section, topology, limits, self._places, edges)

    @property
    def _source(self) -> SourceSection:
        section = self.source.declaration.source
        assert section is not None, "the wiring was checked"
        return section

    @property
    def _read(self) -> ReadSection:
        section = self.source.declaration.read
        assert section is not None, "the wiring was checked"
        return section

    @property
    def _switch(self) -> SwitchSection:
        section = self.source.declaration.switch
        assert section is not None, "the wiring was checked"
        return section
