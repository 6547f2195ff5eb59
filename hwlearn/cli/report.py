"""``hwlearn report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwlearn.cli.outcome import JsonOption, RunsOption, at_work, command, print_json


@command
def report(
    run: Annotated[str, typer.Argument(help="A run folder, or the first characters of a run's name.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Path of the PNG. Default: report.png in the run folder.")
    ] = None,
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw the learning curve and the conductances of a run."""
    from hwlearn.errors import RunError
    from hwlearn.lab.runs.report import draw_run
    from hwlearn.lab.runs.store import Run, runs_folder

    found = Run.open(run, runs_folder(runs))
    with at_work():
        try:
            picture = draw_run(found, output)
        except OSError as error:
            raise RunError(f"cannot write {output or 'the report'}: {error}") from error
    if as_json:
        dry_run = {"dry_run": True} if found.meta("dry_run") else {}
        print_json(run=str(found.folder), report=str(picture), **dry_run, **(found.meta("result") or {}))
    else:
        typer.echo(picture)
