"""Call a function for one point, in whatever process: what became of it, never an exception of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hwlearn.errors import HwlearnError
from hwlearn.lab.sweeps.table import Outcome

PointFunction = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Takes a point and returns its results: numbers, text, lists and mappings of them. Of numpy's too."""

_MOST_TEXT: Final = 500
"""Characters of an error that are kept."""


@dataclass(frozen=True)
class Job:
    """One point to be run.

    Attributes
    ----------
    number : int
    point : mapping of str to value
    """

    number: int
    point: Mapping[str, Any]


def attempt(job: Job, function: PointFunction) -> Outcome:
    """Call the function for one point; an error becomes the point's own."""
    began = time.perf_counter()
    try:
        result = json.dumps(dict(function(job.point)), default=_plain)
    except (Exception, SystemExit) as error:
        return Outcome(job.number, None, error_line(error), time.perf_counter() - began)
    return Outcome(job.number, result, None, time.perf_counter() - began)


def error_line(error: BaseException) -> str:
    """Return an error in one line; errors of other packages with their type."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(error)).split())
    if not isinstance(error, HwlearnError) or not text:
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - 4]} ..."


def _plain(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"a result of a point is a {type(value).__name__}; it must be a number, text, list or mapping")
