"""`Study`: one question, the points that are computed for it, and what is found; all as plain values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from hwlearn.study.intervals import Interval

Verdict = Literal["holds", "does not hold", "undecided", "figure"]
"""Of a claim; ``"figure"`` for a number that no claim states."""


def at_least(found: Interval, least: float) -> Verdict:
    """Return whether a number is at least another one, by its interval."""
    return "holds" if found.low >= least else "does not hold" if found.high < least else "undecided"


def at_most(found: Interval, most: float) -> Verdict:
    """Return whether a number is at most another one, by its interval."""
    return "holds" if found.high <= most else "does not hold" if found.low > most else "undecided"


Point = Mapping[str, Any]
"""What one computation is called with: names, and text, numbers or True and False."""


@dataclass(frozen=True)
class StudyRow:
    """A point, and what was computed for it."""

    point: Point
    result: Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """One number with its interval, and the sentence it decides.

    Attributes
    ----------
    name : str
        Unique within the study.
    text : str
        The sentence, in words that need no table.
    value : float
    low, high : float
        95 % interval, or the range that ``basis`` states.
    unit : str
        SI unit, ``""`` for a ratio.
    basis : str
        What the number was computed from.
    verdict : Verdict
    """

    name: str
    text: str
    value: float
    low: float
    high: float
    unit: str = ""
    basis: str = ""
    verdict: Verdict = "figure"

    @classmethod
    def of(
        cls, name: str, text: str, found: Interval, unit: str = "", basis: str = "", verdict: Verdict = "figure"
    ) -> Self:
        """Return a finding of an interval."""
        return cls(
            name, text, found.value, found.low, found.high, unit, basis or f"{found.count} samples", verdict
        )

    @property
    def interval(self) -> Interval:
        """Its value and interval."""
        return Interval(self.value, self.low, self.high, 0)


@dataclass(frozen=True)
class StudyTable:
    """A table of the page: a heading, the names of its columns, and rows of text."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class CurveLine:
    """One line of a chart, with an interval at each place."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]

    @classmethod
    def of(cls, name: str, found: Mapping[float, Interval]) -> Self:
        """Return the line through intervals by their places."""
        each = list(found.values())
        return cls(
            name, list(found), [one.value for one in each], [one.low for one in each], [one.high for one in each]
        )


@dataclass(frozen=True)
class StudyChart:
    """A chart: lines over one axis. ``log`` names the logarithmic axes: ``"x"``, ``"y"`` or ``"xy"``."""

    name: str
    title: str
    x_label: str
    y_label: str
    lines: Sequence[CurveLine]
    log: str = ""


@dataclass(frozen=True)
class Summary:
    """What a study found."""

    findings: Sequence[Finding]
    tables: Sequence[StudyTable] = ()
    charts: Sequence[StudyChart] = ()
    remarks: Sequence[str] = ()
    """What did not hold, what was not covered, and what a number must not be taken for."""


@dataclass(frozen=True)
class Study:
    """One question about training networks, and how it is answered.

    Attributes
    ----------
    name : str
    question : str
    method : str
        What is computed, in plain words.
    points : callable
        Returns the points; takes whether the study is quick. Quick points are points of the full study.
    run : callable
        Computes one point and returns its result; a function at module level, so that other processes can call it.
    summarise : callable
        Returns what the rows show. It must accept the rows of a quick study.
    answer : callable
        Returns the answer in one or two sentences, of the findings of a full study by their names.
    version : int
        Raised when points or results change, so that a folder of an older version is not continued.
    """

    name: str
    question: str
    method: str
    points: Callable[[bool], list[Point]]
    run: Callable[[Point], dict[str, Any]]
    summarise: Callable[[Sequence[StudyRow]], Summary]
    answer: Callable[[Mapping[str, Finding]], str]
    version: int = 1


@dataclass(frozen=True)
class StudyResult:
    """What a study found, and of what; `as_json` and `from_json` are inverse.

    Attributes
    ----------
    study : str
    version : int
    quick : bool
    question, method : str
    points, failed : int
    seconds : float
        Sum over the points, each on one core.
    versions : mapping of str to str
        Packages that computed it.
    summary : Summary
    rows : mapping of str to list
        Columns of all points and their results; see `hwlearn.study.rows`.
    """

    study: str
    version: int
    quick: bool
    question: str
    method: str
    points: int
    failed: int
    seconds: float
    versions: Mapping[str, str]
    summary: Summary = field(default_factory=lambda: Summary(()))
    rows: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it: the ends of an interval that one sample does not have are null."""
        plain: dict[str, Any] = _finite(asdict(self))
        return plain

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Return what `as_json` returned."""
        stored = value["summary"]
        summary = Summary(
            [Finding(**_with_ends(one)) for one in stored["findings"]],
            [StudyTable(**one) for one in stored["tables"]],
            [_chart(one) for one in stored["charts"]],
            stored["remarks"],
        )
        return cls(**{**value, "summary": summary})

    def finding(self, name: str) -> Finding:
        """Return the finding of a name.

        Raises
        ------
        KeyError
            If there is none.
        """
        for one in self.summary.findings:
            if one.name == name:
                return one
        raise KeyError(f"{self.study} has no finding {name!r}")


def _chart(stored: Mapping[str, Any]) -> StudyChart:
    return StudyChart(**{**stored, "lines": [CurveLine(**_with_ends(line)) for line in stored["lines"]]})


def _with_ends(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return a finding or a line with infinite ends in the places of null."""
    found = dict(stored)
    for name, missing in (("low", -math.inf), ("high", math.inf)):
        ends = found[name]
        if isinstance(ends, list):
            found[name] = [missing if end is None else end for end in ends]
        else:
            found[name] = missing if ends is None else ends
    return found


def _finite(value: Any) -> Any:
    """Return a value with null in the places of numbers that JSON does not have."""
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
