"""``hwlearn runs``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hwlearn.cli.outcome import JsonOption, RunsOption, command, one_line, print_json
from hwlearn.cli.run_data.paths import shown_path

if TYPE_CHECKING:
    from rich.table import Table

    from hwlearn.lab.runs.store import Run

_WIDE: Final = 110  # columns from which bench and backend are shown; the run's name contains the bench


@command
def runs(
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter",
            metavar="CONDITION",
            help="Only runs with, for example, bench=iris, 'train.rate>=0.05', 'rms_error<1 mV', note~wafer. "
            "Repeatable; all must hold.",
        ),
    ] = None,
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the runs with their bench, status and final score."""
    from rich.console import Console

    from hwlearn.lab.runs.store import Run, runs_folder

    folder = runs_folder(runs)
    found = Run.all(folder)
    if filters:
        from hwlearn.lab.runs.finding import chosen_runs

        found, unreadable = chosen_runs(found, filters)
        if unreadable:
            typer.echo(f"hwlearn: {unreadable} of the runs cannot be read and are left out", err=True)
    rows = [_row(run) for run in found]
    console = Console()
    if as_json:
        for row in rows:
            print_json(**row)
    elif rows:
        console.print(_table(rows, console.width))
    elif filters:
        console.print(f"no run in {shown_path(folder)} fulfils: {', '.join(filters)}", markup=False)
    else:
        console.print(f"no runs in {shown_path(folder)}; make one with: hwlearn train iris")


def _row(run: Run) -> dict[str, Any]:
    from hwlearn.errors import RunError

    try:
        with run.contents() as contents:
            dry_run = bool(contents.meta("dry_run"))
            row = {
                "run": str(run.folder),
                "bench": contents.meta("bench"),
                "backend": contents.meta("backend"),
                "status": contents.status(),
                "epochs": contents.count_epochs(),
                "steps": contents.steps(),
                # what a dry run reads is no measurement, so it has no score
                "result": None if dry_run else contents.meta("result"),
                "target_scale": contents.meta("target_scale"),
                "output_pairs": contents.meta("output_pairs"),
            }
            return row | {"dry_run": True} if dry_run else row
    except RunError as error:
        return {"run": str(run.folder), "status": f"unreadable: {error}", "result": None}


def _table(rows: Sequence[Mapping[str, Any]], width: int) -> Table:
    """Return the runs as a table that fits a terminal of this many columns."""
    from pathlib import Path

    from rich.markup import escape
    from rich.table import Table

    from hwlearn.lab.data.scaling import OutputScale
    from hwlearn.lab.progress.terminal import score_text
    from hwlearn.learning.scoring import Score

    keys = ["bench", "backend", "status", "epochs"] if width >= _WIDE else ["status", "epochs"]
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("run", overflow="fold", no_wrap=True)  # whole names, to be copied
    for key in keys:
        table.add_column(key, no_wrap=key == "epochs", overflow="fold")
    table.add_column("score", no_wrap=True)
    for row in rows:
        result = row["result"]
        score = (
            ""
            if result is None
            else score_text(Score(**result["measured"]), OutputScale.from_facts(row["target_scale"]))
        )
        shown = (escape(one_line(str(row.get(key, "")))) for key in keys)
        table.add_row(escape(one_line(Path(row["run"]).name)), *shown, score)
    return table
