"""One channel of a virtual source-measure unit: what it drives, what it reads, how well."""

from __future__ import annotations

import math
from typing import Final, Literal

import numpy as np

from hwlearn.circuit.topology import Topology
from hwlearn_sim.instruments.capability import (
    OTHER,
    QUANTITIES,
    ChannelCapability,
    ChannelReading,
    ChannelState,
    Meters,
    OffState,
)
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.instruments.ranges import Quantity, Range
from hwlearn_sim.plane.plane import AnalogPlane
from hwlearn_sim.plane.sources import CurrentSource, Open, Source, SourceOperatingPoint, VoltageSource

_UNWIRED: Final = Topology(2, [(0, 1)], inputs=[0], outputs=[1])


class VirtualChannel:
    """A channel on the analog plane.

    Parameters
    ----------
    plane : AnalogPlane
        The circuit.
    node : int or None
        Where the channel's HI terminal hangs; LO is board ground. None: nowhere.
    capability : ChannelCapability
        What the hardware can do.
    clock : Clock
        The instrument's time.
    rng : numpy.random.Generator
        Noise, and the errors of the converters.
    meters : Meters
        How good the converters are.
    label : str
        Its name on the plane.
    line_Hz : float
        Power-line frequency, which the integration time counts in.

    Attributes
    ----------
    settings : ChannelState
        The present settings; call `apply` after changing them.
    forced : {"over-range", "compliance"} or None
        A fault on demand: what the next readings show whatever the circuit does.
    """

    def __init__(
        self,
        plane: AnalogPlane,
        node: int | None,
        capability: ChannelCapability,
        clock: Clock,
        rng: np.random.Generator,
        meters: Meters,
        label: str,
        line_Hz: float = 50.0,
    ) -> None:
        self.capability, self.clock, self.line_Hz, self.label = capability, clock, line_Hz, label
        if node is None:
            # a channel that is wired to nothing has a circuit of its own: an open end
            plane, node = AnalogPlane(_UNWIRED, [0.0]), 1
        self._plane, self._terminal = plane, plane.attach(node, label)
        self._rng, self._noise = rng, meters.noise
        self.forced: Literal["over-range", "compliance"] | None = None
        # drawn in any case, so that one spread does not change the other's values
        self._meter_errors = _converter_errors(rng, meters)
        self._source_errors = _converter_errors(rng, meters)
        self.settings = self._defaults()
        self.apply()

    def _defaults(self) -> ChannelState:
        return ChannelState(
            limits=dict(self.capability.default_limits),
            source_ranges=dict.fromkeys(QUANTITIES),
            measure_ranges=dict.fromkeys(QUANTITIES),
            off_limits={"current": self.capability.off_limit_A or 0.0, "voltage": 40.0},
        )

    def reset(self) -> None:
        """Go back to power-on settings, output off first."""
        self.settings.output = False
        self.apply()
        self.settings = self._defaults()
        self.apply()

    # --- settings that are checked ------------------------------------------------------------------

    def set_level(self, quantity: Quantity, value: float) -> None:
        """Set what the source drives when that quantity is its function.

        Raises
        ------
        VirtualInstrumentError
            -222 beyond the largest range, or beyond a range that was fixed.
        """
        ranges, fixed = self.capability.sources[quantity], self.settings.source_ranges[quantity]
        if not ranges.holds(ranges.each[-1] if fixed is None else fixed, value):
            raise VirtualInstrumentError(-222)
        self.settings.levels[quantity] = value
        self.apply()

    def set_limit(self, quantity: Quantity, value: float) -> None:
        """Set the current limit of the voltage source, or the voltage limit of the current source.

        Raises
        ------
        VirtualInstrumentError
            -222 outside what the hardware can limit.
        """
        least, most = self.capability.least_limits[quantity], self.capability.measures[quantity].most
        if not least <= abs(value) <= most:
            raise VirtualInstrumentError(-222)
        self.settings.limits[quantity] = abs(value)
        self.apply()

    def set_source_range(self, quantity: Quantity, value: float | None) -> None:
        """Fix the source range to one that takes ``value``; None leaves it to the instrument.

        Raises
        ------
        VirtualInstrumentError
            -222 beyond the largest range, -221 if the present level does not fit.
        """
        ranges = self.capability.sources[quantity]
        chosen = None if value is None else ranges.named(value)
        if chosen is not None and not ranges.holds(chosen, self.settings.levels[quantity]):
            raise VirtualInstrumentError(-221)
        self.settings.source_ranges[quantity] = chosen
        self.apply()

    def set_measure_range(self, quantity: Quantity, value: float | None) -> None:
        """Fix the measuring range to one that takes ``value``; None leaves it to the instrument.

        Raises
        ------
        VirtualInstrumentError
            -222 beyond the largest range.
        """
        chosen = None if value is None else self.capability.measures[quantity].named(value)
        self.settings.measure_ranges[quantity] = chosen
        self.apply()

    def set_function(self, function: Quantity) -> None:
        """Choose what the source drives."""
        self.settings.function = function
        self.apply()

    def set_output(self, on: bool) -> None:
        """Turn the output on or off."""
        self.settings.output = on
        self.apply()

    def set_off_state(self, state: OffState, *functions: Quantity) -> None:
        """Choose what the output does while it is off, for all source functions or for those given."""
        self.settings.off_states.update(dict.fromkeys(functions or QUANTITIES, state))
        self.apply()

    def source_range(self, quantity: Quantity) -> Range:
        """Return the source range in use."""
        fixed = self.settings.source_ranges[quantity]
        if fixed is not None:
            return fixed
        return self.capability.sources[quantity].covering(self.settings.levels[quantity])

    def measure_range(self, quantity: Quantity) -> Range:
        """Return the measuring range in use, at what the circuit does now."""
        fixed = self.settings.measure_ranges[quantity]
        if fixed is not None:
            return fixed
        return self.capability.measures[quantity].covering(self._true()[quantity])

    # --- the analog side ----------------------------------------------------------------------------

    def apply(self) -> None:
        """Bring the settings to the circuit."""
        self._plane.drive(self._terminal, self._source())

    @property
    def operating_point(self) -> SourceOperatingPoint:
        """Where the channel is, exactly; for spectators and tests."""
        return self._plane.read(self._terminal)

    @property
    def tripped(self) -> bool:
        """Whether the output is on and the source at its limit."""
        if self.forced == "compliance":
            return True
        return self.settings.output and self.operating_point.limited and not self._held_by_range

    @property
    def range_tripped(self) -> bool:
        """Whether the output is on and the source at the most that a fixed measuring range can read."""
        return self.settings.output and self.operating_point.limited and self._held_by_range

    def integration_s(self, quantity: Quantity) -> float:
        """Return the integration time of one reading."""
        return self.settings.nplc[quantity] / self.line_Hz

    def measure(self, *quantities: Quantity) -> ChannelReading:
        """Read one or both quantities, one after the other."""
        s = self.settings
        self.clock.advance(s.delay_s)
        true = self._true()
        values: dict[Quantity, float] = {}
        for quantity in quantities:
            self.clock.advance(self.integration_s(quantity) * s.average)
            values[quantity] = self._read(quantity, true[quantity])
        if self.forced == "compliance" and OTHER[s.function] in values:
            limited = OTHER[s.function]
            values[limited] = math.copysign(s.limits[limited], s.levels[s.function])
        return ChannelReading(
            values,
            s.function,
            s.levels[s.function],
            self.tripped,
            self.range_tripped,
            self.clock.seconds,
            s.output,
        )

    def _read(self, quantity: Quantity, true: float) -> float:
        ranges = self.capability.measures[quantity]
        fixed = self.settings.measure_ranges[quantity]
        used = ranges.covering(true) if fixed is None else fixed
        gain, offset = self._meter_errors[quantity]
        value = true * gain + offset * used.full_scale
        if self._noise and used.noise:
            cycles = self.settings.nplc[quantity] * self.settings.average
            value += self._noise * used.noise / math.sqrt(cycles) * float(self._rng.standard_normal())
        if self.forced == "over-range" or not ranges.holds(used, value):
            return math.copysign(math.inf, value)
        return used.rounded(value)

    def _true(self) -> dict[Quantity, float]:
        if isinstance(self._source(), Open):
            return {"voltage": 0.0, "current": 0.0}  # behind an open relay the meters see nothing
        at = self._plane.read(self._terminal)
        return {"voltage": at.volts, "current": at.amperes}

    def _source(self) -> Source:
        s = self.settings
        if not s.output:
            return self._off_source()
        level = self._driven(s.function, s.levels[s.function])
        if s.function == "voltage":
            return VoltageSource(level, self.effective_limit("current"))
        return CurrentSource(level, self.effective_limit("voltage"))

    def effective_limit(self, quantity: Quantity) -> float:
        """Return the limit that the source really keeps."""
        limit, fixed = self.settings.limits[quantity], self.settings.measure_ranges[quantity]
        if fixed is None or not self.capability.limit_in_range:
            return limit
        return min(limit, self.capability.measures[quantity].over * fixed.full_scale)

    @property
    def _held_by_range(self) -> bool:
        limited = OTHER[self.settings.function]
        return self.effective_limit(limited) < self.settings.limits[limited]

    def _driven(self, quantity: Quantity, level: float) -> float:
        used = self.source_range(quantity)
        gain, offset = self._source_errors[quantity]
        return used.rounded(level) * gain + offset * used.full_scale

    def _off_source(self) -> Source:
        s, capability = self.settings, self.capability
        small_A = s.off_limits["current"] or capability.off_fraction * self._range_A().full_scale
        state = s.off_states[s.function]
        if state == "HIMP":
            return Open()
        if state == "GUAR":
            return CurrentSource(0.0, capability.off_fraction * self.source_range("voltage").full_scale)
        if state == "ZERO":
            if s.function == "voltage":
                return VoltageSource(0.0, self.effective_limit("current"))
            return VoltageSource(0.0, max(abs(s.levels["current"]), small_A))
        return VoltageSource(0.0, small_A)

    def _range_A(self) -> Range:
        """Return the current range that a closed output stands in."""
        if self.settings.function == "current":
            return self.source_range("current")
        fixed = self.settings.measure_ranges["current"]
        if fixed is not None:
            return fixed
        return self.capability.measures["current"].covering(self.settings.limits["current"])


def _converter_errors(rng: np.random.Generator, meters: Meters) -> dict[Quantity, tuple[float, float]]:
    """Draw gain, and offset as a fraction of the range, of the converter of each quantity."""
    draws = rng.standard_normal((2, 2)).tolist()
    return {
        quantity: (1.0 + meters.gain * gain, meters.offset * offset)
        for quantity, (gain, offset) in zip(QUANTITIES, draws, strict=True)
    }
