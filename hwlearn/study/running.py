"""`run_study`: compute the points of a study that are not done, and write what it found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hwlearn.errors import RunError, SetupError
from hwlearn.lab.sweeps.execution import execute
from hwlearn.lab.sweeps.table import Outcome, PointTable, StoredTable
from hwlearn.storage.atomic_file import write_atomically
from hwlearn.storage.text_file import read_text
from hwlearn.study.catalogue import find_study
from hwlearn.study.charts import chart_svg
from hwlearn.study.rows import as_columns
from hwlearn.study.study import Study, StudyResult, StudyRow

QUICK = "-quick"


def run_study(
    name: str,
    folder: str | Path = "study",
    *,
    quick: bool = False,
    workers: int | None = None,
    cluster: Any = None,
    retry_failed: bool = False,
    begin: Callable[[dict[Any, int]], Callable[[Outcome], None] | None] | None = None,
) -> StudyResult:
    """Compute a study and write ``NAME.json`` and its charts as SVG into a folder.

    Points that were computed before, also by a call that was interrupted, are not computed again: the same call
    continues.

    Parameters
    ----------
    name : str
        One of `hwlearn.study.STUDIES`.
    folder : str or Path
        Its table of points is in the folder ``NAME`` of it.
    quick : bool
        Compute only a part, which takes seconds; its files are named ``NAME-quick``.
    workers : int, optional
        Processes of this computer, each with one thread. Default: one for each core.
    cluster : str or distributed.Client, optional
        As `hwlearn.sweep` has it.
    retry_failed : bool
        Whether points that failed earlier are computed again.
    begin : callable, optional
        Called with the number of points of each status; returns what is called with each outcome.

    Returns
    -------
    StudyResult

    Raises
    ------
    SetupError
        If there is no such study.
    RunError
        If a point could not be computed, the folder has points of another version, or it cannot be written.
    NetworkError
        If the cluster cannot be reached or was lost.
    """
    study = find_study(name)
    place = Path(folder) / (name + QUICK if quick else name)
    points = study.points(quick)
    definition = {"study": name, "version": study.version, "quick": quick, "points": len(points)}
    with PointTable(place, definition, points) as table:
        on_outcome = None if begin is None else begin(dict(table.counts()))
        execute(
            study.run, table, workers=workers, cluster=cluster, retry_failed=retry_failed, on_outcome=on_outcome
        )
    return finish_study(study, place, quick)


def finish_study(study: Study, place: Path, quick: bool) -> StudyResult:
    """Summarise the points in a folder and write the result and the charts beside it; raises as `run_study`."""
    stored = StoredTable(place).rows()
    failed = [row for row in stored if row.status == "failed"]
    if failed:
        raise RunError(
            f"study {study.name}: {len(failed)} of {len(stored)} points could not be computed; the first: "
            f"{failed[0].error} ({json.dumps(dict(failed[0].point))}); repeat with --retry-failed"
        )
    rows = [StudyRow(row.point, row.result) for row in stored if row.status == "finished"]
    if len(rows) < len(stored):
        raise RunError(
            f"study {study.name}: {len(stored) - len(rows)} points are not computed yet; repeat the call"
        )
    summary = study.summarise(rows)
    names = [finding.name for finding in summary.findings]
    assert len(set(names)) == len(names), f"study {study.name} has findings of equal names"
    result = StudyResult(
        study.name,
        study.version,
        quick,
        study.question,
        study.method,
        len(rows),
        0,
        sum(row.seconds or 0.0 for row in stored),
        _versions(StoredTable(place)),
        summary,
        as_columns(rows),
    )
    text = json.dumps(result.as_json(), separators=(",", ":"), allow_nan=False)
    write_atomically(place.with_name(f"{place.name}.json"), text.encode())
    for chart in summary.charts:
        svg = place.with_name(f"{chart.name}{QUICK if quick else ''}.svg")
        write_atomically(svg, chart_svg(chart).encode())
    return result


def _versions(stored: StoredTable) -> dict[str, str]:
    """Return the versions of the packages that computed the points, of one that changed meanwhile all of them."""
    found: dict[str, list[str]] = {}
    for session in stored.sessions():
        for name, version in dict(session.get("versions") or {}).items():
            known = found.setdefault(str(name), [])
            if str(version) not in known:
                known.append(str(version))
    return {name: ", ".join(versions) for name, versions in found.items()}


def read_result(file: str | Path) -> StudyResult:
    """Return the result that `run_study` wrote.

    Raises
    ------
    SetupError
        If the file cannot be read or is no result, or the study has changed since.
    """
    result = read_any_version(file)
    version = find_study(result.study).version
    if result.version != version:
        raise SetupError(
            f"{file} is of version {result.version} of the study {result.study}, which is now {version}; compute "
            f"it again with hwlearn study {result.study}"
        )
    return result


def read_any_version(file: str | Path) -> StudyResult:
    """Return the result that `run_study` wrote, also that of an earlier version of its study.

    Raises
    ------
    SetupError
        If the file cannot be read or is no result.
    """
    text = read_text(Path(file), "result of a study", SetupError)
    try:
        return StudyResult.from_json(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SetupError(f"{file} is no result of a study: {error}") from error
