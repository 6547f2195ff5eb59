"""Configuration lists of a Keithley 2450: stored source or measure settings (Reference Manual p. 3-31)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

from hwlearn_sim.instruments.capability import ChannelState
from hwlearn_sim.instruments.channel import VirtualChannel
from hwlearn_sim.instruments.errors import VirtualInstrumentError
from hwlearn_sim.instruments.scpi.language import unquoted
from hwlearn_sim.instruments.scpi.parameters import Whole, checked_count
from hwlearn_sim.instruments.scpi.settings import SettingStore, Suffixes
from hwlearn_sim.instruments.scpi.smu import ScpiSmu

ListSide = Literal["SOURce#", "[SENSe#:]"]
_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "SOURce#": ("function", "levels", "limits", "source_ranges", "off_states", "protection_V"),
    "[SENSe#:]": ("measure_ranges", "autorange", "nplc", "four_wire"),
}
"""Settings of the channel that belong to each side."""

_MOST: Final = 300_000
_MOST_LISTS: Final = 32


@dataclass(frozen=True, slots=True)
class _Stored:
    """Settings of one side."""

    values: dict[tuple[str, Suffixes], Any]
    channel: dict[str, Any]


def _copied(settings: ChannelState, names: Sequence[str]) -> dict[str, Any]:
    copy = settings.copy()
    present = {
        "function": copy.function, "levels": copy.levels, "limits": copy.limits,
        "source_ranges": copy.source_ranges, "off_states": copy.off_states, "protection_V": copy.protection_V,
        "measure_ranges": copy.measure_ranges, "autorange": copy.autorange, "nplc": copy.nplc,
        "four_wire": copy.four_wire,
    }  # fmt: skip
    return {name: present[name] for name in names}


@dataclass
class ConfigurationLists:
    """The lists of one side, source or measure.

    Attributes
    ----------
    side : {"SOURce#", "[SENSe#:]"}
        Prefix of the headers and of the settings.
    channel : VirtualChannel
        The channel.
    store : SettingStore
        The other settings.
    """

    side: ListSide
    channel: VirtualChannel
    store: SettingStore
    _lists: dict[str, list[_Stored]] = field(default_factory=dict)

    def clear(self) -> None:
        """Delete all lists."""
        self._lists.clear()

    def has(self, name: str) -> bool:
        """Return whether there is a list of this name."""
        return name in self._lists

    def recall(self, name: str, index: int) -> int:
        """Restore the settings at an index, from 1; return the number of indices of the list."""
        stored = self._one(name)
        if not 1 <= index <= len(stored):
            raise VirtualInstrumentError(-222)
        one = stored[index - 1]
        self.store.restore(one.values, self.side)
        for key, value in one.channel.items():
            setattr(self.channel.settings, key, value.copy() if isinstance(value, dict) else value)
        self.channel.apply()
        return len(stored)

    def _one(self, name: str) -> list[_Stored]:
        if name not in self._lists:
            raise VirtualInstrumentError(-224)
        return self._lists[name]

    def add_commands(self, smu: ScpiSmu) -> None:
        """Add the commands of the lists."""
        separator = ":" if self.side == "SOURce#" else ""
        base = f"{self.side}{separator}CONFiguration:LIST"
        smu.command(f"{base}:CREate", self._create)
        smu.command(f"{base}:DELete", self._delete)
        smu.command(f"{base}:STORe", self._save)
        smu.command(f"{base}:RECall", self._recall_command)
        smu.command(f"{base}:SIZE", query=lambda _, a: str(len(self._one(unquoted(checked_count(a, 1)[0])))))
        smu.command(f"{base}:QUERy", query=partial(self._describe))
        smu.simple_query(f"{base}:CATalog", lambda: ",".join(f'"{name}"' for name in self._lists) or '""')

    def _create(self, _: Suffixes, arguments: list[str]) -> None:
        name = unquoted(checked_count(arguments, 1)[0])
        if not name or name in self._lists or len(self._lists) >= _MOST_LISTS:
            raise VirtualInstrumentError(-224)
        self._lists[name] = []

    def _delete(self, _: Suffixes, arguments: list[str]) -> None:
        name, *index = checked_count(arguments, 1, 2)
        stored = self._one(unquoted(name))
        if index:
            del stored[Whole(1, max(len(stored), 1)).read(index[0]) - 1]
        else:
            del self._lists[unquoted(name)]

    def _save(self, _: Suffixes, arguments: list[str]) -> None:
        """Store the present settings at an index, or at the end."""
        name, *index = checked_count(arguments, 1, 2)
        stored = self._one(unquoted(name))
        channel = _copied(self.channel.settings, _FIELDS[self.side])
        one = _Stored(self.store.snapshot(self.side), channel)
        if index and Whole(1, _MOST).read(index[0]) <= len(stored):
            stored[Whole(1, _MOST).read(index[0]) - 1] = one
        else:
            stored.append(one)

    def _recall_command(self, _: Suffixes, arguments: list[str]) -> None:
        name, *index = checked_count(arguments, 1, 2)
        self.recall(unquoted(name), Whole(1, _MOST).read(index[0]) if index else 1)

    def _describe(self, _: Suffixes, arguments: list[str]) -> str:
        name, index = checked_count(arguments, 2)
        stored = self._one(unquoted(name))
        one = stored[Whole(1, max(len(stored), 1)).read(index) - 1] if stored else None
        if one is None:
            raise VirtualInstrumentError(-222)
        named = [f"{key}={value}" for key, value in one.channel.items()]
        named += [f"{key[0]}={value}" for key, value in one.values.items()]
        return '"' + "; ".join(named).replace('"', "'") + '"'
