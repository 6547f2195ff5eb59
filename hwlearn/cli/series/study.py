"""``hwlearn study``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwlearn.cli.outcome import CommandFailed, JsonOption, at_work, command, print_json
from hwlearn.cli.series.places import ClusterOption, WorkersOption
from hwlearn.errors import RunError, SetupError

if TYPE_CHECKING:
    from hwlearn.study.study import StudyResult

ALL = "all"


@command
def study(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME ...]", help="Studies, or all. Without one: list them.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Compute only a part of the points.")] = False,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of points, results and charts.")
    ] = Path("study"),
    page: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The page. Default: study.md in FOLDER. Alone: only write it again."),
    ] = None,
    workers: WorkersOption = None,
    cluster: ClusterOption = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Compute points again that failed earlier.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure the claims about training networks on simulated ones, with intervals.

    Points that are computed stay in FOLDER whatever ends the command; the same command continues.
    """
    from hwlearn.study.catalogue import STUDIES, find_study

    if not names:
        if page is None:
            _list(as_json)
        else:
            _write_page(output, page, as_json)
        return
    wanted = list(STUDIES) if ALL in names else list(dict.fromkeys(names))
    for name in wanted:
        find_study(name)  # a wrong name is refused before anything is computed
    if quick and page is not None:
        raise SetupError("a quick study has no page; leave out --page")
    failures = []
    for name in wanted:
        try:
            with at_work():
                _one(name, output, quick, workers, cluster, retry_failed, as_json)
        except CommandFailed as error:  # the other studies are computed all the same
            failures.append(str(error))
    if not quick and len(failures) < len(wanted):
        _write_page(output, output / "study.md" if page is None else page, as_json)
    if failures:
        more = f"; {len(failures)} of {len(wanted)} studies failed" if len(wanted) > 1 else ""
        raise CommandFailed(f"{failures[0]}{more}")


def _one(
    name: str, folder: Path, quick: bool, workers: int | None, cluster: str | None, retry: bool, as_json: bool
) -> None:
    from hwlearn.lab.sweeps.progress import progress_bar
    from hwlearn.study.running import run_study

    with progress_bar(name, False if as_json else None) as shown:
        result = run_study(
            name, folder, quick=quick, workers=workers, cluster=cluster, retry_failed=retry, begin=shown.begin
        )
    if as_json:
        facts = result.as_json()
        findings = facts["summary"]["findings"]
        print_json(study=name, points=result.points, seconds=result.seconds, findings=findings)
        return
    _print(result)


def _print(result: StudyResult) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False, title_justify="left")
    for name in ("verdict", "value", "95 % interval", ""):
        table.add_column(name, overflow="fold")
    for one in result.summary.findings:
        span = f"{one.low:.3g} to {one.high:.3g}"
        unit = f" {one.unit}" if one.unit else ""
        table.add_row(one.verdict, f"{one.value:.3g}{unit}", span, escape(one.text))
    Console().print(f"[bold]{escape(result.question)}[/bold]")
    Console().print(table)


def _write_page(folder: Path, page: Path, as_json: bool) -> None:
    from hwlearn.storage.atomic_file import write_atomically
    from hwlearn.study.page import study_page

    with at_work():
        try:
            write_atomically(page, study_page(folder, page).encode())
        except OSError as error:
            raise RunError(f"cannot write {page}: {error.strerror or error}") from error
    if as_json:
        print_json(page=str(page))
    else:
        typer.echo(f"page          {page}")


def _list(as_json: bool) -> None:
    from hwlearn.study.catalogue import STUDIES, find_study

    for name in STUDIES:
        one = find_study(name)
        if as_json:
            print_json(study=name, question=one.question, points=len(one.points(False)))
        else:
            typer.echo(f"{name:<14}{one.question}")
