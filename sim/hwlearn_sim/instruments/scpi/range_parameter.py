"""`RangeParameter`: the parameter of a range command, and the access to the range of a channel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.ranges import Range, Ranges
from hwlearn_sim.instruments.scpi.language import spelled
from hwlearn_sim.instruments.scpi.parameters import Number


@dataclass(frozen=True, slots=True)
class RangeAccess:
    """Access to one range of a channel.

    Attributes
    ----------
    shown : callable
        Returns the range that the channel reports.
    select : callable
        Selects the range for a value, as the range command does.
    hold : callable
        Selects the range for a value, or automatic ranging for None, as the command AUTO does.
    is_automatic : callable
        Returns whether the range is selected automatically.
    """

    shown: Callable[[VirtualChannel], Range]
    select: Callable[[VirtualChannel, float], None]
    hold: Callable[[VirtualChannel, float | None], None]
    is_automatic: Callable[[VirtualChannel], bool]


@dataclass(frozen=True, slots=True)
class RangeParameter:
    """A value, MINimum, MAXimum, DEFault, UP or DOWN.

    Attributes
    ----------
    ranges : Ranges
        The ranges.
    number : Number
        Values of either sign up to the largest.
    bounds : Number
        MINimum, MAXimum and DEFault: the smallest, the largest and the default range.
    """

    ranges: Ranges
    number: Number
    bounds: Number

    def read(self, text: str, present: Range) -> float:
        """Return the value that selects a range; UP and DOWN from the present one (-222 if there is none)."""
        step = next((k for k, name in ((1, "UP"), (-1, "DOWN")) if spelled(text, name)), 0)
        if step:
            place = self.ranges.each.index(present) + step
            if not 0 <= place < len(self.ranges.each):
                raise VirtualInstrumentError(-222)
            return self.ranges.each[place].full_scale
        named = self.bounds.named(text)
        return self.number.read(text) if named is None else named
