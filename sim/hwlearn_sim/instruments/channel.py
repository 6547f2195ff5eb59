"""`VirtualChannel`: one channel of a virtual source-measure unit, with ranges, limits, noise and off states."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from hwlearn.circuit.topology import Topology
from hwlearn_sim.instruments.capability import (
    LINE_HZ,
    OTHER,
    QUANTITIES,
    ChannelCapability,
    ChannelReading,
    ChannelState,
    Meters,
    OffState,
    Quirk,
    Side,
)
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.off_states import off_source
from hwlearn_sim.instruments.ranges import Quantity, Range
from hwlearn_sim.plane.plane import AnalogPlane
from hwlearn_sim.plane.sources import CurrentSource, Open, Source, SourceOperatingPoint, VoltageSource

_UNCONNECTED: Final = Topology(2, [(0, 1)], inputs=[0], outputs=[1])


@dataclass(frozen=True, slots=True)
class Connection:
    """Connection of a channel to the analog plane.

    Attributes
    ----------
    plane : AnalogPlane
        The circuit.
    node : int, str or None
        Node of the HI terminal; None if unconnected. LO is connected to board ground.
    label : str
        Name of the channel on the plane.
    """

    plane: AnalogPlane
    node: int | str | None
    label: str


class VirtualChannel:
    """A source-measure channel connected to the analog plane.

    Parameters
    ----------
    connection : Connection
        Node that the channel is connected to.
    capability : ChannelCapability
        Specifications of the model.
    clock : Clock
        The instrument's clock.
    rng : numpy.random.Generator
        Source of the noise and of the converters' errors.
    meters : Meters
        Noise and errors of the converters.

    Attributes
    ----------
    settings : ChannelState
        The present settings; call `apply` after changing them.
    generator : numpy.random.Generator
        Source of the noise.
    forced : {"over-range", "compliance"} or None
        Injected fault: the readings always show an overflow or compliance.
    quirks : set of Quirk
        Behaviour that the manual of the model does not promise; none by default.
    switched : deque of bool
        The last changes of the output, on or off, in order, whoever made them.
    line_Hz : float
        Power-line frequency, on which integration times depend.
    """

    def __init__(
        self,
        connection: Connection,
        capability: ChannelCapability,
        clock: Clock,
        rng: np.random.Generator,
        meters: Meters,
    ) -> None:
        self.capability, self.clock, self.label = capability, clock, connection.label
        plane, node = connection.plane, connection.node
        if node is None:
            # an unconnected channel is connected to an open end of a separate plane
            plane, node = AnalogPlane(_UNCONNECTED, [0.0]), 1
        self._plane, self._terminal = plane, plane.attach(node, connection.label)
        self.generator, self._noise = rng, meters.noise
        self.forced: Literal["over-range", "compliance"] | None = None
        self.quirks: set[Quirk] = set()
        self.line_Hz = LINE_HZ
        self.switched: deque[bool] = deque(maxlen=1000)
        # always drawn, so that one spread does not change the values of the other
        self._meter_errors = meters.converter_errors(rng)
        self._source_errors = meters.converter_errors(rng)
        self.settings: ChannelState = self._defaults()
        self.apply()

    def _defaults(self) -> ChannelState:
        return ChannelState(
            limits=dict(self.capability.default_limits),
            source_ranges=dict.fromkeys(QUANTITIES),
            measure_ranges=dict.fromkeys(QUANTITIES),
            off_limits={"current": self.capability.off_limit_A or 0.0, "voltage": 40.0},
        )

    def reset(self) -> None:
        """Restore the power-on settings; the output is switched off first."""
        self.set_output(False)
        self.settings = self._defaults()
        self.apply()

    # --- settings -----------------------------------------------------------------------------------

    def set_level(self, quantity: Quantity, value: float) -> None:
        """Set the setpoint of the voltage or the current source.

        Raises
        ------
        VirtualInstrumentError
            -222 beyond the largest range or a fixed one; see also `ChannelCapability.check_area`.
        """
        ranges, fixed = self.capability.sources[quantity], self.settings.source_ranges[quantity]
        if not ranges.holds(ranges.each[-1] if fixed is None else fixed, value):
            raise VirtualInstrumentError(-222)
        if quantity == self.settings.function:
            self.capability.check_area(quantity, value, self.settings.limits[OTHER[quantity]])
        self.settings.levels[quantity] = value
        self.settings.ranged.add(("source", quantity))
        self.apply()

    def set_limit(self, quantity: Quantity, value: float) -> None:
        """Set the current limit of the voltage source, or the voltage limit of the current source.

        Raises
        ------
        VirtualInstrumentError
            -222 outside the programmable limits; the error of the model beyond its operating regions.
        """
        least, most = self.capability.least_limits[quantity], self.capability.measures[quantity].most
        if "raises small limits" in self.quirks:
            value = max(abs(value), least)
        if not least <= abs(value) <= most:
            raise VirtualInstrumentError(-222)
        if quantity != self.settings.function:
            self.capability.check_area(OTHER[quantity], self.settings.levels[OTHER[quantity]], value)
        if "ignores limits" not in self.quirks:
            self.settings.limits[quantity] = abs(value)
            self.apply()

    def set_source_range(self, quantity: Quantity, value: float | None) -> None:
        """Fix the source range to the smallest that holds ``value``; None selects autorange.

        Raises
        ------
        VirtualInstrumentError
            -222 beyond the largest range, -221 if the present level is beyond the range.
        """
        ranges = self.capability.sources[quantity]
        chosen = None if value is None else ranges.select(value)
        if chosen is not None and not ranges.holds(chosen, self.settings.levels[quantity]):
            raise VirtualInstrumentError(-221)
        self.settings.source_ranges[quantity] = chosen
        self.settings.ranged.add(("source", quantity))
        self.apply()

    def set_measure_range(self, quantity: Quantity, value: float | None) -> None:
        """Fix the measuring range to the smallest that holds ``value``; None selects autorange.

        Raises
        ------
        VirtualInstrumentError
            -222 beyond the largest range.
        """
        chosen = None if value is None else self.capability.measures[quantity].select(value)
        self.settings.measure_ranges[quantity] = chosen
        self.settings.ranged.add(("measure", quantity))
        self.apply()

    def set_autorange_limits(self, quantity: Quantity, low: float, high: float) -> None:
        """Limit the measuring ranges that autorange selects, by their full scales.

        Raises
        ------
        VirtualInstrumentError
            -221 if no range is between the limits.
        """
        ranges = self.capability.measures[quantity]
        if not any(low <= one.full_scale <= high for one in ranges.each):
            raise VirtualInstrumentError(-221)
        self.settings.autorange[quantity] = (low, high)

    def set_function(self, function: Quantity) -> None:
        """Select the source function; its level and limit must lie inside the operating regions."""
        self.capability.check_area(function, self.settings.levels[function], self.settings.limits[OTHER[function]])
        if "off when the source changes" in self.quirks and function != self.settings.function:
            self.set_output(False)
        self.settings.function = function
        self.apply()

    def set_nplc(self, value: float, *quantities: Quantity) -> None:
        """Set the integration time in power-line cycles for the given quantities. Default: for both."""
        self.settings.nplc.update(dict.fromkeys(quantities or QUANTITIES, value))

    def set_four_wire(self, on: bool) -> None:
        """Select four-wire (remote) or two-wire (local) sensing."""
        self.settings.four_wire = on

    def set_protection(self, volts: float | None) -> None:
        """Set the overvoltage protection; None removes it. The output never exceeds it in either direction."""
        self.settings.protection_V = volts
        self.apply()

    def use(self, settings: ChannelState) -> None:
        """Replace all settings but the output switch, which is switched off if its new state is off."""
        output = self.settings.output and settings.output
        if output != self.settings.output:
            self.switched.append(output)
        self.settings = settings
        self.settings.output = output
        self.apply()

    def set_output(self, on: bool) -> None:
        """Switch the output on or off."""
        if on != self.settings.output:
            self.switched.append(on)
        self.settings.output = on
        self.apply()

    def set_off_state(self, state: OffState, *functions: Quantity) -> None:
        """Select the output-off state for the given source functions. Default: for all."""
        self.settings.off_states.update(dict.fromkeys(functions or QUANTITIES, state))
        self.apply()

    def source_range(self, quantity: Quantity) -> Range:
        """Return the source range in use."""
        fixed = self.settings.source_ranges[quantity]
        if fixed is not None:
            return fixed
        least = self.settings.least_source_ranges[quantity]
        return self.capability.sources[quantity].covering(max(abs(self.settings.levels[quantity]), least))

    def measure_range(self, quantity: Quantity) -> Range:
        """Return the measuring range in use at the present operating point."""
        return self._measure_range(quantity, self._true()[quantity])

    def _measure_range(self, quantity: Quantity, true: float) -> Range:
        fixed, ranges = self.settings.measure_ranges[quantity], self.capability.measures[quantity]
        if not self.capability.has_measure_ranges:
            s, sourced = self.settings, self.source_range(quantity).full_scale
            return ranges.covering(sourced if quantity == s.function else s.limits[quantity])
        if fixed is not None:
            coupled = self.capability.coupled_ranges and quantity == self.settings.function
            return ranges.covering(self.source_range(quantity).full_scale) if coupled else fixed
        value, limits = max(abs(true), self.settings.least_measure_ranges[quantity]), self.settings.autorange
        return ranges.between(value, *limits[quantity]) if quantity in limits else ranges.covering(value)

    def shown_range(self, kind: Side, quantity: Quantity) -> Range:
        """Return the range that the instrument reports: that of the last setting or reading, or the default."""
        full_scale = self.capability.default_ranges.get((kind, quantity))
        if full_scale is not None and (kind, quantity) not in self.settings.ranged:
            ranges = self.capability.sources if kind == "source" else self.capability.measures
            return ranges[quantity].select(full_scale)
        return self.source_range(quantity) if kind == "source" else self.measure_range(quantity)

    # --- circuit and readings -----------------------------------------------------------------------

    def apply(self) -> None:
        """Apply the settings to the circuit."""
        self._plane.drive(self._terminal, self._source())

    @property
    def operating_point(self) -> SourceOperatingPoint:
        """Exact operating point of the channel, for displays and tests."""
        return self._plane.read(self._terminal)

    @property
    def tripped(self) -> bool:
        """Whether the output is on and the source is in compliance."""
        if self.forced == "compliance":
            return True
        return self.settings.output and self.operating_point.limited and not self._held_by_range

    @property
    def range_tripped(self) -> bool:
        """Whether the output is on and the source is in range compliance."""
        return self.settings.output and self.operating_point.limited and self._held_by_range

    @property
    def protected(self) -> bool:
        """Whether the output is on and held by the overvoltage protection."""
        s, most = self.settings, self.settings.protection_V
        if not s.output or most is None:
            return False
        if s.function == "voltage":
            return abs(s.levels["voltage"]) > most
        return most < self.effective_limit("voltage", protected=False) and self.operating_point.limited

    def integration_s(self, quantity: Quantity) -> float:
        """Return the integration time of one reading in seconds."""
        return self.settings.nplc[quantity] / self.line_Hz

    def measure(self, *quantities: Quantity) -> ChannelReading:
        """Measure one or both quantities, one after the other."""
        s = self.settings
        self.clock.advance(s.delay_s)
        true = self._true()
        values: dict[Quantity, float] = {}
        for quantity in quantities:
            if not (values and self.capability.simultaneous):
                self.clock.advance(self.integration_s(quantity) * s.average)
            values[quantity] = self._read(quantity, true[quantity])
        if self.forced == "compliance" and OTHER[s.function] in values:
            limited = OTHER[s.function]
            values[limited] = math.copysign(s.limits[limited], s.levels[s.function])
        return ChannelReading(
            values,
            s.function,
            self._protected_level(s.levels[s.function]),
            self.tripped,
            self.range_tripped,
            self.clock.seconds,
            s.output,
        )

    def _read(self, quantity: Quantity, true: float) -> float:
        ranges = self.capability.measures[quantity]
        used = self._measure_range(quantity, true)
        self.settings.ranged.add(("measure", quantity))
        gain, offset = self._meter_errors[quantity]
        value = true * gain + offset * used.full_scale
        if self._noise and used.noise:
            cycles = self.settings.nplc[quantity] * self.settings.average
            value += self._noise * used.noise / math.sqrt(cycles) * float(self.generator.standard_normal())
        if self.forced == "over-range" or not ranges.reads(used, value):
            return math.copysign(math.inf, value)
        return used.rounded(value)

    def _true(self) -> dict[Quantity, float]:
        if isinstance(self._source(), Open):
            return {"voltage": 0.0, "current": 0.0}  # the open relay disconnects the meters
        at = self._plane.read(self._terminal)
        return {"voltage": at.volts, "current": at.amperes}

    def _source(self) -> Source:
        s = self.settings
        if not s.output:
            return off_source(
                s, self.capability, self.source_range("voltage"), self._range_A(), self.effective_limit("current")
            )
        level = self._protected_level(self._true_level(s.function, s.levels[s.function]))
        if s.function == "voltage":
            return VoltageSource(level, self.effective_limit("current"))
        return CurrentSource(level, self.effective_limit("voltage"))

    def effective_limit(self, quantity: Quantity, *, protected: bool = True) -> float:
        """Return the limit in effect, including range compliance and, for a voltage, overvoltage protection."""
        limit, fixed = self.settings.limits[quantity], self.settings.measure_ranges[quantity]
        if protected and quantity == "voltage" and self.settings.protection_V is not None:
            limit = min(limit, self.settings.protection_V)
        if fixed is None or not self.capability.limit_in_range:
            return limit
        return min(limit, self.capability.measures[quantity].usable(fixed))

    @property
    def _held_by_range(self) -> bool:
        limited = OTHER[self.settings.function]
        return self.effective_limit(limited, protected=False) < self.settings.limits[limited]

    def _protected_level(self, level: float) -> float:
        most = self.settings.protection_V
        if most is None or self.settings.function == "current" or abs(level) <= most:
            return level
        return math.copysign(most, level)

    def _true_level(self, quantity: Quantity, level: float) -> float:
        used = self.source_range(quantity)
        gain, offset = self._source_errors[quantity]
        return used.rounded(level) * gain + offset * used.full_scale

    def _range_A(self) -> Range:
        """Return the current range that determines the limit of an output that is off."""
        if self.settings.function == "current":
            return self.source_range("current")
        fixed = self.settings.measure_ranges["current"]
        if fixed is not None:
            return fixed
        return self.capability.measures["current"].covering(self.settings.limits["current"])
