"""Conditions that choose runs: ``bench=iris``, ``train.rate>=0.05``, ``rms_error<1 mV``, ``note~wafer 7``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, get_args

from hwlearn.errors import RunError, UnitError, closest
from hwlearn.lab.runs.contents import RunContents
from hwlearn.storage.toml_text import toml_tables
from hwlearn.units import parse_quantity, unit_of

KEYS: Final = (
    "run", "bench", "backend", "status", "seed", "epochs", "steps", "created", "note", "dry_run", "accuracy",
    "rms_error", "cost",
)  # fmt: skip
"""What can be compared beside the keys of the bench file, such as ``train.rate``."""

_TEXTS: Final = ("run", "bench", "backend", "status", "note", "dry_run")
_COUNTS: Final = ("seed", "epochs", "steps", "accuracy", "cost")
"""Keys of texts, and of numbers without a unit."""

_ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_UNITS: Final = ("V", "A", "S", "ohm", "s", "Hz")
_DATE: Final = re.compile(
    r"(\d{4})(?:-(\d\d?)(?:-(\d\d?)(?:[T ](\d\d?):(\d\d)(?::(\d\d)(?:\.\d+)?)? ?(Z|[+-]\d\d:?\d\d)?)?)?)?"
)


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
            If it is no condition, names no key, or its value does not fit the key: it has another unit, is no
            date, or has no order.
        """
        found = re.fullmatch(r"\s*([\w.-]+)\s*(<=|>=|!=|==|=|<|>|~)\s*(.*?)\s*", text)
        if found is None:
            raise RunError(f"{text!r} is no condition; write for example bench=iris, epochs>=100 or note~wafer")
        key, sign, value = found[1], found[2].replace("==", "="), found[3]
        if key not in KEYS and "." not in key:
            hint = closest(key, KEYS)
            known = ", ".join(KEYS)
            raise RunError(f"runs have no {key!r}{hint}; use {known}, or a key of the bench file like train.rate")
        if sign != "~":
            _check_value(key, sign, value)
        return cls(key, sign, value)

    def value_of(self, contents: RunContents) -> Any:
        """Return what a run has under the key; None if it has nothing."""
        return _value(contents, self.key)

    def fits(self, has: Any) -> bool:
        """Return whether a value fulfils the condition; a missing one, None, fulfils only ``!=``.

        One that cannot be ordered beside the value of the condition does not fulfil it.
        """
        if has is None:
            return self.sign == "!="
        if self.sign == "~":
            return self.value.casefold() in str(has).casefold()
        if self.key == "created":
            return self._fits_time(str(has))
        numbers = self._numbers(has)
        if self.sign in _ORDER:
            return numbers is not None and _ORDER[self.sign](*numbers)
        if numbers is not None:
            equal = numbers[0] == numbers[1]
        elif isinstance(has, bool):
            equal = str(has).lower() == self.value.lower()
        else:
            equal = str(has) == self.value
        return equal == (self.sign == "=")

    def can_fit(self, has: Any) -> bool:
        """Return whether a value can be compared as the condition does: text and lists have no order."""
        return self.sign not in _ORDER or self.key == "created" or self._numbers(has) is not None

    def _fits_time(self, has: str) -> bool:
        """Compare with the first moment of a date, or, for equality, with the whole day, month or year."""
        first, after = _period(self.value)
        try:
            moment = datetime.fromisoformat(has).astimezone()
        except ValueError:
            return self.sign == "!="
        if self.sign in _ORDER:
            return _ORDER[self.sign](moment, first)
        return (first <= moment < after) == (self.sign == "=")

    def _numbers(self, has: Any) -> tuple[float, float] | None:
        """Return a value of a run and that of the condition as numbers in one SI unit; None if they are none."""
        if self.key in _TEXTS or isinstance(has, bool) or not isinstance(has, int | float | str):
            return None
        for unit in _UNITS:
            with suppress(UnitError):
                return parse_quantity(has, unit), parse_quantity(self.value, unit)
        return None


def _check_value(key: str, sign: str, value: str) -> None:
    """Refuse a value that does not fit its key.

    Raises
    ------
    RunError
        If it has another unit, is no number or no date, or if the key has no order.
    """
    if key == "created":
        _period(value)
    elif key in _TEXTS and sign in _ORDER:
        raise RunError(f"{key} is no number and cannot be ordered beside {value!r}; use =, != or ~")
    elif key in _COUNTS:
        _require_number(key, value, ())
    elif key == "rms_error":
        _require_number(key, value, ("V",))
    elif "." in key and (unit := _unit(value)) is not None:
        units = _units_of_key(key)
        if units is not None and unit not in units:
            _require_number(key, value, units)


def _require_number(key: str, value: str, units: Sequence[str]) -> None:
    """Refuse a value that is no number in one of these units; without any, a value with a unit."""
    allowed = units or ("V",)
    fits = _unit(value) in (*units, None)
    for unit in allowed if fits else ():
        with suppress(UnitError):
            parse_quantity(value, unit)
            return
    what = f"a number in {' or '.join(units)}" if units else "a number without a unit"
    example = f"1 {units[0]}" if units else "1"
    raise RunError(f"{key} is {what}, got {value!r}; write for example '{key}>={example}'")


def _unit(value: str) -> str | None:
    """Return the unit of a quantity; None if it has none, or is no quantity."""
    found = re.fullmatch(r"[-+\u2212]?[\d.]+(?:[eE][-+]?\d+)?\s*([^\d\s].*)", value)
    known = None if found is None else unit_of(found[1])
    return None if known is None else known[0]


def _units_of_key(key: str) -> tuple[str, ...] | None:
    """Return the units of a key of the bench file; None if it is no number, or depends on a kind or a plugin."""
    # slow to import, and not needed to list runs
    from hwlearn.lab.bench_file.file import FIXED
    from hwlearn.quantities import Quantity

    table, _, name = key.partition(".")
    field = FIXED[table].model_fields.get(name) if table in FIXED else None
    if field is None:
        return None
    parts = [*field.metadata, *_parts(field.annotation)]
    units = tuple(dict.fromkeys(part.unit for part in parts if isinstance(part, Quantity)))
    return units if units or {int, float}.intersection(filter(_is_type, parts)) else None


def _parts(annotation: Any) -> Iterator[Any]:
    """Yield the types and the marks in an annotation such as ``Annotated[float, Quantity("V")] | None``."""
    yield annotation
    for inner in get_args(annotation):
        yield from _parts(inner)


def _is_type(part: Any) -> bool:
    return isinstance(part, type)


def _period(text: str) -> tuple[datetime, datetime]:
    """Return the first moment of a year, month, day, minute or second, and the first one after it.

    Without a time zone it is that of this computer.

    Raises
    ------
    RunError
        If the text is no date.
    """
    found = _DATE.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError
        year, month, day, hour, minute, second = (
            None if part is None else int(part) for part in found.groups()[:6]
        )
        zone = None if found[7] is None else datetime.fromisoformat(f"2000-01-01T00:00{found[7]}").tzinfo
        first = datetime(year or 0, month or 1, day or 1, hour or 0, minute or 0, second or 0, tzinfo=zone)
        if month is None:
            after = first.replace(year=first.year + 1)
        elif day is None:
            after = (first + timedelta(days=31)).replace(day=1)
        elif hour is None:
            after = first + timedelta(days=1)
        else:
            after = first + (timedelta(minutes=1) if second is None else timedelta(seconds=1))
        return first.astimezone(), after.astimezone()
    except (ValueError, OverflowError):
        raise RunError(
            f"{text!r} is no date; write for example 'created>=2026-09-01' or 'created<2026-09-01T12:30'"
        ) from None


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
