"""Stored settings of a SCPI instrument, and the list of what each command does to it."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")

Effect = Literal["modelled", "stored", "refused"]
"""What a command does: it acts as in the manual, it is stored and has no effect on any reading or output, or it is
refused with an error."""

Suffixes = tuple[int, ...]


class SettingStore:
    """Values of settings by name and numeric suffixes. A value that was never set is the default."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, Suffixes], Any] = {}
        self._lasting: dict[tuple[str, Suffixes], Any] = {}

    def clear(self) -> None:
        """Restore the defaults of all settings that a reset restores."""
        self._values.clear()

    def snapshot(self, *prefixes: str) -> dict[tuple[str, Suffixes], Any]:
        """Return the settings that differ from their defaults, optionally only those whose name has a prefix."""
        return {key: value for key, value in self._values.items() if not prefixes or key[0].startswith(prefixes)}

    def restore(self, values: dict[tuple[str, Suffixes], Any], *prefixes: str) -> None:
        """Restore a snapshot with the same prefixes; settings that it does not contain get their defaults."""
        for key in list(self.snapshot(*prefixes)):
            del self._values[key]
        self._values.update(values)

    def values(self, lasting: bool) -> dict[tuple[str, Suffixes], Any]:
        """Return the dictionary of the values that a reset restores, or of those that it does not change."""
        return self._lasting if lasting else self._values


class Setting(Generic[T]):
    """One setting. Call it for its present value.

    Parameters
    ----------
    store : SettingStore
        The values.
    name : str
        Name of the setting.
    initial : T
        Default; values must be immutable.
    suffixes : int
        Number of numeric suffixes, which are 1 if they are not given.
    lasting : bool
        Whether a reset does not change the setting.
    """

    __slots__ = ("_initial", "_key", "_name", "_values")

    def __init__(
        self, store: SettingStore, name: str, initial: T, suffixes: int = 0, *, lasting: bool = False
    ) -> None:
        self._values, self._name, self._initial = store.values(lasting), name, initial
        self._key = (name, (1,) * suffixes)

    def __call__(self, suffixes: Suffixes | None = None) -> T:
        """Return the present value."""
        key = self._key if suffixes is None else (self._name, suffixes)
        value: T = self._values.get(key, self._initial)
        return value

    def put(self, value: T, suffixes: Suffixes | None = None) -> None:
        """Set the value."""
        self._values[self._key if suffixes is None else (self._name, suffixes)] = value
