"""Source levels of a sweep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

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


@contextmanager
def stepped(channel: VirtualChannel, levels: Sequence[float]) -> Iterator[Iterator[None]]:
    """Step the source of a channel through levels, repeatedly; restore its level afterwards."""
    settings = channel.settings
    quantity, before = settings.function, settings.levels[settings.function]

    def steps() -> Iterator[None]:
        while True:
            for level in levels or [before]:
                if level != settings.levels[quantity]:
                    channel.set_level(quantity, level)
                yield None

    try:
        yield steps()
    finally:
        if channel.settings is settings and settings.levels[quantity] != before:
            channel.set_level(quantity, before)
