"""``hwlearn compare``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwlearn.cli.outcome import JsonOption, RunsOption, at_work, command, one_line, print_json
from hwlearn.errors import RunError

if TYPE_CHECKING:
    from rich.table import Table

    from hwlearn.lab.runs.views.comparison import ComparedRun


@command
def compare(
    names: Annotated[
        list[str], typer.Argument(metavar="RUN RUN ...", help="Run folders, or the first characters of names.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Picture of the learning curves.")
    ] = Path("compare.png"),
    runs: RunsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare runs: what was set differently, the scores, and a picture of the learning curves."""
    from rich.console import Console

    from hwlearn.lab.runs.figures.overlay import overlay_figure
    from hwlearn.lab.runs.inputs import check_target
    from hwlearn.lab.runs.report import save_figure
    from hwlearn.lab.runs.store import Run, runs_folder
    from hwlearn.lab.runs.views.comparison import compared_runs, different_settings

    compared = compared_runs([Run.open(name, runs_folder(runs)).folder for name in names])
    differences = different_settings(compared)
    check_target(output)
    with at_work():
        try:
            save_figure(overlay_figure(compared), output)
        except OSError as error:
            raise RunError(f"cannot write {output}: {error}") from error
    if as_json:
        for k, run in enumerate(compared):
            print_json(**run.facts(), different={key: values[k] for key, values in differences.items()})
        print_json(picture=str(output))
    else:
        Console().print(_table(compared, differences))
        typer.echo(f"picture       {output}")


def _table(compared: Sequence[ComparedRun], differences: dict[str, list[Any]]) -> Table:
    """Return a column for each run and a row for each fact."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("")
    for run in compared:
        table.add_column(escape(one_line(run.name)), overflow="fold")
    rows = {
        "bench": [run.bench for run in compared],
        "backend": [run.backend for run in compared],
        "status": [run.status for run in compared],
        "epochs": [str(len(run.epochs)) for run in compared],
        "measurements": [f"{run.measurements:,}" for run in compared],
        "training": [f"{run.seconds:.1f} s" for run in compared],
        "measured": [_measured(run) for run in compared],
    }
    true = [_true(run) for run in compared]
    rows |= {"true": true} if any(true) else {}
    for name, cells in rows.items():
        table.add_row(name, *(escape(one_line(cell)) for cell in cells))
    for key, values in differences.items():
        table.add_row(key, *("not set" if value is None else escape(one_line(str(value))) for value in values))
    return table


def _measured(run: ComparedRun) -> str:
    from hwlearn.lab.progress.terminal import score_text

    return "" if run.final is None else f"{score_text(run.final, run.scale)} ({run.final_rows})"


def _true(run: ComparedRun) -> str:
    """Return the true score after the last epoch, of the rows of the measured one."""
    from hwlearn.lab.progress.terminal import score_text

    score = run.true[-1].get(run.final_rows) if run.true else None
    return "" if score is None else f"{score_text(score, run.scale)} ({run.final_rows})"
