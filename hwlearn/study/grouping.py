"""Select and group the rows of a study by the names of their points."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from hwlearn.study.study import StudyRow


def select(rows: Sequence[StudyRow], **wanted: Any) -> list[StudyRow]:
    """Return the rows whose points have these values."""
    return [row for row in rows if all(row.point.get(name) == value for name, value in wanted.items())]


def values(rows: Sequence[StudyRow], name: str) -> list[float]:
    """Return one result of each row."""
    return [float(row.result[name]) for row in rows]


def by(rows: Sequence[StudyRow], *names: str) -> dict[tuple[Any, ...], list[StudyRow]]:
    """Return the rows grouped by values of their points, in the order in which these occur."""
    groups: dict[tuple[Any, ...], list[StudyRow]] = defaultdict(list)
    for row in rows:
        groups[tuple(row.point.get(name) for name in names)].append(row)
    return dict(groups)


def curves(rows: Sequence[StudyRow], place: str, name: str) -> list[dict[float, float]]:
    """Return, for each seed, one result of its rows by one value of their points."""
    return [
        {float(row.point[place]): float(row.result[name]) for row in same} for same in by(rows, "seed").values()
    ]


def paired(first: Sequence[StudyRow], second: Sequence[StudyRow], name: str) -> tuple[list[float], list[float]]:
    """Return one result of two groups for the seeds that both have."""
    there = {row.point["seed"]: float(row.result[name]) for row in second}
    both = [row for row in first if row.point["seed"] in there]
    return values(both, name), [there[row.point["seed"]] for row in both]
