"""Conditions that choose runs: ``bench=iris``, ``train.rate>=0.05``, ``rms_error<1 mV``, ``note~wafer 7``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from hwlearn.errors import RunError, UnitError, closest
from hwlearn.lab.runs.contents import RunContents
from hwlearn.storage.toml_text import toml_tables
from hwlearn.units import parse_quantity

KEYS: Final = (
    "run", "bench", "backend", "status", "seed", "epochs", "steps", "created", "note", "dry_run", "accuracy",
    "rms_error", "cost",
)  # fmt: skip
"""What can be compared beside the keys of the bench file, such as ``train.rate``."""

_ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_UNITS: Final = ("V", "A", "S", "ohm", "s", "Hz")


@dataclass(frozen=True)
class RunFilter:
    """A condition on runs.

    Attributes
    ----------
    key : str
        One of `KEYS`, or a key of the bench file such as ``train.rate``.
    sign : str
        ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, or ``~`` for "contains".
    value : str

    Examples
    --------
    >>> RunFilter.parse("train.rate >= 0.05")
    RunFilter(key='train.rate', sign='>=', value='0.05')
    """

    key: str
    sign: str
    value: str

    @classmethod
    def parse(cls, text: str) -> RunFilter:
        """Return the condition of a text.

        Raises
        ------
        RunError
            If it is no condition, or names no key.
        """
        found = re.fullmatch(r"\s*([\w.-]+)\s*(<=|>=|!=|=|<|>|~)\s*(.*?)\s*", text)
        if found is None:
            raise RunError(f"{text!r} is no condition; write for example bench=iris, epochs>=100 or note~wafer")
        key, sign, value = found.groups()
        if key not in KEYS and "." not in key:
            hint = closest(key, KEYS)
            known = ", ".join(KEYS)
            raise RunError(f"runs have no {key!r}{hint}; use {known}, or a key of the bench file like train.rate")
        return cls(key, sign, value)

    def value_of(self, contents: RunContents) -> Any:
        """Return what a run has under the key; None if it has nothing."""
        return _value(contents, self.key)

    def fits(self, has: Any) -> bool:
        """Return whether a value fulfils the condition; a missing one, None, fulfils only ``!=``.

        Raises
        ------
        RunError
            If the value cannot be ordered.
        """
        if has is None:
            return self.sign == "!="
        if self.sign == "~":
            return self.value.casefold() in str(has).casefold()
        mine, wanted = _comparable(has, self.value)
        if self.sign in ("=", "!="):
            return bool(mine == wanted) == (self.sign == "=")
        if isinstance(mine, str) and self.key != "created":
            raise RunError(f"{self.key} = {has!r} cannot be ordered beside {self.value!r}; use =, != or ~")
        return _ORDER[self.sign](mine, wanted)


def _value(contents: RunContents, key: str) -> Any:
    """Return what a run has under a key; None if it has nothing."""
    if "." in key:
        table, _, name = key.partition(".")
        settings = contents.meta("settings")
        return None if settings is None else toml_tables(str(settings)).get(table, {}).get(name)
    if key in ("accuracy", "rms_error", "cost"):
        return _score(contents, "rms_error_V" if key == "rms_error" else key)
    found: Mapping[str, Callable[[], Any]] = {
        "run": lambda: contents.folder.resolve().name,
        "status": contents.status,
        "epochs": contents.count_epochs,
        "steps": contents.steps,
        "note": lambda: "\n".join(contents.notes()) or None,
    }
    return found[key]() if key in found else contents.meta(key)


def _score(contents: RunContents, name: str) -> float | None:
    """Return a number of the final score, or of the last epoch if there is none."""
    result = contents.meta("result")
    if result is not None:
        score: float | None = result["measured"][name]
        return score
    epochs = contents.epochs()
    last: float | None = getattr(epochs[-1].validation or epochs[-1].train, name) if epochs else None
    return last


def _comparable(has: Any, wanted: str) -> tuple[Any, Any]:
    """Return a value of a run and a text in one type: numbers, of quantities in SI units, or texts."""
    if isinstance(has, bool):
        return str(has).lower(), wanted.lower()
    for unit in _UNITS if isinstance(has, int | float | str) else ():
        with suppress(UnitError):
            return parse_quantity(has, unit), parse_quantity(wanted, unit)
    return str(has), wanted
