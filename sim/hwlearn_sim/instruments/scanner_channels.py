"""Channels of virtual scanning voltmeters: modules, channel lists, and the settings of each channel."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from hwlearn_sim.instruments.errors import VirtualInstrumentError

_LIST: Final = re.compile(r"\(\s*@\s*((?:\d+(?:\s*:\s*\d+)?(?:\s*,\s*\d+(?:\s*:\s*\d+)?)*)?)\s*\)", re.ASCII)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Multiplexer:
    """A multiplexer module.

    Attributes
    ----------
    channels : int
        Channels that read voltages.
    bank : int
        Number of channels of one bank.
    per_second : float
        Channels that it scans in a second.
    """

    channels: int
    bank: int
    per_second: float


@dataclass(frozen=True, slots=True)
class ScannerModel:
    """One model.

    Attributes
    ----------
    identity : str
        Reply to ``*IDN?``, with a field ``{serial}`` if it reports one.
    cards : mapping of str to Multiplexer
        Modules that fit.
    slots : int
        Their number.
    digits : int
        Digits of a channel behind that of its slot.
    """

    identity: str
    cards: Mapping[str, Multiplexer]
    slots: int
    digits: int


@dataclass(frozen=True, slots=True)
class ScannedChannel:
    """Settings of one channel; it measures DC voltage.

    Attributes
    ----------
    range_V : float
    autorange : bool
    nplc : float
    autozero, high_impedance : bool
    set_delay_s : float or None
        None: automatic.
    """

    range_V: float
    autorange: bool = True
    nplc: float = 1.0
    autozero: bool = True
    high_impedance: bool = False
    set_delay_s: float | None = None


class Channels:
    """The multiplexer modules in the slots, and the settings of their channels.

    Parameters
    ----------
    model : ScannerModel
    cards : mapping of int to str
        Slot -> module.
    initial : ScannedChannel
        Settings of a channel after a reset.
    """

    def __init__(self, model: ScannerModel, cards: Mapping[int, str], initial: ScannedChannel) -> None:
        self.model, self.cards, self._initial = model, dict(cards), initial
        self._base: int = 10**model.digits
        self._settings: dict[int, ScannedChannel] = {}
        self.scanned: tuple[int, ...] = ()

    def __getitem__(self, channel: int) -> ScannedChannel:
        return self._settings.get(channel, self._initial)

    def change(self, channels: Sequence[int], **values: object) -> None:
        """Change settings of channels."""
        for channel in channels:
            self._settings[channel] = replace(self[channel], **values)  # type: ignore[arg-type]

    def reset(self) -> None:
        """Restore the settings of the factory, and clear the scan list."""
        self._settings.clear()
        self.scanned = ()

    def card_of(self, channel: int) -> Multiplexer | None:
        """Return the module of a channel that reads voltages; None if there is none."""
        slot, number = divmod(channel, self._base)
        card = self.model.cards.get(self.cards.get(slot, ""))
        return card if card is not None and 1 <= number <= card.channels else None

    def slot_of(self, channel: int) -> int:
        """Return the slot of a channel."""
        return channel // self._base

    def bank(self, channel: int) -> tuple[int, int]:
        """Return slot and bank of a channel, in which one channel at a time can be closed."""
        card = self.card_of(channel)
        assert card is not None, "channel lists are checked"
        return self.slot_of(channel), (channel % self._base - 1) // card.bank

    def listed(self, argument: str, *, may_be_empty: bool = False) -> tuple[int, ...]:
        """Return the channels of a list such as ``(@101,103:105)``, rising and each once.

        Invalid channels inside a range are left out, those that are named are rejected.

        Raises
        ------
        VirtualInstrumentError
            -104 if it is no channel list, -222 if a channel is not on a module that reads voltages.
        """
        found = _LIST.fullmatch(argument)
        if found is None or (not found[1] and not may_be_empty):
            raise VirtualInstrumentError(-104)
        chosen: set[int] = set()
        for item in filter(None, re.sub(r"\s", "", found[1]).split(",")):
            ends = [int(end[:6]) for end in item.split(":")]
            if any(self.card_of(end) is None for end in ends) or ends[0] > ends[-1]:
                raise VirtualInstrumentError(-222)
            chosen.update(channel for channel in range(ends[0], ends[-1] + 1) if self.card_of(channel) is not None)
        return tuple(sorted(chosen))
