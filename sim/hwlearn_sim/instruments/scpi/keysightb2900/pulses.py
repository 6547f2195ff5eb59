"""`Pulsed`: the output of a channel during one trigger, as a pulse or as a DC level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hwlearn_sim.instruments.capability import ChannelReading
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.scpi.keysightb2900.sweeps import Pulse


class Pulsed:
    """The output of one channel during a run.

    A pulse goes from the base, the present level, to the peak, the triggered level, and back. A measurement that
    is only partly inside a pulse reports the mean of both, weighted by time, as an integrating converter does.

    Parameters
    ----------
    channel : VirtualChannel
        The channel.
    pulse : Pulse or None
        The pulse; None for a DC source.
    """

    def __init__(self, channel: VirtualChannel, pulse: Pulse | None) -> None:
        self._channel, self._pulse = channel, pulse
        self._quantity = channel.settings.function
        self._base = self._peak = channel.settings.levels[self._quantity]
        self._begin_s = 0.0

    @property
    def end_s(self) -> float:
        """Time at which the pulse ends."""
        return self._begin_s if self._pulse is None else self._begin_s + self._pulse.width_s

    def begin(self, trigger_s: float) -> None:
        """Note the time of a trigger."""
        self._begin_s = trigger_s + (0.0 if self._pulse is None else self._pulse.delay_s)

    def note_peak(self) -> None:
        """Note the level that the trigger has set."""
        self._peak = self._channel.settings.levels[self._quantity]

    def finish(self) -> None:
        """Return to the base after a pulse."""
        if self._pulse is not None:
            self._set(self._base)

    def measured(
        self, start_s: float, integration_s: float, measure: Callable[[], ChannelReading]
    ) -> ChannelReading:
        """Take a reading that begins at ``start_s`` and takes ``integration_s``."""
        if self._pulse is None:
            return measure()
        inside_s = min(start_s + integration_s, self.end_s) - max(start_s, self._begin_s)
        share = min(max(inside_s / integration_s, 0.0), 1.0) if integration_s else 1.0
        if share in (0.0, 1.0):
            self._set(self._peak if share else self._base)
            return measure()
        self._set(self._base)
        base = self._sampled(measure)
        self._set(self._peak)
        peak = measure()
        values = {
            quantity: share * value + (1 - share) * base.values[quantity]
            for quantity, value in peak.values.items()
        }
        return replace(peak, values=values)

    def _sampled(self, measure: Callable[[], ChannelReading]) -> ChannelReading:
        """Take a reading without letting time pass."""
        clock = self._channel.clock
        seconds = clock.seconds
        reading = measure()
        clock.seconds = seconds
        return reading

    def _set(self, level: float) -> None:
        if self._channel.settings.levels[self._quantity] != level:
            self._channel.set_level(self._quantity, level)
