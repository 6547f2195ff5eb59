"""Stored setups of a SCPI source-measure unit: ``*SAV``, ``*RCL`` and source memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hwlearn_sim.instruments.capability import ChannelState
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.scpi.parameters import Whole, checked_count
from hwlearn_sim.instruments.scpi.settings import Suffixes
from hwlearn_sim.instruments.scpi.smu import ScpiSmu


@dataclass(frozen=True, slots=True)
class Setup:
    """All settings of an instrument: stored values, and those of its channels."""

    values: dict[tuple[str, Suffixes], Any]
    channels: tuple[ChannelState, ...]

    @classmethod
    def of(cls, smu: ScpiSmu) -> Setup:
        """Return all present settings."""
        return cls(smu.store.snapshot(), tuple(channel.settings.copy() for channel in smu.channels))

    def restore(self, smu: ScpiSmu) -> None:
        """Restore the settings. The outputs are switched off."""
        for channel, settings in zip(smu.channels, self.channels, strict=True):
            channel.set_output(False)
            channel.use(settings.copy())
        smu.store.restore(self.values)


def add_setups(smu: ScpiSmu, most: int, *, preset: bool) -> None:
    """Add ``*SAV`` and ``*RCL`` of memories 0 to ``most``; ``preset``: empty ones have the defaults."""
    saved: dict[int, Setup] = {}
    number = Whole(0, most, 0)

    def save(_: Suffixes, arguments: list[str]) -> None:
        saved[number.read(checked_count(arguments, 1)[0])] = Setup.of(smu)

    def recall(_: Suffixes, arguments: list[str]) -> None:
        chosen = number.read(checked_count(arguments, 1)[0])
        if chosen in saved:
            saved[chosen].restore(smu)
        elif preset:
            smu.reset()
        else:
            raise VirtualInstrumentError(-221)

    smu.command("*SAV", save)
    smu.command("*RCL", recall)
