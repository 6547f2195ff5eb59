"""`MovingFilter`: the moving average of a Keithley's readings."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from hwlearn_sim.instruments.capability import ChannelReading
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.ranges import Quantity


class MovingFilter:
    """Mean of the last conversions. The first conversion fills the stack; each reading adds one.

    The stack is filled anew whenever the source, a fixed range or the length changes (2400 User's Manual p. 7-12).

    Parameters
    ----------
    channel : VirtualChannel
        The channel.
    """

    def __init__(self, channel: VirtualChannel) -> None:
        self._channel = channel
        self._key: object = None
        self._stacks: dict[Quantity, deque[float]] = {}

    def measure(self, length: int, measure: Callable[[], ChannelReading]) -> ChannelReading:
        """Take one conversion and return the mean of the last ``length`` ones."""
        settings = self._channel.settings
        settings.average = 1
        key = (
            length,
            settings.output,
            settings.function,
            settings.levels[settings.function],
            tuple(settings.measure_ranges.values()),
        )
        reading = measure()
        if key != self._key or set(self._stacks) != set(reading.values):
            self._key = key
            self._stacks = {one: deque([value] * length, length) for one, value in reading.values.items()}
        else:
            for quantity, value in reading.values.items():
                self._stacks[quantity].append(value)
        return replace(reading, values={one: sum(stack) / length for one, stack in self._stacks.items()})
