"""``hwlearn report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hwlearn.cli.outcome import JsonOption, RunsOption, at_work, command, print_json
from hwlearn.cli.run_data.paths import shown_path


@command
def report(
    run: Annotated[str, typer.Argument(help="A run folder, or the first characters of a run's name.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Path of the report. Default: report.html, .png or .svg in the run folder."
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="[html|png|svg]",
            help="html: everything in one file. png, svg: learning curve and values of the edges. Default: by "
            " the ending of the path, else html.",
        ),
    ] = None,
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the report of a run: one HTML file with figures and tables, or a picture."""
    from hwlearn.errors import RunError
    from hwlearn.lab.runs.inputs import check_target
    from hwlearn.lab.runs.report import known_format, write_report
    from hwlearn.lab.runs.store import Run, runs_folder
    from hwlearn.lab.runs.views.energy import energy_of_run

    chosen = None if kind is None else known_format(kind)
    found = Run.open(run, runs_folder(runs))
    if output is not None:
        check_target(output)
    with at_work():
        try:
            written = write_report(found, output, chosen)
        except OSError as error:
            raise RunError(f"cannot write {output or 'the report'}: {error}") from error
    if as_json:
        facts: dict[str, Any] = {"dry_run": True} if found.meta("dry_run") else {}
        with found.contents() as contents:
            facts |= {"energy": energy_of_run(contents, found.epochs())}
        facts |= {"health_warning": found.meta("health_warning")} | (found.meta("result") or {})
        print_json(run=str(found.folder), report=str(written), **facts)
    else:
        typer.echo(shown_path(written))
