"""`ScanningVoltmeter`: a voltmeter behind a multiplexer, on the analog plane.

A channel is closed, loads the circuit with the input resistance, is read after a delay, and is opened before the
next one closes. The line between multiplexer and voltmeter has a capacitance that keeps the voltage of the channel
before: it discharges through the source resistance of the node and the input resistance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from hwlearn_sim.instruments.capability import LINE_HZ, Meters
from hwlearn_sim.instruments.instrument import Clock
from hwlearn_sim.plane.plane import AnalogPlane
from hwlearn_sim.plane.sources import CurrentSource, Open

_LIMIT_V: Final = 1e6
"""Voltage limit of the load current: beyond every circuit, so that it never acts."""

_PROBE_A: Final = 1e-12
_OF_STEP: Final = 1e-2
"""Accuracy of the loaded voltage, as a fraction of the resolution."""

_MOST_STEPS: Final = 40


@dataclass(frozen=True, slots=True)
class VoltmeterReading:
    """Settings of one reading.

    Attributes
    ----------
    range_V : float
    most_V : float
        Largest reading of the range.
    step_V, noise_V : float
        Resolution, and standard deviation of the noise.
    nplc : float
        Integration time in power line cycles.
    autozero : bool
    input_ohm : float
    delay_s : float
        Between closing the channel and reading it.
    """

    range_V: float
    most_V: float
    step_V: float
    noise_V: float
    nplc: float
    autozero: bool
    input_ohm: float
    delay_s: float


class ScanningVoltmeter:
    """A voltmeter behind a multiplexer.

    Parameters
    ----------
    plane : AnalogPlane
    label : str
        Prefix of the channels' names.
    nodes : mapping of int to int or str
        Node of each channel that is connected; the others are open.
    rng : numpy.random.Generator
        Noise and converter errors.
    meters : Meters
    clock : Clock
    farads : float
        Capacitance between multiplexer and voltmeter.
    switching_s : float
        Time in which a channel closes.
    zero_V : float
        Standard deviation of the offset without automatic zero readings.
    """

    def __init__(
        self,
        plane: AnalogPlane,
        label: str,
        nodes: Mapping[int, int | str],
        rng: np.random.Generator,
        meters: Meters,
        clock: Clock,
        farads: float,
        switching_s: float,
        zero_V: float,
    ) -> None:
        self._plane, self._rng, self._meters, self._clock = plane, rng, meters, clock
        self._channels = {
            channel: plane.attach(node, f"{label} channel {channel}") for channel, node in nodes.items()
        }
        self._gain, self._offset = meters.converter_errors(rng)["voltage"]
        self._zero_V = zero_V * meters.noise * float(rng.standard_normal())
        self._farads, self._switching_s = farads, switching_s
        self._line_V = 0.0

    @property
    def generator(self) -> np.random.Generator:
        """Source of the noise."""
        return self._rng

    def read(self, channel: int, wanted: VoltmeterReading) -> float:
        """Close a channel, read it and open it; infinity for an overload."""
        clock, cycle_s = self._clock, 1 / LINE_HZ
        clock.advance(self._switching_s + wanted.delay_s)
        volts, source_ohm = self._loaded(channel, 1 / wanted.input_ohm, _OF_STEP * wanted.step_V)
        volts = self._settled(volts, source_ohm, wanted)
        clock.advance(wanted.nplc * cycle_s * (2 if wanted.autozero else 1))
        if self._meters.noise and wanted.noise_V:
            volts += self._meters.noise * wanted.noise_V * float(self._rng.standard_normal())
        shown = volts * self._gain + self._offset * wanted.range_V + (0.0 if wanted.autozero else self._zero_V)
        if abs(shown) > wanted.most_V:
            return math.copysign(math.inf, shown)
        return round(shown / wanted.step_V) * wanted.step_V

    def _loaded(self, channel: int, siemens: float, room_V: float) -> tuple[float, float]:
        """Return the voltage of a channel with the voltmeter connected, and the source resistance of its node.

        The load draws the current V * siemens. Its operating point is found by the secant method to ``room_V``;
        for circuits of resistors the first step is exact.
        """
        if channel not in self._channels:
            return 0.0, math.inf
        attached = self._channels[channel]
        try:
            unloaded = self._volts(attached, 0.0)
            drawn = unloaded * siemens or _PROBE_A
            pulled = self._volts(attached, drawn)
            ohm = (unloaded - pulled) / drawn
            if not 0 <= ohm < _LIMIT_V / abs(drawn) / 2:  # a floating node follows any current to its limit
                return 0.0, math.inf
            volts, found = unloaded / (1 + ohm * siemens), pulled
            for _ in range(_MOST_STEPS):
                if abs(found - volts) <= room_V:
                    break
                found = self._volts(attached, volts * siemens)
                volts += (found - volts) / (1 + ohm * siemens)
            return volts, ohm
        finally:
            self._plane.drive(attached, Open())

    def _volts(self, attached: int, drawn_A: float) -> float:
        """Return the voltage of a channel from which a current is drawn."""
        self._plane.drive(attached, CurrentSource(-drawn_A, _LIMIT_V) if drawn_A else Open())
        return self._plane.read(attached).volts

    def _settled(self, volts: float, source_ohm: float, wanted: VoltmeterReading) -> float:
        """Return the mean over the integration time of the voltage that approaches its final value."""
        siemens = 1 / wanted.input_ohm + (1 / source_ohm if source_ohm else math.inf)
        seconds = self._farads / siemens if math.isfinite(siemens) else 0.0
        before, self._line_V = self._line_V, volts
        if not seconds or before == volts:
            return volts
        aperture_s = wanted.nplc / LINE_HZ
        left = (before - volts) * math.exp(-wanted.delay_s / seconds)
        self._line_V = volts + left * math.exp(-aperture_s / seconds)
        return volts + left * seconds / aperture_s * -math.expm1(-aperture_s / seconds)
