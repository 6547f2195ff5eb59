"""Axes of a sweep: keys of the bench file, each with the values that it takes.

The text of an axis is ``KEY=VALUES``. Values are separated by commas. Each is a value as ``--set`` accepts it, or
a range ``START:STOP:COUNT`` (equal steps, both ends included), or ``START:STOP:COUNT:log`` (equal ratios).
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hwlearn.errors import SetupError, UnitError
from hwlearn.storage.toml_text import toml_tables
from hwlearn.units import parse_quantity, unit_of

MOST_POINTS: Final = 1_000_000

_DIGITS: Final = 12
"""Significant digits of the values of a range: 0:0.5:6 has 0.3, not 0.30000000000000004."""

_OPENING, _CLOSING = "[{(", "]})"
_WITH_UNIT: Final = re.compile(r"\s*([+\-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\S.*?)?\s*")


@dataclass(frozen=True)
class Axis:
    """A key of the bench file and its values in a sweep.

    Attributes
    ----------
    key : str
        Such as ``"train.rate"``.
    values : tuple
        At least one; numbers, text, truth values, or lists as TOML has them.
    """

    key: str
    values: tuple[Any, ...]


def parse_axis(text: str) -> Axis:
    """Return the axis of ``KEY=VALUES``.

    Raises
    ------
    SetupError
        If the text has no key or no values, or a range is wrong.

    Examples
    --------
    >>> parse_axis("train.rate=0.02,0.05")
    Axis(key='train.rate', values=(0.02, 0.05))
    >>> parse_axis("backend.device_spread=0:0.5:6").values
    (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    >>> parse_axis("train.rate=1e-3:1e-1:3:log").values
    (0.001, 0.01, 0.1)
    >>> parse_axis("backend.read_noise=0:10 mV:3").values
    (0.0, 0.005, 0.01)
    """
    key, equals, values = text.partition("=")
    if not equals or not key.strip():
        raise SetupError(f"grid {text!r} must read section.key=values, for example train.rate=0.02,0.05")
    return make_axis(key.strip(), values)


def make_axes(grid: object) -> tuple[Axis, ...]:
    """Return the axes of a grid: a mapping of keys to values, or axes or text ``"KEY=VALUES"``, one or several.

    Raises
    ------
    SetupError
        If it is something else, or an axis is wrong.
    """
    wrong = f'grid is {grid!r:.80}; give values by key, such as {{"train.rate": [0.02, 0.05]}}'
    if grid is None:
        return ()
    if isinstance(grid, Mapping):
        if not all(isinstance(key, str) for key in grid):
            raise SetupError(wrong)
        return tuple(make_axis(key, values) for key, values in grid.items())
    listed = [grid] if isinstance(grid, str | Axis) else grid
    if not isinstance(listed, Iterable) or isinstance(listed, bytes | np.ndarray):
        raise SetupError(wrong)
    axes = [parse_axis(item) if isinstance(item, str) else item for item in listed]
    if not all(isinstance(axis, Axis) for axis in axes):
        raise SetupError(wrong)
    return tuple(axes)


def make_axis(key: str, values: object) -> Axis:
    """Return an axis from text, a number, or an iterable of values such as a list or an array.

    Raises
    ------
    SetupError
        If there are no values, a value is there twice, or a range is wrong.
    """
    where = f"grid of {key}"
    values = values.tolist() if isinstance(values, np.ndarray) else values
    if isinstance(values, str):
        found = tuple(value for item in _split(values, where) for value in _expanded(item, where))
    elif isinstance(values, Iterable) and not isinstance(values, Mapping | bytes):
        found = tuple(_plain(value) for value in values)
    else:
        found = (_plain(values),)
    if not found:
        raise SetupError(f"{where} has no values")
    refuse_repeated(key, found)
    return Axis(key, found)


def refuse_repeated(key: str, values: tuple[Any, ...]) -> None:
    """Refuse values of which two are equal.

    Raises
    ------
    SetupError
        Naming the value.
    """
    seen: set[Hashable] = set()
    for value in values:
        known = _hashable(value)
        if known in seen:
            raise SetupError(f"grid of {key} has the value {value!r} twice")
        seen.add(known)


def _hashable(value: Any) -> Hashable:
    """Return what is equal for equal values; 1 and true are not."""
    if isinstance(value, list):
        return tuple(_hashable(item) for item in value)
    if isinstance(value, Mapping):
        return frozenset((name, _hashable(item)) for name, item in value.items())
    if isinstance(value, bool) or not isinstance(value, Hashable):
        return type(value), repr(value)
    return value


def make_seeds(seeds: object) -> tuple[int, ...] | None:
    """Return the seeds of a sweep: 10 is 0 to 9; text ``"3,7"`` or an iterable lists them; None stays None.

    Raises
    ------
    SetupError
        If they are no whole numbers of at least 0, or one is there twice.
    """
    if seeds is None:
        return None
    wrong = f"seeds is {seeds!r}; give their number, such as 10 for the seeds 0 to 9, or a list such as 3,7,12"
    if isinstance(seeds, str):
        try:
            listed = [int(item) for item in seeds.split(",") if item.strip()]
        except ValueError:
            raise SetupError(wrong) from None
        seeds = listed[0] if "," not in seeds and listed else listed
    seeds = _plain(seeds)
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        if not 1 <= seeds <= MOST_POINTS:
            raise SetupError(wrong)
        return tuple(range(seeds))
    if not isinstance(seeds, Iterable) or isinstance(seeds, Mapping | bytes):
        raise SetupError(wrong)
    found = tuple(_plain(seed) for seed in seeds)
    if not found or any(isinstance(seed, bool) or not isinstance(seed, int) or seed < 0 for seed in found):
        raise SetupError(wrong)
    refuse_repeated("seeds", found)
    return found


def _plain(value: Any) -> Any:
    """Return Python's own number, text or list for one of numpy's."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _split(text: str, where: str) -> Iterator[str]:
    """Yield the parts between commas that are not inside quotes or brackets."""
    depth, quote, part = 0, "", ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
        if character == "," and not depth and not quote:
            yield _not_empty(part, where)
            part = ""
        else:
            part += character
    yield _not_empty(part, where)


def _not_empty(part: str, where: str) -> str:
    if not part.strip():
        raise SetupError(f"{where} has an empty value; write for example 0.02,0.05 or 0:0.5:6")
    return part.strip()


def _expanded(item: str, where: str) -> list[Any]:
    """Return the values of one part: those of a range, or one value as ``--set`` reads it."""
    parts = [part.strip() for part in item.split(":")]
    if len(parts) in (3, 4) and _WITH_UNIT.fullmatch(parts[0]) and _WITH_UNIT.fullmatch(parts[1]):
        return _range(parts, item, where)
    if len(parts) == 2 and all(_WITH_UNIT.fullmatch(part) for part in parts):
        raise SetupError(f"{where}: {item!r} is no range; write start:stop:count, for example {item}:5")
    try:
        return [toml_tables(f"value = {item}")["value"]]
    except SetupError:
        return [item]  # a bare word or a quantity


def _range(parts: list[str], item: str, where: str) -> list[Any]:
    logarithmic = len(parts) == 4
    if logarithmic and parts[3] != "log":
        raise SetupError(f"{where}: {item!r} ends with {parts[3]!r}; the only word after the count is log")
    if not parts[2].isdecimal() or not 2 <= int(parts[2]) <= MOST_POINTS:
        raise SetupError(
            f"{where}: the count of {item!r} is {parts[2]!r}; it must be a whole number of at least 2"
        )
    (start, unit), (stop, other) = _end(parts[0], where), _end(parts[1], where)
    if unit != other and not (unit is None and start == 0) and not (other is None and stop == 0):
        raise SetupError(f"{where}: the ends of {item!r} have different units; give both the same")
    count = int(parts[2])
    if logarithmic and not start * stop > 0:
        raise SetupError(f"{where}: {item!r} with log needs two ends above 0, or two below")
    if start == stop:
        raise SetupError(f"{where}: {item!r} starts and ends with the same value")
    steps = np.geomspace(start, stop, count) if logarithmic else np.linspace(start, stop, count)
    values = [start, *(float(f"{step:.{_DIGITS}g}") for step in steps[1:-1]), stop]
    whole = all(_is_whole(part) for part in parts[:2]) and all(value == int(value) for value in values)
    return [int(value) for value in values] if whole else values


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"[+\-]?\d+", text) is not None


def _end(text: str, where: str) -> tuple[float, str | None]:
    """Return one end of a range in SI units, and its unit: None for a number, "" for a prefix alone."""
    match = _WITH_UNIT.fullmatch(text)
    assert match is not None
    if match[2] is None:
        value = float(match[1])
        if not math.isfinite(value):
            raise SetupError(f"{where}: {text!r} is not a finite number")
        return value, None
    known = unit_of(match[2])
    unit = "" if known is None else known[0]
    try:
        return parse_quantity(text, unit or "V"), unit
    except UnitError:
        raise SetupError(
            f"{where}: {text!r} is no number, and no quantity such as 10 mV; a range has the form start:stop:count"
        ) from None
