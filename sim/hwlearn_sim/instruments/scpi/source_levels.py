"""Source levels of a sweep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np

from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError


def ramp(start: float, stop: float, points: int, *, logarithmic: bool = False) -> list[float]:
    """Return the levels of a linear or a logarithmic sweep.

    Raises
    ------
    VirtualInstrumentError
        -221 for a logarithmic sweep through zero.
    """
    if not logarithmic:
        return [float(value) for value in np.linspace(start, stop, points)]
    if start * stop <= 0:
        raise VirtualInstrumentError(-221)
    return [float(value) for value in np.geomspace(start, stop, points)]


Ranging = Literal["BEST", "AUTO", "FIX", "FIX, refused"]
"""Source range during a sweep: one range for all levels, the smallest for each level, or the present one.

With FIX, the source gives the largest level of the range where a level is beyond it (2400 User's Manual p. 18-84,
2450 Reference Manual p. 6-82); with "FIX, refused" such a sweep is refused.
"""


@contextmanager
def stepped(
    channel: VirtualChannel, levels: Sequence[float], ranging: Ranging = "BEST"
) -> Iterator[Iterator[None]]:
    """Step the source of a channel through levels, repeatedly; restore its level and range afterwards.

    Raises
    ------
    VirtualInstrumentError
        -222 for a level beyond the ranges.
    """
    settings = channel.settings
    quantity, before = settings.function, settings.levels[settings.function]
    range_before = settings.source_ranges[quantity]
    prepared = _prepared(channel, levels, ranging) or [before]

    def steps() -> Iterator[None]:
        while True:
            for level in prepared:
                if level != settings.levels[quantity]:
                    channel.set_level(quantity, level)
                yield None

    try:
        yield steps()
    finally:
        if channel.settings is settings and (
            settings.levels[quantity] != before or settings.source_ranges[quantity] is not range_before
        ):
            settings.source_ranges[quantity] = range_before
            channel.set_level(quantity, before)


def _prepared(channel: VirtualChannel, levels: Sequence[float], ranging: Ranging) -> list[float]:
    """Select the source range of a sweep; return its levels as the source gives them."""
    if not levels:
        return []
    settings = channel.settings
    quantity, ranges = settings.function, channel.capability.sources[settings.function]
    most = max(abs(level) for level in levels)
    if ranging.startswith("FIX"):
        fixed = channel.source_range(quantity)
        if ranging == "FIX, refused" and not ranges.holds(fixed, most):
            raise VirtualInstrumentError(-222)
        settings.source_ranges[quantity] = fixed
        largest = ranges.usable(fixed)
        return [min(max(level, -largest), largest) for level in levels]
    settings.source_ranges[quantity] = ranges.select(most) if ranging == "BEST" else None
    ranges.select(most)
    return list(levels)
